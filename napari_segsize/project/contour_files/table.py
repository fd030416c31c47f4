"""Outlines as a table, a row a vertex: ``image,slice,object,ring,vertex,y,x``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.contour_files.page import Outline, Page, Reading
from napari_segsize.project.csv_lines import read_lines, read_number, read_whole

__all__ = ["COLUMNS", "read", "write"]

COLUMNS = ("image", "slice", "object", "ring", "vertex", "y", "x")
_REQUIRED = ("image", "object", "y", "x")


def write(pages: Sequence[Page], file: Path) -> list[str]:
    """Write a row for every vertex; y and x are in pixels, pixel centres at integers."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        for page in pages:
            for contour in page.contours:
                for k, ring in enumerate(contour.rings):
                    where = (page.record.name, page.slice, contour.object, k)
                    table.writerows((*where, n, repr(y), repr(x)) for n, (y, x) in enumerate(ring))
    return []


def read(file: Path) -> Reading:
    """Read a table; without ``ring`` there is one, without ``vertex`` the rows are in order."""
    reading = Reading(what="rows")
    objects: dict[tuple[str, int, str], dict[float, list[tuple[float, float, float]]]] = {}
    first: dict[tuple[str, int, str], int] = {}
    for line, fields in read_lines(file, COLUMNS, required=_REQUIRED, decimals=("y", "x")):
        if not fields.get("object"):
            reading.bad.append(
                f"Line {line}: object: expected a name that tells the objects apart, got none."
            )
            continue
        try:
            plane, ring, vertex = (
                read_whole(fields.get(name) or standard, name)
                for name, standard in (("slice", "0"), ("ring", "0"), ("vertex", str(line)))
            )
            y, x = (read_number(fields.get(name, ""), name) for name in ("y", "x"))
        except SegsizeError as error:
            reading.bad.append(f"Line {line}: {error}")
            continue
        key = (fields["image"], plane, fields["object"])
        first.setdefault(key, line)
        objects.setdefault(key, {}).setdefault(ring, []).append((vertex, y, x))
    for (image, plane, name), rings in objects.items():
        polygon = [np.array(sorted(rings[ring]))[:, 1:] for ring in sorted(rings)]
        reading.outlines.append(
            Outline(
                where=f"Line {first[image, plane, name]}",
                polygons=[polygon],
                image=image,
                slice=plane,
                object=name,
            )
        )
    return reading
