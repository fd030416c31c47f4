"""The controls of the loss microscope: which loss, of what, and what to draw."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_segsize.widgets.editors import ignores_stray_wheel
from napari_segsize.widgets.loss_legend import Legend
from napari_segsize.widgets.loss_options import LossOptions
from napari_segsize.widgets.loss_sources import LayerBox
from napari_segsize.widgets.sentence import Sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_segsize.engine.loss_catalogue import LossEntry

__all__ = ["PARTS", "LossBox", "LossControls"]

PARTS = {
    "gradient": ("Gradient", "How the loss grows with each pixel: descending goes the other way."),
    "disks": ("Costliest disk of each radius", "Where a disk of each radius finds the largest error."),
    "normals": ("Normals of the true edge", "Along these strokes, only the highest pixel may stay."),
    "marks": ("Centres", "White cross: the true centre. Pink x: that of the probabilities."),
    "pixels": (
        "Critical pixels",
        "Where parts and holes appear (disc) and go (x). Green: in the target; orange: not.",
    ),
}
"""Title and tool tip of what can be drawn beside maps."""
_KINDS = {
    "automatic": ("auto", "Labels are a mask; numbers from 0 to 1 are probabilities, others logits."),
    "probabilities": ("probabilities", "From 0 to 1; whole numbers of 8 or 16 bits are shares."),
    "logits": ("logits", "Before the sigmoid: above 0 is object."),
    "a mask": ("mask", "Whatever is not 0 is object."),
}
_SLOPES = {
    "probabilities": "Of the probabilities: what each pixel should do.",
    "logits": "Of the logits: what a network feels. It fades where the network is sure.",
}


class LossBox(QComboBox):
    """Chooses a loss; groups have a heading, and what cannot be looked at is grey and says why."""

    def __init__(self) -> None:
        super().__init__()
        self.addItem("Loading the catalogue …")
        self.setEnabled(False)
        self.setMaxVisibleItems(32)  # all, with their headings
        self.setStyleSheet("combobox-popup: 0;")  # without it, the list covers the screen

    def offer(self, entries: Sequence[LossEntry], first: str) -> None:
        """Show the catalogue."""
        model, group = QStandardItemModel(self), ""
        for entry in entries:
            if entry.group != group:
                group = entry.group
                heading = QStandardItem(group)
                heading.setFlags(Qt.ItemFlag.NoItemFlags)
                font = heading.font()
                font.setBold(True)
                heading.setFont(font)
                model.appendRow(heading)
            item = QStandardItem(entry.title)
            item.setData(entry, Qt.ItemDataRole.UserRole)
            item.setToolTip(f"<p>{html.escape(entry.reason or entry.advice)}</p>")
            if entry.reason:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            model.appendRow(item)
        self.blockSignals(True)
        self.setModel(model)
        self.blockSignals(False)
        self.setEnabled(True)
        self.choose(first)

    def choose(self, name: str) -> None:
        """Choose a loss by its name."""
        for index in range(self.count()):
            data = self.itemData(index)
            if data is not None and data.name == name:
                self.setCurrentIndex(index)

    @property
    def entry(self) -> LossEntry | None:
        """The loss that is chosen."""
        entry: LossEntry | None = self.currentData()
        return entry


class LossControls(QWidget):
    """Built, and connected to nothing but itself."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss, self.options = LossBox(), LossOptions()
        self.prediction, self.target = LayerBox(), LayerBox()
        self.kind, self.slope = _choices(_KINDS), QComboBox()
        self.advice, self.notices, self.value = Sentence("advice"), Sentence("notices"), QLabel()
        self.change = QLabel()
        self.copy = QPushButton("Paint a copy")
        self.clear = QPushButton("Clear the image")
        self.legend = Legend()
        self.checks: dict[str, QCheckBox] = {}
        self.step, self.step_label = QSlider(Qt.Orientation.Horizontal), QLabel()
        self._build()
        self.say("–", "", "")

    def say(self, value: str, change: str, notices: str) -> None:
        """Write the loss, how it has changed, and what there is to know of it."""
        # napari's style sheet overrules the font of a label, but not of its text
        self.value.setText(f'Loss <b style="font-size: 16pt;">{html.escape(value)}</b>')
        self.change.setText(change)
        self.notices.setText(notices)
        self.notices.setVisible(bool(notices))

    def _build(self) -> None:
        self.slope.addItems(list(_SLOPES))
        for row, tip in enumerate(_SLOPES.values()):
            self.slope.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
        self.value.setTextFormat(Qt.TextFormat.RichText)
        self.copy.setToolTip(
            "Make labels of this prediction (without one, of the target), and take up the brush: "
            "the loss follows every stroke."
        )
        self.clear.setToolTip("Take all drawings of the loss off the image.")
        self.target.setToolTip("What the loss learns from; for sizes, centres and boxes those of its mask.")
        for box in (self.loss, self.prediction, self.target, self.kind, self.slope, self.step):
            ignores_stray_wheel(box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(9, 4, 9, 9)
        layout.addLayout(self._form())
        layout.addWidget(self.options)
        number = QHBoxLayout()
        number.addWidget(self.value)
        number.addWidget(self.change, 1)
        layout.addLayout(number)
        layout.addWidget(self.notices)
        self.diagram_place = QVBoxLayout()
        layout.addLayout(self.diagram_place)
        layout.addWidget(self._drawn())

    def _form(self) -> QFormLayout:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Loss", self.loss)
        form.addRow(self.advice)
        row = QHBoxLayout()
        row.addWidget(self.prediction, 1)
        row.addWidget(self.copy)
        form.addRow("Prediction", row)
        form.addRow("Its numbers are", self.kind)
        form.addRow("Target", self.target)
        self.rows = form
        return form

    def _drawn(self) -> QGroupBox:
        box = QGroupBox("On the image")
        layout = QVBoxLayout(box)
        layout.setSpacing(3)
        row = QHBoxLayout()
        self.checks["gradient"] = self._check("gradient", *PARTS["gradient"])
        self.checks["gradient"].setChecked(True)
        row.addWidget(self.checks["gradient"])
        row.addWidget(QLabel("by the"))
        row.addWidget(self.slope, 1)
        layout.addLayout(row)
        layout.addWidget(self.legend)
        self._more = QVBoxLayout()
        self._more.setSpacing(3)
        layout.addLayout(self._more)
        steps = QHBoxLayout()
        steps.addWidget(self.step_label)
        steps.addWidget(self.step, 1)
        layout.addLayout(steps)
        layout.addWidget(self.clear)
        self.show_steps(1, "")
        return box

    def _check(self, name: str, title: str, tip: str) -> QCheckBox:
        check = QCheckBox(title)
        check.setObjectName(name)
        check.setToolTip(f"<p>{html.escape(tip)}</p>")
        return check

    def show_checks(self, parts: Sequence[tuple[str, str, str]], ticked: set[str]) -> list[QCheckBox]:
        """Show a box for each (name, title, tip) beside the gradient's; return those that are new."""
        if [name for name, _, _ in parts] == [name for name in self.checks if name != "gradient"]:
            return []
        for name in [name for name in self.checks if name != "gradient"]:
            old = self.checks.pop(name)
            self._more.removeWidget(old)
            old.hide()
            old.deleteLater()
        new = []
        for name, title, tip in parts:
            check = self.checks[name] = self._check(name, title, tip)
            check.setChecked(name in ticked)
            self._more.addWidget(check)
            new.append(check)
        return new

    def show_steps(self, count: int, text: str) -> None:
        """Offer a step of maps that have several."""
        self.step.blockSignals(True)
        self.step.setRange(0, count - 1)
        self.step.blockSignals(False)
        for each in (self.step, self.step_label):
            each.setVisible(count > 1)
        self.step_label.setText(text)


def _choices(entries: dict[str, tuple[str, str]]) -> QComboBox:
    box = QComboBox()
    for row, (title, (data, tip)) in enumerate(entries.items()):
        box.addItem(title, data)
        box.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
    return box
