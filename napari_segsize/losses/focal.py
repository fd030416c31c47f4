"""Learning from painted masks, mostly from the pixels that are still wrong."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from napari_segsize.losses._masks import over_planes
from napari_segsize.losses._reduce import Reduction
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.pixel_sums import mean_focal


def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy in which a pixel weighs less the better it is classified.

    ``- alpha_t (1 - p_t) ** gamma log p_t`` a pixel, with ``p_t`` the probability of the true class.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1. A plane with NaN is unlabelled and has no term.
    gamma : float
        Usually 0.5 to 5. Larger values look away from easy pixels sooner; 0 is plain cross-entropy.
    alpha : float, optional
        Weight of the foreground in 0..1; the background has ``1 - alpha``. [1]_ takes 0.25 with ``gamma=2``.
        None weighs both alike.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``, 0 where
        unlabelled.

    Returns
    -------
    () or (N, C) Tensor
        Mean over the pixels of a plane; float64 for float64 logits, otherwise float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    The value of MONAI's function; MONAI's module turns everything to float32, which this one does not.

    References
    ----------
    .. [1] Lin et al., "Focal loss for dense object detection", ICCV, 2017.
    """
    if not gamma >= 0:
        raise ValueError(f"gamma: expected 0 or more, got {gamma}.")
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha: expected a number from 0 to 1, or None, got {alpha}.")
    return over_planes(partial(mean_focal, gamma=gamma, alpha=alpha), logits, target, reduction)


class FocalLoss(nn.Module):
    """Module form of `focal_loss`: same parameters, same shapes."""

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, alpha

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`focal_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return focal_loss(logits, target, gamma=self.gamma, alpha=self.alpha)


FOCAL = LossInfo(
    function=focal_loss,
    module=FocalLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="every pixel on its own, the wrong ones most",
    advice="When easy background drowns the object. Noisy masks mislead it: it looks at just those pixels.",
    reference="Lin et al., Focal loss for dense object detection, ICCV 2017; MONAI sigmoid_focal_loss",
)
