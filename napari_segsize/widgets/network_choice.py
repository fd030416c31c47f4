"""Which network learns, in plain words: what it is good for, what it takes, and whether another one suits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_segsize.engine.advice import advice
from napari_segsize.engine.config import PretrainConfig
from napari_segsize.errors import SegsizeError
from napari_segsize.widgets.editors import ignores_stray_wheel

if TYPE_CHECKING:
    from napari_segsize.widgets.state import State

__all__ = ["NETWORKS", "NetworkChoice"]

NETWORKS: dict[str, tuple[str, str]] = {
    "small": ("U-Net, small", "The right one to start with, for objects of any size."),
    "residual": ("U-Net, large", "The kind of the paper on sizes: slower, for many masks."),
    "kiunet": (
        "KiU-Net, for thin structures",
        "For vessels, cracks, specks: a few pixels thick. Slow, and hungry for memory: try U-Net first.",
    ),
}
"""Name and a line about each network a pre-training can build."""
_WARNING = "color: #e0a030;"


class NetworkChoice(QWidget):
    """A box with the networks, and below it what is to be known before training starts."""

    changed = Signal(str)  # the user chose another network

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QComboBox()
        for kind, (name, _) in NETWORKS.items():
            self.box.addItem(name, kind)
        self.box.setObjectName("model")
        self.box.setToolTip("<p>The network that learns from your masks, and then from your sizes.</p>")
        self.box.setAccessibleName("Network")
        ignores_stray_wheel(self.box)
        self.box.activated.connect(lambda _index: self.changed.emit(self.kind))
        self._line, self._warning = QLabel(), QLabel()
        self._warning.setStyleSheet(_WARNING)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        for label in (self._line, self._warning):
            label.setWordWrap(True)
            layout.addWidget(label)
        self._known: object = None  # what the memory was last estimated for
        self._memory = self._refused = ""

    @property
    def kind(self) -> str:
        """Name of the chosen network, as the settings have it."""
        return str(self.box.currentData())

    def set_kind(self, kind: str) -> None:
        """Show a choice."""
        self.box.setCurrentIndex(self.box.findData(kind))

    def render(self, state: State, config: PretrainConfig, *, used: bool) -> None:  # type: ignore[override]
        """Draw what is known; `used`: whether the next training begins with this network.

        The engine is asked only when it is there, and not while it trains.
        """
        self.box.setEnabled(used and not state.busy)
        if not used:
            self._line.setText("Sizes go on with the network of the newest masks-only model.")
            self._warning.hide()
            return
        if not state.busy:
            self._estimate(state, config)
        self._line.setText(" ".join(filter(None, (NETWORKS[config.model][1], self._memory))))
        warning = self._refused or advice(config.model, state.typical_size)
        self._warning.setText(warning)
        self._warning.setVisible(bool(warning))

    def _estimate(self, state: State, config: PretrainConfig) -> None:
        training = [image for image in state.images if image.split == "train"]
        known = (state.engine, config, tuple((image.id, image.height, image.width) for image in training))
        if known == self._known:
            return
        self._known, self._memory, self._refused = known, "", ""
        if state.engine != "ready" or not training:
            return
        from napari_segsize.engine.fitting import forecast  # torch is there

        shape = max(image.height for image in training), max(image.width for image in training)
        try:
            self._memory = forecast(config, shape, training[0].channels)
        except SegsizeError as error:
            self._refused = str(error)
