"""Which layers a loss can be shown of, and which pixels of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox

from napari_segsize.engine.loss_look import MOST_PIXELS
from napari_segsize.widgets.loss_outlines import is_points, is_shapes
from napari_segsize.widgets.shelf import role_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer

    from napari_segsize.widgets.layers import SegsizeLayers

__all__ = [
    "PREDICTION",
    "LayerBox",
    "Part",
    "frame_of",
    "frame_part",
    "part_of",
    "predictions",
    "targets",
    "usual",
]

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
        Or (2, H, W) of a motion field; without meaning of a frame.
    layer : napari layer
        The one they lie on, to draw over.
    index : tuple of int
        Of the plane in the layer.
    top, left : int
        Where the pixels begin in the plane.
    said : str
        A sentence about what was chosen.
    cut : bool
        Whether this is only a part of the plane.
    over : napari layer, optional
        What is looked at, if it is not `layer` itself.
    """

    pixels: NDArray[Any]
    layer: Layer
    index: tuple[int, ...]
    top: int = 0
    left: int = 0
    said: str = ""
    cut: bool = False
    over: Layer | None = None

    def saying(self, sentence: str) -> Part:
        """The same with another sentence."""
        return replace(self, said=f"{self.said} {sentence}".strip())

    @property
    def corner(self) -> tuple[int, ...]:
        """Of the first pixel, in the layer."""
        return (*self.index, self.top, self.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Of the pixels in the plane."""
        height, width = self.pixels.shape[-2:]
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


def predictions(layers: SegsizeLayers, acts_on: str = "pixels") -> Entries:
    """Whatever a loss may act on: our own prediction, images of numbers and labels; outlines for contours."""
    from napari.layers import Image, Labels, Shapes

    entries: Entries = [] if layers.preview is None else [("Prediction", PREDICTION)]
    ours = {"edges": ("mask", "edges"), "contour": ("mask", "accepted contours")}.get(acts_on, ("mask",))
    found = [layer for layer in layers.viewer.layers if role_of(layer) in (None, *ours)]
    first: list[Layer] = [layer for layer in found if isinstance(layer, Image) and _has_numbers(layer)]
    if acts_on == "contour":
        first = _of(found, Shapes)
        return [*((layer.name, layer) for layer in first), *entries, *_named(_of(found, Labels))]
    return entries + _named([*first, *_of(found, Labels)])


def targets(layers: SegsizeLayers, need: str) -> Entries:
    """What a loss may learn from: labels; an image, or points as well, for a loss that needs those."""
    from napari.layers import Image, Labels, Points

    if need == "image":
        found = [layer for layer in layers.viewer.layers if _is_picture(layer)]
        return _named([layer for layer in found if isinstance(layer, Image) and not layer.rgb])
    found = [layer for layer in layers.viewer.layers if role_of(layer) in (None, "mask", "objects")]
    if need != "points":
        return _named(_of(found, Labels))
    clicks = [layer for layer in layers.viewer.layers if role_of(layer) in (None, "extreme points")]
    return _named([*_of(found, Labels), *_of(clicks, Points)])


def usual(layers: SegsizeLayers, found: Entries, wanted: Entries, acts_on: str = "pixels") -> tuple[Any, Any]:
    """What is most likely meant: (prediction, target)."""
    offered = [layer for _, layer in wanted]
    filled = [layer for layer in offered if is_points(layer) or layers.plane_of(layer)[0].any()]
    ours = [layer for layer in filled if role_of(layer) == "mask" or layer is layers.base]
    target = next(iter(ours or filled or offered), None)
    rest = [data for _, data in found if data is not target]
    shape = None if target is None or is_points(target) else layers.plane_of(target)[0].shape
    likely = [data for data in rest if data is PREDICTION or _is_likely(layers, data, shape, acts_on)]
    active = layers.viewer.layers.selection.active
    if acts_on == "contour":  # the one that is being drawn
        likely.sort(key=lambda data: (not is_shapes(data), data is not active))
    return (likely[0] if likely else None), target


def frame_of(layers: SegsizeLayers, target: Any) -> Layer | None:
    """The layer in whose pixels a drawn contour is rendered: the target, or the image below."""
    from napari.layers import Image, Labels

    if target is not None and not is_points(target):
        return cast("Layer", target)
    if layers.base is not None:
        return layers.base
    others = [each for each in layers.viewer.layers if role_of(each) is None]
    return next((each for each in others if isinstance(each, (Image, Labels))), None)


def frame_part(layers: SegsizeLayers, frame: Layer) -> Part | str:
    """What is on screen of a frame, without its numbers."""
    data = frame.data[0] if frame.multiscale else frame.data
    shape = data.shape[-3:-1] if getattr(frame, "rgb", False) else data.shape[-2:]
    index = () if getattr(frame, "rgb", False) and frame.ndim == 2 else layers.plane_of(frame)[1]
    return _on_screen(layers, np.broadcast_to(np.zeros((), np.uint8), shape), frame, index)


def part_of(layers: SegsizeLayers, data: Any, acts_on: str = "pixels") -> Part | str:
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
    if acts_on == "field" and data is not PREDICTION and _is_field(layer):
        part = _on_screen(layers, np.asarray(layer.data)[index[:-1]], layer, index)
        return part if isinstance(part, str) else part.saying("Its two slices are taken for y and x.")
    return _on_screen(layers, plane, layer, index)


def _on_screen(
    layers: SegsizeLayers, plane: NDArray[Any], layer: Layer, index: tuple[int, ...]
) -> Part | str:
    if tuple(layers.viewer.dims.order[-2:]) != tuple(sorted(layers.viewer.dims.order))[-2:]:
        return "The axes on screen are not the last two: roll or transpose them back to look at a loss."
    if plane.shape[-2] * plane.shape[-1] <= MOST_PIXELS:
        return Part(pixels=np.array(plane), layer=layer, index=index)
    return _seen(plane, layer, index)


def _seen(plane: NDArray[Any], layer: Layer, index: tuple[int, ...]) -> Part | str:
    """The part of a large plane that is on screen."""
    corners = np.asarray(layer.corner_pixels)[:, -2:]
    low = np.clip(corners.min(0), 0, plane.shape[-2:]).astype(int)
    high = np.clip(corners.max(0) + 1, 0, plane.shape[-2:]).astype(int)
    height, width = (int(side) for side in high - low)
    if not _NARROWEST**2 <= height * width <= MOST_PIXELS:
        return (
            f"The image has {plane.shape[-2]} x {plane.shape[-1]} pixels, too much to follow at once: "
            f"zoom in until about {int(MOST_PIXELS**0.5)} x {int(MOST_PIXELS**0.5)} are on screen."
        )
    top, left = int(low[0]), int(low[1])
    rows, columns = f"rows {top} to {top + height - 1}", f"columns {left} to {left + width - 1}"
    said = f"Only what is on screen counts: {rows}, {columns}."
    pixels = np.array(plane[..., top : top + height, left : left + width])
    return Part(pixels=pixels, layer=layer, index=index, top=top, left=left, said=said, cut=True)


def _of(layers: Sequence[Layer], kind: type) -> list[Layer]:
    return [layer for layer in layers if isinstance(layer, kind)]


def _is_picture(layer: Layer) -> bool:
    role = role_of(layer)
    return role is None or role.startswith("image")


def _has_numbers(layer: Any) -> bool:
    return not layer.rgb and layer.ndim >= 2


def _named(layers: Sequence[Layer]) -> Entries:
    return [(layer.name, layer) for layer in layers]


def _is_field(layer: Any) -> bool:
    """Whether two slices of a layer of floats are the two sides of vectors."""
    return layer.ndim > 2 and layer.data.shape[-3] == 2 and np.asarray(layer.data).dtype.kind == "f"


def _is_likely(layers: SegsizeLayers, data: Any, shape: tuple[int, ...] | None, acts_on: str) -> bool:
    """Labels, or an image of shares: a picture is none. For a level set also numbers of both signs."""
    from napari.layers import Labels

    if is_shapes(data):
        return len(data.data) > 0
    plane = layers.plane_of(data)[0]
    if shape is not None and plane.shape != shape:
        return False
    if (
        plane.dtype.kind == "f"
        and plane.size
        and acts_on in ("phi", "field")
        and plane.min() < 0 < plane.max()
    ):
        return True
    shares = plane.dtype.kind == "f" and plane.size > 0 and plane.min() >= 0 and plane.max() <= 1
    return shares or isinstance(data, Labels)
