"""What the microscope is given, checked and brought into the tensors that a loss takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from napari_segsize.losses.info import LossInfo

Kind = Literal["auto", "logits", "probabilities", "mask"]
"""What the numbers of a prediction are."""

CLIP = 1e-6  # a mask or a probability of 0 or 1 is taken to be so far from it: its logit is finite


def numbers_of(name: str, values: ArrayLike) -> Tensor:
    """A tensor of its own of what was given; a ValueError unless it holds finite numbers."""
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        raise ValueError(f"{name}: expected numbers, got {array.dtype}.")
    wrong = ~np.isfinite(array)
    if wrong.any():
        place = tuple(int(each) for each in np.argwhere(wrong)[0])
        raise ValueError(f"{name}: expected finite numbers, got {array[place]} at {place}.")
    return torch.from_numpy(np.array(array))  # a copy of its own, contiguous and writable


def as_logits(given: Tensor, kind: Kind, notices: list[str]) -> Tensor:
    """A prediction of pixels as logits; what is doubtful about it is added to `notices`."""
    if given.ndim not in (2, 3) or not given.numel():
        raise ValueError(
            f"prediction: expected one image, 2-D or 3-D, with some pixels, got {tuple(given.shape)}."
        )
    low, high = float(given.min()), float(given.max())
    within = low >= 0 and high <= 1
    if kind == "auto":
        kind = "logits" if given.is_floating_point() and not within else "probabilities"
        kind = kind if given.is_floating_point() else "mask"
    if kind == "mask":
        given = given != 0
    elif kind == "probabilities" and not within:
        raise ValueError(
            f"prediction: expected probabilities from 0 to 1, got {low:.4g} to {high:.4g}. "
            'If they are logits, say kind="logits".'
        )
    elif kind == "logits" and within and high > low:
        notices.append('All logits lie from 0 to 1. If they are probabilities, say kind="probabilities".')
    values = given.double()
    return values if kind == "logits" else torch.logit(values.clamp(CLIP, 1 - CLIP))


def wanted_of(info: LossInfo, target: ArrayLike | None, logits: Tensor) -> list[Tensor]:
    """The target as the function wants it, a batch of one."""
    said = _said(info, target)
    if said is None:
        return []
    need, given = said
    spatial = tuple(logits.shape[2:])
    if need == "mask":
        if tuple(given.shape) != spatial:
            raise ValueError(f"target: expected a mask {spatial} as prediction, got {tuple(given.shape)}.")
        if given.is_floating_point() and not (given.min() >= 0 and given.max() <= 1):
            raise ValueError("target: expected a mask, or values from 0 to 1.")
        return [_mask(given)]
    if need == "image":
        image = given.double()
        return [image[None] if image.ndim == len(spatial) + 1 else image[None, None]]
    check_said(need, given, len(spatial))
    return [given.double().reshape(1, 1, *given.shape)]


def _said(info: LossInfo, target: ArrayLike | None) -> tuple[str, Tensor] | None:
    """What the loss learns from, and the numbers given for it; None if it learns from nothing."""
    if not info.needs:
        return None
    need = info.needs[0]
    if target is None:
        raise ValueError(f"target: this loss needs the {need}, got nothing.")
    return need, numbers_of("target", target)


def check_said(need: str, given: Tensor, dims: int) -> None:
    """Raise a `ValueError` unless `given` has the shape of what is known instead of a mask."""
    place = "(y, x)" if dims == 2 else "(z, y, x)"
    known: dict[str, tuple[list[tuple[int, ...]], str]] = {
        "size": ([()], "the size of the object, one number in pixels"),
        "centre": ([(dims,)], f"the centre of the object, {dims} numbers {place} in pixels"),
        "area": ([(2,)], "bounds of the area, 2 numbers, the least and the most pixels"),
        "points": ([(4, 2)], "the extreme points of the object, 4 rows of 2 numbers (y, x) in pixels"),
        "extents": (
            [(4,), (4, 2)],
            "the box of the object, 4 numbers (top, left, bottom, right) in pixels, or its extreme points",
        ),
    }
    shapes, words = known[need]
    if tuple(given.shape) not in shapes:
        got = "one number" if given.ndim == 0 else f"{' x '.join(map(str, given.shape))} numbers"
        raise ValueError(f"target: this loss learns from {words}; got {got}.")


def vectors_of(info: LossInfo, given: Tensor) -> Tensor:
    """A contour ``(1, K, 2)`` or a field ``(1, D, *spatial)``."""
    if info.acts_on == "field" and (given.ndim not in (3, 4) or len(given) != given.ndim - 1):
        raise ValueError(f"prediction: expected a field (D, *spatial), got {tuple(given.shape)}.")
    if info.acts_on == "contour" and (given.ndim != 2 or given.shape[1] != 2 or len(given) < 3):
        raise ValueError(f"prediction: expected vertices (K, 2) of a contour, got {tuple(given.shape)}.")
    return given.double()[None]


def wanted_of_vectors(info: LossInfo, target: ArrayLike | None) -> list[Tensor]:
    """The target of a contour or a field as the function wants it, a batch of one."""
    said = _said(info, target)
    if said is None:
        return []
    need, given = said
    if need == "mask":
        return [_mask(given)]
    if need in ("size", "points"):
        check_said(need, given, 2)
    given = given.double()
    return [given.reshape(1, 1) if given.ndim == 0 else given[None]]


def _mask(given: Tensor) -> Tensor:
    """Shares of pixels as they are; of whole numbers all but 0 are object."""
    return (given.double() if given.is_floating_point() else (given != 0).double())[None, None]
