"""What the losses on edges agree on: which pixels are edges, their normals, and what stands on a normal."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from napari_segsize.losses._masks import check_device
from napari_segsize.ops.distance import Border
from napari_segsize.ops.thinning import edge_map, mask_directions, outline_map, ridge_directions, sample_along

_FLAT = 1e-12  # a map that bends less has no direction


def spoiled(logits: Tensor) -> Tensor:
    """NaN for planes ``(N, C)`` with a logit that is none, wherever it is; 0 for others."""
    none = logits.detach().isnan().flatten(2).any(-1)
    return torch.zeros_like(none, dtype=logits.dtype).masked_fill(none, math.nan)


def nms_cost(probs: Tensor, directions: Tensor, reach: int, tau: float) -> Tensor:
    """Minus the logarithm of a pixel's share among those on its normal; (N, C, H, W), at every pixel."""
    angles = torch.atan2(directions[:, :, 1], directions[:, :, 0]) / 2
    places = [float(step) for step in range(-reach, reach + 1)]
    along = sample_along(probs, angles, places)  # (N, C, T, H, W)
    return -functional.log_softmax(along / tau, dim=2)[:, :, reach]


def angle_cost(probs: Tensor, directions: Tensor, smoothing: int, *, squared: bool) -> Tensor:
    """Angle between the normals of a map and the true ones, 0 where one is missing; (N, C, H, W)."""
    cosine, sine = ridge_directions(probs, smoothing=smoothing).unbind(2)
    true_cosine, true_sine = directions.to(probs).unbind(2)
    seen = (cosine**2 + sine**2 > _FLAT**2) & (true_cosine**2 + true_sine**2 > 0.25)
    cosine, sine = torch.where(seen, cosine, 1), torch.where(seen, sine, 0)
    along = cosine * true_cosine + sine * true_sine
    across = sine * true_cosine - cosine * true_sine
    angle = torch.atan2(across.abs(), torch.where(seen, along, 1)) / 2
    return torch.where(seen, angle**2 if squared else angle, 0)


def true_edges(edges: Tensor | None, mask: Tensor, radius: float | None, border: Border) -> Tensor:
    """The given edges; else a band of that radius, or the outline without one."""
    if edges is None:
        inside = mask > 0.5
        return (
            outline_map(inside, border=border) if radius is None else edge_map(inside, radius, border=border)
        )
    check_device("edges", edges, mask)
    if edges.shape != mask.shape or edges.dtype != torch.bool:
        raise ValueError(
            f"edges: expected a boolean {tuple(mask.shape)} as logits, got {tuple(edges.shape)} of "
            f"{edges.dtype}."
        )
    return edges


def true_directions(directions: Tensor | None, mask: Tensor) -> Tensor:
    """The given directions; else those of the masks."""
    if directions is None:
        return mask_directions(mask > 0.5)
    check_device("directions", directions, mask)
    expected = (*mask.shape[:2], 2, *mask.shape[2:])
    if directions.shape != expected:
        raise ValueError(f"directions: expected {expected}, got {tuple(directions.shape)}.")
    return directions
