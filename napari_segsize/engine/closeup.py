"""Objects seen close up: what a contour network learns from, one square region an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..ops.points import extreme_points, outset
from ..ops.roi import Rois, cut_rois, rois_of_points
from ..project import PlaneRef

__all__ = [
    "MARGIN",
    "PATCH",
    "SIDE",
    "CloseUp",
    "close_ups",
    "in_three_channels",
    "normalised_rois",
    "outline_points",
]

SIDE = 64
"""Side of the region that the network sees, as in the paper."""
MARGIN = 0.3
"""What the region shows around the object on each side, in object extents."""
PATCH = 112
"""Side of a close-up: room to turn, zoom and shift a region of `SIDE` in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CloseUp:
    """One object and what is known of it, at about the scale the network sees it.

    Attributes
    ----------
    image : (3, PATCH, PATCH) float Tensor
    mask : (1, PATCH, PATCH) float Tensor, optional
        Share of each pixel that is object, 0 to 1.
    points : (4, 2) float Tensor
        Extreme points of the outline (see `outline_points`), top, left, bottom, right, in pixels of the
        close-up; NaN where unknown.
    size : float
        Object size in pixels of the close-up; NaN when unknown.
    scale : float
        Image pixels per pixel of the close-up.
    """

    image: Tensor
    mask: Tensor | None = None
    points: Tensor = field(default_factory=lambda: torch.full((4, 2), torch.nan))
    size: float = torch.nan
    scale: float = 1.0
    plane: PlaneRef | None = None
    object: str = ""


def in_three_channels(image: Tensor) -> Tensor:
    """Show any image ``(C, H, W)`` to a network with three channels.

    Colours stay, grey is repeated; of two channels the second counts twice, of more than three the first
    three count.
    """
    channels = len(image)
    if channels == 3:
        return image
    chosen = [0, 0, 0] if channels == 1 else [0, 1, 1] if channels == 2 else [0, 1, 2]
    return image[chosen]


def normalised_rois(images: Tensor) -> Tensor:
    """Bring regions ``(M, C, S, S)`` to mean 0 and deviation 1 over all their channels together.

    What is not finite counts as the mean; a constant region becomes 0.
    """
    images = torch.where(images.isfinite(), images, torch.nan)
    mean = images.nanmean((1, 2, 3), keepdim=True)
    centred = (images - mean).nan_to_num(0.0)
    deviation = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
    return centred / deviation.clamp(min=1e-6)


def outline_points(masks: Tensor) -> Tensor:
    """Where people click: the extreme points of a mask's outline, half a pixel beyond its outermost pixels.

    Parameters
    ----------
    masks : (N, C, H, W) bool Tensor

    Returns
    -------
    (N, C, 4, 2) float Tensor
        Top, left, bottom, right; NaN for an empty mask.
    """
    return outset(extreme_points(masks))


def close_ups(
    image: Tensor,
    masks: Sequence[Tensor],
    *,
    plane: PlaneRef | None = None,
    objects: Sequence[str] = (),
) -> list[CloseUp]:
    """Cut close-ups of objects with masks out of one image.

    Parameters
    ----------
    image : (C, H, W) float Tensor
    masks : sequence of (H, W) bool Tensors
        One an object; empty ones are left out.
    """
    seen = [(index, mask) for index, mask in enumerate(masks) if bool(mask.any())]
    if not seen:
        return []
    points = torch.cat([outline_points(mask[None, None])[0] for _, mask in seen]).to(torch.float32)
    rois = _patches(points)
    images = cut_rois(in_three_channels(image), rois, PATCH)
    result = []
    for row, (index, mask) in enumerate(seen):
        one = Rois(rois.centre[row : row + 1], rois.scale[row : row + 1])
        result.append(
            CloseUp(
                image=images[row],
                # outside the image there is no object: the zero border tells cut_rois so
                mask=_cut_mask(mask, one),
                points=one.inside(points[row : row + 1], PATCH)[0],
                scale=float(one.scale[0]),
                plane=plane,
                object=objects[index] if objects else "",
            )
        )
    return result


def _cut_mask(mask: Tensor, roi: Rois) -> Tensor:
    padded = torch.nn.functional.pad(mask.to(torch.float32)[None, None], (1, 1, 1, 1))[0]
    return cut_rois(padded, Rois(roi.centre + 1, roi.scale), PATCH)[0]


def _patches(points: Tensor) -> Rois:
    """Regions of `PATCH` px at the scale at which the object fills its region of `SIDE` px."""
    near = rois_of_points(points, SIDE, margin=MARGIN)
    return Rois(near.centre, near.scale)
