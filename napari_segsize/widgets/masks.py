"""The painted masks: one Labels layer for all planes of the image on screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.errors import SegsizeError
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.placement import like, place
from napari_segsize.widgets.shelf import Quiet, Shelf, connected

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

__all__ = ["Masks", "plane_of"]

_PERIOD_MS = 300  # a stroke is on disk this long after it ended, or before anything else happens


class Masks:
    """Masks of every plane of the image on screen."""

    changed = Signal(int, object)
    """(slice, (H, W) int32 labels): a stroke has ended"""
    unsaved = Signal()
    """the pixels on screen have begun to differ from those on disk"""
    mode_changed = Signal(str)

    def __init__(self, shelf: Shelf, current: Callable[[], int]) -> None:
        self._shelf = shelf
        self._current = current  # the slice on screen
        self._quiet = Quiet()
        self._known: NDArray[np.int32] = np.zeros((0, 0, 0), np.int32)  # what is on disk: (planes, H, W)
        self._touched: set[int] = set()  # planes that may differ from it
        self._told = False
        self._held = False  # the mouse button is down: a stroke may pause, but has not ended
        self._saving = Later(_PERIOD_MS, self._on_time, restart=True)

    @property
    def layer(self) -> Labels | None:
        """The Labels layer, unless there is none or the user has removed it."""
        layer: Labels | None = self._shelf.get("mask")
        return layer

    @property
    def mode(self) -> str:
        """The napari mode of the layer."""
        return "pan_zoom" if self.layer is None else str(self.layer.mode)

    def show(
        self, base: Layer, shape: tuple[int, int, int], masks: Mapping[int, NDArray[np.int32]]
    ) -> Labels:
        """Make the layer for an image of (planes, H, W); `masks` by slice."""
        self.flush()
        active = self.layer is not None and self._shelf.viewer.layers.selection.active is self.layer
        self._known, shown = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        for number, mask in masks.items():  # one by one: pages of zeros that nobody writes to take no memory
            self._known[number] = shown[number] = mask
        with self._quiet():
            layer = self.layer
            mode = self.mode
            data = shown[0] if base.ndim == 2 else shown
            if layer is None or layer.ndim != base.ndim:
                layer = self._made(base, data)
            else:
                layer.data = data
                place(layer, like(base))
        self._listen(layer)
        if active:
            self._shelf.viewer.layers.selection.active = layer
            layer.mode = mode
        return layer

    def update(self, number: int, mask: NDArray[np.int32] | None) -> None:
        """Show what the project says about one plane, unless the user is painting it."""
        layer = self.layer
        if layer is None or self._differs(number):
            return
        shown = self._plane(layer, number)
        self._known[number] = 0 if mask is None else mask
        if not np.array_equal(shown, self._known[number]):
            with self._quiet():
                shown[:] = self._known[number]
                layer.refresh()

    def take(self, source: Layer, number: int) -> tuple[int, ...]:
        """Copy a Labels layer of the user's: one plane, or all planes of a stack of the same shape.

        Returns
        -------
        tuple of int
            The slices that now have a mask from it.

        Raises
        ------
        SegsizeError
            For a layer of another shape.
        """
        layer = self.layer
        if layer is None:
            raise SegsizeError("No image is shown: choose one on the Project page first.")
        shape = self._known.shape
        data = np.asarray(source.data)
        if data.shape == shape[1:]:
            planes = {number: data}
        elif data.shape == shape:
            planes = {index: plane for index, plane in enumerate(data) if plane.any()}
        else:
            raise SegsizeError(
                f"{source.name}: the layer has the shape {data.shape}, the image {shape[1:]} with {shape[0]} "
                "planes. Choose labels of the same shape."
            )
        with self._quiet():
            for index, plane in planes.items():
                self._plane(layer, index)[:] = plane
            layer.refresh()
        self._touched.update(planes)
        self.flush()
        return tuple(planes)

    def flush(self) -> None:
        """Hand over every plane that differs from what is on disk."""
        self._saving.stop()
        self._told = False
        layer, touched = self.layer, sorted(self._touched)
        for number in touched:
            if layer is not None and self._differs(number):
                self._known[number] = self._plane(layer, number)
                self.changed.emit(number, self._known[number].copy())
        self._touched.clear()

    def clear(self) -> None:
        """Save what is unsaved, and take the layer away."""
        self.flush()
        self._shelf.remove("mask")

    def close(self) -> None:
        """Save what is unsaved; the layer stays for the user."""
        self._saving.close()
        if self.layer is not None and self._hold in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._hold)
        self.flush()

    def _made(self, base: Layer, data: NDArray[np.int32]) -> Labels:
        from napari.layers import Labels

        layer = Labels(data, name="Mask", opacity=0.5, **like(base))
        layer.brush_size = max(2, round(max(data.shape) / 25))
        layer.mouse_drag_callbacks.append(self._hold)
        self._shelf.put("mask", layer)
        return layer

    def _plane(self, layer: Labels, number: int) -> NDArray[Any]:
        data: NDArray[Any] = layer.data
        return data if layer.ndim == 2 else data[number]

    def _listen(self, layer: Labels) -> None:
        connected(
            layer.events,
            {
                "paint": self._on_changed,
                "data": self._on_data,
                "set_data": self._on_changed,
                "labels_update": self._on_changed,
                "mode": self._on_mode,
            },
        )

    def _hold(self, _layer: Labels, event: Any) -> Iterator[None]:
        """Watch the mouse from press to release."""
        self._held = True
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:  # also when napari forgets the drag, because the mode or the layer changed
            self._held = False
            self._saving.ask()

    def _on_time(self) -> None:
        """Nothing has changed for a while: one stroke is one step of undo, however slow."""
        if not self._held:
            self.flush()

    def _differs(self, number: int) -> bool:
        """Whether a plane holds something that is not on disk."""
        layer = self.layer
        if layer is None or number not in self._touched or number >= len(self._known):
            return False  # the last: while another image is being put on screen
        return not np.array_equal(self._plane(layer, number), self._known[number])

    def _on_data(self) -> None:
        """Another program has put labels into the layer: of any plane."""
        if not self._quiet:
            self._touched.update(range(len(self._known)))
        self._on_changed()

    def _on_changed(self) -> None:
        """Pixels may have changed: by a stroke, or by what announces a redraw only. Or the slice has."""
        layer = self.layer
        if self._quiet or layer is None:
            return
        if layer.n_edit_dimensions > 2:
            self._touched.update(range(len(self._known)))
        else:
            self._touched.add(self._current())
        self._saving.ask()
        if not self._told and self._differs(self._current()):
            self._told = True
            self.unsaved.emit()

    def _on_mode(self) -> None:
        self.mode_changed.emit(self.mode)


def plane_of(layer: Layer, point: tuple[float, ...]) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return the plane of a layer at a point of the world, and the indices that lead to it."""
    data = layer.data[0] if layer.multiscale else layer.data
    lead = layer.ndim - 2
    place = np.asarray(layer.world_to_data(point[-layer.ndim :]))[:lead]
    index = tuple(
        int(np.clip(round(float(at)), 0, side - 1)) for at, side in zip(place, data.shape, strict=False)
    )
    return np.asarray(data[index]), index
