"""What the dock widget shows: one frozen `State`, and how an engine event turns it into the next.

No Qt, no napari, no torch: a page draws a State, a test compares one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from napari_segsize.engine.events import (
    Comparison,
    Ended,
    Event,
    Loading,
    Notice,
    Preview,
    Saved,
    Started,
    StepDone,
    Validated,
    Validating,
)
from napari_segsize.project.annotation import Counts, ImageRecord, PlaneAnnotation, PlaneRef
from napari_segsize.widgets.contour_state import Board
from napari_segsize.widgets.runs import Resume
from napari_segsize.widgets.tally import ImageCounts

__all__ = ["EngineStatus", "ImageCounts", "JobStatus", "Resume", "State", "after", "cleared", "slot"]

PointT = TypeVar("PointT")
JobStatus = Literal["idle", "running", "stopping"]
EngineStatus = Literal["cold", "loading", "ready", "failed"]

HISTORY = 4000  # points kept of a curve: more than a screen has pixels
PIXELS = ("pretrain", "finetune")
OUTLINES = ("contour", "levelset")
TRAINING = (*PIXELS, *OUTLINES, "edges", "alignment")
STAGES = {
    "pretrain": "Learning from masks",
    "finetune": "Learning from sizes",
    "contour": "Fine-tuning contours",
    "levelset": "Fine-tuning level sets",
    "edges": "Learning edges",
    "alignment": "Learning to align",
    "predict": "Segmenting",
    "evaluate": "Comparing models",
    "add": "Adding images",
    "relink": "Finding moved images",
    "accept": "Taking changed files",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """Everything the pages draw. A new one is made for each change; none is ever altered."""

    # the project
    folder: Path | None = None
    name: str = ""
    images: tuple[ImageRecord, ...] = ()
    missing: frozenset[int] = frozenset()  # images whose file is gone
    changed: frozenset[int] = frozenset()  # images whose file is another one than was annotated
    counts: Counts | None = None
    image_counts: Mapping[int, ImageCounts] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    typical_size: float = 0.0  # median object size in px, 0 if unknown: it advises for or against a network
    revision: int = -1
    model: str = ""  # one line about the current model, "" without one
    aligner: str = ""  # one line about the network for rough outlines; "" while it is the one that ships
    loss: str = ""  # what the newest network of pixels learned from, a recipe; "" without one

    # the plane on screen
    plane: PlaneRef | None = None
    annotation: PlaneAnnotation | None = None
    redraw: int = 0  # grows when the annotation is not what the layers show: an undo, another viewer
    can_undo: bool = False
    can_redo: bool = False
    board: Board = field(default_factory=Board)  # its objects, from the first click to the outline

    # the job
    job: JobStatus = "idle"
    stage: str = ""
    step: int = 0
    steps: int = 0
    losses: tuple[StepDone, ...] = ()
    metrics: tuple[Validated, ...] = ()
    checking: str = ""  # how far the reading of images, or the look at the held-out ones, is
    seconds_left: float | None = None
    memory_mb: float | None = None
    device: str = ""
    preview: Preview | None = None
    saved_step: int | None = None
    comparison: Comparison | None = None
    ended: Ended | None = None
    resumable: Resume | None = None  # a stopped training of the network that segments pixels
    resumable_contours: Resume | None = None  # and one of the contour network
    resumable_levelsets: Resume | None = None  # and one of the level-set network
    resumable_edges: Resume | None = None  # and one of the edge network
    resumable_alignment: Resume | None = None  # and one of the network for rough outlines

    # the engine, and what to tell the user
    engine: EngineStatus = "cold"
    message: str = ""
    error: str = ""
    offer_cpu: bool = False  # the last job ran out of memory on an accelerator

    @property
    def is_open(self) -> bool:
        """Whether a project is open."""
        return self.folder is not None

    @property
    def busy(self) -> bool:
        """Whether a long job holds the engine, or is about to let go of it."""
        return self.job != "idle"

    @property
    def image(self) -> ImageRecord | None:
        """The record of the image whose plane is on screen."""
        if self.plane is None:
            return None
        return next((image for image in self.images if image.id == self.plane.image), None)


def slot(stage: str) -> str:
    """Name the field of `State` that says whether a training can go on."""
    if stage in PIXELS:
        return "resumable"
    slots = {
        "edges": "resumable_edges",
        "levelset": "resumable_levelsets",
        "alignment": "resumable_alignment",
    }
    return slots.get(stage, "resumable_contours")


def cleared(stage: str, *, keep_history: bool) -> dict[str, Any]:
    """Return the fields of `State` that change when a job begins."""
    fresh: dict[str, Any] = {
        "job": "running", "stage": stage, "step": 0, "steps": 0, "seconds_left": None, "checking": "",
        "ended": None, "error": "", "offer_cpu": False, "message": f"{STAGES.get(stage, stage)}…",
    }  # fmt: skip
    if stage in TRAINING and not keep_history:
        fresh |= {"losses": (), "metrics": (), "comparison": None, "saved_step": None, slot(stage): None}
    return fresh


def after(state: State, event: Event) -> State:
    """Return the state once `event` has happened."""
    if isinstance(event, Loading):
        return replace(
            state, stage=event.stage, step=0, steps=0, seconds_left=None,
            checking=f"{event.doing} image {event.done} of {event.total}" if event.total else "",
        )  # fmt: skip
    if isinstance(event, Started):
        return replace(
            state, stage=event.stage, device=event.device, step=event.step, steps=event.steps,
            seconds_left=None, checking="", message=_started(event),
        )  # fmt: skip
    if isinstance(event, StepDone):
        return replace(
            state, stage=event.stage, step=event.step, steps=event.steps, checking="",
            losses=_thinned(state.losses, event), seconds_left=event.seconds_left, memory_mb=event.memory_mb,
        )  # fmt: skip
    if isinstance(event, Validating):
        if event.stage in TRAINING:
            which = "held-out" if event.doing == "checking" else "training"
            return replace(state, checking=f"{event.doing} {event.done}/{event.total} {which} images")
        return replace(state, stage=event.stage, step=event.done, steps=event.total)
    if isinstance(event, Validated):
        return replace(state, metrics=_thinned(state.metrics, event), checking="")
    if isinstance(event, Preview):
        return replace(state, preview=event)
    if isinstance(event, Notice):
        return replace(state, message=event.text)
    if isinstance(event, Saved):
        return replace(state, saved_step=event.step)
    if not isinstance(event, Ended):
        return state
    return replace(
        state, ended=event, comparison=event.comparison or state.comparison, message=_ended(event),
        seconds_left=None, checking="",
    )  # fmt: skip


def _started(event: Started) -> str:
    stage = STAGES.get(event.stage, event.stage)
    words = ((event.masks, "mask"), (event.objects, "object"), (event.sizes, "size"))
    counted = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in words if n]
    on = f" on {event.device}" if event.device else ""
    return f"{stage}{on}" + (f": {', '.join(counted)}" if counted else "")


def _ended(event: Ended) -> str:
    if event.message:
        return event.message
    stage = STAGES.get(event.stage, event.stage)
    if event.stage not in TRAINING:
        return f"{stage}: done."
    if event.promoted:
        return f"{stage}: done. The new model is now the project's current one."
    return f"{stage}: done. The previous model stays: the new one was not better on the validation images."


def _thinned(history: tuple[PointT, ...], event: PointT) -> tuple[PointT, ...]:
    """Append; past the limit every second point goes, so that long runs stay cheap to draw and to copy."""
    if len(history) >= HISTORY:
        history = history[::2]
    return (*history, event)
