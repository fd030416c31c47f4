"""Sizes and centroids of the objects of one plane, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_segsize.engine.microscope import Inspection, ObjectView
    from napari_segsize.project.annotation import SizeStamp

__all__ = ["ObjectTable", "entered_sizes"]

_COLUMNS = ("#", "Size", "Entered", "Predicted", "Centre", "Soft centre")
_MOST = 500  # rows; more are of no use to anybody and slow to build


class ObjectTable(QTableWidget):
    """A click on a line asks for the gradient of that object."""

    focused = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        self.setHorizontalHeaderLabels(list(_COLUMNS))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setFixedHeight(130)
        self.setToolTip("Sizes in pixels; centres as y, x. Click a line to see the gradient of that object.")
        down, across = self.verticalHeader(), self.horizontalHeader()
        assert down is not None
        assert across is not None
        down.hide()
        across.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        across.setStretchLastSection(True)
        self._labels: list[int] = []
        self.itemSelectionChanged.connect(self._on_selected)

    def show_objects(
        self, seen: Inspection, entered: Mapping[int, float], predicted: Mapping[int, float]
    ) -> None:
        """Fill the table; the object in focus is marked."""
        with QSignalBlocker(self):
            objects = seen.objects[:_MOST]
            self._labels = [each.label for each in objects]
            self.setRowCount(len(objects))
            for row, each in enumerate(objects):
                for column, text in enumerate(_row(each, entered, predicted)):
                    self.setItem(row, column, QTableWidgetItem(text))
            self.clearSelection()
            if seen.focus in self._labels:
                self.selectRow(self._labels.index(seen.focus))

    def _on_selected(self) -> None:
        rows = {item.row() for item in self.selectedItems()}
        if len(rows) == 1:
            self.focused.emit(self._labels[rows.pop()])


def entered_sizes(seen: Inspection, stamps: Sequence[SizeStamp]) -> dict[int, float]:
    """Match stamps to objects: by the place, and one without a place to the only or largest object."""
    found: dict[int, float] = {}
    for stamp in stamps:
        if stamp.centre is not None:
            label = _label_at(seen.labels, stamp.centre)
            if label:
                found[label] = stamp.size
        elif seen.objects:
            found.setdefault(max(seen.objects, key=lambda each: each.size).label, stamp.size)
    return found


def _label_at(labels: NDArray[np.int32], centre: tuple[float, float]) -> int:
    y, x = (min(max(round(at), 0), side - 1) for at, side in zip(centre, labels.shape, strict=True))
    return int(labels[y, x])


def _row(each: ObjectView, entered: Mapping[int, float], predicted: Mapping[int, float]) -> tuple[str, ...]:
    return (
        str(each.label),
        f"{each.size:g}",
        _pixels(entered.get(each.label)),
        _pixels(predicted.get(each.label)),
        "{:.1f}, {:.1f}".format(*each.hard_centroid),
        "{:.1f}, {:.1f}".format(*each.soft_centroid),
    )


def _pixels(size: float | None) -> str:
    return "-" if size is None else f"{size:g}"
