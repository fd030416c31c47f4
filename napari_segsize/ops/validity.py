"""Outlines that other programs accept: few vertices, and no edge that crosses another."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

Vertices = NDArray[np.float64]

_LEAST = 2.0**-12  # square pixels: contours are stored to 1/64 px, and less than its square is no area


def simplify(vertices: NDArray[np.floating], tolerance: float) -> Vertices:
    """Leave out vertices that the outline does without.

    Parameters
    ----------
    vertices : (K, 2) float array
        Closed, ``(y, x)``, the first not repeated. Repaired first if it needs to be.
    tolerance : float
        How far the new outline may lie from an old vertex, in pixels (from the first ones, a little more). 0
        leaves out those on straight lines; 0.5 to 1 is usual. Larger means fewer vertices.

    Returns
    -------
    (3 or more, 2) float64 array
        Some of the old vertices, in their order; a valid polygon (Douglas-Peucker, never crossing itself).
        The first one may be left out; the new first one is the nearest to it.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance: expected 0 px or more, got {tolerance}.")
    valid, _ = repair(vertices)
    return _ring(shapely.simplify(shapely.Polygon(valid), tolerance, preserve_topology=True), valid)


def repair(vertices: NDArray[np.floating]) -> tuple[Vertices, bool]:
    """Make an outline that crosses or touches itself a valid polygon: its largest part.

    Parameters
    ----------
    vertices : (K, 2) float array
        Closed, ``(y, x)``, the first not repeated.

    Returns
    -------
    vertices : (K', 2) float64 array
        The same ones if they are valid. Else the outer outline of the largest connected part of all that the
        contour winds around (as `polygon_mask` fills it by the non-zero rule), with a vertex wherever edges
        crossed; holes are filled, smaller parts are gone. If nothing is left, as the contour has
        collapsed, a triangle half a pixel around the middle of its vertices stands for it, so that there is
        something to see, drag and delete.
    repaired : bool
        Whether anything was changed; tell the user.

    Raises
    ------
    ValueError
        If `vertices` is not ``(K >= 3, 2)``, or not finite.
    """
    given: Vertices = np.asarray(vertices, np.float64)
    if given.ndim != 2 or given.shape[1] != 2 or len(given) < 3:
        raise ValueError(f"vertices: expected (K, 2) with at least 3 vertices, got {given.shape}.")
    if not np.isfinite(given).all():
        raise ValueError("vertices: expected finite coordinates, got NaN or infinity.")
    polygon = shapely.Polygon(given)
    if polygon.is_valid and polygon.area > _LEAST:
        return given, False
    parts = shapely.get_parts(shapely.unary_union(_inner_faces(given)))
    if len(parts) > 0:
        outlines = [shapely.Polygon(part.exterior) for part in parts]
        largest = max(outlines, key=lambda outline: outline.area)
        if largest.area > _LEAST:
            return _ring(largest, given), True
    angles = np.arange(3) * (2 * np.pi / 3)
    return given.mean(0) - 0.5 * np.stack([np.cos(angles), np.sin(angles)], 1), True


def _inner_faces(vertices: Vertices) -> list[shapely.Polygon]:
    """Parts of the plane between the edges that the contour winds around."""
    closed = np.concatenate([vertices, vertices[:1]])
    edges = [shapely.LineString(pair) for pair in pairwise(closed) if (pair[0] != pair[1]).any()]
    faces = shapely.polygonize([shapely.unary_union(edges)]).geoms
    return [face for face in faces if _winding(vertices, face.representative_point()) != 0]


def _winding(vertices: Vertices, point: shapely.Point) -> int:
    """How often the contour goes around `point`: signed crossings of a ray from it."""
    y, x = vertices.T - [[point.x], [point.y]]  # shapely's x is our y throughout this file
    y_next, x_next = np.roll(y, -1), np.roll(x, -1)
    crosses = (y <= 0) != (y_next <= 0)
    way = np.where(crosses, y_next - y, 1)
    before = x - y / way * (x_next - x) < 0
    return int(np.sign(way)[crosses & before].sum())


def _ring(polygon: shapely.Polygon, vertices: Vertices) -> Vertices:
    """Vertices of the outer outline; turns as `vertices` do, and begins near their first."""
    ring: Vertices = shapely.get_coordinates(polygon.exterior)[:-1]
    if _signed(ring) * _signed(vertices) < 0:
        ring = ring[::-1]
    return np.roll(ring, -int(np.square(ring - vertices[0]).sum(1).argmin()), 0)


def _signed(vertices: Vertices) -> float:
    """Twice the signed area."""
    y, x = (vertices - vertices[0]).T
    return float((y * np.roll(x, -1) - x * np.roll(y, -1)).sum())
