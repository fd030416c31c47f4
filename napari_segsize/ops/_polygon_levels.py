"""Compiled kernels that cut polygons at their crossings: see `napari_segsize.ops._polygon_tensors`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.ops._jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_TOLERANCE = 1e-12  # of the largest coordinate: nearer than that, two edges lie on each other


@kernel
def split(contours: Floats, even_odd: bool) -> tuple[Ints, Ints, Floats]:
    """Cut edges where the mask's jump across them changes; see `SubEdges` for the three results."""
    polygons, count, _ = contours.shape
    ends = np.empty(polygons, np.int64)
    edges = np.empty(2 * polygons * count, np.int64)
    spans = np.empty((2 * polygons * count, 3), np.float64)
    filled = 0
    for polygon in range(polygons):
        contour = contours[polygon]
        scale = 1.0
        for k in range(count):
            scale = max(scale, abs(contour[k, 0]), abs(contour[k, 1]))
        if _is_simple(contour, 4 * _TOLERANCE * scale):
            some_edges, some_spans = _whole(contour)
        else:
            some_edges, some_spans = _cut(contour, _TOLERANCE * scale, even_odd)
        more = len(some_edges)
        while filled + more > len(edges):
            edges = np.concatenate((edges, np.empty_like(edges)))
            spans = np.concatenate((spans, np.empty_like(spans)))
        edges[filled : filled + more] = some_edges
        spans[filled : filled + more] = some_spans
        filled += more
        ends[polygon] = filled
    return ends, edges[:filled].copy(), spans[:filled].copy()


@kernel
def _edge(contour: Floats, edge: int) -> tuple[float, float, float, float]:
    """Where an edge begins, and how far it goes: ``ay, ax, dy, dx``."""
    after = edge + 1 if edge + 1 < len(contour) else 0
    ay, ax = contour[edge, 0], contour[edge, 1]
    return ay, ax, contour[after, 0] - ay, contour[after, 1] - ax


@kernel
def _whole(contour: Floats) -> tuple[Ints, Floats]:
    """All edges of a simple polygon: what is inside it, it winds around once, this way or the other."""
    count = len(contour)
    edges, spans = np.empty(count, np.int64), np.empty((count, 3), np.float64)
    twice = 0.0
    oy, ox = contour[0, 0], contour[0, 1]
    for edge in range(count):
        ay, ax, dy, dx = _edge(contour, edge)
        twice += (ay - oy) * dx - (ax - ox) * dy
        edges[edge] = edge
        spans[edge, 0], spans[edge, 1] = 0.0, 1.0
    spans[:, 2] = 1.0 if twice > 0.0 else -1.0
    return edges, spans


@kernel
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


@kernel
def _cut(contour: Floats, near: float, even_odd: bool) -> tuple[Ints, Floats]:
    """Edges of a polygon, cut where the mask's jump across them changes, level by level."""
    count = len(contour)
    edges, spans = np.empty(4 * count, np.int64), np.empty((4 * count, 3), np.float64)
    filled = 0
    levels = _levels(contour)
    active, met, slope = np.empty(count, np.int64), np.empty(count), np.empty(count)
    listed = np.zeros(count, np.bool_)
    pending = np.zeros((count, 3), np.float64)  # the last part of each edge: from, to (y), weight
    number = 0
    for level in range(len(levels) - 1):
        low, high = levels[level], levels[level + 1]
        if low == high:
            continue
        number = _activate(contour, low, high, active, number, listed)
        _sort(contour, 0.5 * (low + high), active, number, met, slope)
        winding, first = 0, 0
        while first < number:
            # Edges that lie on each other share the jump.
            last, turn = first, 0
            while True:
                turn += 1 if _edge(contour, active[last])[2] > 0.0 else -1
                last += 1
                if last == number or met[last] - met[last - 1] > near * math.hypot(1.0, slope[last]):
                    break
            change = _inside(winding + turn, even_odd) - _inside(winding, even_odd)
            weight = change / turn if turn != 0 else 0.0
            for place in range(first, last):
                edge = active[place]
                if pending[edge, 2] == weight and pending[edge, 1] == low:
                    pending[edge, 1] = high
                    continue
                if filled == len(edges):
                    edges = np.concatenate((edges, np.empty_like(edges)))
                    spans = np.concatenate((spans, np.empty_like(spans)))
                filled += _close(contour, edge, pending, edges, spans, filled)
                pending[edge, 0], pending[edge, 1], pending[edge, 2] = low, high, weight
            winding += turn
            first = last
    if filled + count > len(edges):
        edges = np.concatenate((edges, np.empty(count, np.int64)))
        spans = np.concatenate((spans, np.empty((count, 3))))
    for edge in range(count):
        filled += _close(contour, edge, pending, edges, spans, filled)
    return edges[:filled], spans[:filled]


