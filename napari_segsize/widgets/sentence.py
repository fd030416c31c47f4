"""A label that wraps its text and is never cut off."""

from __future__ import annotations

from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QWidget

__all__ = ["Sentence"]


class Sentence(QLabel):
    """Text of several lines. Qt's own wrapped label gets too little room inside nested layouts."""

    def __init__(self, name: str, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setWordWrap(True)
        self.setText(text)

    def setText(self, text: str | None) -> None:  # noqa: N802  Qt's name
        """Change the text, and ask for the room that it needs."""
        if text != self.text():
            super().setText(text)
            self._claim()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802  Qt's name
        """Ask for the height that goes with the new width."""
        super().resizeEvent(event)
        self._claim()

    def _claim(self) -> None:
        height = max(self.heightForWidth(self.width()), 0)  # -1 without text
        if height != self.minimumHeight():
            self.setMinimumHeight(height)
