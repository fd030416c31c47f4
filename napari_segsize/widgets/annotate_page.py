"""The page Annotate: stamp sizes, paint masks, go from image to image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import PlaneRef, SizeStamp
from napari_segsize.widgets.clash import clashes
from napari_segsize.widgets.keys import SHORTCUTS
from napari_segsize.widgets.said_table import SaidTable
from napari_segsize.widgets.sentence import Sentence
from napari_segsize.widgets.size_entry import SizeEntry

if TYPE_CHECKING:
    from napari_segsize.project.project import Project
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.layers import SegsizeLayers
    from napari_segsize.widgets.state import State

__all__ = ["AnnotatePage"]

_TOOLS = {
    "stamp": ("▢ Stamp", "A square follows the mouse; a click stores its size and centre."),
    "select": ("Select", "Click or drag over stamps to select, move, resize or delete them."),
    "paint": ("Paint mask", "Paint the object in the layer Mask; each stroke is saved when it ends."),
}
_WHAT = (
    "The size of an object is the side of the largest square that fits inside it: "
    "fit the square into the object, not around it."
)


class AnnotatePage(QWidget):
    """Sizes and masks of the plane on screen."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._layers = controller, layers
        self._drawn: tuple[Any, ...] = ()
        self.where, self.hint, self.clash = (Sentence(name) for name in ("where", "hint", "clash"))
        self.clash.setStyleSheet("color: #ff9f43;")
        self.entry, self.said, self.source = SizeEntry(), SaidTable(), QComboBox()
        self.tools = QButtonGroup(self)
        self.tools.setExclusive(False)
        self.buttons: dict[str, QPushButton] = {}
        self._verbs: dict[str, Callable[[], object]] = {
            "stamp": partial(self._on_tool, "stamp"),
            "select": partial(self._on_tool, "select"),
            "paint": partial(self._on_tool, "paint"),
            "larger": partial(layers.stamps.step_side, 1),
            "smaller": partial(layers.stamps.step_side, -1),
        }
        for verb in ("next", "previous", "next_unlabelled", "no_object", "skip", "undo", "redo"):
            name = "put_no_object" if verb == "no_object" else verb
            self._verbs[verb] = partial(self._on_verb, name)
        self._build()
        self._connect()

    def render(self, state: State) -> None:  # type: ignore[override]  # the pages' word for drawing a state
        """Draw a state."""
        drawn = (state.plane, state.annotation, state.images, state.counts, state.can_undo, state.can_redo)
        if len(self._drawn) == len(drawn) and all(a is b for a, b in zip(drawn, self._drawn, strict=True)):
            return
        self._drawn = drawn
        self.setEnabled(state.plane is not None)
        self.where.setText(_where(state))
        self.entry.set_record(state.image)
        self.said.show_said(state.annotation)
        found = () if state.annotation is None else clashes(state.annotation)
        self.clash.setText("\n".join(dict.fromkeys(found)))
        self.clash.setVisible(bool(found))
        self.buttons["undo"].setEnabled(state.can_undo)
        self.buttons["redo"].setEnabled(state.can_redo)

    # --- building -----------------------------------------------------------------------------------------

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.addWidget(self.where)
        layout.addLayout(self._row(("previous", "◀ Previous"), ("next", "Next ▶")))
        layout.addLayout(self._row(("next_unlabelled", "Next unlabelled ▶▶")))
        layout.addWidget(self._size_box())
        layout.addWidget(self._mask_box())
        layout.addLayout(self._row(("no_object", "No object here"), ("skip", "Skip")))
        layout.addLayout(self._row(("undo", "↶ Undo"), ("redo", "↷ Redo")))
        layout.addWidget(self.clash)
        layout.addWidget(self.hint)
        layout.addWidget(self.said)
        layout.addWidget(_shortcuts())
        layout.addStretch(1)

    def _size_box(self) -> QGroupBox:
        box = QGroupBox("Sizes")
        layout = QVBoxLayout(box)
        row = QHBoxLayout()
        for tool in ("stamp", "select"):
            row.addWidget(self._tool_button(tool))
        layout.addLayout(row)
        layout.addWidget(self.entry)
        about = Sentence("what_is_a_size", _WHAT)
        about.setEnabled(False)
        layout.addWidget(about)
        return box

    def _mask_box(self) -> QGroupBox:
        box = QGroupBox("Mask")
        layout = QVBoxLayout(box)
        layout.addWidget(self._tool_button("paint"))
        row = QHBoxLayout()
        self.source.setToolTip("Labels that are already there, of this image or of the whole stack.")
        take = QPushButton("Use as mask")
        take.clicked.connect(self._on_take)
        self.buttons["take"] = take
        row.addWidget(self.source, 1)
        row.addWidget(take)
        layout.addLayout(row)
        return box

    def _tool_button(self, tool: str) -> QPushButton:
        text, tip = _TOOLS[tool]
        button = QPushButton(text)
        button.setCheckable(True)
        button.setToolTip(tip + _key_of(tool))
        button.clicked.connect(partial(self._on_tool_clicked, tool))
        button.setObjectName(tool)
        self.tools.addButton(button)
        self.buttons[tool] = button
        return button

    def _row(self, *verbs: tuple[str, str]) -> QHBoxLayout:
        row = QHBoxLayout()
        for verb, text in verbs:
            button = QPushButton(text)
            button.setObjectName(verb)
            button.setToolTip(
                next(each.does for each in SHORTCUTS if each.verb == verb).capitalize() + _key_of(verb)
            )
            button.clicked.connect(partial(self._on_clicked, verb))
            self.buttons[verb] = button
            row.addWidget(button)
        return row

    def _connect(self) -> None:
        layers = self._layers
        layers.keys.use(self._verbs)
        layers.stamps_changed.connect(self._on_stamps)
        layers.mask_changed.connect(self._on_mask)
        layers.plane_changed.connect(self._on_plane)
        layers.side_changed.connect(self.entry.set_side)
        layers.tool_changed.connect(self._on_tool_changed)
        layers.refused.connect(self._tell)
        layers.removed.connect(self._on_removed)
        layers.inspectable_changed.connect(self._on_labels)
        layers.unsaved.connect(self._on_unsaved)
        self.entry.side_entered.connect(layers.stamps.set_side)
        self.entry.unit_changed.connect(layers.stamps.set_unit)
        self.entry.size_entered.connect(self._on_loose_size)
        self.entry.told.connect(self._tell)
        self.said.deleted.connect(self._on_deleted)
        self._on_labels()

    # --- what the user does -------------------------------------------------------------------------------

    def _on_clicked(self, verb: str, _checked: bool = False) -> None:
        self._verbs[verb]()

    def _on_verb(self, name: str) -> None:
        self._tell("")
        self._layers.flush()  # a stroke first, so that "undo" means the stroke and "next" does not lose it
        getattr(self._controller, name)()

    def _on_tool_clicked(self, tool: str, _checked: bool = False) -> None:
        # asked of the button, since PySide6 calls a `partial` without the argument that Qt has a default for
        self._on_tool(tool if self.buttons[tool].isChecked() else "")

    def _on_tool(self, tool: str) -> None:
        try:
            self._layers.use(tool, self._controller.project)
        except SegsizeError as error:
            self._controller.fail(str(error))
        self._on_tool_changed(self._layers.tool)

    def _on_tool_changed(self, tool: str) -> None:
        for name in _TOOLS:
            self.buttons[name].setChecked(name == tool)

    def _on_stamps(self, plane: PlaneRef, put: Sequence[SizeStamp], gone: Sequence[str]) -> None:
        project = self._controller.project
        if project is None or not self._is_of(project):
            return
        # What others have said about the plane meanwhile, and sizes without a place, stay.
        base = project.annotation(plane).stamps
        new = {stamp.object: stamp for stamp in put}
        stamps = {stamp.object: stamp for stamp in base if stamp.object not in gone}
        if self._controller.sync_stamps(plane, tuple({**stamps, **new}.values()), base=base):
            self._tell("")
        else:
            self._layers.show_plane(project, plane)

    def _on_mask(self, plane: PlaneRef, labels: NDArray[np.int32]) -> None:
        if self._controller.project is None or self._is_of(self._controller.project):
            self._controller.put_mask(plane, labels)

    def _is_of(self, project: Project) -> bool:
        """Whether the layers show this project, and not still the one that was left a moment ago."""
        return self._layers.project_file in (None, project.file)

    def _on_unsaved(self) -> None:
        self._controller.update(message="Painting: not saved yet.", error="")

    def _on_plane(self, plane: PlaneRef) -> None:
        self._controller.show(plane)

    def _on_loose_size(self, text: str, unit: str) -> None:
        self._layers.flush()
        said = self._controller.state.annotation
        # Two sizes without a place cannot be told apart: the newer one is a correction.
        former = (
            next((each for each in said.stamps if each.centre is None), None) if said is not None else None
        )
        stamp = self._controller.put_stamp(text, unit=unit, object=None if former is None else former.object)
        if stamp is not None:
            self.entry.loose.clear()
            rounded = stamp.unit == "px" and stamp.entered != stamp.size
            self._tell(f"{stamp.entered:g} px became {stamp.size:g} px: sizes are even." if rounded else "")

    def _on_deleted(self, what: str) -> None:
        self._layers.flush()
        self._controller.delete(what)

    def _on_take(self) -> None:
        layer = self.source.currentData()
        project = self._controller.project
        if layer is None or project is None:
            return
        try:
            self._layers.take_mask(layer, project)
        except SegsizeError as error:
            self._controller.fail(str(error))
            return
        slices = sum(bool(plane.any()) for plane in layer.data) if layer.ndim > 2 else 1
        if slices > 1:
            self._controller.update(message=f"Saved: masks on {slices} slices.")

    def _on_labels(self) -> None:
        chosen = self.source.currentData()
        self.source.clear()
        for layer in self._layers.users_labels():
            self.source.addItem(layer.name, layer)
            if layer is chosen:
                self.source.setCurrentIndex(self.source.count() - 1)
        some = self.source.count() > 0
        if not some:
            self.source.addItem("no Labels layer to take")
        self.source.setEnabled(some)
        self.buttons["take"].setEnabled(some)

    def _on_removed(self, role: str) -> None:
        if role in ("stamps", "mask"):
            tool = "Stamp" if role == "stamps" else "Paint mask"
            self._tell(f"The layer is gone, what it showed is still in the project: {tool} brings it back.")

    def _tell(self, sentence: str) -> None:
        self.hint.setText(sentence)
        self.hint.setVisible(bool(sentence))


