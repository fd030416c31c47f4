"""Look at a region several times, turned, and believe a displacement as far as the looks agree."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["agreed", "agreed_field", "turned_back"]

_LEAST = 1e-6  # ROI px²: where nothing moves there is nothing to agree on


def turned_back(field: Tensor, quarters: int) -> Tensor:
    """The field of a region that was turned by `torch.rot90` over (y, x), in the region's own directions.

    Parameters
    ----------
    field : (N, 2, S, S) Tensor
        Displacements (y, x) of the turned region.
    quarters : int
        By how many quarter turns.
    """
    turned = torch.rot90(field, -quarters, (2, 3))
    y, x = turned[:, 0], turned[:, 1]
    directions = ((y, x), (x, -y), (-y, -x), (-x, y))
    return torch.stack(directions[quarters % 4], 1)


def agreed(fields: Tensor) -> Tensor:
    r"""The mean of several displacements, shortened where they disagree.

    Each look is taken as the true displacement :math:`d` and an error of its own. The multiple of the mean
    :math:`m` with the least expected squared distance to :math:`d` is :math:`|d|^2 / (|d|^2 + e^2)`, with
    :math:`e^2` the expected squared error of :math:`m`. Known are :math:`|m|^2` and the spread
    :math:`v` of the looks, so :math:`m |m|^2 / (|m|^2 + v)` is used. The looks come from one network and
    share part of their error; so `v`, not `v` over their number, stands for :math:`e^2`.

    Parameters
    ----------
    fields : (V, N, 2, S, S) Tensor
        One of each look.

    Returns
    -------
    (N, 2, S, S) Tensor
    """
    mean = fields.mean(0)
    length = mean.square().sum(1, keepdim=True)
    spread = (fields - mean).square().sum(2, keepdim=True).mean(0)
    return mean * (length / (length + spread + _LEAST))


def agreed_field(network: nn.Module, inputs: Tensor, views: int) -> Tensor:
    """The displacement that `views` looks of a network agree on, each a quarter turn from the one before.

    Parameters
    ----------
    network : Module
        From ``(N, C, S, S)`` to displacements ``(N, 2, S, S)``, (y, x).
    inputs : (N, C, S, S) Tensor
    views : int
        1 to 4; 1 is the network's answer as it is. One look after the other, so that memory does not grow.

    Raises
    ------
    ValueError
        If `views` is not 1 to 4.
    """
    if not 1 <= views <= 4:
        raise ValueError(f"views: expected 1 to 4 quarter turns, got {views}.")
    looks = [turned_back(network(torch.rot90(inputs, k, (2, 3))), k) for k in range(views)]
    return looks[0] if views == 1 else agreed(torch.stack(looks))
