"""Starts of contours as hands make them: stamps and outlines that are a little off."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..ops.outline import resample
from ..ops.size import object_size
from ..ops.starts import mask_contour, stamp_contour

__all__ = ["outlines_near", "stamps_on"]


def stamps_on(masks: Tensor, vertices: int, generator: torch.Generator) -> Tensor:
    """Starts from a size stamp: the inscribed square, a little off."""
    binary = masks > 0.5
    size = object_size(binary)[:, 0].clamp(min=4)
    weight = masks[:, 0] + 1e-8
    grid = torch.arange(masks.shape[-1], dtype=torch.float32)
    total = weight.sum((1, 2))
    centre = torch.stack([(weight.sum(2) * grid).sum(1) / total, (weight.sum(1) * grid).sum(1) / total], -1)
    centre = centre + torch.randn(centre.shape, generator=generator) * 0.05 * size[:, None]
    return stamp_contour(centre, size * (1 + 0.1 * torch.randn(len(size), generator=generator)), vertices)


def outlines_near(masks: Tensor, vertices: int, generator: torch.Generator) -> Tensor:
    """Starts from an outline that is nearly right: what a repair begins with."""
    outlines = torch.stack([mask_contour(mask[0] > 0.5, 4 * vertices) for mask in masks]).to(masks.dtype)
    count = outlines.shape[1]
    bumps = torch.randn(len(masks), max(count // 16, 4), 2, generator=generator)
    smooth = functional.interpolate(
        torch.cat([bumps, bumps[:, :1]], 1).transpose(1, 2), size=count, mode="linear", align_corners=True
    )
    amount = torch.rand(len(masks), 1, 1, generator=generator) * 3.0
    return resample(outlines + amount * smooth.transpose(1, 2), vertices)
