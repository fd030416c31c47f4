"""What is drawn on top of an image for looking only: the prediction, and what the Inspect page explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.widgets.placement import Placement, like, place
from napari_segsize.widgets.shelf import Shelf
from napari_segsize.widgets.stamps import STAMP_LOOK

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_segsize.engine.microscope import Inspection

__all__ = ["DIVERGING", "INSPECTED", "SEEN_THROUGH", "Overlays", "lifted", "limit_of"]

INSPECTED = ("distance", "squares", "centres", "gradient", "outline")
"""Roles of the layers of an inspection, in the order in which the page lists them."""

_HARD, _SOFT, _SQUARE, _OUTLINE = "#ffffff", "#ff5da2", "#4cc9f0", "#e63946"
# Blue: the loss falls when the pixel becomes object; red: when it becomes background.
DIVERGING = (
    (0.13, 0.35, 0.75, 1.0),
    (0.55, 0.72, 0.93, 1.0),
    (1.0, 1.0, 1.0, 1.0),
    (0.96, 0.65, 0.55, 1.0),
    (0.75, 0.1, 0.1, 1.0),
)
SEEN_THROUGH = tuple(
    (*stop[:3], opacity) for stop, opacity in zip(DIVERGING, (1, 0.8, 0, 0.8, 1), strict=True)
)


class Overlays:
    """Layers that nobody edits. One that the user has removed stays away until it is asked for again."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def show_prediction(self, base: Layer, number: int, probabilities: NDArray[np.float32]) -> None:
        """Draw probabilities of one plane over the image."""
        from napari.layers import Image
        from napari.utils import Colormap

        data, where = lifted(base, probabilities, _lead(base, number))
        layer = self._shelf.get("prediction")
        if layer is not None and layer.ndim == base.ndim:
            layer.data = data
            place(layer, where)
            return
        colours = Colormap([[1, 0.55, 0, 0], [1, 0.55, 0, 0.15], [1, 0.55, 0, 0.75]], controls=[0, 0.5, 1])
        layer = Image(
            data, name="Prediction", colormap=colours, contrast_limits=(0, 1), blending="translucent", **where
        )
        self._shelf.put("prediction", layer)

    @property
    def has_prediction(self) -> bool:
        """Whether there is a layer of a prediction."""
        return self._shelf.get("prediction") is not None

    def remove_prediction(self) -> None:
        """Take the prediction away."""
        self._shelf.remove("prediction")

    def show_inspection(
        self,
        source: Layer,
        index: Sequence[int],
        seen: Inspection,
        *,
        samples: int,
        wanted: set[str],
        only: Sequence[str] = INSPECTED,
    ) -> None:
        """Draw those parts of an inspection that are wanted, on the plane `index` of the inspected layer.

        `only`: the parts that are new; each one drawn costs some milliseconds.
        """
        window = seen.window
        drawn: dict[str, Any] = {
            "distance": lambda: self._distance(source, index, seen.distance),
            "squares": lambda: self._squares(source, index, seen),
            "centres": lambda: self._centres(source, index, seen),
            "outline": lambda: self._outline(source, index, seen),
        }
        if samples in seen.gradients:
            corner = (*index, window.top, window.left)
            drawn["gradient"] = lambda: self._gradient(source, corner, seen.gradients[samples])
        for role in only:
            if role not in wanted or not seen.objects:
                self._shelf.remove(role)
            elif role in drawn:
                drawn[role]()

    def remove_inspection(self) -> None:
        """Take everything of an inspection away."""
        for role in INSPECTED:
            self._shelf.remove(role)

    def _distance(self, source: Layer, index: Sequence[int], distance: NDArray[np.float32]) -> None:
        limits = (0.0, max(float(distance.max()), 1.0))
        look = {"name": "Distance to the background", "colormap": "inferno", "blending": "additive"}
        self._image("distance", source, index, distance, limits, **look)

    def _gradient(self, source: Layer, corner: Sequence[float], gradient: NDArray[np.float32]) -> None:
        from napari.utils import Colormap

        limit = limit_of(gradient)
        look = {
            "name": "Size gradient",
            "colormap": Colormap(SEEN_THROUGH),
            "blending": "translucent",
            "opacity": 0.9,
        }
        self._image("gradient", source, corner, gradient, (-limit, limit), **look)

    def _image(
        self, role: str, source: Layer, corner: Sequence[float], plane: NDArray[Any],
        limits: tuple[float, float], **look: Any,
    ) -> None:  # fmt: skip
        from napari.layers import Image

        data, where = lifted(source, plane, corner)
        layer = self._shelf.get(role)
        if layer is None or layer.ndim != source.ndim:
            layer = Image(data, contrast_limits=limits, interpolation2d="nearest", **look, **where)
            self._shelf.put(role, layer, above=source)
            return
        layer.data = data
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits
        place(layer, where)

    def _squares(self, source: Layer, index: Sequence[int], seen: Inspection) -> None:
        rows = [(*index, *centre) for each in seen.objects for centre in each.squares]
        sizes = [each.size for each in seen.objects for _ in each.squares]
        colours = [_SQUARE] * len(rows)
        look = {**STAMP_LOOK, "name": "Largest squares", "border_width": _thin(seen.labels.shape)}
        self._points("squares", source, rows, sizes, colours, ["square"] * len(rows), **look)

    def _centres(self, source: Layer, index: Sequence[int], seen: Inspection) -> None:
        rows, colours, symbols = [], [], []
        for each in seen.objects:
            rows += [(*index, *each.hard_centroid), (*index, *each.soft_centroid)]
            colours += [_HARD, _SOFT]
            symbols += ["cross", "x"]
        size = max(3.0, min(seen.labels.shape) / 22)
        look = {"name": "Centroids", "face_color": _HARD, "border_width": 0}
        self._points("centres", source, rows, [size] * len(rows), colours, symbols, **look)

    def _points(
        self, role: str, source: Layer, rows: Sequence[Sequence[float]], sizes: Sequence[float],
        colours: Sequence[str], symbols: Sequence[str], **look: Any,
    ) -> None:  # fmt: skip
        from napari.layers import Points
        from napari.utils.colormaps.standardize_color import transform_color

        data, where = np.array(rows, float).reshape(-1, source.ndim), like(source)
        layer = self._shelf.get(role)
        if layer is None or layer.ndim != source.ndim:
            layer = Points(data, **look, **where)
            self._shelf.put(role, layer, above=source)
        else:
            layer.selected_data = set()
            layer.data = data
            place(layer, where)
        _set(layer, "size", np.array(sizes, float))
        _set(layer, "symbol", np.array(symbols), now=np.array([str(each) for each in layer.symbol]))
        colour = transform_color(list(colours)) if rows else np.zeros((0, 4), np.float32)
        _set(layer, "border_color", colour)
        if role == "centres":
            _set(layer, "face_color", colour)

    def _outline(self, source: Layer, index: Sequence[int], seen: Inspection) -> None:
        from napari.layers import Labels
        from napari.utils import DirectLabelColormap

        data, where = lifted(source, (seen.labels == seen.focus).astype(np.uint8), index)
        layer = self._shelf.get("outline")
        if layer is not None and layer.ndim == source.ndim:
            layer.data = data
            place(layer, where)
            return
        colours = DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", 1: _OUTLINE})
        layer = Labels(data, name="Inspected object", colormap=colours, opacity=1.0, **where)
        layer.contour = 1
        self._shelf.put("outline", layer, above=source)


def limit_of(gradient: NDArray[np.float32]) -> float:
    """Return the value that gets the full colour: one stray pixel must not wash out the rest."""
    strong = np.abs(gradient[gradient != 0])
    return float(np.quantile(strong, 0.99)) if strong.size else 1.0


def _set(layer: Layer, name: str, value: NDArray[Any], *, now: NDArray[Any] | None = None) -> None:
    """Set what differs only: every setting redraws."""
    if not np.array_equal(getattr(layer, name) if now is None else now, value):
        setattr(layer, name, value)


def _lead(base: Layer, number: int) -> tuple[int, ...]:
    return () if base.ndim == 2 else (number,)


def lifted(source: Layer, plane: NDArray[Any], corner: Sequence[float]) -> tuple[NDArray[Any], Placement]:
    """Give a plane the axes of `source`, and the place of its corner there (missing numbers are 0)."""
    lead = source.ndim - 2
    offset = [*corner, *[0] * (source.ndim - len(corner))]
    return plane.reshape((1,) * lead + plane.shape), like(source, offset)


def _thin(shape: tuple[int, ...]) -> float:
    return max(min(shape) / 200, 0.25)
