"""What can be done with the model that was learned: segment one image or all, and compare."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_segsize.engine.config import EvaluateConfig, PredictConfig
from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.state import State

__all__ = ["ModelUses"]


class ModelUses(QWidget):
    """The name of the current model above the buttons that use it.

    Parameters
    ----------
    controller : Controller
        Its verbs are what the buttons say.
    device : callable
        Returns where to compute: "auto", "cpu", …
    """

    def __init__(self, controller: Controller, device: Callable[[], str]) -> None:
        super().__init__()
        self._controller, self._device = controller, device
        self._model = QLabel()
        self._model.setWordWrap(True)
        self._one = QPushButton("Segment this image")
        self._one.setToolTip("Show the current model's prediction")
        self._one.clicked.connect(lambda _checked=False: self._on_segment_one())
        self._all = QPushButton("Segment all…")
        self._all.setToolTip("Write label images of the whole project")
        self._all.clicked.connect(lambda _checked=False: self._on_segment_all())
        self._compare = QPushButton("Compare models")
        self._compare.setToolTip("On the same held-out images")
        self._compare.clicked.connect(lambda _checked=False: self._on_compare())
        self._mirrored = QCheckBox("Look four times (slower, usually more exact)")
        self._mirrored.setToolTip(
            "Each image is also segmented mirrored: left-right, up-down and both. What is shown, written or "
            "compared is the mean of the four. Takes four times as long."
        )
        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        for button in (self._one, self._all, self._compare):
            row.addWidget(button)
        column.addWidget(self._model)
        column.addLayout(row)
        column.addWidget(self._mirrored)

    def render(self, state: State) -> None:  # type: ignore[override]  # pages of this plugin draw a state
        """Draw a state."""
        for each in (self._one, self._all, self._compare, self._mirrored):
            each.setEnabled(state.is_open and not state.busy and bool(state.model))
        self._model.setText(f"Current: {state.model}." if state.model else "No model yet.")

    def _on_segment_one(self) -> None:
        self._controller.predict_plane(mirrored=self._mirrored.isChecked())

    def _on_compare(self) -> None:
        self._controller.evaluate(EvaluateConfig(device=self._device(), mirrored=self._mirrored.isChecked()))

    def _on_segment_all(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Write the label images into this folder")
        if folder:
            mirrored = self._mirrored.isChecked()
            self._controller.predict(PredictConfig(folder=folder, device=self._device(), mirrored=mirrored))
