"""Compiled union-find for the CPU: connected parts, and persistence; `napari_segsize.ops.topology` explains.

Every array is one plane or one volume; foreground pixels touch at corners too, background pixels at sides.
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
    Shape = tuple[int, int, int]


@kernel
def _root(parent: Ints, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel
def parts(mask: Bytes, volume: bool) -> tuple[int, int]:
    """Parts of the foreground, and of the background together with all that lies outside.

    `mask` is ``(depth, height, width)``; a plane has depth 1, and nothing lies in front of it or behind.
    """
    depth, height, width = mask.shape
    outside = depth * height * width
    parent = np.arange(outside + 1).astype(np.int32)
    inside, beyond = 0, 1
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                kind = mask[z, y, x]
                here = (z * height + y) * width + x
                if kind:
                    inside += 1
                else:
                    beyond += 1
                    edge = y == 0 or x == 0 or y == height - 1 or x == width - 1
                    if edge or (volume and (z == 0 or z == depth - 1)):
                        one, other = _root(parent, here), _root(parent, outside)
                        if one != other:
                            parent[one] = other
                            beyond -= 1
                # the neighbours that were seen before
                for k in range(max(z - 1, 0), z + 1):
                    for j in range(max(y - 1, 0), min(y + 2, height)):
                        for i in range(max(x - 1, 0), min(x + 2, width)):
                            there = (k * height + j) * width + i
                            if there >= here or mask[k, j, i] != kind:
                                continue
                            if not kind and abs(z - k) + abs(y - j) + abs(x - i) > 1:
                                continue
                            one, other = _root(parent, here), _root(parent, there)
                            if one != other:
                                parent[one] = other
                                if kind:
                                    inside -= 1
                                else:
                                    beyond -= 1
    return inside, beyond


@kernel
def part_pairs(values: Floats, order: Ints, shape: Shape, births: Ints, deaths: Ints) -> int:
    """Pairs of dimension 0 of the superlevel sets of a plane or volume; returns how many were written.

    `values` is flat and `order` sorts it downwards; a plane has depth 1. A part is born at its
    highest pixel and dies where it meets a higher one. Pairs of no persistence are left out, and so is the
    part that never dies.
    """
    count = len(values)
    depth, height, width = shape
    parent = np.full(count, -1, np.int32)
    age = np.empty(count, np.int32)
    found = 0
    for step in range(count):
        here = order[step]
        age[here] = step
        parent[here] = here
        root = here
        line, x = here // width, here % width
        z = line // height if depth > 1 else 0
        y = line - z * height
        for k in range(max(z - 1, 0), min(z + 2, depth)):
            for j in range(max(y - 1, 0), min(y + 2, height)):
                for i in range(max(x - 1, 0), min(x + 2, width)):
                    there = (k * height + j) * width + i
                    if parent[there] < 0 or there == here:
                        continue
                    other = _root(parent, there)
                    if other == root:
                        continue
                    old, young = (other, root) if age[other] < age[root] else (root, other)
                    if values[young] > values[here]:
                        births[found], deaths[found] = young, here
                        found += 1
                    parent[young] = old
                    root = old
    return found


@kernel
def hole_pairs(values: Floats, order: Ints, shape: Shape, volume: bool, births: Ints, deaths: Ints) -> int:
    """Pairs of dimension 1 of a plane, or 2 of a volume: holes or cavities; returns how many were written.

    By duality: a hole is a part of the background. Going upwards, background parts are born at their lowest
    pixel, where the hole dies, and meet an older one or the outside at a saddle, where the hole is born.
    """
    count = len(values)
    depth, height, width = shape
    parent = np.full(count + 1, -1, np.int32)
    age = np.empty(count + 1, np.int32)
    outside = count
    parent[outside] = outside
    age[outside] = -1
    found = 0
    for step in range(count):
        here = order[count - 1 - step]
        age[here] = step
        parent[here] = here
        root = here
        line, x = here // width, here % width
        z = line // height if depth > 1 else 0
        y = line - z * height
        for side in range(6 if volume else 4):
            j = y - 1 if side == 0 else (y + 1 if side == 1 else y)
            i = x - 1 if side == 2 else (x + 1 if side == 3 else x)
            k = z - 1 if side == 4 else (z + 1 if side == 5 else z)
            within = 0 <= k < depth and 0 <= j < height and 0 <= i < width
            there = (k * height + j) * width + i if within else outside
            if parent[there] < 0:
                continue
            other = _root(parent, there)
            if other == root:
                continue
            old, young = (other, root) if age[other] < age[root] else (root, other)
            if values[young] < values[here]:
                births[found], deaths[found] = here, young
                found += 1
            parent[young] = old
            root = old
    return found
