"""Compiled sums over pixels for the CPU, in one pass; `napari_segsize.ops.pixel_sums` says what they are.

Images come as ``(planes, pixels)``, all float32 or all float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_segsize.ops._jit import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_ORDER = {"reassoc", "contract", "nsz"}  # sums in any order, so that they are vectorised; NaN stays NaN
_RUN = 1024  # pixels that are summed in their own precision; runs are summed in double precision
_FACTORS = 96  # factors of a product, each at least 1/2: above the least float32


def _kernel(function: _Function) -> _Function:
    return kernel(function, fastmath=_ORDER)


@_kernel
def counts(probs: Floats, target: Floats, out: Floats) -> None:
    """Write ``sum(p y)``, ``sum(p)`` and ``sum(y)`` of every plane to `out` ``(planes, 3)``."""
    planes, pixels = probs.shape
    for plane in range(planes):
        both = mass = area = np.float64(0)
        for start in range(0, pixels, _RUN):
            p, y = probs[plane, start : start + _RUN], target[plane, start : start + _RUN]
            run_both = run_mass = run_area = probs.dtype.type(0)
            for i in range(p.size):
                run_both += p[i] * y[i]
                run_mass += p[i]
                run_area += y[i]
            both += run_both
            mass += run_mass
            area += run_area
        out[plane, 0], out[plane, 1], out[plane, 2] = both, mass, area


@_kernel
def counts_backward(probs: Floats, target: Floats, slopes: Floats, out: Floats) -> None:
    """Write the slope of the logits, given those of the first two counts, ``(planes, 2)``."""
    planes, pixels = probs.shape
    one = probs.dtype.type(1)
    for plane in range(planes):
        both, mass = slopes[plane, 0], slopes[plane, 1]
        p, y, row = probs[plane], target[plane], out[plane]
        for i in range(pixels):
            row[i] = (y[i] * both + mass) * (p[i] * (one - p[i]))


@_kernel
def entropy(logits: Floats, target: Floats, probs: Floats, out: Floats) -> None:
    """Write the sum of the cross-entropies of every plane to `out` ``(planes, 1)``.

    ``max(z, 0) - z y - log max(p, 1 - p)``: exact where ``z y`` cancels ``z``. Many factors become one
    before their logarithm is taken.
    """
    planes, pixels = logits.shape
    one, zero = logits.dtype.type(1), logits.dtype.type(0)
    for plane in range(planes):
        total = np.float64(0)
        for start in range(0, pixels, _FACTORS):
            stop = start + _FACTORS
            z, y, p = logits[plane, start:stop], target[plane, start:stop], probs[plane, start:stop]
            straight, product = zero, one
            for i in range(z.size):
                straight += max(z[i], zero) - z[i] * y[i]
                product *= max(p[i], one - p[i])
            total += straight - math.log(product)
        out[plane, 0] = total


@_kernel
def entropy_backward(probs: Floats, target: Floats, slopes: Floats, out: Floats) -> None:
    """Write the slope of the logits, given that of the sums, ``(planes, 1)``."""
    planes, pixels = probs.shape
    for plane in range(planes):
        slope, p, y, row = slopes[plane, 0], probs[plane], target[plane], out[plane]
        for i in range(pixels):
            row[i] = (p[i] - y[i]) * slope
