"""What the colours of a gradient mean, and the number that the full colours stand for."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_segsize.widgets.overlays import DIVERGING

__all__ = ["Legend"]


class Legend(QWidget):
    """A bar from blue to red, with words at its ends."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        bar = QLabel()
        bar.setFixedHeight(9)
        bar.setStyleSheet(f"border-radius: 2px; background: {_bar()};")
        self.raised, self.lowered = QLabel(), QLabel()
        self.lowered.setAlignment(Qt.AlignmentFlag.AlignRight)
        layout = QGridLayout(self)
        layout.setContentsMargins(20, 0, 0, 4)
        layout.setSpacing(2)
        layout.addWidget(bar, 0, 0, 1, 2)
        layout.addWidget(self.raised, 1, 0)
        layout.addWidget(self.lowered, 1, 1)
        self.arrows = QLabel()
        self.arrows.setWordWrap(True)
        layout.addWidget(self.arrows, 2, 0, 1, 2)
        self._bar = (bar, self.raised, self.lowered)
        self.setToolTip(
            "<p>Learning goes down the gradient: blue pixels rise, red ones fall. "
            "The full colour stands for the number.</p>"
        )
        self.show_limit(None)

    def show_limit(self, limit: float | None) -> None:
        """Write the number at both ends of the bar."""
        self._show(bar=True)
        self.raised.setText("should rise" + ("" if limit is None else f" (−{limit:.2g})"))
        self.lowered.setText("should fall" + ("" if limit is None else f" (+{limit:.2g})"))

    def show_longest(self, longest: float | None, what: str, unit: str) -> None:
        """Say what arrows mean, and what the longest one stands for."""
        self._show(bar=False)
        scale = "" if longest is None else f" The longest stands for {longest:.2g} {unit}".rstrip() + "."
        self.arrows.setText(f"Arrows: where learning moves {what}.{scale}")

    def _show(self, *, bar: bool) -> None:
        for each in self._bar:
            each.setVisible(bar)
        self.arrows.setVisible(not bar)


def _bar() -> str:
    stops = ", ".join(
        f"stop: {number / (len(DIVERGING) - 1):g} rgb({', '.join(str(round(255 * c)) for c in stop[:3])})"
        for number, stop in enumerate(DIVERGING)
    )
    return f"qlineargradient(x1: 0, y1: 0, x2: 1, y2: 0, {stops})"
