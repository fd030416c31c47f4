"""How contours come by themselves: the project is followed, what the queue answers is kept. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.events import ContourFailed, ContourStep, Ended
from napari_segsize.engine.prompt import Prompt
from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import Contour, PlaneRef, Point
from napari_segsize.widgets import contour_runs
from napari_segsize.widgets.contour_book import Book, Evolution
from napari_segsize.widgets.contour_queue import LINGER_S, Answer, ContourQueue
from napari_segsize.widgets.contour_state import Outline
from napari_segsize.widgets.state import OUTLINES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.annotation import PlaneAnnotation
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.desk import Launch, RunningJob
    from napari_segsize.widgets.state import State

__all__ = ["KEPT", "ContourFlow", "how_many", "start_of"]

_PROMISES = ("on its way.", "on the way.")
KEPT = "the project keeps what you accept."


@dataclass(eq=False)
class _Look:
    """A search of one project for contours that are still owed."""

    folder: Path
    job: RunningJob | None = None


class ContourFlow:
    """Which contours there are and which are on their way; no user has to do anything for that.

    Parameters
    ----------
    launch : Launch
        Runs the queue, beside the long jobs.
    controller : Controller
        Holds the project and the state.
    linger : float
        Seconds that the engine stays ready for the next object.
    """

    def __init__(self, launch: Launch, controller: Controller, *, linger: float = LINGER_S) -> None:
        self._launch, self._controller = launch, controller
        self._queue = ContourQueue(launch, self._on_answer, self._on_failed, linger=linger)
        self._book = Book()
        self._said: PlaneAnnotation | None = None
        self._plane: PlaneRef | None = None
        self._look: _Look | None = None  # only while it goes on
        self._ended: Ended | None = None
        self._clicked: list[str] = []  # objects of this plane, in the order of their last clicks
        self.config = EvolveConfig()
        self.auto_accept = False

    # --- for the controller

    def follow(self, state: State) -> State:
        """Return the state with what there is to see of contours, when its annotation is new."""
        if state.ended is not self._ended:
            self._ended = state.ended
            if state.ended is not None and state.ended.promoted and state.ended.stage in OUTLINES:
                self._queue.renew()
        said = state.annotation
        if said is self._said:
            return state
        self._said = said
        if state.plane != self._plane:
            self._plane, self._clicked = state.plane, []
            self._book.turn_page()
        if said is not None and state.folder is not None:
            prompts, gone = self._book.reconcile(said)
            for key in gone:
                self._queue.forget(key)
            self._queue.ask(state.folder, prompts, self.config)
        return replace(state, board=self._board())

    def pump(self) -> None:
        """Hand on what waits; after everybody has seen the state that asked for it."""
        self._queue.pump()

    def enter(self, folder: Path) -> None:
        """Look for objects with four points that still have no contour: what was clicked is not lost."""
        look = self._look = _Look(folder)
        events = contour_runs.unfinished(folder)
        look.job = self._launch(events, partial(self._on_unfinished, look), partial(self._on_looked, look))

    def leave(self) -> None:
        """Forget everything: the project is left, or the window closes. The points are stored."""
        self._queue.clear()
        if self._look is not None and self._look.job is not None:
            self._look.job.stop()
        self._book, self._said, self._plane, self._look = Book(), None, None, None
        self._clicked = []

    # --- answers

    def _on_answer(self, prompt: Prompt, event: Answer) -> None:
        evolution = self._book.find(prompt.plane, prompt.object)
        if evolution is None or evolution.prompt != prompt:
            return
        if isinstance(event, ContourStep):
            evolution.follow(event)
        elif isinstance(event, ContourFailed):
            evolution.fail(event.reason)
        else:
            evolution.finish(event)
        self._show(**self._arrived())
        self._answered(prompt, evolution)

    def _answered(self, prompt: Prompt, evolution: Evolution) -> None:
        """Do what is to be done with an answer, once it is shown."""

    def _arrived(self) -> dict[str, str]:
        """Take back the word that a contour is on its way, once none is; not that it must be accepted."""
        message = self._controller.state.message
        if self._queue.pending or not message.endswith((*_PROMISES, f"on the way: {KEPT}")):
            return {}
        return {"message": KEPT.capitalize() if message.endswith(KEPT) else ""}

    def _on_failed(self, prompts: tuple[Prompt, ...], error: BaseException) -> None:
        text = str(error).strip() or type(error).__name__
        for prompt in prompts:
            evolution = self._book.find(prompt.plane, prompt.object)
            if evolution is not None and evolution.prompt == prompt:
                evolution.fail(text)
        self._show()
        if isinstance(error, SegsizeError):
            self._controller.fail(text)
        else:
            self._controller.fail(
                f"Contours ended with an unexpected error ({text}). Nothing clicked is lost."
            )
            self._controller.crashed.emit(error)

    def _on_unfinished(self, look: _Look, found: contour_runs.Unfinished) -> None:
        if self._look is not look:  # of a project that was left
            return
        new = [each for each in found.prompts if self._book.find(each.plane, each.object) is None]
        self._queue.ask(look.folder, [self._book.begin(prompt) for prompt in new], self.config)
        self._show()

    def _on_looked(self, look: _Look, _error: BaseException | None) -> None:
        """Let go of a look that has ended; one that failed changes nothing: each image is looked at later."""
        if self._look is look:
            self._look = None

    # --- inside

    def _show(self, **changes: Any) -> None:
        """Tell everybody what is to be seen now."""
        self._controller.update(board=self._board(), **changes)

    def _board(self) -> Any:
        plane = None if self._said is None else self._said.plane
        return self._book.board(
            plane, waiting=self._queue.pending, config=self.config, auto_accept=self.auto_accept
        )

    def _annotated(self, plane: PlaneRef, message: str, *stored: Contour) -> None:
        """Contours were stored (or deleted: those without anything in them); the stamps are as they were."""
        said = self._said
        if said is None or said.plane != plane:
            self._controller.annotated(plane, message)
            return
        contours = {contour.object: contour for contour in (*said.contours, *stored)}
        kept = tuple(contour for contour in contours.values() if contour.points or contour.rings)
        marks = {} if not any(each in kept for each in stored) else {"no_object": False, "skipped": False}
        now = replace(said, contours=kept, **marks)  # type: ignore[arg-type]  # flags
        self._controller.annotated(plane, message, shown=said.stamps, said=now)

    def _here(self) -> PlaneRef:
        self._controller.opened()
        if self._plane is None:
            raise SegsizeError("No image is shown: add images on the Project page first.")
        return self._plane

    def _stored(self, plane: PlaneRef, name: str) -> Contour | None:
        """Read from the project itself: another window may have said more since."""
        if not name:
            return None
        project, said = self._controller.opened(), self._said
        if said is None or said.plane != plane or project.revision() != self._controller.state.revision:
            said = project.annotation(plane)
        return next((contour for contour in said.contours if contour.object == name), None)

    def _evolution(self, name: str) -> Evolution | None:
        return None if self._plane is None else self._book.find(self._plane, name)

    def _present(self, name: str) -> NDArray[np.float64]:
        found = self._controller.state.board.find(name)
        return np.zeros((0, 2)) if found is None else found.present

    def _meant(self, name: str) -> Outline:
        board = self._controller.state.board
        found = board.find(name or board.focus)
        if found is None:
            raise SegsizeError("No object is selected: click one in the table, or inside its contour.")
        return found

    def _ask(self, *prompts: Prompt) -> None:
        folder = self._controller.opened().folder
        self._queue.ask(folder, [self._book.begin(prompt) for prompt in prompts], self.config)
        if len(prompts) == 1:
            self._book.focus = prompts[0].object
        self._show(message=f"{how_many(len(prompts)).capitalize()} on the way.", error="")


def how_many(count: int) -> str:
    """Say how many contours."""
    return f"{count} contour{'' if count == 1 else 's'}"


def start_of(vertices: NDArray[Any]) -> tuple[Point, ...]:
    """Return vertices (K, 2) as a `Prompt` takes them."""
    return tuple((float(y), float(x)) for y, x in vertices)
