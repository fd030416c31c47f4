"""What the loss microscope draws as strokes and arrows: gradients of vertices and fields, lines, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_segsize.widgets.contour_points import camera_of, pixel_on_screen
from napari_segsize.widgets.placement import like, place
from napari_segsize.widgets.shelf import Shelf

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_segsize.losses.microscope import LossView

__all__ = ["GROUPS", "LossStrokes", "group_of", "strongest"]

GROUPS = {
    "disks": ("disks",),
    "normals": ("normals",),
    "contour": ("contour",),
    "vertices": ("vertices",),
    "squares": ("squares",),
    "gaps": ("gaps", "reach"),
    "lines": ("zero line", "true outline"),
    "motion": ("motion", "wanted motion"),
}
"""Marks of a view that are drawn together, by the name of what ticks them; all others are centres."""

_STROKES = {
    "contour": "#f0e442", "gaps": "#ffffff", "reach": "#ff5da2", "zero line": "#ffffff",
    "true outline": "#f0e442", "motion": "#ffffff", "wanted motion": "#4cc9f0",
}  # fmt: skip
_ARROW = "#1ee6ff"
_ROLE = "loss stroke:"
_WIDTH_PX, _ARROW_PX = 2.0, 4.0  # on the screen
_SHARE = 0.25  # of the contour's extent: how long the longest arrow is drawn
_MOST_ARROWS = 1500


class LossStrokes:
    """Vectors layers above the layer that a loss is shown of; `corner` is the view's first pixel there."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.over: Layer | None = None
        """The layer that strokes lie above, beside the one they are measured in: a contour that is drawn."""

    def gradient(self, source: Layer, corner: Sequence[int], view: LossView) -> str | None:
        """Draw where descending moves each vertex, or turns each vector; return the layer's role."""
        steps = -view.gradient.astype(np.float64)
        if view.places is not None:
            places, ways = view.places, steps
            longest = max(2.0, _SHARE * float(np.ptp(places, axis=0).max()))
        else:
            places, ways, longest = thinned(steps)
        most = strongest(view.gradient, contour=view.places is not None)
        if most == 0:
            return None
        lengths = np.hypot(*ways.T)[:, None]
        ways = ways * (longest / np.maximum(lengths, most))  # what is stronger is cut to that length
        return self._put(source, corner, "gradient", places, ways, arrows=True)

    def show(
        self, source: Layer, corner: Sequence[int], name: str, strokes: NDArray[np.float64]
    ) -> str | None:
        """Draw strokes ``(M, 4)`` of a place and a way; return the layer's role, None without any."""
        if not len(strokes):
            return None
        if name.endswith("motion"):
            strokes, length = _fewer(strokes)
            strokes = strokes * [1, 1, length, length]
        return self._put(source, corner, name, strokes[:, :2], strokes[:, 2:], arrows=name.endswith("motion"))

    def _put(
        self, source: Layer, corner: Sequence[int], name: str, places: NDArray[np.float64],
        ways: NDArray[np.float64], *, arrows: bool,
    ) -> str:  # fmt: skip
        from napari.layers import Vectors

        role, lead = _ROLE + name, len(corner) - 2
        data = np.zeros((len(places), 2, source.ndim))
        data[:, 0, :lead] = corner[:lead]
        data[:, 0, lead:] = places + np.asarray(corner[lead:], float)
        data[:, 1, lead:] = ways
        layer = self._shelf.get(role)
        width = _ARROW_PX if name == "gradient" else _WIDTH_PX
        width *= pixel_on_screen(source, camera_of(self._shelf.viewer).zoom)
        if layer is not None and layer.ndim == source.ndim:
            layer.data = data
            if abs(np.log(width / layer.edge_width)) > 0.35:
                layer.edge_width = width
            place(layer, like(source))
            return role
        layer = Vectors(
            data, name=f"Loss {name}" if name == "gradient" else f"Loss: {name}", ndim=source.ndim,
            edge_color=_STROKES.get(name, _ARROW), edge_width=width,
            vector_style="arrow" if arrows else "line", **like(source),
        )  # fmt: skip
        over = self.over if self.over in self._shelf.viewer.layers else source
        self._shelf.put(role, layer, above=over)
        return role


def strongest(gradient: NDArray[np.float32], *, contour: bool) -> float:
    """What the longest arrow stands for: of a contour's vertices the strongest, of fields nearly that.

    Where a vector is short its gradient is steep, and would make all others invisible.
    """
    lengths = np.linalg.norm(gradient, axis=1 if contour else 0)
    if contour or not lengths.any():
        return float(lengths.max(initial=0))
    return float(np.quantile(lengths[lengths > 0], 0.9))


def group_of(mark: str) -> str:
    """What ticks a mark of a view, or a layer of it."""
    return next((group for group, marks in GROUPS.items() if mark in marks), mark)


def thinned(field: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The strongest vector of each cell of a field ``(2, H, W)``: places, ways, and a cell's side in px."""
    lengths = np.hypot(*field)
    height, width = lengths.shape
    side = max(1, int(np.ceil(np.sqrt(lengths.size / _MOST_ARROWS))))
    rows, columns = -(-height // side), -(-width // side)
    wide = np.zeros((rows * side, columns * side))
    wide[:height, :width] = lengths
    cells = wide.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows * columns, side**2)
    best = cells.argmax(1)[cells.any(1)]
    cell = np.flatnonzero(cells.any(1))
    y = cell // columns * side + best // side
    x = cell % columns * side + best % side
    return np.stack([y, x], 1).astype(float), field[:, y, x].T, 1.5 * side


def _fewer(strokes: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Of strokes on every pixel those on a grid that is wide enough to see them apart; and their length."""
    side = max(1, int(np.ceil(np.sqrt(len(strokes) / _MOST_ARROWS))))
    on_grid = (strokes[:, :2].astype(int) % side == side // 2).all(1)
    return strokes[on_grid], 0.8 * side
