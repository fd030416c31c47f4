"""Learning from painted masks, by the distance of wrong pixels to the outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_segsize.losses._masks import check_device, check_spacing, read_masks
from napari_segsize.losses._reduce import Reduction, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.signed_distance import edge_distance, has_edge

if TYPE_CHECKING:
    from collections.abc import Sequence


def hausdorff_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    spacing: Sequence[float] | None = None,
    target_distance: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean of the squared error times the distances to both outlines, each to the power `alpha` [1]_.

    ``mean (y - p)^2 (d_y^alpha + d_p^alpha)``, with d the Euclidean distance to the outline of the target and
    of the prediction at 0.5. No gradient passes through the distances.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1 (its outline where it passes 0.5). A plane with NaN
        is unlabelled and has no term.
    alpha : float
        Usually 1 to 3. Larger values listen to the farthest errors only, and make the loss large: with 2, an
        error 30 px away counts 900 times.
    spacing : sequence of float, optional
        Sides of a pixel, ``(y, x)`` or ``(z, y, x)``; distances are then in that unit.
    target_distance : (N, C, *spatial) float Tensor, optional
        What `outline_distance` made of the target earlier, to save its computation.
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
    A mask without outline, empty or full, has distance 0, so the loss is 0 when neither mask has one: keep
    Dice or cross-entropy beside it. The value is MONAI's `HausdorffDTLoss`.

    References
    ----------
    .. [1] Karimi and Salcudean, "Reducing the Hausdorff distance in medical image segmentation with
       convolutional neural networks", IEEE Transactions on Medical Imaging, 2020, eq. 8.
    """
    return _loss(logits, target, alpha, spacing, target_distance, reduction, both=True)


def one_sided_hausdorff_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    spacing: Sequence[float] | None = None,
    target_distance: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """`hausdorff_loss` with the distance to the true outline alone, which never changes and can be kept.

    ``mean (y - p)^2 d_y^alpha``. It hears a ghost or a miss by its distance from the true outline; cheaper,
    and calmer at the start, when the outline of the prediction jumps about.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask; a plane with NaN is unlabelled. One that is empty or full has no outline and no term.
    alpha : float
        Usually 1 to 3. Larger values listen to the farthest errors only.
    spacing : sequence of float, optional
        Sides of a pixel.
    target_distance : (N, C, *spatial) float Tensor, optional
        What `outline_distance` made of the target earlier.
    reduction : {"mean", "none"}
        Mean over the labelled planes, or one value a plane ``(N, C)``.

    Returns
    -------
    () or (N, C) Tensor
        0 or more.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.
    """
    return _loss(logits, target, alpha, spacing, target_distance, reduction, both=False)


def outline_distance(mask: Tensor, *, spacing: Sequence[float] | None = None) -> Tensor:
    """Euclidean distance to the nearest pixel of the other kind; 0 throughout for a plane that has one kind.

    Parameters
    ----------
    mask : (N, C, *spatial) Tensor
        2-D or 3-D: boolean, integer or float (foreground above 0.5).
    spacing : sequence of float, optional
        Sides of a pixel.

    Returns
    -------
    (N, C, *spatial) float32 Tensor
    """
    binary = mask if mask.dtype == torch.bool else mask > 0.5
    edges = has_edge(binary)
    return edge_distance(binary, spacing=spacing) * edges.reshape(*edges.shape, *[1] * (mask.ndim - 2))


def _loss(
    logits: Tensor,
    target: Tensor,
    alpha: float,
    spacing: Sequence[float] | None,
    target_distance: Tensor | None,
    reduction: Reduction,
    *,
    both: bool,
) -> Tensor:
    if not 0 < alpha < float("inf"):
        raise ValueError(f"alpha: expected more than 0, got {alpha}.")
    exact, truth, known = read_masks(logits, target, axes=(2, 3))
    sides = check_spacing(spacing, logits)
    if target_distance is None:
        target_distance = outline_distance(truth, spacing=sides)
    elif target_distance.shape != logits.shape:
        raise ValueError(
            f"target_distance: expected {tuple(logits.shape)} as logits, got {tuple(target_distance.shape)}."
        )
    check_device("target_distance", target_distance, logits)
    weight = target_distance.to(exact.dtype) ** alpha
    if both:
        weight = weight + outline_distance(exact.detach() > 0, spacing=sides).to(exact.dtype) ** alpha
    values = ((exact.sigmoid() - truth) ** 2 * weight).flatten(2).mean(-1)  # (N, C)
    return reduce_planes(values, known, reduction)


class HausdorffLoss(nn.Module):
    """Module form of `hausdorff_loss`: same parameters, same shapes."""

    def __init__(self, alpha: float = 2.0, spacing: Sequence[float] | None = None) -> None:
        super().__init__()
        self.alpha, self.spacing = alpha, spacing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`hausdorff_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return hausdorff_loss(logits, target, alpha=self.alpha, spacing=self.spacing)


class OneSidedHausdorffLoss(HausdorffLoss):
    """Module form of `one_sided_hausdorff_loss`: same parameters, same shapes."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`one_sided_hausdorff_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return one_sided_hausdorff_loss(logits, target, alpha=self.alpha, spacing=self.spacing)


_REFERENCE = "Karimi and Salcudean, Reducing the Hausdorff distance, IEEE TMI 2020"
HAUSDORFF = LossInfo(
    function=hausdorff_loss,
    module=HausdorffLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="how far wrong pixels lie from both outlines",
    advice=(
        "Against outliers, beside Dice, weighted so that both terms are of one size. Costs two distance maps "
        "a step."
    ),
    reference=_REFERENCE,
)
ONE_SIDED_HAUSDORFF = LossInfo(
    function=one_sided_hausdorff_loss,
    module=OneSidedHausdorffLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="how far wrong pixels lie from the true outline",
    advice="As the Hausdorff loss, for half the price: the distance to the true outline does not change.",
    reference=_REFERENCE,
)
