"""Masks of polygons by exact clipping of pixels: slow, simple, and nothing of ours in it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import shapely


def clipped(contour: np.ndarray, shape: tuple[int, int], rule: str) -> np.ndarray:
    """Share of every pixel inside `contour` ``(K, 2)``, clipped by shapely."""
    y, x = np.mgrid[: shape[0], : shape[1]].reshape(2, -1)
    pixels = shapely.box(x - 0.5, y - 0.5, x + 0.5, y + 0.5)
    areas = np.zeros(y.size)
    for face in faces(contour, rule):
        areas += shapely.area(shapely.intersection(pixels, face))
    return areas.reshape(shape)


def faces(contour: np.ndarray, rule: str) -> list[shapely.Polygon]:
    """Parts of the plane between the edges of `contour` that are inside by `rule`."""
    contour = contour.round(12)  # an edge of 1e-264 has no length in shapely, and the ring would be open
    closed = np.concatenate([contour, contour[:1]])[:, ::-1]
    pieces = [shapely.LineString(pair) for pair in pairwise(closed)]
    noded = shapely.unary_union([piece for piece in pieces if piece.length > 0])
    inside = []
    for face in shapely.polygonize([noded]).geoms:
        turns = winding(contour, face.representative_point())
        if turns % 2 if rule == "evenodd" else turns:
            inside.append(face)
    return inside


def winding(contour: np.ndarray, point: shapely.Point) -> int:
    """How often `contour` goes around `point`: the sum of the angles under which its edges are seen."""
    y, x = (contour - [point.y, point.x]).T
    angles = np.arctan2(y, x)
    steps = (np.roll(angles, -1) - angles + np.pi) % (2 * np.pi) - np.pi
    return round(steps.sum() / (2 * np.pi))


def star_shaped(rng: np.random.Generator, count: int, low: float) -> np.ndarray:
    """Simple, and the less convex the smaller `low`."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radii = rng.uniform(low, 1, count) * 3.4
    return np.stack([2.6 + radii * np.sin(angles), 3.1 + radii * np.cos(angles)], 1)
