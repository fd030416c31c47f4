"""Which layers a loss can be shown of, and which pixels of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox

from napari_segsize.engine.loss_look import MOST_PIXELS
from napari_segsize.widgets.shelf import role_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer

    from napari_segsize.widgets.layers import SegsizeLayers

__all__ = ["PREDICTION", "LayerBox", "Part", "part_of", "predictions", "targets", "usual"]

PREDICTION: Any = object()  # no text: Qt gives another one back
"""Stands for what the plugin's network has predicted for the plane on screen."""
_NARROWEST = 8  # pixels of an image that are still worth looking at

Entries = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Pixels of a layer, and where they lie in it.

    Attributes
    ----------
    pixels : (H, W) array
    layer : napari layer
        The one they lie on, to draw over.
    index : tuple of int
        Of the plane in the layer.
    top, left : int
        Where the pixels begin in the plane.
    said : str
        A sentence about a plane of which this is only a part.
    """

    pixels: NDArray[Any]
    layer: Layer
    index: tuple[int, ...]
    top: int = 0
    left: int = 0
    said: str = ""

    @property
    def corner(self) -> tuple[int, ...]:
        """Of the first pixel, in the layer."""
        return (*self.index, self.top, self.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Of the pixels in the plane."""
        height, width = self.pixels.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


class LayerBox(QComboBox):
    """Chooses a layer; keeps the choice while layers come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumContentsLength(12)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._by_hand: Any = None  # what the user has chosen
        self.activated.connect(self._on_activated)

    def offer(self, entries: Entries, usual: Any) -> bool:
        """Show entries; choose what the user has chosen, or else `usual`. Whether the choice is another."""
        before = self.currentData()
        offered = [data for _, data in entries]
        chosen = self._by_hand if any(data is self._by_hand for data in offered) else usual
        self.blockSignals(True)
        self.clear()
        for text, data in entries:
            self.addItem(text, data)
        self.setCurrentIndex(next((i for i, data in enumerate(offered) if data is chosen), -1))
        self.blockSignals(False)
        return self.currentData() is not before

    def choose(self, data: Any) -> None:
        """Choose as the user does."""
        self._by_hand = data
        for index in range(self.count()):
            if self.itemData(index) is data:
                self.setCurrentIndex(index)

    def _on_activated(self, index: int) -> None:
        self._by_hand = self.itemData(index)


def predictions(layers: SegsizeLayers) -> Entries:
    """Whatever may be a prediction: our own, images of numbers, labels."""
    from napari.layers import Image, Labels

    entries: Entries = [] if layers.preview is None else [("Prediction", PREDICTION)]
    found = [layer for layer in layers.viewer.layers if role_of(layer) in (None, "mask")]
    images = [layer for layer in found if isinstance(layer, Image) and not layer.rgb and layer.ndim >= 2]
    return entries + [(layer.name, layer) for layer in [*images, *_of(found, Labels)]]


def targets(layers: SegsizeLayers, need: str) -> Entries:
    """What a loss may learn from: labels, or images for a loss that needs an image."""
    from napari.layers import Image, Labels

    if need == "image":
        found = [layer for layer in layers.viewer.layers if _is_picture(layer)]
        return [(layer.name, layer) for layer in found if isinstance(layer, Image) and not layer.rgb]
    found = [layer for layer in layers.viewer.layers if role_of(layer) in (None, "mask", "objects")]
    return [(layer.name, layer) for layer in _of(found, Labels)]


def usual(layers: SegsizeLayers, found: Entries, wanted: Entries) -> tuple[Any, Any]:
    """What is most likely meant: (prediction, target)."""
    offered = [layer for _, layer in wanted]
    filled = [layer for layer in offered if layers.plane_of(layer)[0].any()]
    ours = [layer for layer in filled if role_of(layer) == "mask" or layer is layers.base]
    target = next(iter(ours or filled or offered), None)
    rest = [data for _, data in found if data is not target]
    shape = None if target is None else layers.plane_of(target)[0].shape
    likely = [data for data in rest if data is PREDICTION or _is_likely(layers, data, shape)]
    return (likely[0] if likely else None), target


def part_of(layers: SegsizeLayers, data: Any) -> Part | str:
    """The pixels on screen of what was chosen; a sentence when there are none, or too many."""
    base, preview = layers.base, layers.preview
    if data is PREDICTION:
        if preview is None or base is None:
            return "There is no prediction of this slice yet: press Predict on page Train."
        layer, plane, index = base, preview[1], layers.plane_of(base)[1]
    else:
        if data not in layers.viewer.layers:
            return "The layer is gone: choose another one."
        layer = data
        plane, index = layers.plane_of(layer)
    if tuple(layers.viewer.dims.order[-2:]) != tuple(sorted(layers.viewer.dims.order))[-2:]:
        return "The axes on screen are not the last two: roll or transpose them back to look at a loss."
    if plane.size <= MOST_PIXELS:
        return Part(pixels=np.array(plane), layer=layer, index=index)
    return _seen(plane, layer, index)


def _seen(plane: NDArray[Any], layer: Layer, index: tuple[int, ...]) -> Part | str:
    """The part of a large plane that is on screen."""
    corners = np.asarray(layer.corner_pixels)[:, -2:]
    low = np.clip(corners.min(0), 0, plane.shape).astype(int)
    high = np.clip(corners.max(0) + 1, 0, plane.shape).astype(int)
    height, width = (int(side) for side in high - low)
    if not _NARROWEST**2 <= height * width <= MOST_PIXELS:
        return (
            f"The image has {plane.shape[0]} x {plane.shape[1]} pixels, which is too much to follow at once: "
            f"zoom in until about {int(MOST_PIXELS**0.5)} x {int(MOST_PIXELS**0.5)} are on screen."
        )
    top, left = int(low[0]), int(low[1])
    rows, columns = f"rows {top} to {top + height - 1}", f"columns {left} to {left + width - 1}"
    said = f"Only what is on screen counts: {rows}, {columns}."
    pixels = np.array(plane[top : top + height, left : left + width])
    return Part(pixels=pixels, layer=layer, index=index, top=top, left=left, said=said)


def _of(layers: Sequence[Layer], kind: type) -> list[Layer]:
    return [layer for layer in layers if isinstance(layer, kind)]


def _is_picture(layer: Layer) -> bool:
    role = role_of(layer)
    return role is None or role.startswith("image")


def _is_likely(layers: SegsizeLayers, data: Any, shape: tuple[int, ...] | None) -> bool:
    """Labels, or an image of shares: a picture is none."""
    from napari.layers import Labels

    plane = layers.plane_of(data)[0]
    if shape is not None and plane.shape != shape:
        return False
    shares = plane.dtype.kind == "f" and plane.size > 0 and plane.min() >= 0 and plane.max() <= 1
    return shares or isinstance(data, Labels)
