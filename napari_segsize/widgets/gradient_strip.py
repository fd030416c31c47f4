"""The size gradient for several numbers of samples side by side, as in the paper's figure 3."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QToolButton, QWidget

from napari_segsize.widgets.overlays import DIVERGING, limit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_segsize.engine.microscope import Inspection

__all__ = ["GradientStrip", "painted"]

_SIDE = 76
_OUTLINE = (230, 57, 70)


class GradientStrip(QWidget):
    """One small picture for each number of samples; a click chooses the one on the image."""

    chosen = Signal(int)

    def __init__(self, samples: Sequence[int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.samples = samples[-1]
        self.buttons: dict[int, QToolButton] = {}
        group, layout = QButtonGroup(self), QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for n in samples:
            button = QToolButton()
            button.setCheckable(True)
            button.setIconSize(QSize(_SIDE, _SIDE))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setText(f"n = {n}\n")
            button.setToolTip(
                f"The average over {n} sampled mask{'' if n == 1 else 's'}. Click to see it on the image."
            )
            button.clicked.connect(partial(self._on_clicked, n))
            group.addButton(button)
            layout.addWidget(button, 1)
            self.buttons[n] = button
        self.buttons[self.samples].setChecked(True)

    def show_gradients(self, seen: Inspection, n: int) -> None:
        """Draw the one that is new; the others keep their picture."""
        mask = seen.labels[seen.window.slices] == seen.focus
        button = self.buttons[n]
        button.setIcon(QIcon(_pixmap(painted(seen.gradients[n], mask))))
        button.setText(f"n = {n}\n±{limit_of(seen.gradients[n]):.3g}")

    def wait(self, *, keep: bool) -> None:
        """Say that new pictures are being made; `keep` the old ones until then."""
        for n, button in self.buttons.items():
            button.setText(f"n = {n}\n…")
            if not keep:
                button.setIcon(QIcon())

    def clear(self) -> None:
        """Take the pictures away."""
        self.wait(keep=False)
        for n, button in self.buttons.items():
            button.setText(f"n = {n}\n")

    def _on_clicked(self, n: int, _checked: bool = False) -> None:
        self.samples = n
        self.chosen.emit(n)


def painted(gradient: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return (h, w, 3) colours about white, enlarged so that the outline lies between pixels."""
    share = np.clip(gradient / limit_of(gradient), -1, 1)
    stops = np.linspace(-1, 1, len(DIVERGING))
    colours = np.stack([np.interp(share, stops, [stop[c] for stop in DIVERGING]) for c in range(3)], -1)
    zoom = max(1, round(2 * _SIDE / max(gradient.shape)))
    picture = np.repeat(np.repeat((colours * 255).astype(np.uint8), zoom, 0), zoom, 1)
    big = np.repeat(np.repeat(mask, zoom, 0), zoom, 1)
    rim = np.zeros_like(big)
    rim[1:] |= big[1:] != big[:-1]
    rim[:, 1:] |= big[:, 1:] != big[:, :-1]
    picture[rim] = _OUTLINE
    return np.ascontiguousarray(picture)


def _pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    height, width, _ = picture.shape
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    pixmap = QPixmap.fromImage(image)  # copies, so the bytes may go
    return pixmap.scaled(
        2 * _SIDE, 2 * _SIDE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.FastTransformation
    )
