"""The prediction on the image, drawn again as a training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_segsize.project.annotation import PlaneRef
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.layer_parts import LayerParts

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["LayerPreview"]

_PREVIEW_MS = 100  # at most ten redraws a second: more cost a training a multiple of its time


class LayerPreview(LayerParts):
    """The newest prediction."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self._preview: tuple[PlaneRef, NDArray[np.float32]] | None = None
        self._drawing = Later(_PREVIEW_MS, self._draw_preview)

    @property
    def preview(self) -> tuple[PlaneRef, NDArray[np.float32]] | None:
        """The newest prediction, if it belongs to the plane on screen."""
        return self._preview if self._preview is not None and self._preview[0] == self._plane else None

    def show_preview(self, plane: PlaneRef, probabilities: NDArray[np.float32]) -> None:
        """Draw a prediction, at most ten times a second; the newest wins."""
        self._preview = (plane, probabilities)
        self._drawing.ask()

    def expect_preview(self) -> None:
        """Have an empty layer for the predictions to come, if there is none."""
        base, record, plane = self._pictures.base, self._pictures.record, self._plane
        if base is None or record is None or plane is None:
            return
        if not self._overlays.has_prediction:
            self._overlays.show_prediction(base, plane.slice, np.zeros(record.shape, np.float32))

    def remove_preview(self) -> None:
        """Take the prediction away."""
        self._preview = None
        self._drawing.stop()
        self._overlays.remove_prediction()

    def _draw_preview(self) -> None:
        base, preview = self._pictures.base, self._preview
        if base is None or preview is None or self._pictures.record is None:
            return
        plane, probabilities = preview
        if plane.image == self._pictures.record.id:
            self._overlays.show_prediction(base, plane.slice, probabilities)
            self.inspectable_changed.emit()
