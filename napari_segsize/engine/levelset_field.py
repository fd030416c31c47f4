"""From prompts in one image to level sets: cut regions, ask the network once, evolve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..losses.levelset import truncated_distance
from ..models.levelset import STEP, Forces, LevelSetNet, evolve_levelset
from ..ops.polygon import polygon_mask
from ..ops.roi import Rois, cut_rois
from .closeup import SIDE, in_three_channels, normalised_rois
from .contour_batch import prompted
from .contour_field import regions, start_contours
from .prompt import Prompt

__all__ = ["LevelSetEvolution", "evolve_levelset_prompts"]

_RIM = 3  # px around a hole that are taken from the network too


@dataclass(frozen=True, slots=True, eq=False)
class LevelSetEvolution:
    """Level sets of M objects over T steps, and the forces that moved them; all in region pixels."""

    states: Tensor  # (T + 1, M, S, S), positive inside
    forces: Forces
    starts: Tensor  # (M, K, 2), image px: the contours that were asked for
    rois: Rois
    dt: Tensor  # (M,), of a step, px


@torch.no_grad()
def evolve_levelset_prompts(
    network: LevelSetNet,
    image: Tensor,
    prompts: Sequence[Prompt],
    *,
    vertices: int = 32,
    steps: int | None = None,
    dt: float | None = None,
) -> LevelSetEvolution:
    """Evolve level sets for objects of one image, all in one pass of the network.

    Parameters
    ----------
    network : LevelSetNet
        In evaluation mode.
    image : (C, H, W) float Tensor
    prompts : sequence of Prompt
        All of this image. An object with a start contour evolves from its distance, and with the holes that
        the network sees in it; the others from what the network says.
    vertices : int
        Of the start contours.
    steps, dt : int and float, optional
        T, and the length of a step as a share of the region's side; those of the network if None. A drawn
        start may be pixels off, so it is moved by the published 5/256 at least.

    Raises
    ------
    ValueError
        If `dt` is beyond the bound of a stable step.
    """
    device = next(network.parameters()).device
    steps = network.steps if steps is None else steps
    dt = network.dt if dt is None else dt
    rois = regions(prompts)
    starts = start_contours(prompts, vertices)
    unknown = ((torch.nan, torch.nan),) * 4
    points = torch.tensor([prompt.points or unknown for prompt in prompts], dtype=torch.float32)
    images = normalised_rois(cut_rois(in_three_channels(image), rois, SIDE))
    inside = rois.inside(starts, SIDE)
    inputs = prompted(images, rois.inside(points, SIDE), inside, network.prompts)
    forces = Forces.of(network(inputs.to(device)).to("cpu", torch.float32))
    drawn = torch.tensor([bool(prompt.start) for prompt in prompts])
    phi = _starts(forces.phi, inside, drawn)
    states = evolve_levelset(forces, phi=phi, steps=steps, dt=dt)
    far = max(dt, STEP)
    if drawn.any() and far > dt:
        own = Forces(forces.phi[drawn], forces.motion[drawn], forces.modulation[drawn])
        states[:, drawn] = evolve_levelset(own, phi=phi[drawn], steps=steps, dt=far)
    lengths = torch.where(drawn, far, dt) * SIDE
    return LevelSetEvolution(states[:, :, 0], forces, starts, rois, lengths)


def _starts(phi: Tensor, contours: Tensor, given: Tensor) -> Tensor:
    """The network's start, or the distance to the contour that was `given` ``(M,)``."""
    if not given.any():
        return phi
    masks = polygon_mask(contours[given], (int(phi.shape[2]), int(phi.shape[3]))) > 0.5
    drawn = truncated_distance(masks).to(phi)
    phi = phi.clone()
    for number, index in enumerate(given.nonzero()[:, 0].tolist()):
        phi[index, 0] = _pierced(drawn[number, 0], phi[index, 0])
    return phi


def _pierced(drawn: Tensor, seen: Tensor) -> Tensor:
    """The distance to a drawn contour, with the holes that the network sees wholly inside of it.

    A contour says nothing of holes, and a level set that has none makes none.
    """
    inside = (seen > 0).numpy()
    holes, count = ndimage.label(ndimage.binary_fill_holes(inside) & ~inside)
    outside = np.unique(holes[(drawn <= 0).numpy()])
    within = np.isin(holes, [number for number in range(1, count + 1) if number not in outside])
    around = torch.from_numpy(ndimage.binary_dilation(within, iterations=_RIM))
    return torch.where(around & (drawn > 0), torch.minimum(drawn, seen), drawn)
