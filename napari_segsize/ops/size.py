"""Object size, and the size after flipping each single pixel.

`docs/flip-sizes.md` derives and proves the rules that `flip_sizes` follows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from napari_segsize.ops import _compiled
from napari_segsize.ops._windows import WindowSums, border_distance, largest
from napari_segsize.ops.distance import Border, _chebyshev_tensor, chebyshev_distance, check_mask


def object_size(mask: Tensor, *, border: Border = "ignore") -> Tensor:
    """Twice the largest Chebyshev distance to the background: about the side of the largest inscribed square.

    Parameters
    ----------
    mask : (N, C, *spatial) bool Tensor
        2-D or 3-D; every (n, c) plane is one mask.
    border : {"ignore", "background"}
        What lies outside the image: unknown (as in [1]_), or background.

    Returns
    -------
    (N, C) float32 Tensor
        In pixels, always even; 0 without foreground, ``2 * max(spatial)`` without background.
        Not differentiable: `napari_segsize.losses.size_loss` estimates its gradient.

    Raises
    ------
    ValueError
        If `mask` is not boolean, is neither 2-D nor 3-D, or has no pixels.

    References
    ----------
    .. [1] Baručić and Kybic, "Learning to segment from object sizes", ITAT, 2022, eq. 5.
    """
    return 2 * chebyshev_distance(mask, border=border).flatten(2).amax(-1)


def flip_sizes(mask: Tensor, *, border: Border = "ignore") -> Tensor:
    """Object size of the image after flipping each single pixel, for all pixels at once and exactly.

    ``flip_sizes(mask)[n, c, y, x]`` equals ``object_size`` of plane ``(n, c)`` with pixel ``(y, x)``
    inverted. Time and memory grow linearly with the number of pixels.

    Parameters
    ----------
    mask : (N, C, *spatial) bool Tensor
        2-D or 3-D; every (n, c) plane is one mask.
    border : {"ignore", "background"}
        What lies outside the image: unknown, or background.

    Returns
    -------
    (N, C, *spatial) float32 Tensor
        In pixels, always even. Not differentiable.

    Raises
    ------
    ValueError
        If `mask` is not boolean, is neither 2-D nor 3-D, or has no pixels.

    Notes
    -----
    The conventions of `object_size` hold on both sides of a flip: filling the only hole of an image gives
    ``2 * max(spatial)``, removing the only foreground pixel gives 0.
    """
    return size_and_flips(mask, border=border)[1]


def size_and_flips(mask: Tensor, *, border: Border = "ignore") -> tuple[Tensor, Tensor]:
    """`object_size` ``(N, C)`` and `flip_sizes` ``(N, C, *spatial)``, for the price of the second."""
    check_mask(mask, border)
    compiled = _compiled.usable(mask)
    if compiled is not None:
        return _compiled.flips(compiled, mask, border == "background")
    with torch.no_grad():
        radius, flipped = _flip_radii_tensor(mask, border)
        return 2 * radius.float(), 2 * flipped.float()


def _flip_radii_tensor(mask: Tensor, border: Border) -> tuple[Tensor, Tensor]:
    """Half the size, now ``(N, C)`` and after each flip ``(N, C, *spatial)``: integers, on any device."""
    distance = _chebyshev_tensor(mask, border)
    radius = distance.flatten(2).amax(-1)
    return radius, torch.where(mask, _emptied(distance), _filled(mask, radius, border))


def _emptied(distance: Tensor) -> Tensor:
    """Radius after a foreground pixel p turns to background: the largest k with ``far(p, box(d >= k)) >= k``.

    ``far`` is a maximum over axes, and so is the answer: one small table an axis, then a maximum of look-ups.
    """
    spatial = tuple(distance.shape[2:])
    limit, device = max(spatial), distance.device
    levels = torch.arange(limit + 1, device=device).expand(*distance.shape[:2], -1).contiguous()
    answer = torch.zeros((), dtype=torch.int64, device=device)
    for axis, side in enumerate(spatial, start=2):
        others = [other for other in range(2, distance.ndim) if other != axis]
        profile = distance.amax(others)  # (N, C, side)
        # First and last position along this axis of {d >= k}; `side` and -1 where that set is empty.
        first = torch.searchsorted(profile.cummax(-1).values, levels)
        last = side - 1 - torch.searchsorted(profile.flip(-1).cummax(-1).values, levels)
        here = torch.arange(side, device=device).expand_as(profile)

        def holds(k: Tensor, first: Tensor = first, last: Tensor = last, here: Tensor = here) -> Tensor:
            level = k.clamp(max=limit)
            return torch.maximum(here - first.gather(2, level), last.gather(2, level) - here) >= k

        table = largest(holds, torch.zeros_like(profile), limit)
        shape = [*profile.shape[:2], *(side if a == axis else 1 for a in range(2, distance.ndim))]
        answer = torch.maximum(answer, table.reshape(shape))
    return answer


def _filled(mask: Tensor, radius: Tensor, border: Border) -> Tensor:
    """Radius after a background pixel p turns to foreground: the largest second-nearest distance around p.

    Only a pixel whose window of radius R (the present radius) holds exactly one background pixel can come to
    lie farther than R from the background, and only when that one is filled.
    """
    spatial = tuple(mask.shape[2:])
    limit, device = max(spatial), mask.device
    present = radius.reshape(*radius.shape, *[1] * len(spatial))
    background = WindowSums(~mask)
    start = torch.zeros(mask.shape, dtype=torch.int64, device=device)
    second = largest(lambda k: background(k - 1) <= 1, start, limit)
    if border == "background":
        second = torch.minimum(second, border_distance(spatial, device))
    alone = (background(present) == 1) & (second > present)
    number = torch.arange(math.prod(spatial), device=device).reshape(1, 1, *spatial)
    owner = WindowSums(number * ~mask)(present)  # the sum of one index is that index
    owner = torch.where(alone, owner, 0).flatten(2)
    gained = torch.where(alone, second, present).flatten(2)
    best = present.expand(mask.shape).flatten(2).scatter_reduce(2, owner, gained, "amax")
    return best.reshape(mask.shape)
