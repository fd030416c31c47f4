"""The verbs of the page Contours: clicks are stored, contours come back by themselves. No Qt here.

As in the controller, a verb never raises `SegsizeError`: the sentence goes to ``state.error``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.engine.prompt import Prompt
from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import Contour
from napari_segsize.widgets.contour_book import Evolution
from napari_segsize.widgets.contour_flow import how_many, start_of
from napari_segsize.widgets.contour_starts import ContourStarts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.engine.contour_config import EvolveConfig
    from napari_segsize.project.annotation import PlaneRef, Point, Ring
    from napari_segsize.widgets.contour_state import Outline

__all__ = ["ContourDesk"]


class ContourDesk(ContourStarts):
    """What can be done with contours; part of a `Controller`, which tells it of every new state."""

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
                prompt = Prompt(plane=self._here(), object=found.object, start=start_of(found.present))
            else:
                raise SegsizeError(_without(found))
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
            self._annotated(plane, f"Saved: {how_many(len(ready))}.", *stored)
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
            text = f"Wrote {how_many(written.contours)} to {Path(file).name}."
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
            text = f"Read {how_many(read.contours)} from {Path(file).name}."
            self._controller.reload(message=" ".join((text, *read.notices)))
            return True
        return False

    # --- inside

    def _answered(self, prompt: Prompt, evolution: Evolution) -> None:
        accepted = self.auto_accept and not (evolution.waiting or evolution.failed or evolution.note)
        if accepted and prompt.plane == self._plane and not prompt.start:
            self.accept(prompt.object)

    def _repair(self, name: str, present: NDArray[np.float64], *, evolve: bool) -> None:
        if evolve:
            contour = self._stored(self._here(), name)
            points = contour.points if contour is not None and len(contour.points) == 4 else ()
            self._ask(Prompt(plane=self._here(), object=name, points=points, start=start_of(present)))
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
        prompt = Prompt(plane=self._here(), object=name, points=points, start=start_of(present))
        origin = prompt if before is None else before.origin
        source = self._controller.state.board.find(name)
        others = () if source is None else _others(source)
        evolution = Evolution(
            prompt, origin, waiting=False, steps=np.asarray(present, np.float32)[None],
            source="" if source is None else source.source,
            rings=(present, *others) if others else (),
        )  # fmt: skip
        self._queue.forget((self._here(), name))
        self._book.put(name, evolution)
        return evolution

    def _store(self, plane: PlaneRef, found: Outline) -> Contour:
        if len(found.present) < 3:
            raise SegsizeError(_without(found))
        rings = (found.present, *_others(found))
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


def _without(found: Outline) -> str:
    """Say why there is no contour, and what can be done."""
    if found.status == "clicking":
        nth = ("first", "second", "third", "fourth")[min(len(found.points), 3)]
        return f"Object {found.number} has {len(found.points)} of 4 clicks: click the {nth}, or reject it."
    if found.status == "failed":
        return f"Object {found.number} has no contour: move a point, press Again, or reject it."
    return f"The contour of object {found.number} is still on its way."


def _others(found: Outline) -> Sequence[Any]:
    """Holes and other parts of what is shown; those that are stored, where the engine knows of none."""
    if found.more or (found.source == "levelset" and found.status != "accepted"):
        return found.more
    return found.rings[1:]
