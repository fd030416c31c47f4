"""KiU-Net: a U-Net beside a branch that magnifies instead of shrinking, for small and thin structures.

Valanarasu, Sindagi, Hacihaliloglu and Patel, "KiU-Net: Towards accurate segmentation of biomedical images
using over-complete representations", MICCAI 2020. After every level each branch adds what the other one
sees (cross-residual fusion). The magnifying branch is what costs: at three levels its maps have 64 times the
pixels of the image, see `memory_estimate`.

Built as in the paper's code, with four changes: the blocks that its forward pass never calls are left out
(216,546 instead of 290,658 parameters), the logits are not cut off at 0, sides are padded inside, and the
magnifying branch can stop doubling after fewer levels (`ki_levels`), with the same parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from .unet import SegmentationNet

__all__ = ["FIELD_OF_VIEW", "KI_LEVELS", "WIDTHS", "KiUNet", "build_kiunet", "memory_estimate"]

Sides = Literal["same", "half", "double"]

WIDTHS = (16, 32, 64)
KI_LEVELS = 2
FIELD_OF_VIEW = 74
"""Pixels across that a pixel's logit depends on at most, at three levels; what is wider is not seen whole."""


def resized(features: Tensor, like: Tensor) -> Tensor:
    """`features` at the sides of `like`, bilinear."""
    return functional.interpolate(features, like.shape[2:], mode="bilinear", align_corners=False)


class NormedConv(nn.Module):
    """Convolution 3 x 3, a change of the sides, batch normalisation, ReLU.

    Parameters
    ----------
    inputs, outputs : int
        Feature maps.
    sides : {"same", "half", "double"}
        Half: the maximum of 2 x 2. Double: bilinear.
    """

    def __init__(self, inputs: int, outputs: int, sides: Sides = "same") -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.sides = sides

    def forward(self, features: Tensor) -> Tensor:
        """``(N, outputs, h, w)`` of ``(N, inputs, H, W)``."""
        found = self.conv(features)
        if self.sides == "half":
            found = functional.max_pool2d(found, 2)
        elif self.sides == "double":
            found = functional.interpolate(found, scale_factor=2.0, mode="bilinear", align_corners=False)
        return functional.relu(self.norm(found), inplace=True)


class CrossFusion(nn.Module):
    """Each branch adds what the other one sees, brought to its own sides (cross-residual fusion block)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_u = NormedConv(width, width)
        self.to_ki = NormedConv(width, width)

    def forward(self, u: Tensor, ki: Tensor) -> tuple[Tensor, Tensor]:
        """Both from the features before the fusion."""
        return u + resized(self.to_u(ki), u), ki + resized(self.to_ki(u), ki)


class KiUNet(nn.Module):
    """The two branches and their fusions.

    Parameters
    ----------
    channels, classes : int
        Image channels; logit planes.
    widths : sequence of int
        Feature maps of the encoder levels; their number is the number of levels. The decoders mirror them,
        the last one with half of the first.
    ki_levels : int
        How often the magnifying branch doubles the sides, 1 to the number of levels. Each level more takes
        about three times the memory and three to five times the time; the parameters stay the same.

    Raises
    ------
    ValueError
        For no levels, or `ki_levels` out of range.
    """

    def __init__(
        self, channels: int = 1, classes: int = 1, widths: Sequence[int] = WIDTHS, ki_levels: int = KI_LEVELS
    ) -> None:
        super().__init__()
        _check(widths, ki_levels)
        self.ki_levels = ki_levels
        down = list(zip((channels, *widths[:-1]), widths, strict=True))
        up = list(zip(reversed(widths), _decoded(widths), strict=True))
        larger: list[Sides] = ["double" if level < ki_levels else "same" for level in range(len(widths))]
        smaller: list[Sides] = ["half" if change == "double" else "same" for change in reversed(larger)]
        self.encoder_u = nn.ModuleList(NormedConv(*pair, "half") for pair in down)
        self.encoder_ki = nn.ModuleList(map(NormedConv, *zip(*down, strict=True), larger))
        self.decoder_u = nn.ModuleList(NormedConv(*pair, "double") for pair in up)
        self.decoder_ki = nn.ModuleList(map(NormedConv, *zip(*up, strict=True), smaller))
        self.fusions_down = nn.ModuleList(CrossFusion(width) for _, width in down)
        self.fusions_up = nn.ModuleList(CrossFusion(width) for _, width in up[:-1])
        self.last = nn.Conv2d(up[-1][1], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` of `images` ``(N, C, H, W)``; sides are multiples of 2 to the levels."""
        u = ki = images
        skips: list[tuple[Tensor, Tensor]] = []
        for to_u, to_ki, fuse in zip(self.encoder_u, self.encoder_ki, self.fusions_down, strict=True):
            u, ki = fuse(to_u(u), to_ki(ki))
            skips.append((u, ki))
        skips.pop()  # the deepest features go on; nothing is added to them
        for step, (to_u, to_ki) in enumerate(zip(self.decoder_u, self.decoder_ki, strict=True)):
            u, ki = to_u(u), to_ki(ki)
            if skips:
                u, ki = self.fusions_up[step](u, ki)
                skip_u, skip_ki = skips.pop()
                u, ki = u + skip_u, ki + skip_ki
        logits: Tensor = self.last(u + ki)
        return logits


