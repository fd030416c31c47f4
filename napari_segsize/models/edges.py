"""Networks that predict edges: side outputs at every scale of a small encoder-decoder, and one fused of them.

Xie and Tu, "Holistically-nested edge detection", ICCV 2015; Acuna, Kar and Fidler, "Devil is in the edges",
CVPR 2019 (STEAL), whose losses work with any such network. The encoder-decoder is MONAI's `SegResNet`; this
file taps its decoder at every scale.
"""

from __future__ import annotations

from typing import Literal

import torch
from monai.networks.nets import SegResNet
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EDGE_MODELS", "EdgeNet", "build_edge_net"]

EdgeModelKind = Literal["small", "large"]

EDGE_MODELS: tuple[EdgeModelKind, ...] = ("small", "large")

_FILTERS = {"small": 8, "large": 16}
_DOWN = (1, 2, 2, 4)  # residual blocks at each scale
_STRIDE = 2 ** (len(_DOWN) - 1)
_RARE = -2.0  # where the logits begin: about one pixel in ten is an edge


class EdgeNet(nn.Module):
    """Edge logits at full size: one fused plane, and one of each scale.

    Parameters
    ----------
    filters : int
        Channels at full size.
    channels : int
        Of the image.
    """

    def __init__(self, filters: int, *, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.backbone = SegResNet(
            spatial_dims=2, init_filters=filters, in_channels=channels, out_channels=1, blocks_down=_DOWN,
            blocks_up=(1,) * (len(_DOWN) - 1), use_conv_final=False,
        )  # fmt: skip
        self.backbone.conv_final = nn.Identity()  # its parameters would never be used
        scales = [filters * 2**power for power in reversed(range(len(_DOWN)))]
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in scales)
        self.fuse = nn.Conv2d(len(scales), 1, 1)
        for side in self.sides:
            assert isinstance(side, nn.Conv2d)
            assert side.bias is not None
            nn.init.constant_(side.bias, _RARE)
        assert self.fuse.bias is not None
        nn.init.constant_(self.fuse.weight, 1 / len(scales))
        nn.init.zeros_(self.fuse.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, 1 + S, H, W)`` of `images` ``(N, C, H, W)``: the fused one, then coarse to fine."""
        height, width = images.shape[2:]
        extra = [max(2 * _STRIDE, -(-side // _STRIDE) * _STRIDE) - side for side in (height, width)]
        padded = functional.pad(images, (0, extra[1], 0, extra[0]), mode="replicate")
        found, skipped = self.backbone.encode(padded)
        skipped = skipped[::-1]
        maps = [self.sides[0](found)]
        for number, (up, block) in enumerate(
            zip(self.backbone.up_samples, self.backbone.up_layers, strict=True), start=1
        ):
            found = block(up(found) + skipped[number])
            maps.append(self.sides[number](found))
        full = [_resized(each, padded.shape[2:]) for each in maps]
        sides = torch.cat(full, 1)
        return torch.cat((self.fuse(sides), sides), 1)[..., :height, :width]

    def fused(self, images: Tensor) -> Tensor:
        """The fused logits alone, ``(N, 1, H, W)``: what is used after the training."""
        logits: Tensor = self(images)
        return logits[:, :1]


def build_edge_net(kind: str = "small", *, channels: int = 3, seed: int | None = None) -> EdgeNet:
    """Build an edge network.

    Parameters
    ----------
    kind : {"small", "large"}
        0.4 or 1.6 million parameters.
    channels : int
        Image channels.
    seed : int, optional
        Fixes the initial weights without touching the global random state.

    Raises
    ------
    ValueError
        If the kind is unknown.
    """
    if kind not in EDGE_MODELS:
        raise ValueError(f"kind: expected one of {', '.join(EDGE_MODELS)}, got {kind!r}.")
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        return EdgeNet(_FILTERS[kind], channels=channels)


def _resized(values: Tensor, shape: torch.Size) -> Tensor:
    if values.shape[2:] == shape:
        return values
    return functional.interpolate(values, size=shape, mode="bilinear", align_corners=False)
