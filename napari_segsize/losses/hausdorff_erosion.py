"""Learning from painted masks, by eroding what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from napari_segsize.losses._masks import read_masks
from napari_segsize.losses._reduce import Reduction, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.skeleton import erode

if TYPE_CHECKING:
    from collections.abc import Iterator

Erosion = Literal["gain", "grey", "literal", "stretch"]
"""How one erosion of the squared error is made."""


def hausdorff_erosion_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    erosions: int = 10,
    erosion: Erosion = "gain",
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean of what is left of the squared error after k erosions, times ``k^alpha``, summed over k [1]_.

    An error more than 2k pixels wide survives k erosions: wide errors cost most, ragged edges nothing.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1. A plane with NaN is unlabelled and has no term.
    alpha : float
        Usually 1 to 3. Larger values listen to the widest errors only.
    erosions : int
        Usually 5 to 20: errors wider than twice that all look alike.
    erosion : {"gain", "grey", "literal", "stretch"}
        "gain": ``max(2 m - 1, 0)`` with m the mean over the cross of neighbours; full regions stay 1, thin
        ones die, and so do errors of less than a half. "grey": the least value of the cross; faint errors
        never die, and have a gradient. "literal": ``max(m - 1/2, 0)``, the published formula, in which
        nothing survives a second erosion. "stretch": that, stretched to 0..1 again as published code does, in
        which nothing ever dies. The last two are for comparison with others' results.
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
    A squared error of less than a half erodes to 0 at once (not with "grey"): a probability of 0.5 everywhere
    has loss 0 **and gradient 0**. Keep Dice or cross-entropy beside it.

    Outside the image is unknown, so errors are not eroded from its edge; "literal" and "stretch" erode from
    there, as published.

    References
    ----------
    .. [1] Karimi and Salcudean, "Reducing the Hausdorff distance in medical image segmentation with
       convolutional neural networks", IEEE Transactions on Medical Imaging, 2020.
    """
    if not 0 < alpha < float("inf"):
        raise ValueError(f"alpha: expected more than 0, got {alpha}.")
    if erosions < 1:
        raise ValueError(f"erosions: expected 1 or more, got {erosions}.")
    if erosion not in get_args(Erosion):
        raise ValueError(f'erosion: expected "gain", "grey", "literal" or "stretch", got {erosion!r}.')
    exact, truth, known = read_masks(logits, target, axes=(2, 3))
    values = torch.zeros(exact.shape[:2], dtype=exact.dtype, device=exact.device)
    for k, left in enumerate(residues((exact.sigmoid() - truth) ** 2, erosions, erosion), start=1):
        values = values + k**alpha * left.flatten(2).mean(-1)
    return reduce_planes(values + 0 * exact.flatten(2).sum(-1), known, reduction)  # NaN logits are not hidden


def residues(error: Tensor, erosions: int, erosion: Erosion = "gain") -> Iterator[Tensor]:
    """What is left of `error` ``(N, C, *spatial)`` after 1, 2, .. `erosions` erosions."""
    for _ in range(erosions):
        if erosion == "grey":
            error = erode(error)
        elif erosion == "gain":
            error = cast("Tensor", _Gain.apply(error))  # type: ignore[no-untyped-call]
        else:
            error = (_cross_sum(error) / (2 * error.ndim - 3) - 0.5).relu()
            if erosion == "stretch":
                error = _stretched(error)
        yield error


class _Gain(torch.autograd.Function):
    """``max(2 m - 1, 0)`` with m the mean over what of the cross lies in the image."""

    @staticmethod
    def forward(ctx: Any, error: Tensor) -> Tensor:
        gain = 2 / _cross_sum(torch.ones_like(error[:1, :1]))
        out = _cross_sum(error).mul_(gain).sub_(1).clamp_(min=0)
        ctx.save_for_backward(out, gain)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        out, gain = ctx.saved_tensors
        return _cross_sum(torch.where(out > 0, upstream * gain, 0))


def _cross_sum(image: Tensor) -> Tensor:
    """Sum over the cross of neighbours that share a side; outside the image is 0. Its own transpose."""
    total = image.clone()
    for axis in range(2, image.ndim):
        rest = image.shape[axis] - 1
        total.narrow(axis, 1, rest).add_(image.narrow(axis, 0, rest))
        total.narrow(axis, 0, rest).add_(image.narrow(axis, 1, rest))
    return total


def _stretched(image: Tensor) -> Tensor:
    """Every plane stretched to 0..1, unless it is flat."""
    dims = tuple(range(2, image.ndim))
    low, high = image.amin(dims, keepdim=True), image.amax(dims, keepdim=True)
    span = high - low
    return torch.where(span > 0, (image - low) / torch.where(span > 0, span, 1), image)


class HausdorffErosionLoss(nn.Module):
    """Module form of `hausdorff_erosion_loss`: same parameters, same shapes."""

    def __init__(self, alpha: float = 2.0, erosions: int = 10, erosion: Erosion = "gain") -> None:
        super().__init__()
        self.alpha, self.erosions = alpha, erosions
        self.erosion: Erosion = erosion

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`hausdorff_erosion_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return hausdorff_erosion_loss(
            logits, target, alpha=self.alpha, erosions=self.erosions, erosion=self.erosion
        )


HAUSDORFF_EROSION = LossInfo(
    function=hausdorff_erosion_loss,
    module=HausdorffErosionLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="how wide the wrong regions are",
    advice=(
        "Against wide errors, beside Dice, also in 3-D and on a GPU. Faint errors have no gradient; set "
        '`erosion="grey"` if they should.'
    ),
    reference="Karimi and Salcudean, Reducing the Hausdorff distance, IEEE TMI 2020",
)
