"""How the losses on masks read their input: types, shapes, devices, images without a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_segsize.losses._reduce import Reduction, check_tensor, reduce_planes
from napari_segsize.losses.notices import at_hand, look_for_probabilities, odd, silenced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROUNDING = 1e-3  # shares of covered pixels may exceed 1 by their rounding


def read_masks(
    logits: Tensor, target: Tensor, *, axes: Sequence[int] = (1, 2, 3), name: str = "logits"
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and target as one float type, and which planes have a target.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
    target : (N, C, *spatial) Tensor
        Boolean, integer or float in 0..1. A plane with NaN in it is unlabelled.
    axes : sequence of int
        Numbers of spatial axes that the loss knows.
    name : {"logits", "phi"}
        What the loss calls its prediction.

    Returns
    -------
    logits, target : (N, C, *spatial) Tensor
        float64 for float64 logits, otherwise float32: sums of half precision overflow. NaN in the target is
        0. On a GPU, NaN logits beside a target that holds other numbers than 0..1.
    known : (N, C) bool Tensor
        Planes that have a target.

    Raises
    ------
    ValueError
        If a shape, a type or a device does not fit; on a processor also if the target holds other numbers
        than 0..1.
    """
    exact, truth = read_pair(logits, target, axes=axes, name=name)
    if not target.is_floating_point():
        return exact, truth, all_known(exact)
    known = ~truth.flatten(2).sum(-1).isnan()
    # Asking whether there is anything to replace is cheap here, and on a GPU a wait.
    if at_hand(truth) and known.all():
        return exact, truth, known
    return exact, truth.masked_fill(truth.isnan(), 0), known


def read_pair(
    logits: Tensor, target: Tensor, *, axes: Sequence[int] = (1, 2, 3), name: str = "logits"
) -> tuple[Tensor, Tensor]:
    """As `read_masks`, but a target with NaN keeps it, and nobody looks for it.

    For losses that look at what comes out instead, which is cheaper.
    """
    exact = read_logits(logits, axes=axes, name=name)
    check_device("target", target, logits, name)
    if target.shape != logits.shape:
        hint = " A label image becomes one mask a class: `labels == number`." if _is_labels(target) else ""
        raise ValueError(
            f"target: expected {tuple(logits.shape)} as {name}, got {tuple(target.shape)}.{hint}"
        )
    if target.is_complex():
        raise ValueError(f"target: expected a boolean, integer or float mask, got {target.dtype}.")
    wrong = check_range(target)
    if wrong is not None:
        exact = exact + odd(wrong, exact).reshape(*wrong.shape, *[1] * (exact.ndim - 2))
    return exact, target.to(exact.dtype)


def over_planes(
    planes: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor, reduction: Reduction
) -> Tensor:
    """Reduce what `planes` makes of logits and target, ``(N, C)``, over the planes that have a target.

    Whether a plane is unlabelled shows in its value, for nothing, so only then is the target looked at.
    """
    exact, truth = read_pair(logits, target)
    if at_hand(exact):
        values = planes(exact, truth)
        if not values.isnan().any():
            return reduce_planes(values, all_known(exact), reduction)
    exact, truth, known = read_masks(logits, target)
    return reduce_planes(planes(exact, truth), known, reduction)


def all_known(logits: Tensor) -> Tensor:
    """``(N, C)`` planes of which all have a target."""
    return torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)


def read_logits(logits: Tensor, *, axes: Sequence[int] = (1, 2, 3), name: str = "logits") -> Tensor:
    """Logits as float32, float64 if they are; a `ValueError` if they are no ``(N, C, *spatial)`` floats.

    A warning, if they look like probabilities.
    """
    check_tensor(name, logits)
    if logits.ndim - 2 not in axes or not logits.is_floating_point():
        wanted = " or ".join(map(str, axes))
        hint = " Cut volumes into planes." if logits.ndim == 5 and logits.is_floating_point() else ""
        raise ValueError(
            f"{name}: expected (N, C, *spatial) floats with {wanted} spatial axes, "
            f"got {tuple(logits.shape)} of {logits.dtype}.{hint}"
        )
    if 0 in logits.shape[2:]:
        raise ValueError(f"{name}: expected at least one pixel along every axis, got {tuple(logits.shape)}.")
    look_for_probabilities(logits, name)
    return logits if logits.dtype == torch.float64 else logits.float()


def check_device(name: str, other: Tensor, logits: Tensor, beside: str = "logits") -> None:
    """Raise a `ValueError` unless `other` is a tensor on the device of `logits`."""
    check_tensor(name, other)
    if other.device != logits.device:
        raise ValueError(
            f"{name}: expected on {logits.device} as {beside}, got {other.device}. "
            f"Move it there: `{name}.to({beside}.device)`."
        )


def check_numbers(
    name: str, other: Tensor, logits: Tensor, beside: str = "logits", *, least: float
) -> Tensor | float:
    """0, to be added to the values; or a `ValueError` if the numbers of `other` do not fit.

    They are to be finite and at least `least`, or NaN where unknown. On a GPU, where looking would be a wait,
    NaN for each plane (or each contour) with numbers that do not fit.
    """
    check_device(name, other, logits, beside)
    if not other.is_floating_point():
        return 0.0
    wrong = other.isinf() | (other < least)
    if not at_hand(other):
        planes = other.shape[: 1 if beside == "contours" else 2]
        return odd(wrong.reshape(*planes, -1).any(-1), logits)
    if wrong.any():
        lowest = "finite numbers" if least == -torch.inf else f"{least:g} or more"
        raise ValueError(f"{name}: expected {lowest}, or NaN where unknown, got {other[wrong][0]:g}.")
    return 0.0


def check_spacing(spacing: Sequence[float] | None, logits: Tensor) -> tuple[float, ...]:
    """Pixel sides, one a spatial axis; a `ValueError` if their number or sign does not fit."""
    dims = logits.ndim - 2
    sides = (1.0,) * dims if spacing is None else tuple(float(side) for side in spacing)
    if len(sides) != dims or not all(0 < side < float("inf") for side in sides):
        raise ValueError(f"spacing: expected {dims} positive numbers, one a spatial axis, got {spacing}.")
    return sides


def check_range(target: Tensor) -> Tensor | None:
    """Raise a `ValueError` where a mask holds something else than 0..1.

    On a GPU, where looking would be a wait, the planes ``(N, C)`` that do; None where nobody needs to look.
    """
    if target.dtype == torch.bool or not target.numel():
        return None
    if not at_hand(target):
        if silenced():
            return None
        low, high = target.flatten(2).aminmax(dim=-1)  # NaN where unlabelled, and no wrong number
        return (low < -_ROUNDING) | (high > 1 + _ROUNDING)
    lowest, highest = (float(each) for each in target.aminmax())
    if lowest != lowest:  # unlabelled planes hide the others
        numbers = target[~target.isnan()]
        lowest, highest = (float(each) for each in numbers.aminmax()) if numbers.numel() else (0.0, 1.0)
    if lowest < -_ROUNDING or highest > 1 + _ROUNDING:
        raise ValueError(
            f"target: expected a mask with values from 0 to 1, got {lowest:g} to {highest:g}. "
            "Of labels or of 0 and 255, take `target > 0`, or `labels == number` for each class."
        )
    return None


def _is_labels(target: Tensor) -> bool:
    return not target.is_floating_point() and target.dtype != torch.bool
