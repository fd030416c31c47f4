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
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_segsize.engine.loss_prediction import MOST_VERTICES, VERTICES
from napari_segsize.widgets.editors import ignores_stray_wheel
from napari_segsize.widgets.loss_legend import Legend
from napari_segsize.widgets.loss_options import LossOptions
from napari_segsize.widgets.loss_sources import LayerBox
from napari_segsize.widgets.loss_words import COPIES, KINDS, PARTS, PREDICTIONS, SLOPES
from napari_segsize.widgets.sentence import Sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_segsize.engine.loss_catalogue import LossEntry

__all__ = ["LossBox", "LossControls"]


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
        self.kind, self.slope, self.vertices = QComboBox(), QComboBox(), VertexCount()
        self._acts_on, self._kinds = "", {}  # type: str, dict[str, int]
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

    @property
    def vertex_count(self) -> int:
        """How many vertices a contour is to have; 0: as there are."""
        return 0 if self.vertices.value() == self.vertices.minimum() else self.vertices.value()

    def show_for(self, acts_on: str) -> None:
        """Offer what goes with a loss on pixels, edges, contours, level sets or fields."""
        if acts_on != self._acts_on:
            self._kinds[self._acts_on] = self.kind.currentIndex()
            self._acts_on = acts_on
            self.kind.blockSignals(True)
            self.kind.clear()
            for row, (title, (data, tip)) in enumerate(KINDS.get(acts_on, {}).items()):
                self.kind.addItem(title, data)
                self.kind.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
            self.kind.setCurrentIndex(max(0, self._kinds.get(acts_on, 0)))
            self.kind.blockSignals(False)
        title, tip = PREDICTIONS[acts_on]
        self._subject.setText(title)
        self.prediction.setToolTip(f"<p>{tip}</p>")
        self.rows.setRowVisible(self.vertices, acts_on == "contour")
        for each in (self._by, self.slope):
            each.setVisible(acts_on in ("pixels", "edges"))
        self.copy.setText("Draw a copy" if acts_on == "contour" else "Paint a copy")
        self.copy.setToolTip(COPIES["contour" if acts_on == "contour" else "pixels"])

    def _build(self) -> None:
        self.slope.addItems(list(SLOPES))
        for row, tip in enumerate(SLOPES.values()):
            self.slope.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)
        self.value.setTextFormat(Qt.TextFormat.RichText)
        self.clear.setToolTip("Take all drawings of the loss off the image.")
        self.target.setToolTip("What the loss learns from; for sizes, centres and boxes those of its mask.")
        boxes = (self.loss, self.prediction, self.target, self.kind, self.slope, self.step, self.vertices)
        for box in boxes:
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
        self.show_for("pixels")

    def _form(self) -> QFormLayout:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Loss", self.loss)
        form.addRow(self.advice)
        row = QHBoxLayout()
        row.addWidget(self.prediction, 1)
        row.addWidget(self.copy)
        self._subject = QLabel("Prediction")
        form.addRow(self._subject, row)
        form.addRow("Vertices", self.vertices)
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
        self._by = QLabel("by the")
        row.addWidget(self._by)
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


class VertexCount(QSpinBox):
    """How many vertices a contour has: as there are, or a number of them at equal steps."""

    def __init__(self) -> None:
        super().__init__()
        self.setRange(2, MOST_VERTICES)
        self.setSpecialValueText("as drawn")
        self.setKeyboardTracking(False)
        self.setToolTip(
            f"<p>As drawn (an outline of pixels gets {VERTICES}), or so many at equal steps along it.</p>"
        )
