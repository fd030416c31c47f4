"""The long jobs of a controller: one at a time, and only the current one is listened to. No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari_segsize.engine.events import Ended, Event, Loading, Started
from napari_segsize.errors import SegsizeError
from napari_segsize.widgets import runs
from napari_segsize.widgets.state import STAGES, TRAINING, after, cleared, slot

if TYPE_CHECKING:
    from napari_segsize.widgets.controller import Controller

__all__ = ["Desk", "Launch", "RunningJob", "is_out_of_memory"]


_FILES = ("relink", "accept")  # jobs after which an image may have another file


class RunningJob(Protocol):
    """A generator that is being drained somewhere."""

    def stop(self) -> None:
        """Ask it to end after the step it is in; its end is still reported."""


_OnEnd = Callable[[BaseException | None], None]
Launch = Callable[[Generator[Any, None, None], Callable[[Any], None], _OnEnd], RunningJob]
"""``launch(events, on_event, on_end)``: drain `events` elsewhere, report here."""


@dataclass(eq=False)
class _Run:
    """One long job. When its project is left it is detached: it may end in peace, and nobody listens."""

    stage: str
    handle: RunningJob | None = None
    stopping: bool = False
    detached: bool = False
    reading: bool = False  # a training that has done nothing yet to be kept: Stop need not wait for it
    waiting: Generator[Event, None, None] | None = None  # not launched yet

    def stop(self) -> None:
        self.stopping = True
        if self.handle is not None:
            self.handle.stop()


class Desk:
    """Begins jobs, turns their events into states, and refuses a second one while the first goes on."""

    def __init__(self, launch: Launch, controller: Controller) -> None:
        self._launch, self._controller = launch, controller
        self._run: _Run | None = None
        self._leaving: _Run | None = None  # stopped while it read: it ends with the block it is in
        self._warming: RunningJob | None = None
        self._looking: RunningJob | None = None
        self._surveying: Path | None = None
        self._survey_again = False  # whether something was said while it counted

    # --- the long job

    def begin(self, stage: str, events: Generator[Event, None, None], *, keep_history: bool = False) -> None:
        """Start a long job.

        Raises
        ------
        SegsizeError
            While another one is running, or has not stopped yet.
        """
        if self._run is not None:
            events.close()
            name = STAGES.get(self._run.stage, self._run.stage)
            stopping = self._run.stopping
            wait = "is still stopping: try again in a moment" if stopping else "is running: press Stop first"
            raise SegsizeError(f"{name} {wait}.")
        run = self._run = _Run(stage, waiting=events, reading=stage in TRAINING)
        self._controller.update(**cleared(stage, keep_history=keep_history))
        if self._leaving is not None:
            self._controller.update(checking="waiting for the reading that was stopped to end")
        elif not run.stopping:
            self._start(run)

    def _start(self, run: _Run) -> None:
        events, run.waiting = run.waiting, None
        assert events is not None
        run.handle = self._launch(events, partial(self._on_event, run), partial(self._on_end, run))
        if run.stopping:  # told to while it was being launched
            run.handle.stop()

    def stop(self) -> None:
        """Ask the running job to end. A training that is still reading is let go of at once."""
        run = self._run
        if run is None or run.stopping:
            return
        run.stop()
        if run.reading or run.waiting is not None:
            self._let_go(run)
            self._controller.update(job="idle", seconds_left=None, checking="", message="Stopped.")
        else:
            self._controller.update(job="stopping", message="Stopping; what is done so far is kept.")

    def _let_go(self, run: _Run) -> None:
        """Leave a job to itself: a large file is decoded for seconds without a look whether to stop."""
        self._run = None
        if run.waiting is None:
            self._leaving = run
        else:
            run.waiting.close()

    def detach(self) -> None:
        """Stop the running job and listen to it no longer: its project is being left."""
        self._looking = self._surveying = None
        run = self._run
        if run is None:
            return
        run.detached = True
        run.stop()
        if run.waiting is not None:
            self._let_go(run)
            self._controller.update(job="idle")
        else:
            self._controller.update(job="stopping")

    def dispose(self) -> None:
        """Stop everything."""
        self.detach()
        if self._warming is not None:
            self._warming.stop()

    def _on_event(self, run: _Run, event: Event) -> None:
        if run is not self._run or run.detached:
            return
        controller = self._controller
        if run.stage in TRAINING:
            run.reading = isinstance(event, Loading) or (run.reading and not isinstance(event, Started))
        state = after(controller.state, event)
        controller.state = state
        controller.state_changed.emit(state)
        if isinstance(event, Ended) and event.stage in TRAINING:
            controller.reload(message=state.message)

    def _on_end(self, run: _Run, error: BaseException | None) -> None:
        if run is self._leaving:
            self._on_gone()
        if run is not self._run:
            return
        self._run = None
        controller = self._controller
        if run.detached:
            controller.update(job="idle")
            if controller.state.folder is not None:  # until now there was nothing to say about Resume
                self.look(controller.state.folder)
            return
        controller.update(job="idle", seconds_left=None, checking="")
        if error is None:
            controller.reload(**self._ended(run))
        else:
            controller.reload()
            self._failed(run, error)
        if run.stage in TRAINING and controller.state.folder is not None:
            self.look(controller.state.folder)
        if run.stage in _FILES or isinstance(error, SegsizeError):  # which may be that a file has changed
            controller.files.look()

    def _on_gone(self) -> None:
        """The job that was let go of has ended: what waited for it can begin."""
        self._leaving, next_one, folder = None, self._run, self._controller.state.folder
        if next_one is not None and next_one.waiting is not None:
            self._controller.update(checking="")
            self._start(next_one)
        elif next_one is None and folder is not None:  # until now there was nothing to say about Resume
            self.look(folder)

    def _ended(self, run: _Run) -> dict[str, Any]:
        state = self._controller.state
        nothing_left: dict[str, Any] = {slot(run.stage): None} if run.stage in TRAINING else {}
        if run.stage in _FILES:  # what could not be shown may be there now
            nothing_left = {"redraw": state.redraw + 1}
        if not run.stopping:
            return {**nothing_left, "message": state.message}
        if state.ended is not None and state.ended.stage == state.stage:  # done before Stop was heard
            return {**nothing_left, "message": after(state, state.ended).message}
        if state.stage in TRAINING and state.step:
            left = runs.Resume(stage=state.stage, step=state.step, steps=state.steps)
            return {
                slot(state.stage): left,
                "message": f"Stopped after step {state.step} of {state.steps}, which is kept: Resume goes on "
                "from there. The previous model is untouched.",
            }
        return {"message": "Stopped."}

    def _failed(self, run: _Run, error: BaseException) -> None:
        controller = self._controller
        if is_out_of_memory(error):
            controller.fail(
                "Out of memory, even with smaller batches: choose a smaller patch under Advanced, or train "
                "on the CPU. The previous model is untouched.",
                offer_cpu=not controller.state.device.startswith("CPU"),
            )
        elif isinstance(error, SegsizeError):
            controller.fail(str(error))
        else:
            name = STAGES.get(run.stage, run.stage)
            text = (str(error).strip().splitlines() or ["no further word"])[0]
            controller.fail(
                f"{name} ended with an unexpected error ({type(error).__name__}: {text}). "
                "Annotations and the previous model are untouched."
            )
            controller.crashed.emit(error)

    # --- small background looks, beside the long job

    def warm_up(self) -> None:
        """Import torch and MONAI."""
        self._controller.update(engine="loading")
        self._warming = self._launch(runs.warming(self._controller.threads), self._on_warm, self._on_warmed)

    def _on_warm(self, ready: runs.Ready) -> None:
        self._controller.update(engine="ready", device=ready.device)

    def _on_warmed(self, error: BaseException | None) -> None:
        self._warming = None
        controller = self._controller
        if error is not None:
            controller.fail(
                f"torch or MONAI could not be loaded ({error}), so training is not possible: annotating is. "
                "Install the package again to mend it.",
                engine="failed",
            )
        elif controller.state.folder is not None:
            self.look(controller.state.folder)

    def look(self, folder: Path) -> None:
        """Look whether a stopped training of this project can go on; only once torch is there."""
        if self._controller.state.engine != "ready":
            return
        self._looking = self._launch(runs.looking(folder), partial(self._on_found, folder), _ignore)

    def _on_found(self, folder: Path, ready: runs.Ready) -> None:
        state = self._controller.state
        if state.folder == folder and state.job == "idle":
            self._controller.update(
                resumable=ready.resumable,
                resumable_contours=ready.resumable_contours,
                resumable_levelsets=ready.resumable_levelsets,
                resumable_edges=ready.resumable_edges,
                resumable_alignment=ready.resumable_alignment,
                device=state.device or ready.device,
            )

    def survey(self, folder: Path) -> None:
        """Count again what there is of each image; once more if something was said meanwhile."""
        if self._surveying == folder:
            self._survey_again = True
        else:
            self._surveying, self._survey_again = folder, False
            on_end = partial(self._on_survey_end, folder)
            self._launch(runs.surveying(folder), partial(self._on_surveyed, folder), on_end)

    def _on_surveyed(self, folder: Path, found: runs.Surveyed) -> None:
        state = self._controller.state
        if state.folder != folder:
            return
        self._survey_again |= found.revision < state.revision
        if state.revision == found.revision:
            self._controller.update(
                image_counts=found.image_counts,
                contradictions=found.contradictions,
                typical_size=found.typical_size,
            )

    def _on_survey_end(self, folder: Path, _error: BaseException | None) -> None:
        if self._surveying != folder:
            return
        self._surveying = None
        if self._survey_again and self._controller.state.folder == folder:
            self.survey(folder)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whatever device; without importing torch to ask."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"OutOfMemoryError", "MemoryError"} or "out of memory" in str(error).lower():
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)  # the engine's own sentence


def _ignore(_error: BaseException | None) -> None:
    """A look that failed changes nothing: the job itself will say why."""