def build_kiunet(
    *,
    channels: int = 1,
    classes: int = 1,
    widths: Sequence[int] = WIDTHS,
    ki_levels: int = KI_LEVELS,
    seed: int | None = None,
) -> SegmentationNet:
    """Build a KiU-Net that takes images of any side.

    Parameters
    ----------
    channels, classes, widths, ki_levels
        As in `KiUNet`; ``widths=(16, 32, 64), ki_levels=3`` is the published network.
    seed : int, optional
        Fixes the initial weights without touching the global random state.

    Raises
    ------
    ValueError
        As `KiUNet`.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        network = KiUNet(channels, classes, widths, ki_levels)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on CPUs
    stride = 2 ** len(widths)
    # batch normalisation needs more than one value at the coarsest level, also of a single image
    estimate = partial(memory_estimate, channels=channels, widths=tuple(widths), ki_levels=ki_levels)
    return SegmentationNet(network, stride=stride, smallest=2 * stride, estimate=estimate)


def memory_estimate(
    sides: Sequence[int],
    batch: int = 1,
    channels: int = 1,
    *,
    training: bool = True,
    widths: Sequence[int] = WIDTHS,
    ki_levels: int = KI_LEVELS,
) -> int:
    """Bytes that one pass takes in 32-bit floats, beyond what the program itself takes.

    Counted, not measured: for training every map that is kept for the gradients, and two of the largest
    for the gradients themselves; without training the maps that are alive together at the widest level.
    Convolution libraries add work space of their own; ``docs/benchmarks.md`` has what was measured.

    Parameters
    ----------
    sides : (height, width)
        Of the images, before they are padded.
    batch : int
        Images that pass together.
    channels, widths, ki_levels
        As in `KiUNet`.
    training : bool
        Forward and backward pass with Adam and a running mean of the weights; else a forward pass alone.
    """
    _check(widths, ki_levels)
    stride = 2 ** len(widths)
    pixels: int = batch * math.prod(max(2 * stride, -(-side // stride) * stride) for side in sides)
    counted = _kept(widths, ki_levels) if training else _alive(widths, ki_levels)
    weights = _parameters(channels, widths) * (5 if training else 1)  # gradient, Adam's two, running mean
    values = pixels * (counted + channels) + weights
    return 4 * round(values)


def _magnified(level: int, ki_levels: int) -> float:
    """Pixels of the magnifying branch after `level` levels, per pixel of the image."""
    return 4.0 ** min(level, ki_levels)


def _decoded(widths: Sequence[int]) -> list[int]:
    return [*reversed(widths[:-1]), max(widths[0] // 2, 1)]


def _kept(widths: Sequence[int], ki_levels: int) -> float:
    """Values per pixel kept for the gradients, and two of the largest map for the gradients."""
    total, largest = 0.0, 0.0
    for level, width in enumerate(widths, start=1):
        small, large = 0.25**level, _magnified(level, ki_levels)
        # before pooling; pooled with its 64-bit places; after ReLU. Ki: before and after normalisation
        total += width * (4 * small + 4 * small + 2 * large)
        total += 3 * width * (small + large)  # fusion: before and after normalisation, and the sum
        largest = max(largest, width * large)
    for step, width in enumerate(_decoded(widths)):
        level = len(widths) - step
        small, before, after = (
            0.25 ** (level - 1),
            _magnified(level, ki_levels),
            _magnified(level - 1, ki_levels),
        )
        total += width * 2 * small  # enlarged, and after ReLU
        total += width * (before + 4 * after if before > after else 2 * after)
        total += 3 * width * (small + after) if level > 1 else width * small  # fusion with skip; last sum
    return total + 2 * largest


def _alive(widths: Sequence[int], ki_levels: int) -> float:
    """Values per pixel alive together without gradients, at the level where they are most."""
    most, skips = 0.0, 0.0
    for level, width in enumerate(widths, start=1):
        here = width * (_magnified(level, ki_levels) + 0.25**level)
        most = max(most, skips + 3 * here)  # features, their convolution, its normalised form
        skips += here
    return most


def _parameters(channels: int, widths: Sequence[int]) -> int:
    """Number of weights of the two branches and their fusions, without the last convolution."""
    down = zip((channels, *widths[:-1]), widths, strict=True)
    up = zip(reversed(widths), _decoded(widths), strict=True)
    convolutions = [*down, *up, *((width, width) for width in (*widths, *_decoded(widths)[:-1]))]
    return sum(2 * (9 * inputs * outputs + 3 * outputs) for inputs, outputs in convolutions)


def _check(widths: Sequence[int], ki_levels: int) -> None:
    if not widths or min(widths) < 1:
        raise ValueError(f"widths: expected one positive number per level, got {tuple(widths)}")
    if not 1 <= ki_levels <= len(widths):
        raise ValueError(f"ki_levels: expected 1 to {len(widths)}, got {ki_levels}")
