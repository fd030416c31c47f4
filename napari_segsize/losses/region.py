"""Learning from painted masks: cross-entropy and Dice."""

from __future__ import annotations

from torch import Tensor, nn

from napari_segsize.losses._masks import over_planes
from napari_segsize.losses._reduce import Reduction
from napari_segsize.ops.pixel_sums import mean_entropy, soft_counts

_SMOOTH = 1e-5  # MONAI's


def bce_loss(logits: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean binary cross-entropy of the paper's eq. 6, from logits, so that it is stable.

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
    return over_planes(mean_entropy, logits, target, reduction)


def dice_loss(logits: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """One minus the soft Dice overlap, the value of MONAI's `DiceLoss`. 0 when both masks are empty.

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
    return over_planes(_dice, logits, target, reduction)


def _dice(logits: Tensor, target: Tensor) -> Tensor:
    both, mass, area = soft_counts(logits, target)
    return 1 - (2 * both + _SMOOTH) / (mass + area + _SMOOTH)


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
