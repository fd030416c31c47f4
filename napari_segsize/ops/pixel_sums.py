"""Sums over the pixels of a plane, each with its gradient in as few passes over memory as it takes.

Most of the time of pixel by pixel losses goes into memory for intermediate results: compiled code needs none,
tensors (on a GPU, or without a compiler) few. All take logits and target ``(N, C, *spatial)`` of one float
type, float32 or float64, on one device, and give values ``(N, C)``; both have a gradient, no second one.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from napari_segsize.ops._compiled import share

if TYPE_CHECKING:
    from types import ModuleType

logger = logging.getLogger(__name__)

_SHARE = 2**22  # pixels a thread from which it is worth while to share the planes


def soft_counts(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``sum(p y)``, ``sum(p)`` and ``sum(y)`` with the probabilities ``p = sigmoid(logits)``."""
    found: tuple[Tensor, Tensor, Tensor] = _Counts.apply(logits, target)  # type: ignore[no-untyped-call]
    return found


def mean_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy, ``-(y log p + (1 - y) log(1 - p))`` a pixel."""
    found: Tensor = _Entropy.apply(logits, target)  # type: ignore[no-untyped-call]
    return found


def mean_focal(logits: Tensor, target: Tensor, gamma: float, alpha: float | None) -> Tensor:
    """Mean cross-entropy, each pixel times ``alpha_t (1 - p_t) ** gamma``.

    p_t is the probability of the true class, alpha_t `alpha` for foreground and ``1 - alpha`` for background,
    or 1 without `alpha`.
    """
    found: Tensor = _Focal.apply(logits, target, gamma, alpha)  # type: ignore[no-untyped-call]
    return found


@cache
def _kernels() -> ModuleType | None:
    """The compiled kernels, ready to run; None where they cannot be compiled, and tensors must do."""
    try:
        from napari_segsize.ops import _pixel_kernels

        for dtype in (np.float32, np.float64):
            image, few = np.full((1, 4), 0.5, dtype), np.ones((1, 3), dtype)
            _pixel_kernels.counts(image, image, few)
            _pixel_kernels.counts_backward(image, image, few, image.copy())
            _pixel_kernels.entropy(image, image, image, few)
            _pixel_kernels.entropy_backward(image, image, few, image.copy())
    # Whatever goes wrong (no numba for this Python or this processor, a full disk), tensors remain.
    except Exception:
        logger.warning("Sums over pixels are computed without compiled code, which is slower.", exc_info=True)
        return None
    return _pixel_kernels


def _compiled(kernel: str, *images: Tensor) -> bool:
    """Let a kernel go over the planes ``(N, C, ...)``, the last of which it fills; False if it cannot."""
    first = images[0]
    module = _kernels() if first.device.type == "cpu" and first.numel() else None
    if module is None:
        return False
    planes = first.shape[0] * first.shape[1]
    arrays = [image.detach().reshape(planes, -1).numpy() for image in images]
    run = getattr(module, kernel)
    share(lambda part: run(*(array[part] for array in arrays)), planes, first.numel() // _SHARE)
    return True


def _spread(values: Tensor, like: Tensor) -> Tensor:
    """Values ``(N, C)`` beside the pixels of `like`."""
    return values.reshape(*values.shape, *[1] * (like.ndim - 2))


class _Counts(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        probs = logits.contiguous().sigmoid()
        ctx.save_for_backward(probs, target)
        found = probs.new_empty(*probs.shape[:2], 3)
        if _compiled("counts", probs, target, found):
            both, mass, area = found.unbind(-1)
            return both, mass, area
        flat, truth = probs.flatten(2), target.flatten(2)
        return torch.linalg.vecdot(flat, truth), flat.sum(-1), truth.sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None]:
        probs, target = ctx.saved_tensors
        both, mass, area = (_spread(slope, probs) for slope in slopes)
        of_logits = of_target = None
        if ctx.needs_input_grad[0]:
            of_logits = torch.empty_like(probs)
            if not _compiled("counts_backward", probs, target, torch.stack(slopes[:2], -1), of_logits):
                of_logits = target.mul(both).add_(mass).mul_(probs).mul_(1 - probs)
        if ctx.needs_input_grad[1]:
            of_target = probs.mul(both).add_(area)
        return of_logits, of_target


class _Entropy(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        probs = logits.contiguous().sigmoid()
        ctx.save_for_backward(logits, target, probs)
        found = probs.new_empty(probs.shape[:2])
        if not _compiled("entropy", logits, target, probs, found):
            return _entropies(logits, target).flatten(2).mean(-1)
        return found.div_(logits.shape[2:].numel())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, target, probs = ctx.saved_tensors
        slope = slopes[0] / logits.shape[2:].numel()
        of_logits = None
        if ctx.needs_input_grad[0]:
            of_logits = torch.empty_like(probs)
            if not _compiled("entropy_backward", probs, target, slope, of_logits):
                of_logits = probs.sub(target).mul_(_spread(slope, probs))
        of_target = logits * -_spread(slope, probs) if ctx.needs_input_grad[1] else None
        return of_logits, of_target


class _Focal(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, gamma: float, alpha: float | None) -> Tensor:
        wrong = torch.addcmul(logits, logits, target, value=-2).sigmoid_()  # 1 - p_t
        weight = wrong * wrong if gamma == 2 else wrong**gamma
        if alpha is not None:
            weight *= target.mul(2 * alpha - 1).add_(1 - alpha)
        entropies = _entropies(logits, target)
        ctx.save_for_backward(logits, target, wrong, weight, entropies)
        ctx.gamma, ctx.alpha = gamma, alpha
        values: Tensor = torch.linalg.vecdot(weight.flatten(2), entropies.flatten(2))
        return values / logits.shape[2:].numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        logits, target, wrong, weight, entropies = ctx.saved_tensors
        slope = _spread(slopes[0] / logits.shape[2:].numel(), logits)
        faster = torch.addcmul(entropies, entropies, wrong, value=-1).mul_(ctx.gamma)  # gamma p_t entropy
        of_logits = of_target = None
        if ctx.needs_input_grad[0]:  # weight (p - y + (1 - 2 y) gamma p_t entropy)
            of_logits = logits.sigmoid().sub_(target).add_(faster).addcmul_(target, faster, value=-2)
            of_logits.mul_(weight).mul_(slope)
        if ctx.needs_input_grad[1]:  # -z weight (1 + 2 gamma p_t entropy) + what alpha adds
            of_target = faster.mul(2).add_(1).mul_(logits).mul_(weight).neg_()
            if ctx.alpha is not None:
                of_target.addcmul_(wrong**ctx.gamma, entropies, value=2 * ctx.alpha - 1)
            of_target.mul_(slope)
        return of_logits, of_target, None, None


def _entropies(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of every pixel."""
    return torch.addcmul(logits, logits, target, value=-1).sub_(functional.logsigmoid(logits))