def _where(state: State) -> str:
    image, plane = state.image, state.plane
    if image is None or plane is None:
        return "Open a project and add images on the Project page first."
    index = next(number for number, each in enumerate(state.images, start=1) if each.id == image.id)
    text = f"<b>{image.name}</b> · image {index} of {len(state.images)}"
    if image.planes > 1:
        text += f" · slice {plane.slice + 1} of {image.planes}"
    counts = state.counts
    done = "" if counts is None else f"<br>In the project: sizes {counts.sizes}, masks {counts.masks}"
    return f"{text} · {image.split}{done}"


def _key_of(verb: str) -> str:
    key = next((each.shown for each in SHORTCUTS if each.verb == verb), "")
    return f" ({key})" if key else ""


def _shortcuts() -> QGroupBox:
    box = QGroupBox("Keys (while the picture has the focus)")
    layout = QGridLayout(box)
    layout.setVerticalSpacing(1)
    listed = [(each.shown, each.does) for each in SHORTCUTS]
    listed.insert(2, ("Shift+wheel", "change the square"))
    listed += [("Del", "delete selected stamps"), ("Ctrl+wheel", "through the slices")]
    for row, (key, does) in enumerate(listed):
        shown = QLabel(f"<b>{key}</b>")
        shown.setTextFormat(Qt.TextFormat.RichText)
        layout.addWidget(shown, row, 0)
        layout.addWidget(QLabel(does), row, 1)
    layout.setColumnStretch(1, 1)
    return box
