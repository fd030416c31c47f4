"""Centre of mass of weights, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor


def centroid(weights: Tensor) -> Tensor:
    """Centre of mass of every (n, c) plane.

    Parameters
    ----------
    weights : (N, C, *spatial) Tensor
        Not negative: probabilities, or a mask. Any number of spatial axes. Booleans and integers count as
        float32; half precision is summed in float32.

    Returns
    -------
    (N, C, D) Tensor
        In pixels, pixel centres at integers, ``(y, x)`` or ``(z, y, x)``. float64 for float64, otherwise
        float32. A plane without mass has its centre at the image's centre, ``(side - 1) / 2``, with a
        gradient of zero: there is nothing that could be moved.

    Raises
    ------
    ValueError
        If `weights` has no spatial axis or no pixels.

    Notes
    -----
    The derivative with respect to one weight is ``(position - centre) / mass``.
    """
    if weights.ndim < 3 or 0 in weights.shape[2:]:
        raise ValueError(
            f"weights: expected (N, C, *spatial) with at least one pixel, got {tuple(weights.shape)}."
        )
    if weights.dtype != torch.float64:
        weights = weights.float()
    mass = weights.flatten(2).sum(-1)  # (N, C)
    empty = mass <= 0
    safe = torch.where(empty, 1, mass)
    centres = []
    for axis, side in enumerate(weights.shape[2:], start=2):
        others = [other for other in range(2, weights.ndim) if other != axis]
        profile = weights.sum(others) if others else weights  # (N, C, side)
        # Measured from the middle of the image: fewer digits are lost, and an empty plane falls on the
        # middle.
        middle = (side - 1) / 2
        offset = torch.arange(side, device=weights.device, dtype=weights.dtype) - middle
        centres.append(middle + torch.where(empty, 0, (profile * offset).sum(-1) / safe))
    return torch.stack(centres, -1)
