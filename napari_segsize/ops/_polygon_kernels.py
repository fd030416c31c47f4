"""Compiled kernels that render polygons on the CPU: see `napari_segsize.ops._polygon_tensors` for the method.

Contours come as ``(polygons, K, 2)`` float64, moved by half a pixel: pixel ``(r, c)`` is the square
``[r, r + 1] x [c, c + 1]``. They release the GIL and run on one thread each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.ops._jit import kernel
from napari_segsize.ops._polygon_levels import _edge, split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Image = NDArray[np.float32] | NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["cover", "pull", "split"]

_ROUNDING = 1e-11  # of a sum over a row: so near to 0 or 1, it is meant to be 0 or 1


@kernel
def cover(contours: Floats, ends: Ints, edges: Ints, spans: Floats, out: Image) -> None:
    """Write the covered share of every pixel to `out` ``(polygons, H, W)``."""
    polygons, height, width = out.shape
    row_sums = np.zeros((height, width + 1), np.float64)
    cuts = np.empty(height + width + 4, np.float64)
    begin = 0
    for polygon in range(polygons):
        row_sums[:] = 0.0
        for sub in range(begin, ends[polygon]):
            ay, ax, dy, dx = _edge(contours[polygon], edges[sub])
            start, stop, weight = spans[sub, 0], spans[sub, 1], spans[sub, 2]
            pieces = _cut_at_pixels(ay, ax, dy, dx, start, stop, height, width, cuts) - 1
            for piece in range(pieces):
                middle = 0.5 * (cuts[piece] + cuts[piece + 1])
                row = min(max(math.floor(ay + middle * dy), 0), height - 1)
                x = ax + middle * dx
                rise = weight * dy * (cuts[piece + 1] - cuts[piece])
                if x < 0.0:
                    row_sums[row, 0] += rise
                elif x < width:
                    column = math.floor(x)
                    row_sums[row, column] += rise * (1.0 - (x - column))
                    row_sums[row, column + 1] += rise * (x - column)
        begin = ends[polygon]
        for row in range(height):
            total = 0.0
            for column in range(width):
                total += row_sums[row, column]
                value = min(max(total, 0.0), 1.0)
                if value < _ROUNDING:
                    value = 0.0
                elif value > 1.0 - _ROUNDING:
                    value = 1.0
                out[polygon, row, column] = value


@kernel
def pull(contours: Floats, ends: Ints, edges: Ints, spans: Floats, upstream: Image, out: Floats) -> None:
    """Add the gradient with respect to the vertices' x to `out` ``(polygons, K)``."""
    polygons, height, width = upstream.shape
    count = contours.shape[1]
    cuts = np.empty(height + width + 4, np.float64)
    begin = 0
    for polygon in range(polygons):
        image = upstream[polygon]
        for sub in range(begin, ends[polygon]):
            edge = edges[sub]
            ay, ax, dy, dx = _edge(contours[polygon], edge)
            start, stop, weight = spans[sub, 0], spans[sub, 1], spans[sub, 2]
            pieces = _cut_at_pixels(ay, ax, dy, dx, start, stop, height, width, cuts) - 1
            first, second = 0.0, 0.0
            for piece in range(pieces):
                middle = 0.5 * (cuts[piece] + cuts[piece + 1])
                row, x = math.floor(ay + middle * dy), ax + middle * dx
                # Right and left of the piece: the same pixel, unless it runs along the boundary of two, of
                # which each counts half.
                value = 0.5 * (_value(image, row, math.floor(x)) + _value(image, row, math.ceil(x) - 1))
                value *= cuts[piece + 1] - cuts[piece]
                first += value * (1.0 - middle)
                second += value * middle
            out[polygon, edge] -= weight * dy * first
            out[polygon, edge + 1 if edge + 1 < count else 0] -= weight * dy * second
        begin = ends[polygon]


@kernel
def _value(image: Image, row: int, column: int) -> float:
    height, width = image.shape
    inside = 0 <= row < height and 0 <= column < width
    return float(image[row, column]) if inside else 0.0


@kernel
def _cut_at_pixels(
    ay: float,
    ax: float,
    dy: float,
    dx: float,
    start: float,
    stop: float,
    height: int,
    width: int,
    cuts: Floats,
) -> int:
    """Where an edge, from `start` to `stop`, enters a new pixel of the image: increasing, into `cuts`.

    Rows outside the image are cut off; beside it, only rows count. Returns how many, 0 if all lies outside.
    """
    y, y_end = ay + start * dy, ay + stop * dy
    if max(y, y_end) < 0.0 or min(y, y_end) > height:
        return 0
    if min(ax + start * dx, ax + stop * dx) > width:
        return 0
    if dy != 0.0:
        enter, leave = -ay / dy, (height - ay) / dy
        start, stop = max(start, min(enter, leave)), min(stop, max(enter, leave))
        if start >= stop:
            return 0
    y, y_end = ay + start * dy, ay + stop * dy
    x, x_end = ax + start * dx, ax + stop * dx
    row, last_row, step_row = _lines(y, y_end, height)
    column, last_column, step_column = _lines(x, x_end, width)
    cuts[0] = start
    filled = 1
    while True:
        more_rows = (last_row - row) * step_row >= 0
        more_columns = (last_column - column) * step_column >= 0
        if not (more_rows or more_columns):
            break
        at_row = (row - ay) / dy if more_rows else math.inf
        at_column = (column - ax) / dx if more_columns else math.inf
        cuts[filled] = min(max(min(at_row, at_column), start), stop)
        filled += 1
        if at_row <= at_column:
            row += step_row
        else:
            column += step_column
    cuts[filled] = stop
    return filled + 1


@kernel
def _lines(start: float, stop: float, size: int) -> tuple[int, int, int]:
    """First and last grid line from 0 to `size` strictly between, and the step; ``1, 0, 1`` if none is."""
    low, high = min(start, stop), max(start, stop)
    first = max(math.floor(min(low, size + 1.0)) + 1, 0)
    last = min(math.ceil(max(high, -1.0)) - 1, size)
    if first > last:
        return 1, 0, 1
    return (first, last, 1) if start < stop else (last, first, -1)
