"""The size microscope: what a size is, where it comes from, and what learning from it would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QElapsedTimer, QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QWidget

from napari_segsize.widgets.microscope_job import Looked, Microscope, Request
from napari_segsize.widgets.object_table import entered_sizes
from napari_segsize.widgets.overlays import INSPECTED
from napari_segsize.widgets.size_controls import SAMPLES, SizeControls

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_segsize.engine.microscope import Window
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.layers import SegsizeLayers
    from napari_segsize.widgets.state import State

__all__ = ["SizeInspector"]

_PERIOD_MS = 120
_LONGEST_MS = 600  # the first drawing also compiles shaders and says nothing about the next
_AUTO, _PREDICTION = "The layer I work on", "Prediction"


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where an answer is drawn."""

    layer: Layer
    index: tuple[int, ...]
    target: float | None


class SizeInspector(SizeControls):
    """Looks at labels or at the prediction; follows while they are painted."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._layers = controller, layers
        self._state: State | None = None
        self._looked: Looked | None = None
        self._focus: int | None = None
        self._drawn_window: Window | None = None
        self.microscope = Microscope(self._on_looked, controller.crashed.emit)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PERIOD_MS)
        self._timer.timeout.connect(self._look)
        self._clock = QElapsedTimer()
        self._connect()

    def render(self, state: State) -> None:  # type: ignore[override]  # the pages' word for drawing a state
        """Look again when the plane, what is said about it or the prediction is another one."""
        before, self._state = self._state, state
        if before is None or (before.plane, before.preview) != (state.plane, state.preview):
            self._on_sources()
            self._on_changed()
        elif before.annotation is not state.annotation:
            self._on_changed()

    def _connect(self) -> None:
        self.source.currentIndexChanged.connect(self._on_changed)
        self.target.valueChanged.connect(self._on_changed)
        self.confidence.valueChanged.connect(self._on_changed)
        self.table.focused.connect(self._on_focused)
        self.strip.chosen.connect(self._draw)
        for check in self.checks.values():
            check.toggled.connect(self._draw)
        self._layers.inspectable_changed.connect(self._on_sources)
        self._layers.pixels_changed.connect(self._on_pixels)
        self._layers.tool_changed.connect(self._on_changed)
        self._layers.removed.connect(self._on_removed)
        self._on_sources()

    # --- when to look -------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        """Begin to look."""
        super().showEvent(event)
        self._on_sources()
        self._on_changed()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802  Qt's name
        """Leave the image as it was."""
        super().hideEvent(event)
        self._timer.stop()
        self.microscope.stop()
        self._layers.remove_inspection()
        self._looked = None

    def _on_changed(self, *_: object) -> None:
        self.level.setText(f"{self._confidence:g}")
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def _on_pixels(self, layer: Layer) -> None:
        chosen = self._chosen()
        if chosen is not None and chosen[0] is layer:
            self._on_changed()

    def _on_focused(self, label: int) -> None:
        self._focus = label
        self._on_changed()

    def _on_removed(self, role: str) -> None:
        if role in self.checks:
            self.checks[role].setChecked(False)

    def _on_sources(self) -> None:
        chosen = self.source.currentData()
        entries: list[tuple[str, Any]] = [(_AUTO, _AUTO)]
        if self._layers.preview is not None:
            entries.append((_PREDICTION, _PREDICTION))
        entries += [(layer.name, layer) for layer in self._layers.inspectable()]
        if entries == [
            (self.source.itemText(i), self.source.itemData(i)) for i in range(self.source.count())
        ]:
            return
        self.source.blockSignals(True)
        self.source.clear()
        for text, data in entries:
            self.source.addItem(text, data)
        # equal, not the same: Qt hands back a copy of a word
        index = next((i for i, (_, data) in enumerate(entries) if data == chosen), 0)
        self.source.setCurrentIndex(index)
        self.source.blockSignals(False)

    # --- looking ------------------------------------------------------------------------------------------

    @property
    def _confidence(self) -> float:
        return self.confidence.value() / 2

    def _chosen(self) -> tuple[Layer, NDArray[Any] | None] | None:
        """The layer to draw on, and probabilities if they are what is looked at."""
        data, preview, base = self.source.currentData(), self._layers.preview, self._layers.base
        if data == _PREDICTION and preview is not None and base is not None:
            return base, preview[1]
        labels = self._layers.inspectable()
        if data in labels:
            return data, None
        active = self._layers.viewer.layers.selection.active
        if active in labels:
            return active, None
        mask = self._layers.masks.layer
        if (
            preview is not None
            and base is not None
            and (mask is None or not self._layers.plane_of(mask)[0].any())
        ):
            return base, preview[1]
        return None if mask is None else (mask, None)

    def _look(self) -> None:
        chosen = self._chosen()
        if not self.isVisible():
            return
        if chosen is None:
            self._say_nothing(
                "Paint a mask, predict, or add a Labels layer: there is nothing to look at yet."
            )
            return
        if self._looked is None and self._state is not None and self._state.engine == "loading":
            self.assumed.setText("Waiting for torch, which is being loaded in the background …")
        layer, probabilities = chosen
        plane, index = self._layers.plane_of(layer)
        preview = self._layers.preview
        target = self.target.value() or None
        options = {"samples": SAMPLES, "confidence": self._confidence, "focus": self._focus}
        options["target"] = target if target is not None else self._entered_target(plane)
        self.microscope.look(
            Request(
                plane=np.array(plane if probabilities is None else probabilities),
                options=options,
                prediction=None if preview is None else preview[1],
                where=_Place(layer, index, target),
            )
        )

    def _entered_target(self, plane: NDArray[Any]) -> float | None:
        """The size entered for the object in focus; None when that has to be found out first."""
        stamps = (
            () if self._state is None or self._state.annotation is None else self._state.annotation.stamps
        )
        if self._looked is not None and self._looked.seen.labels.shape == plane.shape:
            entered = entered_sizes(self._looked.seen, stamps)
            known = {each.label for each in self._looked.seen.objects}
            return entered.get(self._focus if self._focus in known else self._looked.seen.focus)
        return stamps[0].size if len(stamps) == 1 else None

    def _on_looked(self, looked: Looked) -> None:
        if not self.isVisible():
            return
        first, before, self._looked = self._looked is None, self._looked, looked
        if before is not None and _layer_of(before) is not _layer_of(looked):
            self._layers.remove_inspection()  # what is drawn lies above the layer that it explains
            self._focus = None
        seen = looked.seen
        if not seen.objects:
            layer = _layer_of(looked)
            place = "here" if layer is None else f"in the layer {layer.name} here"
            self._say_nothing(f"There is no object {place}. Look at another layer, or paint one.")
            return
        self.sampled.setText(_about_samples(looked))
        if seen.gradients:
            self._drawn_window = seen.window
            self.strip.show_gradients(seen, max(seen.gradients))
            if max(seen.gradients) == self.strip.samples:
                self._draw(only=("gradient",))
            return
        self._clock.restart()
        self.strip.wait(keep=not first and seen.window == self._drawn_window)
        stamps = (
            () if self._state is None or self._state.annotation is None else self._state.annotation.stamps
        )
        entered = entered_sizes(seen, stamps)
        self.table.show_objects(seen, entered, looked.predicted)
        self.assumed.setText(self._assumption(looked))
        self._draw(only=tuple(role for role in INSPECTED if role != "gradient"))
        # A slow screen gets fewer pictures a second, so that painting stays fluent.
        self._timer.setInterval(min(max(_PERIOD_MS, 3 * int(self._clock.elapsed())), _LONGEST_MS))
        if self.target.value() == 0 and entered.get(seen.focus, seen.target) != seen.target:
            self._look()  # only now is it known which stamp belongs to the object in focus

    def _assumption(self, looked: Looked) -> str:
        real = np.issubdtype(looked.request.plane.dtype, np.floating)
        self.confidence.setEnabled(not real)
        if real:
            return "Samples are drawn from the network's own probabilities."
        return f"Labels have no probabilities: ±{self._confidence:g} is taken for their logits."

    def _say_nothing(self, sentence: str) -> None:
        self._looked = None
        self._layers.remove_inspection()
        self.table.setRowCount(0)
        self.strip.clear()
        self.assumed.setText(sentence)
        self.sampled.setText("")

    def _draw(self, *_: object, only: tuple[str, ...] = INSPECTED) -> None:
        looked = self._looked
        if looked is None or not isinstance(looked.request.where, _Place):
            return
        place = looked.request.where
        if place.layer not in self._layers.viewer.layers:
            return
        wanted = {role for role, check in self.checks.items() if check.isChecked()}
        self._layers.show_inspection(
            place.layer, place.index, looked.seen, samples=self.strip.samples, wanted=wanted, only=only
        )


def _layer_of(looked: Looked) -> Layer | None:
    where = looked.request.where
    return where.layer if isinstance(where, _Place) else None


def _about_samples(looked: Looked) -> str:
    seen = looked.seen
    if not seen.sampled_sizes or seen.focused is None:
        return "Sampling …"
    n = max(seen.sampled_sizes)
    size, mean, target = seen.focused.size, seen.sampled_sizes[n], seen.target
    text = f"Object {seen.focus}: size {size:g} px, pulled towards {target:g} px. "
    text += f"{n} sampled mask{' has' if n == 1 else 's have'} a mean size of {mean:.1f} px"
    return text + (": stray pixels make it smaller than the mask's." if mean < size - 1 else ".")
