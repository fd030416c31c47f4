"""From prompts in one image to contours: cut regions, ask the network, move the vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.contour import ContourNet, evolve_contours
from ..ops.outline import resample
from ..ops.points import ordered
from ..ops.roi import Rois, cut_rois, rois_of_points, rois_of_stamps
from ..ops.starts import extreme_points_contour, stamp_contour
from .closeup import MARGIN, SIDE, in_three_channels, normalised_rois
from .contour_batch import prompted
from .prompt import Prompt
from .views import agreed_field

__all__ = ["STAMP_MARGIN", "Evolution", "evolve_prompts", "regions", "start_contours"]

STAMP_MARGIN = 0.65
"""Context around a stamp in object sizes: a disk then fills its region as it does with extreme points."""


@dataclass(frozen=True, slots=True, eq=False)
class Evolution:
    """Contours of M objects over T iterations, and the fields that moved them."""

    contours: Tensor  # (T + 1, M, K, 2), image px
    fields: Tensor  # (M, 2, S, S), displacement in region px
    rois: Rois


def regions(prompts: Sequence[Prompt]) -> Rois:
    """The region of the image that each prompt is about."""
    parts = []
    for prompt in prompts:
        if prompt.points or prompt.start:
            points = torch.tensor(prompt.points or prompt.start, dtype=torch.float32)[None]
            parts.append(rois_of_points(points, SIDE, margin=MARGIN))
        else:
            assert prompt.stamp is not None
            y, x, size = prompt.stamp
            parts.append(
                rois_of_stamps(torch.tensor([[y, x]]), torch.tensor([size]), SIDE, margin=STAMP_MARGIN)
            )
    return Rois(torch.cat([part.centre for part in parts]), torch.cat([part.scale for part in parts]))


def start_contours(prompts: Sequence[Prompt], vertices: int) -> Tensor:
    """The contour each prompt starts from, ``(M, vertices, 2)`` in image px."""
    starts = []
    for prompt in prompts:
        if prompt.start:
            starts.append(resample(torch.tensor(prompt.start, dtype=torch.float32)[None], vertices))
        elif prompt.points:
            points = ordered(torch.tensor(prompt.points, dtype=torch.float32)[None])
            starts.append(extreme_points_contour(points, vertices))
        else:
            assert prompt.stamp is not None
            y, x, size = prompt.stamp
            starts.append(stamp_contour(torch.tensor([[y, x]]), torch.tensor([size]), vertices))
    return torch.cat(starts)


@torch.no_grad()
def evolve_prompts(
    network: ContourNet,
    image: Tensor,
    prompts: Sequence[Prompt],
    *,
    vertices: int = 32,
    iterations: int = 3,
    views: int = 4,
) -> Evolution:
    """Outline objects of one image, all at once.

    Parameters
    ----------
    network : ContourNet
        In evaluation mode.
    image : (C, H, W) float Tensor
    prompts : sequence of Prompt
        All of this image.
    vertices, iterations : int
        Of the contours.
    views : int
        How often the network looks at each region, see `agreed_field`.
    """
    device = next(network.parameters()).device
    rois = regions(prompts)
    starts = start_contours(prompts, vertices)
    unknown = ((torch.nan, torch.nan),) * 4
    points = torch.tensor([prompt.points or unknown for prompt in prompts], dtype=torch.float32)
    images = normalised_rois(cut_rois(in_three_channels(image), rois, SIDE))
    inside = rois.inside(starts, SIDE)
    inputs = prompted(images, rois.inside(points, SIDE), inside, network.prompts)
    fields = agreed_field(network, inputs.to(device), views).to("cpu", torch.float32)
    contours = evolve_contours(fields, inside, iterations)
    return Evolution(torch.stack([rois.outside(each, SIDE) for each in contours]), fields, rois)
