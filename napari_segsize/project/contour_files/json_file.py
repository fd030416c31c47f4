"""JSON of other programs, with sentences for what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.writing import told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.annotation import Ring

__all__ = ["CORNER", "line_of", "load", "vertices_of"]

CORNER = 0.5
"""What a position from the corner of the first pixel is more than one from its centre."""


def load(file: Path) -> Any:
    """What is in a JSON file."""
    with told(file):
        data = file.read_bytes()
    try:
        return json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        where = f"line {error.lineno}, " if isinstance(error, json.JSONDecodeError) else ""
        raise SegsizeError(f"{file.name}, {where}is not JSON ({error}): export it again.") from error


def vertices_of(numbers: Any) -> NDArray[np.float64]:
    """Vertices (y, x) from a pixel's centre, of numbers (x, y) from its corner, in rows or in one line."""
    try:
        pairs = np.asarray(numbers, dtype=np.float64)
        pairs = pairs.reshape(-1, 2) if pairs.ndim == 1 else pairs[:, :2]
    except (ValueError, TypeError, IndexError):
        pairs = np.empty(0)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise SegsizeError("its coordinates are not pairs of numbers x, y.")
    return pairs[:, ::-1] - CORNER


def line_of(ring: Ring) -> list[list[float]]:
    """Vertices (x, y) from the corner of the first pixel."""
    return [[x + CORNER, y + CORNER] for y, x in ring]
