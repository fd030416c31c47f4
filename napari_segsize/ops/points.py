"""Extreme points: four clicks that say where an object ends, and what a network is shown of them."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from napari_segsize.ops.distance import check_mask


def extreme_points(mask: Tensor) -> Tensor:
    """Topmost, leftmost, bottommost and rightmost pixel of every mask.

    Parameters
    ----------
    mask : (N, C, H, W) bool Tensor

    Returns
    -------
    (N, C, 4, 2) float32 Tensor
        ``(y, x)`` of the centres of the outermost pixels, in the order top, left, bottom, right. Of several
        pixels in the outermost row or column the middle one; between the two middle ones if these are
        neighbours, otherwise the first of them: a point never leaves the object. NaN without foreground.

    Raises
    ------
    ValueError
        If `mask` is not boolean, is not ``(N, C, H, W)``, or has no pixels.

    Notes
    -----
    The object's outline runs half a pixel beyond these points: a pixel is a square around its centre.
    """
    check_mask(mask, "ignore")
    if mask.ndim != 4:
        raise ValueError(f"mask: expected (N, C, H, W), got {tuple(mask.shape)}. Cut volumes into planes.")
    rows, columns = mask.any(3), mask.any(2)  # (N, C, H), (N, C, W)
    top, left = (found.to(torch.uint8).argmax(-1) for found in (rows, columns))
    bottom, right = (
        found.shape[-1] - 1 - found.flip(-1).to(torch.uint8).argmax(-1) for found in (rows, columns)
    )
    points = [
        torch.stack([top.float(), _middle(_line(mask, top, 2))], -1),
        torch.stack([_middle(_line(mask, left, 3)), left.float()], -1),
        torch.stack([bottom.float(), _middle(_line(mask, bottom, 2))], -1),
        torch.stack([_middle(_line(mask, right, 3)), right.float()], -1),
    ]
    empty = ~rows.any(-1)
    return torch.stack(points, 2).masked_fill(empty[..., None, None], torch.nan)


def _line(mask: Tensor, index: Tensor, axis: int) -> Tensor:
    """Row (`axis` 2) or column (3) number `index` ``(N, C)`` of every plane: ``(N, C, side)``."""
    return mask.take_along_dim(index[..., None, None], axis).squeeze(axis)


def _middle(line: Tensor) -> Tensor:
    """Position ``(N, C)`` of the middle one of the pixels that are set in `line` ``(N, C, side)``."""
    order = line.cumsum(-1)
    count = order[..., -1:]
    lower = torch.searchsorted(order, (count + 1) // 2)[..., 0]
    upper = torch.searchsorted(order, count // 2 + 1)[..., 0]
    return torch.where(upper - lower == 1, (lower + upper) / 2, lower.float())


def extents_of(points: Tensor) -> Tensor:
    """Rows and columns ``(..., 4)`` where objects end: top, left, bottom, right of points ``(..., 4, 2)``."""
    return torch.stack([points[..., side, side % 2] for side in range(4)], -1)


def outset(points: Tensor, amount: float | Tensor = 0.5) -> Tensor:
    """Extreme points ``(..., 4, 2)`` moved outwards: the top one up, the left one to the left, and so on.

    Parameters
    ----------
    points : (..., 4, 2) float Tensor
        Top, left, bottom, right.
    amount : float or Tensor
        In px; a tensor broadcasts against `points`, such as ``(M, 1, 1)``. Half a pixel leads from the
        centres of the outermost pixels (`extreme_points`) to the outline; an outline drawn through the
        centres is a pixel too small on either axis.
    """
    return points + amount * points.new_tensor([[-1, 0], [0, -1], [1, 0], [0, 1]])


def ordered(points: Tensor) -> Tensor:
    """Four clicks in the order top, left, bottom, right, whatever order they were made in.

    Parameters
    ----------
    points : (M, 4, 2) float Tensor
        ``(y, x)``; differentiable.

    Returns
    -------
    (M, 4, 2) Tensor
        The same points. Where one of them is extreme in two directions (the corner of a box), that assignment
        out of all 24 whose points fall short of the extremes by the fewest pixels in total. The answer
        depends on the points alone, not on their order. Points of which some are NaN are returned as they
        are.

    Raises
    ------
    ValueError
        If `points` are not ``(M, 4, 2)``.
    """
    if points.ndim != 3 or points.shape[1:] != (4, 2):
        raise ValueError(f"points: expected (M, 4, 2), four points an object, got {tuple(points.shape)}.")
    # Sorted by y, then x, so that equally good assignments do not depend on the order of the clicks.
    by_x = points.detach()[..., 1].argsort(stable=True)
    order = by_x.gather(1, points.detach()[..., 0].gather(1, by_x).argsort(stable=True))
    points_sorted = points.take_along_dim(order[..., None], 1)
    y, x = points_sorted.detach().unbind(-1)
    short = torch.stack(  # (M, direction, point): how far a point stays behind the extreme one
        [y - y.amin(1, True), x - x.amin(1, True), y.amax(1, True) - y, x.amax(1, True) - x], 1
    )
    choices = torch.tensor(list(permutations(range(4))), device=points.device)  # (24, direction)
    total = short[:, torch.arange(4, device=points.device), choices].sum(-1)  # (M, 24)
    best = choices[total.argmin(1)]
    unknown = points.isnan().flatten(1).any(1)[:, None, None]
    return torch.where(unknown, points, points_sorted.take_along_dim(best[..., None], 1))


def heat_map(points: Tensor, shape: tuple[int, int], *, sigma: float) -> Tensor:
    """Gaussian bumps at points, for a network to see them: the largest where several meet.

    Parameters
    ----------
    points : (M, P, 2) float Tensor
        ``(y, x)`` in the map's pixels; may lie outside. NaN: no bump.
    shape : (int, int)
        Height and width of the map.
    sigma : float
        Width of a bump in pixels. Wider bumps forgive clicks that miss, and say less exactly where the object
        ends; 2 to 3 for 64 x 64 pixels is usual.

    Returns
    -------
    (M, 1, H, W) Tensor
        Between 0 and 1; 1 at a point that falls on a pixel's centre.
    """
    if points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(f"points: expected (M, P, 2), got {tuple(points.shape)}.")
    if not sigma > 0:
        raise ValueError(f"sigma: expected more than 0, got {sigma}.")
    bumps = []
    for axis, side in enumerate(shape):
        place = torch.arange(side, device=points.device, dtype=points.dtype)
        away = (place - points[..., axis, None]) / sigma
        bumps.append((-(away**2) / 2).exp().nan_to_num(0.0))  # (M, P, side)
    heat = points.new_zeros(len(points), *shape)
    for y, x in zip(bumps[0].unbind(1), bumps[1].unbind(1), strict=True):
        heat = torch.maximum(heat, y[:, :, None] * x[:, None, :])
    return heat[:, None]


def jitter(points: Tensor, amount: float | Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Move every point at random, as clicks do.

    Parameters
    ----------
    points : (..., 2) float Tensor
    amount : float or Tensor
        Largest move along each axis in pixels, all smaller ones being equally likely; a tensor broadcasts
        against `points`, such as ``(M, 1, 1)`` for one amount an object.
    generator : torch.Generator, optional
        On the device of `points`.

    Returns
    -------
    (..., 2) Tensor
    """
    uniform = torch.rand(points.shape, generator=generator, device=points.device, dtype=points.dtype)
    return points + (2 * uniform - 1) * amount
