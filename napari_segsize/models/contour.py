"""Networks that move the vertices of a polygon: a displacement field, computed once and sampled T times.

Gur, Shaharabany and Wolf, "End to end trainable active contours via differentiable rendering", ICLR 2020
(ACDRNet). An encoder-decoder turns the region around an object into a field of two channels; every vertex
moves by the field's value where it is, several times (eqs. 1 to 3). Differences from the paper, and why:

- the field is not squashed: the sigmoid of the text could only push vertices down and to the right;
- it is in units of the region's side, so one network serves every resolution;
- besides the image the network may see prompts: a heat map of the extreme points that were clicked, and the
  mask of the contour that the evolution starts from. A paper network has none (``prompts=0``).
"""

from __future__ import annotations

from typing import Literal

import torch
from monai.networks.nets import SegResNet
from torch import Tensor, nn
from torch.nn import functional

from .unet import SegmentationNet

__all__ = ["CONTOUR_MODELS", "ContourNet", "build_contour_net", "evolve_contours"]

ContourModelKind = Literal["small", "large", "acdrnet"]

CONTOUR_MODELS: tuple[ContourModelKind, ...] = ("small", "large", "acdrnet")

_UNIT = 1 / 16  # of the region's side: what an output of 1 moves a vertex by
_FILTERS = {"small": 8, "large": 16}


class ContourNet(nn.Module):
    """A displacement field for the vertices of a polygon.

    Parameters
    ----------
    network : nn.Module
        Maps ``(N, channels + prompts, H, W)`` to ``(N, 2, H, W)``.
    channels : int
        Of the image.
    prompts : int
        Channels that say what is asked for: 2 (heat map of the extreme points, mask of the start) or 0.
    """

    def __init__(self, network: nn.Module, *, channels: int, prompts: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.prompts = prompts

    def forward(self, inputs: Tensor) -> Tensor:
        """Displacements ``(N, 2, H, W)`` in pixels, (y, x), of `inputs` ``(N, channels + prompts, H, W)``."""
        field: Tensor = self.network(inputs)
        unit = torch.tensor(inputs.shape[2:], dtype=field.dtype, device=field.device) * _UNIT
        return field * unit[:, None, None]


def evolve_contours(displacement: Tensor, contours: Tensor, iterations: int = 3) -> Tensor:
    """Move the vertices of contours by the field's value where they are, several times.

    Parameters
    ----------
    displacement : (N, 2, H, W) Tensor
        In pixels, (y, x).
    contours : (N, K, 2) Tensor
        Vertices (y, x), pixel centres at integers.
    iterations : int
        T of the paper; more let a vertex follow the field around a bend. 1 to 5.

    Returns
    -------
    (T + 1, N, K, 2) Tensor
        The contours of all iterations, the start first; clamped to the image's outer edge (eq. 3).
        Differentiable in both arguments.

    Raises
    ------
    ValueError
        For shapes that do not fit.

    References
    ----------
    .. [1] Gur et al., "End to end trainable active contours via differentiable rendering", ICLR 2020, eq. 2.
    """
    if displacement.ndim != 4 or displacement.shape[1] != 2:
        raise ValueError(f"displacement: expected (N, 2, H, W), got {tuple(displacement.shape)}")
    if contours.ndim != 3 or contours.shape[2] != 2 or len(contours) != len(displacement):
        raise ValueError(f"contours: expected ({len(displacement)}, K, 2), got {tuple(contours.shape)}")
    if iterations < 0:
        raise ValueError(f"iterations: expected 0 or more, got {iterations}")
    sides = torch.tensor(displacement.shape[2:], dtype=contours.dtype, device=contours.device)
    evolved = [contours]
    for _ in range(iterations):
        place = (2 * evolved[-1] + 1) / sides - 1  # align_corners=False
        moved = functional.grid_sample(
            displacement, place.flip(-1)[:, :, None], padding_mode="border", align_corners=False
        )
        vertices = evolved[-1] + moved[..., 0].transpose(1, 2)
        evolved.append(torch.minimum(vertices.clamp(min=-0.5), sides - 0.5))
    return torch.stack(evolved)


def build_contour_net(
    kind: str = "small",
    *,
    channels: int = 3,
    prompts: int = 2,
    width: int = 32,
    dropout: float = 0.2,
    seed: int | None = None,
) -> ContourNet:
    """Build a network for contours.

    Parameters
    ----------
    kind : {"small", "large", "acdrnet"}
        ``small`` (0.4 M parameters) and ``large`` (1.6 M) are MONAI's `SegResNet`; ``acdrnet`` is the
        paper's encoder-decoder, whose size `width` decides.
    channels, prompts : int
        See `ContourNet`.
    width : int
        Feature maps of the first level of ``acdrnet``, doubled at each of the next two. The paper's code
        has 128; 32 trains on a CPU.
    dropout : float
        After each convolution of ``acdrnet``.
    seed : int, optional
        Fixes the initial weights without touching the global random state.

    Raises
    ------
    ValueError
        For an unknown `kind`.
    """
    if kind not in CONTOUR_MODELS:
        raise ValueError(f"kind: expected one of {', '.join(CONTOUR_MODELS)}, got {kind!r}")
    total = channels + prompts
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        network: nn.Module
        if kind == "acdrnet":
            network = SegmentationNet(Acdrnet(total, width=width, dropout=dropout), stride=8, smallest=16)
        else:
            body = SegResNet(spatial_dims=2, init_filters=_FILTERS[kind], in_channels=total, out_channels=2)
            network = SegmentationNet(body, stride=8, smallest=16)
        return ContourNet(network, channels=channels, prompts=prompts)


class Acdrnet(nn.Module):
    """The encoder-decoder of the paper (section 3.1, figure 2), for sides that 8 divides.

    Three levels and a bottom; each block has three 3x3 convolutions with dropout. The last decoder block
    omits the dropout, as in the text.
    """

    def __init__(self, channels: int, *, width: int, dropout: float) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        inputs = [channels, *widths[:-1]]
        self.encoder = nn.ModuleList(
            _convolutions(before, after, dropout) for before, after in zip(inputs, widths, strict=True)
        )
        self.normed = nn.ModuleList(nn.BatchNorm2d(after) for after in widths)
        above = [widths[-1], *reversed(widths[1:])]
        skips = list(reversed(widths))
        self.opened = nn.ModuleList(nn.BatchNorm2d(before) for before in above)
        self.decoder = nn.ModuleList(
            _convolutions(before + skip, skip, dropout if level < 2 else 0.0)
            for level, (before, skip) in enumerate(zip(above, skips, strict=True))
        )
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Turn ``(N, channels, H, W)`` into ``(N, 2, H, W)``."""
        features, skips = images, []
        for block, norm in zip(self.encoder, self.normed, strict=True):
            features = norm(functional.relu(block(features)))
            skips.append(features)
            features = functional.max_pool2d(features, 2)
        for norm, block in zip(self.opened, self.decoder, strict=True):
            skip = skips.pop()
            features = functional.relu(norm(features))
            features = functional.interpolate(
                features, size=skip.shape[2:], mode="bilinear", align_corners=False
            )
            features = block(torch.cat([features, skip], 1))
        result: Tensor = self.head(features)
        return result


def _convolutions(before: int, after: int, dropout: float) -> nn.Sequential:
    """Three convolutions, each followed by dropout."""
    layers: list[nn.Module] = []
    for index in range(3):
        layers += [nn.Conv2d(before if index == 0 else after, after, 3, padding=1), nn.Dropout(dropout)]
    return nn.Sequential(*layers)
