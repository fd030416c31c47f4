"""Compiled erosion, dilation and thickness for the CPU; `napari_segsize.ops.skeleton` says what they are.

Images come as ``(planes, depth, height, width)``, float32 or float64; a 2-D image has depth 1. What lies
outside the image is left out, by looking at an edge pixel twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.ops._jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int32]
    Floats = NDArray[np.floating[Any]]


@kernel
def erode(image: Floats, out: Floats) -> None:
    """Write the least value in the cross around every pixel."""
    planes, depth, height, width = image.shape
    for plane in range(planes):
        for z in range(depth):
            for y in range(height):
                here, row = image[plane, z, y], out[plane, z, y]
                up, down = image[plane, z, max(y - 1, 0)], image[plane, z, min(y + 1, height - 1)]
                front, back = image[plane, max(z - 1, 0), y], image[plane, min(z + 1, depth - 1), y]
                for x in range(width):
                    row[x] = min(here[x], up[x], down[x])
                if depth > 1:
                    for x in range(width):
                        row[x] = min(row[x], front[x], back[x])
                for x in range(1, width):
                    row[x] = min(row[x], here[x - 1])
                for x in range(width - 1):
                    row[x] = min(row[x], here[x + 1])


@kernel
def erode_backward(image: Floats, eroded: Floats, upstream: Floats, out: Floats) -> None:
    """Add every pixel's gradient to the first of its cross that has the least value, itself before others."""
    planes, depth, height, width = image.shape
    for plane in range(planes):
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    share, least = upstream[plane, z, y, x], eroded[plane, z, y, x]
                    if share == 0:
                        continue
                    if image[plane, z, y, x] == least:
                        out[plane, z, y, x] += share
                    elif y > 0 and image[plane, z, y - 1, x] == least:
                        out[plane, z, y - 1, x] += share
                    elif y < height - 1 and image[plane, z, y + 1, x] == least:
                        out[plane, z, y + 1, x] += share
                    elif x > 0 and image[plane, z, y, x - 1] == least:
                        out[plane, z, y, x - 1] += share
                    elif x < width - 1 and image[plane, z, y, x + 1] == least:
                        out[plane, z, y, x + 1] += share
                    elif z > 0 and image[plane, z - 1, y, x] == least:
                        out[plane, z - 1, y, x] += share
                    elif z < depth - 1 and image[plane, z + 1, y, x] == least:
                        out[plane, z + 1, y, x] += share


@kernel
def dilate(image: Floats, out: Floats) -> None:
    """Write the largest value in the block of 3 pixels a side around every pixel."""
    planes, depth, height, width = image.shape
    flat, slab = np.empty_like(image[0]), np.empty_like(image[0])
    for plane in range(planes):
        for z in range(depth):
            for y in range(height):
                up, down = image[plane, z, max(y - 1, 0)], image[plane, z, min(y + 1, height - 1)]
                for x in range(width):
                    flat[z, y, x] = max(image[plane, z, y, x], up[x], down[x])
        for z in range(depth):
            front, back = flat[max(z - 1, 0)], flat[min(z + 1, depth - 1)]
            for y in range(height):
                for x in range(width):
                    slab[z, y, x] = max(flat[z, y, x], front[y, x], back[y, x])
        for z in range(depth):
            for y in range(height):
                row, here = out[plane, z, y], slab[z, y]
                for x in range(width):
                    row[x] = here[x]
                for x in range(1, width):
                    row[x] = max(row[x], here[x - 1])
                for x in range(width - 1):
                    row[x] = max(row[x], here[x + 1])


@kernel
def dilate_backward(image: Floats, dilated: Floats, upstream: Floats, out: Floats) -> None:
    """Add every pixel's gradient to the first of its block with the largest value, itself before others."""
    planes, depth, height, width = image.shape
    for plane in range(planes):
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    share, most = upstream[plane, z, y, x], dilated[plane, z, y, x]
                    if share == 0:
                        continue
                    if image[plane, z, y, x] == most:
                        out[plane, z, y, x] += share
                        continue
                    done = False
                    for k in range(max(z - 1, 0), min(z + 2, depth)):
                        for j in range(max(y - 1, 0), min(y + 2, height)):
                            for i in range(max(x - 1, 0), min(x + 2, width)):
                                if not done and image[plane, k, j, i] == most:
                                    out[plane, k, j, i] += share
                                    done = True


@kernel
def thickness(mask: Bytes, out: Ints) -> None:
    """Write each plane's largest city-block distance to the background; 0 where there is no background."""
    planes, depth, height, width = mask.shape
    far = np.int32(depth + height + width)
    away = np.empty((depth, height, width), np.int32)
    for plane in range(planes):
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    near = far
                    if not mask[plane, z, y, x]:
                        near = np.int32(0)
                    else:
                        if z > 0:
                            near = min(near, np.int32(away[z - 1, y, x] + 1))
                        if y > 0:
                            near = min(near, np.int32(away[z, y - 1, x] + 1))
                        if x > 0:
                            near = min(near, np.int32(away[z, y, x - 1] + 1))
                    away[z, y, x] = near
        most = np.int32(0)
        for from_back in range(depth):
            z = depth - 1 - from_back
            for from_below in range(height):
                y = height - 1 - from_below
                for from_right in range(width):
                    x = width - 1 - from_right
                    near = away[z, y, x]
                    if z < depth - 1:
                        near = min(near, np.int32(away[z + 1, y, x] + 1))
                    if y < height - 1:
                        near = min(near, np.int32(away[z, y + 1, x] + 1))
                    if x < width - 1:
                        near = min(near, np.int32(away[z, y, x + 1] + 1))
                    away[z, y, x] = near
                    most = max(most, near)
        out[plane] = 0 if most >= far else most
