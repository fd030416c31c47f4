"""A prediction to change by hand: labels to paint on, or a polygon to drag, made of what is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.engine.loss_look import LossRequest
from napari_segsize.widgets.contour_points import camera_of, pixel_on_screen
from napari_segsize.widgets.loss_outlines import Polygons, is_points, is_shapes
from napari_segsize.widgets.loss_sources import PREDICTION, frame_of, frame_part
from napari_segsize.widgets.overlays import lifted
from napari_segsize.widgets.placement import like

if TYPE_CHECKING:
    from napari.layers import Labels, Layer, Shapes

    from napari_segsize.widgets.layers import SegsizeLayers

__all__ = ["copy_to_draw", "copy_to_paint"]

_COLOUR = "#f0e442"
_DRAGGED, _WIDTH_PX = 24, 1.6  # vertices; on the screen


def copy_to_paint(
    layers: SegsizeLayers, prediction: Any, target: Any, *, edges: bool = False
) -> Labels | None:
    """Add labels of the plane on screen to the viewer, with the brush in hand; None without a source.

    The layer is the user's: it stays when the page is left. With `edges`, of the outlines alone.
    """
    from napari.layers import Labels
    from napari.utils import DirectLabelColormap

    found = _copied(layers, prediction, target)
    if found is None:
        return None
    source, plane, index = found
    if edges:
        plane = _outlines(plane) if plane.any() else plane
    data, where = lifted(source, plane.astype(np.uint8), index)
    colours = DirectLabelColormap(color_dict={None: _COLOUR, 0: "transparent", 1: _COLOUR})
    made = Labels(
        data, name="Painted edges" if edges else "Painted prediction", colormap=colours, opacity=0.5, **where
    )
    made.brush_size = 1 if edges else max(2, round(max(plane.shape) / 25))
    layers.viewer.add_layer(made)
    layers.viewer.layers.selection.active = made
    made.mode = "paint"
    return made


def copy_to_draw(
    layers: SegsizeLayers, polygons: Polygons, prediction: Any, target: Any, count: int
) -> Shapes | None:
    """Add a polygon of the prediction's outline, its vertices ready to be dragged; None without a source.

    Parameters
    ----------
    count : int
        Of vertices; 0 for as many as can well be dragged.
    """
    from napari.layers import Shapes

    from napari_segsize.engine.loss_prediction import contour_of

    source: Layer | None
    if is_shapes(prediction) and prediction in layers.viewer.layers:
        source = frame_of(layers, None if is_points(target) else target)
        part = "" if source is None else frame_part(layers, source)
        found = "" if source is None else polygons.vertices(prediction, layers.viewer, source)
        if source is None or isinstance(part, str) or isinstance(found, str):
            return None
        given: dict[str, Any]
        index, given = part.index, {"prediction": found[0], "drawn": True}
    else:
        copied = _copied(layers, prediction, None if is_points(target) else target)
        if copied is None or not copied[1].any():
            return None
        source, plane, index = copied
        values, label = layers.plane_of(source)[0], getattr(source, "selected_label", None)
        given = {"prediction": plane if prediction is PREDICTION or label is None else values, "label": label}
    vertices = contour_of(LossRequest(name="balloon", vertices=count or _DRAGGED, **given), [])
    polygon = np.zeros((len(vertices), source.ndim))
    polygon[:, :-2], polygon[:, -2:] = index, vertices
    width = _WIDTH_PX * pixel_on_screen(source, camera_of(layers.viewer).zoom)
    made = Shapes(
        [polygon], shape_type="polygon", name="Drawn contour", edge_color=_COLOUR, face_color="transparent",
        edge_width=width, ndim=source.ndim, **like(source),
    )  # fmt: skip
    layers.viewer.add_layer(made)
    layers.viewer.layers.selection.active = made
    made.mode = "direct"
    made.selected_data = {0}
    return made


def _copied(
    layers: SegsizeLayers, prediction: Any, target: Any
) -> tuple[Layer, NDArray[np.bool_], tuple[int, ...]] | None:
    """The layer that is copied, its mask on screen, and where that lies in it."""
    if prediction is PREDICTION and layers.preview is not None and layers.base is not None:
        return layers.base, layers.preview[1] > 0.5, layers.plane_of(layers.base)[1]
    chosen = [each for each in (prediction, target) if each in layers.viewer.layers]
    if not chosen:
        return None
    values, index = layers.plane_of(chosen[0])
    return chosen[0], values > _threshold(chosen[0], values), index


def _outlines(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The outermost pixels of every object."""
    from scipy.ndimage import binary_erosion

    return np.asarray(mask & ~binary_erosion(mask, border_value=1))


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
