"""Compiled Euclidean distances for the CPU; `napari_segsize.ops.signed_distance` says what they are.

Masks come as ``(planes, depth, height, width)`` uint8; a 2-D image has depth 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.ops._jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int32]
    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]


_FAR = np.float32(1e30)  # a square of a distance that no image has
_float = np.float32
_wide = np.float64


@kernel
def signed(mask: Bytes, squares: Floats, diagonal: float, out: Floats) -> None:
    """Write to `out` the distance to the nearest pixel of the other kind: positive inside, else negative.

    `squares` holds the squared sides of a pixel, ``(z, y, x)``. A plane of one kind has `diagonal`
    throughout. The time grows linearly with the number of pixels: each axis is a lower envelope of parabolas
    (Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012).
    """
    planes, depth, height, width = mask.shape
    longest = max(depth, height)
    square = np.empty((depth, width, height), np.float32)  # columns lie together in memory
    line, lowest = np.empty(longest, np.float32), np.empty(longest, np.float32)
    roots, edges = np.empty(longest, np.int32), np.empty(longest + 1, np.float64)
    for plane in range(planes):
        for kind in range(2):
            _along_rows(mask[plane], kind, squares[2], square)
            for z in range(depth):
                for x in range(width):
                    _envelope(square[z, x], height, squares[1], roots, edges, lowest)
                    square[z, x] = lowest[:height]
            if depth > 1:
                for x in range(width):
                    for y in range(height):
                        for z in range(depth):
                            line[z] = square[z, x, y]
                        _envelope(line, depth, squares[0], roots, edges, lowest)
                        for z in range(depth):
                            square[z, x, y] = lowest[z]
            alone = square[0, 0, 0] >= _FAR
            sign = _float(1) if kind == 0 else _float(-1)
            for z in range(depth):
                for y in range(height):
                    for x in range(width):
                        if mask[plane, z, y, x] != kind:
                            far = _float(diagonal) if alone else np.sqrt(square[z, x, y])
                            out[plane, z, y, x] = sign * far


@kernel
def _along_rows(mask: Bytes, kind: int, side_square: np.float32, square: Floats) -> None:
    """Squared distance to the nearest pixel of `kind` in the same row, ``(depth, width, height)``."""
    depth, height, width = mask.shape
    steps = np.empty(width, np.int32)
    for z in range(depth):
        for y in range(height):
            near = np.int32(width)
            for x in range(width):
                near = np.int32(0) if mask[z, y, x] == kind else np.int32(near + 1)
                steps[x] = near
            near = np.int32(width)
            for back in range(width):
                x = width - 1 - back
                near = min(np.int32(near + 1), steps[x])
                step = _float(near)
                square[z, x, y] = _FAR if near >= width else step * step * side_square


@kernel
def _envelope(
    line: Floats, count: int, side_square: np.float32, roots: Ints, edges: Doubles, lowest: Floats
) -> None:
    """``lowest[q] = min over p of line[p] + (q - p) ** 2 * side_square`` for the first `count` values.

    ``roots`` are the parabolas that are lowest somewhere, each from ``edges[k]`` to ``edges[k + 1]``.
    """
    scale = _wide(side_square)
    top = -1
    for q in range(count):
        # Amid zeros only their ends can be nearest to something that is not zero.
        within = 0 < q < count - 1 and line[q - 1] == 0 and line[q] == 0 and line[q + 1] == 0
        if line[q] >= _FAR or within:
            continue
        height = _wide(line[q]) + scale * (q * q)
        edge = _wide(-_FAR)
        while top >= 0:
            p = roots[top]
            edge = (height - _wide(line[p]) - scale * (p * p)) / (2 * scale * (q - p))
            if edge > edges[top]:
                break
            top -= 1
        top += 1
        roots[top] = q
        edges[top] = edge if top > 0 else _wide(-_FAR)
    if top < 0:
        lowest[:count] = _FAR
        return
    edges[top + 1] = _wide(_FAR)
    k = 0
    for q in range(count):
        if line[q] == 0:
            lowest[q] = 0
            continue
        while edges[k + 1] < q:
            k += 1
        step = _float(q - roots[k])
        lowest[q] = line[roots[k]] + step * step * side_square
