"""What a user has said about an image, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_segsize.project.sizes import ParsedSize, even_size, object_size_of, parse_size

__all__ = [
    "MARKS", "SOURCES", "SPLITS", "Change", "Contour", "Counts", "ImageRecord", "ModelRecord", "ParsedSize",
    "PlaneAnnotation", "PlaneRef", "Point", "Ring", "SizeStamp", "Source", "Split", "even_size",
    "object_size_of", "parse_size",
]  # fmt: skip

Point = tuple[float, float]
"""(y, x) in pixels, pixel centres at integers."""
Ring = tuple[Point, ...]
"""A closed polygon; the first vertex is not repeated at the end."""
Source = Literal["", "network", "snake", "levelset", "refined", "drawn", "import"]
SOURCES: tuple[Source, ...] = get_args(Source)
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MARKS = ("mask", "no_object", "skip")
"""What `Project.delete` takes away besides objects; no object may be called so."""


@dataclass(frozen=True, slots=True, order=True)
class PlaneRef:
    """One 2-D plane of one image of a project: what is annotated at a time."""

    image: int
    slice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeStamp:
    """The size of one object, and where it is if the user said so.

    Attributes
    ----------
    object : str
        Stable identity; the same through moves and changes of the size.
    size : float
        In pixels, even (see `even_size`).
    centre : (y, x) floats, optional
        In pixels, pixel centres at integers.
    entered, unit : float, str
        The number that was given and what it was in; ``size`` is what it means in pixels.
    """

    object: str
    size: float
    centre: tuple[float, float] | None = None
    entered: float
    unit: str = "px"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contour:
    """The extreme points of one object, and its outline once one was accepted.

    Attributes
    ----------
    object : str
        Stable identity, of the same names as those of stamps: an object may have a size and a contour.
    points : tuple of (y, x) floats
        0 to 4 extreme points in the order they were clicked; with fewer than 4 the object is begun.
    rings : tuple of rings
        The accepted outline; a pixel is inside where an odd number of rings has its centre inside, and the
        first one is the outer ring of the first piece. () until one is accepted. Multiples of 1/64 px.
    source : {"network", "snake", "levelset", "refined", "drawn", "import", ""}
        What drew the outline; "" without one.
    """

    object: str
    points: tuple[Point, ...] = ()
    rings: tuple[Ring, ...] = ()
    source: Source = ""

    @property
    def vertices(self) -> Ring:
        """The outer ring; () without an outline."""
        return self.rings[0] if self.rings else ()

    @property
    def accepted(self) -> bool:
        """Whether there is an outline."""
        return bool(self.rings)

    @property
    def labelled(self) -> bool:
        """Whether something can be learnt from it: an outline, or all four extreme points."""
        return self.accepted or len(self.points) == 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaneAnnotation:
    """All that has been said about one plane."""

    plane: PlaneRef
    stamps: tuple[SizeStamp, ...] = ()
    contours: tuple[Contour, ...] = ()
    mask: NDArray[np.int32] | None = None  # (H, W), 0 = background
    no_object: bool = False
    skipped: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was said, not even "skip"."""
        return not (self.labelled or self.skipped or self.contours)

    @property
    def labelled(self) -> bool:
        """Whether something can be learnt from the plane: a size, a mask, a contour, or that it is empty."""
        contours = any(contour.labelled for contour in self.contours)
        return bool(self.stamps) or contours or self.mask is not None or self.no_object

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlaneAnnotation):
            return NotImplemented
        mine, theirs = (
            (each.plane, each.stamps, each.contours, each.no_object, each.skipped, each.mask is None)
            for each in (self, other)
        )
        return mine == theirs and (self.mask is None or np.array_equal(self.mask, np.asarray(other.mask)))

    __hash__ = None  # type: ignore[assignment]  # an array inside


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """An image of a project: a stack of planes, (planes, channels, height, width).

    Attributes
    ----------
    path : str
        With forward slashes; relative to the project's folder for files inside it.
    sha256 : str
        Of the file, or of all files of a zarr folder.
    spacing : (z, y, x) floats
        Size of a pixel in `unit`; ones for "pixel".
    group : str
        What must not be torn apart by a split: a subject, a patient, an eye.
    warnings : tuple of str
        What the user should know about the pixels, a sentence each.
    """

    id: int
    name: str
    path: str
    sha256: str
    planes: int
    channels: int
    height: int
    width: int
    dtype: str
    spacing: tuple[float, float, float]
    unit: str
    group: str
    split: Split
    rgb: bool
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of every plane."""
        return self.height, self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A trained network: where its file is, what it was trained with, how well it did."""

    id: int
    path: Path
    stage: str
    metrics: Mapping[str, float]
    config: Mapping[str, object]
    created: float  # seconds since the epoch
    promoted: bool  # whether it is the one that predictions are made with


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an undo or a redo did."""

    plane: PlaneRef | None  # None: several planes at once
    description: str
    applied: bool = True  # False: somebody else has changed it since, so it was left as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much has been annotated.

    Attributes
    ----------
    sizes, centres : int
        Stamps, and those among them that have a place.
    points, contours : int
        Objects with extreme points but no accepted outline, and objects with one.
    masks, no_object, skipped : int
        Planes.
    by_split : mapping from a split to Counts
        The same for each split; empty inside one.
    """

    images: int = 0
    planes: int = 0
    masks: int = 0
    sizes: int = 0
    centres: int = 0
    points: int = 0
    contours: int = 0
    no_object: int = 0
    skipped: int = 0
    by_split: Mapping[Split, Counts] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = (each.name for each in fields(self) if each.name != "by_split")
        plain: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.by_split:
            plain["by_split"] = {split: counts.as_dict() for split, counts in self.by_split.items()}
        return plain
