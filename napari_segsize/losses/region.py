"""Learning from painted masks: cross-entropy and Dice, as torch and MONAI compute them."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


def bce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy of the paper's eq. 6, in the numerically stable form of torch.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1.

    Returns
    -------
    () Tensor
        Mean over all pixels; the paper sums instead, which only scales the learning rate.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    _check(logits, target)
    return nn.functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice overlap, as MONAI's `DiceLoss` computes it. 0 when both masks are empty.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1.

    Returns
    -------
    () Tensor
        Mean over planes; float32 unless logits are float64, since sums of half precision overflow.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    from monai.losses.dice import DiceLoss as MonaiDice  # takes seconds to import

    _check(logits, target)
    exact = logits.double() if logits.element_size() == 8 else logits.float()
    return cast("Tensor", MonaiDice(sigmoid=True)(exact, target.to(exact.dtype)))


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


def _check(logits: Tensor, target: Tensor) -> None:
    if logits.shape != target.shape:
        raise ValueError(f"target: expected {tuple(logits.shape)} as logits, got {tuple(target.shape)}.")
