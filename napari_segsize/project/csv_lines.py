"""Tables as people and spreadsheets save them: rows by column, with their line numbers."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.writing import told

if TYPE_CHECKING:
    from napari_segsize.project.annotation import ImageRecord

__all__ = [
    "SHOWN", "names_of_columns", "read_lines", "read_number", "read_slice", "read_whole", "refusal",
]  # fmt: skip

SHOWN = 10
"""Bad rows named in one message."""
_SEPARATORS = (",", ";", "\t")
_MARKS = {
    codecs.BOM_UTF8: ("utf-8-sig",), codecs.BOM_UTF16_LE: ("utf-16",), codecs.BOM_UTF16_BE: ("utf-16",),
}  # fmt: skip
_UNMARKED = ("utf-8", "cp1252")


def read_lines(
    file: Path, columns: Sequence[str], *, required: Sequence[str], decimals: Collection[str]
) -> list[tuple[int, dict[str, str]]]:
    """Rows of a table with their line numbers, decimal points where the file had commas.

    Parameters
    ----------
    columns, required : sequences of str
        What a header may have, which also says what separates the values, and what it must have.
    decimals : collection of str
        Columns of numbers.
    """
    text = _text_of(file)
    separator, _ = _split_header(text, columns)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip().lower() for name in next(table, [])]
        missing = [name for name in required if name not in names]
        if missing:
            raise SegsizeError(
                f"{file.name} has no column {' and no column '.join(missing)}: expected a first line such as "
                f"{','.join(columns)} (or with semicolons or tabs), got {_header_of(text).strip()!r}."
            )
        lines = []
        for fields in table:
            values = [field.strip() for field in fields]
            if any(values[len(names) :]):  # 3,5 without quotes is two of them
                raise SegsizeError(
                    f"{file.name}, line {table.line_num}: expected {len(names)} values, as many as there are "
                    f"names in the first line, got {len(values)}; write numbers with a decimal point, or put "
                    "semicolons between the values."
                )
            if any(values):
                lines.append((table.line_num, dict(zip(names, values, strict=False))))
    except csv.Error as error:
        raise SegsizeError(
            f"{file.name}, line {table.line_num}: not a table ({error}); save it as CSV."
        ) from error
    return _with_points(file, lines, decimals, separator)


def names_of_columns(file: Path, columns: Sequence[str]) -> frozenset[str]:
    """Those of `columns` that a file has in its first line, read as `read_lines` does."""
    return _split_header(_text_of(file), columns)[1]


def read_slice(text: str, record: ImageRecord) -> int:
    """Number of a plane; empty is 0."""
    number = read_number(text or "0", "slice")
    if number != int(number) or not 0 <= number < record.planes:
        raise SegsizeError(f"slice: expected a whole number from 0 to {record.planes - 1}, got {text!r}.")
    return int(number)


def read_number(text: str, column: str) -> float:
    """A number of a column."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise SegsizeError(f"{column}: expected a number, got {text!r}.")
    return number


def read_whole(text: str, column: str) -> int:
    """A whole number of a column."""
    number = read_number(text, column)
    if number != int(number):
        raise SegsizeError(f"{column}: expected a whole number, got {text!r}.")
    return int(number)


def refusal(file: Path, bad: Sequence[str], what: str) -> SegsizeError:
    """What is wrong with a file that was not read.

    Parameters
    ----------
    bad : sequence of str
        A sentence each; the first ones are shown.
    what : str
        What they are about, in the plural, such as "rows".
    """
    more = f" (and {len(bad) - SHOWN} more)" if len(bad) > SHOWN else ""
    kind = what.removesuffix("s") if len(bad) == 1 else what
    return SegsizeError(
        f"{file.name} was not read, because of {len(bad)} bad {kind}{more}. {' '.join(bad[:SHOWN])}"
    )


def _text_of(file: Path) -> str:
    """What is written in a file, whatever program saved it.

    Spreadsheets save "Unicode" as UTF-16 and "CSV", without saying so, in the code page of their country. Of
    these only the western one is tried. A file in another one is not read wrongly where it matters: digits,
    separators and, in all of Europe, "µ" are the same bytes; an image with a wrong letter in its name is
    refused, for the project does not have it; and the name of an object means something to people only.
    """
    with told(file):
        data = file.read_bytes()
    encodings = next((names for mark, names in _MARKS.items() if data.startswith(mark)), _UNMARKED)
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if "\0" not in text:  # not a table, or UTF-16 without its mark
                return text
    raise SegsizeError(
        f"{file.name} is not text in UTF-8, UTF-16 (with its mark) or Windows-1252: save it as CSV (UTF-8)."
    )


def _header_of(text: str) -> str:
    return next(io.StringIO(text, newline=""), "")


def _split_header(text: str, columns: Sequence[str]) -> tuple[str, frozenset[str]]:
    """What separates the values: that which finds most names of columns in the first line; and those."""
    parts = {each: _header_of(text).split(each) for each in _SEPARATORS}
    found = {
        each: frozenset(part.strip().strip('"').strip().lower() for part in split) & set(columns)
        for each, split in parts.items()
    }
    separator = max(found, key=lambda each: len(found[each]))
    return separator, found[separator]


def _with_points(
    file: Path, lines: list[tuple[int, dict[str, str]]], decimals: Collection[str], separator: str
) -> list[tuple[int, dict[str, str]]]:
    """Numbers with decimal points; refused where a comma may as well stand between thousands."""
    numbers = [(line, row, name, row[name]) for line, row in lines for name in decimals if row.get(name, "")]
    comma = next((each for each in numbers if "," in each[3]), None)
    point = next((each for each in numbers if "." in each[3]), None)
    if comma is not None and (separator == "," or point is not None):
        other = "commas between the values" if point is None else f"{point[3]!r} in line {point[0]}"
        raise SegsizeError(
            f"{file.name}: the comma of {comma[3]!r} in line {comma[0]} may be decimal or stand between "
            f"thousands, for there is also {other}: write all numbers with a decimal point, or all with a "
            "decimal comma and semicolons between the values."
        )
    for _, row, name, number in numbers:
        if number.count(",") == 1:  # with more of them it is no number, and shown as it is
            row[name] = number.replace(",", ".")
    return lines
