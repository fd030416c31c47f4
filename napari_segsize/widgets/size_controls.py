"""The controls of the size microscope: what to look at, what is known of it, what to draw."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_segsize.widgets.gradient_strip import GradientStrip
from napari_segsize.widgets.object_table import ObjectTable
from napari_segsize.widgets.sentence import Sentence

__all__ = ["SAMPLES", "SizeControls"]

SAMPLES = (1, 8, 64, 512)
_PARTS = {
    "distance": (
        "Distance",
        "How many steps (diagonals count as one) each pixel is away from the background.",
    ),
    "squares": (
        "Largest squares",
        "The largest squares that fit inside. Their side is the size of the object.",
    ),
    "centres": (
        "Centroids",
        "White cross: centre of the mask. Pink x: centre of the probabilities, pulled by the background.",
    ),
    "gradient": (
        "Size gradient",
        "What learning from the size asks for. Blue: become object; red: background; clear: no matter.",
    ),
    "outline": ("Outline", "The object that the gradient belongs to."),
}


class SizeControls(QWidget):
    """Built, and connected to nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.source, self.target, self.confidence = (
            QComboBox(),
            QDoubleSpinBox(),
            QSlider(Qt.Orientation.Horizontal),
        )
        self.checks = {role: QCheckBox(title) for role, (title, _) in _PARTS.items()}
        self.table, self.strip = ObjectTable(), GradientStrip(SAMPLES)
        self.about, self.sampled, self.assumed = (
            Sentence("about"),
            Sentence("sampled"),
            Sentence("assumed"),
        )
        self._build()

    def _build(self) -> None:
        self.target.setRange(0, 100_000)
        self.target.setSingleStep(2)
        self.target.setDecimals(0)
        self.target.setSpecialValueText("as entered")
        self.target.setKeyboardTracking(False)
        self.target.setToolTip(
            "The true size that the gradient pulls towards; the entered one unless you choose another."
        )
        self.confidence.setRange(1, 24)
        self.confidence.setValue(8)
        self.confidence.setToolTip(
            "Logits of +L inside and -L outside: the larger L, the fewer stray pixels in a sample."
        )
        for role, check in self.checks.items():
            check.setChecked(role in ("squares", "centres", "gradient", "outline"))
        form = QFormLayout()
        form.addRow("Look at", self.source)
        form.addRow("Pull towards size", self.target)
        row = QHBoxLayout()
        self.level = QLabel()
        row.addWidget(self.confidence, 1)
        row.addWidget(self.level)
        form.addRow("Confidence L", row)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.assumed)
        layout.addWidget(self.table)
        layout.addWidget(self._gradient_box())
        layout.addWidget(self._drawn_box())
        layout.addStretch(1)

    def _drawn_box(self) -> QGroupBox:
        box = QGroupBox("On the image")
        layout = QVBoxLayout(box)
        layout.setSpacing(2)
        for role, check in self.checks.items():
            check.setObjectName(role)
            layout.addWidget(check)
            text = Sentence(f"{role}_text", _PARTS[role][1])
            text.setIndent(20)
            text.setEnabled(False)
            layout.addWidget(text)
        return box

    def _gradient_box(self) -> QGroupBox:
        box = QGroupBox("Sampled size gradient: n masks averaged")
        layout = QVBoxLayout(box)
        layout.addWidget(self.strip)
        layout.addWidget(self.sampled)
        return box
