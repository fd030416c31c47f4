"""The network that moves rough outlines: it sees an image, a rough mask and how wrong that may be."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.nets import SegResNet
from torch import Tensor, nn

from .unet import SegmentationNet

__all__ = ["PLANES", "AlignmentNet", "build_alignment_net"]

PLANES = 6
"""Three of the image, the distance to the rough outline, the reach, and where the image is."""
_DISTANCE = 3
_TRUST = 2.0  # log odds of a pixel one reach inside the rough outline, before anything is learned


class AlignmentNet(nn.Module):
    """Log odds that a pixel belongs to the object, from an image and a rough mask.

    What the network adds to the odds that the rough mask gives is 0 before it has learned anything: it begins
    with the rough outline. Its body is MONAI's `SegResNet` (Myronenko, BrainLes 2018, without its autoencoder
    branch).

    Parameters
    ----------
    features : int
        Filters of the first level.
    """

    def __init__(self, features: int = 16) -> None:
        super().__init__()
        body = SegResNet(spatial_dims=2, init_filters=features, in_channels=PLANES, out_channels=1)
        last: Any = body.conv_final[-1]
        nn.init.zeros_(last.conv.weight)
        nn.init.zeros_(last.conv.bias)
        self.network = SegmentationNet(body, stride=8, smallest=16)

    def forward(self, inputs: Tensor) -> Tensor:
        """Log odds ``(N, 1, H, W)`` from ``(N, 6, H, W)``: colours, distance in reaches, reach, inside."""
        added: Tensor = self.network(inputs)
        return added + _TRUST * inputs[:, _DISTANCE : _DISTANCE + 1]


def build_alignment_net(features: int = 16, *, seed: int | None = None) -> AlignmentNet:
    """Build the network; `seed` fixes its weights without touching the global random state."""
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return AlignmentNet(features)
