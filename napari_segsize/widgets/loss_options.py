"""The options of the loss that is looked at: one editor a keyword parameter, rare ones folded away."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_segsize.widgets.editors import Editor, editor_for
from napari_segsize.widgets.form import title_of
from napari_segsize.widgets.reach import reachable

if TYPE_CHECKING:
    from napari_segsize.engine.loss_catalogue import LossEntry, LossOption

__all__ = ["LossOptions"]

_KINDS: dict[str, type] = {"switch": bool, "whole": int, "number": float, "choice": str}
_WRONG = "color: #e05050;"
_TITLES = {
    "spacing": "In the layer's unit",
    "ghosts": "Price of ghosts",
    "misses": "Price of misses",
    "dimensions": "Count (0 parts, 1 holes)",
}


class LossOptions(QWidget):
    """Edits the options of one loss at a time; remembers those of the others."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry: LossEntry | None = None
        self._kept: dict[str, dict[str, Any]] = {}
        self._editors: dict[str, Editor] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._content = QWidget()
        self._layout.addWidget(self._content)

    def show_options(self, entry: LossEntry) -> None:
        """Show the editors of a loss, as they were left."""
        if self._entry is not None:
            self._kept[self._entry.name] = self.values()
        self._entry = entry
        self._layout.removeWidget(self._content)
        self._content.hide()
        self._content.deleteLater()
        self._content = self._built(entry)
        self._layout.addWidget(self._content)
        reachable(self._content)
        self.setVisible(bool(entry.options))

    def values(self) -> dict[str, Any]:
        """Return what is set, by parameter."""
        return {name: editor.get() for name, editor in self._editors.items()}

    def editor(self, name: str) -> Editor:
        """Return the editor of a parameter."""
        return self._editors[name]

    def _built(self, entry: LossEntry) -> QWidget:
        content = QWidget(self)
        seen, rest = _rows(), _rows()
        self._editors = {}
        kept = self._kept.get(entry.name, {})
        for option in entry.options:
            editor = self._editors[option.name] = _editor(option)
            editor.set(kept.get(option.name, option.default))
            editor.changed.connect(self.changed)
            _add_row(rest if option.advanced else seen, option, editor.widget)
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        if seen.rowCount():
            layout.addLayout(seen)
        if rest.rowCount():
            inside = QWidget()
            inside.setLayout(rest)
            advanced = QCollapsible("Advanced", content, expandedIcon="▼", collapsedIcon="▶")
            advanced.setDuration(0)
            advanced.addWidget(inside)
            layout.addWidget(advanced)
        return content


class _Wholes(QLineEdit):
    """Several whole numbers, with commas between them."""

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._values: tuple[int, ...] = ()
        self.editingFinished.connect(self._on_finished)

    def get(self) -> tuple[int, ...]:
        return self._values

    def set(self, values: Any) -> None:
        self._values = tuple(int(each) for each in values)
        self.setText(", ".join(map(str, self._values)))

    def _on_finished(self) -> None:
        try:
            values = tuple(int(each) for each in self.text().replace(";", ",").split(",") if each.strip())
        except ValueError:
            values = ()
        self.setStyleSheet("" if values else _WRONG)
        if values and values != self._values:
            self._values = values
            self.edited.emit()


class _Optional(QWidget):
    """A value, or none: the loss then finds one by itself."""

    edited = Signal()

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self.automatic = QCheckBox("automatic")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(editor.widget, 1)
        row.addWidget(self.automatic)
        self.automatic.toggled.connect(editor.widget.setDisabled)
        self.automatic.toggled.connect(self.edited)
        editor.changed.connect(self._on_changed)

    def get(self) -> Any:
        return None if self.automatic.isChecked() else self._editor.get()

    def set(self, value: Any) -> None:
        self.automatic.setChecked(value is None)
        if value is not None:
            self._editor.set(value)

    def _on_changed(self, *_: object) -> None:
        if not self.automatic.isChecked():
            self.edited.emit()


def _editor(option: LossOption) -> Editor:
    if option.kind == "wholes":
        line = _Wholes()
        return Editor(line, line.get, line.set, line.edited)
    meta = {"min": 0, "max": None, "step": None, "unit": "", "choices": option.choices}
    editor = editor_for(_KINDS[option.kind], meta)
    if not option.optional:
        return editor
    editor.set(_FIRST.get(option.name, 1))
    both = _Optional(editor)
    return Editor(both, both.get, both.set, both.edited)


_FIRST: dict[str, Any] = {"patch": 64, "iterations": 10, "alpha": 0.25}
"""What an optional value begins with when "automatic" is taken off."""


def _rows() -> QFormLayout:
    rows = QFormLayout()
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return rows


def _add_row(rows: QFormLayout, option: LossOption, widget: QWidget) -> None:
    title = _TITLES.get(option.name, title_of(option.name))
    label = QLabel(title)
    tip = f"<p>{html.escape(option.help)}</p>"  # a paragraph: Qt wraps it
    for each in (label, widget):
        each.setToolTip(tip)
    widget.setAccessibleName(title)
    widget.setObjectName(option.name)
    rows.addRow(label, widget)
