"""The loss microscope: what a loss says about a prediction, pixel by pixel, while it is painted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from qtpy.QtCore import QElapsedTimer, QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QWidget

from napari_segsize.engine.loss_prediction import VERTICES
from napari_segsize.widgets.contour_points import camera_of
from napari_segsize.widgets.contour_shapes import first_polygon
from napari_segsize.widgets.job import Job, launch_quietly
from napari_segsize.widgets.loss_asking import Choice, ask
from napari_segsize.widgets.loss_copy import copy_to_draw, copy_to_paint
from napari_segsize.widgets.loss_job import Asked, Seen, cataloguing, looking
from napari_segsize.widgets.loss_outlines import Polygons, is_points, is_shapes
from napari_segsize.widgets.loss_sight import LossSight
from napari_segsize.widgets.loss_sources import PREDICTION, predictions, targets, usual
from napari_segsize.widgets.newest import Newest
from napari_segsize.widgets.shelf import connected

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_segsize.engine.loss_catalogue import LossEntry
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.layers import SegsizeLayers
    from napari_segsize.widgets.state import State

__all__ = ["LossInspector"]

_PERIOD_MS = 100  # at most ten looks a second
_LONGEST_MS = 600
_FIRST = "dice"
_COMPILING = "Losses are being compiled in the background, once: the first look may take some seconds."


class LossInspector(LossSight):
    """Looks at a loss of two layers; follows while they are painted."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(layers, parent)
        self._controller = controller
        self._loading: Job | None = None
        self._state: State | None = None
        self.microscope = Newest(looking, self._on_seen, controller.crashed.emit)
        self._polygons, self._selected = Polygons(), frozenset[int]()
        self._compiling: Job | None = None
        self._timer, self._clock = QTimer(self), QElapsedTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PERIOD_MS)
        self._timer.timeout.connect(self._look)
        self._connect()

    def render(self, state: State) -> None:  # type: ignore[override]  # the pages' word for drawing a state
        """Look again when the plane or the prediction is another one."""
        before, self._state = self._state, state
        self._load()
        if before is None or (before.plane, before.preview) != (state.plane, state.preview):
            self._on_sources()
            self._on_changed()
        elif before.annotation is not state.annotation:
            self._on_changed()

    def _connect(self) -> None:
        self.loss.currentIndexChanged.connect(self._on_loss)
        self.options.changed.connect(self._on_changed)
        for box in (self.prediction, self.target, self.kind, self.slope):
            box.currentIndexChanged.connect(self._on_changed)
        self.vertices.valueChanged.connect(self._on_changed)
        self.prediction.currentIndexChanged.connect(self._show_kind)
        self.copy.clicked.connect(self._on_copy)
        self._layers.inspectable_changed.connect(self._on_sources)

    # --- when to look -------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        """Begin to look."""
        super().showEvent(event)
        self._load()
        self._layers.losses.listen(to_clicks=True)
        connected(camera_of(self._layers.viewer).events, {"center": self._on_camera, "zoom": self._on_camera})
        self._on_sources()
        self._on_changed()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802  Qt's name
        """Leave the image as it was."""
        super().hideEvent(event)
        self._timer.stop()
        self.microscope.stop()
        self._layers.losses.listen(to_clicks=False)
        self._layers.losses.remove()
        self._seen = None

    def _on_changed(self, *_: object) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def _on_pixels(self, event: Any) -> None:
        if event.source in (self.prediction.currentData(), self.target.currentData()):
            self._on_changed()

    def _on_camera(self, *_: object) -> None:
        if self._seen is None or self._seen.asked.part.cut:  # only what is on screen is looked at
            self._on_changed()

    def _on_sources(self, *_: object) -> None:
        if not self.isVisible():
            return
        entry = self.loss.entry
        acts_on = "pixels" if entry is None else entry.acts_on
        found = predictions(self._layers, acts_on)
        wanted = targets(self._layers, "" if entry is None else entry.needs)
        likely, target = usual(self._layers, found, wanted, acts_on)
        for _name, layer in [*found, *wanted]:
            if layer is not PREDICTION:
                self._listen(layer)
        another = self.prediction.offer(found, likely)
        self._show_kind()
        if self.target.offer(wanted, target) or another:
            self._on_changed()

    def _show_kind(self, *_: object) -> None:
        """Ask what the numbers are where that is not plain: of images of the user's, and labels for edges."""
        data, entry = self.prediction.currentData(), self.loss.entry
        acts_on = "pixels" if entry is None else entry.acts_on
        doubtful = hasattr(data, "gamma") or (acts_on == "edges" and hasattr(data, "selected_label"))
        self.rows.setRowVisible(self.kind, doubtful and acts_on != "contour")
        self.vertices.setSpecialValueText("as drawn" if is_shapes(data) else f"automatic: {VERTICES}")

    def _listen(self, layer: Layer) -> None:
        connected(layer.events, {"set_data": self._on_pixels, "name": self._on_sources})
        for name in ("labels_update", "selected_label", "data"):
            if hasattr(layer.events, name) and not hasattr(layer, "gamma"):
                connected(layer.events, {name: self._on_pixels})
        if is_shapes(layer) or is_points(layer):
            connected(layer.events, {"highlight": self._on_selected})

    def _on_selected(self, event: Any) -> None:
        """Another polygon, or other points, may be meant; napari tells of every move of the mouse."""
        chosen = frozenset(event.source.selected_data)
        if chosen != self._selected:
            self._selected = chosen
            self._on_pixels(event)

    # --- choosing -----------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Load the catalogue once, and not beside torch and MONAI: two threads that import them lock up."""
        cold = self._state is None or self._state.engine == "loading"
        if not self.isVisible() or self.loss.isEnabled() or self._loading is not None or cold:
            return
        events, on_event = cast("Any", cataloguing()), cast("Callable[[Any], None]", self._on_catalogue)
        self._loading = launch_quietly(events, on_event, self._on_loaded)

    def _on_catalogue(self, told: tuple[LossEntry, ...] | str) -> None:
        if not isinstance(told, str):
            self.loss.offer(told, _FIRST)

    def _on_loaded(self, error: BaseException | None) -> None:
        self._loading = None
        if error is not None:
            self._controller.crashed.emit(error)

    def _on_loss(self, *_: object) -> None:
        entry = self.loss.entry
        if entry is None:
            return
        self.advice.setText(entry.advice)
        self.options.show_options(entry)
        self.show_for(entry.acts_on)
        if entry.acts_on == "contour" and self._compiling is None:
            self._compiling = launch_quietly(first_polygon(), lambda _: None, lambda _: None)
        self.rows.setRowVisible(self.target, bool(entry.needs))
        self._layers.losses.remove()
        self.forget_numbers()
        self._seen = self._chosen = None
        self._on_sources()
        self._on_changed()

    def _on_copy(self) -> None:
        entry, data, truth = self.loss.entry, self.prediction.currentData(), self.target.currentData()
        acts_on = "pixels" if entry is None else entry.acts_on
        made: Any
        if acts_on == "contour":
            made = copy_to_draw(self._layers, self._polygons, data, truth, self.vertex_count)
        else:
            made = copy_to_paint(self._layers, data, truth, edges=acts_on == "edges")
        if made is None:
            self.say_nothing("There is nothing to copy: paint a mask first, or add a Labels layer.")
            return
        self._on_sources()
        self.prediction.choose(made)
        if acts_on == "edges":
            self.kind.setCurrentIndex(self.kind.findData("mask"))
        self._look()  # at once: changes are counted from here, and the brush is in hand

    # --- looking ------------------------------------------------------------------------------------------

    def _look(self) -> None:
        entry = self.loss.entry
        if not self.isVisible() or entry is None:
            return
        asked = self._asked(entry)
        if isinstance(asked, str):
            self.microscope.stop()
            self.say_nothing(asked)
        else:
            if self._seen is None and not self.microscope.busy:
                self.say("…", "", "" if self._loading is None else _COMPILING)
            self.microscope.look(asked)

    def _asked(self, entry: LossEntry) -> Asked | str:
        """What is chosen; a sentence if that is not enough."""
        choice = Choice(
            entry=entry,
            data=self.prediction.currentData(),
            truth=self.target.currentData(),
            settings={
                "kind": self.kind.currentData() if self.rows.isRowVisible(self.kind) else "auto",
                "slope": self.slope.currentText(),
                "options": self.options.values(),
                "vertices": self.vertex_count,
                **self._stamped(self.target.currentData()),
            },
        )
        return ask(self._layers, self._polygons, choice)

    def _stamped(self, target: Layer | None) -> dict[str, Any]:
        """The only size stamp of the plane, for a target of ours without a mask."""
        said = None if self._state is None else self._state.annotation
        if said is None or len(said.stamps) != 1 or target is not self._layers.masks.layer:
            return {}
        return {"size": said.stamps[0].size, "centre": said.stamps[0].centre}

    def _on_seen(self, seen: Seen) -> None:
        if not self.isVisible() or seen.asked.part.layer not in self._layers.viewer.layers:
            return
        self._clock.restart()
        self.show_seen(seen)
        # A slow screen gets fewer pictures a second, so that painting stays fluent.
        self._timer.setInterval(min(max(_PERIOD_MS, 3 * int(self._clock.elapsed())), _LONGEST_MS))
