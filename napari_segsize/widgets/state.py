"""What the dock widget shows: one frozen `State`, and how an engine event turns it into the next.

No Qt, no napari, no torch: a page draws a State, a test compares one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

from ..engine.events import Comparison, Ended, Event, Notice, Preview, Saved, Started, StepDone, Validated
from ..project.annotation import Counts, ImageRecord, PlaneAnnotation, PlaneRef

__all__ = ["EngineStatus", "ImageCounts", "JobStatus", "Resume", "State", "after"]

PointT = TypeVar("PointT")
JobStatus = Literal["idle", "running", "stopping"]
EngineStatus = Literal["cold", "loading", "ready", "failed"]

HISTORY = 4000  # points kept of a curve: more than a screen has pixels
STAGES = {
    "pretrain": "Learning from masks",
    "finetune": "Learning from sizes",
    "predict": "Segmenting",
    "evaluate": "Comparing models",
    "add": "Adding images",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCounts:
    """What has been said about one image: planes with a mask, sizes, and planes without an object."""

    masks: int = 0
    sizes: int = 0
    no_object: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A stopped training that can go on."""

    stage: str
    step: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """Everything the pages draw. A new one is made for each change; none is ever altered."""

    # the project
    folder: Path | None = None
    name: str = ""
    images: tuple[ImageRecord, ...] = ()
    missing: frozenset[int] = frozenset()  # images whose file is gone
    counts: Counts | None = None
    image_counts: Mapping[int, ImageCounts] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    revision: int = -1
    model: str = ""  # one line about the current model, "" without one

    # the plane on screen
    plane: PlaneRef | None = None
    annotation: PlaneAnnotation | None = None
    can_undo: bool = False
    can_redo: bool = False

    # the job
    job: JobStatus = "idle"
    stage: str = ""
    step: int = 0
    steps: int = 0
    losses: tuple[StepDone, ...] = ()
    metrics: tuple[Validated, ...] = ()
    seconds_left: float | None = None
    memory_mb: float | None = None
    device: str = ""
    preview: Preview | None = None
    saved_step: int | None = None
    comparison: Comparison | None = None
    ended: Ended | None = None
    resumable: Resume | None = None

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


def after(state: State, event: Event) -> State:
    """Return the state once `event` has happened."""
    if isinstance(event, Started):
        return replace(
            state, stage=event.stage, device=event.device, step=event.step, steps=event.steps,
            seconds_left=None, message=_started(event),
        )
    if isinstance(event, StepDone):
        return replace(
            state, stage=event.stage, step=event.step, steps=event.steps, losses=_thinned(state.losses, event),
            seconds_left=event.seconds_left, memory_mb=event.memory_mb,
        )
    if isinstance(event, Validated):
        return replace(state, metrics=_thinned(state.metrics, event))
    if isinstance(event, Preview):
        return replace(state, preview=event)
    if isinstance(event, Notice):
        return replace(state, message=event.text)
    if isinstance(event, Saved):
        return replace(state, saved_step=event.step)
    return replace(
        state, ended=event, comparison=event.comparison or state.comparison, message=_ended(event),
        seconds_left=None,
    )


def _started(event: Started) -> str:
    stage = STAGES.get(event.stage, event.stage)
    counted = [f"{n} {word}" for n, word in ((event.masks, "masks"), (event.sizes, "sizes")) if n]
    return f"{stage} on {event.device}" + (f": {', '.join(counted)}" if counted else "")


def _ended(event: Ended) -> str:
    if event.message:
        return event.message
    stage = STAGES.get(event.stage, event.stage)
    if event.stage not in ("pretrain", "finetune"):
        return f"{stage}: done."
    if event.promoted:
        return f"{stage}: done. The new model is now the project's current one."
    return f"{stage}: done. The previous model stays: the new one was not better on the validation images."


def _thinned(history: tuple[PointT, ...], event: PointT) -> tuple[PointT, ...]:
    """Append; past the limit every second point goes, so that long runs stay cheap to draw and to copy."""
    if len(history) >= HISTORY:
        history = history[::2]
    return (*history, event)
