"""A prediction to paint on: labels made of what is predicted, or of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.widgets.loss_sources import PREDICTION
from napari_segsize.widgets.overlays import lifted

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_segsize.widgets.layers import SegsizeLayers

__all__ = ["copy_to_paint"]

_COLOUR = "#f0e442"


def copy_to_paint(layers: SegsizeLayers, prediction: Any, target: Any) -> Labels | None:
    """Add labels of the plane on screen to the viewer, with the brush in hand; None without a source.

    The layer is the user's: it stays when the page is left.
    """
    from napari.layers import Labels
    from napari.utils import DirectLabelColormap

    if prediction is PREDICTION and layers.preview is not None and layers.base is not None:
        source, plane = layers.base, layers.preview[1] > 0.5
        index = layers.plane_of(source)[1]
    else:
        chosen = [each for each in (prediction, target) if each in layers.viewer.layers]
        if not chosen:
            return None
        source = chosen[0]
        values, index = layers.plane_of(source)
        plane = values > _threshold(source, values)
    data, where = lifted(source, plane.astype(np.uint8), index)
    colours = DirectLabelColormap(color_dict={None: _COLOUR, 0: "transparent", 1: _COLOUR})
    made = Labels(data, name="Painted prediction", colormap=colours, opacity=0.5, **where)
    made.brush_size = max(2, round(max(plane.shape) / 25))
    layers.viewer.add_layer(made)
    layers.viewer.layers.selection.active = made
    made.mode = "paint"
    return made


def _threshold(source: Any, values: Any) -> float:
    """Of probabilities a half, of logits and labels 0."""
    from napari.layers import Labels

    shares = (
        not isinstance(source, Labels)
        and values.dtype.kind == "f"
        and values.min() >= 0
        and values.max() <= 1
    )
    return 0.5 if shares else 0.0
