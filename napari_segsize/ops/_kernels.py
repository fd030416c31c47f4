"""Compiled kernels for the CPU: the same results as the tensor path, many times faster.

They release the GIL and run on one thread each; `napari_segsize.ops._compiled` shares planes between threads.
Numba's own threads are not used: the layer that is present everywhere ends the process when two Python
threads enter it at once, and another ends it after a fork.

Masks come as ``(planes, depth, height, width)`` uint8; a 2-D image has depth 1 and ``volume`` false.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

_Function = TypeVar("_Function", bound="Callable[..., Any]")

logger = logging.getLogger(__name__)

_PAD = 48  # the longest step over a row that is read without asking whether it stays inside
_float = np.float32
_int = np.int32  # arithmetic on int32 gives int64 in numba, at half the speed: every sum is cast back


def _kernel(function: _Function) -> _Function:
    """Compile at the first call, and keep the machine code where numba finds a folder to write to."""
    try:
        return cast("_Function", njit(nogil=True, error_model="numpy", cache=True)(function))
    except RuntimeError:  # neither beside this file nor in the user's folders
        logger.info("numba finds no folder for its cache; %s is compiled in every session", function.__name__)
        return cast("_Function", njit(nogil=True, error_model="numpy")(function))


@_kernel
def distances(mask: Bytes, background_outside: bool, volume: bool, out: Floats) -> None:
    """Write the Chebyshev distance of every plane of `mask` to `out`."""
    planes, depth, height, width = mask.shape
    limit = max(depth, height, width) if volume else max(height, width)
    rows, spare = _scratch(depth, height, width, limit, background_outside, volume)
    skip = 1 if volume else 0
    for plane in range(planes):
        _fill_rows(mask[plane], rows, spare, limit, volume)
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    out[plane, z, y, x] = rows[z + skip, y + 1, x + _PAD]


@_kernel
def flips(mask: Bytes, background_outside: bool, volume: bool, sizes: Floats, out: Floats) -> None:
    """Write the size of every plane of `mask` to `sizes`, and the size after each single flip to `out`."""
    planes, depth, height, width = mask.shape
    limit = max(depth, height, width) if volume else max(height, width)
    rows, spare = _scratch(depth, height, width, limit, background_outside, volume)
    skip = 1 if volume else 0
    sums = np.zeros((depth, height + 1, width + 1), np.int32)
    deepest, highest, widest = (
        np.empty(depth, np.int32),
        np.empty(height, np.int32),
        np.empty(width, np.int32),
    )
    first, last = np.empty(limit + 1, np.int32), np.empty(limit + 1, np.int32)
    for plane in range(planes):
        _fill_rows(mask[plane], rows, spare, limit, volume)

        # Profiles: the largest distance in every slice across an axis.
        radius = 0
        widest[:] = 0
        for z in range(depth):
            top = _int(0)
            for y in range(height):
                top_of_row = _int(0)
                for x in range(width):
                    here = rows[z + skip, y + 1, x + _PAD]
                    top_of_row = max(top_of_row, here)
                    widest[x] = max(widest[x], here)
                highest[y] = top_of_row if z == 0 else max(highest[y], top_of_row)
                top = max(top, top_of_row)
            deepest[z] = top
            radius = max(radius, int(top))
        sizes[plane] = 2 * radius

        # Foreground to background: what each axis leaves, in place of the profiles.
        _left_along(deepest, radius, first, last)
        _left_along(highest, radius, first, last)
        _left_along(widest, radius, first, last)
        for z in range(depth):
            for y in range(height):
                across = max(deepest[z], highest[y])
                for x in range(width):
                    left = max(across, widest[x])
                    out[plane, z, y, x] = _float(2 * (left if mask[plane, z, y, x] else radius))

        # Background to foreground. In an empty image every pixel becomes a first one, of size 2; without any
        # background inside the image there is nothing to fill.
        if radius == 0:
            out[plane] = _float(2)
            continue
        if _sum_background(mask[plane], sums) > 0:
            _fill_single_holes(
                mask[plane], sums, rows[skip], spare, radius, limit, background_outside, volume, out[plane]
            )


@_kernel
def _scratch(
    depth: int, height: int, width: int, limit: int, background_outside: bool, volume: bool
) -> tuple[Ints, Ints]:
    """Rows for one plane and a spare one, in a margin that stands for what lies outside the image."""
    edge = 0 if background_outside else limit
    skip = 1 if volume else 0
    rows = np.empty((depth + 2 * skip, height + 2, width + 2 * _PAD), np.int32)
    if volume:
        rows[0] = edge
        rows[-1] = edge
    rows[:, 0] = edge
    rows[:, -1] = edge
    rows[:, :, :_PAD] = edge
    rows[:, :, width + _PAD :] = edge
    return rows, np.full(width + 2 * _PAD, edge, np.int32)


@_kernel
def _fill_rows(mask: Bytes, rows: Ints, spare: Ints, limit: int, volume: bool) -> None:
    """Write the distances of one plane into `rows`.

    Sweeps of king moves along z, then along y, then along x (docs/flip-sizes.md, section 1). In the first
    sweep along an axis only what lies behind is known, in the second all.
    """
    depth, height, width = mask.shape
    skip = 1 if volume else 0
    if volume:
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    near = min(_near(rows, z, y, x), _near(rows, z, y + 1, x), _near(rows, z, y + 2, x))
                    keep = _int(-_int(mask[z, y, x]))  # all bits or none: cheaper than a choice
                    rows[z + 1, y + 1, x + _PAD] = _int(near + 1) & keep
        for up in range(depth):
            z = depth - up
            for y in range(height):
                for x in range(width):
                    near = min(_near(rows, z + 1, y, x), _near(rows, z + 1, y + 1, x))
                    near = min(near, _near(rows, z + 1, y + 2, x))
                    rows[z, y + 1, x + _PAD] = min(rows[z, y + 1, x + _PAD], _int(near + 1))
    most = _int(limit)
    # Slices inside, rows outside: the other way round, LLVM asks whether any row that is read is also written
    # in the whole slice, which is so, and takes the loop that it keeps for that case. Measured: half the
    # speed.
    for y in range(height):
        for z in range(skip, depth + skip):
            if volume:
                for x in range(width):
                    near = _near(rows, z, y, x)
                    rows[z, y + 1, x + _PAD] = min(rows[z, y + 1, x + _PAD], _int(near + 1))
            else:
                for x in range(width):
                    keep = _int(-_int(mask[z, y, x]))
                    rows[z, y + 1, x + _PAD] = _int(_near(rows, z, y, x) + 1) & keep
    for z in range(skip, depth + skip):
        for up in range(height):
            y = height - up
            top = _int(0)
            for x in range(width):
                value = min(rows[z, y, x + _PAD], _int(_near(rows, z, y + 1, x) + 1), most)
                spare[x + _PAD] = value
                top = max(top, value)
            _along_row(spare, rows, z, y, width, top)


@_kernel
def _near(rows: Ints, z: int, y: int, x: int) -> np.int32:
    k = x + _PAD
    return min(rows[z, y, k - 1], rows[z, y, k], rows[z, y, k + 1])


@_kernel
def _along_row(spare: Ints, rows: Ints, z: int, y: int, width: int, top: np.int32) -> None:
    """``rows[z, y, x] = min over s of spare[x + s] + |s|``; `top` is the largest value in `spare`.

    `spare` is spoilt. A value is improved from less than `top` pixels away. Steps of 1, 4 and 16 reach 3, 15
    and 63 pixels; beyond, blocks of 64 pass on to the next. No loop depends on its own last few results, so
    all of them vectorise.
    """
    if top <= 1:
        for x in range(width):
            rows[z, y, x + _PAD] = spare[x + _PAD]
        return
    for x in range(width):
        k = x + _PAD
        rows[z, y, k] = min(
            spare[k],
            _int(min(spare[k - 1], spare[k + 1]) + 1),
            _int(min(spare[k - 2], spare[k + 2]) + 2),
            _int(min(spare[k - 3], spare[k + 3]) + 3),
        )
    if top <= 4:
        return
    for x in range(width):
        k = x + _PAD
        spare[k] = min(
            rows[z, y, k],
            _int(min(rows[z, y, k - 4], rows[z, y, k + 4]) + 4),
            _int(min(rows[z, y, k - 8], rows[z, y, k + 8]) + 8),
            _int(min(rows[z, y, k - 12], rows[z, y, k + 12]) + 12),
        )
    if top <= 16:
        for x in range(width):
            rows[z, y, x + _PAD] = spare[x + _PAD]
        return
    for x in range(width):
        k = x + _PAD
        rows[z, y, k] = min(
            spare[k],
            _int(min(spare[k - 16], spare[k + 16]) + 16),
            _int(min(spare[k - 32], spare[k + 32]) + 32),
            _int(min(spare[k - 48], spare[k + 48]) + 48),
        )
    if top <= 64:
        return
    for block in range(width // 64 - 1):
        for x in range(64):
            k = 64 * block + x + _PAD + 64
            rows[z, y, k] = min(rows[z, y, k], _int(rows[z, y, k - 64] + 64))
    rest = width % 64
    for x in range(rest if width > 64 else 0):
        k = width - rest + x + _PAD
        rows[z, y, k] = min(rows[z, y, k], _int(rows[z, y, k - 64] + 64))
    for block in range(width // 64 - 1):
        for x in range(64):
            k = width - 64 * block + x + _PAD - 128
            rows[z, y, k] = min(rows[z, y, k], _int(rows[z, y, k + 64] + 64))
    for x in range(rest if width > 64 else 0):
        k = x + _PAD
        rows[z, y, k] = min(rows[z, y, k], _int(rows[z, y, k + 64] + 64))


@_kernel
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


@_kernel
def _sum_background(mask: Bytes, sums: Ints) -> np.int32:
    """Fill a summed-area table, ``sums[z]`` covering slices up to and including z; return the total."""
    depth, height, width = mask.shape
    for z in range(depth):
        for y in range(height):
            run = _int(0)
            for x in range(width):
                run = _int(run + 1 - mask[z, y, x])
                sums[z, y + 1, x + 1] = _int(sums[z, y, x + 1] + run)
        if z > 0:
            for y in range(height):
                for x in range(width):
                    sums[z, y + 1, x + 1] = _int(sums[z, y + 1, x + 1] + sums[z - 1, y + 1, x + 1])
    return _int(sums[depth - 1, height, width])


@_kernel
def _fill_single_holes(
    mask: Bytes,
    sums: Ints,
    latest_z: Ints,
    latest_y: Ints,
    radius: int,
    limit: int,
    background_outside: bool,
    volume: bool,
    out: Floats,
) -> None:
    """Raise `out` at every background pixel whose filling leaves a pixel farther than `radius` from the rest.

    Such a pixel sees exactly one background pixel, the owner, in its window of that radius, and then lies as
    far from the background as the second nearest one. Only the farthest of an owner's pixels counts, so each
    is asked whether it beats the best before it: once, and once more for every step by which it does. The
    owner is the background pixel that entered the window last, axis by axis: no search. `latest_z` and
    `latest_y` remember it; they are the rows that held the distances, padding included, which are free by
    now.
    """
    depth, height, width = mask.shape
    # Nearer to the edge, nothing can lie farther than `radius` from the outside.
    margin = radius if background_outside else 0
    margin_z = margin if volume else 0
    reach = min(radius, width)
    span = 2 * reach + 1
    table, tall, wide = sums.reshape(-1), height + 1, width + 1
    line = np.zeros(width + span, np.int32)  # background left of x in the window's rows, from x = -reach
    for y in range(height):
        for x in range(width):
            latest_z[y + 1, x + _PAD] = -1
    entered_z = 0
    for z in range(margin_z, depth - margin_z):
        z0, z1 = max(z - radius, 0), min(z + radius + 1, depth)
        while entered_z < z1:
            for y in range(height):
                for x in range(width):
                    before = latest_z[y + 1, x + _PAD]
                    latest_z[y + 1, x + _PAD] = before if mask[entered_z, y, x] else _int(entered_z)
            entered_z += 1
        for x in range(width):
            latest_y[x + _PAD] = -1
        entered_y = 0
        for y in range(margin, height - margin):
            y0, y1 = max(y - radius, 0), min(y + radius + 1, height)
            while entered_y < y1:
                for x in range(width):
                    inside = latest_z[entered_y + 1, x + _PAD] >= z0
                    latest_y[x + _PAD] = _int(entered_y) if inside else latest_y[x + _PAD]
                entered_y += 1
            for x in range(width):
                line[x + reach + 1] = _int(sums[z1 - 1, y1, x + 1] - sums[z1 - 1, y0, x + 1])
            if z0 > 0:
                for x in range(width):
                    before = _int(sums[z0 - 1, y1, x + 1] - sums[z0 - 1, y0, x + 1])
                    line[x + reach + 1] = _int(line[x + reach + 1] - before)
            for x in range(reach):
                line[x + reach + width + 1] = line[reach + width]
            single = _int(0)
            for x in range(width):
                single = _int(single + _int(_int(line[x + span] - line[x]) == _int(1)))
            if single == 0:
                continue
            latest_x, entered_x = -1, 0
            owner_x, owner_y, owner_z, best = -1, 0, 0, 0
            above, below, far_above, far_below, placed = 0, 0, 0, 0, -1
            for x in range(margin, width - margin):
                while entered_x < min(x + radius + 1, width):
                    latest_x = entered_x if latest_y[entered_x + _PAD] >= y0 else latest_x
                    entered_x += 1
                if line[x + span] - line[x] != 1:
                    continue
                if latest_x != owner_x:
                    owner_x, owner_y = latest_x, latest_y[latest_x + _PAD]
                    owner_z = latest_z[owner_y + 1, owner_x + _PAD]
                    best = max(int(out[owner_z, owner_y, owner_x]) // 2, radius + 1)
                most = limit
                if background_outside:
                    most = min(limit, x + 1, width - x, y + 1, height - y)
                    if volume:
                        most = min(most, z + 1, depth - z)
                while best < most:
                    if best != placed:  # where the rows of a window of radius `best` begin in the table
                        placed = best
                        upto, under = min(z + best + 1, depth) - 1, max(z - best, 0) - 1
                        end, begin = min(y + best + 1, height), max(y - best, 0)
                        above, below = (upto * tall + end) * wide, (upto * tall + begin) * wide
                        far_above, far_below = (under * tall + end) * wide, (under * tall + begin) * wide
                    left, right = max(x - best, 0), min(x + best + 1, width)
                    count = (
                        table[above + right]
                        - table[below + right]
                        - table[above + left]
                        + table[below + left]
                    )
                    if far_below >= 0:
                        count -= table[far_above + right] - table[far_below + right]
                        count += table[far_above + left] - table[far_below + left]
                    if count > 1:
                        break
                    best += 1
                out[owner_z, owner_y, owner_x] = _float(2 * best)
