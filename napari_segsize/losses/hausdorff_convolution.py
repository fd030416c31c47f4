"""Learning from painted masks, by the disks that fit into what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_segsize.losses._masks import read_masks
from napari_segsize.losses._reduce import Reduction, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.ball import ball_means

if TYPE_CHECKING:
    from collections.abc import Sequence

_HALF = 0.5 - 1e-5  # rounding must not decide whether a half is a half
RADII = (3, 6, 9, 12, 15, 18)


def hausdorff_convolution_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    radii: Sequence[int] = RADII,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean of the squared error times how far disks around it miss the other mask, over several radii [1]_.

    ``sum_r r^alpha mean [(h(1 - B_r y) + h(B_r p)) (y - p)^2 p + (h(B_r y) + h(1 - B_r p)) (y - p)^2 y]``
    with target y, probabilities p, ``B_r`` the mean over a disk of radius r, and ``h(x) = x`` where x is at
    least a half, else 0: a wrong pixel counts for each radius whose disk lies mostly on the wrong side.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1. A plane with NaN is unlabelled and has no term.
    alpha : float
        Usually 1 to 3. Larger values listen to the largest disks only.
    radii : sequence of int
        In pixels, up to the largest error that should be told from a smaller one. Time grows with their
        number, hardly with their size.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``, 0 where
        unlabelled.

    Returns
    -------
    () or (N, C) Tensor
        0 or more; float64 for float64 logits, otherwise float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Outside the image is unknown: at its edge a disk is what lies inside. The soft threshold of the paper is
    not spelled out there; this is the one that keeps the value above a half.

    References
    ----------
    .. [1] Karimi and Salcudean, "Reducing the Hausdorff distance in medical image segmentation with
       convolutional neural networks", IEEE Transactions on Medical Imaging, 2020.
    """
    if not 0 < alpha < float("inf"):
        raise ValueError(f"alpha: expected more than 0, got {alpha}.")
    exact, truth, known = read_masks(logits, target, axes=(2, 3))
    probs = exact.sigmoid()
    values = torch.zeros(exact.shape[:2], dtype=exact.dtype, device=exact.device)
    error = (truth - probs) ** 2
    ghosts, misses = error * probs, error * truth
    for radius, near_truth, near_probs in zip(
        radii, ball_means(truth, radii), ball_means(probs, radii), strict=True
    ):
        wrong = (above_half(1 - near_truth) + above_half(near_probs)) * ghosts
        wrong = wrong + (above_half(near_truth) + above_half(1 - near_probs)) * misses
        values = values + radius**alpha * wrong.flatten(2).mean(-1)
    return reduce_planes(values, known, reduction)


def above_half(share: Tensor) -> Tensor:
    """`share` where it is at least a half, else 0."""
    return torch.where(share >= _HALF, share, 0)


class HausdorffConvolutionLoss(nn.Module):
    """Module form of `hausdorff_convolution_loss`: same parameters, same shapes."""

    def __init__(self, alpha: float = 2.0, radii: Sequence[int] = RADII) -> None:
        super().__init__()
        self.alpha, self.radii = alpha, radii

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`hausdorff_convolution_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return hausdorff_convolution_loss(logits, target, alpha=self.alpha, radii=self.radii)


HAUSDORFF_CONVOLUTION = LossInfo(
    function=hausdorff_convolution_loss,
    module=HausdorffConvolutionLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="which disks around wrong pixels miss the other mask",
    advice="Against outliers, beside Dice, where distances are slow: on a GPU, in 3-D.",
    reference="Karimi and Salcudean, Reducing the Hausdorff distance, IEEE TMI 2020",
)
