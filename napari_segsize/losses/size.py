"""Learning from object sizes: the single-sample gradient of Baručić and Kybic (ITAT 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from napari_segsize.losses._masks import check_numbers
from napari_segsize.losses._reduce import (
    Reduction,
    check_domain,
    check_per_plane,
    check_tensor,
    reduce_planes,
)
from napari_segsize.losses.notices import look_for_probabilities
from napari_segsize.ops.size import object_size, size_and_flips

if TYPE_CHECKING:
    from napari_segsize.ops.distance import Border


def size_loss(
    logits: Tensor,
    size: Tensor,
    *,
    samples: int = 1,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
    mask: Tensor | None = None,
    border: Border = "ignore",
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared error of the object size of sampled masks, with an unbiased gradient of its expectation.

    Every pixel is drawn on its own: foreground with probability ``p = sigmoid(logit / temperature)``. The
    value is the squared size error of the drawn masks. The gradient does not come from the value but from the
    estimator of [1]_, eq. 21: ``dL/dp_i = y_i (l(y) - l(y with pixel i flipped))`` with ``y_i`` in {-1, 1},
    for all pixels at once (`napari_segsize.ops.flip_sizes`).

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D, any float type.
    size : (N, C) float Tensor
        True sizes in pixels, as `napari_segsize.ops.object_size` defines them. NaN: unknown, no term.
    samples : int
        Masks drawn per plane, usually 1 to 8. More give a calmer gradient for proportionally more time; the
        gradient is right on average with any number.
    temperature : float
        Usually 0.1 to 1. Smaller values draw masks closer to ``logits > 0``. At 1 (the paper's), a drawn mask
        has holes and therefore a smaller size than ``logits > 0`` unless logits are beyond about 6: training
        is then rewarded for confidence as well as for shape. The price of a small value: pixels far from 0
        hear less.
    generator : torch.Generator, optional
        Source of randomness on the device of `logits`; with one, a run is repeatable.
    noise : (samples, N, C, *spatial) float Tensor, optional
        Logistic noise to use instead of drawing it: a pixel is foreground where ``logit / temperature >
        noise``. For several processes that must agree with one. Excludes `generator`.
    mask : (N, C, *spatial) bool Tensor, optional
        Pixels that belong to this object; all others count as background and get no gradient.
    border : {"ignore", "background"}
        What lies outside the image; "ignore" is the paper's.
    reduction : {"mean", "none"}
        Mean over the planes of known size (0 if there is none), or one value a plane ``(N, C)``, 0 where
        unknown.

    Returns
    -------
    () or (N, C) Tensor
        In square pixels; float64 for float64 logits, otherwise float32. NaN where logits are.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    See Also
    --------
    size_error : the same error of ``logits > 0``, without gradient: what to watch and to stop on.

    References
    ----------
    .. [1] Baručić and Kybic, "Learning to segment from object sizes", ITAT, 2022.
    """
    _check(logits, size)
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, got {samples}.")
    if not temperature > 0:
        raise ValueError(
            f"temperature: expected more than 0, got {temperature}. `size_error` looks at `logits > 0`."
        )
    if noise is not None and generator is not None:
        raise ValueError("noise, generator: expected at most one of the two.")
    if noise is not None and noise.shape != (samples, *logits.shape):
        raise ValueError(f"noise: expected {(samples, *logits.shape)}, got {tuple(noise.shape)}.")
    check_domain(mask, logits)
    unfit = check_numbers("size", size, logits, least=0)
    size = size.to(_real(logits))
    listens = torch.is_grad_enabled() and logits.requires_grad
    args = (size, samples, temperature, generator, noise, mask, border, listens)
    values = cast("Tensor", _SizeEstimator.apply(logits, *args))  # type: ignore[no-untyped-call]
    return reduce_planes(values + unfit, ~size.isnan(), reduction)


