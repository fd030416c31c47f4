"""What a step minimises: weighted loss terms that add up the same whether a batch is whole or in parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional

from ..losses.centroid import centroid_loss
from ..losses.size import size_loss
from .batch import Batch, generator_for
from .config import FineTuneConfig

__all__ = ["Objective", "mask_objective", "size_objective"]

Objective = Callable[[Tensor, Batch, int], dict[str, Tensor]]

_NOISE = 3  # purpose of the random numbers: the batches use 0 to 2


def mask_objective(logits: Tensor, batch: Batch, _step: int) -> dict[str, Tensor]:
    """Cross-entropy and soft Dice over the known pixels, averaged over the batch's masks."""
    total = max(batch.total_masks, 1)
    known = batch.known.to(logits.dtype)
    count = known.flatten(1).sum(1).clamp(min=1)
    entropy = functional.binary_cross_entropy_with_logits(logits, batch.target, reduction="none")
    dice = DiceLoss(reduction="none", smooth_nr=1.0, smooth_dr=1.0)
    probabilities = logits.sigmoid() * known
    overlap = dice(probabilities, batch.target * known).flatten(1).sum(1)
    # a crop without known pixels has Dice loss 0: nothing over nothing, smoothed
    return {
        "cross-entropy": ((entropy * known).flatten(1).sum(1) / count).sum() / total,
        "dice": overlap.sum() / total,
    }


def size_objective(config: FineTuneConfig, reference: float) -> Objective:
    """Squared size error by the single-sample estimator, squared centre error, and the masks' own terms.

    Parameters
    ----------
    config : FineTuneConfig
        Weights, samples, temperature, sharpness, seed.
    reference : float
        Mean object size in pixels; size and centre errors are taken relative to it, which makes the weights
        the same for thumbnails and for large images. The ``paper`` recipe takes the plain squared error.
    """
    scale = 1.0 if config.recipe == "paper" else 1.0 / max(reference, 1.0) ** 2

    def objective(logits: Tensor, batch: Batch, step: int) -> dict[str, Tensor]:
        terms = mask_objective(logits, batch, step) if batch.total_masks else {}
        windows = batch.through_windows(logits)
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
        return terms

    return objective


def _logistic(config: FineTuneConfig, batch: Batch, step: int) -> Tensor:
    """Logistic noise of this batch's objects: the same numbers whichever process or part asks."""
    generator = generator_for(config.seed, step, _NOISE)
    shape = (config.samples, batch.total_objects, *batch.domain.shape[1:])
    uniform = torch.rand(shape, generator=generator).clamp(
        min=torch.finfo(torch.float32).tiny, max=1 - 2**-24
    )
    noise: Tensor = torch.logit(uniform)[:, batch.rows.cpu()]
    return noise
