"""The buttons that use a model."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from qtpy.QtWidgets import QCheckBox, QFileDialog, QPushButton

from napari_segsize.engine.config import EvaluateConfig, PredictConfig
from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.model_uses import ModelUses


@pytest.mark.parametrize("mirrored", [False, True])
def test_four_looks_hold_for_every_button(qtbot, monkeypatch, mirrored):
    controller = Mock(spec=Controller)
    uses = ModelUses(controller, lambda: "cpu")
    qtbot.addWidget(uses)
    uses.findChild(QCheckBox).setChecked(mirrored)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "folder")
    for button in uses.findChildren(QPushButton):
        button.click()
    controller.predict_plane.assert_called_once_with(mirrored=mirrored)
    controller.predict.assert_called_once_with(
        PredictConfig(folder="folder", device="cpu", mirrored=mirrored)
    )
    controller.evaluate.assert_called_once_with(EvaluateConfig(device="cpu", mirrored=mirrored))
