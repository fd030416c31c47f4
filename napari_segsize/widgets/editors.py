"""One editor per kind of setting: a whole number, a number, a switch, a choice, a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QLocale, QObject, Qt
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

__all__ = ["Editor", "NumberBox", "editor_for", "ignores_stray_wheel"]

_INT_MAX = 2**31 - 1


@dataclass(frozen=True)
class Editor:
    """A widget that edits one value: how to read it, set it, and hear of a change."""

    widget: QWidget
    get: Callable[[], Any]
    set: Callable[[Any], None]
    changed: Any  # a Qt signal


class NumberBox(QDoubleSpinBox):
    """A spin box for any float: shows and keeps 1e-05 as it is, and steps in the last digit's decade."""

    def __init__(self) -> None:
        super().__init__()
        self.setLocale(QLocale.c())  # a decimal point everywhere, as in the settings' files
        self.setDecimals(323)  # the box rounds to these; no float needs more
        self._least = 0.0

    def set_least_step(self, step: float) -> None:
        """Set the smallest step of the arrows."""
        self._least = step

    def textFromValue(self, value: float) -> str:  # noqa: N802  Qt's name
        """Write as few digits as tell the number."""
        short = f"{value:.12g}"
        return short if float(short) == value else repr(value)

    def valueFromText(self, text: str | None) -> float:  # noqa: N802  Qt's name
        """Read "0.001", "1e-3" and "0,001"."""
        return _number(self._bare(text))

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Let a number be typed digit by digit."""
        bare = self._bare(text)
        try:
            value = _number(bare)
        except ValueError:
            partial = not bare.strip("+-.,eE0123456789 ")
            state = QValidator.State.Intermediate if partial else QValidator.State.Invalid
            return state, text or "", position
        inside = self.minimum() <= value <= self.maximum()
        return (
            (QValidator.State.Acceptable if inside else QValidator.State.Intermediate),
            text or "",
            position,
        )

    def stepBy(self, steps: int) -> None:  # noqa: N802  Qt's name
        """Move by one in the leading digit: 0.001 -> 0.002, and down 0.001 -> 0.0009."""
        value = self.value()
        decade = 0.0
        if value:
            exponent = math.floor(math.log10(abs(value)) + 1e-9)
            if steps * value < 0 and math.isclose(abs(value), 10.0**exponent):
                exponent -= 1
            decade = 10.0**exponent
        self.setValue(float(f"{value + steps * max(decade, self._least):.6g}"))

    def _bare(self, text: str | None) -> str:
        return (text or "").removesuffix(self.suffix()).strip()


def _number(text: str) -> float:
    value = float(text.replace(",", "."))
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def editor_for(kind: type, meta: Mapping[str, Any]) -> Editor:
    """Return the editor of a setting of this type and metadata (see `engine.config.option`)."""
    make = {bool: _switch, int: _whole, float: _float, str: _choice if meta["choices"] else _text}.get(kind)
    if make is None:
        raise ValueError(f"there is no editor for a setting of type {kind.__name__}")
    editor = make(meta)
    ignores_stray_wheel(editor.widget)
    return editor


def _switch(_meta: Mapping[str, Any]) -> Editor:
    box = QCheckBox()
    return Editor(box, box.isChecked, box.setChecked, box.toggled)


def _whole(meta: Mapping[str, Any]) -> Editor:
    box = QSpinBox()
    box.setRange(_bound(meta["min"], -_INT_MAX), _bound(meta["max"], _INT_MAX))
    box.setSingleStep(int(meta["step"] or 1))
    box.setSuffix(f" {meta['unit']}" if meta["unit"] else "")
    box.setKeyboardTracking(False)
    return Editor(box, box.value, box.setValue, box.valueChanged)


def _bound(value: float | None, default: int) -> int:
    return default if value is None else int(value)


def _float(meta: Mapping[str, Any]) -> Editor:
    box = NumberBox()
    low, high = meta["min"], meta["max"]
    box.setRange(-1e12 if low is None else low, 1e12 if high is None else high)
    box.set_least_step(meta["step"] or 0.0)
    box.setSuffix(f" {meta['unit']}" if meta["unit"] else "")
    box.setKeyboardTracking(False)
    return Editor(box, box.value, box.setValue, box.valueChanged)


def _choice(meta: Mapping[str, Any]) -> Editor:
    box = QComboBox()
    box.addItems(meta["choices"])
    return Editor(box, box.currentText, box.setCurrentText, box.currentTextChanged)


def _text(_meta: Mapping[str, Any]) -> Editor:
    line = QLineEdit()
    return Editor(line, line.text, line.setText, line.editingFinished)


class _StrayWheel(QObject):
    """Turns away the wheel from an editor without the focus: scrolling a page must not change settings."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802  Qt's name
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        if not isinstance(watched, QWidget) or watched.hasFocus():
            return False
        event.ignore()
        return True


def ignores_stray_wheel(widget: QWidget) -> None:
    """Let a widget hear the wheel only while it has the focus; otherwise the page scrolls."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_StrayWheel(widget))
