"""Snapping: a click is pulled to an edge within a few pixels: of the image, or of an edge network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.project.annotation import Point

__all__ = ["REACH", "snapped"]

REACH = 4.0
"""How far a click may be pulled, in pixels."""
_SIGMA = 1.0  # of the smoothing that a gradient is taken of, in pixels
_SEEN = 0.2  # probability from which an edge counts
_AS_STRONG = 0.9  # of the strongest: what is nearer wins
_CLEAR = 3.0  # an edge is this many times stronger than what is usual around it; else the click stays


def snapped(
    pixels: Any, point: Point, *, reach: float = REACH, edges: NDArray[np.float32] | None = None
) -> Point:
    """Return where the strongest edge near a click is; the click itself where there is no clear one.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) array
        The plane that was clicked; only what is near is read.
    point : (y, x) floats
    reach : float
        Pixels that the click may be moved: more finds edges farther away, and other objects' edges. 2 to 8.
    edges : (H, W) array, optional
        Thin edges of the plane, see `napari_segsize.ops.thinning.thin`. The nearest of them within reach is
        taken; where there is none, the image decides.
    """
    if edges is not None:
        nearest = _nearest(edges, point, reach)
        if nearest is not None:
            return nearest
    from scipy.ndimage import gaussian_gradient_magnitude

    margin = int(np.ceil(reach + 4 * _SIGMA)) + 1
    shape = pixels.shape[:2]
    corner = [max(round(at) - margin, 0) for at in point]
    ends = [min(round(at) + margin + 1, side) for at, side in zip(point, shape, strict=True)]
    if any(end - begin < 3 for begin, end in zip(corner, ends, strict=True)):
        return point
    window = np.nan_to_num(np.asarray(pixels[corner[0] : ends[0], corner[1] : ends[1]], float))
    channels = window[..., None] if window.ndim == 2 else window
    strength: NDArray[np.float64] = np.max(
        [gaussian_gradient_magnitude(channels[..., k], _SIGMA) for k in range(channels.shape[-1])], axis=0
    )
    y, x = np.meshgrid(
        *(np.arange(begin, end) for begin, end in zip(corner, ends, strict=True)), indexing="ij"
    )
    away = (y - point[0]) ** 2 + (x - point[1]) ** 2
    strongest = float(strength[away <= reach**2].max(initial=0.0))
    if strongest <= _CLEAR * np.median(strength):
        return point
    meant = (away <= reach**2) & (strength >= _AS_STRONG * strongest)
    best = int(np.argmin(np.where(meant, away, np.inf)))  # not far along an edge that is strong everywhere
    return float(y.flat[best]), float(x.flat[best])


def _nearest(edges: NDArray[np.float32], point: Point, reach: float) -> Point | None:
    """The nearest pixel of an edge that is seen, or None if there is none within reach."""
    corner = [max(int(at - reach), 0) for at in point]
    window = edges[corner[0] : int(point[0] + reach) + 2, corner[1] : int(point[1] + reach) + 2]
    places = np.argwhere(window > _SEEN) + corner
    if not len(places):
        return None
    away = np.hypot(*(places - point).T)
    best = int(away.argmin())
    return (float(places[best, 0]), float(places[best, 1])) if away[best] <= reach else None
