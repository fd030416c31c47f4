"""The persistence diagram: one dot for each part and hole of a prediction; a click leads to its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_segsize.widgets.loss_points import UNWANTED, WANTED
from napari_segsize.widgets.sentence import Sentence

if TYPE_CHECKING:
    from napari_segsize.losses.picture import Dot

__all__ = ["LossDiagram"]

_KINDS = ("Part", "Hole")
_SYMBOLS = ("o", "t1")
_SAME = 0.012  # dots nearer than that lie on top of one another


class LossDiagram(QWidget):
    """Birth against death: far from the diagonal is what lasts, on it what hardly is."""

    chosen = Signal(int)
    """The number of a dot that was clicked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dots: tuple[Dot, ...] = ()
        self._chosen: int | None = None
        self.plot = pg.PlotWidget()
        self.plot.setBackground(None)
        self.plot.setFixedHeight(180)
        self.plot.plotItem.layout.setContentsMargins(0, 0, 0, 10)  # its label hangs out below
        self.plot.setFocusPolicy(pg.QtCore.Qt.FocusPolicy.NoFocus)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setMouseEnabled(False, False)
        self.plot.setRange(xRange=(0, 1), yRange=(0, 1), padding=0.05)
        self.plot.setLabel("bottom", "birth: it appears at this probability")
        self.plot.setLabel("left", "death")
        self.plot.addItem(
            pg.PlotDataItem([0, 1], [0, 1], pen=pg.mkPen("#909090", style=pg.QtCore.Qt.DashLine))
        )
        self.scatter = pg.ScatterPlotItem(pxMode=True)
        self.scatter.sigClicked.connect(self._on_clicked)
        self.ring = pg.ScatterPlotItem(size=17, pen=pg.mkPen("#909090", width=2), brush=None)
        self.plot.addItem(self.scatter)
        self.plot.addItem(self.ring)
        self.legend = Sentence(
            "diagram_legend",
            f'<span style="color: {WANTED};">●</span> in the target &nbsp; '
            f'<span style="color: {UNWANTED};">●</span> not in the target &nbsp; ● part &nbsp; ▲ hole',
        )
        self.about = Sentence("about_dot")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        layout.addWidget(self.legend)
        layout.addWidget(self.about)
        self.choose(None)

    def show_dots(self, dots: tuple[Dot, ...], chosen: int | None) -> None:
        """Draw."""
        self._dots = dots
        self.scatter.setData(
            [
                {
                    "pos": (dot.birth, dot.death),
                    "data": number,
                    "symbol": _SYMBOLS[dot.dimension],
                    "brush": WANTED if dot.wanted else UNWANTED,
                    "pen": None,
                    "size": 9,
                }
                for number, dot in enumerate(dots)
            ]
        )
        self.choose(chosen)

    def choose(self, number: int | None) -> None:
        """Mark a dot, and say what it is."""
        self._chosen = number if number is not None and number < len(self._dots) else None
        if self._chosen is None:
            self.ring.setData([], [])
            self.about.setText("Click a dot to see its pixels; click a pixel on the image to see its dot.")
            return
        dot = self._dots[self._chosen]
        self.ring.setData([dot.birth], [dot.death])
        self.about.setText(_about(dot, self._here(dot)))

    def _here(self, dot: Dot) -> int:
        return sum(abs(o.birth - dot.birth) < _SAME and abs(o.death - dot.death) < _SAME for o in self._dots)

    def _on_clicked(self, _item: Any, spots: Any, _event: Any = None) -> None:
        numbers = sorted(int(spot.data()) for spot in spots)
        if not numbers:
            return
        later = [number for number in numbers if self._chosen is not None and number > self._chosen]
        self.chosen.emit(later[0] if self._chosen in numbers and later else numbers[0])


def _about(dot: Dot, here: int) -> str:
    kind = _KINDS[dot.dimension]
    text = f"{kind}, {'in' if dot.wanted else 'not in'} the target: appears at {dot.birth:.2f} "
    text += f"in pixel ({dot.birth_pixel[0]}, {dot.birth_pixel[1]})"
    if dot.death_pixel is None:
        text += ", never goes"
    else:
        verb = "joins another" if dot.dimension == 0 else "is filled"
        text += f", {verb} at {dot.death:.2f} in ({dot.death_pixel[0]}, {dot.death_pixel[1]})"
    text += f"; costs {dot.cost:.3g}."
    return text + (f" {here} dots lie here: click again for the next." if here > 1 else "")
