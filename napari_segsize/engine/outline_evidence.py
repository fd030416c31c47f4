"""What an image says about where an outline runs: edges, and where an object's own colours end.

The colours of an object and of its surroundings are learned from the rough mask itself: each pixel belongs to
the object with the probability that its distance to the rough outline leaves, and what its colour says
corrects that, in turns (expectation maximisation). A ridge or a window is an edge, but no change of sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.special import expit, logit, ndtr

__all__ = ["Evidence", "edge_evidence", "image_evidence"]

Values = NDArray[np.float64]

_BLUR = 1.0  # px
_RIM = 0.3  # px: what is nearer to the frame counts as beyond it
_WEIGHT = 0.2  # of the evidence, a px of outline; chosen on training images
_HIGH = 0.95  # quantile of the values in the band: an edge as strong as they come
_UNKNOWN = 0.8  # of such an edge: beyond the frame, where an outline is likely to go on unseen
_COLOURS = 24
_SAMPLE = 4000  # px that the colours are chosen from
_ROUNDS = 4
_DOUBT = 2.0  # px of each colour that are taken to be seen on either side
_SURE = 2.0  # most that a colour says, as a log odds


class Evidence:
    """How much speaks for an outline through any place, by its normal there.

    Parameters
    ----------
    strengths : sequence of (H, W) arrays
        Of edges, whichever way they run.
    odds : (H, W) array, optional
        Log odds that a pixel belongs to the object, which should fall across the outline.
    margin : int
        How many px along the border of the arrays lie beyond the frame of the image.
    """

    def __init__(self, strengths: list[Values], odds: Values | None = None, *, margin: int = 0) -> None:
        self._strengths = strengths
        self._first = margin + _RIM
        self._last = np.array(strengths[0].shape) - 1 - self._first
        self._slopes = None
        if odds is not None:
            orders: tuple[tuple[int, int], ...] = ((1, 0), (0, 1))
            self._slopes = [gaussian_filter(odds, _BLUR, order=order, mode="nearest") for order in orders]

    def __call__(self, places: Values, normals: Values) -> Values:
        """Reward ``(K, T)`` of places ``(K, T, 2)`` on the outward normals ``(K, 2)`` of K points."""
        kinds = [_at(each, places) for each in self._strengths]
        if self._slopes is not None:
            down, across = (_at(slope, places) for slope in self._slopes)
            kinds.append(np.maximum(-(down * normals[:, :1] + across * normals[:, 1:]), 0))
        seen = np.asarray(((places >= self._first) & (places <= self._last)).all(-1))
        return np.asarray(_WEIGHT * np.mean([_scaled(kind, seen) for kind in kinds], 0))


def image_evidence(
    planes: Values, distance: Values, reach: int, *, edges: Values | None = None, margin: int = 0
) -> Evidence:
    """Evidence of an image, and of what a network sees in it.

    Parameters
    ----------
    planes : (C, H, W) array
    distance : (H, W) array
        To the rough outline, in px, positive inside.
    reach : int
        How wrong the rough outline may be, in px.
    edges : (H, W) array, optional
        Edges that a network sees; they weigh as much as the gradient, and as the colours.
    margin : int
        See `Evidence`.
    """
    orders: tuple[tuple[int, int], ...] = ((1, 0), (0, 1))
    slopes = [
        gaussian_filter(plane, _BLUR, order=order, mode="nearest") for plane in planes for order in orders
    ]
    strengths = [np.sqrt(np.sum(np.square(slopes), 0))]
    if edges is not None:
        strengths.append(gaussian_filter(edges, _BLUR, mode="nearest"))
    return Evidence(strengths, colour_odds(planes, distance, reach), margin=margin)


def edge_evidence(edges: Values, *, margin: int = 0) -> Evidence:
    """Evidence of an edge map ``(H, W)``."""
    return Evidence([gaussian_filter(edges, _BLUR, mode="nearest")], margin=margin)


def colour_odds(planes: Values, distance: Values, reach: int) -> Values:
    """Log odds (H, W) that a pixel's colour is one of the object's, 0 far from it; see `image_evidence`."""
    near = distance > -2 * reach - 4
    colours = np.stack([gaussian_filter(plane, _BLUR, mode="nearest")[near] for plane in planes], 1)
    widest = float(colours.std(0).max())
    result = np.zeros(distance.shape)
    if not widest > 0:
        return result
    colours = (colours - colours.mean(0)) / widest
    kind, alike = _palette(colours)
    before = np.clip(ndtr(distance[near] / (reach / 2)), 1e-4, 1 - 1e-4)
    weight = np.exp(-0.5 * (distance[near] / reach) ** 2)  # as much of either side, or one takes the blur
    inside, said = before, np.zeros(len(alike))
    for _ in range(_ROUNDS):
        counts = [
            alike @ np.bincount(kind, share * weight, len(alike)) + _DOUBT for share in (inside, 1 - inside)
        ]
        said = np.log(counts[0] / counts[1])
        inside = expit(said[kind] + logit(before))
    result[near] = np.clip(said, -_SURE, _SURE)[kind]
    return result


def _palette(colours: Values) -> tuple[NDArray[np.intp], Values]:
    """Which of a few colours each pixel (N, C) has, and how alike they are, (P, P); columns sum to 1."""
    rng = np.random.default_rng(0)
    sample = colours[rng.permutation(len(colours))[:_SAMPLE]]
    distinct = np.unique(sample.round(3), axis=0)
    if len(distinct) > _COLOURS:
        distinct, _ = kmeans2(sample, _COLOURS, minit="++", rng=rng)
        distinct = np.unique(distinct, axis=0)  # an empty cluster keeps where it began
    kind = np.argmin(_apart(colours, distinct), 1)
    apart = _apart(distinct, distinct)
    if len(distinct) == 1:
        return kind, np.ones((1, 1))
    nearest = np.partition(apart, 1, 1)[:, 1].mean()
    alike = np.exp(-apart / (2 * nearest))
    return kind, np.asarray(alike / alike.sum(0))


def _apart(one: Values, other: Values) -> Values:
    """Squared distances (N, M) of N and M colours."""
    return np.asarray(((one[:, None] - other[None]) ** 2).sum(-1))


def _at(values: Values, places: Values) -> Values:
    flat = map_coordinates(values, places.reshape(-1, 2).T, order=1, mode="nearest")
    return np.asarray(flat.reshape(places.shape[:2]), np.float64)


def _scaled(values: Values, seen: NDArray[np.bool_]) -> Values:
    """As shares of a strong edge in the band; places beyond the frame get what an outline has as a rule."""
    high = float(np.quantile(values[seen], _HIGH)) if seen.any() else 0.0
    scaled = values / high if high > 0 else np.zeros_like(values)
    return np.where(seen, scaled, _UNKNOWN)
