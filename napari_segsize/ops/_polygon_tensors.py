"""Exact area coverage of polygons, and its gradient, on any device.

1. `split`: every edge is cut where it meets other edges of its polygon. Between two cuts, the winding numbers
   left and right of it are constant, and so is the jump of the mask across it. The jump over the edge's own
   turn is its *weight*: 1 or -1 on the outline of a simple polygon, 0 where an edge lies inside the mask.
2. `cover`: a piece of edge inside one pixel, of height dy, adds its weight times dy times the share of the
   pixel's width right of it to that pixel, and weight times dy to all pixels further right: two entries in a
   table of row sums, then one running sum along every row. Memory: the pixels near edges, and the masks.
3. `pull`: moving a piece by d along its normal moves weight times length times d of area across it. Points
   where edges cross need no term: the area at stake there is of second order.

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
    """Cut all edges where they meet others, and weigh the parts."""
    polygons, count = contours.shape[:2]
    near = _TOLERANCE * contours.abs().amax((1, 2)).clamp(min=1)  # (N,)
    every = torch.arange(polygons * count, device=contours.device)
    meets = torch.cat(
        [every.bool()[:0], *(_meets(contours, block, 4 * near) for block in _blocks(every, count))]
    )
    simple = ~meets.reshape(polygons, count).any(1)
    whole = every[simple.repeat_interleave(count)]
    y, x = (contours - contours[:, :1]).unbind(-1)
    twice_area = (y * x.roll(-1, 1) - x * y.roll(-1, 1)).sum(1)
    whole_weight = torch.where(twice_area > 0, 1.0, -1.0).to(contours)[whole // count]
    edge, start, stop = [whole], [torch.zeros_like(whole_weight)], [torch.ones_like(whole_weight)]
    weight = [whole_weight]
    for block in _blocks(every[~simple.repeat_interleave(count)], 3 * count):
        parts = _cut(contours, block, 4 * near)
        for part in _blocks(torch.arange(len(parts[0]), device=contours.device), count):
            edge_, start_, stop_ = (each[part] for each in parts)
            weight_ = _weight(contours, edge_, (start_ + stop_) / 2, near, even_odd)
            for some, more in ((edge, edge_), (start, start_), (stop, stop_), (weight, weight_)):
                some.append(more[weight_ != 0])
    edges = torch.cat(edge)
    return SubEdges(edges // count, edges % count, torch.cat(start), torch.cat(stop), torch.cat(weight))


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
    """Gradient with respect to the vertices ``(N, K, 2)``; `upstream` is ``(N, H, W)``."""
    count = contours.shape[1]
    edge = (subs.polygon * count + subs.edge)[pieces.sub]
    start, way = _edges(contours, subs.polygon, subs.edge)
    start, way = start[pieces.sub], way[pieces.sub]
    middle = ((pieces.start + pieces.stop) / 2)[:, None]
    at = start + middle * way
    # Below and right of the piece, and above and left of it: the same pixel, unless the piece runs along the
    # boundary of two, of which each counts half.
    polygon = subs.polygon[pieces.sub]
    value = _values(upstream, polygon, at.floor()) + _values(upstream, polygon, at.ceil() - 1)
    value = value / 2 * (pieces.stop - pieces.start) * subs.weight[pieces.sub]
    normal = value[:, None] * torch.stack([way[:, 1], -way[:, 0]], 1)
    after = torch.where(edge % count == count - 1, edge + 1 - count, edge + 1)
    out = torch.zeros_like(contours).reshape(-1, 2)
    out.index_add_(0, edge, normal * (1 - middle)).index_add_(0, after, normal * middle)
    return out.reshape(contours.shape)


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


def _values(image: Tensor, polygon: Tensor, pixel: Tensor) -> Tensor:
    """Values of ``(N, H, W)`` at ``(P, 2)``, 0 outside."""
    size = pixel.new_tensor(image.shape[1:])
    inside = ((pixel >= 0) & (pixel < size)).all(1)
    row, column = torch.where(inside[:, None], pixel, 0).long().unbind(1)
    return torch.where(inside, image[polygon, row, column], 0)


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


def _cut(contours: Tensor, block: Tensor, near: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Parts of a block of edges between the places where they cross others or others' ends touch them."""
    count = contours.shape[1]
    pairs = _Pairs.of(contours, block)
    near = near[block // count, None]
    length, other_length = torch.hypot(pairs.dy, pairs.dx), torch.hypot(pairs.ey, pairs.ex)
    one, two, three, four = pairs.areas()
    valid = (pairs.gap != 0) & (other_length > near) & ~_one_side(one, two, near * length)
    square = length.square()
    touch = (pairs.cy - pairs.ay) * pairs.dy + (pairs.cx - pairs.ax) * pairs.dx
    touch_end = touch + pairs.ey * pairs.dy + pairs.ex * pairs.dx
    crosses = (one * two < 0) & (three * four < 0)
    places = torch.cat(
        [
            torch.where(valid & (one.abs() <= near * length), touch / square, 0),
            torch.where(valid & (two.abs() <= near * length), touch_end / square, 0),
            torch.where(valid & crosses, three / (three - four), 0),
        ],
        1,
    )
    places = torch.cat([torch.zeros_like(length), places.clamp(0, 1), torch.ones_like(length)], 1)
    places = places.sort(1).values
    start, stop = places[:, :-1], places[:, 1:]
    row, column = ((stop - start) * length > near).nonzero(as_tuple=True)
    return block[row], start[row, column], stop[row, column]


def _weight(contours: Tensor, block: Tensor, at: Tensor, near: Tensor, even_odd: bool) -> Tensor:
    """How much of the mask's jump across edges at the places `at` is due to a winding number of one."""
    count = contours.shape[1]
    polygon, edge = block // count, block % count
    here, after = contours[polygon], contours.roll(-1, 1)[polygon]  # (B, K, 2)
    start, stop = here[torch.arange(len(block)), edge], after[torch.arange(len(block)), edge]
    flat = (stop - start)[:, 1].abs() > (stop - start)[:, 0].abs()
    # The ray goes across: along y beside a flat edge, else along x.
    here = torch.where(flat[:, None, None], here.flip(-1), here)
    after = torch.where(flat[:, None, None], after.flip(-1), after)
    point = start + at[:, None] * (stop - start)
    level, place = torch.where(flat[:, None], point.flip(-1), point)[:, :, None].unbind(1)  # (B, 1) each
    own = torch.arange(count, device=block.device) == edge[:, None]
    straddles = ((here[..., 0] <= level) != (after[..., 0] <= level)) & ~own
    rise = after[..., 0] - here[..., 0]
    meets = here[..., 1] + (level - here[..., 0]) / torch.where(straddles, rise, 1) * (
        after[..., 1] - here[..., 1]
    )
    sense = rise.sign()
    margin = near[polygon, None]
    before = (sense * (straddles & (meets < place - margin))).sum(1)
    level_with = straddles & ((meets - place).abs() <= margin)
    jump = (sense * (level_with | own)).sum(1)
    # A turn from y to x changes the sense of rotation, hence the sign of both numbers and of the weight.
    change = _inside(before + jump, even_odd) - _inside(before, even_odd)
    weight = torch.where(jump != 0, change / torch.where(jump != 0, jump, 1), 0)
    return torch.where(flat, -weight, weight)


def _inside(winding: Tensor, even_odd: bool) -> Tensor:
    return ((winding.remainder(2) if even_odd else winding) != 0).to(winding)