@kernel
def _levels(contour: Floats) -> Floats:
    """All y at which an edge ends or two edges cross, sorted: in between, no order along x changes."""
    count = len(contour)
    levels = np.empty(4 * count, np.float64)
    levels[:count] = contour[:, 0]
    filled = count
    for i in range(count):
        ay, ax, dy, dx = _edge(contour, i)
        by, bx = ay + dy, ax + dx
        for j in range(i + 2, count if i > 0 else count - 1):
            cy, cx, ey, ex = _edge(contour, j)
            low, high = max(min(ay, by), min(cy, cy + ey)), min(max(ay, by), max(cy, cy + ey))
            if low >= high:
                continue
            one, two = dy * (cx - ax) - dx * (cy - ay), dy * (cx + ex - ax) - dx * (cy + ey - ay)
            if (one > 0.0) == (two > 0.0):
                continue
            one, two = ey * (ax - cx) - ex * (ay - cy), ey * (bx - cx) - ex * (by - cy)
            if (one > 0.0) == (two > 0.0):
                continue
            if filled == len(levels):
                levels = np.concatenate((levels, np.empty_like(levels)))
            levels[filled] = min(max(ay + dy * (one / (one - two)), low), high)
            filled += 1
    levels = levels[:filled]
    levels.sort()
    return levels


@kernel
def _activate(contour: Floats, low: float, high: float, active: Ints, number: int, listed: Flags) -> int:
    """Replace the edges between two levels by those between the next two; return how many."""
    kept = 0
    for place in range(number):
        edge = active[place]
        after = edge + 1 if edge + 1 < len(contour) else 0
        if max(contour[edge, 0], contour[after, 0]) >= high:
            active[kept] = edge
            kept += 1
        else:
            listed[edge] = False
    for edge in range(len(contour)):
        after = edge + 1 if edge + 1 < len(contour) else 0
        ay, by = contour[edge, 0], contour[after, 0]
        if not listed[edge] and min(ay, by) <= low and max(ay, by) >= high:
            listed[edge] = True
            active[kept] = edge
            kept += 1
    return kept


@kernel
def _sort(contour: Floats, y: float, active: Ints, number: int, met: Floats, slope: Floats) -> None:
    """Sort edges by the x at which they meet the line at y; they come in the order of the line before."""
    for place in range(number):
        edge = active[place]
        ay, ax, dy, dx = _edge(contour, edge)
        tilt = dx / dy
        x = ax + (y - ay) * tilt
        back = place
        while back > 0 and met[back - 1] > x:
            met[back], slope[back], active[back] = met[back - 1], slope[back - 1], active[back - 1]
            back -= 1
        met[back], slope[back], active[back] = x, tilt, edge


@kernel
def _close(contour: Floats, edge: int, pending: Floats, edges: Ints, spans: Floats, filled: int) -> int:
    """Write the last part of an edge, if the mask ends there; return how many were written."""
    weight = pending[edge, 2]
    if weight == 0.0:
        return 0
    ay, _, dy, _ = _edge(contour, edge)
    one, two = (pending[edge, 0] - ay) / dy, (pending[edge, 1] - ay) / dy
    edges[filled] = edge
    spans[filled, 0], spans[filled, 1], spans[filled, 2] = (
        max(min(one, two), 0.0),
        min(max(one, two), 1.0),
        weight,
    )
    return 1


@kernel
def _inside(winding: int, even_odd: bool) -> float:
    outside = winding % 2 == 0 if even_odd else winding == 0
    return 0.0 if outside else 1.0
