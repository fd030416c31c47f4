"""What is asked of a contour engine: outline this object."""

from __future__ import annotations

from dataclasses import dataclass

from ..project import PlaneRef

__all__ = ["Point", "Prompt"]

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """An object to outline. At least one of `points`, `stamp` and `start` says where it is.

    Attributes
    ----------
    plane : PlaneRef
    object : str
        Comes back with the result.
    points : four (y, x) pairs, or ()
        Extreme points in image pixels, in any order.
    stamp : (y, x, size), optional
        Centre and size in image pixels.
    start : (y, x) pairs, or ()
        A contour to go on from: drawn, taken from a label, or repaired. It is where the evolution starts;
        points, if there are any, still say where the object ends.
    """

    plane: PlaneRef
    object: str
    points: tuple[Point, ...] = ()
    stamp: tuple[float, float, float] | None = None
    start: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        if len(self.points) not in (0, 4):
            raise ValueError(f"points: expected 4 or none, got {len(self.points)}")
        if not (self.points or self.stamp or self.start):
            raise ValueError("a prompt needs points, a stamp or a start contour")
        if self.start and len(self.start) < 3:
            raise ValueError(f"start: expected at least 3 vertices, got {len(self.start)}")
