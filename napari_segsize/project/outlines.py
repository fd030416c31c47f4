"""Outlines and pixels: which pixels are inside of rings, and which rings bound a mask. Exact both ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.project.rings import GRID, on_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.annotation import Contour, Ring

__all__ = ["crop_of", "labels_of", "mask_of", "pieces_of", "rings_of", "same_pixels"]


def mask_of(rings: Iterable[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie inside an odd number of the rings.

    Vertices are rounded to 1/64 px first, as a project keeps them, and the rest is done in whole numbers: the
    same rings give the same pixels everywhere. A centre that lies on an edge belongs to the object below or
    to the right of the edge, so objects that share an edge share no pixel.

    Parameters
    ----------
    rings : iterable of (K, 2) sequences or arrays
        Vertices (y, x); simple or self-intersecting, in any direction, also beyond the image.
    shape : (H, W)

    Returns
    -------
    (H, W) bool array
    """
    mask = np.zeros(shape, bool)
    rows, columns, inside = crop_of(rings, shape)
    mask[rows, columns] = inside
    return mask


def same_pixels(some: Iterable[Any], others: Iterable[Any], shape: tuple[int, int]) -> bool:
    """Whether two outlines have the same pixels."""
    return not crop_of((*some, *others), shape)[2].any()  # inside of both, or of none


