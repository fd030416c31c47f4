"""Two ways to type a size: the side of the square, and a size without a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QLineEdit, QWidget

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import parse_size

if TYPE_CHECKING:
    from napari_segsize.project.annotation import ImageRecord

__all__ = ["SizeEntry"]


class SizeEntry(QWidget):
    """Side, unit, and the line for a size without a place."""

    side_entered = Signal(float)
    """pixels, even"""
    size_entered = Signal(str, str)
    """(text, unit) of a size without a place"""
    unit_changed = Signal(str)
    told = Signal(str)
    """A sentence: how a number was rounded, or why it cannot be."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record: ImageRecord | None = None
        self._side = 16.0
        self.side, self.unit, self.loose = QDoubleSpinBox(), QComboBox(), QLineEdit()
        self.side.setObjectName("side")
        self.loose.setObjectName("loose_size")
        self.side.setKeyboardTracking(False)
        self.side.setToolTip(
            "Side of the square. Shift + wheel over the picture, or + and -, change it, too."
        )
        for field in (self.side, self.loose):
            field.setMinimumWidth(60)
        self.loose.setPlaceholderText("number, then Enter")
        self.loose.setToolTip("The size of the object in this image when you do not want to say where it is.")
        self.unit.addItem("px")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Side of the square"), 0, 0)
        layout.addWidget(self.side, 0, 1)
        layout.addWidget(self.unit, 0, 2)
        layout.addWidget(QLabel("Size without a place"), 1, 0)
        layout.addWidget(self.loose, 1, 1, 1, 2)
        layout.setColumnStretch(1, 1)
        self._limit()
        self.side.valueChanged.connect(self._on_side)
        self.unit.currentTextChanged.connect(self._on_unit)
        self.loose.returnPressed.connect(self._on_loose)

    def set_record(self, record: ImageRecord | None) -> None:
        """Offer the units of an image, and no larger size than it has room for."""
        if record == self._record:
            return
        self._record = record
        units = ["px"] if record is None or record.unit == "pixel" else ["px", record.unit]
        if units != [self.unit.itemText(index) for index in range(self.unit.count())]:
            self.unit.clear()
            self.unit.addItems(units)
        self._limit()

    def set_side(self, pixels: float) -> None:
        """Show a side that was chosen elsewhere."""
        self._side = pixels
        self.side.blockSignals(True)
        self.side.setValue(pixels * self._factor)
        self.side.blockSignals(False)

    @property
    def _factor(self) -> float:
        """Length of a pixel in the chosen unit."""
        if self._record is None or self.unit.currentText() == "px":
            return 1.0
        return self._record.spacing[-1]

    def _limit(self) -> None:
        physical = self.unit.currentText() != "px"
        largest = 4096.0 if self._record is None else 2.0 * ((max(self._record.shape) + 1) // 2)
        self.side.blockSignals(True)
        self.side.setDecimals(3 if physical else 0)
        self.side.setRange(0, largest * self._factor)
        self.side.setSingleStep(2 * self._factor)
        self.side.blockSignals(False)
        self.set_side(self._side)

    def _on_side(self, value: float) -> None:
        record, unit = self._record, self.unit.currentText()
        try:
            size = parse_size(
                value, unit, (1.0, 1.0) if record is None else record.spacing[-2:],
                () if record is None else record.shape, image_unit=None if record is None else record.unit,
            )  # fmt: skip
        except SegsizeError as error:
            self.told.emit(str(error))
            self.set_side(self._side)
            return
        if size.rounded:
            self.told.emit(f"{value:g} px became {size.size:g} px: sizes are even, odd ones are rounded up.")
        self.set_side(size.size)
        self.side_entered.emit(size.size)

    def _on_unit(self, unit: str) -> None:
        if unit:
            self._limit()
            self.unit_changed.emit(unit)

    def _on_loose(self) -> None:
        text = self.loose.text().strip()
        if text:
            self.size_entered.emit(text, self.unit.currentText())