def size_error(
    logits: Tensor, size: Tensor, *, border: Border = "ignore", reduction: Reduction = "mean"
) -> Tensor:
    """Squared error of the object size of ``logits > 0``: the paper's metric E, eq. 22. Without gradient.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D.
    size : (N, C) float Tensor
        True sizes in pixels. NaN: unknown, no term.
    border : {"ignore", "background"}
        What lies outside the image.
    reduction : {"mean", "none"}
        Mean over the planes of known size (0 if there is none), or one value a plane, 0 where unknown.

    Returns
    -------
    () or (N, C) Tensor
        In square pixels; float64 for float64 logits, otherwise float32.
    """
    _check(logits, size)
    with torch.no_grad():
        size = size.to(device=logits.device, dtype=_real(logits))
        error = (object_size(logits > 0, border=border) - size) ** 2
        return reduce_planes(error, ~size.isnan(), reduction)


class SizeLoss(nn.Module):
    """Module form of `size_loss`: same parameters, same shapes."""

    def __init__(self, samples: int = 1, temperature: float = 1.0, border: Border = "ignore") -> None:
        super().__init__()
        self.samples, self.temperature, self.border = samples, temperature, border

    def forward(self, logits: Tensor, size: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """`size_loss` of `logits` ``(N, C, *spatial)`` against `size` ``(N, C)``."""
        return size_loss(
            logits,
            size,
            samples=self.samples,
            temperature=self.temperature,
            generator=generator,
            border=self.border,
        )


class _SizeEstimator(torch.autograd.Function):
    """Value: squared size error of sampled masks, (N, C). Gradient: eq. 21, computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        size: Tensor,
        samples: int,
        temperature: float,
        generator: torch.Generator | None,
        noise: Tensor | None,
        mask: Tensor | None,
        border: Border,
        listens: bool,
    ) -> Tensor:
        scaled = logits.to(size.dtype) / temperature
        probs = scaled.sigmoid()
        if noise is None:
            uniform = torch.rand(
                (samples, *logits.shape), dtype=size.dtype, device=logits.device, generator=generator
            )
            # 1 - U lies in (0, 1]: a saturated probability of 0 or 1 is never contradicted by the last digit.
            drawn = 1 - uniform <= probs
        else:
            drawn = scaled > noise
        if mask is not None:
            drawn &= mask
        planes = drawn.flatten(0, 1)  # (samples * N, C, *spatial)
        spatial = [1] * (logits.ndim - 2)
        if listens:
            drawn_size, flipped_size = size_and_flips(planes, border=border)
            drawn_size = drawn_size.reshape(drawn.shape[:3]).to(size.dtype)  # (samples, N, C)
            # y (l(flipped) - l(y)), where l = g (g - 2 s) + s^2 and the last term cancels. In place, and with
            # a factor instead of a choice: this is most of the time spent outside `size_and_flips`.
            now = drawn_size.reshape(*drawn_size.shape, *spatial)
            then = flipped_size.reshape(drawn.shape).to(size.dtype)
            twice = 2 * size.nan_to_num(0.0).reshape(*size.shape, *spatial)
            change = (then - twice).mul_(then).sub_(now * (now - twice))
            change.mul_(1 - 2 * drawn.to(torch.int8))
            # dp/da = p (1 - p), with the second factor exact where p is almost 1.
            slope = change.mean(0) * (probs * (-scaled).sigmoid() / temperature)
            if mask is not None:
                slope = slope * mask
            ctx.save_for_backward(slope * ~size.isnan().reshape(*size.shape, *spatial))
            ctx.dtype = logits.dtype
        else:
            drawn_size = object_size(planes, border=border).reshape(drawn.shape[:3]).to(size.dtype)
        error = ((drawn_size - size) ** 2).mean(0)
        return torch.where(size.isnan(), 0, error) + 0 * probs.flatten(2).sum(-1)  # NaN logits are not hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        weight = upstream.reshape(*upstream.shape, *[1] * (slope.ndim - 2))
        return ((slope * weight).to(ctx.dtype), *[None] * 8)


def _real(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _check(logits: Tensor, size: Tensor) -> None:
    check_tensor("logits", logits)
    if logits.ndim not in (4, 5) or not logits.is_floating_point():
        raise ValueError(
            "logits: expected (N, C, *spatial) floats with 2 or 3 spatial axes, "
            f"got {tuple(logits.shape)} of {logits.dtype}."
        )
    check_per_plane("size", size, logits)
    look_for_probabilities(logits)
