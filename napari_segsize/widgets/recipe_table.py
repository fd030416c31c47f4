"""What a network learns from: one line, and behind a button a small table of terms with presets.

The losses, and torch with them, are imported when the table is opened: until then there is only the text.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_segsize.engine.config import DEFAULT_LOSS
from napari_segsize.widgets.editors import ignores_stray_wheel
from napari_segsize.widgets.recipe_menu import LossMenu, first_weight, hindrance, losses
from napari_segsize.widgets.recipe_rows import OneLine, TermRow, tip
from napari_segsize.widgets.sentence import Sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_segsize.losses.recipe import Recipe

__all__ = ["RecipeTable"]

_RED = "color: #e05050;"
_OWN = "your own"
_MIXED = "A mixture of your own."
_NONE = "none until what is typed is mended"
_LET_GO = "What was typed could not be read and is gone: the loss above is the one that is trained with."
_EPOCH = "An epoch is one pass over the masks, at least 10 steps."


class RecipeTable(QWidget):
    """Edits the text of a recipe."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = self._settled = DEFAULT_LOSS  # the second: before what is being typed
        self._masks, self._sizes = 0, 0
        self._rows: list[TermRow] = []
        self._fault = ""
        self.button = QPushButton("Change…")
        self.button.clicked.connect(self._on_button_clicked)
        self.line = OneLine()
        self._inside = QWidget()
        self._preset, self._advice, self._problem = (
            QComboBox(),
            Sentence("recipe-advice"),
            Sentence("recipe-problem"),
        )
        self._problem.setStyleSheet(_RED)
        self._let_go = Sentence("recipe-let-go", _LET_GO)
        self._epoch = Sentence("recipe-epoch", _EPOCH)
        self._grid = QGridLayout()
        self._add = QPushButton("Add a term")
        self._menu = LossMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self._menu.chosen.connect(self._on_added)
        self._add.setMenu(self._menu)
        self._edit = QLineEdit()
        self._edit.textEdited.connect(self._on_text_edited)
        self._edit.editingFinished.connect(self._on_text_finished)
        self._build()
        self._show()
        self.let_open(ready=False)

    # --- what others see

    def recipe(self) -> str:
        """Return the recipe as text.

        Raises
        ------
        ValueError
            While what is typed is no recipe; the table says so in red.
        """
        if self._fault:
            raise ValueError(self._fault)
        return self._text

    def set_recipe(self, text: str) -> None:
        """Show a recipe."""
        self._text, self._settled, self._fault = text, text, ""
        self._let_go.hide()
        self._show()
        if self.is_open:
            self._fill_rows()
        self.changed.emit()

    def let_open(self, *, ready: bool) -> None:
        """Whether the losses can be asked for without waiting for torch."""
        self.button.setEnabled(ready or self.is_open)
        wait = "Waits for torch and MONAI, which are being loaded in the background."
        self.button.setToolTip(tip("Other losses, weights and presets." if ready else wait))

    def set_annotations(self, masks: int, sizes: int) -> None:
        """Say what the project has to learn from: terms without are grey."""
        if (masks, sizes) == (self._masks, self._sizes):
            return
        self._masks, self._sizes = masks, sizes
        if self.is_open and not self._fault:
            self._fill_rows()

    @property
    def is_open(self) -> bool:
        """Whether the table is seen."""
        return not self._inside.isHidden()

    def open(self) -> None:
        """Show the table."""
        if not self._preset.count():
            self._fill_presets()
        self._inside.show()
        self._let_go.hide()
        self.button.setText("Done")
        self._fill_rows()
        self._show()

    def fold(self) -> None:
        """Leave the line alone; what cannot be read is let go, as it would not be used, and that is said."""
        if self._fault:
            self.set_recipe(self._settled)
            self._let_go.show()
        self._inside.hide()
        self.button.setText("Change…")

    # --- building

    def _build(self) -> None:
        label = QLabel("Loss")
        label.setToolTip(tip("What counts as a mistake when learning from masks."))
        label.setMinimumWidth(label.fontMetrics().horizontalAdvance("Compute on "))  # in line with the page
        top = QHBoxLayout()
        top.addWidget(label)
        top.addWidget(self.line, 1)
        top.addWidget(self.button)
        form = QGridLayout()
        form.setColumnStretch(1, 1)
        form.addWidget(QLabel("Preset"), 0, 0)
        form.addWidget(self._preset, 0, 1)
        ignores_stray_wheel(self._preset)
        self._preset.setAccessibleName("Preset")
        self._preset.textActivated.connect(self._on_preset_chosen)
        self._edit.setAccessibleName("Recipe")
        self._edit.setToolTip(
            tip("The recipe as text, as on the command line: --loss. Edit it, or paste one.")
        )
        self._grid.setColumnStretch(0, 1)
        for column, title in enumerate(("Term", "Weight", "Counts")):
            self._grid.addWidget(QLabel(f"<b>{title}</b>"), 0, column)
        self._add.setToolTip(tip("Learn from something else as well."))
        inside = QVBoxLayout(self._inside)
        inside.setContentsMargins(8, 0, 0, 8)
        inside.addLayout(form)
        inside.addWidget(self._advice)
        inside.addLayout(self._grid)
        row = QHBoxLayout()
        row.addWidget(self._add)
        row.addStretch(1)
        inside.addLayout(row)
        inside.addWidget(self._epoch)
        inside.addWidget(QLabel("As text"))
        inside.addWidget(self._edit)
        inside.addWidget(self._problem)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self._let_go)
        layout.addWidget(self._inside)
        for each in (self._let_go, self._inside, self._problem):
            each.hide()

    def _fill_presets(self) -> None:
        from napari_segsize.losses.recipe import PRESETS

        for number, (name, preset) in enumerate(PRESETS.items()):
            self._preset.addItem(name)
            self._preset.setItemData(number, tip(preset.advice), Qt.ItemDataRole.ToolTipRole)
        self._preset.addItem(_OWN)

    def _fill_menu(self) -> None:
        self._menu.fill({row.term_name for row in self._rows}, self._masks, self._sizes)

    # --- drawing

    def _fill_rows(self) -> None:
        """Make the rows anew from the text."""
        from napari_segsize.engine.recipe import pixel_recipe

        for row in self._rows:
            row.take_away()
        entries = {entry.name: entry for entry in losses()}
        self._rows = []
        for number, term in enumerate(pixel_recipe(self._text), start=1):
            entry = entries[term.name]
            why = hindrance(entry, self._masks, self._sizes)[0]
            row = TermRow(self._inside, term, title=entry.title, advice=entry.advice, obstacle=why)
            row.place(self._grid, number)
            row.changed.connect(self._on_row_changed)
            row.removed.connect(lambda gone=row: self._on_removed(gone))
            self._rows.append(row)
        for row in self._rows:
            row.remove.setEnabled(len(self._rows) > 1)
        stops = [self._preset, *(stop for row in self._rows for stop in row.stops), self._add, self._edit]
        for before, behind in pairwise(stops):  # rows are made late, and would come last
            QWidget.setTabOrder(before, behind)

    def _show(self) -> None:
        """Show text, preset and problem; the rows stay as they are."""
        self.line.say(_NONE if self._fault else self._text)
        if self._edit.text() != self._text and not self._fault:
            self._edit.setText(self._text)
            self._edit.setCursorPosition(0)  # a long one is read from its beginning
        stop = "" if self._fault.endswith((".", "?")) else "."
        way_out = f"Until it is mended nothing is trained; Done brings back: {self._settled}"
        self._problem.setText(f"{self._fault}{stop} {way_out}" if self._fault else "")
        self._problem.setVisible(bool(self._fault))
        if not self.is_open:
            return
        from napari_segsize.losses.recipe import PRESETS, parse_recipe

        name = next((name for name, preset in PRESETS.items() if preset.text == self._text), _OWN)
        if self._preset.currentText() == _OWN or PRESETS[self._preset.currentText()].text != self._text:
            self._preset.setCurrentText(name)  # of two presets with one text the chosen one stays
        chosen = PRESETS.get(self._preset.currentText())
        self._advice.setText(chosen.advice if chosen else _MIXED)
        self._epoch.setVisible(parse_recipe(self._text).scheduled)

    # --- what the user does

    def _on_button_clicked(self) -> None:
        (self.fold if self.is_open else self.open)()

    def _on_preset_chosen(self, name: str) -> None:
        from napari_segsize.losses.recipe import PRESETS

        if name in PRESETS:
            self.set_recipe(PRESETS[name].text)
        else:
            self._show()  # what is there says whose it is

    def _on_added(self, name: str) -> None:
        from napari_segsize.losses.recipe import Recipe, Term

        new = Term(name, first_weight(name))
        self._take(lambda: Recipe((*(row.term() for row in self._rows), new)), rows=True)

    def _on_removed(self, gone: TermRow) -> None:
        from napari_segsize.losses.recipe import Recipe

        self._take(lambda: Recipe(tuple(row.term() for row in self._rows if row is not gone)), rows=True)

    def _on_row_changed(self) -> None:
        from napari_segsize.losses.recipe import Recipe

        self._take(lambda: Recipe(tuple(row.term() for row in self._rows)))

    def _on_text_edited(self, text: str) -> None:
        from napari_segsize.losses.recipe import parse_recipe

        self._take(lambda: parse_recipe(text), rows=True, typed=True)

    def _on_text_finished(self) -> None:
        if not self._fault:
            self._settled = self._text
            self._edit.setText(self._text)

    def _take(self, made: Callable[[], Recipe], *, rows: bool = False, typed: bool = False) -> None:
        """Take a recipe over, or say in red why not."""
        from napari_segsize.engine.recipe import pixel_recipe

        try:
            recipe = made()
            pixel_recipe(recipe.text)
        except ValueError as error:
            self._fault = str(error)
            self._show()
            return
        self._text, self._fault = recipe.text, ""
        self._settled = self._settled if typed else self._text
        if rows:
            self._fill_rows()
        written = self._edit.text()
        self._show()
        if typed:
            self._edit.setText(written)  # not rewritten under the cursor
        self.changed.emit()
