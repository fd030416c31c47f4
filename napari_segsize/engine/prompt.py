"""What is asked of a contour engine: outline this object."""

from __future__ import annotations

from dataclasses import dataclass

from ..project import PlaneAnnotation, PlaneRef

__all__ = ["Point", "Prompt", "prompts_of"]

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

    @property
    def place(self) -> Point:
        """About where the object is: the middle of what is known of it."""
        if self.stamp is not None and not self.points:
            return self.stamp[:2]
        ys, xs = zip(*(self.points or self.start), strict=True)
        return (min(ys) + max(ys)) / 2, (min(xs) + max(xs)) / 2


def prompts_of(said: PlaneAnnotation, *, redo: bool = False) -> tuple[Prompt, ...]:
    """What is left to outline on a plane: objects with four extreme points, or else a size with a place.

    Parameters
    ----------
    said : PlaneAnnotation
        A plane marked "Skip" has none.
    redo : bool
        Also objects that have an accepted outline, from their points or their size all the same.
    """
    if said.skipped:
        return ()
    done = {contour.object for contour in said.contours if contour.accepted and not redo}
    found = {
        contour.object: Prompt(plane=said.plane, object=contour.object, points=contour.points)
        for contour in said.contours
        if len(contour.points) == 4 and contour.object not in done
    }
    for stamp in said.stamps:
        if stamp.centre is not None and stamp.object not in done and stamp.object not in found:
            place = (*stamp.centre, stamp.size)
            found[stamp.object] = Prompt(plane=said.plane, object=stamp.object, stamp=place)
    return tuple(found.values())
