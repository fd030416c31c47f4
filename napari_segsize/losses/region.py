"""Learning from painted masks: cross-entropy and Dice, as torch and MONAI compute them."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from napari_segsize.losses._masks import read_masks, read_pair
from napari_segsize.losses._reduce import Reduction, reduce_planes


def bce_loss(logits: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean binary cross-entropy of the paper's eq. 6, in the numerically stable form of torch.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1. A plane with NaN is unlabelled and has no term.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``.

    Returns
    -------
    () or (N, C) Tensor
        Mean over pixels; the paper sums instead, which only scales the learning rate. float64 for float64
        logits, otherwise float32.

    Raises
    ------
    ValueError
        If a shape, a device or an option does not fit.
    """
    if reduction == "mean" and logits.device.type == "cpu":
        value = nn.functional.binary_cross_entropy_with_logits(*read_pair(logits, target))
        if not value.isnan():  # nothing is unlabelled, or wrong: the same in one go
            return value
    exact, truth, known = read_masks(logits, target)
    terms = nn.functional.binary_cross_entropy_with_logits(exact, truth, reduction="none")
    return reduce_planes(terms.flatten(2).mean(-1), known, reduction)


def dice_loss(logits: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """One minus the soft Dice overlap, as MONAI's `DiceLoss` computes it. 0 when both masks are empty.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1. A plane with NaN is unlabelled and has no term.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``.

    Returns
    -------
    () or (N, C) Tensor
        float32 unless logits are float64, since sums of half precision overflow.

    Raises
    ------
    ValueError
        If a shape, a device or an option does not fit.
    """
    from monai.losses.dice import DiceLoss as MonaiDice  # takes seconds to import

    if reduction == "mean" and logits.device.type == "cpu":
        value = cast("Tensor", MonaiDice(sigmoid=True)(*read_pair(logits, target)))
        if not value.isnan():
            return value
    exact, truth, known = read_masks(logits, target)
    values = cast("Tensor", MonaiDice(sigmoid=True, reduction="none")(exact, truth))
    return reduce_planes(values.flatten(2).mean(-1), known, reduction)


class BceLoss(nn.Module):
    """Module form of `bce_loss`: same shapes."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`bce_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return bce_loss(logits, target)


class DiceLoss(nn.Module):
    """Module form of `dice_loss`: same shapes."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`dice_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return dice_loss(logits, target)
