"""Compiled kernels that render polygons on the CPU: see `napari_segsize.ops._polygon_tensors` for the method.

Contours come as ``(polygons, K, 2)`` float64, moved by half a pixel: pixel ``(r, c)`` is the square
``[r, r + 1] x [c, c + 1]``. They release the GIL and run on one thread each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.ops._kernels import _kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Image = NDArray[np.float32] | NDArray[np.float64]
    Ints = NDArray[np.int64]

_TOLERANCE = 1e-12  # of the largest coordinate: nearer than that, two edges lie on each other
_ROUNDING = 1e-11  # of a sum over a row: so near to 0 or 1, it is meant to be 0 or 1


@_kernel
def split(contours: Floats, even_odd: bool) -> tuple[Ints, Ints, Floats]:
    """Cut all edges where they meet others; see `SubEdges` for the three results."""
    polygons, count, _ = contours.shape
    ends = np.empty(polygons, np.int64)
    edges = np.empty(polygons * count + 8, np.int64)
    spans = np.empty((polygons * count + 8, 3), np.float64)
    cuts = np.empty(3 * count + 2, np.float64)
    filled = 0
    for polygon in range(polygons):
        contour = contours[polygon]
        scale = 1.0
        for k in range(count):
            scale = max(scale, abs(contour[k, 0]), abs(contour[k, 1]))
        near = scale * _TOLERANCE
        simple = _is_simple(contour, 4 * near)
        orientation = _orientation(contour)
        for edge in range(count):
            _, _, dy, dx = _edge(contour, edge)
            length = math.hypot(dy, dx)
            pieces = 1
            cuts[0], cuts[1] = 0.0, 1.0
            if not simple:
                if length <= 4 * near:
                    continue
                pieces = _cut(contour, edge, 4 * near, cuts) - 1
            for piece in range(pieces):
                start, stop = cuts[piece], cuts[piece + 1]
                weight = orientation
                if not simple:
                    if (stop - start) * length <= 4 * near:
                        continue
                    weight = _weight(contour, edge, 0.5 * (start + stop), near, even_odd)
                if weight == 0.0:
                    continue
                if filled == len(edges):
                    edges = np.concatenate((edges, np.empty_like(edges)))
                    spans = np.concatenate((spans, np.empty_like(spans)))
                edges[filled] = edge
                spans[filled, 0], spans[filled, 1], spans[filled, 2] = start, stop, weight
                filled += 1
        ends[polygon] = filled
    return ends, edges[:filled].copy(), spans[:filled].copy()


@_kernel
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


@_kernel
def pull(contours: Floats, ends: Ints, edges: Ints, spans: Floats, upstream: Image, out: Floats) -> None:
    """Add the gradient with respect to the vertices to `out` ``(polygons, K, 2)``."""
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
                y, x = ay + middle * dy, ax + middle * dx
                # Below and right of the piece, and above and left of it: the same pixel, unless the piece
                # runs along the boundary of two, of which each counts half.
                value = 0.5 * _value(image, math.floor(y), math.floor(x))
                value += 0.5 * _value(image, math.ceil(y) - 1, math.ceil(x) - 1)
                value *= cuts[piece + 1] - cuts[piece]
                first += value * (1.0 - middle)
                second += value * middle
            after = edge + 1 if edge + 1 < count else 0
            out[polygon, edge, 0] += weight * dx * first
            out[polygon, edge, 1] -= weight * dy * first
            out[polygon, after, 0] += weight * dx * second
            out[polygon, after, 1] -= weight * dy * second
        begin = ends[polygon]


@_kernel
def _value(image: Image, row: int, column: int) -> float:
    height, width = image.shape
    inside = 0 <= row < height and 0 <= column < width
    return float(image[row, column]) if inside else 0.0


@_kernel
def _edge(contour: Floats, edge: int) -> tuple[float, float, float, float]:
    """Where an edge begins, and how far it goes: ``ay, ax, dy, dx``."""
    after = edge + 1 if edge + 1 < len(contour) else 0
    ay, ax = contour[edge, 0], contour[edge, 1]
    return ay, ax, contour[after, 0] - ay, contour[after, 1] - ax


@_kernel
def _orientation(contour: Floats) -> float:
    """The winding number, 1 or -1, inside a simple polygon."""
    twice = 0.0
    oy, ox = contour[0, 0], contour[0, 1]
    for edge in range(len(contour)):
        ay, ax, dy, dx = _edge(contour, edge)
        twice += (ay - oy) * dx - (ax - ox) * dy
    return 1.0 if twice > 0.0 else -1.0


@_kernel
def _is_simple(contour: Floats, near: float) -> bool:
    """Whether all edges keep clear of each other; in doubt not."""
    count = len(contour)
    for i in range(count):
        ay, ax, dy, dx = _edge(contour, i)
        length = math.hypot(dy, dx)
        if length <= near:
            return False
        _, _, ey, ex = _edge(contour, i + 1 if i + 1 < count else 0)
        if dy * ey + dx * ex < 0.0 and abs(dy * ex - dx * ey) <= near * max(length, math.hypot(ey, ex)):
            return False  # it turns back on itself
        by, bx = ay + dy, ax + dx
        low_y, high_y, low_x, high_x = min(ay, by), max(ay, by), min(ax, bx), max(ax, bx)
        for j in range(i + 2, count if i > 0 else count - 1):
            cy, cx, ey, ex = _edge(contour, j)
            fy, fx = cy + ey, cx + ex
            if max(cy, fy) < low_y - near or min(cy, fy) > high_y + near:
                continue
            if max(cx, fx) < low_x - near or min(cx, fx) > high_x + near:
                continue
            margin = near * length
            one, two = dy * (cx - ax) - dx * (cy - ay), dy * (fx - ax) - dx * (fy - ay)
            if min(one, two) > margin or max(one, two) < -margin:
                continue
            margin = near * math.hypot(ey, ex)
            one, two = ey * (ax - cx) - ex * (ay - cy), ey * (bx - cx) - ex * (by - cy)
            if min(one, two) > margin or max(one, two) < -margin:
                continue
            return False
    return True


@_kernel
def _cut(contour: Floats, edge: int, near: float, cuts: Floats) -> int:
    """Where along `edge`, from 0 to 1, it crosses others or their ends touch it: sorted into `cuts`."""
    ay, ax, dy, dx = _edge(contour, edge)
    square = dy * dy + dx * dx
    margin = near * math.sqrt(square)
    by, bx = ay + dy, ax + dx
    cuts[0], cuts[1] = 0.0, 1.0
    filled = 2
    for other in range(len(contour)):
        cy, cx, ey, ex = _edge(contour, other)
        other_margin = near * math.hypot(ey, ex)
        if other == edge or other_margin <= near * near:
            continue
        # Signed areas: of the other's ends beside this edge, and of this one's ends beside the other.
        one, two = dy * (cx - ax) - dx * (cy - ay), dy * (cx + ex - ax) - dx * (cy + ey - ay)
        if min(one, two) > margin or max(one, two) < -margin:
            continue
        if abs(one) <= margin:
            along = ((cy - ay) * dy + (cx - ax) * dx) / square
            if 0.0 < along < 1.0:
                cuts[filled] = along
                filled += 1
        if abs(two) <= margin:
            along = ((cy + ey - ay) * dy + (cx + ex - ax) * dx) / square
            if 0.0 < along < 1.0:
                cuts[filled] = along
                filled += 1
        three, four = ey * (ax - cx) - ex * (ay - cy), ey * (bx - cx) - ex * (by - cy)
        if one * two < 0.0 and three * four < 0.0:
            cuts[filled] = three / (three - four)
            filled += 1
    cuts[:filled].sort()
    return filled


@_kernel
def _weight(contour: Floats, edge: int, at: float, near: float, even_odd: bool) -> float:
    """How much of the mask's jump across `edge` at the place `at` is due to a winding number of one."""
    ay, ax, dy, dx = _edge(contour, edge)
    flat = abs(dx) > abs(dy)  # the ray goes across: along y beside a flat edge, else along x
    along, across = (1, 0) if flat else (0, 1)
    level, place = (ax + at * dx, ay + at * dy) if flat else (ay + at * dy, ax + at * dx)
    before, jump = 0, 0
    for other in range(len(contour)):
        after = other + 1 if other + 1 < len(contour) else 0
        start, stop = contour[other, along], contour[after, along]
        if other == edge:
            jump += 1 if stop > start else -1
            continue
        if (start <= level) == (stop <= level):
            continue
        share = (level - start) / (stop - start)
        meets = contour[other, across] + share * (contour[after, across] - contour[other, across])
        if meets < place - near:
            before += 1 if stop > start else -1
        elif meets <= place + near:
            jump += 1 if stop > start else -1
    if jump == 0:
        return 0.0
    # A turn from y to x changes the sense of rotation, hence the sign of both numbers and of the weight.
    change = _inside(before + jump, even_odd) - _inside(before, even_odd)
    return -change / jump if flat else change / jump


@_kernel
def _inside(winding: int, even_odd: bool) -> float:
    outside = winding % 2 == 0 if even_odd else winding == 0
    return 0.0 if outside else 1.0


@_kernel
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


@_kernel
def _lines(start: float, stop: float, size: int) -> tuple[int, int, int]:
    """First and last grid line from 0 to `size` strictly between, and the step; ``1, 0, 1`` if none is."""
    low, high = min(start, stop), max(start, stop)
    first = max(math.floor(min(low, size + 1.0)) + 1, 0)
    last = min(math.ceil(max(high, -1.0)) - 1, size)
    if first > last:
        return 1, 0, 1
    return (first, last, 1) if start < stop else (last, first, -1)
