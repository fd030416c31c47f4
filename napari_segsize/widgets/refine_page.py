"""The page Refine: rough outlines are aligned and accepted one by one; thin edges are trained and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_segsize.engine.edge_config import AlignConfig, EdgeConfig
from napari_segsize.widgets.alignment_box import AlignmentBox
from napari_segsize.widgets.form import Form
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.refine_layers import EDGES, OUTLINES, REFINE_SHORTCUTS

if TYPE_CHECKING:
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.layers import SegsizeLayers
    from napari_segsize.widgets.state import State

__all__ = ["RefinePage"]

_INTRO = (
    "For masks and contours that are a few pixels off. Aligning moves each outline of this plane onto the "
    "edges around it; nothing changes until you accept."
)
_DRAW_MS = 100


class RefinePage(QWidget):
    """Verbs of the `RefineDesk`, and what it shows."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._layers, self._desk = controller, layers, controller.refining
        self.to = QComboBox()
        self.align_form = Form(AlignConfig, main=("method", "reach", "stay"))
        self.align, self.status = QPushButton("Align this plane"), QLabel()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.accept, self.reject = QPushButton("Accept (F)"), QPushButton("Reject (E)")
        self.next, self.accept_all = QPushButton("Next (W)"), QPushButton("Accept all")
        self.undo = QPushButton("Undo")
        self.teaching = AlignmentBox(controller, layers)
        self.edge_form = Form(EdgeConfig, main=("steps", "align_first", "align_from"))
        self.train, self.resume, self.progress = QPushButton("Train edges"), QPushButton("Resume"), QLabel()
        self.show_edges = QCheckBox("Show edges of this plane")
        self._drawing = Later(_DRAW_MS, self._draw)
        self._build()
        self._connect()
        self._on_method()
        self._draw()

    def _build(self) -> None:
        intro = QLabel(_INTRO)
        for label in (intro, self.status, self.progress):
            label.setWordWrap(True)
        self.to.addItems(["the image", "the edge network"])
        self.to.setToolTip("What outlines are moved onto: edges in the image, or those the network sees.")
        self.slider.setPageStep(1)  # else a click beside the handle jumps over all steps
        self.slider.setToolTip("Watch the outlines move. Accept takes the step that is shown.")
        self.slider.setAccessibleName("Step of the alignment")
        self.accept_all.setToolTip("Take every outline that waits, each at its last step: one step of undo.")
        self.show_edges.setToolTip("Draw the thin edges that the network sees, as a layer over the image.")
        self.train.setToolTip("Teach a network the outlines of the training images, also rough ones.")
        target = QHBoxLayout()
        target.addWidget(QLabel("Align to"))
        target.addWidget(self.to, 1)
        one, more = QHBoxLayout(), QHBoxLayout()
        for button in (self.accept, self.reject):
            one.addWidget(button)
        for button in (self.next, self.accept_all, self.undo):
            more.addWidget(button)
        aligning = QGroupBox("Align outlines")
        rows = QVBoxLayout(aligning)
        rows.addLayout(target)
        _stack(rows, self.align_form, self.align, self.status, self.slider)
        rows.addLayout(one)
        rows.addLayout(more)
        learning = QGroupBox("Edge network")
        below = QVBoxLayout(learning)
        self.resume.setToolTip("Go on with the training that was stopped, with its own settings.")
        _stack(below, self.edge_form, self.train, self.resume, self.progress, self.show_edges)
        layout = QVBoxLayout(self)
        _stack(layout, intro, aligning, self.teaching, learning)
        said = ", ".join(f"{each.shown} {each.does}" for each in REFINE_SHORTCUTS)
        keys = QLabel(f"Keys on the picture: {said}.")
        keys.setWordWrap(True)
        layout.addWidget(keys)
        layout.addStretch(1)

    def _connect(self) -> None:
        desk = self._desk
        self.align.clicked.connect(self._on_align)
        self.align_form.changed.connect(self._on_method)
        self.slider.valueChanged.connect(desk.show_step)
        self.accept.clicked.connect(desk.accept)
        self.reject.clicked.connect(desk.reject)
        self.next.clicked.connect(desk.next_object)
        self.accept_all.clicked.connect(desk.accept_all)
        self.undo.clicked.connect(self._controller.undo)
        self.train.clicked.connect(self._on_train)
        self.resume.clicked.connect(self._on_resume)
        self.show_edges.toggled.connect(self._on_show_edges)
        self._layers.refine.keys.use(
            {
                "accept": desk.accept,
                "reject": desk.reject,
                "next_object": desk.next_object,
                "undo": self._controller.undo,
            }
        )
        desk.changed.connect(self._on_changed)
        self._layers.removed.connect(self._on_removed)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        """Take the keys of the picture."""
        super().showEvent(event)
        self._layers.refine.use_keys(True)

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802  Qt's name
        """Leave the keys to the page that comes."""
        super().hideEvent(event)
        self._layers.refine.use_keys(False)

    def render(self, state: State) -> None:  # type: ignore[override]  # the pages' word for drawing a state
        """Show what the state allows now."""
        self._desk.follow(state.plane)
        training = state.busy and state.stage == "edges"
        self.train.setText("Stop" if training else "Train edges")
        self.train.setEnabled(state.folder is not None and (training or not state.busy))
        self.resume.setVisible(not state.busy and state.resumable_edges is not None)
        shown = training and state.steps
        self.progress.setText(f"Step {state.step} of {state.steps}" if shown else "")
        self.progress.setVisible(bool(shown))
        self.teaching.show_state(state)
        self._enable(state)

    def _on_method(self) -> None:
        self.teaching.follow(self.align_form.config().method)

    def _enable(self, state: State) -> None:
        desk = self._desk
        ready = state.plane is not None and state.engine != "loading"
        self.align.setEnabled(ready or desk.is_aligning)
        self.align.setText("Stop" if desk.is_aligning else "Align this plane")
        self.show_edges.setEnabled(ready)
        for button in (self.accept, self.reject, self.next, self.accept_all, self.slider):
            button.setEnabled(bool(desk.waiting))
        self.undo.setEnabled(state.can_undo)

    def _on_align(self) -> None:
        if self._desk.is_aligning:
            self._desk.stop()
        else:
            self._layers.flush()  # the last stroke of the mask
            self._desk.align(self.align_form.config(), to_edges=self.to.currentIndex() == 1)

    def _on_train(self) -> None:
        state = self._controller.state
        if state.busy and state.stage == "edges":
            self._controller.stop()
        else:
            self._layers.flush()  # the last stroke of the mask
            self._controller.train_edges(self.edge_form.config())

    def _on_resume(self) -> None:
        self._layers.flush()
        self._controller.train_edges(resume=True)

    def _on_show_edges(self, on: bool) -> None:
        if on:
            self._desk.show_edges()
        else:
            self._desk.hide_edges()

    def _on_removed(self, role: str) -> None:
        """The user took a layer away in napari's list."""
        if role == EDGES:
            self.show_edges.setChecked(False)
        elif role == OUTLINES:
            self._desk.clear()

    def _on_changed(self) -> None:
        self._drawing.ask()

    def _draw(self) -> None:
        """Slider, sentence and layers."""
        desk = self._desk
        last = desk.steps
        self.slider.blockSignals(True)
        self.slider.setRange(0, last)
        self.slider.setValue(last if desk.step < 0 else min(desk.step, last))
        self.slider.blockSignals(False)
        self.status.setText(self._sentence())
        number = 0 if desk.plane is None else desk.plane.slice
        base = self._layers.base if desk.plane is not None else None
        self._layers.refine.show_outlines(base, number, desk.picture())
        self._layers.refine.show_edges(base, number, desk.edges)
        if desk.edges is None and self.show_edges.isChecked() and not desk.is_looking:
            self.show_edges.blockSignals(True)
            self.show_edges.setChecked(False)
            self.show_edges.blockSignals(False)
        self._enable(self._controller.state)

    def _sentence(self) -> str:
        desk = self._desk
        if desk.is_aligning:
            return f"Aligning: {desk.done} of {desk.total} objects." if desk.total else "Aligning…"
        meant = desk.waiting.get(desk.focus)
        if meant is None:
            return "Every outline of this plane is accepted or rejected." if desk.done else ""
        shown = len(meant.masks) - 1 if desk.step < 0 else min(desk.step, len(meant.masks) - 1)
        place = list(desk.waiting).index(desk.focus) + 1
        return (
            f"Outline {place} of {len(desk.waiting)} (yellow): step {shown} of {len(meant.masks) - 1}, "
            f"{meant.moved} px changed sides. {meant.notice}"
        ).strip()


def _stack(layout: QVBoxLayout, *widgets: QWidget) -> None:
    for widget in widgets:
        layout.addWidget(widget)
