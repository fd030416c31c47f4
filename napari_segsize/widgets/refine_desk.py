"""Refining the outlines of a plane: aligned in the background, accepted one by one. No Qt here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.errors import SegsizeError
from napari_segsize.widgets import refine_runs
from napari_segsize.widgets.desk import Launch, RunningJob

if TYPE_CHECKING:
    from napari_segsize.engine.alignment import Alignment
    from napari_segsize.engine.edge_config import AlignConfig
    from napari_segsize.engine.refine import Rough
    from napari_segsize.project.annotation import PlaneRef
    from napari_segsize.project.project import Project
    from napari_segsize.widgets.controller import Controller

__all__ = ["FOCUSED", "OPEN", "RefineDesk"]

OPEN, FOCUSED = 1, 2
"""Labels of the picture: outlines that wait for a word, and the one that is meant."""


class _Pending:
    """Stands for a job while it is being launched."""

    def stop(self) -> None:
        """There is nothing to stop yet."""


_PENDING = _Pending()
_CHANGED = "The outlines have changed since they were aligned: press Align again."


class RefineDesk:
    """What waits to be accepted or rejected, and which step of it is shown.

    Attributes
    ----------
    changed : Signal
        Something that is shown is different.
    rough : Rough or None
        The outlines of the plane, as they are in the project.
    waiting : dict of int to Alignment
        Aligned objects about which nothing was said yet.
    total, done : int
        Objects of the plane, and those that are aligned.
    focus : int
        The object that is meant; 0 without one.
    step : int
        What is shown of every object; past its last step, the last.
    edges : (H, W) float32 array or None
        Thin edges of the plane.
    """

    changed = Signal()

    def __init__(self, launch: Launch, controller: Controller) -> None:
        self._launch, self._controller = launch, controller
        self._aligning: RunningJob | None = None
        self._looking: RunningJob | None = None
        self._turn = 0  # only the newest job is listened to
        self.plane: PlaneRef | None = None
        self.rough: Rough | None = None
        self.waiting: dict[int, Alignment] = {}
        self.total = self.done = self.focus = 0
        self.step = -1
        self.edges: NDArray[np.float32] | None = None

    @property
    def is_aligning(self) -> bool:
        """Whether objects are still being aligned."""
        return self._aligning is not None

    @property
    def is_looking(self) -> bool:
        """Whether the edges of the plane are being found."""
        return self._looking is not None

    @property
    def steps(self) -> int:
        """Last step of the object that is meant, or of all."""
        meant = [self.waiting[self.focus]] if self.focus in self.waiting else list(self.waiting.values())
        return max((len(each.masks) - 1 for each in meant), default=0)

    def clear(self, *, tell: bool = True) -> None:
        """Forget everything: another plane is shown."""
        self.stop()
        self._turn += 1
        self._aligning = self._looking = None
        self.plane = self.rough = self.edges = None
        self.waiting = {}
        self.total = self.done = self.focus = 0
        self.step = -1
        if tell:
            self.changed.emit()

    def follow(self, plane: PlaneRef | None) -> None:
        """Forget what belongs to another plane than this one."""
        if self.plane is not None and plane != self.plane:
            self.clear()

    def align(self, config: AlignConfig, *, to_edges: bool) -> None:
        """Align every outline of the plane on screen; nothing changes in the project."""
        with self._controller.reporting():
            folder, plane = self._where()
            edges = self.edges if self.plane == plane else None
            self.clear(tell=False)
            self.plane, self.edges = plane, edges
            events = refine_runs.aligning(folder, plane, config, to_edges=to_edges)
            turn = self._turn
            aligned, ended = partial(self._on_aligned, turn), partial(self._on_end, turn)
            self._aligning = _PENDING
            job = self._launch(events, aligned, ended)
            if self._aligning is _PENDING:  # it has not ended meanwhile
                self._aligning = job
            self.changed.emit()

    def stop(self) -> None:
        """End after the object that is being aligned; those that are done stay."""
        for job in (self._aligning, self._looking):
            if job is not None:
                job.stop()

    def show_edges(self) -> None:
        """Find the thin edges of the plane on screen."""
        with self._controller.reporting():
            folder, plane = self._where()
            self.follow(plane)
            self.plane = plane
            turn = self._turn
            found, ended = partial(self._on_edges, turn), partial(self._on_looked, turn)
            self._looking = _PENDING
            job = self._launch(refine_runs.finding_edges(folder, plane), found, ended)
            if self._looking is _PENDING:
                self._looking = job

    def hide_edges(self) -> None:
        """Take the edges away."""
        self.edges = None
        self.changed.emit()

    def show_step(self, step: int) -> None:
        """Show another step."""
        if step != self.step:
            self.step = step
            self.changed.emit()

    def next_object(self) -> None:
        """Mean the next object that waits."""
        self.step = -1  # of each object, the last step is seen first
        later = [number for number in self.waiting if number > self.focus]
        self.focus = next(iter([*later, *self.waiting]), 0)
        self.changed.emit()

    def mean(self, number: int) -> None:
        """Mean this object, if it waits."""
        if number in self.waiting:
            self.focus, self.step = number, -1
            self.changed.emit()

    def accept(self) -> None:
        """Put the object that is meant, as its shown step is, in the project."""
        if self.focus in self.waiting:
            self._accept([self.focus])

    def accept_all(self) -> None:
        """Put all objects that wait in the project, each at its last step; not those that want a look."""
        self.step = -1
        self._accept([number for number, each in self.waiting.items() if each.sound])

    def reject(self) -> None:
        """Leave the object that is meant as it was."""
        if self.waiting.pop(self.focus, None) is not None:
            self._controller.update(error="", message="The outline stays as it was.")
            self._go_on()

    def picture(self) -> NDArray[np.uint8] | None:
        """The shown step of what waits, (H, W): see `OPEN`; None when nothing waits."""
        if self.rough is None or not self.waiting:
            return None
        shape = (int(self.rough.labels.shape[0]), int(self.rough.labels.shape[1]))
        drawn = np.zeros(shape, np.uint8)
        for number, each in self.waiting.items():
            if number != self.focus:
                drawn[each.mask(shape, self._shown(each))] = OPEN
        if self.focus in self.waiting:
            each = self.waiting[self.focus]
            drawn[each.mask(shape, self._shown(each))] = FOCUSED
        return drawn

    def _accept(self, numbers: list[int]) -> None:
        from napari_segsize.engine.refine import accept

        with self._controller.reporting():
            project, rough = self._fresh()
            if not numbers:
                raise SegsizeError("What is left wants a look: accept or reject it one by one.")
            shown = [self._cut(self.waiting[number]) for number in numbers]
            with project.step("Refined outlines"):  # one step of undo, however many
                self.rough = replace(rough, labels=accept(project, rough, shown))
            for number in numbers:
                del self.waiting[number]
            count = len(numbers)
            self._controller.reload(message=f"{count} outline{'s are' if count > 1 else ' is'} refined.")
            self._go_on()

    def _fresh(self) -> tuple[Project, Rough]:
        """The project, and the outlines if they are still what was aligned."""
        from napari_segsize.engine.refine import rough_objects

        project = self._controller.opened()
        if self.rough is None:
            raise SegsizeError("Nothing is aligned yet: press Align first.")
        now = rough_objects(project.annotation(self.rough.plane), project.image(self.rough.plane.image).shape)
        if not np.array_equal(now.labels, self.rough.labels):
            raise SegsizeError(_CHANGED)
        return project, self.rough

    def _go_on(self) -> None:
        if self.focus not in self.waiting:
            self.next_object()
        else:
            self.changed.emit()

    def _shown(self, each: Alignment) -> int:
        last = len(each.masks) - 1
        return last if self.step < 0 else min(self.step, last)

    def _cut(self, each: Alignment) -> Alignment:
        """An alignment that ends with the step that is shown."""
        return replace(each, masks=each.masks[: self._shown(each) + 1])

    def _where(self) -> tuple[Any, PlaneRef]:
        folder = self._controller.opened().folder
        plane = self._controller.state.plane
        if plane is None:
            raise SegsizeError("No image is shown: add images on the Project page first.")
        return folder, plane

    def _on_aligned(self, turn: int, found: Rough | Alignment) -> None:
        from napari_segsize.engine.refine import Rough

        if turn != self._turn:
            return
        if isinstance(found, Rough):
            self.rough = found
            self.total = len(found.objects) + len(found.painted)
        else:
            self.done += 1
            if found.moved:
                self.waiting[found.number] = found
                self.focus = self.focus or found.number
        self.changed.emit()

    def _on_end(self, turn: int, error: BaseException | None) -> None:
        from napari_segsize.engine.refine import tendency

        if turn != self._turn:
            return
        self._aligning = None
        if error is not None:
            self._controller.fail(str(error))
        elif self.rough is not None:
            still = self.done - len(self.waiting)
            self._controller.update(
                error="",
                message=f"{len(self.waiting)} of {self.done} outlines moved; accept or reject each."
                + (f" {still} {'stay' if still > 1 else 'stays'} as drawn." if still else "")
                + f" {tendency(self.waiting.values())}".rstrip(),
            )
        self.changed.emit()

    def _on_edges(self, turn: int, edges: NDArray[np.float32]) -> None:
        if turn == self._turn:
            self.edges = edges
            self.changed.emit()

    def _on_looked(self, turn: int, error: BaseException | None) -> None:
        if turn == self._turn:
            self._looking = None
            if error is not None:
                self._controller.fail(str(error))
            self.changed.emit()
