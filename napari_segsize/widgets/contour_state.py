"""What the page Contours draws: every object of the plane on screen, from its first click to its outline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.project.annotation import PlaneRef, Point, Ring

if TYPE_CHECKING:
    from napari_segsize.project.annotation import PlaneAnnotation

__all__ = ["Board", "Field", "LevelSet", "Outline", "Status", "hint", "sizes_to_outline"]

Status = Literal["clicking", "queued", "review", "accepted", "failed"]
_NO_STEPS = np.zeros((0, 0, 2), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """The displacement field that moved a contour.

    Attributes
    ----------
    values : (2, S, S) float32 array
        Displacements (y, x) in image pixels, over the region that the network saw.
    centre : (y, x) floats
        Of that region, in image pixels.
    scale : float
        Image pixels per pixel of the region.
    """

    values: NDArray[np.float32]
    centre: Point
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelSet:
    """The level set that became an outline.

    Attributes
    ----------
    phi : (T + 1, S, S) float32 array
        Of every step, in pixels of the region; positive inside.
    modulation : (S, S) float32 array
        How much the curvature counted, 0 to 1.
    centre, scale
        Of the region, as in `Field`.
    """

    phi: NDArray[np.float32]
    modulation: NDArray[np.float32]
    centre: Point
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """One object.

    Attributes
    ----------
    number : int
        For people; the same as long as the project is open, and the object's label in the layer of labels.
    points : tuple of (y, x)
        The extreme points that were clicked.
    steps : (T + 1, K, 2) float32 array
        All contours that the evolution went through, the start first; none while it is waited for.
    step : int
        Which of them is shown, and would be accepted.
    present : (K, 2) array
        The outline as it is shown: that step with the chosen number of vertices, or what was accepted.
    source : str
        What drew it.
    more : tuple of (K, 2) arrays
        Further rings of an outline that is not accepted yet: its holes and other parts.
    note : str
        What the engine noticed, or why there is no contour.
    """

    object: str
    number: int
    status: Status
    points: tuple[Point, ...] = ()
    steps: NDArray[np.float32] = field(default_factory=lambda: _NO_STEPS)
    step: int = 0
    present: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    rings: tuple[Ring, ...] = ()
    more: tuple[NDArray[np.float64], ...] = ()
    source: str = ""
    note: str = ""
    displacement: Field | None = None
    levelset: LevelSet | None = None

    @property
    def at_end(self) -> bool:
        """Whether the last step is shown."""
        return self.step >= len(self.steps) - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Board:
    """All objects of one plane, and which of them is meant.

    Attributes
    ----------
    focus : str
        The object that is selected: accepted, rejected, repaired and watched; "" for none.
    open : str
        The object that the next click belongs to; "" for a new one.
    waiting : int
        Objects, of any plane, whose contour is waited for.
    elsewhere : int
        Other planes with contours that wait to be accepted.
    """

    plane: PlaneRef | None = None
    objects: tuple[Outline, ...] = ()
    focus: str = ""
    open: str = ""
    waiting: int = 0
    elsewhere: int = 0
    config: EvolveConfig = field(default_factory=EvolveConfig)
    auto_accept: bool = False

    def find(self, name: str) -> Outline | None:
        """Return an object of the plane."""
        return next((each for each in self.objects if each.object == name), None)

    @property
    def focused(self) -> Outline | None:
        """The selected object."""
        return self.find(self.focus) if self.focus else None

    @property
    def clicking(self) -> Outline | None:
        """The object that the next click belongs to, once it has a first one."""
        return self.find(self.open) if self.open else None

    def count(self, status: Status) -> int:
        """How many objects are in this state."""
        return sum(each.status == status for each in self.objects)


def sizes_to_outline(board: Board, said: PlaneAnnotation | None) -> tuple[str, ...]:
    """Return the objects that have a size and a place, but no contour, not even one on its way."""
    if said is None or said.plane != board.plane:
        return ()
    return tuple(
        stamp.object for stamp in said.stamps if stamp.centre is not None and board.find(stamp.object) is None
    )


def hint(board: Board, tool: str = "points") -> str:
    """Say what is expected next of the user who holds this tool."""
    begun, meant = board.clicking, board.focused
    if tool == "repair":
        if meant is None or not len(meant.present):
            return "Click inside a contour, or on a line of the table, to select an object."
        return f"Object {meant.number}: drag a vertex (□) or an extreme point (○); the contour follows."
    if tool != "points":
        return "Press Four points, then click the top, left, bottom and right end of an object, in any order."
    if begun is None:
        return "New object: click 1 of 4, any of its top, left, bottom and right ends."
    return f"Object {begun.number}: click {len(begun.points) + 1} of 4. Backspace takes the last one back."
