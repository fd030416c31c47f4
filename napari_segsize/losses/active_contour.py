"""Active contours without edges: the length of the outline, and what it encloses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from napari_segsize.losses._masks import check_device, check_spacing, read_logits, read_masks
from napari_segsize.losses._reduce import Reduction, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.losses.notices import at_hand, odd

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPS = 1e-8  # under the root, so that flat regions have a gradient of 0 and not of 0 / 0


def active_contour_loss(
    logits: Tensor,
    target: Tensor,
    *,
    length: float = 1.0,
    inside: float = 1.0,
    outside: float = 1.0,
    spacing: Sequence[float] | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Length of the predicted outline plus the area that lies on its wrong side [1]_.

    ``length mean |grad u| + inside mean u (1 - v)^2 + outside mean (1 - u) v^2`` with probabilities u and the
    true mask v. Means over the pixels, where the paper has sums: the weights keep their meaning on images of
    any size.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; any number of spatial axes.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float in 0..1. A plane with NaN is unlabelled and has no term.
    length : float
        Weight of the outline, 1 in [1]_. More makes it smoother and shorter, until small objects vanish: one
        of a radius below ``2 length`` pixels is cheaper missed than found. Users of the published code advise
        much less than 1.
    inside, outside : float
        Weights of background that is held inside the outline and of object left outside, 1 in [1]_.
    spacing : sequence of float, optional
        Sides of a pixel, ``(y, x)`` or ``(z, y, x)``, in which the length is measured.
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
    Differences are taken to the next pixel on every axis, at the same pixel, 0 at the last; the published
    code takes them at different pixels and leaves the borders out.

    References
    ----------
    .. [1] Chen et al., "Learning active contour models for medical image segmentation", CVPR, 2019.
    """
    _check_weights(length=length, inside=inside, outside=outside)
    exact, truth, known = read_masks(logits, target)
    probs = exact.sigmoid()
    misses = truth.square().mul_(outside)
    wrong = (1 - truth).square_().mul_(inside).sub_(misses)
    region = (probs * wrong).flatten(2).mean(-1) + misses.flatten(2).mean(-1)
    values = region + length * outline_length(probs, spacing).flatten(2).mean(-1)
    return reduce_planes(values, known, reduction)


def chan_vese_loss(
    logits: Tensor,
    image: Tensor,
    *,
    length: float = 0.1,
    inside: float = 1.0,
    outside: float = 1.0,
    spacing: Sequence[float] | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """How badly the predicted region parts the image into two flat ones: learning without any mask [1]_.

    ``length mean |grad u| + inside mean u (I - c1)^2 + outside mean (1 - u) (I - c2)^2`` with probabilities
    u, the image I over its standard deviation, and its means c1 inside and c2 outside the prediction.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; any number of spatial axes.
    image : (N, K, *spatial) Tensor
        The image itself, K channels whose terms are averaged. An image with NaN has no term. Brightness and
        contrast do not matter.
    length : float
        Weight of the outline, usually 0.01 to 1. More makes it smoother and drops small parts.
    inside, outside : float
        How much unevenness counts inside and outside, usually 1. Less outside is kinder to a busy background.
    spacing : sequence of float, optional
        Sides of a pixel, ``(y, x)`` or ``(z, y, x)``, in which the length is measured.
    reduction : {"mean", "none"}
        Mean over the planes that have an image (0 if there are none), or one value a plane ``(N, C)``, 0
        where there is none.

    Returns
    -------
    () or (N, C) Tensor
        0 or more; the region's part is 1 for a prediction that explains nothing. float64 for float64 logits,
        otherwise float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    It cannot tell inside from outside: start from a network that can, and keep a term that says so.
    The means have no part in the gradient, and need none: they are where the value is least.

    References
    ----------
    .. [1] Chan and Vese, "Active contours without edges", IEEE Transactions on Image Processing, 2001.
    """
    _check_weights(length=length, inside=inside, outside=outside)
    exact = read_logits(logits)
    check_device("image", image, logits)
    if image.ndim != logits.ndim or (image.shape[0], *image.shape[2:]) != (len(logits), *logits.shape[2:]):
        sides = ", ".join(map(str, logits.shape[2:]))
        raise ValueError(
            f"image: expected ({len(logits)}, channels, {sides}) as logits, got {tuple(image.shape)}."
        )
    known = image.isfinite().flatten(1).all(-1)
    unfit: Tensor | float = 0.0
    if not (at_hand(image) and known.all()):
        endless = image.isinf().flatten(1).any(-1)
        if at_hand(image) and endless.any():
            raise ValueError(
                "image: expected finite numbers, or NaN where unknown, got Inf in number "
                f"{endless.nonzero()[0].item()} of the batch."
            )
        known, unfit = known | endless, odd(endless, exact)[:, None]
    pixels = (
        image.to(exact.dtype).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).flatten(2)[:, None]
    )  # (N, 1, K, V)
    probs = exact.sigmoid()
    flat = probs.flatten(2)[:, :, None]  # (N, C, 1, V)
    with torch.no_grad():
        pixels = pixels - pixels.mean(-1, keepdim=True)
        variance = pixels.square().mean(-1, keepdim=True)  # torch.var_mean warns of an empty batch
        pixels = pixels / variance.clamp(min=torch.finfo(exact.dtype).tiny).sqrt()
        within = _mean_square(pixels, flat)
        beyond = _mean_square(pixels, 1 - flat)
        # mean over K of inside (I - c1)^2 and outside (I - c2)^2, which stay as they are while u moves
        cost_in, cost_out = inside * within.mean(2), outside * beyond.mean(2)  # (N, C, V)
    region = (probs.flatten(2) * (cost_in - cost_out) + cost_out).mean(-1)
    values = region + length * outline_length(probs, spacing).flatten(2).mean(-1) + unfit
    return reduce_planes(values, known[:, None].expand(values.shape), reduction)


