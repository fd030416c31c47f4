"""What can be clicked and dragged of the objects of a plane: points and vertices, a row of the layer each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_segsize.project.annotation import Point
from napari_segsize.widgets.contour_state import Board, Outline

__all__ = ["Handle", "Row", "colours_of", "rows_of", "table_of"]

_OPEN, _WAITING, _MEANT, _FAILED, _VERTEX = "#ff8c1a", "#c9c9c9", "#ffffff", "#ff4d4d", "#ffe14d"


class Handle(NamedTuple):
    """What one point of the layer is."""

    object: str
    kind: Literal["point", "vertex"]
    nth: int


class Row(NamedTuple):
    """A handle as it is drawn."""

    handle: Handle
    place: Point
    colour: str
    number: int  # of the object, for people: napari shows it in its status bar

    @property
    def said(self) -> tuple[int, str, int]:
        """What the layer's table says of it."""
        return self.number, self.handle.kind, self.handle.nth


def rows_of(board: Board, *, repairing: bool) -> list[Row]:
    """What is drawn: while clicking, the points of all that is not finished; while repairing, one object."""
    meant, rows = board.focused, []
    if repairing and meant is not None:  # below the points, which are rarer
        vertices = [(float(y), float(x)) for y, x in meant.present]
        rows += [
            Row(Handle(meant.object, "vertex", k), at, _VERTEX, meant.number) for k, at in enumerate(vertices)
        ]
    for each in board.objects:
        is_meant = each is meant
        waits = each.status in ("clicking", "queued", "failed")
        if is_meant or (waits and not (repairing and each.status == "queued")):
            colour = _colour(each, board, is_meant=is_meant)
            rows += [
                Row(Handle(each.object, "point", k), at, colour, each.number)
                for k, at in enumerate(each.points)
            ]
    return rows


def _colour(each: Outline, board: Board, *, is_meant: bool) -> str:
    if each.status == "failed":
        return _FAILED
    if each.object == board.open:
        return _OPEN
    return _MEANT if is_meant else _WAITING


def colours_of(rows: tuple[Row, ...]) -> NDArray[np.float32]:
    """Return the colours as napari wants them, (n, 4)."""
    from napari.utils.colormaps.standardize_color import transform_color

    known: Mapping[str, NDArray[np.float32]] = {
        name: transform_color(name)[0] for name in {row.colour for row in rows}
    }
    return np.array([known[row.colour] for row in rows], np.float32)


def table_of(rows: tuple[Row, ...]) -> pd.DataFrame:
    """Return the features of the layer, by which rows are known again."""
    return pd.DataFrame(
        {
            "object": pd.Series([row.number for row in rows], dtype=int),
            "kind": pd.Series([row.handle.kind for row in rows], dtype=object),
            "index": pd.Series([row.handle.nth for row in rows], dtype=int),
        }
    )
