"""Outlines of objects as a project keeps them: rings of vertices on a grid of 1/64 px."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.annotation import Ring

__all__ = ["GRID", "MOST_VERTICES", "checked_rings", "on_grid", "packed", "unpacked"]

GRID = 64
"""Vertices are kept as whole 64ths of a pixel, which every file format can say exactly."""
MOST_VERTICES = 100_000
_FARTHEST = 2.0**24  # pixels; 64 times that still fits into int32


def on_grid(ring: Any) -> NDArray[np.float64]:
    """Vertices, (K, 2), rounded to the grid of a project; a repeated first vertex at the end is left out."""
    vertices = np.asarray(ring, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1:] != (2,):
        raise ValueError(f"ring: expected vertices (K, 2), got the shape {vertices.shape}")
    vertices = np.round(vertices * GRID) / GRID + 0.0  # no -0.0
    while len(vertices) > 1 and np.array_equal(vertices[0], vertices[-1]):
        vertices = vertices[:-1]
    return vertices


def checked_rings(rings: Iterable[Any], name: str, shape: tuple[int, int]) -> tuple[Ring, ...]:
    """Rings as they are stored, or a sentence about what cannot be an outline.

    Parameters
    ----------
    rings : iterable of (K, 2) sequences or arrays
        Vertices (y, x) in pixels.
    name : str
        Of the image, for the sentence.
    shape : (H, W)
        Of the image. Outlines may go beyond it, but not lie outside.
    """
    arrays = [on_grid(ring) for ring in rings]
    count = sum(map(len, arrays))
    if count > MOST_VERTICES:
        raise SegsizeError(
            f"{name}: a contour has at most {MOST_VERTICES} vertices, got {count}: simplify it, or paint a "
            "mask."
        )
    for k, vertices in enumerate(arrays):
        ring = f"{name}: ring {k + 1} of the contour" if len(arrays) > 1 else f"{name}: the contour"
        _check_numbers(vertices, ring)
        distinct = len(set(map(tuple, vertices.tolist())))
        if distinct < 3:
            raise SegsizeError(
                f"{ring} has {distinct} distinct vertices, expected at least 3: draw it around the object."
            )
        if _is_flat(vertices):
            raise SegsizeError(f"{ring} has an area of 0 px, expected more: draw it around the object.")
    if arrays:
        _check_reach(arrays, name, shape)
    return tuple(tuple(map(tuple, vertices.tolist())) for vertices in arrays)


def packed(rings: Sequence[Ring]) -> bytes:
    """Rings as they are stored: how many, their lengths, then whole 64ths of a pixel; zlib."""
    lengths = np.array([len(rings), *map(len, rings)], "<i4")
    vertices = [np.round(np.asarray(ring, np.float64) * GRID).astype("<i4") for ring in rings]
    return zlib.compress(b"".join((lengths.tobytes(), *(each.tobytes() for each in vertices))), 1)


def unpacked(data: bytes) -> tuple[Ring, ...]:
    """Rings as they were stored."""
    numbers = np.frombuffer(zlib.decompress(data), "<i4")
    count = int(numbers[0])
    vertices: list[list[float]] = (numbers[1 + count :].reshape(-1, 2) / GRID).tolist()
    pairs = [(y, x) for y, x in vertices]
    ends = np.cumsum(numbers[: 1 + count]) - count
    return tuple(tuple(pairs[start:end]) for start, end in itertools.pairwise(ends.tolist()))


def _check_numbers(vertices: NDArray[np.float64], ring: str) -> None:
    good = np.isfinite(vertices).all(axis=1)
    if not good.all():
        k = int(np.argmin(good))
        raise SegsizeError(
            f"{ring}: vertex {k + 1} is {tuple(vertices[k].tolist())}, expected two numbers: draw it again."
        )
    if len(vertices) and np.abs(vertices).max() > _FARTHEST:
        raise SegsizeError(
            f"{ring} reaches {np.abs(vertices).max():g} px far, expected pixels of the image: check its "
            "units."
        )


def _check_reach(arrays: Sequence[NDArray[np.float64]], name: str, shape: tuple[int, int]) -> None:
    low = np.min([vertices.min(axis=0) for vertices in arrays], axis=0)
    high = np.max([vertices.max(axis=0) for vertices in arrays], axis=0)
    if (high < -0.5).any() or (low > np.array(shape) - 0.5).any():
        raise SegsizeError(
            f"{name}: the contour lies outside the image, from ({low[0]:g}, {low[1]:g}) to ({high[0]:g}, "
            f"{high[1]:g}) where the image has {shape[0]} x {shape[1]} px: put it inside."
        )


def _is_flat(vertices: NDArray[np.float64]) -> bool:
    """Whether a ring encloses nothing; an eight does enclose something, though its two halves cancel out."""
    y, x = (vertices - vertices[0]).T
    if np.dot(y, np.roll(x, -1)) != np.dot(x, np.roll(y, -1)):
        return False
    from shapely import LinearRing, get_num_geometries, node, polygonize

    return int(get_num_geometries(polygonize([node(LinearRing(vertices))]))) == 0
