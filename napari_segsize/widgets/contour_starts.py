"""Ways to begin contours: four clicks an object, a size with a place, an outline that is there already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from napari_segsize.engine.prompt import Prompt
from napari_segsize.errors import SegsizeError
from napari_segsize.widgets.contour_flow import KEPT, ContourFlow, how_many, start_of
from napari_segsize.widgets.contour_shape import is_stray, with_vertices
from napari_segsize.widgets.contour_state import hint, sizes_to_outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.engine.contour_config import EvolveConfig
    from napari_segsize.project.annotation import Contour, PlaneRef, Point

__all__ = ["ContourStarts"]


class ContourStarts(ContourFlow):
    """The verbs with which objects begin. Every click is on disk when the verb returns."""

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
                self._ask(Prompt(plane=plane, object=name, points=moved.points, start=start_of(present)))
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

    def start_from_all_stamps(self) -> None:
        """Ask for a contour of every size on this image that has none: also of those asked for before."""
        with self._controller.reporting():
            self._here()
            names = sizes_to_outline(self._board(), self._said)
            if not names:
                raise SegsizeError("Every size with a place on this image has a contour, or is on its way.")
            self.start_from_stamps(names)

    def start_from_outlines(self, outlines: Iterable[NDArray[Any]]) -> None:
        """Ask for contours that go on from outlines: drawn, or taken from labels.

        The outlines stay the user's: the project knows of these objects once their contours are accepted.
        """
        with self._controller.reporting():
            plane = self._here()
            starts = [start_of(_fewer(each, self.config)) for each in outlines]
            self._ask(*(Prompt(plane=plane, object=uuid4().hex, start=start) for start in starts))
            self._show(message=f"{how_many(len(starts)).capitalize()} on the way: {KEPT}")

    # --- inside

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


def _after_click(contour: Contour) -> str:
    count = len(contour.points)
    return f"Saved: click {count} of 4." if count < 4 else "Saved: four points; the contour is on its way."


def _fewer(outline: NDArray[Any], config: EvolveConfig) -> NDArray[np.float64]:
    vertices = np.asarray(outline, float)
    return vertices if len(vertices) <= config.vertices else with_vertices(vertices, config.vertices)
