"""Compiled persistence of handles, dimension 1 of volumes; `napari_segsize.ops.topology` explains.

A volume is built of closed cubes in the order of its voxels; an edge or a square belongs to the first voxel
that has it. A handle is born with the edge that closes it and dies with the square that fills it: a matrix
over the field of two elements, a column a square, is reduced. Three things keep that short. Squares closing
a cavity would give empty columns: they are the tree on which the background's parts meet, backwards, and are
left out. Edges that join parts are never the last of a cycle: they are left out of the columns. And a column
whose last edge is nobody's yet, as most are, is not touched at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.ops._jit import kernel
from napari_segsize.ops._topology_kernels import _root

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.ops._topology_kernels import Floats, Ints, Shape

    Words = NDArray[np.uint64]


@kernel
def handle_pairs(values: Floats, order: Ints, shape: Shape, births: Ints, deaths: Ints) -> int:
    """Pairs of dimension 1 of the superlevel sets of a volume; returns how many were written.

    `values` is flat and `order` sorts it downwards. Pairs of no persistence are left out.
    """
    depth, height, width = shape
    # cells by doubled coordinates: a voxel is odd on every axis, an edge on one, a square on two
    rows, columns = 2 * height + 1, 2 * width + 1
    steps = np.array([rows * columns, columns, 1])
    number = np.full((2 * depth + 1) * rows * columns, -1, np.int32)
    edges = (
        depth * (height + 1) * (width + 1)
        + (depth + 1) * height * (width + 1)
        + (depth + 1) * (height + 1) * width
    )
    squares = (depth + 1) * height * width + depth * (height + 1) * width + depth * height * (width + 1)
    edge_cell, edge_voxel = np.empty(edges, np.int32), np.empty(edges, np.int32)
    square_cell, square_voxel = np.empty(squares, np.int32), np.empty(squares, np.int32)
    seen_edges = seen_squares = 0
    for here in order:
        z, y, x = here // (height * width), here // width % height, here % width
        middle = ((2 * z + 1) * rows + 2 * y + 1) * columns + 2 * x + 1
        for k in range(-1, 2):
            for j in range(-1, 2):
                for i in range(-1, 2):
                    away = abs(k) + abs(j) + abs(i)
                    if away == 0 or away == 3:
                        continue
                    cell = middle + k * steps[0] + j * steps[1] + i
                    if number[cell] >= 0:
                        continue
                    if away == 2:
                        number[cell] = seen_edges
                        edge_cell[seen_edges], edge_voxel[seen_edges] = cell, here
                        seen_edges += 1
                    else:
                        number[cell] = seen_squares
                        square_cell[seen_squares], square_voxel[seen_squares] = cell, here
                        seen_squares += 1
    joins = _joining(edge_cell, rows, columns, len(number))
    closes = _closing(square_cell, rows, columns, len(number))
    return _reduced(
        values, number, joins, closes, edge_voxel, square_cell, square_voxel, rows, columns, births, deaths
    )


@kernel
def _axis_of(cell: int, rows: int, columns: int, odd: int) -> int:
    """Axis on which a cell is odd (or even, if `odd` is 0), the only one."""
    if cell // (rows * columns) % 2 == odd:
        return 0
    return 1 if cell // columns % rows % 2 == odd else 2


@kernel
def _joining(edge_cell: Ints, rows: int, columns: int, cells: int) -> Ints:
    """1 for each edge that joins two parts when it comes."""
    parent = np.arange(cells).astype(np.int32)
    found = np.zeros(len(edge_cell), np.int32)
    for edge, cell in enumerate(edge_cell):
        axis = _axis_of(cell, rows, columns, 1)
        step = rows * columns if axis == 0 else (columns if axis == 1 else 1)
        one, other = _root(parent, cell - step), _root(parent, cell + step)
        if one != other:
            parent[one] = other
            found[edge] = 1
    return found


@kernel
def _closing(square_cell: Ints, rows: int, columns: int, cells: int) -> Ints:
    """1 for each square that closes a cavity: backwards, those that join two parts of the background."""
    planes = cells // (rows * columns)
    parent = np.arange(cells + 1).astype(np.int32)
    found = np.zeros(len(square_cell), np.int32)
    for square in range(len(square_cell) - 1, -1, -1):
        cell = square_cell[square]
        axis = _axis_of(cell, rows, columns, 0)
        step = rows * columns if axis == 0 else (columns if axis == 1 else 1)
        at = (
            cell // (rows * columns)
            if axis == 0
            else (cell // columns % rows if axis == 1 else cell % columns)
        )
        last = (planes if axis == 0 else (rows if axis == 1 else columns)) - 1
        one = _root(parent, cells if at == 0 else cell - step)
        other = _root(parent, cells if at == last else cell + step)
        if one != other:
            parent[one] = other
            found[square] = 1
    return found


@kernel
def _reduced(
    values: Floats,
    number: Ints,
    joins: Ints,
    closes: Ints,
    edge_voxel: Ints,
    square_cell: Ints,
    square_voxel: Ints,
    rows: int,
    columns: int,
    births: Ints,
    deaths: Ints,
) -> int:
    """Reduce the columns of the squares in their order; every one that is left has a last edge of its own."""
    edges = len(edge_voxel)
    owner = np.full(edges, -1, np.int32)  # of a last edge: where its column begins
    length = np.zeros(edges, np.int32)
    pool = np.empty(4 * len(square_cell) + 64, np.int32)
    used = found = 0
    starts, words = _empty_tree(edges)
    for square in range(len(square_cell)):
        if closes[square]:
            continue
        cell = square_cell[square]
        flat = _axis_of(cell, rows, columns, 0)
        last, count = -1, 0
        for side in range(6):
            if side // 2 == flat:
                continue
            step = rows * columns if side // 2 == 0 else (columns if side // 2 == 1 else 1)
            edge = number[cell + step if side % 2 else cell - step]
            if not joins[edge]:
                pool[used + count] = edge
                count += 1
                last = max(last, edge)
        if owner[last] >= 0:
            for k in range(used, used + count):
                _toggle(words, starts, pool[k])
            while owner[last] >= 0:
                for k in range(owner[last], owner[last] + length[last]):
                    _toggle(words, starts, pool[k])
                last = _highest(words, starts)
            count, edge = 0, last
            while edge >= 0:
                if used + count + 4 >= len(pool):
                    longer = np.empty(2 * len(pool), np.int32)
                    longer[: used + count] = pool[: used + count]
                    pool = longer
                pool[used + count] = edge
                count += 1
                _toggle(words, starts, edge)
                edge = _highest(words, starts)
        owner[last], length[last] = used, count
        used += count
        if used + 8 >= len(pool):
            longer = np.empty(2 * len(pool), np.int32)
            longer[:used] = pool[:used]
            pool = longer
        if values[edge_voxel[last]] > values[square_voxel[square]]:
            births[found], deaths[found] = edge_voxel[last], square_voxel[square]
            found += 1
    return found


@kernel
def _empty_tree(count: int) -> tuple[Ints, Words]:
    """A set of numbers below `count` as bits; a bit of the next level says that 64 below are not all 0."""
    starts = [0]
    size = (count + 63) // 64
    total = size
    while size > 1:
        starts.append(total)
        size = (size + 63) // 64
        total += size
    return np.array(starts), np.zeros(total, np.uint64)


@kernel
def _toggle(words: Words, starts: Ints, index: int) -> None:
    """Put a number into the set, or take it out."""
    for level in range(len(starts)):
        place = starts[level] + (index >> 6)
        was = words[place]
        now = was ^ (np.uint64(1) << np.uint64(index & 63))
        words[place] = now
        if (was == 0) == (now == 0):
            return
        index >>= 6


@kernel
def _highest(words: Words, starts: Ints) -> int:
    """The largest number of the set; -1 if it is empty."""
    index = 0
    for level in range(len(starts) - 1, -1, -1):
        word = words[starts[level] + index]
        if word == 0:
            return -1
        bit = 0
        for half in (32, 16, 8, 4, 2, 1):
            if word >> np.uint64(half):
                word >>= np.uint64(half)
                bit += half
        index = 64 * index + bit
    return index
