"""The parts of a dock widget's layers, and what they tell: stamps, masks, contours, losses, overlays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pint
from psygnal import Signal

from napari_segsize.project.annotation import PlaneRef
from napari_segsize.widgets.contour_layers import ContourLayers
from napari_segsize.widgets.cursor import Cursor
from napari_segsize.widgets.keys import Keys
from napari_segsize.widgets.loss_layers import LossLayers
from napari_segsize.widgets.masks import Masks
from napari_segsize.widgets.overlays import Overlays
from napari_segsize.widgets.pictures import Pictures
from napari_segsize.widgets.refine_layers import RefineLayers
from napari_segsize.widgets.shelf import Shelf
from napari_segsize.widgets.stamps import Stamps

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Layer
    from napari.viewer import Viewer

__all__ = ["LayerParts"]


class LayerParts:
    """What shows one kind of thing each, on one shelf; `SegsizeLayers` says what is done with them.

    Parameters
    ----------
    viewer : napari Viewer
        Where the layers live.
    """

    plane_changed = Signal(PlaneRef)
    """The user has moved the slider to another plane."""
    stamps_changed = Signal(PlaneRef, object, object)
    """(plane, stamps that are new or different, identities that are gone)"""
    mask_changed = Signal(PlaneRef, object)
    """(plane, (H, W) labels)"""
    side_changed = Signal(float)
    """The side of the square, in pixels: of the selected stamps, or of the next one."""
    tool_changed = Signal(str)
    """"stamp", "select", "paint" or "" when another layer or tool is in use."""
    refused = Signal(str)
    """A sentence for the user."""
    removed = Signal(str)
    """The user has removed the layer of this role."""
    inspectable_changed = Signal()
    """Layers that can be inspected have come, gone or been renamed."""
    pixels_changed = Signal(object)
    """The labels in this layer have changed, or another slice of them is shown."""

    opened = Signal()
    """An image that had to be read first is on screen now."""
    failed = Signal(str)
    """It cannot be shown: a sentence for the user."""
    unsaved = Signal()
    """The user is painting: what is on screen is not on disk."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        # Pint reads its units when they are first asked for, and is not safe for threads then: napari's
        # status bar asks from another one, and the first image would fail with "'pixel' is not defined".
        pint.Unit("pixel")
        self._plane: PlaneRef | None = None
        self.project_file: Path | None = None  # whose plane is shown: its number means nothing elsewhere
        self._shelf = Shelf(viewer)
        self._pictures = Pictures(self._shelf)
        self.stamps = Stamps(self._shelf)
        self.masks = Masks(self._shelf, self._slice_on_screen)
        self._cursor = Cursor(self._shelf, self.stamps)
        self._overlays = Overlays(self._shelf)
        self.contours = ContourLayers(self._shelf)
        self.losses = LossLayers(self._shelf)
        self.refine = RefineLayers(self._shelf)
        self.keys = Keys()

    @property
    def plane(self) -> PlaneRef | None:
        """The plane that was shown last."""
        return self._plane

    @property
    def base(self) -> Layer | None:
        """The image on screen, on which predictions lie."""
        return self._pictures.base

    def flush(self) -> None:
        """Hand over what is painted and not yet saved. Called before anything else happens."""
        self.masks.flush()

    def _slice_on_screen(self) -> int:
        base = self._pictures.base
        if base is None or base.ndim < 3:
            return 0
        return plane_index(base, tuple(self.viewer.dims.point))


def plane_index(layer: Layer, point: tuple[float, ...]) -> int:
    """Return the slice of a stack that is shown at a point of the world."""
    at = float(np.asarray(layer.world_to_data(point[-layer.ndim :]))[0])
    return int(np.clip(round(at), 0, layer.data.shape[0] - 1))
