"""What the user has said: sizes, places, masks, in a project file that is always on disk. No torch, no window.

`annotation` holds the frozen values, `project` the verbs (`Project`), `exchange` other programs' files. Under the
verbs: `store` and `tables` (the SQLite file), `migrations`, `history` (append-only, undo), `survey` (looking at all
annotations), `gallery` (image rows and pixels), `images` and `formats` (image files), `sizes` (what a size is).
"""

from __future__ import annotations

from napari_segsize.project.annotation import (
    MARKS,
    SPLITS,
    Change,
    Counts,
    ImageRecord,
    ModelRecord,
    PlaneAnnotation,
    PlaneRef,
    SizeStamp,
    Split,
)
from napari_segsize.project.project import FILE_NAME, Project
from napari_segsize.project.sizes import ParsedSize, even_size, object_size_of, parse_size, unit_name

__all__ = [
    "FILE_NAME", "MARKS", "SPLITS", "Change", "Counts", "ImageRecord", "ModelRecord", "ParsedSize", "PlaneAnnotation",
    "PlaneRef", "Project", "SizeStamp", "Split", "even_size", "object_size_of", "parse_size", "unit_name",
]  # fmt: skip
