"""What the user has said: sizes, places, contours, masks, in a file that is always on disk. No torch, no Qt.

`annotation` holds the frozen values and `sizes` what a size is; `project` has the verbs (`Project`), those
that annotate in `ledger`; `exchange` and `contour_files` read and write other programs' files (`csv_lines`,
`naming`). Under the verbs: `checks`, `rings` (what may be said), `packing` (masks on disk), `outlines` (rings
and pixels), `store`, `tables`, `migrations` (the SQLite file), `history` (append-only, undo), `amending`
(changes inside a step), `survey` (looking at everything), `gallery` (image rows and pixels), `linking`,
`searching` (which file is an image's), `images`, `formats`, `nifti`, `arrays` (image files); `fingerprint`,
`splits`, `stopping`, `trained`.
"""

from __future__ import annotations

from napari_segsize.project.annotation import (
    MARKS,
    SOURCES,
    SPLITS,
    Change,
    Contour,
    Counts,
    ImageRecord,
    ModelRecord,
    PlaneAnnotation,
    PlaneRef,
    Point,
    Ring,
    SizeStamp,
    Source,
    Split,
)
from napari_segsize.project.project import FILE_NAME, Project
from napari_segsize.project.sizes import ParsedSize, even_size, object_size_of, parse_size, unit_name

__all__ = [
    "FILE_NAME", "MARKS", "SOURCES", "SPLITS", "Change", "Contour", "Counts", "ImageRecord", "ModelRecord",
    "ParsedSize", "PlaneAnnotation", "PlaneRef", "Point", "Project", "Ring", "SizeStamp", "Source", "Split",
    "even_size", "object_size_of", "parse_size", "unit_name",
]  # fmt: skip
