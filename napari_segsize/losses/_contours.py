"""What the losses on contours agree on: shapes, rendering, reductions."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from napari_segsize.losses._masks import check_device, check_range
from napari_segsize.losses._reduce import Reduction, check_tensor
from napari_segsize.losses.notices import look_for_odd, odd
from napari_segsize.ops.polygon import polygon_mask


def check_contours(contours: Tensor) -> None:
    """Raise a `ValueError` unless `contours` are ``(N, K, 2)`` or ``(T, N, K, 2)`` with K at least 3."""
    check_tensor("contours", contours)
    if contours.ndim not in (3, 4) or contours.shape[-1] != 2 or contours.shape[-2] < 3:
        raise ValueError(
            "contours: expected (N, K, 2) or (T, N, K, 2) with at least 3 vertices, "
            f"got {tuple(contours.shape)}."
        )
    if not contours.is_floating_point():
        raise ValueError(f"contours: expected floats, got {contours.dtype}. Convert it: `contours.float()`.")


def check_object_masks(target: Tensor, contours: Tensor) -> Tensor | float:
    """Raise a `ValueError` unless `target` is a mask ``(N, 1, H, W)`` for each of the contours.

    Otherwise 0, to be added to the values; on a GPU NaN ``(N,)`` for masks that hold more than 0..1.
    """
    check_tensor("target", target)
    if target.ndim != 4 or target.shape[:2] != (contours.shape[-3], 1):
        raise ValueError(
            f"target: expected ({contours.shape[-3]}, 1, H, W) for contours {tuple(contours.shape)}, "
            f"got {tuple(target.shape)}."
        )
    check_device("target", target, contours, "contours")
    wrong = check_range(target)
    return 0.0 if wrong is None else odd(wrong[:, 0], contours)


def check_pixel(pixel: float | Tensor) -> None:
    """Raise a `ValueError` for the side of a pixel that is no number; those of a tensor are believed."""
    if not isinstance(pixel, Tensor) and not 0 <= pixel < float("inf"):
        raise ValueError(f"pixel: expected a side of 0 or more, got {pixel}.")


def rendered(contours: Tensor, shape: tuple[int, int], masks: Tensor | None = None) -> Tensor:
    """Exact masks ``(..., 1, H, W)`` of contours ``(..., K, 2)``, or `masks`, if given and fitting."""
    expected = (*contours.shape[:-2], 1, *shape)
    if masks is None:
        return polygon_mask(contours.reshape(-1, *contours.shape[-2:]), shape).reshape(expected)
    if masks.shape != expected:
        raise ValueError(f"masks: expected {expected} of these contours, got {tuple(masks.shape)}.")
    return masks


def reduce_objects(values: Tensor, known: Tensor | None, reduction: Reduction) -> Tensor:
    """Reduce `values` ``(N,)`` or ``(T, N)``: mean over the `known` ``(N,)`` objects, sum over iterations."""
    if reduction not in get_args(Reduction):
        raise ValueError(f'reduction: expected "mean" or "none", got {reduction!r}.')
    count = torch.tensor(values.shape[-1]) if known is None else known.sum()
    if known is not None:
        values = torch.where(known, values, 0)
    look_for_odd(values)
    return values if reduction == "none" else values.sum() / count.clamp(min=1)
