"""Regions of interest: square windows around objects, resampled to one side, and the way back.

A region's pixel r is the image square of side `scale` around ``centre + scale * (r - (side - 1) / 2)``; as
everywhere, pixel centres are at integers. This is `align_corners=False`: a region covers ``side * scale``
image pixels from edge to edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST = 2.0  # px: the least extent of an object, so that coincident points do not blow a pixel up
_ALIKE = 1.5  # regions whose scales differ by less are cut together
_WINDOWS = 1 << 22  # pixels of all windows that are cut together


@dataclass(frozen=True, slots=True, eq=False)
class Rois:
    """Where M square regions lie in an image: their centres ``(M, 2)``, and image pixels a region pixel."""

    centre: Tensor  # (M, 2) float, (y, x) in image px
    scale: Tensor  # (M,) float, image px per region px

    def __post_init__(self) -> None:
        if self.centre.ndim != 2 or self.centre.shape[1] != 2 or self.scale.shape != self.centre.shape[:1]:
            raise ValueError(
                "Rois: expected centres (M, 2) and scales (M,), "
                f"got {tuple(self.centre.shape)} and {tuple(self.scale.shape)}."
            )

    def __len__(self) -> int:
        return len(self.centre)

    def inside(self, points: Tensor, side: int) -> Tensor:
        """Image px to region px: `points` ``(..., M, K, 2)``, in regions of `side` pixels. Differentiable."""
        return (points - self.centre[:, None]) / self.scale[:, None, None] + (side - 1) / 2

    def outside(self, points: Tensor, side: int) -> Tensor:
        """Region px to image px: the inverse of `inside`, never rounded to whole pixels."""
        return (points - (side - 1) / 2) * self.scale[:, None, None] + self.centre[:, None]

    def to(self, device: torch.device) -> Rois:
        """The same regions on another device."""
        return Rois(self.centre.to(device), self.scale.to(device))


def rois_of_points(points: Tensor, side: int, *, margin: float = 0.25) -> Rois:
    """Regions around points, such as an object's four extreme points.

    Parameters
    ----------
    points : (M, P, 2) float Tensor
        ``(y, x)`` in image px, the centres of the outermost pixels.
    side : int
        Pixels along a region's side.
    margin : float
        Context on each of the four sides, in units of the object's larger extent; 0.25 leaves the object two
        thirds of the region. More shows more surroundings and fewer details.

    Returns
    -------
    Rois
        Centred on the middle of the points' bounding box; in the float type of `points`.

    Raises
    ------
    ValueError
        If there is no point, or one is not finite.
    """
    if points.ndim != 3 or points.shape[1] == 0 or points.shape[2] != 2 or not points.isfinite().all():
        raise ValueError(
            f"points: expected finite (M, P, 2) with at least one point, got {tuple(points.shape)}."
        )
    points = points if points.is_floating_point() else points.float()
    low, high = points.amin(1), points.amax(1)
    return _rois((low + high) / 2, (high - low).amax(-1) + 1, side, margin)


def rois_of_stamps(centre: Tensor, size: Tensor, side: int, *, margin: float = 1.0) -> Rois:
    """Regions around stamps.

    Parameters
    ----------
    centre : (M, 2) float Tensor
        ``(y, x)`` in image px.
    size : (M,) Tensor
        Object sizes in px. An object is wider than its size, the side of a square that fits inside: a disk
        1.4 times, a slender one several times.
    side : int
        Pixels along a region's side.
    margin : float
        Context on each of the four sides, in units of the size; 1 leaves the square a third of the region and
        a disk half of it.

    Returns
    -------
    Rois

    Raises
    ------
    ValueError
        If a centre or a size is not finite.
    """
    if not (centre.isfinite().all() and size.isfinite().all()):
        raise ValueError("centre, size: expected finite numbers. Stamps without a place have no region.")
    centre = centre if centre.is_floating_point() else centre.float()
    return _rois(centre, size.to(centre), side, margin)


def _rois(centre: Tensor, extent: Tensor, side: int, margin: float) -> Rois:
    if margin < 0 or side < 1:
        raise ValueError(f"margin, side: expected margin >= 0 and side >= 1, got {margin} and {side}.")
    return Rois(centre, extent.clamp(min=_SMALLEST) * (1 + 2 * margin) / side)


def cut_rois(image: Tensor, rois: Rois, side: int) -> Tensor:
    """Resample an image to regions of one side.

    Parameters
    ----------
    image : (C, H, W) Tensor
        Any type; what is not finite counts as 0, the mean of a normalised image.
    rois : Rois
        They may reach over the image's edge, whose values are then repeated.
    side : int
        Pixels along a region's side.

    Returns
    -------
    (M, C, side, side) float Tensor
        float64 for float64 images, otherwise float32. Where a region magnifies (scale at most 1), bilinear
        interpolation; where it reduces, the mean over the square that a region pixel covers, which is free of
        aliasing at any scale. At scale 1 the two are the same. Differentiable in `image`.

    Raises
    ------
    ValueError
        If `image` is not ``(C, H, W)`` with at least one pixel.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise ValueError(f"image: expected (C, H, W) with at least one pixel, got {tuple(image.shape)}.")
    dtype = torch.float64 if image.dtype == torch.float64 else torch.float32
    rois = Rois(rois.centre.to(image.device, dtype), rois.scale.to(image.device, dtype))
    result = torch.empty(len(rois), len(image), side, side, dtype=dtype, device=image.device)
    for chosen, reach in _alike(rois.scale, side, len(image)):
        part = _resampled(image, Rois(rois.centre[chosen], rois.scale[chosen]), side, reach)
        result = result.index_copy(0, chosen, part)
    return result


