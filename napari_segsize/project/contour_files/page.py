"""What passes between a project and a file of outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.project.annotation import PlaneRef
from napari_segsize.project.checks import where
from napari_segsize.project.outlines import mask_of, pieces_of, rings_of

if TYPE_CHECKING:
    from napari_segsize.project.annotation import Contour, ImageRecord, Ring

__all__ = ["Outline", "Page", "Reading", "as_one", "crossing_notice", "valid_pieces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The accepted contours of one plane, to be written."""

    record: ImageRecord
    slice: int
    contours: tuple[Contour, ...]

    @property
    def where(self) -> str:
        """For people."""
        return where(self.record, PlaneRef(self.record.id, self.slice))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """An outline that was read.

    Attributes
    ----------
    where : str
        Which it is in the file, for people: "Line 3", "Annotation 12".
    polygons : sequence of polygons, each a sequence of rings (K, 2)
        (y, x) in pixels, pixel centres at integers; even-odd inside a polygon, and the polygons together.
    image : str, optional
        What the file calls the image. None: it does not say.
    slice : int, optional
        None: it does not say.
    object : str, optional
        What the file calls the object.
    shape : (H, W) ints, optional
        Of the image, as the file has it.
    raster : bool
        Whether the file has pixels, so that the vertices are not those that somebody drew.
    """

    where: str
    polygons: Sequence[Sequence[Any]]
    image: str | None = None
    slice: int | None = None
    object: str | None = None
    shape: tuple[int, int] | None = None
    raster: bool = False


@dataclass(slots=True, kw_only=True)
class Reading:
    """A file that was read.

    Attributes
    ----------
    bad : list of str
        What cannot be an outline, a sentence each; then nothing is imported.
    notices : list of str
        What was left out, a sentence each.
    what : str
        What the outlines of this format are, for sentences: "rows".
    image : str, optional
        What the file calls its image.
    planes : int, optional
        How many planes that image has in the file.
    partial : bool
        Whether it may speak of images that a project does not have.
    positions : bool
        Whether its planes may be channels where an image has one plane.
    """

    outlines: list[Outline] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    what: str = "outlines"
    image: str | None = None
    planes: int | None = None
    partial: bool = False
    positions: bool = False


def as_one(polygons: Sequence[Sequence[Any]], shape: tuple[int, int]) -> Sequence[Any]:
    """Rings that hold, by the even-odd rule, the pixels of all polygons together."""
    rings = [ring for polygon in polygons for ring in polygon]
    if len(polygons) < 2:
        return rings
    together = np.any([mask_of(polygon, shape) for polygon in polygons], axis=0)
    return rings if np.array_equal(mask_of(rings, shape), together) else rings_of(together)


def crossing_notice(where: str, count: int) -> str:
    """What happened to contours that `valid_pieces` did not keep as they were."""
    return f"{where}: {count} contour(s) cross themselves; written as the outline of their pixels."


def valid_pieces(rings: Sequence[Ring], shape: tuple[int, int]) -> tuple[tuple[tuple[Ring, ...], ...], bool]:
    """Polygons that every program understands in the same way, with the pixels of these rings.

    Returns
    -------
    tuple of polygons
        Each an outer ring and its holes.
    bool
        Whether the rings are as they were. Rings that cross, themselves or each other, are replaced by the
        outline of their pixels.
    """
    from shapely import MultiPolygon, Polygon

    pieces = pieces_of(rings)
    polygons = [Polygon(outer, holes) for outer, *holes in pieces]
    if all(polygon.is_valid for polygon in polygons) and MultiPolygon(polygons).is_valid:
        return pieces, True
    drawn = rings_of(mask_of(rings, shape))
    return (pieces_of(drawn), False) if drawn else (pieces, True)
