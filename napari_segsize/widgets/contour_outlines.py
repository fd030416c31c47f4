"""Outlines that are there already, in layers of the user's: shapes and labels that are selected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.widgets.contour_shapes import outline_of_shape
from napari_segsize.widgets.shelf import role_of

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["selected_label", "selected_shapes"]


def selected_shapes(layers: Iterable[Layer], base: Layer) -> list[NDArray[np.float64]]:
    """Return outlines (K, 2) of the shapes selected in the user's own layers, in pixels of `base`."""
    from napari.layers import Shapes

    found = []
    for layer in layers:
        if isinstance(layer, Shapes) and role_of(layer) is None:
            for index in sorted(layer.selected_data):
                outline = outline_of_shape(layer, index)
                if outline is not None:
                    found.append(_brought(layer, outline, base))
    return found


def selected_label(layer: Layer, plane: NDArray[Any], base: Layer) -> list[NDArray[np.float64]]:
    """Return the outline of the label that is selected in a Labels layer, given its plane on screen."""
    from napari_segsize.project.outlines import rings_of

    mask = np.asarray(plane) == layer.selected_label
    if not mask.any() or layer.selected_label == 0:
        return []
    ring = max(rings_of(mask), key=len)
    return [_brought(layer, np.array(ring, float), base)]


def _brought(layer: Layer, outline: NDArray[np.float64], base: Layer) -> NDArray[np.float64]:
    """Bring vertices of a layer into the pixels of the image."""
    lead = np.zeros(layer.ndim)
    places = []
    for vertex in outline:
        lead[-2:] = vertex
        world = np.asarray(layer.data_to_world(lead))[-base.ndim :]
        world = np.concatenate([np.zeros(base.ndim - len(world)), world])
        places.append(np.asarray(base.world_to_data(world))[-2:])
    return np.array(places, float)
