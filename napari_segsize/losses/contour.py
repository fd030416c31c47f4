"""Learning where a contour's vertices belong: from masks, and from its own shape.

Contours are ``(N, K, 2)``, or ``(T, N, K, 2)`` for the T iterations of a network: every iteration counts.
The published weights are `BALLOON_WEIGHT` and `CURVATURE_WEIGHT`. What learns from points and from sizes is
in files of its own, and offered here as well.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_segsize.losses._contours import check_contours, check_object_masks, reduce_objects, rendered
from napari_segsize.losses._reduce import Reduction
from napari_segsize.losses.contour_points import ExtremePointsLoss, extreme_points_loss
from napari_segsize.losses.contour_size import ContourSizeLoss, contour_size_loss
from napari_segsize.losses.info import LossInfo

__all__ = [
    "BALLOON",
    "BALLOON_WEIGHT",
    "CONTOUR_SEGMENTATION",
    "CURVATURE",
    "CURVATURE_WEIGHT",
    "BalloonLoss",
    "ContourSegmentationLoss",
    "ContourSizeLoss",
    "CurvatureLoss",
    "ExtremePointsLoss",
    "balloon_loss",
    "contour_segmentation_loss",
    "contour_size_loss",
    "curvature_loss",
    "extreme_points_loss",
]

BALLOON_WEIGHT = 1e-2
"""Lambda 1 of Gur et al. (ICLR 2020), beside a segmentation term of weight 1."""
CURVATURE_WEIGHT = 0.5
"""Lambda 2 of the paper, for 32 vertices; its code has 1e-3 for 70. See `curvature_loss`."""


def contour_segmentation_loss(
    contours: Tensor, target: Tensor, *, masks: Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Mean squared difference between the polygons' exact masks and the true ones, eq. 5 of [1]_.

    Parameters
    ----------
    contours : (N, K, 2) or (T, N, K, 2) float Tensor
        Closed, ``(y, x)`` in px.
    target : (N, 1, H, W) Tensor
        The true masks: boolean, or the covered share of each pixel, 0 to 1. NaN anywhere: unknown, no term.
    masks : (N, 1, H, W) or (T, N, 1, H, W) Tensor, optional
        `polygon_mask` of the contours where the caller has it already: rendering is the work here.
    reduction : {"mean", "none"}
        Mean over the objects whose target is known, summed over the iterations as in the paper; or one value
        for each contour, ``(N,)`` or ``(T, N)``, 0 where unknown.

    Returns
    -------
    () or (N,) or (T, N) Tensor

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    The gradient reaches a vertex from the pixels along its two edges alone: a contour that lies wholly off
    the object only shrinks.

    References
    ----------
    .. [1] Gur, Shaharabany and Wolf, "End to end trainable active contours via differentiable rendering",
       ICLR 2020.
    """
    check_contours(contours)
    unfit = check_object_masks(target, contours)
    masks = rendered(contours, (target.shape[2], target.shape[3]), masks)
    target = target.to(masks)
    known = ~target.isnan().flatten(1).any(1)
    error = (masks - target.nan_to_num(0.0)).square().flatten(-3).mean(-1)
    return reduce_objects(error + unfit, known, reduction)


