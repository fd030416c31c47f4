"""Exact area coverage of polygons, and its gradient, on any device.

1. `split`: a polygon that crosses itself is cut into levels, at every y at which an edge ends or two edges
   cross. Within a level the edges, sorted along x, do not change their order, and a walk along x knows the
   winding number before and after each. The jump of the mask there, over the edge's own turn, is its
   *weight*: 1 or -1 on the outline, 0 where an edge lies inside the mask. The jumps of a level add up to 0
   whatever the rounding, so that mistaking edges that nearly coincide for each other costs nothing. A simple
   polygon needs no cutting: the weight of all its edges is its sense of rotation.
2. `cover`: a piece of edge inside one pixel, of height dy, adds its weight times dy times the share of the
   pixel's width right of it to that pixel, and weight times dy to all pixels further right: two entries in a
   table of row sums, then one running sum along every row. Memory: the pixels near edges, and the masks.
3. `pull`: moving a piece by d along x moves weight times dy times d of area across it. Points where edges
   cross need no term: the area at stake there is of second order. The gradient in y is that in x of the
   transposed picture, with levels of its own: edges along x have no weight in the others.

Contours are moved by half a pixel: pixel ``(r, c)`` is the square ``[r, r + 1] x [c, c + 1]``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_TOLERANCE = 1e-12  # of the largest coordinate: nearer than that, two edges lie on each other
_ROUNDING = 1e-11  # of a sum over a row: so near to 0 or 1, it is meant to be 0 or 1
_BLOCK = 2**19  # pairs of edges that are looked at together


class SubEdges(NamedTuple):
    """Parts of edges with the mask on one side only."""

    polygon: Tensor  # (M,) which contour
    edge: Tensor  # (M,) which of its edges: from that vertex to the next
    start: Tensor  # (M,) from 0 to 1 along the edge
    stop: Tensor  # (M,)
    weight: Tensor  # (M,)


class Pieces(NamedTuple):
    """Parts of sub-edges inside one pixel each."""

    sub: Tensor  # (P,) which sub-edge
    start: Tensor  # (P,) from 0 to 1 along the edge
    stop: Tensor  # (P,)


def split(contours: Tensor, even_odd: bool) -> SubEdges:
    """Cut edges where the mask's jump across them may change, and weigh the parts."""
    count = contours.shape[1]
    near = _TOLERANCE * contours.abs().amax((1, 2)).clamp(min=1)  # (N,)
    every = torch.arange(len(contours) * count, device=contours.device)
    meets = [every.bool()[:0], *(_meets(contours, block, 4 * near) for block in _blocks(every, count))]
    simple = ~torch.cat(meets).reshape(len(contours), count).any(1)
    whole = every[simple.repeat_interleave(count)]
    y, x = (contours - contours[:, :1]).unbind(-1)
    twice_area = (y * x.roll(-1, 1) - x * y.roll(-1, 1)).sum(1)
    weight = torch.where(twice_area > 0, 1.0, -1.0).to(contours)[whole // count]
    parts = [
        SubEdges(whole // count, whole % count, torch.zeros_like(weight), torch.ones_like(weight), weight)
    ]
    polygon, low, high = _levels(contours, (~simple).nonzero()[:, 0])
    parts += [
        _walk(contours, polygon[block], low[block], high[block], near, even_odd)
        for block in _blocks(torch.arange(len(polygon), device=polygon.device), count)
    ]
    return SubEdges(*(torch.cat(each) for each in zip(*parts, strict=True)))


def cover(contours: Tensor, subs: SubEdges, pieces: Pieces, shape: tuple[int, int]) -> Tensor:
    """Share of every pixel that is covered ``(N, H, W)``."""
    height, width = shape
    start, way = _edges(contours, subs.polygon, subs.edge)
    start, way = start[pieces.sub], way[pieces.sub]
    y, x = (start + ((pieces.start + pieces.stop) / 2)[:, None] * way).unbind(-1)
    row = y.floor().clamp(0, height - 1)
    column = x.floor().clamp(0, width)
    right = (x - column).clamp(0, 1)
    rise = subs.weight[pieces.sub] * way[:, 0] * (pieces.stop - pieces.start)
    rise = rise * (x < width)
    index = ((subs.polygon[pieces.sub] * height + row.long()) * (width + 2)) + column.long()
    sums = contours.new_zeros(len(contours) * height * (width + 2))
    sums.index_add_(0, index, rise * (1 - right)).index_add_(0, index + 1, rise * right)
    mask = sums.reshape(len(contours), height, width + 2)[..., :width].cumsum(-1).clamp(0, 1)
    return torch.where((mask - mask.round()).abs() < _ROUNDING, mask.round(), mask)


def pull(contours: Tensor, subs: SubEdges, pieces: Pieces, upstream: Tensor) -> Tensor:
    """Gradient with respect to the vertices' x ``(N, K)``; `upstream` is ``(N, H, W)``."""
    count = contours.shape[1]
    polygon, edge = subs.polygon[pieces.sub], subs.edge[pieces.sub]
    start, way = _edges(contours, polygon, edge)
    middle = (pieces.start + pieces.stop) / 2
    row, x = (start + middle[:, None] * way).unbind(-1)
    row = row.floor().clamp(0, upstream.shape[1] - 1).long()
    # Right and left of the piece: the same pixel, unless it runs along the boundary of two, of which each
    # counts half.
    value = _values(upstream, polygon, row, x.floor()) + _values(upstream, polygon, row, x.ceil() - 1)
    value = value / 2 * (pieces.stop - pieces.start) * subs.weight[pieces.sub] * way[:, 0]
    out = torch.zeros_like(contours[..., 0]).flatten()
    out.index_add_(0, polygon * count + edge, value * (middle - 1))
    out.index_add_(0, polygon * count + (edge + 1) % count, -value * middle)
    return out.reshape(contours.shape[:2])


def cut_at_pixels(contours: Tensor, subs: SubEdges, shape: tuple[int, int]) -> Pieces:
    """Cut sub-edges where they enter a new pixel; leave out what is above, below or right of the image."""
    start, way = _edges(contours, subs.polygon, subs.edge)
    index = torch.arange(len(start), device=start.device)
    owners, places = [index, index], [subs.start, subs.stop]
    for axis, size in enumerate(shape):
        begin, step = start[:, axis], way[:, axis]
        one, two = begin + subs.start * step, begin + subs.stop * step
        first = (torch.minimum(one, two).clamp(-1, size + 1).floor() + 1).long()
        last = (torch.maximum(one, two).clamp(-1, size + 1).ceil() - 1).long()
        first, last = first.clamp(min=0), last.clamp(max=size)
        lines = (last - first + 1).clamp(min=0)
        owner = index.repeat_interleave(lines)
        before = (lines.cumsum(0) - lines)[owner]
        line = first[owner] + torch.arange(len(owner), device=start.device) - before
        place = (line - begin[owner]) / step[owner]
        owners.append(owner)
        places.append(torch.minimum(torch.maximum(place, subs.start[owner]), subs.stop[owner]))
    place, order = torch.cat(places).sort()
    owner, stable = torch.cat(owners)[order].sort(stable=True)
    place = place[stable]
    begin, end = place[:-1], place[1:]
    middle = start[owner[:-1]] + ((begin + end) / 2)[:, None] * way[owner[:-1]]
    keep = (owner[:-1] == owner[1:]) & (end > begin)
    keep &= (middle[:, 0] >= 0) & (middle[:, 0] <= shape[0]) & (middle[:, 1] <= shape[1])
    return Pieces(owner[:-1][keep], begin[keep], end[keep])


def _edges(contours: Tensor, polygon: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    """Where edges begin and how far they go, ``(M, 2)`` each."""
    start = contours[polygon, edge]
    return start, contours[polygon, (edge + 1) % contours.shape[1]] - start


def _blocks(items: Tensor, partners: int) -> list[Tensor]:
    """Parts of `items`, each of which has so many partners: small enough to look at all pairs at once."""
    step = max(1, _BLOCK // partners)
    return [items[begin : begin + step] for begin in range(0, len(items), step)]


def _values(image: Tensor, polygon: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Values ``(P,)`` of ``(N, H, W)``, 0 beside the image."""
    inside = (column >= 0) & (column < image.shape[2])
    return torch.where(inside, image[polygon, row, torch.where(inside, column, 0).long()], 0)


class _Pairs(NamedTuple):
    """A block of edges beside all edges of their polygons: ``(B, 1)`` and ``(B, K)``."""

    ay: Tensor
    ax: Tensor
    dy: Tensor
    dx: Tensor
    cy: Tensor
    cx: Tensor
    ey: Tensor
    ex: Tensor
    gap: Tensor  # how many edges the other one comes after this one

    @classmethod
    def of(cls, contours: Tensor, block: Tensor) -> _Pairs:
        count = contours.shape[1]
        polygon, edge = block // count, block % count
        cy, cx = contours[polygon].unbind(-1)
        ey, ex = (contours.roll(-1, 1) - contours)[polygon].unbind(-1)
        ay, ax, dy, dx = (each.gather(1, edge[:, None]) for each in (cy, cx, ey, ex))
        gap = (torch.arange(count, device=block.device) - edge[:, None]) % count
        return cls(ay, ax, dy, dx, cy, cx, ey, ex, gap)

    def areas(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Signed, twice: of the others' ends beside these edges, and of these ends beside the others."""
        one = self.dy * (self.cx - self.ax) - self.dx * (self.cy - self.ay)
        two = self.dy * (self.cx + self.ex - self.ax) - self.dx * (self.cy + self.ey - self.ay)
        three = self.ey * (self.ax - self.cx) - self.ex * (self.ay - self.cy)
        four = self.ey * (self.ax + self.dx - self.cx) - self.ex * (self.ay + self.dy - self.cy)
        return one, two, three, four


def _meets(contours: Tensor, block: Tensor, near: Tensor) -> Tensor:
    """Which edges ``(B,)`` may meet another one of their polygon elsewhere than at their common vertex."""
    count = contours.shape[1]
    pairs = _Pairs.of(contours, block)
    near = near[block // count, None]
    length, other_length = torch.hypot(pairs.dy, pairs.dx), torch.hypot(pairs.ey, pairs.ex)
    one, two, three, four = pairs.areas()
    apart = _one_side(one, two, near * length) | _one_side(three, four, near * other_length)
    for begin, step, other, way in (
        (pairs.ay, pairs.dy, pairs.cy, pairs.ey),
        (pairs.ax, pairs.dx, pairs.cx, pairs.ex),
    ):
        apart |= torch.maximum(other, other + way) < torch.minimum(begin, begin + step) - near
        apart |= torch.minimum(other, other + way) > torch.maximum(begin, begin + step) + near
    far = (pairs.gap > 1) & (pairs.gap < count - 1)
    turned = (pairs.gap == 1) & (pairs.dy * pairs.ey + pairs.dx * pairs.ex < 0)
    flat = (pairs.dy * pairs.ex - pairs.dx * pairs.ey).abs() <= near * torch.maximum(length, other_length)
    return ((far & ~apart) | (turned & flat)).any(1) | (length <= near)[:, 0]


def _one_side(one: Tensor, two: Tensor, margin: Tensor) -> Tensor:
    return (torch.minimum(one, two) > margin) | (torch.maximum(one, two) < -margin)


def _levels(contours: Tensor, polygons: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Parts of some polygons between the y at which edges end or cross: polygon, from, to ``(L,)``."""
    count = contours.shape[1]
    edges = (polygons[:, None] * count + torch.arange(count, device=polygons.device)).flatten()
    found = [(polygons.repeat_interleave(count), contours[polygons][..., 0].flatten())]
    for block in _blocks(edges, count):
        pairs = _Pairs.of(contours, block)
        one, two, three, four = pairs.areas()
        crosses = (pairs.gap > 1) & (pairs.gap < count - 1)
        crosses &= ((one > 0) != (two > 0)) & ((three > 0) != (four > 0))
        y = pairs.ay + pairs.dy * (three / torch.where(crosses, three - four, 1))
        by, fy = pairs.ay + pairs.dy, pairs.cy + pairs.ey
        low = torch.maximum(torch.minimum(pairs.ay, by), torch.minimum(pairs.cy, fy))
        high = torch.minimum(torch.maximum(pairs.ay, by), torch.maximum(pairs.cy, fy))
        y = torch.minimum(torch.maximum(y, low), high)
        row, column = crosses.nonzero(as_tuple=True)
        found.append((block[row] // count, y[row, column]))
    y, order = torch.cat([each[1] for each in found]).sort()
    polygon, stable = torch.cat([each[0] for each in found])[order].sort(stable=True)
    y = y[stable]
    keep = (polygon[:-1] == polygon[1:]) & (y[:-1] < y[1:])
    return polygon[:-1][keep], y[:-1][keep], y[1:][keep]


def _walk(
    contours: Tensor, polygon: Tensor, low: Tensor, high: Tensor, near: Tensor, even_odd: bool
) -> SubEdges:
    """Weigh all edges between two levels ``(L,)``, sorted along x."""
    ay, ax = contours[polygon].unbind(-1)  # (L, K)
    by, bx = contours.roll(-1, 1)[polygon].unbind(-1)
    active = (torch.minimum(ay, by) <= low[:, None]) & (torch.maximum(ay, by) >= high[:, None])
    rise = torch.where(active, by - ay, 1)
    slope = torch.where(active, (bx - ax) / rise, 0)
    met = torch.where(active, ax + ((low + high)[:, None] / 2 - ay) * slope, torch.inf)
    met, order = met.sort(1)
    active, slope = active.gather(1, order), slope.gather(1, order)
    sense = torch.where(active, rise.gather(1, order).sign(), 0)
    # Edges that lie on each other share the jump.
    gap = torch.where(active, met, 0).diff(dim=1, prepend=met[:, :1])
    alone = gap > near[polygon, None] * torch.hypot(torch.ones_like(slope), slope)
    group = alone.cumsum(1)
    turns = torch.zeros_like(sense).scatter_add_(1, group, sense)
    after = turns.cumsum(1)
    change = _inside(after, even_odd) - _inside(after - turns, even_odd)
    weight = torch.where(turns != 0, change / torch.where(turns != 0, turns, 1), 0).gather(1, group)
    level, place = (active & (weight != 0)).nonzero(as_tuple=True)
    edge = order[level, place]
    begin, rise = ay[level, edge], rise[level, edge]
    one, two = (low[level] - begin) / rise, (high[level] - begin) / rise
    start, stop = torch.minimum(one, two).clamp(min=0), torch.maximum(one, two).clamp(max=1)
    return SubEdges(polygon[level], edge, start, stop, weight[level, place])


def _inside(winding: Tensor, even_odd: bool) -> Tensor:
    return ((winding.remainder(2) if even_odd else winding) != 0).to(winding)