def labels_of(contours: Sequence[Contour], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Accepted contours as an instance image: pixels of the k-th contour are k, counted from 1.

    A pixel of several objects belongs to the first of them, so what is already there is never overwritten; a
    later object may thereby lose pixels, or vanish. Contours without an outline leave their number unused.

    Returns
    -------
    (H, W) int32 array
        0 = background.
    """
    labels = np.zeros(shape, np.int32)
    for number, contour in enumerate(contours, start=1):
        rows, columns, inside = crop_of(contour.rings, shape)
        there = labels[rows, columns]
        there[inside & (there == 0)] = number
    return labels


def rings_of(mask: NDArray[Any]) -> tuple[Ring, ...]:
    """Outlines of a mask along the edges of its pixels, so that `mask_of` gives the same mask again.

    Parameters
    ----------
    mask : (H, W) array
        Foreground is not 0; any number of pieces and holes.

    Returns
    -------
    tuple of rings
        Of each piece the outer ring, then its holes; pieces from top to bottom. Every ring is simple: where
        pixels meet at a corner only, rings touch there. Vertices are at half pixels, corners only.
    """
    foreground = np.asarray(mask).astype(bool)
    if foreground.ndim != 2:
        raise ValueError(f"mask: expected 2 dimensions, got {foreground.ndim}")
    rings = [
        tuple((y - 0.5, x - 0.5) for y, x in ring)
        for path in _paths(*_corners(foreground))
        for ring in _simple(path)
    ]
    return tuple(ring for piece in pieces_of(rings) for ring in piece)


def pieces_of(rings: Sequence[Ring]) -> tuple[tuple[Ring, ...], ...]:
    """Group rings into polygons, each an outer ring and its holes; the rings themselves stay as they are."""
    if len(rings) < 2:
        return tuple((ring,) for ring in rings)
    import shapely

    polygons = shapely.polygons([shapely.linearrings(ring) for ring in rings])
    areas = shapely.area(polygons)
    inner, outer = shapely.STRtree(polygons).query(shapely.point_on_surface(polygons), predicate="within")
    around: list[list[int]] = [[] for _ in rings]
    for k, other in zip(inner.tolist(), outer.tolist(), strict=True):
        if (areas[other], other) > (areas[k], k):
            around[k].append(other)
    order = sorted(range(len(rings)), key=lambda k: min(rings[k]))
    pieces = {k: [rings[k]] for k in order if len(around[k]) % 2 == 0}
    for k in order:
        if len(around[k]) % 2:  # a hole of the nearest outer ring; rings that cross may have none
            near = [other for other in around[k] if other in pieces]
            nearest = min(near, key=lambda other: (areas[other], other), default=k)
            pieces.setdefault(nearest, []).append(rings[k])
    return tuple(map(tuple, pieces.values()))


def crop_of(rings: Iterable[Any], shape: tuple[int, int]) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Pixels of `mask_of` in the part of the image that holds the rings, after the rows and columns of it."""
    closed = [np.round(on_grid(ring) * GRID).astype(np.int64) for ring in rings]
    closed = [ring for ring in closed if len(ring)]
    if not closed:
        return slice(0, 0), slice(0, 0), np.zeros((0, 0), bool)
    starts = np.concatenate(closed)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in closed])
    low, high = (-(-corner // GRID) for corner in (starts.min(axis=0), starts.max(axis=0)))
    (top, left), (bottom, right) = np.clip(low, 0, shape), np.clip(high, 0, shape)
    crossings = _crossings(starts, ends, (top, bottom))
    rows, columns = crossings[0] - top, np.clip(crossings[1], left, right) - left
    height, width = bottom - top, right - left + 1
    turns = np.bincount(rows * width + columns, minlength=height * width).reshape(height, width)
    inside = np.cumsum(turns[:, :-1], axis=1) % 2 == 1
    return slice(top, bottom), slice(left, right), inside


def _crossings(
    starts: NDArray[np.int64], ends: NDArray[np.int64], rows: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where edges cross rows of pixel centres: the row, and the first column at or right of the crossing."""
    down = starts[:, :1] <= ends[:, :1]
    upper, lower = np.where(down, starts, ends), np.where(down, ends, starts)
    first, last = (
        np.clip(-(-y // GRID), *rows) for y in (upper[:, 0], lower[:, 0])
    )  # the row `last` no more
    counts = last - first
    edge = np.repeat(np.arange(len(upper)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    (y, x), (height, width) = upper[edge].T, (lower - upper)[edge].T
    column = x + -((y - row * GRID) * width // height)  # rounded up
    return row, -(-column // GRID)


def _corners(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Corners of the pixel edges that bound a mask; where two pixels meet at a corner only, twice.

    Returns
    -------
    (N, 2) int array
        (y, x); pixel (0, 0) has the corners (0, 0) to (1, 1).
    (2, N) int array
        Which of the two comes first along its row, and along its column: so that an edge is followed by one
        of the same pixel.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    quads = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    total = sum(quads)
    twice = np.argwhere((total == 2) & (quads[0] == quads[3]))
    corners = np.concatenate((np.argwhere(total % 2 == 1), twice, twice))
    second = np.arange(len(corners)) >= len(corners) - len(twice)
    rising = quads[0][tuple(corners.T)] == 0  # the pixels are at the lower left and the upper right
    return corners, np.stack((second, second ^ rising)).astype(np.int64)


def _paths(corners: NDArray[np.int64], turn: NDArray[np.int64]) -> list[list[tuple[int, int]]]:
    """Join corners along rows and columns, in turn; along each line, edges and gaps alternate."""
    along = []
    for axis in (0, 1):
        order = np.lexsort((turn[axis], corners[:, 1 - axis], corners[:, axis]))
        partner = np.empty(len(order), np.int64)
        partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
        along.append(partner.tolist())
    places = [(y, x) for y, x in corners.tolist()]
    seen, paths = [False] * len(places), []
    for start in range(len(places)):
        path, at = [], start
        while not seen[at]:
            seen[at] = True
            path.append(places[at])
            at = along[0][at]
            seen[at] = True
            path.append(places[at])
            at = along[1][at]
        if path:
            paths.append(path)
    return paths


def _simple(path: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Cut a closed path where it meets itself."""
    rings: list[list[tuple[int, int]]] = []
    open_path: list[tuple[int, int]] = []
    where: dict[tuple[int, int], int] = {}
    for place in path:
        if place in where:
            cut = where[place]
            rings.append(open_path[cut:])
            for gone in open_path[cut:]:
                del where[gone]
            del open_path[cut:]
        where[place] = len(open_path)
        open_path.append(place)
    return [*rings, open_path]
