"""Compiled Chebyshev distances for the CPU: the tensor path's results, many times faster.

Masks come as ``(planes, depth, height, width)`` uint8; a 2-D image has depth 1 and ``volume`` false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.ops._jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

PAD = 48  # the longest step over a row that is read without asking whether it stays inside
_int = np.int32  # arithmetic on int32 gives int64 in numba, at half the speed: every sum is cast back


@kernel
def distances(mask: Bytes, background_outside: bool, volume: bool, out: Floats) -> None:
    """Write the Chebyshev distance of every plane of `mask` to `out`."""
    planes, depth, height, width = mask.shape
    limit = max(depth, height, width) if volume else max(height, width)
    rows, spare = scratch(depth, height, width, limit, background_outside, volume)
    skip = 1 if volume else 0
    for plane in range(planes):
        fill_rows(mask[plane], rows, spare, limit, volume)
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    out[plane, z, y, x] = rows[z + skip, y + 1, x + PAD]


@kernel
def scratch(
    depth: int, height: int, width: int, limit: int, background_outside: bool, volume: bool
) -> tuple[Ints, Ints]:
    """Rows for one plane and a spare one, in a margin that stands for what lies outside the image."""
    edge = 0 if background_outside else limit
    skip = 1 if volume else 0
    rows = np.empty((depth + 2 * skip, height + 2, width + 2 * PAD), np.int32)
    if volume:
        rows[0] = edge
        rows[-1] = edge
    rows[:, 0] = edge
    rows[:, -1] = edge
    rows[:, :, :PAD] = edge
    rows[:, :, width + PAD :] = edge
    return rows, np.full(width + 2 * PAD, edge, np.int32)


@kernel
def fill_rows(mask: Bytes, rows: Ints, spare: Ints, limit: int, volume: bool) -> None:
    """Write the distances of one plane into `rows`.

    Sweeps of king moves along z, then along y, then along x (docs/flip-sizes.md, section 1). In the first
    sweep along an axis only what lies behind is known, in the second all.
    """
    depth, height, width = mask.shape
    skip = 1 if volume else 0
    most = _int(limit)
    if volume:
        _along_slices(mask, rows)
    _down_columns(mask, rows, volume)
    for z in range(skip, depth + skip):
        for up in range(height):
            y = height - up
            top = _int(0)
            for x in range(width):
                value = min(rows[z, y, x + PAD], _int(_near(rows, z, y + 1, x) + 1), most)
                spare[x + PAD] = value
                top = max(top, value)
            _along_row(spare, rows, z, y, width, top)


@kernel
def _along_slices(mask: Bytes, rows: Ints) -> None:
    """Sweep along z, there and back."""
    depth, height, width = mask.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                near = min(_near(rows, z, y, x), _near(rows, z, y + 1, x), _near(rows, z, y + 2, x))
                keep = _int(-_int(mask[z, y, x]))  # all bits or none: cheaper than a choice
                rows[z + 1, y + 1, x + PAD] = _int(near + 1) & keep
    for up in range(depth):
        z = depth - up
        for y in range(height):
            for x in range(width):
                near = min(_near(rows, z + 1, y, x), _near(rows, z + 1, y + 1, x))
                near = min(near, _near(rows, z + 1, y + 2, x))
                rows[z, y + 1, x + PAD] = min(rows[z, y + 1, x + PAD], _int(near + 1))


@kernel
def _down_columns(mask: Bytes, rows: Ints, volume: bool) -> None:
    """Sweep along y, there; the way back goes together with the rows.

    Slices inside, rows outside: the other way round, LLVM asks whether any row that is read is also written
    in the whole slice, which is so, and takes the loop that it keeps for that case. Measured: half the speed.
    """
    depth, height, width = mask.shape
    skip = 1 if volume else 0
    for y in range(height):
        for z in range(skip, depth + skip):
            if volume:
                for x in range(width):
                    near = _near(rows, z, y, x)
                    rows[z, y + 1, x + PAD] = min(rows[z, y + 1, x + PAD], _int(near + 1))
            else:
                for x in range(width):
                    keep = _int(-_int(mask[z, y, x]))
                    rows[z, y + 1, x + PAD] = _int(_near(rows, z, y, x) + 1) & keep


@kernel
def _near(rows: Ints, z: int, y: int, x: int) -> np.int32:
    k = x + PAD
    return min(rows[z, y, k - 1], rows[z, y, k], rows[z, y, k + 1])


@kernel
def _along_row(spare: Ints, rows: Ints, z: int, y: int, width: int, top: np.int32) -> None:
    """``rows[z, y, x] = min over s of spare[x + s] + |s|``; `top` is the largest value in `spare`.

    `spare` is spoilt. A value is improved from less than `top` pixels away. Steps of 1, 4 and 16 reach 3, 15
    and 63 pixels; beyond, blocks of 64 pass on to the next. No loop depends on its own last few results, so
    all of them vectorise.
    """
    if top <= 1:
        for x in range(width):
            rows[z, y, x + PAD] = spare[x + PAD]
        return
    for x in range(width):
        k = x + PAD
        rows[z, y, k] = min(
            spare[k],
            _int(min(spare[k - 1], spare[k + 1]) + 1),
            _int(min(spare[k - 2], spare[k + 2]) + 2),
            _int(min(spare[k - 3], spare[k + 3]) + 3),
        )
    if top <= 4:
        return
    for x in range(width):
        k = x + PAD
        spare[k] = min(
            rows[z, y, k],
            _int(min(rows[z, y, k - 4], rows[z, y, k + 4]) + 4),
            _int(min(rows[z, y, k - 8], rows[z, y, k + 8]) + 8),
            _int(min(rows[z, y, k - 12], rows[z, y, k + 12]) + 12),
        )
    if top <= 16:
        for x in range(width):
            rows[z, y, x + PAD] = spare[x + PAD]
        return
    for x in range(width):
        k = x + PAD
        rows[z, y, k] = min(
            spare[k],
            _int(min(spare[k - 16], spare[k + 16]) + 16),
            _int(min(spare[k - 32], spare[k + 32]) + 32),
            _int(min(spare[k - 48], spare[k + 48]) + 48),
        )
    if top <= 64:
        return
    _from_block_to_block(rows, z, y, width)


@kernel
def _from_block_to_block(rows: Ints, z: int, y: int, width: int) -> None:
    """Let each block of 64 pixels pass on what it has to the next, there and back."""
    for block in range(width // 64 - 1):
        for x in range(64):
            k = 64 * block + x + PAD + 64
            rows[z, y, k] = min(rows[z, y, k], _int(rows[z, y, k - 64] + 64))
    rest = width % 64
    for x in range(rest if width > 64 else 0):
        k = width - rest + x + PAD
        rows[z, y, k] = min(rows[z, y, k], _int(rows[z, y, k - 64] + 64))
    for block in range(width // 64 - 1):
        for x in range(64):
            k = width - 64 * block + x + PAD - 128
            rows[z, y, k] = min(rows[z, y, k], _int(rows[z, y, k + 64] + 64))
    for x in range(rest if width > 64 else 0):
        k = x + PAD
        rows[z, y, k] = min(rows[z, y, k], _int(rows[z, y, k + 64] + 64))
