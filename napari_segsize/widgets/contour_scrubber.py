"""Watch one contour evolve: play, pause, step back, and how its area, size and overlap went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QToolButton, QVBoxLayout, QWidget

from napari_segsize.project.annotation import object_size_of
from napari_segsize.project.outlines import mask_of
from napari_segsize.widgets.contour_shape import area

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_segsize.widgets.contour_state import Outline

__all__ = ["ContourCurves", "Scrubber", "measured"]

PLAY_MS = 150
_WHOLE_MS = 3000  # a long evolution is played in leaps
_LARGEST = 192  # px: larger objects are measured at a smaller scale
_GREY = "#909090"
_CURVES = {"area": ("area", "#E69F00"), "size": ("size", "#56B4E9"), "iou": ("IoU", "#009E73")}

_PLAY, _PAUSE = "▶", "❚❚"


class Scrubber(QWidget):
    """Buttons and slider over the steps 0..T of the selected object."""

    stepped = Signal(int)
    """the step that is to be shown from now on"""
    played = Signal(int)
    """a step that is shown in passing"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(1)
        self.slider.setMinimumWidth(60)
        self.label = QLabel()
        self.label.setMinimumWidth(self.label.fontMetrics().horizontalAdvance("step 00 of 00"))
        self.back = self._button("back", "|◀", "One step back", self._on_back)
        self.play = self._button("play", _PLAY, "Play, pause", self.toggle)
        self.forward = self._button("forward", "▶|", "One step on", self._on_forward)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for each in (self.back, self.play, self.forward):
            layout.addWidget(each)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.label)
        self.slider.valueChanged.connect(self._on_slider)
        self._timer = QTimer(self)
        self._timer.setInterval(PLAY_MS)
        self._timer.timeout.connect(self._on_tick)
        self._steps: Any = None
        self.show_outline(None)

    @property
    def playing(self) -> bool:
        """Whether the evolution is being played."""
        return self._timer.isActive()

    def show_outline(self, outline: Outline | None) -> None:
        """Show the steps of an object; what is being played goes on, unless it is another evolution."""
        steps = None if outline is None else outline.steps
        if steps is not self._steps:
            self.stop()
            self._steps = steps
        last = 0 if steps is None else max(len(steps) - 1, 0)
        self.setEnabled(last > 0)
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, last)
            if outline is not None and not self.playing:
                self.slider.setValue(outline.step)
        self._tell()

    def toggle(self) -> None:
        """Play from the start, or from where it was paused; pause."""
        if self.playing:
            self.stop()
            self.stepped.emit(self.slider.value())
        elif self.slider.maximum():
            if self.slider.value() == self.slider.maximum():
                self._go(0)
            self._timer.start()
            self._look()

    def stop(self) -> None:
        """Play no longer."""
        self._timer.stop()
        self._look()

    def _button(self, name: str, text: str, tip: str, slot: Callable[[], object]) -> QToolButton:
        button = QToolButton()
        button.setObjectName(name)
        button.setText(text)  # Qt's own pictures are black, on napari's black
        button.setToolTip(f"<p>{tip}</p>")
        button.setAutoRaise(True)
        button.clicked.connect(lambda _checked=False: slot())
        return button

    def _look(self) -> None:
        self.play.setText(_PAUSE if self.playing else _PLAY)

    def _on_back(self) -> None:
        self.stop()
        self.slider.setValue(self.slider.value() - 1)

    def _on_forward(self) -> None:
        self.stop()
        self.slider.setValue(self.slider.value() + 1)

    def _on_slider(self, value: int) -> None:
        self.stop()
        self._tell()
        self.stepped.emit(value)

    def _on_tick(self) -> None:
        last = self.slider.maximum()
        leap = max(1, round(last * PLAY_MS / _WHOLE_MS))
        value = min(self.slider.value() + leap, last)
        self._go(value)
        if value == last:
            self.stop()
            self.stepped.emit(last)

    def _go(self, value: int) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(value)
        self._tell()
        self.played.emit(value)

    def _tell(self) -> None:
        last = self.slider.maximum()
        self.label.setText(f"step {self.slider.value()} of {last}" if last else "")


