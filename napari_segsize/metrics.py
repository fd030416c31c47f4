"""How good a mask is: one convention for all, empty masks included.

Masks are ``(N, C, *spatial)`` bool; every (n, c) plane is one mask, every metric returns ``(N, C)``. When
both masks are empty the score is 1 (the error 0); when one is, the score is 0 (a distance is the image
diagonal).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .ops.centroid import centroid
from .ops.size import object_size

__all__ = ["centre_error", "dice", "hausdorff95", "iou", "size_error"]


def _check(mask: Tensor, target: Tensor) -> None:
    if mask.shape != target.shape or mask.ndim < 4:
        raise ValueError(
            "mask and target: expected equal shapes (N, C, *spatial), "
            f"got {tuple(mask.shape)} and {tuple(target.shape)}"
        )
    if mask.dtype != torch.bool or target.dtype != torch.bool:
        raise ValueError(f"mask and target: expected bool, got {mask.dtype} and {target.dtype}")


def _overlap(mask: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of the intersection, and of both masks together."""
    _check(mask, target)
    both = (mask & target).flatten(2).sum(-1, dtype=torch.float64)
    total = mask.flatten(2).sum(-1, dtype=torch.float64) + target.flatten(2).sum(-1, dtype=torch.float64)
    return both, total


def iou(mask: Tensor, target: Tensor) -> Tensor:
    """Intersection over union, (N, C); 1 when both masks are empty."""
    both, total = _overlap(mask, target)
    union = total - both
    return torch.where(union > 0, both / union.clamp(min=1), torch.ones_like(union))


def dice(mask: Tensor, target: Tensor) -> Tensor:
    """Twice the intersection over the sum of areas, (N, C); 1 when both masks are empty."""
    both, total = _overlap(mask, target)
    return torch.where(total > 0, 2 * both / total.clamp(min=1), torch.ones_like(total))


def size_error(mask: Tensor, size: Tensor) -> Tensor:
    """Squared difference between a mask's object size and the true one in px², (N, C); NaN sizes stay NaN.

    Eq. 22 of Baručić and Kybic, "Learning to segment from object sizes", ITAT 2022.
    """
    return (object_size(mask).to(torch.float64) - size.to(torch.float64)) ** 2


def centre_error(mask: Tensor, centre: Tensor) -> Tensor:
    """Distance in px between a mask's centroid and `centre` (N, C, D); an empty mask counts the diagonal."""
    found = centroid(mask.to(torch.float64))
    distance = ((found - centre.to(torch.float64)) ** 2).sum(-1).sqrt()
    diagonal = sum(float(side) ** 2 for side in mask.shape[2:]) ** 0.5
    return torch.where(mask.flatten(2).any(-1), distance, torch.full_like(distance, diagonal))


def hausdorff95(mask: Tensor, target: Tensor, *, spacing: tuple[float, ...] | None = None) -> Tensor:
    """95th percentile of the distances between two outlines, in `spacing` units, (N, C); computed by MONAI.

    An empty mask against one that is not counts as the image diagonal; two empty ones as 0.
    """
    from monai.metrics import compute_hausdorff_distance

    _check(mask, target)
    lengths = spacing or (1.0,) * (mask.ndim - 2)
    diagonal = sum((side * length) ** 2 for side, length in zip(mask.shape[2:], lengths, strict=True)) ** 0.5
    here, there = mask.flatten(2).any(-1), target.flatten(2).any(-1)
    result = torch.zeros(mask.shape[:2], dtype=torch.float64)
    result[(here != there).cpu()] = diagonal
    for n, c in (here & there).nonzero().tolist():
        one, other = mask[n : n + 1, c : c + 1], target[n : n + 1, c : c + 1]
        result[n, c] = compute_hausdorff_distance(one, other, percentile=95, spacing=list(lengths)).item()
    return result
