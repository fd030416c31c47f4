"""What the user has said: sizes, places, masks, in a project file that is always on disk. No torch, no Qt.

`annotation` holds the frozen values and `sizes` what a size is; `project` has the verbs (`Project`), those
that annotate in `ledger`; `exchange` reads and writes other programs' files. Under the verbs: `store`,
`tables`, `migrations` (the SQLite file), `history` (append-only, undo), `survey` (looking at everything),
`gallery` (image rows and pixels), `images`, `formats`, `arrays` (image files); `fingerprint`, `splits`,
`trained`.
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
    "FILE_NAME", "MARKS", "SPLITS", "Change", "Counts", "ImageRecord", "ModelRecord", "ParsedSize",
    "PlaneAnnotation", "PlaneRef", "Project", "SizeStamp", "Split", "even_size", "object_size_of",
    "parse_size", "unit_name",
]  # fmt: skip
