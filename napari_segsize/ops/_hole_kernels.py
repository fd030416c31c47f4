"""Compiled filling of single holes, a part of the flip sizes: docs/flip-sizes.md.

A mask is one image, ``(depth, height, width)`` uint8; a 2-D image has depth 1 and ``volume`` false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.ops._distance_kernels import PAD
from napari_segsize.ops._jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

_FAR = 1 << 30  # farther than any window reaches
_AT_ONCE = 8  # windows that are asked together
_float = np.float32
_int = np.int32  # see `_distance_kernels`


@kernel
def sum_background(mask: Bytes, sums: Ints) -> np.int32:
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


@kernel
def fill_single_holes(
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
            latest_z[y + 1, x + PAD] = -1
    entered_z = 0
    for z in range(margin_z, depth - margin_z):
        while entered_z < min(z + radius + 1, depth):
            for y in range(height):
                for x in range(width):
                    before = latest_z[y + 1, x + PAD]
                    latest_z[y + 1, x + PAD] = before if mask[entered_z, y, x] else _int(entered_z)
            entered_z += 1
        for x in range(width):
            latest_y[x + PAD] = -1
        entered_y, first_z = 0, max(z - radius, 0)
        for y in range(margin, height - margin):
            while entered_y < min(y + radius + 1, height):
                for x in range(width):
                    inside = latest_z[entered_y + 1, x + PAD] >= first_z
                    latest_y[x + PAD] = _int(entered_y) if inside else latest_y[x + PAD]
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


@kernel
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


@kernel
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
    count = _columns_with_background(latest_y, y - radius, columns)
    least = _float(2 * (radius + 1))
    above, below, far_above, far_below = 0, 0, 0, -1
    placed = -1
    for i in range(count):
        own_x = columns[i + 1]
        x = max(own_x - radius, columns[i] + radius + 1, margin)
        last = min(own_x + radius, columns[i + 2] - radius - 1, width - 1 - margin)
        if x > last or near[own_x + reach + 1] - near[own_x + reach] != 1:  # the only one in its column?
            continue
        own_y = latest_y[own_x + PAD]
        own_z = latest_z[own_y + 1, own_x + PAD]
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
            if best != placed:
                placed = best
                above, below, far_above, far_below = _corners(z, y, best, depth, tall, wide)
            # Not a kernel of its own: masks with a hole every few pixels would take 5 to 8 % longer.
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


@kernel
def _columns_with_background(latest_y: Ints, since: int, columns: Ints) -> int:
    """Write the columns with background from row `since` on, and return their number.

    Two that no window reaches enclose them.
    """
    count = 0
    columns[0] = -_FAR
    for x in range(len(columns) - 2):
        columns[count + 1] = x
        count += int(latest_y[x + PAD] >= max(since, 0))
    columns[count + 1] = _FAR
    return count


@kernel
def _corners(z: int, y: int, radius: int, depth: int, tall: int, wide: int) -> tuple[int, int, int, int]:
    """Return where the rows of a window begin in the table: above and below it, and in the slice in front.

    Without a slice in front the last two are negative.
    """
    upto, under = min(z + radius + 1, depth) - 1, max(z - radius, 0) - 1
    end, begin = min(y + radius + 1, tall - 1), max(y - radius, 0)
    above, below = (upto * tall + end) * wide, (upto * tall + begin) * wide
    return above, below, (under * tall + end) * wide, (under * tall + begin) * wide
