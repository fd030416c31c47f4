"""What is known of the objects beside the project: contours not yet accepted, and which object is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.prompt import Prompt
from napari_segsize.project.annotation import Contour, PlaneAnnotation, PlaneRef
from napari_segsize.widgets.contour_shape import with_vertices
from napari_segsize.widgets.contour_state import Board, Field, LevelSet, Outline, Status

if TYPE_CHECKING:
    from napari_segsize.engine.events import ContourDone, ContourStep
    from napari_segsize.widgets.contour_queue import Key

__all__ = ["Book", "Evolution"]

_ORDER: tuple[Status, ...] = ("review", "failed", "clicking")


class Evolution:
    """One object's way from its prompt to the contour that is accepted.

    Attributes
    ----------
    origin : Prompt
        What Redo begins from: the clicks, and not a later repair.
    settled : bool
        Nothing has been done to it since it was accepted: what is stored counts.
    version : int
        Grows when there is something new to see.
    """

    def __init__(
        self,
        prompt: Prompt,
        origin: Prompt,
        *,
        waiting: bool = True,
        steps: NDArray[np.float32] | None = None,
        source: str = "",
        rings: Sequence[NDArray[Any]] = (),
    ) -> None:
        self.prompt, self.origin = prompt, origin
        self.waiting, self.failed, self.settled = waiting, False, False
        self.steps = np.zeros((0, 0, 2), np.float32) if steps is None else steps
        self.step, self._count = 0, 0  # 0: as many vertices as the engine made
        self.source, self.note = source, ""
        self.displacement: Field | None = None
        self.levelset: LevelSet | None = None
        self._rings = tuple(np.array(ring, float) for ring in rings)  # of the last step, exact
        self.version = 0

    @property
    def status(self) -> Status:
        """What is to be done about it."""
        return "failed" if self.failed else "queued" if self.waiting else "review"

    @property
    def present(self) -> NDArray[np.float64]:
        """The contour as it is shown."""
        if not len(self.steps):
            return np.zeros((0, 2))
        if self._rings and self.at_end and not self._count:
            return self._rings[0]
        contour = np.array(self.steps[self.step], float)
        return with_vertices(contour, self._count) if self._count else contour

    @property
    def at_end(self) -> bool:
        """Whether the last step is shown."""
        return self.step >= len(self.steps) - 1

    @property
    def more(self) -> tuple[NDArray[np.float64], ...]:
        """Holes and other parts of what is shown."""
        return self._rings[1:] if self.at_end else ()

    def go_to(self, step: int) -> bool:
        """Show another step; return whether that changes anything."""
        step = min(max(step, 0), len(self.steps) - 1)
        if step < 0 or step == self.step:
            return False
        self.step, self.settled = step, False
        self.version += 1
        return True

    def set_vertices(self, count: int) -> bool:
        """Show another number of vertices; return whether that changes anything."""
        count = max(count, 3)
        if count == len(self.present):
            return False
        self._count, self.settled = count, False
        self.version += 1
        return True

    def settle(self) -> None:
        """It was accepted as it is."""
        self.settled, self.waiting, self.failed = True, False, False
        self.displacement = self.levelset = None  # the largest part of it
        self.version += 1

    def follow(self, event: ContourStep) -> None:
        """Show how far the engine is."""
        self.steps, self.step = np.asarray(event.vertices, np.float32)[None], 0
        self.version += 1

    def fail(self, reason: str) -> None:
        """Say why there is no contour."""
        self.waiting, self.failed, self.note = False, True, reason
        self.version += 1

    def finish(self, event: ContourDone) -> None:
        """Take over what the engine has found."""
        contours = np.asarray(event.contours, np.float32)
        if contours.ndim != 3 or contours.shape[1] < 3 or not np.isfinite(contours).all():
            self.fail(event.notice or "The contour collapsed: move a point, or press Again.")
            return
        self.waiting, self.note, self.source = False, event.notice, event.engine
        self.steps, self.step = contours, len(contours) - 1
        self._rings = tuple(np.array(ring, float) for ring in event.rings)
        if event.field is not None and event.centre is not None:
            self.displacement = Field(values=event.field, centre=event.centre, scale=event.scale)
        if event.phi is not None and event.modulation is not None and event.centre is not None:
            self.levelset = LevelSet(
                phi=event.phi, modulation=event.modulation, centre=event.centre, scale=event.scale
            )
        self.version += 1


class Book:
    """Evolutions of all planes of the open project, and the selection on the plane on screen."""

    def __init__(self) -> None:
        self.focus = ""
        self.open = ""
        self.chosen = False  # whether the user has selected the open object
        self._evolutions: dict[PlaneRef, dict[str, Evolution]] = {}
        self._numbers: dict[PlaneRef, dict[str, int]] = {}
        self._stored: dict[str, Contour] = {}  # of the plane on screen
        self._drawn: dict[str, tuple[Contour | None, Evolution | None, int, Outline]] = {}
        self._mine: set[str] = set()  # objects clicked here
        self._begun: frozenset[str] = frozenset()

    def turn_page(self) -> None:
        """Another plane is on screen: nothing of it is meant yet."""
        self.focus = self.open = ""
        self.chosen = False
        self._stored, self._drawn = {}, {}
        self._mine, self._begun = set(), frozenset()

    def find(self, plane: PlaneRef, name: str) -> Evolution | None:
        """Return the evolution of an object."""
        return self._evolutions.get(plane, {}).get(name)

    def put(self, name: str, evolution: Evolution) -> None:
        """Keep an evolution instead of the one before."""
        self._evolutions.setdefault(evolution.prompt.plane, {})[name] = evolution

    def drop(self, plane: PlaneRef, name: str) -> None:
        """Forget an evolution."""
        self._evolutions.get(plane, {}).pop(name, None)

    def leave_open(self, name: str, *, chosen: bool = False) -> None:
        """Let the next click belong to this object; "" for a new one. `chosen`: the user has said so."""
        self.chosen = chosen or (self.chosen and name == self.open != "")
        self.open = name
        self._mine.add(name)

    # --- what the project says

    def reconcile(self, said: PlaneAnnotation) -> tuple[list[Prompt], list[Key]]:
        """Follow the project, whoever has changed it.

        Returns
        -------
        prompts : list of Prompt
            To ask for: objects with four points and no contour yet.
        gone : list of Key
            To forget: their points are other ones now, or they are no longer there.
        """
        plane, before = said.plane, self._stored
        stored = self._stored = {contour.object: contour for contour in said.contours}
        gone = self._lost(said)
        for name in gone:
            self.drop(plane, name)
        prompts = []
        for contour in said.contours:
            new = before.get(contour.object) is not contour or contour.object in gone
            wanted = len(contour.points) == 4 and not contour.accepted
            if new and wanted and self.find(plane, contour.object) is None:
                prompts.append(self.begin(Prompt(plane=plane, object=contour.object, points=contour.points)))
        self._follow_open(stored)
        return prompts, [(plane, name) for name in gone]

    def begin(self, prompt: Prompt) -> Prompt:
        """Wait for the contour of a prompt; a repair is drawn meanwhile."""
        before = self.find(prompt.plane, prompt.object)
        origin = before.origin if before is not None and prompt.start else prompt
        if prompt.points != origin.points and prompt.points:
            origin = replace(prompt, start=())
        now = Evolution(prompt, origin)
        if prompt.start:
            now.steps = np.array(prompt.start, np.float32)[None]
            now.source = before.source if before is not None else ""
        self.put(prompt.object, now)
        return prompt

    def _lost(self, said: PlaneAnnotation) -> list[str]:
        """Objects whose evolution no longer answers what the project says."""
        stamps = {stamp.object for stamp in said.stamps}
        lost = []
        for name, evolution in self._evolutions.get(said.plane, {}).items():
            prompt, contour = evolution.prompt, self._stored.get(name)
            if prompt.points:
                same = contour is not None and set(contour.points) == set(prompt.points)
                if not same:
                    lost.append(name)
            elif prompt.stamp is not None and name not in stamps:
                lost.append(name)
        return lost

    def _follow_open(self, stored: dict[str, Contour]) -> None:
        """The open object may be complete or gone; one that an undo or a redo brings back is open again."""
        begun = frozenset(name for name, contour in stored.items() if _is_begun(contour))
        back = (begun - self._begun) & self._mine
        self._begun = begun
        if self.open not in begun:
            self.open = next(iter(back)) if len(back) == 1 else ""

    # --- what there is to see

    def board(
        self, plane: PlaneRef | None, *, waiting: int, config: EvolveConfig, auto_accept: bool
    ) -> Board:
        """Put together what the page draws."""
        board = Board(plane=plane, waiting=waiting, config=config, auto_accept=auto_accept)
        if plane is None:
            return board
        names = dict.fromkeys([*self._stored, *self._evolutions.get(plane, ())])
        objects = sorted((self._outline(plane, name) for name in names), key=lambda each: each.number)
        self._drawn = {name: drawn for name, drawn in self._drawn.items() if name in names}
        if self.focus not in names:
            self.focus = next((each.object for each in objects if each.status == "review"), "")
        elsewhere = len(self.reviews_elsewhere(plane))
        return replace(board, objects=tuple(objects), focus=self.focus, open=self.open, elsewhere=elsewhere)

    def reviews_elsewhere(self, plane: PlaneRef | None) -> tuple[PlaneRef, ...]:
        """Return the planes, other than this one, on which a contour waits to be accepted."""
        return tuple(
            other
            for other, found in self._evolutions.items()
            if other != plane and any(not (each.waiting or each.settled) for each in found.values())
        )

    def next_after(self, board: Board, name: str) -> str:
        """Return the next object that wants something of the user, after this one; "" if there is none."""
        found = board.find(name)
        number = 0 if found is None else found.number
        others = [each for each in board.objects if each.object != name]
        for status in _ORDER:
            wanted = [each for each in others if each.status == status]
            if wanted:
                return min(wanted, key=lambda each: (each.number < number, each.number)).object
        return ""

    def _outline(self, plane: PlaneRef, name: str) -> Outline:
        """Return what is drawn of an object: as before, if nothing about it has changed."""
        contour, evolution = self._stored.get(name), self.find(plane, name)
        version = 0 if evolution is None else evolution.version
        drawn = self._drawn.get(name)
        if drawn is not None and drawn[0] is contour and drawn[1] is evolution and drawn[2] == version:
            return drawn[3]
        made = _outline(contour or Contour(object=name), evolution, self._number(plane, name))
        self._drawn[name] = (contour, evolution, version, made)
        return made

    def _number(self, plane: PlaneRef, name: str) -> int:
        numbers = self._numbers.setdefault(plane, {})
        return numbers.setdefault(name, len(numbers) + 1)


def _outline(contour: Contour, evolution: Evolution | None, number: int) -> Outline:
    stored = np.array(contour.vertices, float).reshape(-1, 2)
    plain = Outline(
        object=contour.object, number=number, status="accepted" if contour.accepted else "clicking",
        points=contour.points, rings=contour.rings, present=stored, source=contour.source,
    )  # fmt: skip
    if evolution is None:
        return plain
    gone_through = replace(plain, steps=evolution.steps, step=evolution.step, note=evolution.note)
    if contour.accepted and evolution.settled:
        return gone_through
    return replace(
        gone_through, status=evolution.status, present=evolution.present, more=evolution.more,
        source=evolution.source, displacement=evolution.displacement, levelset=evolution.levelset,
    )  # fmt: skip


def _is_begun(contour: Contour) -> bool:
    return not contour.accepted and len(contour.points) < 4
