"""The row of the page Project for image files that have moved or changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMessageBox, QPushButton, QWidget

from napari_segsize.widgets.tally import ImageCounts

if TYPE_CHECKING:
    from napari_segsize.project.annotation import ImageRecord
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.state import State

__all__ = ["IMAGES", "FileLinks"]

IMAGES = "Images (*.png *.tif *.tiff *.jpg *.jpeg *.bmp *.nii *.nii.gz);;All files (*)"
_NAMED = 5  # images that the question names


class FileLinks(QWidget):
    """*Relink…* and *Use changed file…*; hidden while every file is what was annotated.

    Parameters
    ----------
    selected : callable
        The images that are chosen in the table.
    """

    def __init__(self, controller: Controller, selected: Callable[[], Sequence[ImageRecord]]) -> None:
        super().__init__()
        self._controller, self._selected = controller, selected
        self.relink = _button("Relink…", "relink", self._on_relink)
        self.relink.setToolTip(
            "Say where the selected image is now, or in which folder to look for all that are missing"
        )
        self.as_is = _button("Use changed file…", "use_changed_file", self._on_as_is)
        self.as_is.setToolTip(
            "<p>Go on with the file of the selected images as it is now, though it has changed since it was "
            "added. Its shape must be the same; sizes, masks and contours stay as they are.</p>"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.relink)
        row.addWidget(self.as_is)

    def show_state(self, state: State) -> None:
        """Offer what there is something to do for."""
        self.relink.setVisible(bool(state.missing))
        for button in (self.relink, self.as_is):
            button.setEnabled(not state.busy)
        self.setVisible(bool(state.missing or state.changed))

    def _on_relink(self) -> None:
        lost = [image for image in self._selected() if image.id in self._controller.state.missing]
        if len(lost) == 1:
            if name := self._asked_for(lost[0]):
                self._controller.relink(lost[0].id, name)
            return
        folder = QFileDialog.getExistingDirectory(self, "Look for the missing images in this folder")
        if folder:
            self._controller.relink_folder(folder)

    def _on_as_is(self) -> None:
        state = self._controller.state
        chosen = [image for image in self._selected() if image.id in state.changed | state.missing]
        if len(chosen) == 1 and chosen[0].id in state.missing:
            name = self._asked_for(chosen[0])
            if name and self._agreed(chosen):
                self._controller.relink(chosen[0].id, name, force=True)
            return
        chosen = [image for image in chosen if image.id in state.changed]
        if not chosen:
            self._controller.fail("No image whose file has changed is selected: click one (≠) in the table.")
        elif self._agreed(chosen):
            self._controller.accept_changed([image.id for image in chosen])

    def _asked_for(self, image: ImageRecord) -> str:
        name, _ = QFileDialog.getOpenFileName(self, f"Where is {image.name} now?", "", IMAGES)
        return name

    def _agreed(self, images: Sequence[ImageRecord]) -> bool:
        """Ask first: what was said about the old pixels may be wrong of the new ones."""
        counts = self._controller.state.image_counts
        found = [counts.get(image.id, ImageCounts()) for image in images]
        said = ", ".join(
            f"{number} {word}{'' if number == 1 else 's'}"
            for number, word in (
                (sum(each.sizes for each in found), "size"),
                (sum(each.masks for each in found), "mask"),
                (sum(each.contours for each in found), "contour"),
            )
            if number
        )
        stays = f"What was said ({said}) stays as it is" if said else "What was said of it stays as it is"
        answer = QMessageBox.question(
            self,
            "Use changed file",
            f"Use the file of {_named(images)} as it is now, though it has changed since it was added?\n\n"
            f"{stays}: look afterwards whether it still fits. The change is noted in the project's history.",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        return answer == QMessageBox.StandardButton.Yes


def _named(images: Sequence[ImageRecord]) -> str:
    names = ", ".join(image.name for image in images[:_NAMED])
    return names + (f" and {len(images) - _NAMED} more" if len(images) > _NAMED else "")


def _button(text: str, name: str, slot: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.clicked.connect(lambda _checked=False: slot())
    return button
