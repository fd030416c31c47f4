"""From what is chosen on the page to a request: pixels and vertices, copied; or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.engine.loss_look import LossRequest
from napari_segsize.widgets.loss_job import Asked
from napari_segsize.widgets.loss_outlines import Polygons, four_points, is_points, is_shapes
from napari_segsize.widgets.loss_sources import PREDICTION, Part, frame_of, frame_part, part_of

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_segsize.engine.loss_catalogue import LossEntry
    from napari_segsize.widgets.layers import SegsizeLayers

__all__ = ["Choice", "ask"]

_WANTS = {
    "pixels": "Predict on page Train, add a layer of probabilities",
    "edges": "Find edges on page Refine, add a layer of edge probabilities",
    "contour": "Draw a polygon in a Shapes layer, predict on page Train",
    "phi": "Add a layer of a level set or of probabilities, predict on page Train",
    "field": "Add a layer of a level set or of probabilities, predict on page Train",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """What is set on the page.

    Attributes
    ----------
    data
        The prediction: a layer, `PREDICTION`, or None.
    truth : napari layer or None
    settings : mapping
        Of `LossRequest`: kind, slope, options, vertices, size, centre.
    """

    entry: LossEntry
    data: Any
    truth: Layer | None
    settings: Mapping[str, Any]


def ask(layers: SegsizeLayers, polygons: Polygons, choice: Choice) -> Asked | str:
    """A request for what is chosen; a sentence if that is not enough."""
    entry, data, truth = choice.entry, choice.data, choice.truth
    if data is None:
        copy = "Draw a copy" if entry.acts_on == "contour" else "Paint a copy"
        return (
            f"There is no prediction to look at yet. {_WANTS[entry.acts_on]}, "
            f"or press “{copy}” to begin with the target and change that."
        )
    if truth is None and entry.needs:
        return f"This loss learns from {_needed(entry.needs)}."
    if truth is not None and entry.needs and truth not in layers.viewer.layers:
        return "The target is gone: choose another one."
    if is_shapes(data):
        return _of_shapes(layers, polygons, choice)
    part = part_of(layers, data, entry.acts_on)
    if isinstance(part, str):
        return part
    settings = dict(choice.settings)
    if entry.acts_on == "edges" and data is PREDICTION:
        settings["kind"] = "outlines"
    if entry.acts_on == "contour" and hasattr(data, "selected_label"):
        settings["label"] = int(data.selected_label)
    subject = (settings["label"],) if "label" in settings else ()
    return _asked(layers, choice, part, part.pixels, settings, subject)


def _of_shapes(layers: SegsizeLayers, polygons: Polygons, choice: Choice) -> Asked | str:
    if choice.data not in layers.viewer.layers:
        return "The layer is gone: choose another one."
    frame = frame_of(layers, choice.truth if choice.entry.needs else None)
    if frame is None:
        return "A contour lies in an image: add one, or labels."
    part = frame_part(layers, frame)
    if isinstance(part, str):
        return part
    found = polygons.vertices(choice.data, layers.viewer, frame)
    if isinstance(found, str):
        return found
    vertices, index, said = found
    part = replace(part.saying(said), over=choice.data)
    subject = (index, len(choice.data.data))  # one that is deleted gives its number to the next
    settings = {**choice.settings, "drawn": True, "shape": part.pixels.shape, "kind": "auto"}
    return _asked(layers, choice, part, vertices - (part.top, part.left), settings, subject)


def _asked(
    layers: SegsizeLayers,
    choice: Choice,
    part: Part,
    prediction: NDArray[Any],
    settings: dict[str, Any],
    subject: tuple[Any, ...],
) -> Asked | str:
    entry, truth = choice.entry, choice.truth
    target = _under(layers, part, truth) if truth is not None and entry.needs else None
    if isinstance(target, str):
        return target
    request = LossRequest(
        name=entry.name, prediction=prediction, target=target, spacing=_spacing(part.layer), **settings
    )
    known = (entry.name, choice.data, truth, part.index, part.slices, request.kind, request.vertices)
    return Asked(request=request, part=part, subject=(*known, str(request.options), *subject))


def _under(layers: SegsizeLayers, part: Part, layer: Layer) -> NDArray[Any] | str:
    """The pixels of the target under those of the prediction; or its four points, in them."""
    if is_points(layer):
        found = four_points(layer, layers.viewer, part.layer)
        return found if isinstance(found, str) else found - (part.top, part.left)
    plane = layers.plane_of(layer)[0]
    return np.array(plane[part.slices] if part.cut else plane)


def _needed(need: str) -> str:
    if need == "image":
        return "an image"
    if need == "points":
        return "four extreme points, or a mask that has them: add a Points or a Labels layer"
    return "a mask: paint one, or add a Labels layer"


def _spacing(layer: Layer) -> tuple[float, float]:
    y, x = (abs(float(side)) for side in layer.scale[-2:])
    return y, x
