"""One row of the table of a recipe: a loss, its weight, and when it counts."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QSpinBox, QToolButton, QWidget

from napari_segsize.widgets.editors import NumberBox, ignores_stray_wheel

if TYPE_CHECKING:
    from napari_segsize.losses.recipe import Term
    from napari_segsize.losses.schedule import Schedule

__all__ = ["OneLine", "TermRow", "tip"]

_ALWAYS, _LATER, _GROWS, _TAKES_OVER = "always", "from epoch", "grows by", "takes over"
_WHEN = {
    _ALWAYS: "Counts the same from beginning to end",
    _LATER: "Does not count in the first epochs",
    _GROWS: "Its weight grows with each epoch",
    _TAKES_OVER: "Begins at nothing and takes from the other terms what it gets: each epoch a hundredth",
}
_GREY = "color: gray; font-style: italic;"


class TermRow(QObject):
    """Edits one term; what the boxes cannot show, such as options, it keeps.

    Parameters
    ----------
    term : Term
    title, advice : str
        Of its loss, for people.
    obstacle : str
        Why the project cannot feed it; "" if it can.
    """

    changed = Signal()
    removed = Signal()

    def __init__(self, parent: QWidget, term: Term, *, title: str, advice: str, obstacle: str = "") -> None:
        super().__init__(parent)
        self._term = term
        self.name = QLabel(title + _options(term), parent)
        self.name.setWordWrap(True)
        self.name.setToolTip(tip(f"{obstacle} {advice}".strip()))
        self.name.setStyleSheet(_GREY if obstacle else "")
        self.weight = NumberBox()
        self.weight.setRange(0, 1e12)
        self.weight.setValue(term.weight)
        self.weight.setToolTip(tip("How much the term counts beside the others."))
        self.when = QComboBox(parent)
        self.epoch, self.step = QSpinBox(parent), NumberBox()
        self.epoch.setRange(1, 10**6)
        self.epoch.setValue(term.schedule.delay or 5)
        self.epoch.setToolTip(tip("Epochs before the term counts."))
        self.step.setRange(0, 1e12)
        self.step.setValue(term.schedule.step)
        self.step.setToolTip(tip("Added to the weight each epoch."))
        self.remove = QToolButton(parent)
        self.remove.setText("✕")
        self.remove.setAutoRaise(True)
        self.remove.setToolTip(tip(f"Take {title} out"))
        self._label(title)
        self._fill_when(term.schedule)
        self._show_number()
        self.weight.valueChanged.connect(self.changed)
        self.when.currentIndexChanged.connect(self._on_when_changed)
        self.epoch.valueChanged.connect(self.changed)
        self.step.valueChanged.connect(self.changed)
        self.remove.clicked.connect(self.removed)

    @property
    def term_name(self) -> str:
        """Return the name of its loss."""
        return self._term.name

    def term(self) -> Term:
        """Return the term as the row shows it.

        Raises
        ------
        ValueError
            If weight and schedule do not fit, such as a weight of 0 that never grows.
        """
        return replace(self._term, weight=self.weight.value(), schedule=self._schedule())

    def place(self, grid: QGridLayout, row: int) -> None:
        """Put the row into a grid of five columns."""
        for column, widget in enumerate((self.name, self.weight, self.when, self.epoch, self.remove)):
            grid.addWidget(widget, row, column)
        grid.addWidget(self.step, row, 3)

    @property
    def stops(self) -> tuple[QWidget, ...]:
        """Return what Tab goes through, from left to right."""
        return self.weight, self.when, self.epoch, self.step, self.remove

    def take_away(self) -> None:
        """Delete its widgets."""
        for widget in (self.name, *self.stops):
            widget.hide()
            widget.deleteLater()
        self.deleteLater()

    def _label(self, title: str) -> None:
        for widget, what in (
            (self.weight, "Weight"),
            (self.when, "When"),
            (self.epoch, "First epoch"),
            (self.step, "Growth"),
            (self.remove, "Remove"),
        ):
            widget.setAccessibleName(f"{what} of {title}")
        for box in (self.weight, self.when, self.epoch, self.step):
            ignores_stray_wheel(box)
        for number in (self.weight, self.epoch, self.step):
            number.setKeyboardTracking(False)
            number.setMinimumWidth(number.fontMetrics().horizontalAdvance("0000000") + 24)
            number.setMaximumWidth(number.fontMetrics().horizontalAdvance("0000000000") + 30)

    def _fill_when(self, schedule: Schedule) -> None:
        for text, meaning in _WHEN.items():
            self.when.addItem(text)
            self.when.setItemData(self.when.count() - 1, tip(meaning), Qt.ItemDataRole.ToolTipRole)
        self.when.setToolTip(
            tip("When the term counts. An epoch is a pass over the masks, at least 10 steps.")
        )
        kinds = {
            "constant": _LATER if schedule.delay else _ALWAYS,
            "increase": _GROWS,
            "rebalance": _TAKES_OVER,
        }
        chosen = kinds[schedule.kind]
        if replace(self._term, schedule=self._made(chosen)) != self._term:
            chosen = self._term.text.rpartition("@")[2]  # what only the text can say
            self.when.addItem(chosen)
        self.when.setCurrentText(chosen)

    def _made(self, chosen: str) -> Schedule:
        kind = type(self._term.schedule)
        if chosen == _LATER:
            return kind(delay=self.epoch.value())
        if chosen == _GROWS:
            return kind(kind="increase", step=self.step.value())
        return kind(kind="rebalance") if chosen == _TAKES_OVER else kind()

    def _schedule(self) -> Schedule:
        chosen = self.when.currentText()
        return self._made(chosen) if chosen in _WHEN else self._term.schedule

    def _show_number(self) -> None:
        chosen = self.when.currentText()
        self.epoch.setVisible(chosen == _LATER)
        self.step.setVisible(chosen == _GROWS)

    def _on_when_changed(self) -> None:
        self._show_number()
        self.changed.emit()


class OneLine(QLabel):
    """One line of text, cut where there is no room."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def say(self, text: str) -> None:
        """Show a text; the whole of it is in the tool tip."""
        self._whole = text
        self.setToolTip(tip(text))
        self._cut()

    def resizeEvent(self, event: object) -> None:  # noqa: N802  Qt's name
        """Cut it anew."""
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._cut()

    def _cut(self) -> None:
        shown = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, max(self.width(), 60))
        self.setText(shown)


def tip(text: str) -> str:
    """Return a paragraph, which Qt wraps."""
    return f"<p>{html.escape(text)}</p>" if text else ""


def _options(term: Term) -> str:
    text = term.text.partition("(")[2]
    return f"\n({text.partition(')@')[0].removesuffix(')')})" if term.options else ""
