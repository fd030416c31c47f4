"""What is seen of the page Contours: few controls on top, the rest folded away. It knows no verb."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.widgets.contour_drawing import OVERLAYS
from napari_segsize.widgets.contour_phi import ROLES as MAPS
from napari_segsize.widgets.contour_scrubber import ContourCurves, Scrubber
from napari_segsize.widgets.contour_state import sizes_to_outline
from napari_segsize.widgets.contour_table import ContourTable
from napari_segsize.widgets.contour_words import FINETUNE, finetune_words
from napari_segsize.widgets.editors import ignores_stray_wheel
from napari_segsize.widgets.engine_choice import EngineChoice
from napari_segsize.widgets.form import Form
from napari_segsize.widgets.keys import CONTOUR_SHORTCUTS
from napari_segsize.widgets.sentence import Sentence

if TYPE_CHECKING:
    from napari_segsize.widgets.contour_state import Outline
    from napari_segsize.widgets.state import State

__all__ = ["ContourControls"]

_BUTTONS = {
    "points": ("✚ Four points", "Click the four ends of an object: top, left, bottom, right, in any order"),
    "repair": ("✎ Repair", "Drag a vertex or an extreme point; click another contour to select it (S)"),
    "accept": ("✓ Accept", "Store the contour that is shown"),
    "reject": ("✗ Reject", "Throw the selected object away; Undo brings it back"),
    "again": ("↻ Again", "Evolve the selected object again, from its clicks, with the settings of now"),
    "next_object": ("Next ▶", "Select the next object that waits for you"),
    "accept_all": ("Accept all", "Store every contour of this image that waits for it; one step of undo"),
    "previous": ("◀", "Previous image"),
    "next": ("▶", "Next image"),
    "undo": ("↶ Undo", "Take the last change back"),
    "redo": ("↷ Redo", "Make it again"),
    "finetune": FINETUNE["network"],
    "export": ("Export…", "Write the accepted contours: GeoJSON, COCO, ImageJ ROIs, label image, table"),
    "import": ("Import…", "Read contours from such a file"),
}
_STARTS = {
    "all_stamps": ("All sizes", "of this image that have no contour"),
    "stamps": ("Selected sizes", "of the layer Sizes"),
    "shapes": ("Selected shapes", "polygons and ellipses of a Shapes layer of yours"),
    "label": ("Selected label", "of the Labels layer that is active"),
}
_SEEN = {
    "start": ("Start", "blue: where the evolution of the selected object began"),
    "evolving": ("Contours", "yellow: contours that evolve, or wait to be accepted"),
    "truth": ("Mask", "green: the painted mask, if there is one"),
    "displacement": ("Field", "arrows: where the network sends a vertex, from each place"),
    "centroid": ("Centroids", "white crosses: centres of mass"),
    "level set": (
        "Level set",
        "blue outside, red inside, black between: what the engine moves",
    ),
    "curvature": ("Curvature", "of the level set: blue where it bulges, red where it is dented"),
    "modulation": ("Modulation", "how much the curvature counts: where the level set is smoothed"),
}
_MOST_VERTICES = 64


class ContourControls(QWidget):
    """Buttons, table, scrubber, settings."""

    pressed = Signal(str)
    """name of a button or of a way to start"""
    vertices_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: dict[str, QPushButton] = {}
        self.starts: dict[str, QAction] = {}
        self.where, self.hint, self.told, self.note, self.verdict, self.headline = (
            Sentence(name) for name in ("where", "hint", "told", "note", "verdict", "headline")
        )
        self.note.setStyleSheet("color: #ff9f43;")
        self.told.setStyleSheet("color: #ff9f43;")
        self.table, self.scrubber, self.curves = ContourTable(), Scrubber(), ContourCurves()
        self.engine = EngineChoice()
        self.settings = Form(EvolveConfig, main=("vertices", "iterations"), hidden=("engine",))
        self.auto = _check("Accept by itself", "Store contours when they come, unless the engine has doubts")
        self.snap = _check(
            "Snap clicks and drags to edges (G)",
            "Pull each click, and each point that is let go, onto the edge network's edges while they are "
            "shown, else onto the strongest edge of the image, within 4 px; the key G switches it on and off",
        )
        # off: going on from a repaired contour undoes more than the repair was worth (docs/benchmarks.md)
        self.evolve = _check("Evolve again after a drag", "Otherwise a dragged vertex just stays where it is")
        self.lively = _check("Play a contour when it comes", "Once, in half a second")
        self.lively.setChecked(True)
        self.overlays = {name: _check(*_SEEN[name]) for name in OVERLAYS}
        for name in ("evolving", "truth"):
            self.overlays[name].setChecked(True)
        for name in MAPS:  # they hide each other
            self.overlays[name].toggled.connect(partial(self._on_map, name))
        self.vertices, self._count = QSlider(Qt.Orientation.Horizontal), QLabel()
        self._build()

    def render_state(self, state: State) -> None:
        """Draw what is no object: where we are, and what can be pressed."""
        board, meant = state.board, state.board.focused
        shown = state.plane is not None
        self.setEnabled(state.is_open)
        self.where.setText(_where(state))
        ready = board.count("review")
        self.buttons["accept_all"].setText(f"Accept all ({ready})" if ready else "Accept all")
        self.buttons["accept_all"].setEnabled(ready > 0)
        for name in ("accept", "reject", "again"):
            self.buttons[name].setEnabled(meant is not None)
        self.buttons["accept"].setEnabled(meant is not None and meant.status == "review")
        self.buttons["undo"].setEnabled(state.can_undo)
        self.buttons["redo"].setEnabled(state.can_redo)
        for name in ("points", "repair", "export", "import"):
            self.buttons[name].setEnabled(shown)
        self.start.setEnabled(shown)
        sizes = len(sizes_to_outline(board, state.annotation))
        which = "The one size" if sizes == 1 else f"All {sizes} sizes"
        self.starts["all_stamps"].setText(f"{which} of this image without a contour")
        self.starts["all_stamps"].setEnabled(sizes > 0)
        self._render_finetune(state)

    def _render_finetune(self, state: State) -> None:
        button = self.buttons["finetune"]
        text, tip = finetune_words(state)
        button.setText(text)
        button.setToolTip(f"<p>{tip}</p>")
        button.setEnabled(state.is_open and state.job != "stopping")

    def show_vertices(self, meant: Outline | None) -> None:
        """Show how many vertices the selected contour has."""
        count = 0 if meant is None else len(meant.present)
        self.vertices.setEnabled(count > 0)
        with QSignalBlocker(self.vertices):
            self.vertices.setMaximum(max(_MOST_VERTICES, count))
            self.vertices.setValue(count)
        self._count.setText(str(count) if count else "")

    # --- building -----------------------------------------------------------------------------------------

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        top = QHBoxLayout()
        top.addWidget(self.where, 1)
        for name in ("previous", "next"):
            top.addWidget(self._button(name))
            self.buttons[name].setFixedWidth(34)
        layout.addLayout(top)
        tools = self._row("points", "repair")
        tools.addWidget(self._start_button())
        layout.addLayout(tools)
        layout.addLayout(self._engine_row())
        layout.addWidget(self.hint)
        layout.addLayout(self._row("accept", "reject", "again"))
        layout.addLayout(self._row("next_object", "accept_all"))
        layout.addWidget(self.told)
        layout.addWidget(self.headline)
        layout.addWidget(self.table)
        layout.addWidget(self.note)
        layout.addWidget(self.scrubber)
        layout.addLayout(self._vertex_row())
        layout.addLayout(self._row("undo", "redo"))
        layout.addWidget(self._folded("Watch", self._watch_box()))
        layout.addWidget(self._button("finetune"))
        layout.addWidget(self.verdict)
        layout.addLayout(self._row("export", "import"))
        layout.addWidget(self._folded("More", self._more_box()))
        layout.addWidget(self._folded("Keys (while the picture has the focus)", _shortcuts()))
        layout.addStretch(1)
        for name in ("points", "repair"):
            self.buttons[name].setCheckable(True)
        for sentence in (self.told, self.note):
            sentence.hide()

    def _engine_row(self) -> QHBoxLayout:
        row, label = QHBoxLayout(), QLabel("Engine")
        label.setToolTip(self.engine.toolTip())
        row.addWidget(label)
        row.addWidget(self.engine, 1)
        self.engine.chosen.connect(self._on_engine)
        return row

    def _on_engine(self, name: str) -> None:
        self.settings.set_config(replace(self.settings.config(), engine=name))

    def _vertex_row(self) -> QHBoxLayout:
        row, label = QHBoxLayout(), QLabel("Vertices")
        tip = "<p>Fewer or more vertices for the selected contour; fewer are quicker to repair.</p>"
        for each in (label, self.vertices):
            each.setToolTip(tip)
        self.vertices.setObjectName("vertices")
        self.vertices.setRange(3, _MOST_VERTICES)
        self.vertices.setEnabled(False)
        self.vertices.setMinimumWidth(60)
        ignores_stray_wheel(self.vertices)
        self.vertices.valueChanged.connect(self.vertices_chosen)
        self._count.setMinimumWidth(self._count.fontMetrics().horizontalAdvance("000"))
        for each, stretch in ((label, 0), (self.vertices, 1), (self._count, 0)):
            row.addWidget(each, stretch)
        return row

    def _watch_box(self) -> QWidget:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        grid = QGridLayout()
        for number, name in enumerate(OVERLAYS):
            grid.addWidget(self.overlays[name], number // 3, number % 3)
        layout.addLayout(grid)
        layout.addWidget(self.curves)
        return inside

    def _more_box(self) -> QWidget:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        for check in (self.snap, self.auto, self.evolve, self.lively):
            layout.addWidget(check)
        layout.addWidget(self.settings)
        return inside

    def _on_map(self, name: str, on: bool) -> None:
        for other in MAPS:
            if on and other != name:
                self.overlays[other].setChecked(False)

    def _start_button(self) -> QPushButton:
        self.start = QPushButton("Start from")
        self.start.setObjectName("start_from")
        self.start.setToolTip("<p>Contours can go on from what is there: sizes, drawn shapes, a label.</p>")
        menu = QMenu(self.start)
        for name, (text, tip) in _STARTS.items():
            action = menu.addAction(f"{text} ({tip})")
            if action is not None:
                self.starts[name] = action
                action.setObjectName(name)
                action.triggered.connect(partial(self._on_pressed, name))
        self.start.setMenu(menu)
        return self.start

    def _folded(self, title: str, inside: QWidget) -> QCollapsible:
        folded = QCollapsible(title, expandedIcon="▼", collapsedIcon="▶")
        folded.setDuration(0)
        folded.addWidget(inside)
        return folded

    def _row(self, *names: str) -> QHBoxLayout:
        row = QHBoxLayout()
        for name in names:
            row.addWidget(self._button(name))
        return row

    def _button(self, name: str) -> QPushButton:
        text, tip = _BUTTONS[name]
        key = next((each.shown for each in CONTOUR_SHORTCUTS if each.verb == name), "")
        button = QPushButton(text)
        button.setObjectName(name)
        button.setToolTip(f"<p>{tip}" + (f" ({key})" if key else "") + "</p>")
        button.clicked.connect(partial(self._on_pressed, name))
        self.buttons[name] = button
        return button

    def _on_pressed(self, name: str, _checked: bool = False) -> None:
        self.pressed.emit(name)


def _where(state: State) -> str:
    image, plane = state.image, state.plane
    if image is None or plane is None:
        return "Open a project and add images on the Project page first."
    text = f"<b>{image.name}</b>"
    return text + (f" · slice {plane.slice + 1} of {image.planes}" if image.planes > 1 else "")


def _check(text: str, tip: str) -> QCheckBox:
    check = QCheckBox(text)
    check.setToolTip(f"<p>{tip[:1].upper() + tip[1:]}.</p>")
    return check


def _shortcuts() -> QWidget:
    inside = QWidget()
    layout = QGridLayout(inside)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(1)
    listed = [(each.shown, each.does) for each in CONTOUR_SHORTCUTS]
    listed += [("S", "repair (napari's Select)"), ("Del", "delete what is selected while repairing")]
    for row, (key, does) in enumerate(listed):
        shown = QLabel(f"<b>{key}</b>")
        shown.setTextFormat(Qt.TextFormat.RichText)
        layout.addWidget(shown, row, 0)
        layout.addWidget(Sentence(f"does_{row}", does), row, 1)
    layout.setColumnStretch(1, 1)
    return inside
