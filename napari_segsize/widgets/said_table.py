"""What has been said about the plane on screen, a line each, with a button to take it back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QWidget,
)

from napari_segsize.project.annotation import object_size_of

if TYPE_CHECKING:
    from napari_segsize.project.annotation import PlaneAnnotation, SizeStamp

__all__ = ["SaidTable"]


class SaidTable(QTableWidget):
    """Sizes, mask, marks."""

    deleted = Signal(str)
    """what `Controller.delete` takes: an object, "mask", "no_object", "skip\""""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 3, parent)
        self.setHorizontalHeaderLabels(["Size", "Where", ""])
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFixedHeight(130)
        down, across = self.verticalHeader(), self.horizontalHeader()
        assert down is not None
        assert across is not None
        down.hide()
        across.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        across.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)

    def show_said(self, said: PlaneAnnotation | None) -> None:
        """Fill the table."""
        rows = [] if said is None else _rows(said)
        self.setRowCount(len(rows))
        for index, (size, where, what) in enumerate(rows):
            self.setItem(index, 0, QTableWidgetItem(size))
            self.setItem(index, 1, QTableWidgetItem(where))
            button = QToolButton()
            button.setText("✕")
            button.setAutoRaise(True)
            button.setToolTip("Take this back (Undo brings it back again)")
            button.clicked.connect(partial(self._on_deleted, what))
            self.setCellWidget(index, 2, button)

    def _on_deleted(self, what: str, _checked: bool = False) -> None:
        self.deleted.emit(what)


def _rows(said: PlaneAnnotation) -> list[tuple[str, str, str]]:
    rows = [(_size(stamp), _where(stamp), stamp.object) for stamp in said.stamps]
    if said.mask is not None:
        labels = int(np.count_nonzero(np.unique(said.mask)))
        objects = f"mask, {labels} labels" if labels > 1 else "mask"
        rows.append((f"{object_size_of(said.mask != 0):g} px", objects, "mask"))
    if said.no_object:
        rows.append(("0 px", "no object here", "no_object"))
    if said.skipped:
        rows.append(("-", "skipped", "skip"))
    return rows


def _size(stamp: SizeStamp) -> str:
    pixels = f"{stamp.size:g} px"
    return pixels if stamp.unit == "px" else f"{pixels} ({stamp.entered:.4g} {stamp.unit})"


def _where(stamp: SizeStamp) -> str:
    return "size without a place" if stamp.centre is None else "y {:.0f}, x {:.0f}".format(*stamp.centre)
