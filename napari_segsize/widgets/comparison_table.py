"""The table of models that were compared on the same held-out images."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_segsize.engine.events import Comparison

__all__ = ["ComparisonTable"]

_COLUMNS = ("Learned from", "IoU", "Dice", "Size error", "Planes")


class ComparisonTable(QTableWidget):
    """One row a model; the best is bold. Hidden while there is nothing to compare."""

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self.setHorizontalHeaderLabels(list(_COLUMNS))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        side, top = self.verticalHeader(), self.horizontalHeader()
        if side is not None and top is not None:
            side.hide()
            side.setDefaultSectionSize(side.fontMetrics().height() + 6)
            top.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            top.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Show the models of a comparison."""
        rows = comparison.rows if comparison is not None else ()
        names = comparison.names() if comparison is not None else ()
        self.setVisible(bool(rows))
        self.setRowCount(len(rows))
        best = max((row.iou for row in rows if math.isfinite(row.iou)), default=math.nan)
        for number, row in enumerate(rows):
            error = math.sqrt(row.size_error) if row.size_error >= 0 else math.nan
            cells = (
                names[number],
                _figure(row.iou),
                _figure(row.dice),
                _figure(error, " px", 1),
                str(row.images),
            )
            for column, text in enumerate(cells):
                self.setItem(
                    number, column, _cell(text, bold=row.iou == best and len(rows) > 1, right=column > 0)
                )
        self._fit()

    def _fit(self) -> None:
        """Make the table as high as its rows: a scroll bar in a scrolled page is a trap."""
        header = self.horizontalHeader()
        height = sum(self.rowHeight(row) for row in range(self.rowCount()))
        self.setFixedHeight(height + (header.sizeHint().height() if header is not None else 0) + 4)


def _cell(text: str, *, bold: bool, right: bool) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    font = item.font()
    font.setBold(bold)
    item.setFont(font)
    if right:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item


def _figure(value: float, unit: str = "", digits: int = 3) -> str:
    return f"{value:.{digits}f}{unit}" if math.isfinite(value) else "–"
