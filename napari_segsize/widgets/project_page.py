"""The page Project: make or open one, add images, say which are held out, find lost files."""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_segsize.project.annotation import SPLITS, PlaneRef, Split
from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.editors import ignores_stray_wheel
from napari_segsize.widgets.file_links import IMAGES, FileLinks
from napari_segsize.widgets.image_table import ImageTable
from napari_segsize.widgets.preferences import read_preferences
from napari_segsize.widgets.recent import recent_projects, remember
from napari_segsize.widgets.runs import GROUPINGS
from napari_segsize.widgets.state import State

if TYPE_CHECKING:
    from napari_segsize.widgets.layers import SegsizeLayers

__all__ = ["ProjectPage"]

_PARTS = {"train": "to learn from", "validation": "to choose the best model", "test": "to compare models"}
_TABLES = "Tables (*.csv);;All files (*)"
_TABLES_IN = "Tables (*.csv *.tsv *.txt);;All files (*)"


class ProjectPage(QWidget):
    """Project, images, parts."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._layers = controller, layers
        self._folder: Path | None = None
        self._where = _sentence()
        self._hints = _sentence()
        self._hints.setObjectName("hints")
        self.table = ImageTable()
        self.table.image_activated.connect(self._on_image_activated)
        self.table.group_edited.connect(self._on_group_edited)
        layout = QVBoxLayout(self)
        layout.addLayout(self._file_row())
        layout.addWidget(self._where)
        self._rest = QWidget()
        layout.addWidget(self._rest, 1)
        rest = QVBoxLayout(self._rest)
        rest.setContentsMargins(0, 0, 0, 0)
        rest.addWidget(self._add_box())
        rest.addWidget(self.table, 1)
        rest.addLayout(self._selection_row())
        self.links = FileLinks(controller, self.table.selected)
        rest.addWidget(self.links)
        rest.addWidget(self._split_box())
        rest.addWidget(self._hints)
        rest.addLayout(self._exchange_row())
        self.render(controller.state)

    # --- drawing

    def render(self, state: State) -> None:  # type: ignore[override]  # pages of this plugin draw a state
        """Draw a state."""
        self._rest.setVisible(state.is_open)
        if state.folder is None:
            self._where.setText(
                "A project keeps your sizes, masks and models in a folder; the images stay where they are. "
                "Make a new one to begin."
            )
        else:
            counts = state.counts
            said = (
                ""
                if counts is None
                else ", ".join(
                    f"{number} {name}{'' if number == 1 else 's'}"
                    for number, name in (
                        (counts.images, "image"),
                        (counts.masks, "mask"),
                        (counts.sizes, "size"),
                    )
                )
            )
            self._where.setText(f"<b>{html.escape(state.name)}</b> · {said}")
            self._where.setToolTip(str(state.folder))
        if state.folder is not None and state.folder != self._folder:
            remember(state.folder)
        self._folder = state.folder
        self.table.show_state(state)
        self.links.show_state(state)
        for button in self._adders:
            button.setEnabled(not state.busy)
        hints = _hints(state)
        self._hints.setText("<br>".join(hints))
        self._hints.setVisible(bool(hints))

    # --- building

    def _file_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(_button("New…", "Make a project in a new folder", self._on_new))
        row.addWidget(_button("Open…", "Open the folder of a project", self._on_open))
        recent = QPushButton("Recent")
        recent.setToolTip("Projects opened last")
        self._recent = QMenu(recent)
        self._recent.aboutToShow.connect(self._on_recent_shown)
        recent.setMenu(self._recent)
        row.addWidget(recent)
        return row

    def _add_box(self) -> QGroupBox:
        box = QGroupBox("Add images")
        layout = QVBoxLayout(box)
        row = QHBoxLayout()
        self._adders = [
            _button(
                "Selected layers", "Add the image layers selected in napari's layer list", self._on_add_layers
            ),
            _button("Files…", "PNG, TIFF, NIfTI: single images, stacks and volumes", self._on_add_files),
            _button("Folder…", "All images of a folder, or a zarr store", self._on_add_folder),
        ]
        for button in self._adders:
            row.addWidget(button)
        layout.addLayout(row)
        row = QHBoxLayout()
        self._grouping = QComboBox()
        self._grouping.addItems(list(GROUPINGS))
        self._grouping.setToolTip(
            "<p>Images of one group (subject, patient, eye) are never divided between training and "
            "validation: neighbours look alike, and the figures would flatter.</p>"
        )
        ignores_stray_wheel(self._grouping)
        row.addWidget(QLabel("Group of an added file:"))
        row.addWidget(self._grouping, 1)
        layout.addLayout(row)
        return box

    def _selection_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        move, menu = QPushButton("Move to part"), QMenu(self)
        move.setToolTip("Put the selected images, and the rest of their groups, into another part")
        move.setObjectName("move_to_part")
        for split in SPLITS:
            action = menu.addAction(f"{split}: {_PARTS[split]}")
            if action is not None:
                action.triggered.connect(partial(self._on_split, split))
        move.setMenu(menu)
        row.addWidget(move)
        tip = "Take the selected images out of the project; no file is deleted"
        row.addWidget(_button("Remove", tip, self._on_remove))
        return row

    def _split_box(self) -> QGroupBox:
        box = QGroupBox("Hold images out at random")
        column, row = QVBoxLayout(box), QHBoxLayout()
        column.addLayout(row)
        self._validation, self._test = _percent(20), _percent(0)
        self._by = QComboBox()
        self._by.addItems(["group", "image"])
        self._by.setToolTip("By group keeps a subject's images together; by image divides them and flatters.")
        ignores_stray_wheel(self._by)
        for text, widget in (("Validation", self._validation), ("Test", self._test)):
            row.addWidget(QLabel(text))
            row.addWidget(widget, 1)
        row = QHBoxLayout()
        column.addLayout(row)
        row.addWidget(QLabel("Keep together by"))
        row.addWidget(self._by, 1)
        row.addWidget(_button("Deal out", "Assign every image a part, at random", self._on_deal_out))
        return box

    def _exchange_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        tip = "<p>A CSV table with the columns image, slice, object, y, x, size, unit"
        read = f"{tip}; separated by commas, semicolons or tabs.</p>"
        row.addWidget(_button("Import sizes…", read, self._on_import))
        row.addWidget(_button("Export sizes…", f"{tip}.</p>", self._on_export))
        return row

    # --- what the user does

    def _on_new(self) -> None:
        start = read_preferences().start_folder / "segsize-project"
        name, _ = QFileDialog.getSaveFileName(
            self, "New project: name its folder", str(start), "", "", QFileDialog.Option.ShowDirsOnly
        )
        if name:
            self._layers.flush()  # what is painted belongs to the project that is left
            self._controller.create_project(name)

    def _on_open(self) -> None:
        start = self._folder.parent if self._folder is not None else read_preferences().start_folder
        folder = QFileDialog.getExistingDirectory(self, "Open a project's folder", str(start))
        if folder:
            self._layers.flush()  # what is painted belongs to the project that is left
            self._controller.open_project(folder)

    def _on_recent_shown(self) -> None:
        self._recent.clear()
        folders = recent_projects(read_preferences().recent)
        for folder in folders:
            action = self._recent.addAction(f"{folder.name}    ({folder.parent})")
            if action is not None:
                action.triggered.connect(partial(self._on_recent, folder))
        if not folders:
            nothing = self._recent.addAction("No project yet")
            if nothing is not None:
                nothing.setEnabled(False)

    def _on_recent(self, folder: Path, _checked: bool = False) -> None:
        self._layers.flush()  # what is painted belongs to the project that is left
        self._controller.open_project(folder)

    def _on_add_layers(self) -> None:
        self._controller.add_layers(self._layers.image_layers_for_add())

    def _on_add_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add images", "", IMAGES)
        if names:
            self._controller.add_files(names, group=GROUPINGS[self._grouping.currentText()])

    def _on_add_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Add the images of a folder")
        if folder:
            self._controller.add_files([folder], group=GROUPINGS[self._grouping.currentText()])

    def _on_image_activated(self, image: int) -> None:
        self._controller.show(PlaneRef(image))

    def _on_group_edited(self, image: int, group: str) -> None:
        self._controller.set_group([image], group)

    def _on_split(self, split: Split, _checked: bool = False) -> None:
        if ids := self._selected():
            self._controller.set_splits(ids, split)

    def _on_remove(self) -> None:
        if ids := self._selected():
            self._controller.remove_images(ids)

    def _on_deal_out(self) -> None:
        self._controller.assign_splits(
            validation=self._validation.value() / 100,
            test=self._test.value() / 100,
            by="group" if self._by.currentText() == "group" else "image",
        )

    def _on_import(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Import sizes", "", _TABLES_IN)
        if name:
            self._controller.import_sizes(name)

    def _on_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export sizes", "sizes.csv", _TABLES)
        if name:
            self._controller.export_sizes(name)

    def _selected(self) -> list[int]:
        ids = [image.id for image in self.table.selected()]
        if not ids:
            self._controller.fail("No image is selected: click one or more in the table, then try again.")
        return ids


def _hints(state: State) -> list[str]:
    """Return what is likely to go wrong, most urgent first."""
    if not state.is_open:
        return []
    if not state.images:
        return ["Add images: open them in napari and press <i>Selected layers</i>, or choose files."]
    hints = []
    if state.missing:
        count = len(state.missing)
        hints.append(f"⚠ {count} image file{'' if count == 1 else 's'} missing (red): press Relink.")
    if state.changed:
        count = len(state.changed)
        what = "1 image file has" if count == 1 else f"{count} image files have"
        hints.append(
            f"⚠ {what} changed since being added (orange): put the old back, or select the image and press "
            "Use changed file."
        )
    if all(image.split != "validation" for image in state.images) and len(state.images) > 1:
        hints.append("⚠ No image is held out for validation, so no model can be judged: press Deal out.")
    if mixed := _mixed(state):
        hints.append(
            f"⚠ Group {mixed[0]}{' and others are' if len(mixed) > 1 else ' is'} in more than one part."
        )
    hints += [f"⚠ {sentence}" for sentence in state.contradictions[:2]]
    if len(state.contradictions) > 2:
        hints.append(f"… and {len(state.contradictions) - 2} more sizes that a mask denies.")
    return hints


def _mixed(state: State) -> list[str]:
    parts: dict[str, set[str]] = {}
    for image in state.images:
        parts.setdefault(image.group, set()).add(image.split)
    return [group for group, splits in parts.items() if len(splits) > 1]


def _button(text: str, tip: str, slot: object) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setObjectName(text.rstrip("…").strip("→ ").lower().replace(" ", "_"))
    button.clicked.connect(lambda _checked=False: cast("partial[None]", slot)())
    return button


def _percent(value: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 90)
    box.setSingleStep(5)
    box.setValue(value)
    box.setSuffix(" %")
    ignores_stray_wheel(box)
    return box


def _sentence() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label
