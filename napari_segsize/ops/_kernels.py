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
_FAR = 1 << 30  # farther than any window reaches
_AT_ONCE = 8  # windows that are asked together
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
    far from the background as the second nearest one. The owner is the background pixel that entered the
    window last, slice by slice and row by row: no search. `latest_z` and `latest_y` remember it; they are the
    rows that held the distances, padding included, which are free by now.
    """
    depth, height, width = mask.shape
    # Nearer to the edge, nothing can lie farther than `radius` from the outside.
    margin = radius if background_outside else 0
    margin_z = margin if volume else 0
    near, near_span = np.zeros(width + 2 * radius + 3, np.int32), 2 * min(radius, width) + 1
    wide, wide_span = np.zeros(width + 2 * radius + 3, np.int32), 2 * min(radius + 1, width) + 1
    fits = np.empty(width, np.int32)
    columns = np.empty(width + 2, np.int32)
    for y in range(height):
        for x in range(width):
            latest_z[y + 1, x + _PAD] = -1
    entered_z = 0
    for z in range(margin_z, depth - margin_z):
        while entered_z < min(z + radius + 1, depth):
            for y in range(height):
                for x in range(width):
                    before = latest_z[y + 1, x + _PAD]
                    latest_z[y + 1, x + _PAD] = before if mask[entered_z, y, x] else _int(entered_z)
            entered_z += 1
        for x in range(width):
            latest_y[x + _PAD] = -1
        entered_y, first_z = 0, max(z - radius, 0)
        for y in range(margin, height - margin):
            while entered_y < min(y + radius + 1, height):
                for x in range(width):
                    inside = latest_z[entered_y + 1, x + _PAD] >= first_z
                    latest_y[x + _PAD] = _int(entered_y) if inside else latest_y[x + _PAD]
                entered_y += 1
            _sum_windows(sums, z, y, radius, near)
            alone = _int(0)
            for x in range(width):
                alone = _int(alone + _int(_int(near[x + near_span] - near[x]) == _int(1)))
            if alone == 0:
                continue
            _sum_windows(sums, z, y, radius + 1, wide)
            for x in range(width):
                fits[x] = _int(wide[x + wide_span] - wide[x])
            _fill_from_row(
                sums,
                z,
                y,
                radius,
                limit,
                background_outside,
                volume,
                near,
                fits,
                columns,
                latest_z,
                latest_y,
                out,
            )


@_kernel
def _sum_windows(sums: Ints, z: int, y: int, radius: int, line: Ints) -> None:
    """Write how much background the windows of row (z, y) have to the left of each of their edges.

    The window around x holds ``line[x + 2 * reach + 1] - line[x]`` background pixels, where `reach` is the
    radius, or the width of the image if that is less.
    """
    depth, height, width = sums.shape[0], sums.shape[1] - 1, sums.shape[2] - 1
    upto, under = min(z + radius + 1, depth) - 1, z - radius - 1
    end, begin, reach = min(y + radius + 1, height), max(y - radius, 0), min(radius, width)
    for x in range(width):
        line[x + reach + 1] = _int(sums[upto, end, x + 1] - sums[upto, begin, x + 1])
    if under >= 0:
        for x in range(width):
            far = _int(sums[under, end, x + 1] - sums[under, begin, x + 1])
            line[x + reach + 1] = _int(line[x + reach + 1] - far)
    for x in range(reach):
        line[x + reach + width + 1] = line[reach + width]


@_kernel
def _fill_from_row(
    sums: Ints,
    z: int,
    y: int,
    radius: int,
    limit: int,
    background_outside: bool,
    volume: bool,
    near: Ints,
    fits: Ints,
    columns: Ints,
    latest_z: Ints,
    latest_y: Ints,
    out: Floats,
) -> None:
    """Raise `out` at the owners of the pixels of one row.

    An owner's pixels lie side by side: as far as their windows reach it, up to where they reach the next
    column with background. Only the farthest of them counts, so each is asked whether it beats the best
    before it ("does the window of radius `best` hold at most one?"): once, and once more for every step by
    which it does. `fits` answers the first question for most pixels of small windows: it is the background in
    windows of radius ``radius + 1``, the least that `best` can be. Long runs are asked 8 pixels at a time.
    """
    depth, tall, wide = sums.shape
    height, width = tall - 1, wide - 1
    table = sums.reshape(-1)
    margin = radius if background_outside else 0
    reach = min(radius, width)
    most = limit
    if background_outside:
        most = min(limit, y + 1, height - y)
        if volume:
            most = min(most, z + 1, depth - z)
    count = 0  # of columns with background in the windows' rows; two that no window reaches enclose them
    columns[0] = -_FAR
    for x in range(width):
        columns[count + 1] = x
        count += int(latest_y[x + _PAD] >= max(y - radius, 0))
    columns[count + 1] = _FAR
    least = _float(2 * (radius + 1))
    placed, above, below, far_above, far_below = -1, 0, 0, 0, -1
    for i in range(count):
        own_x = columns[i + 1]
        x = max(own_x - radius, columns[i] + radius + 1, margin)
        last = min(own_x + radius, columns[i + 2] - radius - 1, width - 1 - margin)
        if x > last or near[own_x + reach + 1] - near[own_x + reach] != 1:  # the only one in its column?
            continue
        own_y = latest_y[own_x + _PAD]
        own_z = latest_z[own_y + 1, own_x + _PAD]
        before = out[own_z, own_y, own_x]
        while x <= last and fits[x] > 1:
            x += 1
        if x > last:
            out[own_z, own_y, own_x] = max(before, least)
            continue
        best = max(int(before) >> 1, radius + 1)
        while best < most:
            if background_outside:  # farther from the edge than `best`
                x, last = max(x, best), min(last, width - 1 - best)
            if best == radius + 1 and x <= last and fits[x] == 1:
                best += 1
                continue
            if best != placed:  # where the rows of a window of radius `best` begin in the table
                placed = best
                upto, under = min(z + best + 1, depth) - 1, max(z - best, 0) - 1
                end, begin = min(y + best + 1, height), max(y - best, 0)
                above, below = (upto * tall + end) * wide, (upto * tall + begin) * wide
                far_above, far_below = (under * tall + end) * wide, (under * tall + begin) * wide
            while x <= last:
                if far_below < 0 and best <= x < min(last - 1, width - best - _AT_ONCE):
                    # Together, maybe beyond the last: if all hold two or more, so do those that matter.
                    # Indices without signs, as numba asks of others whether they count from the end.
                    a, b = np.uintp(above + x + best + 1), np.uintp(below + x + best + 1)
                    c, d = np.uintp(above + x - best), np.uintp(below + x - best)
                    fewest = _int(2)
                    for k in range(_AT_ONCE):
                        step = np.uintp(k)
                        right = _int(table[a + step] - table[b + step])
                        fewest = min(fewest, _int(right - _int(table[c + step] - table[d + step])))
                    if fewest > 1:
                        x += _AT_ONCE
                        continue
                left, right = max(x - best, 0), min(x + best + 1, width)
                held = table[above + right] - table[below + right] - table[above + left] + table[below + left]
                if far_below >= 0:
                    held -= table[far_above + right] - table[far_below + right]
                    held += table[far_above + left] - table[far_below + left]
                if held <= 1:
                    break
                x += 1
            if x > last:
                break
            best += 1
        out[own_z, own_y, own_x] = _float(2 * best)
