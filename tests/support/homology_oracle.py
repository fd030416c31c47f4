"""Betti numbers by linear algebra and persistence by flooding: slow, and sharing nothing with `ops`."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray


def betti(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Betti numbers of the union of closed pixels: ranks of the boundary maps over the field of two elements.

    Cells are named by doubled coordinates: a pixel is odd on every axis, a vertex even on every axis.
    """
    dims = mask.ndim
    cells: list[set[tuple[int, ...]]] = [set() for _ in range(dims + 1)]
    for p in np.argwhere(mask):
        for offset in product((-1, 0, 1), repeat=dims):
            cell = tuple(int(2 * v + 1 + o) for v, o in zip(p, offset, strict=True))
            cells[sum(v % 2 for v in cell)].add(cell)
    ranks = [0]
    for k in range(1, dims + 1):
        index = {cell: number for number, cell in enumerate(sorted(cells[k - 1]))}
        ranks.append(_rank([_boundary(cell, index) for cell in cells[k]]))
    ranks.append(0)
    return tuple(len(cells[k]) - ranks[k] - ranks[k + 1] for k in range(dims))


def _boundary(cell: tuple[int, ...], index: dict[tuple[int, ...], int]) -> int:
    """Faces of a cell, as bits of an integer."""
    bits = 0
    for axis, v in enumerate(cell):
        if v % 2:
            for step in (-1, 1):
                bits ^= 1 << index[(*cell[:axis], v + step, *cell[axis + 1 :])]
    return bits


def _rank(rows: list[int]) -> int:
    pivots: dict[int, int] = {}
    for row in rows:
        while row:
            top = row.bit_length()
            if top not in pivots:
                pivots[top] = row
                break
            row ^= pivots[top]
    return len(pivots)


def cell_diagram(image: NDArray[np.floating], dimension: int) -> list[tuple[float, float]]:
    """Births and deaths of any dimension: the whole boundary matrix of closed pixels, reduced by the book.

    Cells come with their highest pixel. The last part dies at 0; what lives no time is left out.
    """
    values: dict[tuple[int, ...], float] = {}
    for p in np.ndindex(image.shape):
        for offset in product((-1, 0, 1), repeat=image.ndim):
            cell = tuple(2 * v + 1 + o for v, o in zip(p, offset, strict=True))
            values[cell] = max(values.get(cell, -np.inf), float(image[p]))
    order = sorted(values, key=lambda cell: (-values[cell], sum(v % 2 for v in cell), cell))
    index = {cell: number for number, cell in enumerate(order)}
    owner: dict[int, int] = {}
    columns: dict[int, int] = {}
    for number, cell in enumerate(order):
        column = _boundary(cell, index)
        while column and (last := column.bit_length() - 1) in owner:
            column ^= columns[owner[last]]
        if column:
            owner[last], columns[number] = number, column
    found = []
    for number, cell in enumerate(order):
        if sum(v % 2 for v in cell) != dimension or number in columns:
            continue
        death = values[order[owner[number]]] if number in owner else 0.0
        if values[cell] > death:
            found.append((values[cell], death))
    return sorted(found)


def diagram(plane: NDArray[np.floating], dimension: int) -> list[tuple[float, float]]:
    """Births and deaths of parts (8 neighbours) or holes (background with 4) of the superlevel sets.

    Every part is a set of pixels, and sets that touch are united, threshold by threshold. All values must
    differ. The last part dies at 0.
    """
    height, width = plane.shape
    reach = [(j, i) for j, i in product((-1, 0, 1), repeat=2) if dimension == 0 or abs(j) + abs(i) == 1]
    sign = -1 if dimension == 0 else 1
    outside = (-9, -9)
    groups: dict[float, set[tuple[int, int]]] = {} if dimension == 0 else {-np.inf: {outside}}
    found = []
    for p in sorted(np.ndindex(height, width), key=lambda p: sign * plane[p]):
        value = float(plane[p])
        groups[value] = {p}
        near = {(p[0] + j, p[1] + i) for j, i in reach}
        if dimension == 1 and any(not (0 <= j < height and 0 <= i < width) for j, i in near):
            near.add(outside)
        touching = sorted((key for key, group in groups.items() if group & near), key=lambda v: sign * v)
        oldest = touching[0] if touching else value
        for key in {*touching, value} - {oldest}:
            groups[oldest] |= groups.pop(key)
            if key != value:
                found.append((key, value) if dimension == 0 else (value, key))
    if dimension == 0:
        found += [(key, 0.0) for key in groups]
    return sorted(found)
