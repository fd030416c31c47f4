"""Learning where a contour's vertices belong from nothing but the object's size."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from napari_segsize.losses._contours import check_contours, check_pixel, reduce_objects, rendered
from napari_segsize.losses._masks import check_numbers
from napari_segsize.losses._reduce import Reduction, check_tensor
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.centroid import centroid
from napari_segsize.ops.distance import chebyshev_distance

_FULL = 1 - 1e-3  # a pixel covered by more belongs to the inside
_STEPS = (0.5, 0.25)  # px: how the square's centre is brought to its place


def contour_size_loss(
    contours: Tensor,
    size: Tensor,
    shape: tuple[int, int],
    *,
    pixel: float | Tensor = 1.0,
    temperature: float = 0.5,
    masks: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared difference of the side of the largest square in the rendered mask and the object's size.

    Relative to the size. The square is measured to half a pixel, from the covered shares of the pixels that
    hold it; the gradient raises or lowers these shares, and `polygon_mask` carries it to the vertices.

    Parameters
    ----------
    contours : (N, K, 2) or (T, N, K, 2) float Tensor
        Closed, ``(y, x)`` in px.
    size : (N, 1) float Tensor
        True sizes in px of the contours, as `napari_segsize.ops.object_size` defines them. NaN: unknown.
    shape : (int, int)
        Height and width of the image. What lies outside is unknown: a square is not held by the border.
    pixel : float or (N,) Tensor
        Side of an image pixel in px of the contours: 1, or ``1 / scale`` for contours in a resampled region.
        A size is even, and stands for widths of one pixel less as well; the loss aims between the two.
    temperature : float
        Usually 0.25 to 2. How many pixels farther out than those that hold the square, others are moved
        along: the gradient is that of a soft minimum of distances, the value that of the plain one. Larger
        values move more of the outline at a time, and parts that do not matter.
    masks : (N, 1, H, W) or (T, N, 1, H, W) Tensor, optional
        `polygon_mask` of the contours where the caller has it already.
    reduction : {"mean", "none"}
        Mean over the objects of known size, summed over iterations; or one value for each contour, ``(N,)``
        or ``(T, N)``, 0 where unknown.

    Returns
    -------
    () or (N,) or (T, N) Tensor

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    `size_loss` draws every pixel on its own, which suits a network that is unsure of many pixels. A polygon
    is unsure of its outline alone: a larger square needs a whole row of those pixels at once, so that
    flipping single ones tells it how to shrink but hardly ever how to grow. Here the polygon's own geometry
    is used: the largest square is held by the outermost pixels that it touches, and moving these moves its
    side.
    """
    check_contours(contours)
    check_tensor("size", size)
    if size.shape != (contours.shape[-3], 1):
        raise ValueError(
            f"size: expected {(contours.shape[-3], 1)} for contours {tuple(contours.shape)}, "
            f"got {tuple(size.shape)}."
        )
    check_pixel(pixel)
    unfit = check_numbers("size", size, contours, "contours", least=0)
    if not temperature > 0:
        raise ValueError(f"temperature: expected more than 0, got {temperature}.")
    masks = rendered(contours, shape, masks)
    size = size[:, 0].to(masks)
    known = ~size.isnan()
    width = 2 * _reach(masks.reshape(-1, 1, *shape), temperature).reshape(masks.shape[:-3])
    goal = (size - torch.as_tensor(pixel).to(size) / 2).nan_to_num(0.0).clamp(min=0)
    error = ((width - goal) / goal.clamp(min=1)) ** 2
    return reduce_objects(error + unfit, known, reduction)


@torch.no_grad()
def largest_square(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Centre ``(B, 2)`` and side ``(B,)`` of the largest square inside coverages ``(B, 1, H, W)``, in px."""
    centre = _centre(masks)
    return centre, 2 * _distances(masks, centre).amin(-1)


def _reach(masks: Tensor, temperature: float) -> Tensor:
    """Half the side ``(B,)`` of the largest square inside coverages ``(B, 1, H, W)``, in px."""
    centre = _centre(masks.detach())
    distance = _distances(masks, centre)
    hard = distance.amin(-1)
    soft = -temperature * torch.logsumexp(-distance / temperature, -1)
    return soft + (hard - soft).detach()


def _distances(masks: Tensor, centre: Tensor) -> Tensor:
    """Chebyshev distance ``(B, H * W)`` from a place to the uncovered part of each pixel.

    A pixel is covered from its near side on: its share is how much farther the uncovered part begins. Pixels
    inside do not limit anything; without others, the image's side does.
    """
    away = torch.zeros_like(masks[:, 0])
    for axis, side in enumerate(masks.shape[2:]):
        place = torch.arange(side, device=masks.device, dtype=masks.dtype)
        line = (place - centre[:, axis, None]).abs()
        away = torch.maximum(away, line[:, :, None] if axis == 0 else line[:, None, :])
    distance = torch.where(masks[:, 0] < _FULL, away - 0.5 + masks[:, 0], max(masks.shape[2:]))
    return distance.flatten(1)


def _centre(masks: Tensor) -> Tensor:
    """Centre ``(B, 2)`` of the largest square: the deepest pixel of the mask, then to fractions of it."""
    solid = masks > 0.5
    depth = chebyshev_distance(solid)
    deepest = depth == depth.flatten(2).amax(-1)[..., None, None]
    weights = torch.where(solid.flatten(2).any(-1)[..., None, None], deepest.to(masks), masks)
    middle = centroid(weights)[:, 0]
    best = _nearest(deepest & solid, middle)
    reach = _distances(masks, best).amin(-1)
    for step in _STEPS:
        for move in product((-step, 0.0, step), repeat=2):
            tried = best + masks.new_tensor(move)
            found = _distances(masks, tried).amin(-1)
            better = found > reach
            best = torch.where(better[:, None], tried, best)
            reach = torch.where(better, found, reach)
    return best


def _nearest(candidates: Tensor, middle: Tensor) -> Tensor:
    """The pixel ``(B, 2)`` of `candidates` ``(B, 1, H, W)`` nearest to `middle`; `middle` without any."""
    y, x = (torch.arange(side, device=middle.device, dtype=middle.dtype) for side in candidates.shape[2:])
    square = (y[:, None] - middle[:, 0, None, None]) ** 2 + (x - middle[:, 1, None, None]) ** 2
    square = torch.where(candidates[:, 0], square, torch.inf).flatten(1)
    number = square.argmin(-1)
    pixel = torch.stack([number // candidates.shape[3], number % candidates.shape[3]], -1).to(middle)
    return torch.where(candidates.flatten(1).any(1)[:, None], pixel, middle)


class ContourSizeLoss(nn.Module):
    """Module form of `contour_size_loss`: same parameters, same shapes."""

    def __init__(self, pixel: float = 1.0, temperature: float = 0.5) -> None:
        super().__init__()
        self.pixel, self.temperature = pixel, temperature

    def forward(self, contours: Tensor, size: Tensor, shape: tuple[int, int]) -> Tensor:
        """`contour_size_loss` of `contours` against `size` ``(N, 1)`` in an image of `shape`."""
        return contour_size_loss(contours, size, shape, pixel=self.pixel, temperature=self.temperature)


CONTOUR_SIZE = LossInfo(
    function=contour_size_loss,
    module=ContourSizeLoss,
    needs=("size",),
    acts_on="contour",
    looks_at="the largest square inside the rendered polygon",
    advice=(
        "Instead of masks, for objects with a size. It moves the outline where it holds the square: keep "
        "points, masks or the curvature term beside it."
    ),
    reference="Size as in Baručić and Kybic, ITAT 2022; the gradient is ours",
)
