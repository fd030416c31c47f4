"""Accepted contours as a label image: each object has its number."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.project.outlines import mask_of
from napari_segsize.widgets.loading import ONE_AT_A_TIME
from napari_segsize.widgets.placement import like, place

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_segsize.project.annotation import Contour, Ring
    from napari_segsize.widgets.contour_state import Board
    from napari_segsize.widgets.shelf import Shelf

__all__ = ["ROLE", "ObjectLabels", "first_labels"]

ROLE = "objects"

Rings = tuple["Ring", ...]


class ObjectLabels:
    """The label image: each object has its number, whatever the order of acceptance."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._painted: dict[int, tuple[tuple[Any, ...], ...]] = {}

    @property
    def layer(self) -> Labels | None:
        """The layer, unless there is none or the user has removed it."""
        layer: Labels | None = self._shelf.get(ROLE)
        return layer

    def begin(self, base: Layer, shape: tuple[int, int, int], said: Mapping[int, Iterable[Contour]]) -> None:
        """Paint all planes of an image of (planes, H, W), if there is anything to paint."""
        layer = self._made(base, shape)
        for number, contours in said.items():
            accepted = [(k, each.rings) for k, each in enumerate(contours, start=1) if each.accepted]
            self._paint(layer, number, tuple(accepted), shape[1:])
        layer.refresh()

    def show(self, base: Layer, number: int, board: Board, shape: tuple[int, int, int]) -> None:
        """Paint one plane anew, if something about it has changed."""
        accepted = tuple((each.number, each.rings) for each in board.objects if each.rings)
        layer = self.layer
        if layer is None or layer.ndim != base.ndim:
            layer = self._made(base, shape)
        if accepted == self._painted.get(number, ()):
            return
        self._paint(layer, number, accepted, shape[1:])
        layer.refresh()

    def remove(self) -> None:
        """Take the layer away."""
        self._painted = {}
        self._shelf.remove(ROLE)

    def _made(self, base: Layer, shape: tuple[int, int, int]) -> Labels:
        from napari.layers import Labels

        self._painted = {}
        data = np.zeros(shape if base.ndim == 3 else shape[1:], np.int32)
        layer = self.layer
        if layer is not None and layer.ndim == base.ndim:
            layer.data = data
            place(layer, like(base))
            return layer
        layer = Labels(data, name="Objects", opacity=0.25, **like(base))
        layer.editable = False  # it follows the contours; nothing painted here would be kept
        self._shelf.put(ROLE, layer, above=base)
        return layer

    def _paint(
        self, layer: Labels, number: int, accepted: tuple[tuple[int, Rings], ...], shape: tuple[int, ...]
    ) -> None:
        """Paint what is new on top; when something went or changed, all of the plane."""
        before = self._painted.get(number, ())
        plane = layer.data if layer.ndim == 2 else layer.data[number]
        known = set(before)
        if known <= set(accepted):
            new = [each for each in accepted if each not in known]
        else:
            plane[:] = 0
            new = list(accepted)
        for label, rings in new:
            inside, window = _window(rings, shape)
            part = plane[window]
            part[inside & (part == 0)] = label
        self._painted[number] = accepted


def first_labels() -> Generator[None, None, None]:
    """Make one label image for nothing: at the first, napari imports and compiles for half a second."""
    with ONE_AT_A_TIME:
        from napari.layers import Labels

        Labels(np.zeros((2, 2), np.int32))
    yield from ()


def _window(rings: Rings, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], tuple[slice, slice]]:
    """Return the pixels inside of rings, in the part of the image that holds them."""
    vertices = np.concatenate([np.array(ring) for ring in rings])
    low = np.clip(np.floor(vertices.min(axis=0)).astype(int), 0, shape)
    high = np.clip(np.ceil(vertices.max(axis=0)).astype(int) + 1, low, shape)
    moved = [np.array(ring) - low for ring in rings]
    inside = mask_of(moved, (int(high[0] - low[0]), int(high[1] - low[1])))
    return inside, (slice(low[0], high[0]), slice(low[1], high[1]))
