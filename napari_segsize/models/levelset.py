"""A network that starts a level set and moves it: initial phi, motion field and modulation (DELSE).

Wang, Acuna, Ling, Kar and Fidler, "Object instance annotation with deep extreme level set evolution", CVPR
2019. From a region around an object and its extreme points the network answers three things at every pixel;
the level set then evolves without it. Differences from the paper, and why:

- a small MONAI `SegResNet` in place of ResNet-101: it ships with the package and runs on a CPU;
- phi is positive inside; with the sign of phi changed the evolution reads the same;
- all lengths are shares of the region's side (the paper's pixels over its 256), so one network serves every
  resolution;
- the motion is at most 1 long, and the modulation at most as strong as one step of it is stable;
- besides the extreme points the network may see the mask of a start contour, so stamps and outlines that
  somebody drew can be asked for too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.networks.nets import SegResNet
from torch import Tensor, nn

from ..ops.levelset import evolve
from .unet import SegmentationNet

__all__ = ["Forces", "LevelSetNet", "build_levelset_net", "evolve_levelset"]

TRUNCATION = 30 / 256
"""Where the distance is cut off, as a share of the region's side."""
WINDOW = 0.3 * TRUNCATION
"""Half-width of the pixels that move with the zero line."""
STEP = 5 / 256
"""Length of one step."""

_FILTERS = {"small": 8, "large": 16}


@dataclass(frozen=True, slots=True, eq=False)
class Forces:
    """What a network says about N regions of S x S pixels."""

    phi: Tensor  # (N, 1, S, S), px, positive inside: where the evolution starts
    motion: Tensor  # (N, 2, S, S), (y, x), at most 1 long: the line moves along its opposite
    modulation: Tensor  # (N, 1, S, S), 0 to 1: how much the curvature counts

    @classmethod
    def of(cls, channels: Tensor) -> Forces:
        """From the four channels of a `LevelSetNet`."""
        return cls(channels[:, :1], channels[:, 1:3], channels[:, 3:])


class LevelSetNet(nn.Module):
    """Three heads on one body: initial level set, motion field, modulation.

    Parameters
    ----------
    network : nn.Module
        Maps ``(N, channels + prompts, H, W)`` to ``(N, 4, H, W)``.
    channels : int
        Of the image.
    prompts : int
        2: heat map of the extreme points, mask of the start contour.
    steps : int
        T of the evolution it was trained for.
    dt : float
        Length of a step, as a share of the region's side.
    """

    def __init__(
        self, network: nn.Module, *, channels: int, prompts: int, steps: int = 5, dt: float = STEP
    ) -> None:
        super().__init__()
        self.network = network
        self.channels, self.prompts = channels, prompts
        self.steps, self.dt = steps, dt

    def forward(self, inputs: Tensor) -> Tensor:
        """Four channels ``(N, 4, H, W)``, see `Forces`: phi in pixels, motion (y, x), modulation."""
        heads: Tensor = self.network(inputs)
        phi = heads[:, :1] * (TRUNCATION * max(inputs.shape[2:]))
        raw = heads[:, 1:3]
        motion = raw / (1 + raw.square().sum(1, keepdim=True)).sqrt()
        return torch.cat([phi, motion, heads[:, 3:].sigmoid()], 1)


def evolve_levelset(forces: Forces, *, phi: Tensor | None = None, steps: int = 5, dt: float = STEP) -> Tensor:
    """Evolve level sets by what a network says.

    Parameters
    ----------
    forces : Forces
    phi : (N, 1, S, S) Tensor, optional
        Where to start instead of ``forces.phi``; positive inside, in pixels.
    steps : int
        T; the published number is 5. Each moves the line by at most `dt`.
    dt : float
        As a share of the region's side. Larger reaches farther and wobbles around the outline.

    Returns
    -------
    (steps + 1, N, 1, S, S) Tensor
        The start first. Differentiable in the forces and in `phi`.

    Raises
    ------
    ValueError
        If `dt` is beyond the bound of `napari_segsize.ops.levelset.step`.
    """
    start = forces.phi if phi is None else phi
    side = max(start.shape[2:])
    # modulation 1 is the strongest curvature that is stable
    strength = 0.5 / (dt * side)
    states = evolve(
        start, steps=steps, dt=dt * side, motion=forces.motion, modulation=strength * forces.modulation,
        width=WINDOW * side,
    )  # fmt: skip
    return torch.stack(list(states))


def build_levelset_net(
    kind: str = "small",
    *,
    channels: int = 3,
    prompts: int = 2,
    steps: int = 5,
    dt: float = STEP,
    seed: int | None = None,
) -> LevelSetNet:
    """Build a network for level sets.

    Parameters
    ----------
    kind : {"small", "large"}
        MONAI's `SegResNet` with 0.4 or 1.6 million parameters.
    channels, prompts, steps, dt
        See `LevelSetNet`.
    seed : int, optional
        Fixes the initial weights without touching the global random state.

    Raises
    ------
    ValueError
        For an unknown `kind`.
    """
    if kind not in _FILTERS:
        raise ValueError(f"kind: expected one of {', '.join(_FILTERS)}, got {kind!r}")
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        body = SegResNet(
            spatial_dims=2, init_filters=_FILTERS[kind], in_channels=channels + prompts, out_channels=4
        )
        network = SegmentationNet(body, stride=8, smallest=16)
        return LevelSetNet(network, channels=channels, prompts=prompts, steps=steps, dt=dt)
