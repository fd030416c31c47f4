"""The page Inspect: two microscopes, one for sizes and one for losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QTabBar, QVBoxLayout, QWidget

from napari_segsize.widgets.loss_inspector import LossInspector
from napari_segsize.widgets.size_inspector import SizeInspector

if TYPE_CHECKING:
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.layers import SegsizeLayers
    from napari_segsize.widgets.state import State

__all__ = ["InspectPage"]


class InspectPage(QWidget):
    """Shows one microscope at a time; the hidden one draws and computes nothing."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.size_inspector = SizeInspector(controller, layers)
        self.loss_inspector = LossInspector(controller, layers)
        self.choice = QTabBar()
        self.choice.setExpanding(False)
        self.choice.setDrawBase(False)
        self.choice.addTab("Object size")
        self.choice.addTab("Loss")
        self.choice.setTabToolTip(0, "How large the objects are, and what learning from sizes would change.")
        self.choice.setTabToolTip(1, "What a loss says about a prediction, pixel by pixel.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.choice)
        layout.addWidget(self.size_inspector)
        layout.addWidget(self.loss_inspector)
        layout.addStretch(1)
        self.choice.currentChanged.connect(self._on_chosen)
        self._on_chosen(0)

    def render(self, state: State) -> None:  # type: ignore[override]  # the pages' word for drawing a state
        """Hand the state to both."""
        self.size_inspector.render(state)
        self.loss_inspector.render(state)

    def _on_chosen(self, index: int) -> None:
        # the hidden one first: it takes its drawings away before the other puts up its own
        inspectors = (self.size_inspector, self.loss_inspector)
        inspectors[1 - index].setVisible(False)
        inspectors[index].setVisible(True)
