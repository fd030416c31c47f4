"""Compiled flip sizes for the CPU: the size of a mask after each single flip, see docs/flip-sizes.md.

Masks come as ``(planes, depth, height, width)`` uint8; a 2-D image has depth 1 and ``volume`` false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.ops._distance_kernels import PAD, fill_rows, scratch
from napari_segsize.ops._hole_kernels import fill_single_holes, sum_background
from napari_segsize.ops._jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

_float = np.float32
_int = np.int32  # see `_distance_kernels`


@kernel
def flips(mask: Bytes, background_outside: bool, volume: bool, sizes: Floats, out: Floats) -> None:
    """Write the size of every plane of `mask` to `sizes`, and the size after each single flip to `out`."""
    planes, depth, height, width = mask.shape
    limit = max(depth, height, width) if volume else max(height, width)
    rows, spare = scratch(depth, height, width, limit, background_outside, volume)
    skip = 1 if volume else 0
    sums = np.zeros((depth, height + 1, width + 1), np.int32)
    deepest, highest, widest = (
        np.empty(depth, np.int32),
        np.empty(height, np.int32),
        np.empty(width, np.int32),
    )
    first, last = np.empty(limit + 1, np.int32), np.empty(limit + 1, np.int32)
    for plane in range(planes):
        fill_rows(mask[plane], rows, spare, limit, volume)
        radius = _profile(rows, skip, deepest, highest, widest)
        sizes[plane] = 2 * radius

        # Foreground to background: what each axis leaves, in place of the profiles.
        _left_along(deepest, radius, first, last)
        _left_along(highest, radius, first, last)
        _left_along(widest, radius, first, last)
        _empty_each(mask[plane], deepest, highest, widest, radius, out[plane])

        # Background to foreground. In an empty image every pixel becomes a first one, of size 2; without any
        # background inside the image there is nothing to fill.
        if radius == 0:
            out[plane] = _float(2)
            continue
        if sum_background(mask[plane], sums) > 0:
            fill_single_holes(
                mask[plane], sums, rows[skip], spare, radius, limit, background_outside, volume, out[plane]
            )


@kernel
def _profile(rows: Ints, skip: int, deepest: Ints, highest: Ints, widest: Ints) -> int:
    """Write the largest distance in every slice across each axis; return the largest of all."""
    radius = 0
    widest[:] = 0
    for z in range(len(deepest)):
        top = _int(0)
        for y in range(len(highest)):
            top_of_row = _int(0)
            for x in range(len(widest)):
                here = rows[z + skip, y + 1, x + PAD]
                top_of_row = max(top_of_row, here)
                widest[x] = max(widest[x], here)
            highest[y] = top_of_row if z == 0 else max(highest[y], top_of_row)
            top = max(top, top_of_row)
        deepest[z] = top
        radius = max(radius, int(top))
    return radius


@kernel
def _empty_each(mask: Bytes, deepest: Ints, highest: Ints, widest: Ints, radius: int, out: Floats) -> None:
    """Write the size after emptying each foreground pixel, from what the three axes leave of `radius`."""
    depth, height, width = mask.shape
    for z in range(depth):
        for y in range(height):
            across = max(deepest[z], highest[y])
            for x in range(width):
                left = max(across, widest[x])
                out[z, y, x] = _float(2 * (left if mask[z, y, x] else radius))


@kernel
def _left_along(profile: Ints, radius: int, first: Ints, last: Ints) -> None:
    """Replace `profile` (largest distances along one axis) by the radius left after emptying a pixel there.

    That is the largest k with a position of profile >= k at least k away. It differs by at most 1 from its
    neighbour's, so it is followed rather than searched.
    """
    count = len(profile)
    reached = 0
    for i in range(count):
        while reached < profile[i]:
            reached += 1
            first[reached] = i
    reached = 0
    for i in range(count - 1, -1, -1):
        while reached < profile[i]:
            reached += 1
            last[reached] = i
    k = 0
    for i in range(count):
        k = max(k - 1, 0)
        while k < radius and max(i - first[k + 1], last[k + 1] - i) > k:
            k += 1
        profile[i] = k
