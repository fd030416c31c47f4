"""The table of a project's images: name, group, part, and how much has been said about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_segsize.project.annotation import Counts, ImageRecord
from napari_segsize.widgets.state import State
from napari_segsize.widgets.tally import ImageCounts

__all__ = ["ImageTable", "ImageTableModel"]

COLUMNS = ("Image", "Group", "Part", "Masks", "Sizes", "Contours")
_TIPS = (
    "Double-click to show the image. !: its file is missing. ≠: its file has changed since it was added.",
    "The subject, patient, eye… an image belongs to; one group is never torn apart. Double-click to change.",
    "train: to learn from. validation: to choose the best model. test: only to compare models.",
    "Painted masks (slices)",
    "Size stamps",
    "Accepted contours; + objects that were clicked and are not accepted yet.",
)
_GROUP = 1
_SORT = Qt.ItemDataRole.UserRole


class ImageTableModel(QAbstractTableModel):
    """Rows of a `State`; groups can be edited."""

    group_edited = Signal(int, str)  # image, new group

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._images: Sequence[ImageRecord] = ()
        self._counts: Mapping[int, ImageCounts] = {}
        self._missing: frozenset[int] = frozenset()
        self._changed: frozenset[int] = frozenset()
        self._waiting = False

    def show_state(self, state: State) -> None:
        """Take over what a state says; the selection stays where the rows do."""
        same_rows = [image.id for image in self._images] == [image.id for image in state.images]
        if not same_rows:
            self.beginResetModel()
        self._waiting = _said(state.counts) and not state.image_counts  # counted in the background
        shown = (self._images, self._counts, self._missing, self._changed)
        wanted = (state.images, state.image_counts, state.missing, state.changed)
        self._images, self._counts, self._missing, self._changed = wanted
        if not same_rows:
            self.endResetModel()
        elif shown != wanted and self._images:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._images) - 1, len(COLUMNS) - 1))

    def image_at(self, row: int) -> ImageRecord:
        """Return the record of a row."""
        return self._images[row]

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  Qt's name
        """Return the number of images."""
        return 0 if parent is not None and parent.isValid() else len(self._images)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802  Qt's name
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802
        """Name and explain a column."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return _TIPS[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        image = self._images[index.row()]
        lost = image.id in self._missing
        if role in (Qt.ItemDataRole.DisplayRole, _SORT, Qt.ItemDataRole.EditRole):
            return self._value(image, index.column(), plain=role != Qt.ItemDataRole.DisplayRole)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(image, lost=lost)
        if role == Qt.ItemDataRole.ForegroundRole and lost:
            return QBrush(QColor("#e05050"))
        if role == Qt.ItemDataRole.ForegroundRole and image.id in self._changed:
            return QBrush(QColor("#e0a030"))
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() > 2:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Let groups be edited."""
        editable = Qt.ItemFlag.ItemIsEditable if index.column() == _GROUP else Qt.ItemFlag.NoItemFlags
        return super().flags(index) | editable

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802
        """Report an edited group; the next state brings it here."""
        image, group = self._images[index.row()], str(value).strip()
        if role != Qt.ItemDataRole.EditRole or index.column() != _GROUP or group in ("", image.group):
            return False
        self.group_edited.emit(image.id, group)
        return True

    def _value(self, image: ImageRecord, column: int, *, plain: bool) -> Any:
        counts = self._counts.get(image.id, ImageCounts())
        if self._waiting and not plain and column > 2:
            return "…"
        mark = "! " if image.id in self._missing else "≠ " if image.id in self._changed else ""
        name = image.name if plain else f"{mark}{image.name}"
        sizes = str(counts.sizes) if counts.sizes or not counts.no_object else "none here"
        contours = f"{counts.contours} + {counts.begun}" if counts.begun else str(counts.contours)
        numbers = (counts.masks, counts.sizes, counts.contours) if plain else (counts.masks, sizes, contours)
        return (name, image.group, image.split, *numbers)[column]

    def _tip(self, image: ImageRecord, *, lost: bool) -> str:
        shape = f"{image.height} x {image.width}" + (f", {image.planes} slices" if image.planes > 1 else "")
        spacing = (
            ""
            if image.unit == "pixel"
            else f"; pixels of {image.spacing[1]:g} x {image.spacing[2]:g} {image.unit}"
        )
        gone = "\nThe file is missing: press Relink." if lost else ""
        if not lost and image.id in self._changed:
            gone = "\nThe file has changed since it was added: put it back, or press Use changed file."
        return (
            f"{image.path}\n{shape}, {image.dtype}{spacing}"
            + gone
            + "".join(f"\n{w}" for w in image.warnings)
        )


def _said(counts: Counts | None) -> bool:
    return counts is not None and counts.masks + counts.sizes + counts.points + counts.contours > 0


class ImageTable(QTableView):
    """The table, sortable; rows are chosen as in a file manager."""

    image_activated = Signal(int)  # double click, or Enter
    group_edited = Signal(int, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = ImageTableModel(self)
        self._model.group_edited.connect(self.group_edited)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(_SORT)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        trigger = QAbstractItemView.EditTrigger
        self.setEditTriggers(trigger.DoubleClicked | trigger.EditKeyPressed)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setMinimumHeight(150)
        self.setShowGrid(False)
        self.doubleClicked.connect(self._on_double_clicked)
        side, top = self.verticalHeader(), self.horizontalHeader()
        if side is not None and top is not None:
            side.hide()
            side.setDefaultSectionSize(side.fontMetrics().height() + 6)
            top.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            for column in (0, _GROUP):  # both: a long group would leave nothing for the name
                top.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def show_state(self, state: State) -> None:
        """Show the images of a state."""
        self._model.show_state(state)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802  Qt's name
        """Show the image of the current row on Enter."""
        index = self.currentIndex()
        if event is None or event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter) or not index.isValid():
            super().keyPressEvent(event)
            return
        self.image_activated.emit(self._model.image_at(self._sorted.mapToSource(index).row()).id)

    def selected(self) -> tuple[ImageRecord, ...]:
        """Return the chosen images, as sorted in the table."""
        selection = self.selectionModel()
        rows = (
            sorted(selection.selectedRows(), key=lambda index: index.row()) if selection is not None else []
        )
        return tuple(self._model.image_at(self._sorted.mapToSource(index).row()) for index in rows)

    def _on_double_clicked(self, index: QModelIndex) -> None:
        if index.column() != _GROUP:
            self.image_activated.emit(self._model.image_at(self._sorted.mapToSource(index).row()).id)
