"""The size gradient for several numbers of samples side by side, as in the paper's figure 3."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QMouseEvent, QPixmap
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

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
        self.pictures = {n: _Picture(n) for n in samples}
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for n, picture in self.pictures.items():
            picture.clicked.connect(partial(self._on_clicked, n))
            picture.mark(n == self.samples)
            layout.addWidget(picture, 1)

    def show_gradients(self, seen: Inspection, n: int) -> None:
        """Draw the one that is new; the others keep their picture."""
        mask = seen.labels[seen.window.slices] == seen.focus
        self.pictures[n].show_picture(painted(seen.gradients[n], mask), f"±{limit_of(seen.gradients[n]):.3g}")

    def wait(self, *, keep: bool) -> None:
        """Say that new pictures are being made; `keep` the old ones until then."""
        for picture in self.pictures.values():
            picture.wait("…", keep=keep)

    def clear(self) -> None:
        """Take the pictures away."""
        for picture in self.pictures.values():
            picture.wait("", keep=False)

    def _on_clicked(self, n: int) -> None:
        self.samples = n
        for number, picture in self.pictures.items():
            picture.mark(number == n)
        self.chosen.emit(n)


class _Picture(QFrame):
    """A picture, the number of samples, and what the full colours stand for."""

    clicked = Signal()

    def __init__(self, n: int) -> None:
        super().__init__()
        self._n = n
        self.image, self.caption = QLabel(), QLabel()
        self.image.setFixedHeight(_SIDE)
        for label in (self.image, self.caption):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setObjectName(f"n{n}")
        self.setToolTip(
            f"The average over {n} sampled mask{'' if n == 1 else 's'}. Click to see it on the image."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(1)
        layout.addWidget(self.image)
        layout.addWidget(self.caption)
        self.wait("", keep=False)

    def mark(self, chosen: bool) -> None:
        """Frame the chosen one."""
        colour = "#4f6bd8" if chosen else "transparent"
        self.setStyleSheet(f"#{self.objectName()} {{ border: 2px solid {colour}; }}")

    def show_picture(self, picture: NDArray[np.uint8], scale: str) -> None:
        """Draw."""
        self.image.setPixmap(_pixmap(picture))
        self.caption.setText(f"n = {self._n}\n{scale}")

    def wait(self, sign: str, *, keep: bool) -> None:
        """Write `sign` where the scale was."""
        self.caption.setText(f"n = {self._n}\n{sign}")
        if not keep:
            self.image.clear()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802  Qt's name
        """Choose this one."""
        super().mousePressEvent(event)
        self.clicked.emit()


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
        _SIDE, _SIDE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
