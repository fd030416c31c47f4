"""What a step minimises: weighted loss terms that add up the same whether a batch is whole or in parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..losses.centroid import centroid_loss
from ..losses.projection import projection_loss
from ..losses.recipe import parse_recipe
from ..losses.size import size_loss
from ..ops.centroid import centroid
from ..ops.points import extents_of, extreme_points
from ..ops.size import object_size
from .augment import warp_masks
from .batch import Batch, generator_for
from .config import DEFAULT_LOSS, FineTuneConfig
from .recipe_objective import Objective, against_masks, recipe_objective

__all__ = ["Objective", "checked_masks", "mask_objective", "size_objective"]

_SIZE_STEP = 2  # px: sizes are even
_NOISE = 3  # purpose of the random numbers: the batches use 0 to 2


mask_objective = recipe_objective(parse_recipe(DEFAULT_LOSS))
"""Cross-entropy and soft Dice over the known pixels, averaged over the batch's masks."""


def size_objective(config: FineTuneConfig, reference: float, recipe: Objective = mask_objective) -> Objective:
    """Single-sample squared size error, squared centre error, extents, and the masks' own terms.

    Parameters
    ----------
    config : FineTuneConfig
        Weights, samples, temperature, sharpness, seed.
    reference : float
        Mean object size in pixels; size and centre errors are taken relative to it, which makes the weights
        the same for thumbnails and for large images. The ``paper`` recipe takes the plain squared error.
    recipe : Objective
        What is learned from masks and images.
    """
    scale = 1.0 if config.recipe == "paper" else 1.0 / max(reference, 1.0) ** 2

    def objective(
        logits: Tensor, batch: Batch, step: int, teacher: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        terms = recipe(logits, batch, step, teacher)
        windows = batch.through_windows(logits[: len(batch.images)])
        if batch.total_sizes and config.size_weight:
            noise = _logistic(config, batch, step).to(logits.device)
            value = size_loss(
                windows,
                batch.size,
                samples=config.samples,
                temperature=config.temperature,
                noise=noise,
                mask=batch.domain,
                reduction="none",
            )
            terms["size"] = config.size_weight * scale * value.sum() / batch.total_sizes
        if batch.total_centres and config.centre_weight:
            diagonal = sum(side**2 for side in windows.shape[2:])
            value = centroid_loss(
                windows, batch.centre, sharpness=config.sharpness, mask=batch.domain, reduction="none"
            )
            terms["centre"] = config.centre_weight * scale * diagonal * value.sum() / batch.total_centres
        if batch.total_extents and config.extent_weight:
            value = projection_loss(windows, batch.points, mask=batch.domain, reduction="none")
            terms["extents"] = config.extent_weight * value.sum() / batch.total_extents
        if batch.total_turned and config.own_weight:
            target, known = checked_masks(batch, teacher)
            turned = warp_masks(target, known, batch.matrices)
            entropy, dice = against_masks(logits[len(batch.images) :], *turned)
            terms["own masks"] = config.own_weight * (entropy + dice) / batch.total_turned
        return terms

    return objective


def checked_masks(batch: Batch, teacher: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Masks of the teacher on the crops with sizes, known where they agree with what was said of the object.

    Size, centre and extents cannot replace a mask, but they tell a right one from a wrong one: within an
    object's own pixels the teacher's mask counts as known if its size is within 2 px (one step of the even
    sizes), its centroid within 1 px + 15 % of the size, and each side within 1 px + 5 % of the extent. What
    is unknown is not asked for.

    Returns
    -------
    target : (S, 1, h, w) float Tensor
    known : (S, 1, h, w) bool Tensor
    """
    with torch.no_grad():
        straight, mirrored = teacher(batch.clean), teacher(batch.clean.flip(-1)).flip(-1)
        masks = straight.sigmoid() + mirrored.sigmoid() > 1
        seen = torch.zeros_like(batch.images[:, :1], dtype=torch.bool)
        seen[batch.origin] = masks
        windows = batch.through_windows(seen) & batch.domain
        # NaN, where something is unknown, is not far
        fits = ~((object_size(windows) - batch.size).abs() > _SIZE_STEP)
        away = (centroid(windows.float()) - batch.centre).square().sum(-1).sqrt()
        fits &= ~(away > 1 + 0.15 * batch.size)
        fits &= _ends_right(windows, batch)
        fits &= ~(batch.size.isnan() & extents_of(batch.points).isnan().any(-1))
        known = torch.zeros_like(seen)
        height, width = batch.domain.shape[2:]
        for k in fits.flatten().nonzero()[:, 0].tolist():
            y, x = batch.corner[k].tolist()
            known[batch.owner[k], :, y : y + height, x : x + width] |= batch.domain[k]
        return masks.to(batch.target.dtype), known[batch.origin]


def _ends_right(windows: Tensor, batch: Batch) -> Tensor:
    """Whether each mask ``(K, 1)`` ends where its object does, as far as that is known and in the window."""
    wanted = extents_of(batch.points)
    inside = torch.tensor([*windows.shape[2:]] * 2, device=wanted.device) - 1
    wanted = wanted.clamp(min=0).minimum(inside)  # NaN stays
    low, high = wanted[..., :2], wanted[..., 2:]
    most = 1 + 0.05 * (high - low).amax(-1, keepdim=True)
    found = extents_of(extreme_points(windows)).nan_to_num(-torch.inf)  # an empty mask ends nowhere
    return ~((found - wanted).abs() > most).any(-1)


def _logistic(config: FineTuneConfig, batch: Batch, step: int) -> Tensor:
    """Logistic noise of this batch's objects: the same numbers whichever process or part asks."""
    generator = generator_for(config.seed, step, _NOISE)
    shape = (config.samples, batch.total_objects, *batch.domain.shape[1:])
    uniform = torch.rand(shape, generator=generator).clamp(
        min=torch.finfo(torch.float32).tiny, max=1 - 2**-24
    )
    noise: Tensor = torch.logit(uniform)[:, batch.rows.cpu()]
    return noise
