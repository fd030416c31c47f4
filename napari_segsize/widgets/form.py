"""A form for a frozen config dataclass: one editor per field, made from what the field says about itself."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, Generic, TypeVar, get_type_hints

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_segsize.engine.option import settings
from napari_segsize.widgets.editors import Editor, editor_for

__all__ = ["Form", "title_of"]

ConfigT = TypeVar("ConfigT")
_RED = "color: #e05050;"


class Form(QWidget, Generic[ConfigT]):
    """Edits one config.

    Parameters
    ----------
    kind : type
        A frozen dataclass whose fields were made by `napari_segsize.engine.option.option`.
    main : names, optional
        Fields that are always seen; the others wait under "Advanced". By default those not marked `advanced`.
    hidden : names
        Fields without an editor: they keep the value of `set_config`.
    """

    changed = Signal()  # the user (or `set_config`) changed something and the whole is valid

    def __init__(
        self,
        kind: type[ConfigT],
        *,
        main: Collection[str] | None = None,
        hidden: Collection[str] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._kind = kind
        self._editors: dict[str, Editor] = {}
        self._kept: dict[str, Any] = {}
        self._quiet = False
        self._problem = QLabel()
        self._problem.setStyleSheet(_RED)
        self._problem.setWordWrap(True)
        self._problem.hide()
        self._build(main, hidden)
        self.set_config(kind())

    def config(self) -> ConfigT:
        """Read the editors.

        Raises
        ------
        ValueError
            When the values do not go together; the form says so in red.
        """
        values = {name: editor.get() for name, editor in self._editors.items()}
        return self._kind(**self._kept, **values)

    def set_config(self, config: ConfigT) -> None:
        """Show a config."""
        self._quiet = True
        try:
            for item in fields(config):  # type: ignore[arg-type]  # a dataclass, see above
                value = getattr(config, item.name)
                if item.name in self._editors:
                    self._editors[item.name].set(value)
                else:
                    self._kept[item.name] = value
        finally:
            self._quiet = False
        self._on_changed()

    def editor(self, name: str) -> QWidget:
        """Return the widget that edits a field."""
        return self._editors[name].widget

    def _build(self, main: Collection[str] | None, hidden: Collection[str]) -> None:
        hints = get_type_hints(self._kind)
        seen, rest = _rows(), _rows()
        for item in settings(self._kind):
            if item.name in hidden:
                continue
            editor = self._editors[item.name] = editor_for(hints[item.name], item.metadata)
            editor.changed.connect(self._on_changed)
            is_main = not item.metadata["advanced"] if main is None else item.name in main
            _add_row(seen if is_main else rest, item.name, item.metadata, editor.widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(seen)
        if rest.rowCount():
            inside = QWidget()
            inside.setLayout(rest)
            advanced = QCollapsible("Advanced", self, expandedIcon="▼", collapsedIcon="▶")
            advanced.setDuration(0)
            advanced.addWidget(inside)
            layout.addWidget(advanced)
        layout.addWidget(self._problem)

    def _on_changed(self) -> None:
        if self._quiet:
            return
        try:
            self.config()
        except ValueError as error:
            self._problem.setText(str(error))
            self._problem.show()
            return
        self._problem.hide()
        self.changed.emit()


def title_of(name: str) -> str:
    """Return a field's name as people write it: ``learning_rate`` is "Learning rate"."""
    return name.replace("_", " ").capitalize()


def _rows() -> QFormLayout:
    rows = QFormLayout()
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    return rows


def _add_row(rows: QFormLayout, name: str, said: Mapping[str, Any], widget: QWidget) -> None:
    title, help_text = said["title"] or title_of(name), said["help"]
    label = QLabel(title)
    tip = f"<p>{html.escape(help_text[:1].upper() + help_text[1:])}.</p>"  # a paragraph: Qt wraps it
    for each in (label, widget):
        each.setToolTip(tip)
    widget.setAccessibleName(title)
    widget.setObjectName(name)
    rows.addRow(label, widget)
