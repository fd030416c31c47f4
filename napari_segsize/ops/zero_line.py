"""The zero line of a level set as rings of vertices, with its holes and parts, and which of them count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from napari_segsize.ops.validity import simplify

if TYPE_CHECKING:
    from collections.abc import Callable

_CLOSE = np.ones((3, 3))  # pixels of an object that touch at a corner belong together
_LEAST = 2.0**-10  # square pixels: a ring around less is a rounding error


def zero_rings(phi: NDArray[np.floating], *, tolerance: float = 0.0) -> list[NDArray[np.float64]]:
    """Closed rings along the zero line, by marching squares.

    Parameters
    ----------
    phi : (H, W) float array
        Positive inside. Where it is positive at the frame, the line runs half a pixel outside of it.
    tolerance : float
        How far a ring may be off, in pixels, to do with fewer vertices; 0 keeps a vertex on every edge
        between two pixels of which one is inside.

    Returns
    -------
    list of (K, 2) float64 arrays
        ``(y, x)``, the first vertex not repeated; outer rings and holes alike, the largest first. A point is
        inside if it is in an odd number of them.

    Raises
    ------
    ValueError
        If `phi` is not ``(H, W)``, or not finite.
    """
    _check(phi)
    values = np.where(phi == 0, -1e-9, phi.astype(np.float64))
    wide = np.pad(values, 1, mode="edge")
    frame = np.ones(wide.shape, bool)
    frame[1:-1, 1:-1] = False
    wide[frame] = -np.abs(wide[frame])
    find: Callable[..., list[NDArray[np.float64]]] = find_contours
    rings = [ring[:-1] - 1 for ring in find(wide, 0.0, fully_connected="high")]
    rings = [ring for ring in rings if len(ring) > 2 and _area(ring) > _LEAST]
    rings.sort(key=_area, reverse=True)
    return [simplify(ring, tolerance) for ring in rings] if tolerance else rings


def main_part(
    phi: NDArray[np.floating], *, box: tuple[float, float, float, float] | None = None, least: float = 0.02
) -> NDArray[np.float64]:
    """Leave out specks: a level set without the parts and holes that belong to no object.

    Parameters
    ----------
    phi : (H, W) float array
        Positive inside.
    box : (top, left, bottom, right), optional
        In pixels; parts that lie wholly outside are left out, unless all do.
    least : float
        Share of the largest part's area: parts and holes below it are left out, and so are other parts
        that touch the frame, as neighbours do. Larger leaves fewer.

    Returns
    -------
    (H, W) float64 array
        `phi` with the sign changed of what was left out.
    """
    _check(phi)
    inside = phi > 0
    labels, count = ndimage.label(inside, _CLOSE)
    found = phi.astype(np.float64)
    if not count:
        return found
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    meant = _within(labels, count, box)
    areas[0] = 0
    largest = int(np.where(meant, areas, -1).argmax())
    at_frame = np.zeros(count + 1, bool)
    at_frame[np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))] = True
    kept = meant & (areas >= least * areas[largest]) & ~at_frame
    kept[largest], kept[0] = True, False
    object_ = kept[labels]
    holes, _ = ndimage.label(~object_)
    sizes = np.bincount(holes.ravel())
    outside = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    small = sizes < least * areas[largest]
    small[outside], small[0] = False, False
    object_ |= small[holes]
    away = np.maximum(np.abs(found), 1e-6)
    return np.where(object_ == inside, found, np.where(object_, away, -away))


def touches_frame(phi: NDArray[np.floating]) -> bool:
    """Whether a level set is positive at one of its outermost pixels."""
    return bool((phi[[0, -1]] > 0).any() or (phi[:, [0, -1]] > 0).any())


def _within(
    labels: NDArray[np.int32], count: int, box: tuple[float, float, float, float] | None
) -> NDArray[np.bool_]:
    """Which labels have a pixel in the box; all of them if none has."""
    if box is None:
        return np.ones(count + 1, bool)
    y, x = np.indices(labels.shape)
    near = (y >= box[0]) & (x >= box[1]) & (y <= box[2]) & (x <= box[3])
    meant = np.zeros(count + 1, bool)
    meant[np.unique(labels[near])] = True
    return meant if meant[1:].any() else np.ones(count + 1, bool)


def _area(ring: NDArray[np.float64]) -> float:
    y, x = (ring - ring[0]).T
    return abs(float(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1)))) / 2


def _check(phi: NDArray[np.floating]) -> None:
    if phi.ndim != 2 or not np.issubdtype(phi.dtype, np.floating) or not np.isfinite(phi).all():
        raise ValueError(f"phi: expected finite floats (H, W), got {phi.dtype} {phi.shape}.")
