"""The active alignment of STEAL: a level set that starts at a rough mask and is stopped by edges.

It moves by ``dphi/dt = g (kappa + c) |grad phi| + grad g . grad phi`` with
``g = 1 / sqrt(1 + alpha f / max f) + lambda / sqrt(1 + alpha gt)``, where f are the edges and gt the band
around the rough outline, solved by the morphological geodesic active contour of scikit-image.

Acuna, Kar and Fidler, "Devil is in the edges: learning semantic boundaries from noisy annotations", CVPR
2019;
Márquez-Neila, Baumela and Alvarez, "A morphological approach to curvature-based evolution of curves and
surfaces", TPAMI 2014.

What differs from the released settings: edges are followed at halving blurs, as an outline 8 px off feels no
edge 2 px wide; there is no balloon by default, as rough masks are neither all too small nor all too large;
and the outline stays within a reach of where it was.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, gaussian_gradient_magnitude
from skimage.segmentation import morphological_geodesic_active_contour

from .edge_config import AlignConfig

__all__ = ["NO_EDGES", "VANISHED", "geodesic_outlines"]

Mask = NDArray[np.bool_]

_CYCLE = 2  # scikit-image alternates two smoothing operators; a whole cycle keeps it even
_MARGIN = 4  # px beyond the reach: what the widest operators look at
_EVEN = 1e-6  # of the values around an object: edges that differ less are none
NO_EDGES = "There are no edges around this object to align it to."
VANISHED = (
    "The outline vanished on the way; its last step is kept to look at. A smaller reach, or more pull of the "
    "old outline, helps."
)


def geodesic_outlines(
    mask: Mask, planes: NDArray[np.float64], smooth: bool, config: AlignConfig
) -> Generator[Mask, None, str]:
    """Move a mask, neither empty nor full, step by step: `align` with the method "geodesic".

    Parameters
    ----------
    mask : (H, W) bool array
    planes : (C, H, W) array
        Of an image; of an edge map ``(1, H, W)`` if `smooth`.
    config : AlignConfig

    Returns
    -------
    str
        What a person should know.
    """
    wide = config.reach + _MARGIN
    padded = np.pad(mask, wide, mode="edge")
    planes = np.pad(planes, ((0, 0), (wide, wide), (wide, wide)), mode="edge")
    outside, inside = distance_transform_edt(~padded), distance_transform_edt(padded)
    free = np.maximum(outside, inside) <= config.reach
    pull = _pull(np.maximum(outside, inside), config)
    now, lost = padded, True
    within = (slice(wide, -wide),) * 2
    for blur, steps in _blurs(config, float(inside[free].max())):
        found = _strength(planes, blur, smooth)
        most, least = found[free].max(), found[free].min()
        if not most - least > _EVEN * max(float(np.abs(planes).max()), _EVEN):
            continue
        lost = False
        speed = 1 / np.sqrt(1 + config.alpha * np.clip(found / most, 0, 1)) + pull
        for moved in _moving(now, speed, free, padded, steps, config):
            if not moved[within].any():
                return VANISHED
            now = moved
            yield now[within].copy()
    return NO_EDGES if lost else ""


def _moving(
    now: Mask, speed: NDArray[np.float64], free: Mask, rough: Mask, steps: int, config: AlignConfig
) -> Iterator[Mask]:
    """Every step at one blur, until nothing moves, or only to and fro."""
    before = now
    for _ in range(steps):
        moved = morphological_geodesic_active_contour(  # type: ignore[no-untyped-call]
            speed, _CYCLE, init_level_set=now, smoothing=config.smoothing, threshold=config.threshold,
            balloon=config.balloon,
        ).astype(bool)  # fmt: skip
        moved = np.where(free, moved, rough)
        if np.array_equal(moved, now) or np.array_equal(moved, before):
            return
        yield moved
        before, now = now, moved


def _blurs(config: AlignConfig, depth: float) -> list[tuple[float, int]]:
    """Blurs from the widest down to 1, and the steps at each; none that washes out so thin an object."""
    blurs = [max(min(config.blur, depth / 2), 1.0)]
    while blurs[-1] / 2 >= 1:
        blurs.append(blurs[-1] / 2)
    share, rest = divmod(config.steps, len(blurs))
    return [(blur, share + (place < rest)) for place, blur in enumerate(blurs)]


def _strength(planes: NDArray[np.float64], blur: float, smooth: bool) -> NDArray[np.float64]:
    """Edges (H, W) at one blur: of the edge map, or of the image's channels."""
    if smooth:
        found: NDArray[np.float64] = gaussian_filter(planes[0], blur, mode="nearest")
        return found
    each = [gaussian_gradient_magnitude(plane, blur, mode="nearest") for plane in planes]
    return np.asarray(np.max(each, axis=0))


def _pull(distance: NDArray[np.float64], config: AlignConfig) -> NDArray[np.float64]:
    """The second term: low on a band around the rough outline, which is blurred so that it can be felt."""
    band = gaussian_filter((distance <= config.radius).astype(np.float64), 1.0, mode="nearest")
    return np.asarray(config.stay / np.sqrt(1 + config.alpha * band))
