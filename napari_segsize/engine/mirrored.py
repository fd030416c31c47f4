"""Look at an image four times, as it lies and mirrored, and believe the mean."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["mirrored_logits"]

_MIRRORS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


def mirrored_logits(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Logits of the mean probability over an image and its three mirror images.

    One look after the other, so that memory does not grow with them. It helps networks that learned from
    mirrored images too (`augment`, the default); one that knows up from down may lose by it.

    Parameters
    ----------
    network : callable
        From images ``(N, C, H, W)`` to logits ``(N, K, H, W)``.
    images : (N, C, H, W) Tensor

    Returns
    -------
    (N, K, H, W) float Tensor
    """
    sums: tuple[Tensor | float, Tensor | float] = (0.0, 0.0)
    for axes in _MIRRORS:
        look = network(images.flip(axes)).flip(axes).float()
        sums = sums[0] + look.sigmoid(), sums[1] + (-look).sigmoid()
    # of both sums, because in float32 1 - p is 0 long before a logit is large
    tiny = torch.finfo(torch.float32).tiny
    inside, outside = (torch.as_tensor(each).clamp(min=tiny).log() for each in sums)
    return inside - outside