class ContourCurves(QWidget):
    """Area, size and, where there is a truth, IoU of every step; a line marks the one that is shown."""

    unfolded = Signal()
    """they are seen again, and know nothing of what happened meanwhile"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = pg.GraphicsLayoutWidget()
        self._canvas.setBackground(None)
        self._canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # there is nothing to do in it
        self._canvas.setFixedHeight(230)
        self._canvas.setToolTip("Area (px²), size (px) and IoU with the mask, of every step")
        self._lines: dict[str, pg.PlotDataItem] = {}
        self._plots: dict[str, pg.PlotItem] = {}
        self._marks: list[pg.InfiniteLine] = []
        for row, name in enumerate(_CURVES):
            self._add(row, name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._canvas)
        self._steps: Any = None
        self._truth: Any = None

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        """Ask for what is to be drawn."""
        super().showEvent(event)
        self.unfolded.emit()

    def show_outline(self, outline: Outline | None, truth: NDArray[Any] | None, step: int) -> None:
        """Draw the curves of an object; they are measured only when it is another evolution."""
        steps = None if outline is None or len(outline.steps) < 2 else outline.steps
        self._canvas.setVisible(steps is not None)
        if steps is None:
            self._steps = None
            return
        if steps is not self._steps or truth is not self._truth:
            self._steps, self._truth = steps, truth
            found = measured(steps, truth)
            for name, line in self._lines.items():
                self._plots[name].setVisible(name in found)
                line.setData(found.get(name, []))
        for mark in self._marks:
            mark.setValue(step)

    def _add(self, row: int, name: str) -> None:
        title, colour = _CURVES[name]
        plot = self._canvas.addPlot(row=row, col=0)
        plot.setLabel("left", title, color=_GREY)
        plot.setMouseEnabled(x=False, y=False)  # the wheel scrolls the page
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.getAxis("left").setWidth(58)
        for side in ("left", "bottom"):
            plot.getAxis(side).enableAutoSIPrefix(False)
            plot.getAxis(side).setPen(_GREY)
            plot.getAxis(side).setTextPen(_GREY)
        plot.showAxis("bottom", row == len(_CURVES) - 1)
        self._lines[name] = plot.plot(pen=pg.mkPen(colour, width=2), symbol="o", symbolSize=4, symbolPen=None)
        mark = pg.InfiniteLine(0, angle=90, pen=pg.mkPen(_GREY, style=Qt.PenStyle.DashLine))
        plot.addItem(mark, ignoreBounds=True)
        self._marks.append(mark)
        self._plots[name] = plot
        plot.getAxis("bottom").setTickSpacing(major=5, minor=1)
        if row:
            plot.setXLink(self._plots["area"])


def measured(steps: NDArray[Any], truth: NDArray[Any] | None = None) -> dict[str, list[float]]:
    """Area, size and IoU of every step of an evolution.

    Parameters
    ----------
    steps : (T + 1, K, 2) array
    truth : (H, W) array of labels, optional
        IoU is with the label that the last step covers most of; no IoU without such a label.
    """
    every = np.asarray(steps, float).reshape(-1, 2)
    low, high = np.floor(every.min(axis=0)) - 1, np.ceil(every.max(axis=0)) + 2
    scale = max(float((high - low).max()) / _LARGEST, 1.0)
    shape = tuple(int(side) for side in np.ceil((high - low) / scale))
    masks = [mask_of([(step - low) / scale], (shape[0], shape[1])) for step in np.asarray(steps, float)]
    found = {
        "area": [area(step) for step in steps],
        "size": [object_size_of(np.pad(mask, 1)) * scale for mask in masks],
    }
    target = None if truth is None else _target(truth, masks[-1], low, scale)
    if target is not None:
        around = np.count_nonzero(truth == truth[target[1]]) / scale**2 if truth is not None else 0.0
        found["iou"] = [_iou(mask, target[0], around) for mask in masks]
    return found


def _target(
    truth: NDArray[Any], mask: NDArray[np.bool_], low: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
    """Return the true object in the window of the masks, and one of its pixels in the image."""
    at = [np.round(low[axis] + np.arange(side) * scale).astype(int) for axis, side in enumerate(mask.shape)]
    inside = [(each >= 0) & (each < side) for each, side in zip(at, truth.shape, strict=True)]
    window = np.zeros(mask.shape, truth.dtype)
    window[np.ix_(*inside)] = truth[np.ix_(at[0][inside[0]], at[1][inside[1]])]
    covered = window[mask]
    covered = covered[covered > 0]
    if not covered.size:
        return None
    values, counts = np.unique(covered, return_counts=True)
    label = values[counts.argmax()]
    y, x = np.argwhere(window == label)[0]
    return window == label, (int(at[0][y]), int(at[1][x]))


def _iou(mask: NDArray[np.bool_], target: NDArray[np.bool_], whole: float) -> float:
    """IoU; `whole` is the area of the target, which may go on beyond the window."""
    both = float(np.count_nonzero(mask & target))
    either = float(np.count_nonzero(mask)) + max(whole, float(np.count_nonzero(target))) - both
    return both / either if either else 1.0
