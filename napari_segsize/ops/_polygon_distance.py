"""Signed distance of pixels to polygons: the nearest edge is found first, then measured with a gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def signed_distance(contours: Tensor, shape: tuple[int, int]) -> Tensor:
    """Distance ``(N, H, W)`` of every pixel's centre to the contour, positive inside by the non-zero rule.

    One pass over the edges keeps the nearest for each pixel: memory does not grow with their number.
    """
    grid = [torch.arange(side, device=contours.device, dtype=contours.dtype) for side in shape]
    place = torch.stack(torch.meshgrid(*grid, indexing="ij"), -1).reshape(-1, 2)  # (H W, 2)
    with torch.no_grad():
        nearest, inside = _search(contours, place)
    start = contours.take_along_dim(nearest[..., None], 1)  # (N, H W, 2)
    way = contours.roll(-1, 1).take_along_dim(nearest[..., None], 1) - start
    away = place - start
    along = (away * way).sum(-1) / torch.where((way == 0).all(-1), 1, way.square().sum(-1))
    offset = away - along.clamp(0, 1)[..., None] * way
    distance = torch.linalg.vector_norm(offset, dim=-1) * torch.where(inside, 1, -1)
    # On an edge the distance is 0 with a gradient all the same: its side of the edge, which way round it is.
    with torch.no_grad():
        y, x = (contours - contours[:, :1]).unbind(-1)
        turn = (y * x.roll(-1, 1) - x * y.roll(-1, 1)).sum(1).sign()[:, None]
        length = torch.linalg.vector_norm(way, dim=-1).clamp(min=torch.finfo(way.dtype).tiny)
    beside = (way[..., 0] * away[..., 1] - way[..., 1] * away[..., 0]) * turn / length
    signed = torch.where(distance == 0, beside, distance)
    return signed.reshape(len(contours), *shape)


def _search(contours: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest edge of every place ``(P, 2)`` and whether it is inside: ``(N, P)`` each."""
    shape = len(contours), len(place)
    least = contours.new_full(shape, torch.inf)
    nearest = torch.zeros(shape, dtype=torch.int64, device=contours.device)
    winding = torch.zeros(
        shape, dtype=torch.int8 if contours.shape[1] < 128 else torch.int32, device=place.device
    )
    y, x = place.T
    after = contours.roll(-1, 1)
    for edge in range(contours.shape[1]):
        ay, ax = contours[:, edge, :, None].unbind(1)  # (N, 1) each
        by, bx = after[:, edge, :, None].unbind(1)
        dy, dx = by - ay, bx - ax
        square = dy.square() + dx.square()
        gap_y, gap_x = y - ay, x - ax
        along = ((gap_y * dy + gap_x * dx) / torch.where(square > 0, square, 1)).clamp_(0, 1)
        squared = (gap_y - along * dy).square_() + (gap_x - along * dx).square_()
        closer = squared < least
        least = torch.where(closer, squared, least)
        nearest.masked_fill_(closer, edge)
        beside = gap_x * dy - gap_y * dx  # positive right of an edge that goes down, left of one that goes up
        winding += ((ay <= y) & (y < by) & (beside > 0)).to(winding.dtype)
        winding -= ((by <= y) & (y < ay) & (beside < 0)).to(winding.dtype)
    return nearest, winding != 0
