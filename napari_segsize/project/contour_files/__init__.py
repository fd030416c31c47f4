"""Outlines to and from other programs, by the ending of the file.

`exchange` has the two verbs, `placing` finds the planes of what was read, `page` is what passes between them
and the formats: `label_image` (TIFF and such), `coco` (with `rle`), `geojson` (QuPath), `imagej` (ROI zip),
`table` (CSV). Every format gives the same pixels back. Positions in GeoJSON, COCO and ROIs count from the
corner of the first pixel (`json_file`), ours from its centre: there they are 0.5 px more.
"""

from __future__ import annotations

from napari_segsize.project.contour_files.exchange import (
    FORMATS,
    Exchanged,
    export_contours,
    import_contour_files,
    import_contours,
)

__all__ = ["FORMATS", "Exchanged", "export_contours", "import_contour_files", "import_contours"]
