"""The page Train: one button, what happens live, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QElapsedTimer, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.events import Comparison, Validated
from napari_segsize.widgets.comparison_table import ComparisonTable
from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.curves import Curves
from napari_segsize.widgets.editors import ignores_stray_wheel
from napari_segsize.widgets.form import Form
from napari_segsize.widgets.model_uses import ModelUses
from napari_segsize.widgets.network_choice import NetworkChoice
from napari_segsize.widgets.preferences import read_preferences
from napari_segsize.widgets.recipe_table import RecipeTable
from napari_segsize.widgets.runs import What
from napari_segsize.widgets.state import PIXELS, STAGES, State
from napari_segsize.widgets.stopped_settings import StoppedSettings
from napari_segsize.widgets.train_words import facts, left_over, verdict, will_use

if TYPE_CHECKING:
    from pathlib import Path

    from napari_segsize.widgets.layers import SegsizeLayers

__all__ = ["TrainPage"]

_WHAT: dict[str, What] = {
    "Masks, then sizes": "both",
    "Masks only": "pretrain",
    "Sizes only, from the newest masks-only model": "finetune",
}
_DEVICES = ("auto", "cpu", "cuda", "mps")
CURVES_MS = 400  # at least between two drawings of the curves while training
_BIG = "QPushButton { font-size: 14pt; font-weight: bold; padding: 8px; }"


class TrainPage(QWidget):
    """Train, watch, stop, resume, compare."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._layers = controller, layers
        self._compared: Comparison | None = None
        self.pretrain = Form(PretrainConfig, main=("steps", "augment"), hidden=("device", "loss", "model"))
        self.finetune = Form(FineTuneConfig, main=("steps", "recipe", "augment"), hidden=("device", "loss"))
        self.loss = RecipeTable()
        self._folder: Path | None = None  # of the project whose loss is shown
        self._recipe = self.finetune.config().recipe
        self.finetune.changed.connect(self._on_finetune_changed)
        self.stopped = StoppedSettings(self.pretrain, self.finetune, self.loss)
        self.network = NetworkChoice()
        self.network.changed.connect(self._on_network_changed)
        self.pretrain.changed.connect(self._on_pretrain_changed)
        self.button = QPushButton("Train")
        self.button.setStyleSheet(_BIG)
        self.button.clicked.connect(self._on_button_clicked)
        self._anew = _button("Train anew", "Begin again instead of going on", self._on_anew_clicked)
        self._on_cpu = _button("Train on the CPU", "Slower, with the computer's memory", self._on_cpu_clicked)
        self._used, self._facts = _sentence(), _sentence()
        self._bar = QProgressBar()
        self._bar.setTextVisible(True)
        self.curves = Curves()
        self._drawn: tuple[Validated, ...] = ()  # the validations that are drawn
        self._since = QElapsedTimer()
        self._table = ComparisonTable()
        self._verdict = _sentence()
        self._what, self._device = QComboBox(), QComboBox()
        self.uses = ModelUses(controller, self._device.currentText)
        self._build()
        self.render(controller.state)

    @property
    def wants_preview(self) -> bool:
        """Whether the prediction is to be shown while training."""
        return self._preview.isChecked()

    # --- drawing

    def render(self, state: State) -> None:  # type: ignore[override]  # pages of this plugin draw a state
        """Draw a state."""
        training = state.busy and state.stage in PIXELS
        self._render_button(state, training=training)
        self._used.setText(will_use(state))
        self._render_network(state)
        self.stopped.show_state(state)
        self._render_progress(state)
        self._facts.setText(facts(state))
        if self.isVisible() or not state.losses:
            self._draw_curves(state)
        self.curves.setVisible(bool(state.losses or state.metrics))
        if state.folder != self._folder:
            self._folder = state.folder
            if state.loss:  # go on as this project was trained last
                self.loss.set_recipe(state.loss)
        self.loss.let_open(ready=state.engine == "ready")
        learn = state.counts.by_split.get("train") if state.counts is not None else None
        self.loss.set_annotations(*((learn.masks, learn.sizes) if learn is not None else (0, 0)))
        for widget in (self._settings, self._what, self._device, self.loss):
            widget.setEnabled(not state.busy)
        self.uses.render(state)
        if state.comparison is not self._compared:
            self._compared = state.comparison
            self._render_comparison(state)

    def _render_button(self, state: State, *, training: bool) -> None:
        left = left_over(state)
        if state.job == "stopping":
            text, tip = "Stopping…", "The step that is running is finished and kept"
        elif state.busy:
            name = "" if training else f" ({STAGES.get(state.stage, state.stage).lower()})"
            text, tip = f"Stop{name}", "Stop; what was learned is kept, and Resume goes on"
        elif left is not None:
            text, tip = (
                f"Resume from step {left.step}",
                f"Go on: {STAGES[left.stage].lower()}, step {left.step} of {left.steps}, its own settings",
            )
        else:
            text, tip = "Train", "Learn from your masks, then from your sizes"
        self.button.setText(text)
        self.button.setToolTip(tip)
        self.button.setEnabled(state.job != "stopping" and state.is_open)
        self._anew.setVisible(left is not None and not state.busy)
        self._on_cpu.setVisible(state.offer_cpu and not state.busy)

    def _render_network(self, state: State) -> None:
        try:
            config = replace(self.pretrain.config(), device=self._device.currentText())
        except ValueError:
            return  # the form says it in red
        left = left_over(state)
        anew = left is None and _WHAT[self._what.currentText()] != "finetune"
        self.network.render(state, config, used=anew or (left is not None and left.stage == "pretrain"))

    def _render_progress(self, state: State) -> None:
        self._bar.setVisible(state.busy)
        if not state.busy:
            return
        self._bar.setRange(0, state.steps)
        self._bar.setValue(min(state.step, state.steps))
        step = f"{state.step} / {state.steps}" if state.steps else (state.checking or "starting")
        self._bar.setFormat(f"{STAGES.get(state.stage, state.stage)}: {step}")

    def _render_comparison(self, state: State) -> None:
        self._table.show_comparison(state.comparison)
        self._verdict.setVisible(state.comparison is not None and bool(state.comparison.rows))
        self._verdict.setText(verdict(state))

    # --- building

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.addLayout(self._choices())
        layout.addWidget(self.loss)
        layout.addWidget(self._used)
        layout.addWidget(self.button)
        row = QHBoxLayout()
        row.addWidget(self._anew)
        row.addWidget(self._on_cpu)
        layout.addLayout(row)
        layout.addWidget(self.stopped)
        layout.addWidget(self._bar)
        layout.addWidget(self._facts)
        layout.addWidget(self._verdict)
        layout.addWidget(self._table)
        self._preview = QCheckBox("Show the prediction on the current image while training")
        self._preview.setChecked(True)
        layout.addWidget(self._preview)
        layout.addWidget(self.curves)
        layout.addWidget(self.uses)
        layout.addWidget(self._settings_box())
        layout.addStretch(1)
        for widget in (self._verdict, self._table, self._anew, self._on_cpu):
            widget.hide()

    def _choices(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        self._what.addItems(list(_WHAT))
        self._what.currentTextChanged.connect(self._on_pretrain_changed)
        self._what.setToolTip(
            "<p>Masks teach what an object looks like; sizes and their places then correct it.</p>"
        )
        self._device.addItems(_DEVICES)
        self._device.setCurrentText(read_preferences().device)
        self._device.setToolTip("Where to compute: auto takes a GPU when there is one")
        self._device.currentTextChanged.connect(self._on_pretrain_changed)
        top = Qt.AlignmentFlag.AlignTop
        for row, (text, box) in enumerate(
            (("Learn from", self._what), ("Network", self.network), ("Compute on", self._device))
        ):
            if isinstance(box, QComboBox):  # the choice of the network sees to its own, and is no stop of Tab
                ignores_stray_wheel(box)
            grid.addWidget(QLabel(text), row, 0, top if box is self.network else Qt.AlignmentFlag(0))
            grid.addWidget(box, row, 1)
        return grid

    def _settings_box(self) -> QWidget:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        for title, form in (
            ("<b>Learning from masks</b>", self.pretrain),
            ("<b>Learning from sizes</b>", self.finetune),
        ):
            layout.addWidget(QLabel(title))
            layout.addWidget(form)
        self._settings = QCollapsible("Settings", expandedIcon="▼", collapsedIcon="▶")
        self._settings.setDuration(0)
        self._settings.addWidget(inside)
        return self._settings

    # --- what the user does

    def _draw_curves(self, state: State) -> None:
        """Draw the curves, while training seldom: they are the most expensive part of the page."""
        waited = not self._since.isValid() or self._since.elapsed() >= CURVES_MS
        if waited or not state.busy or state.metrics is not self._drawn:
            self._drawn = state.metrics
            self._since.restart()
            self.curves.show_history(state.losses, state.metrics)

    def _on_network_changed(self, kind: str) -> None:
        self.pretrain.set_config(replace(self.pretrain.config(), model=kind))

    def _on_pretrain_changed(self, _text: str = "") -> None:
        """Say again what the next training takes."""
        self._render_network(self._controller.state)

    def _on_finetune_changed(self) -> None:
        """Another recipe brings its own values, as it does on the command line."""
        config = self.finetune.config()
        if config.recipe != self._recipe:
            self._recipe = config.recipe
            self.finetune.set_config(config.with_recipe(config.recipe))

    def _on_button_clicked(self) -> None:
        state = self._controller.state
        if state.busy:
            self._controller.stop()
        else:
            self._train(resume=left_over(state) is not None)

    def _on_anew_clicked(self) -> None:
        self._train(resume=False)

    def _on_cpu_clicked(self) -> None:
        self._device.setCurrentText("cpu")
        self._train(resume=False)

    def _train(self, *, resume: bool) -> None:
        device = self._device.currentText()
        try:
            loss = self.loss.recipe()
        except ValueError as error:
            self._controller.fail(f"The loss is no recipe: {error}")
            return
        try:
            pretrain = replace(self.pretrain.config(), device=device, loss=loss)
            finetune = replace(self.finetune.config(), device=device, loss=loss)
        except ValueError as error:
            self._controller.fail(
                f"The settings do not fit together: {error}. Open Settings and change them."
            )
            self._settings.expand()
            return
        self.loss.fold()  # room for the curves
        self._controller.train(pretrain, finetune, what=_WHAT[self._what.currentText()], resume=resume)


def _button(text: str, tip: str, slot: object) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.clicked.connect(lambda _checked=False: slot())  # type: ignore[operator]  # a bound method
    return button


def _sentence() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label
