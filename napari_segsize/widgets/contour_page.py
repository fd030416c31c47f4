"""The page Contours: four clicks an object, contours that come by themselves, accepted or mended."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import Point
from napari_segsize.widgets import contour_labels, contour_runs, contour_shapes
from napari_segsize.widgets.contour_controls import ContourControls
from napari_segsize.widgets.contour_drawing import Wanted
from napari_segsize.widgets.contour_points import Handle
from napari_segsize.widgets.contour_state import Board, Outline, hint
from napari_segsize.widgets.contour_words import headline, stopped_finetuning, teaches_levelset, verdict
from napari_segsize.widgets.job import launch_quietly
from napari_segsize.widgets.save_dialog import file_to_write

if TYPE_CHECKING:
    from napari_segsize.project.annotation import PlaneAnnotation, PlaneRef, Ring
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.layers import SegsizeLayers
    from napari_segsize.widgets.state import State

__all__ = ["ContourPage"]

FRAME_MS = 100  # at most ten pictures a second
_FRAMES = 6  # of an evolution that has just arrived
_MOST_PLAYED = 200  # arrivals at a time; of more, only the result is shown

_TYPES = {
    "GeoJSON for QuPath": ".geojson", "COCO": ".json", "ImageJ ROIs": ".zip", "Label image, int32": ".tif",
    "Table": ".csv",
}  # fmt: skip
_READ = "Contours (*.geojson *.json *.zip *.roi *.tif *.tiff *.png *.csv);;All files (*)"


class ContourPage(ContourControls):
    """Objects of the plane on screen."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._layers = controller, layers
        self._verb = controller.contours
        self._board = Board()
        self._arrived: dict[str, tuple[Any, float]] = {}  # steps of an evolution, and when they came
        self._known: dict[str, Any] = {}
        self._passing: dict[str, int] = {}  # what the user plays
        self._ready = False
        self._exchange: Path | None = None  # where files were last read from or written to
        self._type = ""  # of the last file that was written
        self._frames = QTimer(self)
        self._frames.setInterval(FRAME_MS)
        self._frames.timeout.connect(self._on_frame)
        self._connect()
        self._on_settings()

    def render(self, state: State) -> None:  # type: ignore[override]  # the pages' word for drawing a state
        """Draw a state."""
        self.render_state(state)
        if state.board is not self._board:
            self._notice_arrivals(state.board)
            self._board = state.board
            self.table.show_board(state.board)
            self._render_focused(state)
        self._render_hint()
        self.headline.setText(headline(state))
        self.verdict.setText(verdict(state))

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        """Get ready for the first click, and in the background for the first contour that is accepted."""
        super().showEvent(event)
        contours = self._layers.contours
        contours.expect(use=True)
        if not self._ready:
            self._ready = True
            works: tuple[tuple[Generator[Any, None, None], Callable[[object], None]], ...] = (
                (contour_labels.first_labels(), lambda _: contours.making.may(contour_labels.ROLE)),
                (contour_runs.getting_ready(), _ignore),
                (contour_shapes.first_polygon(), lambda _: contours.making.may(contour_shapes.ROLE)),
            )
            for work, then in works:
                launch_quietly(work, _ignore, then)

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802  Qt's name
        """Play no longer; what is there stays on the image."""
        super().hideEvent(event)
        self.scrubber.stop()
        self._arrived, self._passing = {}, {}
        self._on_frame()
        self._layers.contours.expect(use=False)

    # --- building -----------------------------------------------------------------------------------------

    def _connect(self) -> None:
        verb, layers = self._verb, self._layers
        slots: dict[str, Callable[[], object]] = {
            "points": self._on_points, "repair": partial(self._on_tool, "repair"),
            "accept": verb.accept, "reject": verb.reject, "again": verb.redo,
            "next_object": verb.next_object, "accept_all": verb.accept_all, "take_back": self._on_take_back,
            "snap": self.snap.toggle, "next": partial(self._on_go, "next"),
            "previous": partial(self._on_go, "previous"), "undo": partial(self._on_go, "undo"),
            "redo": partial(self._on_go, "redo"), "export": self._on_export, "import": self._on_import,
            "finetune": self._on_finetune, "stamps": self._on_stamps, "shapes": self._on_shapes,
            "label": self._on_label, "all_stamps": verb.start_from_all_stamps,
        }  # fmt: skip
        self._slots = {name: partial(self._do, slot) for name, slot in slots.items()}
        layers.contours.keys.use(self._slots)
        self.pressed.connect(self._on_verb)
        self.table.chosen.connect(verb.select)
        self.vertices_chosen.connect(self._on_vertices)
        self.scrubber.stepped.connect(self._on_stepped)
        self.scrubber.played.connect(self._on_played)
        self.curves.unfolded.connect(self._on_unfolded)
        self.auto.toggled.connect(verb.set_auto_accept)
        self.settings.changed.connect(self._on_settings)
        self.snap.toggled.connect(self._on_snap)
        for check in self.overlays.values():
            check.toggled.connect(self._on_frame)
        layers.contours.clicked.connect(self._on_clicked)
        layers.contours.moved.connect(self._on_moved)
        layers.contours.removed.connect(self._on_points_removed)
        layers.contours.edited.connect(self._on_edited)
        layers.contours.drawn.connect(self._on_drawn)
        layers.contours.picked.connect(self._on_picked)
        layers.contours.points.told.connect(self._tell)
        layers.tool_changed.connect(self._on_tool_changed)
        layers.removed.connect(self._on_removed)
        layers.contours.snapping = self.snap.isChecked()

    # --- drawing ------------------------------------------------------------------------------------------

    def _render_focused(self, state: State) -> None:
        meant = state.board.focused
        self.scrubber.show_outline(meant)
        self.show_vertices(meant)
        self.note.setText("" if meant is None else meant.note)
        self.note.setVisible(meant is not None and bool(meant.note))
        self._draw_curves(meant, state.annotation)

    def _render_hint(self) -> None:
        state = self._controller.state
        self.hint.setText("" if state.plane is None else hint(state.board, self._layers.tool))

    def _draw_curves(self, meant: Outline | None, said: PlaneAnnotation | None) -> None:
        if self.curves.isVisible():
            step = self.scrubber.slider.value()
            self.curves.show_outline(meant, None if said is None else said.mask, step)

    def _notice_arrivals(self, board: Board) -> None:
        """Play evolutions that have just come, once, if the page is being looked at."""
        now = time.monotonic()
        known, same = self._known, board.plane == self._board.plane
        self._known = {each.object: each.steps for each in board.objects}
        if not (same and self.isVisible() and self.lively.isChecked()):
            return
        new = {
            each.object: (each.steps, now)
            for each in board.objects
            if each.status == "review" and len(each.steps) > 1 and known.get(each.object) is not each.steps
        }
        if len(self._arrived) + len(new) <= _MOST_PLAYED:
            self._arrived |= new
        if self._arrived and not self._frames.isActive():
            self._frames.start()

    def _on_frame(self, *_: object) -> None:
        """Draw the next picture of everything that is being played."""
        now, playing = time.monotonic(), dict(self._passing)
        for name, (steps, since) in list(self._arrived.items()):
            frame = int((now - since) * 1000 / FRAME_MS)
            if frame >= min(len(steps) - 1, _FRAMES):
                del self._arrived[name]
            else:
                playing.setdefault(name, frame * max(1, (len(steps) - 1) // _FRAMES))
        if not self._arrived:
            self._frames.stop()
        overlays = frozenset(name for name, check in self.overlays.items() if check.isChecked())
        wanted = Wanted(overlays=overlays, playing=playing)
        if wanted != self._layers.contours.wanted:
            self._layers.contours.wanted = wanted
            self._layers.show_contours(self._controller.state.board, self._controller.state.annotation)

    # --- what the user does in the page -------------------------------------------------------------------

    def _on_verb(self, name: str) -> None:
        self._slots[name]()

    def _do(self, slot: Callable[[], object]) -> None:
        """Do what a button or a key says; a stroke of the brush is saved first."""
        self._tell("")
        self._layers.flush()
        slot()
        self._layers.contours.show_points(self._controller.state.board)

    def _on_go(self, name: str) -> None:
        getattr(self._controller, name)()

    def _on_points(self) -> None:
        if self._layers.tool == "points":
            self._verb.new_object()
        self._on_tool("points")

    def _on_tool(self, tool: str) -> None:
        try:
            self._layers.use(tool, self._controller.project)
        except SegsizeError as error:
            self._controller.fail(str(error))
        if self._layers.tool != tool:
            self._tell("Show an image first: double-click one on the page Project.")
        self._on_tool_changed(self._layers.tool)
        self._layers.show_contours(self._controller.state.board, self._controller.state.annotation)

    def _on_tool_changed(self, tool: str) -> None:
        for name in ("points", "repair"):
            self.buttons[name].setChecked(name == tool)
        self._render_hint()

    def _on_take_back(self) -> None:
        layer = self._layers.contours.layer
        if layer is not None and str(layer.mode) == "select":
            layer.remove_selected()  # napari's own meaning of the key
        else:
            self._verb.take_back()

    def _on_vertices(self, count: int) -> None:
        self._verb.set_vertices(self._board.focus, count)

    def _on_stepped(self, step: int) -> None:
        self._passing.clear()
        self._arrived.pop(self._board.focus, None)
        meant = self._controller.state.board.focused
        if meant is not None and meant.step != step:
            self._verb.show_step(meant.object, step)
        self._on_frame()

    def _on_played(self, step: int) -> None:
        self._passing = {self._board.focus: step}
        self._on_frame()
        self._draw_curves(self._board.focused, self._controller.state.annotation)

    def _on_unfolded(self) -> None:
        self._draw_curves(self._board.focused, self._controller.state.annotation)

    def _on_settings(self) -> None:
        self._verb.set_config(self.settings.config())

    def _on_snap(self, on: bool) -> None:
        self._layers.contours.snapping = on
        self._controller.update(message=f"Clicks and drags snap to edges: {'on' if on else 'off'}.")

    def _on_stamps(self) -> None:
        self._verb.start_from_stamps(self._layers.stamps.selected)

    def _on_shapes(self) -> None:
        outlines = self._layers.contours.selected_outlines()
        self._begin(outlines, "Select one or more polygons or ellipses of a Shapes layer of yours first.")

    def _on_label(self) -> None:
        labels = self._layers.labels_to_start_from()
        outlines: Sequence[NDArray[Any]] = ()
        if labels is not None:
            outlines = self._layers.contours.selected_label(labels, self._layers.plane_of(labels)[0])
        self._begin(outlines, "Choose a Labels layer, and pick a label that is on this image, first.")

    def _begin(self, outlines: Sequence[NDArray[Any]], otherwise: str) -> None:
        if outlines:
            self._verb.start_from_outlines(outlines)
        else:
            self._controller.fail(otherwise)

    def _on_finetune(self) -> None:
        state = self._controller.state
        if state.busy:
            self._controller.stop()
            return
        config = LevelSetConfig() if teaches_levelset(state) else ContourConfig()
        self._controller.finetune_contours(config, resume=stopped_finetuning(state) is not None)

    def _on_export(self) -> None:
        image = self._controller.state.image
        name = "contours" if image is None else Path(image.name).stem
        chosen = file_to_write(
            self, "Export the contours", self._files() / name, _TYPES, type_chosen=self._type
        )
        if chosen is not None:
            file, self._type = chosen
            self._exchange = file.parent
            self._verb.export(file)

    def _on_import(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Import contours", str(self._files()), _READ)
        if file:
            self._exchange = Path(file).parent
            self._verb.import_from(file)

    def _files(self) -> Path:
        """Return the folder that files were last read from or written to; at first, that of the project."""
        return self._exchange or self._controller.state.folder or Path()

    # --- what the user does on the image ------------------------------------------------------------------

    def _on_clicked(self, point: Point) -> None:
        plane = self._here()
        if plane is not None:
            self._tell("")
            self._verb.click(plane, point)
            self._layers.contours.show_points(self._controller.state.board)
            self._render_hint()

    def _on_moved(self, kind: str, places: Mapping[Handle, Point]) -> None:
        name = next(iter(places)).object
        moved = {handle.nth: place for handle, place in places.items()}
        if kind == "point":
            self._verb.move_points(name, moved)
        else:
            self._verb.move_vertices(name, moved, evolve=self.evolve.isChecked())
        self._layers.contours.show_points(self._controller.state.board)

    def _on_points_removed(self, handles: Sequence[Handle]) -> None:
        for name in dict.fromkeys(handle.object for handle in handles):
            points = [each.nth for each in handles if (each.object, each.kind) == (name, "point")]
            vertices = [each.nth for each in handles if (each.object, each.kind) == (name, "vertex")]
            if points:
                self._verb.remove_points(name, points)
            elif vertices:
                self._verb.remove_vertices(name, vertices)
        self._layers.contours.show_points(self._controller.state.board)

    def _on_edited(self, name: str, rings: Sequence[Ring]) -> None:
        if self._here() is not None:
            self._verb.edit(name, rings)

    def _on_drawn(self, outline: NDArray[Any]) -> None:
        if self._here() is not None:
            self._verb.draw(outline)

    def _on_picked(self, name: str) -> None:
        self._verb.select(name)
        self._layers.contours.show_points(self._controller.state.board)

    def _on_removed(self, role: str) -> None:
        if role in ("extreme points", "evolving contours", "accepted contours", "objects"):
            self._tell(
                "The layer is gone, what it showed is still in the project: Four points brings it back."
            )

    def _here(self) -> PlaneRef | None:
        """Return the plane that the layers show, if it is of this project and not one just left."""
        project = self._controller.project
        if project is None or self._layers.project_file not in (None, project.file):
            return None
        self._layers.settle()
        return self._layers.plane

    def _tell(self, sentence: str) -> None:
        self.told.setText(sentence)
        self.told.setVisible(bool(sentence))


def _ignore(_what: object) -> None:
    """Whatever came of getting ready: without it the first contour takes longer."""
