"""Measures of closed contours, and vertices at equal steps along them: differentiable, on any device."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from napari_segsize.ops.polygon import check_contours

_PAIRS = 2**20  # places and edges that `polygon_size` looks at together


def resample(contours: Tensor, count: int) -> Tensor:
    """Vertices at equal distances along the contours.

    Parameters
    ----------
    contours : (N, K, 2) float Tensor
        Closed, the first vertex not repeated.
    count : int
        New number of vertices, at least 3. Fewer cut corners; as many as there are only even out the spacing.

    Returns
    -------
    (N, count, 2) Tensor
        The first vertex stays. All lie on the old contour; differentiable, the distances along it included.
    """
    check_contours(contours)
    if count < 3:
        raise ValueError(f"count: a contour has at least 3 vertices, got {count}.")
    way = contours.roll(-1, 1) - contours
    length = _lengths(way)  # (N, K)
    upto = length.cumsum(1)
    at = upto[:, -1:] * torch.arange(count, device=contours.device).to(contours) / count  # (N, count)
    edge = torch.searchsorted(upto.detach(), at.detach(), right=True).clamp(max=contours.shape[1] - 1)
    own = length.gather(1, edge)
    share = 1 - (upto.gather(1, edge) - at) / torch.where(own > 0, own, 1)
    start, way = (each.take_along_dim(edge[..., None], 1) for each in (contours, way))
    return start + share.clamp(0, 1)[..., None] * way


def area(contours: Tensor, *, signed: bool = False) -> Tensor:
    """Area inside contours, in square pixels.

    Parameters
    ----------
    contours : (N, K, 2) float Tensor
    signed : bool
        Negative for contours that turn clockwise on the screen (y down); the start contours of
        `napari_segsize.ops.starts` are positive.

    Returns
    -------
    (N,) Tensor
        Where a contour crosses itself, loops of opposite sense cancel: the area that it covers is
        ``polygon_mask(...).sum()``.
    """
    check_contours(contours)
    y, x = (contours - contours[:, :1]).unbind(-1)  # near the origin, so that float32 does
    twice: Tensor = (y * x.roll(-1, 1) - x * y.roll(-1, 1)).sum(1)
    return twice / 2 if signed else twice.abs() / 2


def perimeter(contours: Tensor) -> Tensor:
    """Length of contours ``(N, K, 2)`` in pixels, ``(N,)``."""
    check_contours(contours)
    return _lengths(contours.roll(-1, 1) - contours).sum(1)


def curvature(contours: Tensor) -> Tensor:
    """Turn at every vertex per pixel of way: the angle between its edges over the mean of their lengths.

    Parameters
    ----------
    contours : (N, K, 2) float Tensor

    Returns
    -------
    (N, K) Tensor
        In radians per pixel; about 1 / radius on a circle, positive where the contour turns anticlockwise on
        the screen: at convex vertices of contours with positive signed `area`. 0 where vertices coincide.
    """
    check_contours(contours)
    after = contours.roll(-1, 1) - contours
    before = after.roll(1, 1)
    sine = before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]
    cosine = (before * after).sum(-1)
    still = (sine == 0) & (cosine == 0)
    angle = torch.atan2(sine, torch.where(still, 1, cosine))
    length = _lengths(after)
    way = (length + length.roll(1, 1)) / 2
    return angle / torch.where(still, 1, way)


def polygon_centroid(contours: Tensor) -> Tensor:
    """Centre of the area inside contours.

    Parameters
    ----------
    contours : (N, K, 2) float Tensor

    Returns
    -------
    (N, 2) Tensor
        ``(y, x)``. The centre of the contour's line where its signed area vanishes: where it has collapsed,
        or loops of opposite sense cancel.
    """
    check_contours(contours)
    first = contours[:, :1]
    here = contours - first
    after = here.roll(-1, 1)
    weight = here[..., 0] * after[..., 1] - here[..., 1] * after[..., 0]  # (N, K) twice a triangle's area
    length = _lengths(after - here)
    total, way = weight.sum(1, True), length.sum(1, True)
    flat = total.abs() <= 1e-6 * way.square()
    dot = way == 0
    by_area = (weight[..., None] * (here + after)).sum(1) / (3 * torch.where(flat, 1, total))
    by_way = (length[..., None] * (here + after)).sum(1) / (2 * torch.where(dot, 1, way))
    return first[:, 0] + torch.where(flat, by_way, by_area)


@torch.no_grad()
def polygon_size(contours: Tensor, *, precision: float = 0.01) -> Tensor:
    """Side of the largest upright square inside contours: twice the largest Chebyshev distance to an edge.

    What `object_size` is for masks, without its rounding to even numbers.

    Parameters
    ----------
    contours : (N, K, 2) float Tensor
        Where one crosses itself, its edges count as outline inside it as well.
    precision : float
        Largest error in pixels; smaller takes longer.

    Returns
    -------
    (N,) Tensor
        In pixels; 0 for a collapsed contour. Not differentiable.

    Notes
    -----
    Branch and bound: squares are divided as long as a place in them may be farther from the outline than the
    best one known.
    """
    check_contours(contours)
    if not precision > 0:
        raise ValueError(f"precision: expected more than 0 px, got {precision}.")
    count = contours.shape[1]
    low, high = contours.amin(1), contours.amax(1)
    half = ((high - low).amax(1) / 2).clamp(min=torch.finfo(contours.dtype).tiny)  # half the side of a cell
    polygon = torch.arange(len(contours), device=contours.device)
    place = (low + high) / 2
    best = contours.new_zeros(len(contours))
    quarters = contours.new_tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]]) / 2
    while len(polygon):
        block = max(1, _PAIRS // count)
        parts = [slice(begin, begin + block) for begin in range(0, len(polygon), block)]
        inner = torch.cat([_inner_distance(contours[polygon[part]], place[part]) for part in parts])
        best.scatter_reduce_(0, polygon, inner, "amax")
        open_ = inner + half[polygon] > best[polygon] + precision / 2
        polygon = polygon[open_].repeat_interleave(4)
        place = (place[open_][:, None] + half[polygon[::4], None, None] * quarters).reshape(-1, 2)
        half = half / 2
    return 2 * best


def _lengths(way: Tensor) -> Tensor:
    """Of vectors in the last dimension; the gradient at 0 is 0."""
    return cast("Tensor", torch.linalg.vector_norm(way, dim=-1))


def _inner_distance(contours: Tensor, place: Tensor) -> Tensor:
    """Chebyshev distance of a place ``(B, 2)`` to the edges of a contour ``(B, K, 2)``; negative outside."""
    start = contours - place[:, None]
    way = start.roll(-1, 1) - start
    (y, x), (dy, dx) = start.unbind(-1), way.unbind(-1)
    # The distance is convex along an edge, and least where y = x, where y = -x, or at an end.
    nearest = start.abs().amax(-1)
    for rise, at in ((dy - dx, x - y), (dy + dx, -x - y)):
        share = (at / torch.where(rise == 0, 1, rise)).clamp(0, 1)
        nearest = torch.minimum(nearest, (start + share[..., None] * way).abs().amax(-1))
    crosses = (y <= 0) != (y + dy <= 0)
    left = x - y / torch.where(crosses, dy, 1) * dx < 0
    winding = (crosses & left).to(x) * dy.sign()
    return nearest.amin(1) * torch.where(winding.sum(1) != 0, 1, -1)
