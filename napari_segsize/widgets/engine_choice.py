"""Which engine finds outlines, in the words of the page; the settings have the short names."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_segsize.widgets.contour_words import ENGINES
from napari_segsize.widgets.editors import ignores_stray_wheel

__all__ = ["EngineChoice"]


class EngineChoice(QComboBox):
    """A box with the engines; `chosen` carries the name that the settings have."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("engine")
        self.setAccessibleName("Engine")
        self.setToolTip("<p>What turns four clicks into an outline; the next objects are made with it.</p>")
        for number, (name, (title, tip)) in enumerate(ENGINES.items()):
            self.addItem(title, name)
            self.setItemData(number, f"<p>{tip}</p>", Qt.ItemDataRole.ToolTipRole)
        ignores_stray_wheel(self)
        self.activated.connect(self._on_activated)

    @property
    def engine(self) -> str:
        """Name of the chosen engine, as the settings have it."""
        return str(self.currentData())

    def show_engine(self, name: str) -> None:
        """Show a choice; nothing is emitted."""
        self.setCurrentIndex(self.findData(name))

    def choose(self, name: str) -> None:
        """Choose as the user does."""
        self.show_engine(name)
        self.chosen.emit(name)

    def _on_activated(self, _index: int) -> None:
        self.chosen.emit(self.engine)
