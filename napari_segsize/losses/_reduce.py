"""What the losses agree on: shapes, unknown targets, reductions."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from napari_segsize.losses.notices import look_for_odd

Reduction = Literal["mean", "none"]
"""Mean over the planes that have a target, or one value a plane."""


def check_tensor(name: str, given: object) -> None:
    """Raise a `ValueError` unless `given` is a tensor."""
    if not isinstance(given, Tensor):
        raise ValueError(  # noqa: TRY004 -- as for every other bad input
            f"{name}: expected a tensor, got {type(given).__name__}. Convert it: `torch.as_tensor({name})`."
        )


def check_per_plane(name: str, target: Tensor, logits: Tensor, *last: int) -> None:
    """Raise a `ValueError` unless `target` is ``(N, C, *last)``."""
    check_tensor("logits", logits)
    check_tensor(name, target)
    expected = (*logits.shape[:2], *last)
    if target.shape != expected:
        raise ValueError(
            f"{name}: expected {expected} for logits {tuple(logits.shape)}, got {tuple(target.shape)}."
        )


def check_domain(mask: Tensor | None, logits: Tensor) -> None:
    """Raise a `ValueError` unless `mask` is absent or a boolean tensor of the shape of `logits`."""
    if mask is not None and (mask.dtype != torch.bool or mask.shape != logits.shape):
        raise ValueError(
            f"mask: expected a boolean tensor {tuple(logits.shape)}, got {tuple(mask.shape)} of {mask.dtype}."
        )


def reduce_planes(values: Tensor, known: Tensor, reduction: Reduction) -> Tensor:
    """Reduce `values` ``(N, C)`` over the planes that are `known`; nothing known gives 0, not NaN."""
    if reduction not in get_args(Reduction):
        raise ValueError(f'reduction: expected "mean" or "none", got {reduction!r}.')
    values = torch.where(known, values, 0)
    look_for_odd(values)
    return values if reduction == "none" else values.sum() / known.sum().clamp(min=1)
