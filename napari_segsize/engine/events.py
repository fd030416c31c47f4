"""What the engine reports while it works: frozen values with numbers and array copies, nothing alive.

Events pickle, hold no tensor, layer or widget, and are the only way results come up from the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..project.annotation import PlaneRef

__all__ = [
    "ROWS",
    "Aligned",
    "Comparison",
    "ComparisonRow",
    "ContourDone",
    "ContourFailed",
    "ContourStep",
    "Ended",
    "Event",
    "Loading",
    "Notice",
    "Preview",
    "Saved",
    "Started",
    "StepDone",
    "Validated",
    "Validating",
]


ROWS = ("masks only", "+ sizes as in the paper", "+ sizes and centres")
"""What models learned from, as a `Comparison` names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A job begins: what it found, and where it computes."""

    stage: str  # "pretrain", "finetune", "predict" or "evaluate"
    device: str
    steps: int  # the most it will take
    step: int = 0  # where a resumed run goes on
    images: int = 0
    masks: int = 0
    objects: int = 0  # outlined ones, where it learns object by object
    sizes: int = 0
    extents: int = 0  # objects with extreme points
    parameters: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """The annotated images are being read, before the job begins; a safe place to stop."""

    stage: str
    done: int
    total: int  # images, those without an annotation included: they are passed over
    doing: str = "reading"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One optimizer step is finished; the state is consistent, a safe place to stop."""

    stage: str
    step: int
    steps: int
    losses: Mapping[str, float]  # every term, and "total"
    seconds_left: float
    memory_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validating:
    """Held-out images are being looked at, or training images aligned; a safe place to stop."""

    stage: str
    done: int
    total: int
    doing: str = "checking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """The held-out images were looked at: "iou", "dice", "size_error" (squared, px²); NaN where unknown."""

    stage: str
    step: int
    metrics: Mapping[str, float]
    best: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preview:
    """The current prediction on one plane: (H, W) float32 probabilities."""

    plane: PlaneRef
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the user."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Everything needed to resume is on disk."""

    path: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One model on the held-out images; NaN where the images cannot tell."""

    name: str  # one of `ROWS`
    iou: float
    dice: float
    size_error: float  # mean squared, px²
    images: int
    model: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Models side by side on the same held-out images."""

    split: str
    rows: tuple[ComparisonRow, ...]
    of: str = "images"  # what `images` of the rows counts; sizes of "objects" are in px of their regions

    def names(self) -> tuple[str, ...]:
        """The rows' names; of models that learned from the same, with their numbers."""
        names = [row.name for row in self.rows]
        return tuple(
            f"{row.name} (model {row.model})"
            if names.count(row.name) > 1 and row.model is not None
            else row.name
            for row in self.rows
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The job came to its end, as a stopped one never does. `promoted`: whether its model is now in use."""

    stage: str
    promoted: bool = False
    model: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    comparison: Comparison | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContourStep:
    """One iteration of one object's contour: (K, 2) float32, (y, x) in image pixels."""

    plane: PlaneRef
    object: str
    step: int  # 0 is the start
    steps: int
    vertices: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContourDone:
    """The contour of one object, with everything it went through.

    Attributes
    ----------
    contours : (T + 1, K, 2) float32 array
        All iterations, the start first, in image pixels. The last one is valid: it does not cross itself.
    engine : str
        "network", "snake" or "levelset".
    seconds : float
        The object's share of the work.
    field : (2, S, S) float32 array, optional
        Displacement in image pixels over the region that was looked at; of a level set, in one step at most.
    centre, scale : (y, x), float
        Where that region lies, and image pixels per pixel of it.
    notice : str
        A sentence for the user, such as that the contour had crossed itself.
    phi : (T + 1, S, S) float32 array, optional
        The level set of every step, in pixels of the region; positive inside.
    modulation : (S, S) float32 array, optional
        How much the curvature counted, 0 to 1.
    rings : tuple of (K, 2) float32 arrays
        The outline where one contour does not say it all: parts and holes, in image pixels; a point is inside
        if it is in an odd number of them. The largest outer ring is the first. () if `contours` do.
    """

    plane: PlaneRef
    object: str
    contours: NDArray[np.float32]
    engine: str
    seconds: float
    field: NDArray[np.float32] | None = None
    centre: tuple[float, float] | None = None
    scale: float = 1.0
    notice: str = ""
    phi: NDArray[np.float32] | None = None
    modulation: NDArray[np.float32] | None = None
    rings: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContourFailed:
    """No contour could be made of one object: a sentence says why."""

    plane: PlaneRef
    object: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """One rough outline was aligned to the edges around it."""

    number: int  # of the object, in the labels of its plane
    steps: int
    moved: int  # pixels that changed sides
    notice: str = ""


Event = (
    Loading
    | Started
    | StepDone
    | Validating
    | Validated
    | Preview
    | Notice
    | Saved
    | Ended
    | ContourStep
    | ContourDone
    | ContourFailed
    | Aligned
)
