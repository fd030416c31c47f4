"""The objects of a plane, measured: sizes, the largest squares, centroids.

torch is imported inside, so that a page can import the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["ObjectView", "Window", "grown", "measured"]

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectView:
    """One object of a plane.

    Attributes
    ----------
    size : float
        In pixels: twice the largest chessboard distance to the background.
    squares : tuple of (y, x)
        Centres of the largest squares, of side `size`, that fit: one for each separate place where they do.
    hard_centroid, soft_centroid : (y, x)
        Centre of the mask, and of the probabilities (which the background pulls on).
    """

    label: int
    area: int
    size: float
    squares: tuple[Point, ...]
    hard_centroid: Point
    soft_centroid: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows ``top:bottom`` and columns ``left:right`` of a plane."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def measured(
    labels: NDArray[np.int32], probs: NDArray[np.float64], stopped: Callable[[], bool]
) -> tuple[NDArray[np.float32], tuple[ObjectView, ...]]:
    """Return the distance of every pixel to the nearest one outside its object, and the objects."""
    from scipy.ndimage import find_objects

    # Labels of any value (also negative) get consecutive numbers, since tables below are indexed by them.
    values, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape) + 1
    centres = _Centres(numbers, probs, background=_number_of(0, values))
    distance = np.zeros(labels.shape, np.float32)
    objects = []
    for number, (value, box) in enumerate(zip(values, find_objects(numbers), strict=True), start=1):
        if value == 0 or stopped():
            continue
        crop = grown(box, 1, labels.shape).slices
        mask = numbers[crop] == number
        inside = _distance(mask)
        distance[crop][mask] = inside[mask]
        offset = (crop[0].start, crop[1].start)
        objects.append(
            ObjectView(
                label=int(value),
                area=int(mask.sum()),
                size=2.0 * float(inside.max()),
                squares=_square_centres(inside, offset),
                hard_centroid=centres.hard(number),
                soft_centroid=centres.soft(number),
            )
        )
    return distance, tuple(objects)


def _number_of(value: int, values: NDArray[np.int32]) -> int:
    found = np.flatnonzero(values == value)
    return int(found[0]) + 1 if len(found) else 0


class _Centres:
    """Centroids of all objects from a handful of sums, whatever their number."""

    def __init__(self, numbers: NDArray[Any], probs: NDArray[np.float64], background: int) -> None:
        rows, columns = np.indices(numbers.shape)
        flat = numbers.ravel()
        self._hard = [
            np.bincount(flat, axis.ravel() if axis is not None else None) for axis in (None, rows, columns)
        ]
        weights = (probs, probs * rows, probs * columns)
        self._soft = [np.bincount(flat, each.ravel()) for each in weights]
        self._background = background

    def hard(self, number: int) -> Point:
        mass, y, x = (float(sums[number]) for sums in self._hard)
        return y / mass, x / mass

    def soft(self, number: int) -> Point:
        """Other objects are left out: they are not this one's background."""
        parts = {number, self._background}
        mass, y, x = (sum(float(sums[part]) for part in parts) for sums in self._soft)
        return (y / mass, x / mass) if mass > 0 else self.hard(number)


def grown(box: tuple[slice, slice], margin: int, shape: tuple[int, ...]) -> Window:
    """Return the box and what surrounds it. One pixel is enough for exact distances inside an object."""
    rows, columns = box
    return Window(
        top=max(rows.start - margin, 0),
        bottom=min(rows.stop + margin, shape[0]),
        left=max(columns.start - margin, 0),
        right=min(columns.stop + margin, shape[1]),
    )


def _distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    import torch

    from napari_segsize.ops import chebyshev_distance

    distance = chebyshev_distance(torch.from_numpy(np.ascontiguousarray(mask))[None, None])[0, 0]
    return np.asarray(distance.numpy(), np.float32)


def _square_centres(distance: NDArray[np.float32], offset: tuple[int, int]) -> tuple[Point, ...]:
    """One centre for each plateau of the largest distance."""
    from scipy.ndimage import find_objects, label

    plateaus, _ = label(distance == distance.max(), structure=np.ones((3, 3)))
    centres = []
    for number, box in enumerate(find_objects(plateaus), start=1):
        places = np.argwhere(plateaus[box] == number) + [edge.start for edge in box]
        middle = places.mean(0)
        off = np.abs(places - middle).max(1)
        if off.min() > 0.5:  # a bent plateau whose middle lies outside it
            middle = places[off.argmin()]
        centres.append((float(middle[0]) + offset[0], float(middle[1]) + offset[1]))
    return tuple(centres)
