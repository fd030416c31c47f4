"""A contour to look a loss at: a polygon in a Shapes layer; and four points in a Points layer."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_segsize.widgets.contour_shapes import outline_of_shape

if TYPE_CHECKING:
    from napari.layers import Layer, Points, Shapes
    from napari.viewer import Viewer

__all__ = ["Polygons", "four_points", "is_points", "is_shapes"]

Floats = NDArray[np.float64]


class Polygons:
    """Which polygon of a layer is meant: the selected one; else the one meant before, or the largest."""

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[Layer], int] | None = None

    def chosen(self, layer: Shapes, viewer: Viewer) -> tuple[int, int] | str:
        """Number of the polygon that is meant, and how many are on this slice; or why there is none."""
        lead = _lead(layer, viewer)
        here = [
            index
            for index in range(len(layer.data))
            if layer.shape_type[index] != "line" and _is_here(np.asarray(layer.data[index]), lead)
        ]
        if not here:
            return f"There is no polygon in “{layer.name}” on this slice: draw one, or choose another layer."
        selected = sorted(set(layer.selected_data) & set(here))
        before = None if self._last is None or self._last[0]() is not layer else self._last[1]
        if selected:
            index = selected[0]
        elif before in here:
            index = before
        else:
            index = max(here, key=lambda each: float(np.prod(np.ptp(layer.data[each][:, -2:], axis=0))))
        self._last = (weakref.ref(layer), index)
        return index, len(here)

    def vertices(self, layer: Shapes, viewer: Viewer, frame: Layer) -> tuple[Floats, int, str] | str:
        """Vertices ``(K, 2)`` in pixels of `frame`, the polygon's number, and a word about the others."""
        found = self.chosen(layer, viewer)
        if isinstance(found, str):
            return found
        index, count = found
        outline = outline_of_shape(layer, index)
        if outline is None:
            return "A line is no contour: draw a polygon."
        said = (
            f"One of {count} polygons on this slice: select another one to look at it." if count > 1 else ""
        )
        return _brought(layer, outline, _lead(layer, viewer), frame), index, said


def four_points(layer: Points, viewer: Viewer, frame: Layer) -> Floats | str:
    """The extreme points ``(4, 2)`` of a layer in pixels of `frame`: all on this slice, or those selected."""
    lead = _lead(layer, viewer)
    data = np.asarray(layer.data)
    here = [index for index in range(len(data)) if _is_here(data[index : index + 1], lead)]
    chosen = sorted(set(layer.selected_data) & set(here))
    if len(here) != 4 and len(chosen) != 4:
        return (
            f"This loss learns from four extreme points, “{layer.name}” has {len(here)} on this slice: "
            "select four of them, or choose labels, whose extreme points are taken."
        )
    rows = here if len(here) == 4 else chosen
    return _brought(layer, data[rows][:, -2:], lead, frame)


def is_shapes(layer: object) -> bool:
    """Whether a layer holds polygons."""
    from napari.layers import Shapes

    return isinstance(layer, Shapes)


def is_points(layer: object) -> bool:
    """Whether a layer holds points."""
    from napari.layers import Points

    return isinstance(layer, Points)


def _lead(layer: Layer, viewer: Viewer) -> Floats:
    """Where the slice on screen lies along the axes of a layer that are not on screen."""
    point = tuple(viewer.dims.point)[-layer.ndim :]
    return np.asarray(layer.world_to_data(point), float)[:-2]


def _is_here(vertices: NDArray[np.floating], lead: Floats) -> bool:
    return bool((np.abs(vertices[:, :-2] - lead) <= 0.5).all())


def _brought(layer: Layer, places: Floats, lead: Floats, frame: Layer) -> Floats:
    """Places ``(M, 2)`` of a layer in pixels of another; by three of them: the way there is affine."""
    corners = np.zeros((3, layer.ndim))
    corners[:, :-2] = lead
    corners[1, -2] = corners[2, -1] = 1
    found = np.zeros((3, 2))
    for row, corner in enumerate(corners):
        world = np.asarray(layer.data_to_world(corner), float)[-frame.ndim :]
        world = np.concatenate([np.zeros(frame.ndim - len(world)), world])
        found[row] = np.asarray(frame.world_to_data(world))[-2:]
    moved: Floats = found[0] + places @ (found[1:] - found[0])
    return moved
