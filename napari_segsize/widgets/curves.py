"""Live curves of a training: every loss term, and what the held-out images say (IoU, size error)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pyqtgraph as pg
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_segsize.engine.events import StepDone, Validated

__all__ = ["Curves", "offsets", "series"]

# Okabe and Ito's colours: told apart by colour-blind people, seen on dark and on light.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")
_GREY = "#909090"
_PLOTS = {"iou": "IoU", "size_error": "size error, px"}
_SMOOTH = 0.9

Points = dict[str, tuple[list[float], list[float]]]


def offsets(losses: Sequence[StepDone]) -> dict[str, int]:
    """Return where each stage begins on one axis of steps: the second begins where the first has ended."""
    found: dict[str, int] = {}
    last: dict[str, int] = {}
    for point in losses:
        found.setdefault(point.stage, sum(last.values()))
        last[point.stage] = max(point.step, last.get(point.stage, 0))
    return found


def series(points: Sequence[StepDone | Validated], start: Mapping[str, int]) -> Points:
    """Return (steps, values) of every name; numbers that are not known are left out."""
    found: Points = {}
    for point in points:
        for name, value in (point.losses if isinstance(point, StepDone) else point.metrics).items():
            if math.isfinite(value):
                x, y = found.setdefault(name, ([], []))
                x.append(point.step + start.get(point.stage, 0))
                y.append(math.sqrt(max(value, 0.0)) if name == "size_error" else value)
    return found


def smoothed(values: Sequence[float]) -> list[float]:
    """Return a running mean that begins at the first value without lagging behind it."""
    mean, weight, found = 0.0, 0.0, []
    for value in values:
        mean, weight = _SMOOTH * mean + (1 - _SMOOTH) * value, _SMOOTH * weight + (1 - _SMOOTH)
        found.append(mean / weight)
    return found


def _legend(names: Sequence[str]) -> str:
    """Name the loss terms in their colours, beside the plot and not in its way."""
    colours = (_COLOURS[number % len(_COLOURS)] for number in range(len(names)))
    return "Loss: " + "&nbsp; ".join(
        f'<span style="color: {colour};">■</span>&nbsp;{name.replace("_", " ").replace(" ", "&nbsp;")}'
        for name, colour in zip(names, colours, strict=True)
    )


class Curves(QWidget):
    """Three plots over one axis of steps: loss terms, IoU, size error."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = pg.GraphicsLayoutWidget()
        self._canvas.setBackground(None)
        self._canvas.setMinimumHeight(330)
        self._canvas.setFocusPolicy(pg.QtCore.Qt.FocusPolicy.NoFocus)  # there is nothing to do in it
        self._names = QLabel()
        self._names.setWordWrap(True)
        self._loss = self._plot(0, "loss")
        self._checks = {
            name: self._plot(row, title) for row, (name, title) in enumerate(_PLOTS.items(), start=1)
        }
        self._lines: dict[tuple[pg.PlotItem, str], pg.PlotDataItem] = {}
        self._marks: list[pg.InfiniteLine] = []
        self._drawn: tuple[object, object] = (None, None)
        self._canvas.ci.layout.setRowStretchFactor(0, 3)
        for row in (1, 2):
            self._canvas.ci.layout.setRowStretchFactor(row, 2)
        self._checks["iou"].setLimits(yMin=0, yMax=1, minYRange=0.1)
        self._checks["size_error"].setLimits(yMin=0, minYRange=1)
        list(self._checks.values())[-1].setLabel("bottom", "step", color=_GREY)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._names)
        layout.addWidget(self._canvas)

    def show_history(self, losses: Sequence[StepDone], metrics: Sequence[Validated]) -> None:
        """Draw what has happened so far; nothing is done when it is drawn already."""
        if self._drawn == (id(losses), id(metrics)):
            return
        self._drawn, self._kept = (id(losses), id(metrics)), (losses, metrics)
        start = offsets(losses)
        terms, checks = series(losses, start), series(metrics, start)
        wanted: set[tuple[pg.PlotItem, str]] = set()
        order = sorted(terms, key=lambda name: name != "total")
        for number, name in enumerate(order):
            colour, width = _COLOURS[number % len(_COLOURS)], 2 if name == "total" else 1
            self._draw(self._loss, name, terms[name][0], smoothed(terms[name][1]), colour, width)
            wanted.add((self._loss, name))
        self._names.setText(_legend(order))
        for name, plot in self._checks.items():
            if name in checks:
                self._draw(plot, name, *checks[name], _COLOURS[1], 2, symbol="o")
                wanted.add((plot, name))
        for key in set(self._lines) - wanted:
            key[0].removeItem(self._lines.pop(key))
        self._mark([offset for offset in start.values() if offset])

    def _plot(self, row: int, title: str) -> pg.PlotItem:
        plot = self._canvas.addPlot(row=row, col=0)
        plot.setLabel("left", title, color=_GREY)
        plot.getAxis("left").enableAutoSIPrefix(False)
        plot.getAxis("bottom").enableAutoSIPrefix(False)
        plot.setMouseEnabled(x=False, y=False)  # the wheel scrolls the page
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.showGrid(x=False, y=True, alpha=0.15)
        plot.getAxis("left").setWidth(52)
        for side in ("left", "bottom"):
            plot.getAxis(side).setPen(_GREY)
            plot.getAxis(side).setTextPen(_GREY)
        if row:
            plot.setXLink(self._loss)
        return plot

    def _draw(
        self,
        plot: pg.PlotItem,
        name: str,
        x: list[float],
        y: list[float],
        colour: str,
        width: int,
        *,
        symbol: str | None = None,
    ) -> None:
        line = self._lines.get((plot, name))
        if line is None:
            line = self._lines[plot, name] = plot.plot(
                name=name.replace("_", " "), symbol=symbol, symbolSize=5, symbolBrush=colour, symbolPen=None
            )
        line.setPen(pg.mkPen(colour, width=width))
        line.setData(x, y)

    def _mark(self, steps: Sequence[float]) -> None:
        """Draw an upright line where the second stage begins."""
        if [mark.value() for mark in self._marks[:: 1 + len(self._checks)]] == list(steps):
            return
        for mark in self._marks:
            mark.getViewBox().removeItem(mark)
        self._marks = []
        for step in steps:
            for plot in (self._loss, *self._checks.values()):
                mark = pg.InfiniteLine(
                    step, angle=90, pen=pg.mkPen(_GREY, style=pg.QtCore.Qt.PenStyle.DashLine)
                )
                plot.addItem(mark, ignoreBounds=True)
                self._marks.append(mark)
