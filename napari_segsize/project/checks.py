"""What may be said about a plane; what may not is refused in a sentence."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import MARKS, SOURCES, ImageRecord, PlaneRef, Point, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["checked_centre", "checked_labels", "checked_name", "checked_points", "checked_source", "where"]

_NTH = ("first", "second", "third", "fourth")


def checked_name(name: str | None) -> str:
    """Name of an object; None: a new one."""
    if name is None:
        return uuid.uuid4().hex
    if not name or name in MARKS or len(name) > 200:
        raise SegsizeError(
            f"An object cannot be called {name!r}: use a name of its own, or none for a new one."
        )
    return name


def checked_centre(centre: Sequence[float] | None, shape: tuple[int, int]) -> Point | None:
    """Place of a size."""
    if centre is None:
        return None
    if len(centre) != 2:
        raise ValueError(f"centre: expected (y, x), got {len(centre)} numbers")
    y, x = (float(value) for value in centre)
    if not (math.isfinite(y) and math.isfinite(x)):
        raise SegsizeError(f"The place ({y}, {x}) of a size is not a number: click it again.")
    if not _is_inside(y, x, shape):
        raise SegsizeError(
            f"The place ({y:g}, {x:g}) lies outside the image of {shape[0]} x {shape[1]} px: put it inside."
        )
    return y, x


def checked_points(points: Sequence[Sequence[float]], shape: tuple[int, int]) -> tuple[Point, ...]:
    """Extreme points of an object, as they were clicked."""
    if len(points) > 4:
        raise SegsizeError(
            f"An object has four extreme points (top, left, bottom, right), got {len(points)}: begin another "
            "object, or move one of the four."
        )
    kept: list[Point] = []
    for nth, point in zip(_NTH, points, strict=False):
        if len(point) != 2:
            raise ValueError(f"points: expected (y, x) each, got {len(point)} numbers for the {nth}")
        y, x = (float(value) for value in point)
        if not (math.isfinite(y) and math.isfinite(x)):
            raise SegsizeError(f"The {nth} extreme point ({y}, {x}) is not a number: click it again.")
        if not _is_inside(y, x, shape):
            raise SegsizeError(
                f"The {nth} extreme point ({y:g}, {x:g}) lies outside the image of {shape[0]} x {shape[1]} "
                "px: click where the object ends inside it."
            )
        kept.append((y, x))
    if len(kept) == 4:
        for axis, letter in enumerate("yx"):
            if len({point[axis] for point in kept}) == 1:
                raise SegsizeError(
                    "Four extreme points are the top, left, bottom and right end of an object, but these "
                    f"have an extent of 0 px in {letter} (all at {letter} = {kept[0][axis]:g}): click the "
                    "fourth elsewhere, or delete the object."
                )
    return tuple(kept)


def checked_source(source: str) -> Source:
    """What drew an outline."""
    if source not in SOURCES:
        raise ValueError(f"source: expected one of {', '.join(map(repr, SOURCES))}, got {source!r}")
    return source


def checked_labels(labels: NDArray[Any], record: ImageRecord) -> NDArray[np.int32]:
    """A mask of int32 in the shape of the plane: the caller's own array, if it is that."""
    array = np.asarray(labels)
    if array.shape != record.shape:
        raise SegsizeError(
            f"{record.name}: a mask must have the shape of the plane, {record.shape}, got {array.shape}: "
            "paint on a layer made for this image."
        )
    if array.dtype.kind not in "bui":
        raise SegsizeError(
            f"{record.name}: a mask holds whole numbers, got {array.dtype}: use a Labels layer."
        )
    if array.dtype.kind != "b" and (int(array.min()) < 0 or int(array.max()) > np.iinfo(np.int32).max):
        raise SegsizeError(
            f"{record.name}: labels go from 0 to 2147483647, got {array.min()} to {array.max()}: number them "
            "anew."
        )
    return array.astype(np.int32, copy=False)


def where(record: ImageRecord, plane: PlaneRef) -> str:
    """A plane, for people: counted from 1, and called a slice, as in the dock widget."""
    if record.planes == 1:
        return record.name
    return f"{record.name}, slice {plane.slice + 1} of {record.planes}"


def _is_inside(y: float, x: float, shape: tuple[int, int]) -> bool:
    return -0.5 <= y <= shape[0] - 0.5 and -0.5 <= x <= shape[1] - 0.5
