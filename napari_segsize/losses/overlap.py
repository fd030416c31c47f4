"""Learning from painted masks, by overlap: generalised Dice and Tversky."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from napari_segsize.losses._masks import over_planes
from napari_segsize.losses._reduce import Reduction
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.pixel_sums import soft_counts

ClassWeight = Literal["square", "simple", "uniform"]
"""What a class weighs: one over its squared area, one over its area, or as much as the other."""

_SMOOTH = 1e-5


def generalised_dice_loss(
    logits: Tensor, target: Tensor, *, weight: ClassWeight = "square", reduction: Reduction = "mean"
) -> Tensor:
    """One minus the Dice overlap of foreground and background together, each weighted by its rarity.

    ``1 - 2 sum_l w_l sum(p_l y_l) / sum_l w_l sum(p_l + y_l)`` over the classes l of a plane, foreground and
    background, with ``w_l = 1 / area_l ** 2`` of the target [1]_.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; every (n, c) plane is one mask with a background of its own.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1. A plane with NaN is unlabelled and has no term.
    weight : {"square", "simple", "uniform"}
        One over the squared area (the paper's), over the area, or none. The squared area makes a small object
        count like a large background, and its single pixels count more.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``, 0 where
        unlabelled.

    Returns
    -------
    () or (N, C) Tensor
        Between 0 and 1; float64 for float64 logits, otherwise float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    A class that is absent from the target weighs as much as the other one, as in MONAI. MONAI adds its
    smoothing to sums that shrink with the squared area, so that on large images the smoothing decides: with
    the left half of 1024 x 1024 pixels as the target, a prediction of the right half costs 0.43 there. Here
    the largest weight is scaled to 1, and it costs 1.

    References
    ----------
    .. [1] Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly unbalanced
       segmentations", DLMIA, 2017.
    """
    if weight not in get_args(ClassWeight):
        raise ValueError(f'weight: expected "square", "simple" or "uniform", got {weight!r}.')
    return over_planes(partial(_generalised_dice, weight=weight), logits, target, reduction)


def _generalised_dice(logits: Tensor, target: Tensor, weight: ClassWeight) -> Tensor:
    count = logits.shape[2:].numel()
    both, mass, area = soft_counts(logits, target)  # (N, C)
    overlap = torch.stack([both, count - mass - area + both], -1)  # foreground, background
    total = torch.stack([mass + area, 2 * count - mass - area], -1)
    areas = torch.stack([area, count - area], -1)
    power = {"square": 2, "simple": 1, "uniform": 0}[weight]
    present = areas > 0
    least = torch.where(present, areas, torch.inf).amin(-1, keepdim=True)
    scaled = torch.where(present, (least / areas.clamp(min=_SMOOTH)) ** power, 1)  # the largest weight is 1
    return 1 - (2 * (scaled * overlap).sum(-1) + _SMOOTH) / ((scaled * total).sum(-1) + _SMOOTH)


def tversky_loss(
    logits: Tensor,
    target: Tensor,
    *,
    ghosts: float = 0.3,
    misses: float = 0.7,
    reduction: Reduction = "mean",
) -> Tensor:
    """One minus the Tversky index: Dice with a price for each kind of error.

    ``1 - TP / (TP + ghosts FP + misses FN)`` on soft counts.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1. A plane with NaN is unlabelled and has no term.
    ghosts, misses : float
        Prices of a false positive and of a false negative pixel: alpha and beta of [1]_, which found 0.3 and
        0.7 best for small lesions. More for misses gives larger masks. 0.5 and 0.5 are Dice, 1 and 1 IoU.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``, 0 where
        unlabelled.

    Returns
    -------
    () or (N, C) Tensor
        Between 0 and 1; float64 for float64 logits, otherwise float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    References
    ----------
    .. [1] Salehi, Erdogmus and Gholipour, "Tversky loss function for image segmentation using 3D fully
       convolutional deep networks", MLMI, 2017.
    """
    if not (ghosts >= 0 and misses >= 0 and ghosts + misses > 0):
        raise ValueError(
            f"ghosts, misses: expected prices of 0 or more, not both 0, got {ghosts} and {misses}."
        )
    return over_planes(partial(_tversky, ghosts=ghosts, misses=misses), logits, target, reduction)


def _tversky(logits: Tensor, target: Tensor, ghosts: float, misses: float) -> Tensor:
    both, mass, area = soft_counts(logits, target)
    errors = ghosts * (mass - both) + misses * (area - both)
    return 1 - (both + _SMOOTH) / (both + errors + _SMOOTH)


class GeneralisedDiceLoss(nn.Module):
    """Module form of `generalised_dice_loss`: same parameters, same shapes."""

    def __init__(self, weight: ClassWeight = "square") -> None:
        super().__init__()
        self.weight: ClassWeight = weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`generalised_dice_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return generalised_dice_loss(logits, target, weight=self.weight)


class TverskyLoss(nn.Module):
    """Module form of `tversky_loss`: same parameters, same shapes."""

    def __init__(self, ghosts: float = 0.3, misses: float = 0.7) -> None:
        super().__init__()
        self.ghosts, self.misses = ghosts, misses

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`tversky_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return tversky_loss(logits, target, ghosts=self.ghosts, misses=self.misses)


GENERALISED_DICE = LossInfo(
    function=generalised_dice_loss,
    module=GeneralisedDiceLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="the overlap of foreground and background, the rarer weighted more",
    advice="For objects that are tiny beside their background. Rougher than Dice: keep cross-entropy beside.",
    reference="Sudre et al., Generalised Dice overlap, DLMIA 2017",
)
TVERSKY = LossInfo(
    function=tversky_loss,
    module=TverskyLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="the overlap of all pixels, with a price for each kind of error",
    advice="When missing a pixel is worse than inventing one, or the reverse: raise `misses` or `ghosts`.",
    reference="Salehi, Erdogmus and Gholipour, MLMI 2017; MONAI TverskyLoss",
)
