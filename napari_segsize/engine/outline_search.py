"""The most likely outline in the band around a rough one, found at once and not step by step.

Points of the rough outline move along its normals. How far each was displaced is taken to be a
Gauss-Markov chain along the outline: normal with deviation half the reach, and forgotten after a few pixels.
What the image says of each place is added to the logarithm of that, and dynamic programming finds the largest
sum of all outlines in the band. So an outline moves only where what is seen outweighs where it was drawn, and
no local minimum stops it.

Amini, Weymouth and Jain, "Using dynamic programming for solving variational problems in vision", TPAMI 1990,
for the optimisation; the prior and the evidence are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, gaussian_filter1d, label, map_coordinates
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from .outline_evidence import Evidence

__all__ = ["Displaced", "best_outline", "signed_distances"]

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STEP = 0.5  # px between two places on a normal; more where the reach is long
_PLACES = 24  # most on either side
_FORGOTTEN = 5.0  # px after which a displacement says little of the next one; chosen on training images
_APART = 6.0  # px between two points that move; what lies between them moves along
_LEAST = 6  # points of an outline
_EVEN = 1.0  # px: blur of the rough outline, whose pixels are steps
_TURN = 3.0  # px: blur of its normals
_LAPS = 3  # around the outline, so that its beginning is as good as any place


@dataclass(frozen=True, slots=True, eq=False)
class Displaced:
    """A rough outline, and how far each pixel of the band around it was displaced.

    Attributes
    ----------
    distance : (H, W) array
        To the rough outline without its steps, in px, positive inside.
    outwards : (H, W) array
        By how many px the outline beside a pixel moves, 0 far from it.
    """

    distance: Values
    outwards: Values

    @property
    def farthest(self) -> float:
        """Of all displacements, in px."""
        return float(np.abs(self.outwards).max())

    def mask(self, most: float) -> Mask:
        """The object when no point has moved by more than `most` px yet."""
        return np.asarray(self.distance + np.clip(self.outwards, -most, most) > 0)


def best_outline(mask: Mask, evidence: Evidence, *, reach: int, stay: float) -> Displaced:
    """Find the most likely outline of an object.

    Parameters
    ----------
    mask : (H, W) bool array
        The rough one, with background on its border: neither empty nor full.
    evidence : Evidence
        Of the same shape.
    reach : int
        Farthest that a point may move, in px; half of it is the deviation expected.
    stay : float
        Weight of where the outline was drawn, 1 as it is likely; 0 leaves only a little evenness.
    """
    distance = signed_distances(mask)
    even = gaussian_filter(distance, _EVEN)
    tiny = _tiny(mask, even > 0) | _tiny(~mask, even <= 0)
    even[tiny] = distance[tiny]
    offsets = np.linspace(-reach, reach, 2 * min(_PLACES, int(reach / _STEP)) + 1)
    points, moves = [np.zeros((0, 2))], [np.zeros(0)]
    for ring in _rings(even):
        normals = _normals(ring, even)
        places = ring[:, None] + offsets[:, None] * normals[:, None]
        moves.append(_displacements(evidence(places, normals), offsets, reach, stay))
        points.append(ring)
    outwards = np.zeros(mask.shape)
    ends, found = np.concatenate(points), np.concatenate(moves)
    if len(ends):
        band = np.abs(distance) <= reach + 1
        _, nearest = cKDTree(ends).query(np.argwhere(band))
        outwards[band] = found[nearest]
        outwards[tiny] = 0
    return Displaced(even, outwards)


def signed_distances(mask: Mask) -> Values:
    """Distance in px of every pixel to the outline between two pixels, positive inside."""
    inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
    return np.asarray(np.where(mask, inside - 0.5, 0.5 - outside))


def _tiny(mask: Mask, even: Mask) -> Mask:
    """Parts of a mask that are gone once its outline is even: they have none, and stay."""
    parts, count = label(mask)
    seen = np.bincount(parts[even], minlength=count + 1) > 0
    return np.asarray(mask & ~seen[parts])


def _rings(even: Values) -> list[Values]:
    """Closed outlines (K, 2), their points about 1 px apart."""
    rings = []
    for line in find_contours(even, 0.0):  # type: ignore[no-untyped-call]
        sides = np.linalg.norm(np.diff(line, axis=0), axis=1)
        along = np.concatenate([[0.0], np.cumsum(sides)])
        count = max(round(along[-1]), _LEAST)
        wanted = np.arange(count) * along[-1] / count
        rings.append(np.stack([np.interp(wanted, along, line[:, axis]) for axis in (0, 1)], 1))
    return rings


def _normals(ring: Values, even: Values) -> Values:
    """Outward unit normals (K, 2) of an outline, from the distances around it."""
    slopes = np.gradient(gaussian_filter(even, _TURN))
    normals = -np.stack([map_coordinates(slope, ring.T, order=1, mode="nearest") for slope in slopes], 1)
    normals = gaussian_filter1d(normals, 2.0, axis=0, mode="wrap")
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))


def _displacements(rewards: Values, offsets: Values, reach: int, stay: float) -> Values:
    """The best displacement of each point (K,), from the rewards (K, T) of its places."""
    count = len(rewards)
    nodes = max(round(count / _APART), _LEAST)
    apart = count / nodes
    centres = np.arange(nodes) * apart
    away = (np.arange(count) - centres[:, None] + count / 2) % count - count / 2
    share = np.maximum(1 - np.abs(away) / apart, 0)  # of a point's move that comes from a node
    kept = np.exp(-apart / _FORGOTTEN)
    stiffness = max(stay, 0.05) / (2 * (reach / 2) ** 2 * (1 - kept**2))
    costs = stiffness * (offsets[:, None] - kept * offsets) ** 2  # of (here, before)
    best = offsets[_cheapest(-(share @ rewards), costs)]
    return np.asarray(np.interp(np.arange(count), [*centres, count], [*best, best[0]]))


def _cheapest(own: Values, steps: Values) -> NDArray[np.intp]:
    """Places (M,) of M nodes in a circle, at the least sum of their own costs (M, T) and of the steps'."""
    count, places = own.shape
    came = np.zeros((_LAPS * count, places), np.intp)
    cost = own[0]
    for turn in range(1, _LAPS * count):
        ways = cost + steps
        came[turn] = ways.argmin(1)
        cost = ways[np.arange(places), came[turn]] + own[turn % count]
    way = np.zeros(_LAPS * count, np.intp)
    way[-1] = cost.argmin()
    for turn in range(_LAPS * count - 1, 0, -1):
        way[turn - 1] = came[turn, way[turn]]
    return way[count : 2 * count]
