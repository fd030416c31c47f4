"""What the dock widget can do, without a window: verbs go in, one frozen `State` comes out.

The controller knows no Qt, no napari and no torch. It receives `launch`, which runs a generator of engine events
in the background and calls back on the thread that called; a test passes a plain loop.

A verb never raises `SegsizeError`: the sentence goes to ``state.error`` and to the signal `failed`, and the verb
returns None (or False). The next verb that succeeds clears it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.events import Event
from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import Change, PlaneRef, SizeStamp, Split
from napari_segsize.project.project import Project
from napari_segsize.widgets import runs
from napari_segsize.widgets.state import STAGES, Resume, State, after

__all__ = ["Controller", "Launch", "RunningJob", "State"]

What = Literal["both", "pretrain", "finetune"]


class RunningJob(Protocol):
    """A generator that is being drained somewhere."""

    def stop(self) -> None:
        """Ask it to end after the step it is in; its end is still reported."""


Launch = Callable[
    [Generator[Event, None, None], Callable[[Event], None], Callable[[BaseException | None], None]], RunningJob
]
"""``launch(events, on_event, on_end)``: drain `events` elsewhere, report here."""


@dataclass(eq=False)
class _Run:
    """The long job of the moment. A run that was detached (its project was left) reports to nobody."""

    stage: str
    handle: RunningJob | None = None
    detached: bool = False
    over: bool = False


class Controller:
    """The verbs of the dock widget.

    Parameters
    ----------
    launch : Launch
        Runs a generator of events in the background.

    Attributes
    ----------
    state : State
        What there is to see now.
    project : Project or None
        The open project, for reading pixels; annotate through the verbs.
    state_changed : Signal(State)
        After every change, on the GUI thread only.
    failed : Signal(str)
        A sentence for the user, each time a verb or a job could not do what was asked.
    crashed : Signal(object)
        The exception, when it was none the user can put right.
    """

    state_changed = Signal(State)
    failed = Signal(str)
    crashed = Signal(object)

    def __init__(self, launch: Launch) -> None:
        self.state = State()
        self.project: Project | None = None
        self._launch = launch
        self._run: _Run | None = None
        self._watch = runs.Watch()

    # --- the project ------------------------------------------------------------------------------------------

    def create_project(self, folder: Path | str, *, name: str = "") -> bool:
        """Create a project in `folder` and open it."""
        ...

    def open_project(self, path: Path | str) -> bool:
        """Open a project folder or file. A training of the project that is left is stopped and stays resumable."""
        ...

    def close_project(self) -> None:
        """Leave the project; a running job is stopped, and its later events are dropped."""
        ...

    def add_files(self, paths: Iterable[Path | str], *, group: str | None = None, split: Split = "train") -> None:
        """Add images, stacks, volumes or whole folders; in the background."""
        ...

    def add_layers(self, layers: Sequence[runs.LayerImage], *, split: Split = "train") -> None:
        """Add the pixels of layers; in the background."""
        ...

    def remove_images(self, ids: Iterable[int]) -> bool: ...

    def relink(self, image_id: int, path: Path | str, *, force: bool = False) -> bool:
        """Say where an image has gone. The content must be the same, unless `force`."""
        ...

    def set_splits(self, ids: Iterable[int], split: Split) -> bool: ...

    def assign_splits(
        self, *, validation: float = 0.2, test: float = 0.0, by: Literal["group", "image"] = "group", seed: int = 0
    ) -> bool:
        """Deal the images (or their groups, never torn apart) out at random."""
        ...

    def import_sizes(self, file: Path | str) -> bool: ...

    def export_sizes(self, file: Path | str) -> bool: ...

    def poll(self) -> None:
        """Look whether another viewer or process has annotated; cheap, called about once a second."""

    # --- annotation: each one is on disk when the verb returns ---------------------------------------------------

    def show(self, plane: PlaneRef) -> None:
        """Put a plane on screen."""

    def put_stamp(
        self,
        size: float | str,
        *,
        centre: tuple[float, float] | None = None,
        object: str | None = None,  # noqa: A002  the project's word for it
        unit: str = "px",
        plane: PlaneRef | None = None,
    ) -> SizeStamp | None:
        """Store the size of an object on the current plane; size 0 without a centre means there is none.

        `object` replaces the stamp of that identity (moved, resized). `size` may be text as typed: "12", "3.5 mm".
        """
        ...

    def sync_stamps(self, plane: PlaneRef, stamps: Sequence[SizeStamp]) -> bool:
        """Make the plane's stamps equal to these, in one transaction: what the Points layer shows."""
        ...

    def put_mask(self, plane: PlaneRef, labels: NDArray[np.integer[Any]]) -> bool:
        """Store the painted mask; one of zeros only takes the plane's mask away."""
        ...

    def put_no_object(self) -> bool:
        """Say that the current plane holds no object."""
        ...

    def skip(self) -> bool:
        """Leave the current plane out, and go to the next one without a label."""
        ...

    def delete(self, what: str) -> bool:
        """Take back a stamp (its `object`), or "mask", "no_object", "skip" of the current plane."""
        ...

    def next(self) -> None: ...

    def previous(self) -> None: ...

    def next_unlabelled(self) -> None: ...

    def undo(self) -> Change | None:
        """Take the last change back, and go to its plane."""
        ...

    def redo(self) -> Change | None: ...

    # --- the engine ------------------------------------------------------------------------------------------------

    def warm_up(self) -> None:
        """Import torch and MONAI in the background, so that the first training starts at once."""

    def train(
        self,
        pretrain: PretrainConfig | None = None,
        finetune: FineTuneConfig | None = None,
        *,
        what: What = "both",
        resume: bool = False,
    ) -> None:
        """Learn from the masks, then from the sizes, then compare both on the held-out images."""

    def predict_plane(self) -> None:
        """Segment the current plane with the current model; the result is ``state.preview``."""

    def predict(self, config: PredictConfig | None = None) -> None:
        """Segment many images, in the background."""

    def evaluate(self, config: EvaluateConfig | None = None) -> None:
        """Compare models on held-out images; the result is ``state.comparison``."""

    def stop(self) -> None:
        """Stop the job after the step it is in; that step is kept."""

    def dispose(self) -> None:
        """Stop the job and let go of the project: the window is closing."""