def outline_length(probs: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
    """Length of outline in every pixel of `probs` ``(N, C, *spatial)``: the size of its gradient.

    Differences to the next pixel along each axis, 0 at the last, over the side of a pixel.
    """
    sides = check_spacing(spacing, probs)
    return cast("Tensor", _Length.apply(probs, sides))  # type: ignore[no-untyped-call]


class _Length(torch.autograd.Function):
    """The root of the sum of squared differences, without a tensor in between that is kept."""

    @staticmethod
    def forward(ctx: Any, probs: Tensor, sides: tuple[float, ...]) -> Tensor:
        square = torch.full_like(probs, _EPS)
        for axis, side in enumerate(sides, start=2):
            step = probs.diff(dim=axis)
            square.narrow(axis, 0, step.shape[axis]).addcmul_(step, step, value=side**-2)
        length = square.sqrt_()
        ctx.save_for_backward(probs, length)
        ctx.sides = sides
        return length

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        probs, length = ctx.saved_tensors
        share = upstream / length
        slope = torch.zeros_like(probs)
        for axis, side in enumerate(ctx.sides, start=2):
            step = probs.diff(dim=axis)
            rest = step.shape[axis]
            step.mul_(share.narrow(axis, 0, rest)).mul_(side**-2)
            slope.narrow(axis, 1, rest).add_(step)
            slope.narrow(axis, 0, rest).sub_(step)
        return slope, None


def _mean_square(pixels: Tensor, weights: Tensor) -> Tensor:
    """Squared distance of `pixels` ``(N, 1, K, V)`` to their mean under `weights` ``(N, C, 1, V)``."""
    mass = weights.sum(-1, keepdim=True)
    mean = (weights * pixels).sum(-1, keepdim=True) / mass.clamp(min=torch.finfo(pixels.dtype).tiny)
    return (pixels - mean) ** 2


def _check_weights(**weights: float) -> None:
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise ValueError(f"{name}: expected a weight of 0 or more, got {weight}.")


class ActiveContourLoss(nn.Module):
    """Module form of `active_contour_loss`: same parameters, same shapes."""

    def __init__(
        self,
        length: float = 1.0,
        inside: float = 1.0,
        outside: float = 1.0,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.length, self.inside, self.outside, self.spacing = length, inside, outside, spacing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`active_contour_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return active_contour_loss(
            logits,
            target,
            length=self.length,
            inside=self.inside,
            outside=self.outside,
            spacing=self.spacing,
        )


class ChanVeseLoss(nn.Module):
    """Module form of `chan_vese_loss`: same parameters, same shapes."""

    def __init__(
        self,
        length: float = 0.1,
        inside: float = 1.0,
        outside: float = 1.0,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.length, self.inside, self.outside, self.spacing = length, inside, outside, spacing

    def forward(self, logits: Tensor, image: Tensor) -> Tensor:
        """`chan_vese_loss` of `logits` ``(N, C, *spatial)`` on `image` ``(N, K, *spatial)``."""
        return chan_vese_loss(
            logits,
            image,
            length=self.length,
            inside=self.inside,
            outside=self.outside,
            spacing=self.spacing,
        )


ACTIVE_CONTOUR = LossInfo(
    function=active_contour_loss,
    module=ActiveContourLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="the length of the outline, and every pixel on its own",
    advice=(
        "For smooth, compact objects and noisy masks, after pre-training with cross-entropy. Take `length` "
        "well below 1 for small objects, or they shrink away."
    ),
    reference="Chen et al., Learning active contour models for medical image segmentation, CVPR 2019",
)
CHAN_VESE = LossInfo(
    function=chan_vese_loss,
    module=ChanVeseLoss,
    needs=("image",),
    acts_on="logits",
    looks_at="how flat the image is inside and outside, and the length of the outline",
    advice=(
        "For images without masks in which object and background differ in brightness, beside masks of other "
        "images: it does not know which side is the object."
    ),
    reference="Chan and Vese, Active contours without edges, IEEE TIP 2001",
)
