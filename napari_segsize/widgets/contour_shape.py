"""Geometry of one contour, for drawing and for the hand: pure functions of (K, 2) vertices, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["area", "centroid", "contains", "distance_to", "edges", "is_stray", "with_vertices"]

_FAR = 5.0  # times the extent of three ends of an object: where no fourth end is
_SMALL = 10.0  # px; ends nearer than this say nothing about the extent

Vertices = NDArray[Any]


def edges(contours: Vertices) -> NDArray[np.float64]:
    """Edges of closed contours (..., K, 2) as vectors (M, 2, 2): where each begins, and how it goes."""
    begin = np.asarray(contours, float)
    along = np.roll(begin, -1, axis=-2) - begin
    return np.stack([begin.reshape(-1, 2), along.reshape(-1, 2)], axis=1)


def area(contour: Vertices) -> float:
    """Area in px², whichever way round the contour goes."""
    return abs(_signed(contour))


def centroid(contour: Vertices) -> tuple[float, float]:
    """Centre of mass of the enclosed area; the mean of the vertices when nothing is enclosed."""
    vertices = np.asarray(contour, float)
    origin = vertices.mean(axis=0)
    here = vertices - origin
    following = np.roll(here, -1, axis=0)
    cross = here[:, 0] * following[:, 1] - here[:, 1] * following[:, 0]
    whole = cross.sum()
    if abs(whole) < 1e-9:
        return float(origin[0]), float(origin[1])
    y, x = origin + ((here + following) * cross[:, None]).sum(axis=0) / (3 * whole)
    return float(y), float(x)


def contains(contour: Vertices, point: tuple[float, float]) -> bool:
    """Whether a point lies inside, by the even-odd rule."""
    here = np.asarray(contour, float)
    following = np.roll(here, -1, axis=0)
    y, x = point
    spans = (here[:, 0] > y) != (following[:, 0] > y)
    if not spans.any():
        return False
    (y0, x0), (y1, x1) = here[spans].T, following[spans].T
    return bool(np.count_nonzero(x0 + (y - y0) * (x1 - x0) / (y1 - y0) > x) % 2)


def distance_to(contour: Vertices, point: tuple[float, float]) -> float:
    """Distance of a point to the nearest edge, in pixels."""
    here = np.asarray(contour, float)
    along = np.roll(here, -1, axis=0) - here
    reach = np.asarray(point, float) - here
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    part = np.clip((reach * along).sum(axis=1) / length, 0.0, 1.0)
    return float(np.sqrt(((reach - part[:, None] * along) ** 2).sum(axis=1)).min())


def is_stray(ends: Sequence[tuple[float, float]], click: tuple[float, float]) -> bool:
    """Whether a click is much too far from three ends of an object to be the fourth.

    Somebody who marks one object after the other and misses a click would shift all objects that follow.
    """
    places = np.array(ends, float)
    low, high = places.min(axis=0), places.max(axis=0)
    gap = np.maximum(np.maximum(low - click, np.array(click) - high), 0.0)
    extent = max(float(np.hypot(*(high - low))), _SMALL)
    return float(np.hypot(*gap)) > _FAR * extent


def with_vertices(contour: Vertices, count: int) -> NDArray[np.float64]:
    """The same outline with another number of vertices, as little changed as can be.

    To lose vertices, the one that matters least goes, again and again: the corner of the smallest triangle
    with its neighbours [1]_. To gain some, the longest edge is halved, which changes nothing.

    Parameters
    ----------
    contour : (K, 2) array
    count : int
        At least 3.

    References
    ----------
    .. [1] Visvalingam and Whyatt, "Line generalisation by repeated elimination of points", The Cartographic
       Journal, 1993.
    """
    if count < 3:
        raise ValueError(f"count: a contour has at least 3 vertices, got {count}")
    vertices = np.array(contour, float)
    while len(vertices) > count:
        before, after = np.roll(vertices, 1, axis=0), np.roll(vertices, -1, axis=0)
        a, b = before - vertices, after - vertices
        vertices = np.delete(vertices, np.argmin(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])), axis=0)
    while len(vertices) < count:
        following = np.roll(vertices, -1, axis=0)
        longest = int(np.argmax(((following - vertices) ** 2).sum(axis=1)))
        middle = (vertices[longest] + following[longest]) / 2
        vertices = np.insert(vertices, longest + 1, middle, axis=0)
    return vertices


def _signed(contour: Vertices) -> float:
    vertices = np.asarray(contour, float)
    if len(vertices) < 3:
        return 0.0
    y, x = (vertices - vertices[0]).T
    return float(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1))) / 2