def balloon_loss(
    contours: Tensor,
    shape: tuple[int, int],
    *,
    masks: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Share of the image that lies outside the contour, eq. 6 of [1]_: minimising it lets contours grow.

    Parameters
    ----------
    contours : (N, K, 2) or (T, N, K, 2) float Tensor
        Closed, ``(y, x)`` in px.
    shape : (int, int)
        Height and width of the image.
    masks : Tensor, optional
        As in `contour_segmentation_loss`.
    reduction : {"mean", "none"}
        Mean over objects, summed over iterations; or one value for each contour.

    Returns
    -------
    () or (N,) or (T, N) Tensor

    References
    ----------
    .. [1] Gur, Shaharabany and Wolf, ICLR 2020.
    """
    check_contours(contours)
    value = 1 - rendered(contours, shape, masks).flatten(-3).mean(-1)
    return reduce_objects(value, None, reduction)


def curvature_loss(
    contours: Tensor,
    shape: tuple[int, int],
    *,
    squared: bool = False,
    invariant: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean length of ``p[j-1] - 2 p[j] + p[j+1]``, eq. 7 of [1]_: bends and uneven spacing of the vertices.

    Parameters
    ----------
    contours : (N, K, 2) or (T, N, K, 2) float Tensor
        Closed, ``(y, x)`` in px.
    shape : (int, int)
        Height and width of the image; its longer side counts as the paper's coordinates, -1 to 1.
    squared : bool
        Squared lengths, as in the paper's text; plain ones are its code's.
    invariant : bool
        Independent of the number of vertices. The paper's value falls like 1 / K^2 (circle of radius 0.25:
        0.5 with 4 vertices, 0.0096 with 32), so that its weight belongs to one K; this one is divided by the
        value of a circle of radius 1 with as many vertices, and is the radius itself for evenly spaced
        vertices on a circle.
    reduction : {"mean", "none"}
        Mean over objects, summed over iterations; or one value for each contour.

    Returns
    -------
    () or (N,) or (T, N) Tensor

    Notes
    -----
    Any form is smallest for a contour that has shrunk to a point: it needs a term that holds against it.

    References
    ----------
    .. [1] Gur, Shaharabany and Wolf, ICLR 2020.
    """
    check_contours(contours)
    unit = contours * (2 / max(shape))
    bend = unit.roll(1, -2) - 2 * unit + unit.roll(-1, -2)  # (..., K, 2)
    if invariant:
        bend = bend / (2 - 2 * math.cos(2 * math.pi / contours.shape[-2]))
    value = bend.square().sum(-1) if squared else torch.linalg.vector_norm(bend, dim=-1)
    return reduce_objects(value.mean(-1), None, reduction)


class ContourSegmentationLoss(nn.Module):
    """Module form of `contour_segmentation_loss`: same shapes."""

    def forward(self, contours: Tensor, target: Tensor) -> Tensor:
        """`contour_segmentation_loss` of `contours` against `target` ``(N, 1, H, W)``."""
        return contour_segmentation_loss(contours, target)


class BalloonLoss(nn.Module):
    """Module form of `balloon_loss`: same shapes."""

    def forward(self, contours: Tensor, shape: tuple[int, int]) -> Tensor:
        """`balloon_loss` of `contours` in an image of `shape`."""
        return balloon_loss(contours, shape)


class CurvatureLoss(nn.Module):
    """Module form of `curvature_loss`: same parameters, same shapes."""

    def __init__(self, squared: bool = False, invariant: bool = False) -> None:
        super().__init__()
        self.squared, self.invariant = squared, invariant

    def forward(self, contours: Tensor, shape: tuple[int, int]) -> Tensor:
        """`curvature_loss` of `contours` in an image of `shape`."""
        return curvature_loss(contours, shape, squared=self.squared, invariant=self.invariant)


CONTOUR_SEGMENTATION = LossInfo(
    function=contour_segmentation_loss,
    module=ContourSegmentationLoss,
    needs=("mask",),
    acts_on="contour",
    looks_at="every pixel of the rendered polygon, at every iteration",
    advice="The main loss of a contour network. The contour must overlap the object to feel it.",
    reference="Gur, Shaharabany and Wolf, Active contours via differentiable rendering, ICLR 2020, eq. 5",
)
BALLOON = LossInfo(
    function=balloon_loss,
    module=BalloonLoss,
    needs=(),
    acts_on="contour",
    looks_at="the area of the rendered polygon",
    advice="Beside the segmentation loss, for contours that start too small; weight 0.01 in the paper.",
    reference="Gur, Shaharabany and Wolf, ICLR 2020, eq. 6; after Cohen, CVGIP 1991",
)
CURVATURE = LossInfo(
    function=curvature_loss,
    module=CurvatureLoss,
    needs=(),
    acts_on="contour",
    looks_at="bends and uneven spacing of the vertices",
    advice=(
        "Beside the segmentation loss, for smoother contours; weight 0.5 in the paper, for 32 vertices. Set "
        "`invariant` before changing the number of vertices."
    ),
    reference="Gur, Shaharabany and Wolf, ICLR 2020, eq. 7",
)
