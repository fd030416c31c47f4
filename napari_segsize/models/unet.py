"""U-Nets with a residual encoder and a mirroring decoder, for images of any side and number of channels.

Ronneberger et al., "U-Net", MICCAI 2015, with the residual units of He et al., CVPR 2016, as used by
Baručić and Kybic, "Learning to segment from object sizes", ITAT 2022; the small one is the encoder-decoder
of Myronenko, "3D MRI brain tumor segmentation using autoencoder regularization", BrainLes 2018, without
its autoencoder branch. The networks themselves are MONAI's `UNet` and `SegResNet`; this file configures
them, and pads and crops so that no image side is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from monai.networks.nets import SegResNet, UNet
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MODELS", "SegmentationNet", "build_unet"]

ModelKind = Literal["small", "residual"]

MODELS: tuple[ModelKind, ...] = ("small", "residual")


class SegmentationNet(nn.Module):
    """A network whose output is one logit per pixel and object class, at any image side.

    Sides are padded with edge values to a multiple of the network's total stride and the logits are
    cropped back, so a 1-pixel image and a 513-pixel image both work.

    Parameters
    ----------
    network : nn.Module
        Maps ``(N, C, *spatial)`` to ``(N, K, *spatial)`` when every side is a multiple of `stride`.
    stride : int
        Total down-sampling of the network.
    smallest : int
        Smallest side the network accepts; instance normalisation needs more than one value at the
        coarsest level.
    estimate : callable, optional
        ``(sides, batch, training=...)`` to bytes, of a network so large that it matters.
    """

    def __init__(
        self, network: nn.Module, stride: int, smallest: int, estimate: Callable[..., int] | None = None
    ) -> None:
        super().__init__()
        self.estimate = estimate
        self.network = network
        self.stride = stride
        self.smallest = smallest

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K, *spatial)`` of `images` ``(N, C, *spatial)``; positive is object."""
        sides = images.shape[2:]
        padded = images
        extra = [max(self.smallest, -(-side // self.stride) * self.stride) - side for side in sides]
        if any(extra):
            widths = [width for amount in reversed(extra) for width in (0, amount)]
            padded = functional.pad(images, widths, mode="replicate")
        logits: Tensor = self.network(padded)
        inside = (slice(None), slice(None), *(slice(side) for side in sides))
        return logits[inside]


def build_unet(
    kind: str = "small",
    *,
    channels: int = 1,
    classes: int = 1,
    spatial_dims: int = 2,
    seed: int | None = None,
) -> SegmentationNet:
    """Build a residual U-Net.

    Parameters
    ----------
    kind : {"small", "residual"}
        ``small`` has about 0.4 million parameters and trains on a CPU; ``residual`` has about 6.5
        million, the kind used in the size paper.
    channels : int
        Image channels.
    classes : int
        Object classes; each has its own logit plane.
    spatial_dims : {2, 3}
        Planes or volumes.
    seed : int, optional
        Fixes the initial weights without touching the global random state.

    Raises
    ------
    ValueError
        For an unknown `kind`.
    """
    if kind not in MODELS:
        raise ValueError(f"kind: expected one of {', '.join(MODELS)}, got {kind!r}")
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return (
            _small(channels, classes, spatial_dims)
            if kind == "small"
            else _residual(channels, classes, spatial_dims)
        )


def _small(channels: int, classes: int, spatial_dims: int) -> SegmentationNet:
    """Group normalisation and interpolating decoder: steady with few images and small batches."""
    network = SegResNet(spatial_dims=spatial_dims, init_filters=8, in_channels=channels, out_channels=classes)
    return SegmentationNet(network, stride=8, smallest=16)


def _residual(channels: int, classes: int, spatial_dims: int) -> SegmentationNet:
    """Residual units on both sides, five levels."""
    network = UNet(
        spatial_dims=spatial_dims,
        in_channels=channels,
        out_channels=classes,
        channels=(32, 64, 128, 256, 512),
        strides=(2, 2, 2, 2),
        num_res_units=2,
    )
    return SegmentationNet(network, stride=16, smallest=32)
