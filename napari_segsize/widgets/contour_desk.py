"""The verbs of the page Contours: clicks are stored, contours come back by themselves. No Qt here.

As in the controller, a verb never raises `SegsizeError`: the sentence goes to ``state.error``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.events import ContourFailed, ContourStep, Ended
from napari_segsize.engine.prompt import Prompt
from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import Contour, PlaneRef, Point, Ring
from napari_segsize.widgets import contour_runs
from napari_segsize.widgets.contour_book import Book, Evolution
from napari_segsize.widgets.contour_queue import LINGER_S, Answer, ContourQueue
from napari_segsize.widgets.contour_shape import is_stray, with_vertices
from napari_segsize.widgets.contour_state import Outline, hint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.annotation import PlaneAnnotation
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.desk import Launch, RunningJob
    from napari_segsize.widgets.state import State

__all__ = ["ContourDesk"]


class ContourDesk:
    """What can be done with contours; part of a `Controller`, which tells it of every new state.

    Parameters
    ----------
    launch : Launch
        Runs the queue, beside the long jobs.
    linger : float
        Seconds that the engine stays ready for the next object.
    """

    def __init__(self, launch: Launch, controller: Controller, *, linger: float = LINGER_S) -> None:
        self._launch, self._controller = launch, controller
        self._queue = ContourQueue(launch, self._on_answer, self._on_failed, linger=linger)
        self._book = Book()
        self._said: PlaneAnnotation | None = None
        self._plane: PlaneRef | None = None
        self._looking: RunningJob | None = None
        self._ended: Ended | None = None
        self._clicked: list[str] = []  # objects of this plane, in the order of their last clicks
        self.config = EvolveConfig()
        self.auto_accept = False

    # --- for the controller

    def follow(self, state: State) -> State:
        """Return the state with what there is to see of contours, when its annotation is new."""
        if state.ended is not self._ended:
            self._ended = state.ended
            if state.ended is not None and state.ended.promoted and state.ended.stage == "contour":
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
        events = contour_runs.unfinished(folder)
        self._looking = self._launch(events, partial(self._on_unfinished, folder), _ignore)

    def leave(self) -> None:
        """Forget everything: the project is left, or the window closes. The points are stored."""
        self._queue.clear()
        if self._looking is not None:
            self._looking.stop()
        self._book, self._said, self._plane, self._looking = Book(), None, None, None
        self._clicked = []

    # --- clicks

    def click(self, plane: PlaneRef, point: Point) -> Contour | None:
        """Store one extreme point: of the open object, else of a new one.

        A fourth click much too far away begins a new object, and does not spoil two; unless the user has
        selected the open one.
        """
        with self._controller.reporting():
            begun = self._stored(plane, self._book.open) if plane == self._plane else None
            left = None
            if begun is not None and len(begun.points) == 3 and not self._book.chosen:
                left = begun if is_stray(begun.points, point) else None
                begun = None if left is not None else begun
            points = (*(() if begun is None else begun.points), point)
            project = self._controller.opened()
            name = None if begun is None else begun.object
            contour = project.put_contour(plane, object=name, points=points)
            self._touched(contour.object)
            self._book.leave_open(contour.object if len(points) < 4 else "")
            if len(points) == 4:
                self._book.focus = contour.object  # what was clicked last is what is looked at
            self._annotated(plane, _after_click(contour), contour)
            if left is not None:
                self._tell_left(left)
            return contour
        return None

    def _tell_left(self, left: Contour) -> None:
        found = self._controller.state.board.find(left.object)
        self._controller.fail(
            f"Object {0 if found is None else found.number} has three clicks, and this one is far away: it "
            "begins another object. Select the first in the table to give it its fourth."
        )

    def new_object(self) -> None:
        """Let the next click begin another object; one that was begun stays in the table."""
        self._book.leave_open("")
        self._show(message=hint(self._controller.state.board) if self._plane else "")

    def take_back(self) -> None:
        """Take the last click back: of the open object, else of the one that was completed last."""
        with self._controller.reporting():
            plane = self._here()
            contour = self._last_clicked(plane)
            if contour is None:
                raise SegsizeError("There is no click to take back: Undo takes back anything else.")
            self._put_points(plane, contour.object, contour.points[:-1])

    def remove_points(self, name: str, which: Collection[int]) -> None:
        """Take extreme points back; the object is open again."""
        with self._controller.reporting():
            plane = self._here()
            contour = self._stored(plane, name)
            if contour is not None:
                points = [point for k, point in enumerate(contour.points) if k not in which]
                self._put_points(plane, name, points)

    def move_points(self, name: str, places: Mapping[int, Point]) -> None:
        """Move extreme points; the contour goes on from where it is."""
        with self._controller.reporting():
            plane = self._here()
            contour = self._stored(plane, name)
            if contour is None:
                return
            points = [places.get(k, point) for k, point in enumerate(contour.points)]
            present = self._present(name)
            moved = self._controller.opened().put_contour(plane, object=name, points=points)
            if len(moved.points) == 4:
                self._ask(Prompt(plane=plane, object=name, points=moved.points, start=_start(present)))
            self._annotated(plane, "Saved: the point was moved.", moved)

    # --- other ways to begin

    def start_from_stamps(self, names: Sequence[str]) -> None:
        """Ask for contours of objects with a size and a place."""
        with self._controller.reporting():
            plane, said = self._here(), self._said
            stamps = [each for each in (said.stamps if said else ()) if each.object in names and each.centre]
            if not stamps:
                raise SegsizeError(
                    "No size is selected: select squares in the layer Sizes with its Select tool first."
                )
            self._ask(*(
                Prompt(plane=plane, object=each.object, stamp=(*each.centre, each.size))
                for each in stamps if each.centre is not None
            ))  # fmt: skip

    def start_from_outlines(self, outlines: Iterable[NDArray[Any]]) -> None:
        """Ask for contours that go on from outlines: drawn, or taken from labels."""
        with self._controller.reporting():
            plane = self._here()
            starts = [_start(_fewer(each, self.config)) for each in outlines]
            self._ask(*(Prompt(plane=plane, object=uuid4().hex, start=start) for start in starts))

    # --- the contour of one object

    def select(self, name: str) -> None:
        """Mean this object from now on; one that is not complete gets the next clicks."""
        found = self._controller.state.board.find(name)
        self._book.focus = name if found is not None else ""
        if found is not None and found.status == "clicking":
            self._book.leave_open(name, chosen=True)
        self._show()

    def next_object(self) -> None:
        """Mean the next object that wants something of the user."""
        name = self._book.next_after(self._controller.state.board, self._book.focus)
        elsewhere = self._book.reviews_elsewhere(self._plane)
        if name:
            self.select(name)
        elif elsewhere:
            self._controller.show(elsewhere[0])
        else:
            self._show(message="Nothing is left to review.", error="")

    def show_step(self, name: str, step: int) -> None:
        """Show another step of the evolution; accepting takes what is shown."""
        evolution = self._evolution(name)
        if evolution is not None and evolution.go_to(step):
            self._show()

    def set_vertices(self, name: str, count: int) -> None:
        """Give the contour another number of vertices; 32 that sit well beat 128."""
        if self._controller.state.board.find(name) is None:
            return
        evolution = self._evolution(name) or self._reopen(name, self._present(name))
        if evolution is not None and evolution.set_vertices(count):
            self._show()

    def move_vertices(self, name: str, places: Mapping[int, Point], *, evolve: bool = True) -> None:
        """Move vertices; the evolution begins anew from the contour as it is then."""
        with self._controller.reporting():
            present = self._present(name).copy()
            for k, point in places.items():
                present[k] = point
            if len(present):
                self._repair(name, present, evolve=evolve)

    def remove_vertices(self, name: str, which: Collection[int]) -> None:
        """Take vertices out; the others stay where they are."""
        with self._controller.reporting():
            present = np.delete(self._present(name), list(which), axis=0)
            if len(present) < 3:
                raise SegsizeError("A contour has at least 3 vertices: reject it to be rid of it.")
            self._repair(name, present, evolve=False)

    def edit(self, name: str, rings: Sequence[Ring]) -> None:
        """Store rings that were edited by hand; without any, the object is deleted."""
        with self._controller.reporting():
            plane, found = self._here(), self._meant(name)
            project = self._controller.opened()
            self._book.drop(plane, name)
            if rings:
                contour = project.put_contour(plane, object=name, rings=rings, source="drawn")
                self._annotated(plane, f"Saved: the contour of object {found.number}.", contour)
            else:
                project.delete_contour(plane, name)
                message = f"Object {found.number} is gone; Undo brings it back."
                self._annotated(plane, message, Contour(object=name))

    def draw(self, outline: NDArray[Any]) -> None:
        """Store an outline that was drawn by hand."""
        with self._controller.reporting():
            plane = self._here()
            contour = self._controller.opened().put_contour(plane, rings=[outline], source="drawn")
            self._annotated(plane, "Saved: the drawn contour.", contour)

    def redo(self, name: str = "") -> None:
        """Ask again, from the beginning, with the settings of now."""
        with self._controller.reporting():
            found = self._meant(name)
            evolution = self._evolution(found.object)
            if len(found.points) == 4:
                prompt = Prompt(plane=self._here(), object=found.object, points=found.points)
            elif evolution is not None:
                prompt = replace(evolution.origin)
            elif len(found.present):
                prompt = Prompt(plane=self._here(), object=found.object, start=_start(found.present))
            else:
                raise SegsizeError(
                    f"Object {found.number} has {len(found.points)} of 4 clicks: add the rest."
                )
            self._ask(prompt)

    # --- the verdict

    def accept(self, name: str = "") -> bool:
        """Store the contour that is shown, and mean the next one."""
        with self._controller.reporting():
            found, plane = self._meant(name), self._here()
            if found.status == "accepted":
                self._show(message=f"Object {found.number} is accepted already.", error="")
                return True
            contour = self._store(plane, found)
            self._go_on(found)
            self._annotated(plane, f"Saved: the contour of object {found.number}.", contour)
            return True
        return False

    def accept_all(self) -> int:
        """Store every contour of this image that waits for it, as one step of undo."""
        with self._controller.reporting():
            plane = self._here()
            ready = [each for each in self._controller.state.board.objects if each.status == "review"]
            if not ready:
                raise SegsizeError("No contour waits to be accepted on this image.")
            with self._controller.opened().step(f"Accepted {len(ready)} contours"):
                stored = [self._store(plane, each) for each in ready]
            self._annotated(plane, f"Saved: {_contours(len(ready))}.", *stored)
            return len(ready)
        return 0

    def reject(self, name: str = "") -> bool:
        """Throw an object away, clicks and all; a repair of an accepted one brings back what is stored."""
        with self._controller.reporting():
            found, plane = self._meant(name), self._here()
            self._queue.forget((plane, found.object))
            self._book.drop(plane, found.object)
            self._go_on(found)
            if found.rings and found.status != "accepted":
                self._show(message=f"Object {found.number} is as it was accepted.", error="")
            elif self._controller.opened().delete_contour(plane, found.object):
                gone = Contour(object=found.object)
                self._annotated(plane, f"Object {found.number} is gone; Undo brings it back.", gone)
            else:
                self._show(message=f"Object {found.number} is gone.", error="")
            return True
        return False

    # --- settings

    def set_config(self, config: EvolveConfig) -> None:
        """Evolve the next contours so; those that are there stay."""
        if config != self.config:
            self.config = config
            self._show()

    def set_auto_accept(self, on: bool) -> None:
        """Store contours when they arrive, unless the engine has something to say about them."""
        self.auto_accept = on
        self._show()

    # --- in and out

    def export(self, file: Path | str) -> bool:
        """Write accepted contours: those of the image on screen, or of all where a file can hold several."""
        from napari_segsize.project.contour_files import FORMATS, export_contours

        with self._controller.reporting():
            kind, project = FORMATS.get(Path(file).suffix.lower()), self._controller.opened()
            images = None if kind is not None and kind.several else (self._here().image,)
            written = export_contours(project, file, images=images)
            text = f"Wrote {_contours(written.contours)} to {Path(file).name}."
            self._show(message=" ".join((text, *written.notices)), error="")
            return True
        return False

    def import_from(self, file: Path | str) -> bool:
        """Read contours: onto the image on screen, or onto those that the file names."""
        from napari_segsize.project.contour_files import FORMATS, import_contours

        with self._controller.reporting():
            kind, project = FORMATS.get(Path(file).suffix.lower()), self._controller.opened()
            several = kind is not None and kind.several and len(project.images()) > 1
            read = import_contours(project, file, image=None if several else self._here().image)
            text = f"Read {_contours(read.contours)} from {Path(file).name}."
            self._controller.reload(message=" ".join((text, *read.notices)))
            return True
        return False

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
        self._show()
        accepted = self.auto_accept and not (evolution.waiting or evolution.failed or evolution.note)
        if accepted and prompt.plane == self._plane and not prompt.start:
            self.accept(prompt.object)

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

    def _on_unfinished(self, folder: Path, found: contour_runs.Unfinished) -> None:
        if self._controller.state.folder != folder:
            return
        new = [each for each in found.prompts if self._book.find(each.plane, each.object) is None]
        self._queue.ask(folder, [self._book.begin(prompt) for prompt in new], self.config)
        self._show()

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

    def _touched(self, name: str) -> None:
        self._clicked = [*(each for each in self._clicked if each != name), name]

    def _last_clicked(self, plane: PlaneRef) -> Contour | None:
        for name in dict.fromkeys([self._book.open, *reversed(self._clicked)]):
            contour = self._stored(plane, name)
            if contour is not None and contour.points and not contour.accepted:
                return contour
        return None

    def _put_points(self, plane: PlaneRef, name: str, points: Sequence[Point]) -> None:
        contour = self._controller.opened().put_contour(plane, object=name, points=points)
        self._book.leave_open(name)
        self._annotated(plane, "Saved: the click was taken back.", contour)

    def _ask(self, *prompts: Prompt) -> None:
        folder = self._controller.opened().folder
        self._queue.ask(folder, [self._book.begin(prompt) for prompt in prompts], self.config)
        if len(prompts) == 1:
            self._book.focus = prompts[0].object
        self._show(message=f"{_contours(len(prompts)).capitalize()} on the way.", error="")

    def _repair(self, name: str, present: NDArray[np.float64], *, evolve: bool) -> None:
        if evolve:
            contour = self._stored(self._here(), name)
            points = contour.points if contour is not None and len(contour.points) == 4 else ()
            self._ask(Prompt(plane=self._here(), object=name, points=points, start=_start(present)))
        else:
            self._reopen(name, present)
            self._show(message="The contour was changed by hand: accept it to keep it.", error="")

    def _reopen(self, name: str, present: NDArray[np.float64]) -> Evolution | None:
        """Begin to change a contour by hand: it is its own and only step."""
        if len(present) < 3:
            return None
        before = self._evolution(name)
        contour = self._stored(self._here(), name)
        points = contour.points if contour is not None and len(contour.points) == 4 else ()
        prompt = Prompt(plane=self._here(), object=name, points=points, start=_start(present))
        origin = prompt if before is None else before.origin
        source = self._controller.state.board.find(name)
        evolution = Evolution(
            prompt, origin, waiting=False, steps=np.asarray(present, np.float32)[None],
            source="" if source is None else source.source,
        )  # fmt: skip
        self._queue.forget((self._here(), name))
        self._book.put(name, evolution)
        return evolution

    def _store(self, plane: PlaneRef, found: Outline) -> Contour:
        if len(found.present) < 3:
            raise SegsizeError(f"Object {found.number} has no contour yet: it is {found.status}.")
        rings = (found.present, *found.rings[1:])
        contour = self._controller.opened().put_contour(
            plane, object=found.object, rings=rings, source=found.source or "drawn"
        )
        evolution = self._book.find(plane, found.object)
        if evolution is not None:
            evolution.settle()
        self._queue.forget((plane, found.object))
        return contour

    def _go_on(self, found: Outline) -> None:
        """Mean the next one, when the one that is done with was meant."""
        if self._book.focus == found.object:
            self._book.focus = self._book.next_after(self._controller.state.board, found.object)


def _after_click(contour: Contour) -> str:
    count = len(contour.points)
    return f"Saved: click {count} of 4." if count < 4 else "Saved: four points; the contour is on its way."


def _contours(count: int) -> str:
    return f"{count} contour{'' if count == 1 else 's'}"


def _start(vertices: NDArray[Any]) -> tuple[Point, ...]:
    return tuple((float(y), float(x)) for y, x in vertices)


def _fewer(outline: NDArray[Any], config: EvolveConfig) -> NDArray[np.float64]:
    vertices = np.asarray(outline, float)
    return vertices if len(vertices) <= config.vertices else with_vertices(vertices, config.vertices)


def _ignore(_error: BaseException | None) -> None:
    """A look that failed changes nothing: objects are asked for when their image is shown."""
