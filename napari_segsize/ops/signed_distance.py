"""Euclidean distance to the edge of a mask, in pixels or in the unit of a spacing."""

from __future__ import annotations

import logging
import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_segsize.ops import _compiled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

logger = logging.getLogger(__name__)

_SHARE = 2**18  # pixels a thread from which sharing is worth while
_FAR = 1e30


def signed_distance(mask: Tensor, *, spacing: Sequence[float] | None = None) -> Tensor:
    """Euclidean distance of every pixel to the edge of its mask: positive inside, negative outside.

    The edge lies between pixels: it is half a pixel (half the smallest side) away from the pixels beside it,
    so that ``mask == (signed_distance(mask) > 0)`` and nothing is 0.

    Parameters
    ----------
    mask : (N, C, *spatial) bool Tensor
        2-D or 3-D; every (n, c) plane is one mask.
    spacing : sequence of float, optional
        Sides of a pixel, ``(y, x)`` or ``(z, y, x)``. None: 1.

    Returns
    -------
    (N, C, *spatial) float32 Tensor
        In units of `spacing`. A plane without edge, empty or full, has minus or plus the image's diagonal
        (less that half pixel). Not differentiable.

    Raises
    ------
    ValueError
        If `mask` is not boolean, is neither 2-D nor 3-D, or has no pixels, or `spacing` does not fit.

    See Also
    --------
    edge_distance : to the nearest pixel of the other kind, without sign.
    """
    sides = _check(mask, spacing)
    found = _signed(mask, sides)
    half = min(sides) / 2
    return torch.where(mask, found - half, found + half)


def edge_distance(mask: Tensor, *, spacing: Sequence[float] | None = None) -> Tensor:
    """Euclidean distance of every pixel to the nearest pixel of the other kind, from centre to centre.

    Inside a mask that is the distance to the background, outside the distance to the foreground.

    Parameters
    ----------
    mask : (N, C, *spatial) bool Tensor
        2-D or 3-D; every (n, c) plane is one mask.
    spacing : sequence of float, optional
        Sides of a pixel, ``(y, x)`` or ``(z, y, x)``. None: 1.

    Returns
    -------
    (N, C, *spatial) float32 Tensor
        In units of `spacing`, never 0. A plane without edge, empty or full, has the image's diagonal. Not
        differentiable.

    Raises
    ------
    ValueError
        If `mask` is not boolean, is neither 2-D nor 3-D, or has no pixels, or `spacing` does not fit.
    """
    return _signed(mask, _check(mask, spacing)).abs_()


def has_edge(mask: Tensor) -> Tensor:
    """Planes ``(N, C)`` that are neither empty nor full."""
    flat = mask.flatten(2)
    return flat.any(-1) & ~flat.all(-1)


@cache
def _kernels() -> ModuleType | None:
    """The compiled kernels, ready to run; None where they cannot be compiled, and the tensor path must do."""
    try:
        from napari_segsize.ops import _euclid_kernels

        mask = np.ones((1, 1, 2, 2), np.uint8)
        _euclid_kernels.signed(mask, np.ones(3, np.float32), 1.0, np.empty(mask.shape, np.float32))
    # Whatever goes wrong (no numba for this Python or this processor, a full disk), the tensor path remains.
    except Exception:
        logger.warning("Distances are computed without compiled code, which is slower.", exc_info=True)
        return None
    return _euclid_kernels


def _check(mask: Tensor, spacing: Sequence[float] | None) -> tuple[float, ...]:
    if mask.dtype != torch.bool or mask.ndim not in (4, 5) or 0 in mask.shape[2:]:
        raise ValueError(
            "mask: expected a boolean (N, C, *spatial) tensor with 2 or 3 spatial axes and some pixels, "
            f"got {tuple(mask.shape)} of {mask.dtype}."
        )
    dims = mask.ndim - 2
    sides = (1.0,) * dims if spacing is None else tuple(float(side) for side in spacing)
    if len(sides) != dims or not all(0 < side < math.inf for side in sides):
        raise ValueError(f"spacing: expected {dims} positive numbers, one a spatial axis, got {spacing}.")
    return sides


def _signed(mask: Tensor, sides: tuple[float, ...]) -> Tensor:
    lengths = [count * side for count, side in zip(mask.shape[2:], sides, strict=True)]
    diagonal = math.hypot(*lengths)
    module = _kernels() if mask.device.type == "cpu" and mask.numel() else None
    with torch.no_grad():
        if module is None:
            inside, outside = _tensor(mask, sides, diagonal), _tensor(~mask, sides, diagonal)
            return torch.where(mask, inside, -outside)
        return _compiled_signed(module, mask, sides, diagonal)


def _compiled_signed(module: ModuleType, mask: Tensor, sides: tuple[float, ...], diagonal: float) -> Tensor:
    shape = (mask.shape[0] * mask.shape[1], *(mask.shape[2:] if mask.ndim == 5 else (1, *mask.shape[2:])))
    planes = mask.contiguous().view(torch.uint8).reshape(shape).numpy()
    squares = np.array([1.0, *sides][-3:], np.float32) ** 2
    out = torch.empty(mask.shape, dtype=torch.float32)
    filled = out.view(shape).numpy()

    def run(part: slice) -> None:
        module.signed(planes[part], squares, diagonal, filled[part])

    _compiled.share(run, len(planes), mask.numel() // _SHARE)
    return out


def _tensor(mask: Tensor, sides: tuple[float, ...], diagonal: float) -> Tensor:
    """Distance of every foreground pixel to the background, on any device: axis by axis, all offsets."""
    square = torch.where(mask, _FAR, 0.0).to(torch.float32)
    for axis, side in enumerate(sides, start=2):
        best = square.clone()
        count = mask.shape[axis]
        for away in range(1, count):
            lift = (away * side) ** 2
            for here, there in ((away, 0), (0, away)):
                target = best.narrow(axis, here, count - away)
                torch.minimum(target, square.narrow(axis, there, count - away) + lift, out=target)
        square = best
    return torch.where(square < _FAR, square.sqrt(), diagonal)
