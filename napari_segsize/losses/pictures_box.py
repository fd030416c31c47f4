"""The pictures behind the losses on an area and on a box: what is added up, and what a projection sees.

Called by `napari_segsize.losses.microscope` as those of `napari_segsize.losses.pictures` are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_segsize.losses.picture import Picture
from napari_segsize.ops.points import extents_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    Settings = Mapping[str, Any]

__all__ = ["paint_area", "paint_projection"]


def paint_area(probs: Tensor, bounds: Tensor, _: Settings) -> Picture:
    """The probabilities, whose sum is the area, and that sum beside its bounds."""
    low, high = bounds[0, 0].tolist()
    said = f"The area is {probs.sum().item():.4g} px; wanted are {low:.4g} to {high:.4g} px."
    return Picture(maps={"probabilities": probs[0, 0]}, notices=(said,))


def paint_projection(probs: Tensor, points: Tensor, _: Settings) -> Picture:
    """The largest probability of each row and column, drawn along it, and the box that they are told."""
    plane = probs[0, 0]
    maps = {
        "largest of each row": plane.amax(1, keepdim=True).expand_as(plane).clone(),
        "largest of each column": plane.amax(0, keepdim=True).expand_as(plane).clone(),
    }
    extents = points[0, 0] if points.ndim == 3 else extents_of(points[0, 0])
    top, left, bottom, right = (extents.round() + extents.new_tensor([-0.5, -0.5, 0.5, 0.5])).unbind()
    corners = torch.stack([top, left, bottom, left, bottom, right, top, right]).reshape(4, 2)
    box = torch.cat((corners, corners.roll(-1, 0) - corners), 1)
    return Picture(maps=maps, marks={"true outline": box[~box.isnan().any(1)].double().numpy()})
