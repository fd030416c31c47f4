"""Annotations to and from other programs: ``sizes.csv`` here, label images in `label_images`.

Outlines are in `contour_files`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import ImageRecord, PlaneRef
from napari_segsize.project.csv_lines import read_lines, read_number, read_slice, refusal
from napari_segsize.project.label_images import (
    export_labels,
    import_label_files,
    import_labels,
    read_labels,
    write_labels,
)
from napari_segsize.project.naming import generated_name, image_called, names_of_images
from napari_segsize.project.sizes import ParsedSize, parse_size
from napari_segsize.project.writing import replacing, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_segsize.project.project import Project

__all__ = [
    "COLUMNS",
    "export_labels",
    "import_label_files",
    "import_labels",
    "read_labels",
    "read_sizes_csv",
    "size_lines",
    "write_labels",
    "write_sizes_csv",
]

COLUMNS = ("image", "slice", "object", "y", "x", "size", "unit")
_REQUIRED = ("image", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A line that can be written."""

    line: int
    plane: PlaneRef
    object: str
    centre: tuple[float, float] | None
    size: ParsedSize


def write_sizes_csv(project: Project, file: str | Path) -> int:
    """Write every size of a project to a table, so that `read_sizes_csv` gives the same annotations.

    The columns are ``image,slice,object,y,x,size,unit``: the image's name, the plane, the object's identity,
    its place in pixels (empty when it has none), and the size as it was entered. A plane without an object is
    a row of size 0 without a place.

    Returns
    -------
    int
        Rows written.
    """
    file = Path(file)
    names = {record.id: record.name for record in project.images()}
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    rows = 0
    for said in project.annotations():
        where = (names[said.plane.image], said.plane.slice)
        for stamp in said.stamps:
            y, x = ("", "") if stamp.centre is None else map(repr, stamp.centre)
            table.writerow((*where, stamp.object, y, x, repr(stamp.entered), stamp.unit))
        if said.no_object:
            table.writerow((*where, "", "", "", 0, "px"))
        rows += len(said.stamps) + said.no_object
    with told(file), replacing(file) as new:
        new.write_text(text.getvalue(), encoding="utf-8", newline="")
    return rows


def read_sizes_csv(project: Project, file: str | Path) -> int:
    """Put the sizes of a table into a project: all of them, in one step of undo, or none.

    Parameters
    ----------
    file : path
        Text with a header; ``image`` and ``size`` must be there, see `write_sizes_csv` for the rest. An image
        is named as in the project, or by its file. Separated by commas, or by semicolons or tabs, then also
        with decimal commas; in UTF-8, UTF-16 or Windows-1252. ``unit`` empty means pixels. A row with an
        ``object`` that the plane has replaces it; without one, the same row read twice is one size.

    Returns
    -------
    int
        Rows read.

    Raises
    ------
    SegsizeError
        Names the first bad rows by line, and what was expected there.
    """
    file = Path(file)
    rows, bad = _understood(size_lines(file), project.images())
    bad += _repeated(rows)
    if not bad:
        with project.step(f"Read {file.name}"):
            for row in rows:
                try:
                    project.put_stamp(
                        row.plane,
                        row.size.entered,
                        centre=row.centre,
                        object=None if row.size.size == 0 else row.object,
                        unit=row.size.unit,
                    )
                except SegsizeError as error:  # what was said before contradicts it; the step is not written
                    raise SegsizeError(f"{file.name}, line {row.line}: {error} Nothing was read.") from error
        return len(rows)
    bad.sort()
    raise refusal(file, [f"Line {line}: {what}" for line, what in bad], "rows")


def size_lines(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of a table of sizes with their line numbers, for whoever reads one; see `read_sizes_csv`."""
    return read_lines(file, COLUMNS, required=_REQUIRED, decimals=("y", "x", "size"))


def _understood(
    lines: Sequence[tuple[int, Mapping[str, str]]], images: Sequence[ImageRecord]
) -> tuple[list[_Row], list[tuple[int, str]]]:
    """Rows that can be written, and what is wrong with the others."""
    known = names_of_images(images)
    rows: list[_Row] = []
    bad: list[tuple[int, str]] = []
    seen: Counter[object] = Counter()
    for line, fields in lines:
        try:
            record = image_called(fields.get("image", ""), known)
            plane = PlaneRef(record.id, read_slice(fields.get("slice", ""), record))
            centre = _centre(fields.get("y", ""), fields.get("x", ""), record)
            size = parse_size(
                fields.get("size", ""),
                fields.get("unit") or "px",
                record.spacing[1:],
                record.shape,
                centre is not None,
                image_unit=record.unit,
            )
        except SegsizeError as error:
            bad.append((line, str(error)))
            continue
        place = (plane, centre)
        name = fields.get("object", "")
        if not name:  # the same for the same row, whenever it is read
            name = generated_name(record.sha256, plane.slice, centre, seen[place])
            seen[place] += 1
        rows.append(_Row(line=line, plane=plane, object=name, centre=centre, size=size))
    return rows, bad


def _repeated(rows: Sequence[_Row]) -> list[tuple[int, str]]:
    """Rows that contradict an earlier one."""
    bad: list[tuple[int, str]] = []
    first: dict[tuple[PlaneRef, str], int] = {}
    empty = {row.plane: row.line for row in rows if row.size.size == 0}
    for row in rows:
        if row.size.size == 0:
            continue
        before = first.setdefault((row.plane, row.object), row.line)
        if before != row.line:
            bad.append((row.line, f"the object {row.object!r} is already in line {before}; name each once."))
        if row.plane in empty:
            bad.append((row.line, f"a size, but line {empty[row.plane]} says that there is no object there."))
    return bad


def _centre(y: str, x: str, record: ImageRecord) -> tuple[float, float] | None:
    if not y and not x:
        return None
    if not (y and x):
        raise SegsizeError(f"y and x: expected both or neither, got y={y!r}, x={x!r}.")
    centre = read_number(y, "y"), read_number(x, "x")
    if not all(-0.5 <= value <= side - 0.5 for value, side in zip(centre, record.shape, strict=True)):
        raise SegsizeError(
            f"the place {centre} lies outside the image of {record.height} x {record.width} px."
        )
    return centre