def _alike(scale: Tensor, side: int, channels: int) -> Iterator[tuple[Tensor, int]]:
    """Regions that can be cut together: similar in scale, and few enough for the memory their windows take.

    Yields their numbers and the pixels along the side of the window that each of them needs.
    """
    by_scale = scale.argsort()
    values = scale[by_scale].tolist()
    first = 0
    while first < len(values):
        last = first
        while last < len(values) and values[last] <= max(_ALIKE * values[first], 1):
            last += 1
        reach = math.ceil(max(values[last - 1], 1) + values[last - 1] * (side - 1)) + 1
        last = min(last, first + max(_WINDOWS // (channels * reach**2), 1))
        yield by_scale[first:last], reach
        first = last


def _resampled(image: Tensor, rois: Rois, side: int, reach: int) -> Tensor:
    """Means over squares of ``max(scale, 1)`` image px: rows first, then columns."""
    place = torch.arange(side, device=image.device) - (side - 1) / 2
    middle = (
        rois.centre[:, :, None] + rois.scale[:, None, None] * place
    )  # (M, 2, side): region pixels' centres
    width = rois.scale.clamp(min=1)[:, None, None]
    start = (middle[..., :1] - width / 2 + 0.5).floor()  # (M, 2, 1): first pixel that has a share
    pixel = start + torch.arange(reach, device=image.device)  # (M, 2, reach)
    low = torch.maximum(middle[..., None] - width[..., None] / 2, pixel[:, :, None] - 0.5)
    high = torch.minimum(middle[..., None] + width[..., None] / 2, pixel[:, :, None] + 0.5)
    down, across = ((high - low).clamp(min=0) / width[..., None]).unbind(1)  # (M, side, reach): shares
    y, x = (at.long().clamp(0, edge - 1) for at, edge in zip(pixel.unbind(1), image.shape[1:], strict=True))
    window = image[:, y[:, :, None], x[:, None, :]].movedim(0, 1).to(down)  # (M, C, reach, reach)
    rows = down[:, None] @ window.nan_to_num(0.0, 0.0, 0.0)
    return rows @ across[:, None].mT
