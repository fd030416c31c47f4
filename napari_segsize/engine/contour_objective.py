"""What a step of a contour network minimises."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..losses.contour import balloon_loss, curvature_loss, extreme_points_loss
from ..losses.contour_distance import contour_distance_loss
from ..losses.contour_size import contour_size_loss
from ..models.contour import evolve_contours
from ..ops.polygon import polygon_mask
from .contour_batch import ContourBatch
from .contour_config import ContourConfig

__all__ = ["ContourObjective", "contour_objective"]

ContourObjective = Callable[[Tensor, ContourBatch, int, Callable[[Tensor], Tensor]], dict[str, Tensor]]


def contour_objective(config: ContourConfig) -> ContourObjective:
    """The losses of the paper (eqs. 5 to 8), and two that need no mask: extreme points and size.

    Every iteration of the contour counts, as in the paper. Each term is a share of the whole batch's mean, so
    that the parts of a batch add up. Points and sizes teach where no mask is known.
    """

    def objective(
        displacement: Tensor, batch: ContourBatch, _step: int, _teacher: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        contours = evolve_contours(displacement, batch.contours, config.iterations)[1:]
        shape = (int(batch.target.shape[2]), int(batch.target.shape[3]))
        masks = polygon_mask(contours.flatten(0, 1), shape).view(*contours.shape[:2], 1, *shape)
        terms: dict[str, Tensor] = {}
        if batch.masked.any():
            error = (masks - batch.target).square().flatten(2).mean(-1)  # (T, B)
            terms["segmentation"] = (error * batch.masked).sum()
            if config.distance_weight:
                value = contour_distance_loss(contours, batch.target, reduction="none")
                terms["distance"] = config.distance_weight * (value * batch.masked).sum()
        if config.balloon_weight:
            value = balloon_loss(contours, shape, masks=masks, reduction="none")
            terms["balloon"] = config.balloon_weight * value.sum()
        if config.curvature_weight:
            terms["curvature"] = (
                config.curvature_weight * curvature_loss(contours, shape, reduction="none").sum()
            )
        if not batch.masked.all():
            terms |= _weak_terms(config, contours, masks, batch)
        return {name: value / max(batch.total, 1) for name, value in terms.items()}

    return objective


def _weak_terms(
    config: ContourConfig, contours: Tensor, masks: Tensor, batch: ContourBatch
) -> dict[str, Tensor]:
    """What extreme points and sizes say of the objects without a mask, summed."""
    weak = ~batch.masked
    contours, masks = contours[:, weak], masks[:, weak]
    shape = (int(masks.shape[-2]), int(masks.shape[-1]))
    terms = {}
    points, size = batch.points[weak], batch.size[weak]
    if config.points_weight and not points.isnan().all():
        # clicks lie on the outline, not on the centres of the outermost pixels
        value = extreme_points_loss(contours, points, pixel=0.0, reduction="none")
        terms["extreme points"] = config.points_weight * value.sum()
    if config.size_weight and not size.isnan().all():
        value = contour_size_loss(
            contours, size, shape, pixel=batch.pixel[weak], masks=masks, reduction="none"
        )
        terms["size"] = config.size_weight * value.sum()
    return terms
