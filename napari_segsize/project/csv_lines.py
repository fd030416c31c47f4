"""Tables as people and spreadsheets save them: rows by column, with their line numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.writing import told

if TYPE_CHECKING:
    from napari_segsize.project.annotation import ImageRecord

__all__ = ["SHOWN", "read_lines", "read_number", "read_slice", "refusal"]

SHOWN = 10
"""Bad rows named in one message."""


def read_lines(
    file: Path, columns: Sequence[str], *, required: Sequence[str], decimals: Collection[str]
) -> list[tuple[int, dict[str, str]]]:
    """Rows of a table with their line numbers, decimal points where the file had commas.

    Parameters
    ----------
    columns, required : sequences of str
        What a header may have, for the sentence, and what it must have.
    decimals : collection of str
        Columns of numbers.
    """
    with told(file):
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise SegsizeError(f"{file.name} is not text in UTF-8: save it as CSV (UTF-8).") from error
    header = text.partition("\n")[0]
    semicolons = header.count(";") > header.count(",")
    table = csv.reader(io.StringIO(text, newline=""), delimiter=";" if semicolons else ",")
    try:
        names = [name.strip().lower() for name in next(table, [])]
        missing = [name for name in required if name not in names]
        if missing:
            raise SegsizeError(
                f"{file.name} has no column {' and no column '.join(missing)}: expected a first line such as "
                f"{','.join(columns)}, got {header.strip()!r}."
            )
        lines = []
        for fields in table:
            if any(field.strip() for field in fields):
                row = dict(zip(names, (field.strip() for field in fields), strict=False))
                if semicolons:
                    row.update({name: row[name].replace(",", ".") for name in decimals if name in row})
                lines.append((table.line_num, row))
    except csv.Error as error:
        raise SegsizeError(
            f"{file.name}, line {table.line_num}: not a table ({error}); save it as CSV."
        ) from error
    return lines


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
