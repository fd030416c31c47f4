"""The table of the objects of one plane: where each of them stands."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_segsize.widgets.contour_state import Board, Outline

__all__ = ["ContourTable", "ContourTableModel", "standing"]

COLUMNS = ("#", "State", "From")
_COLOURS = {"review": "#ffd400", "accepted": "#5ad1ff", "failed": "#ff6b6b", "clicking": "#ff8c1a"}
_SOURCES = {
    "network": "network",
    "snake": "classical snake",
    "levelset": "level set",
    "refined": "refined",
    "drawn": "drawn",
    "import": "imported",
}


def standing(each: Outline) -> str:
    """Say where an object stands."""
    if each.status == "clicking":
        return f"clicking {len(each.points)}/4"
    if each.status == "review":
        return "to review" + (" (!)" if each.note else "")
    return f"failed: {each.note}" if each.status == "failed" else each.status


class ContourTableModel(QAbstractTableModel):
    """Rows of a `Board`; one that changes is drawn alone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._objects: tuple[Outline, ...] = ()

    def show_board(self, board: Board) -> None:
        """Take over what a board says."""
        before, self._objects = self._objects, board.objects
        if [each.object for each in before] != [each.object for each in board.objects]:
            self.beginResetModel()
            self.endResetModel()
            return
        for row, (old, new) in enumerate(zip(before, board.objects, strict=True)):
            if old is not new:
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def row_of(self, name: str) -> int:
        """Return the row of an object, -1 if there is none."""
        return next((row for row, each in enumerate(self._objects) if each.object == name), -1)

    def object_at(self, row: int) -> Outline:
        """Return the object of a row."""
        return self._objects[row]

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  Qt's name
        """Return the number of objects."""
        return 0 if parent is not None and parent.isValid() else len(self._objects)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  Qt's name
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802
        """Name a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        each = self._objects[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return (str(each.number), standing(each), _SOURCES.get(each.source, ""))[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return each.note or None
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 1 and each.status in _COLOURS:
            return QBrush(QColor(_COLOURS[each.status]))
        return None


class ContourTable(QTableView):
    """A click on a line selects the object; the line of the selected object is marked."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = ContourTableModel(self)
        self.setModel(self._model)
        self.setObjectName("objects")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setFixedHeight(170)
        side, top = self.verticalHeader(), self.horizontalHeader()
        if side is not None and top is not None:
            side.hide()
            side.setDefaultSectionSize(side.fontMetrics().height() + 6)
            top.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
            top.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
            top.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        selection = self.selectionModel()
        assert selection is not None
        self._selection: QItemSelectionModel = selection
        self._selection.currentRowChanged.connect(self._on_row)
        self._meant = ""

    def show_board(self, board: Board) -> None:
        """Show the objects, and which of them is meant."""
        with QSignalBlocker(self._selection):
            self._model.show_board(board)
            row, now = self._model.row_of(board.focus), self._selection.currentIndex().row()
            if row != now or not self._selection.hasSelection():
                flag = QItemSelectionModel.SelectionFlag
                index = self._model.index(row, 0)
                self._selection.setCurrentIndex(index, flag.ClearAndSelect | flag.Rows)
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()  # the blocked signals would have done it
        if row >= 0 and board.focus != self._meant:
            self.scrollTo(self._model.index(row, 0))
        self._meant = board.focus

    def _on_row(self, now: QModelIndex, _before: QModelIndex) -> None:
        if now.isValid():
            self.chosen.emit(self._model.object_at(now.row()).object)
