"""Our layers in one viewer: known by a mark in their metadata, never by name or position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psygnal import Signal

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

__all__ = ["KEY", "Shelf", "role_of"]

KEY = "napari-segsize"
"""The metadata entry that makes a layer ours; its value is the layer's role."""

_BELOW = (
    "image", "prediction", "edges", "objects", "mask",
    "distance", "gradient", "outline", "squares", "centres",
    "loss map", "loss error", "loss gradient", "loss stroke", "loss normals", "loss squares", "loss disks",
    "loss vertices", "loss marks", "loss pixels",
    "level set", "curvature", "modulation", "displacement", "accepted contours", "aligned outlines",
    "evolving contours", "stamps", "cursor", "extreme points",
)  # fmt: skip
"""Drawing order of layers that we add, from below; the user may reorder them afterwards."""


def role_of(layer: Layer) -> str | None:
    """Return what a layer of ours is for, or None for a layer of the user's."""
    role = layer.metadata.get(KEY)
    return role if isinstance(role, str) else None


class Shelf:
    """Find, add and remove our layers; notice when the user removes one.

    A layer may be renamed, moved in the list or removed at any time. A copy that the user makes of one
    ("Duplicate layer" copies the metadata, too) loses the mark: it is the user's.
    """

    removed = Signal(str)
    """The user has removed the layer of this role."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._layers: dict[str, Layer] = {}
        self._busy = self._hiding = False
        for layer in viewer.layers:  # left there by a dock widget that was closed
            self._adopt(layer)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    def get(self, role: str) -> Any:
        """Return the layer of a role, or None (also when the user has removed it)."""
        return self._layers.get(role)

    def put(self, role: str, layer: Layer, *, above: Layer | None = None) -> None:
        """Add a layer, not below `above`; the user's active layer stays active."""
        layer.metadata = {**layer.metadata, KEY: role}
        if self._hiding:
            layer.visible = False
        with self._quietly():
            self._drop(role)
            self._layers[role] = layer
            self._insert(self._index(role, above), layer)

    def mark(self, role: str, layer: Layer | None) -> None:
        """Give a role to a layer that is there already (None: to none)."""
        old = self._layers.pop(role, None)
        if old is not None:
            _unmark(old)
        if layer is not None:
            layer.metadata = {**layer.metadata, KEY: role}
            self._layers[role] = layer

    def remove(self, role: str) -> None:
        """Take our layer away, if it is there."""
        with self._quietly():
            self._drop(role)

    def roles(self) -> tuple[str, ...]:
        """Return the roles that have a layer now."""
        return tuple(self._layers)

    def dispose(self) -> None:
        """Stop listening; the layers stay."""
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_removed)

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """Add layers hidden: to draw them, half of what a new layer costs, then has its own time."""
        self._hiding = True
        try:
            yield
        finally:
            self._hiding = False

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Keep the selection, and tell nobody about removals of our own."""
        layers = self.viewer.layers
        active, busy, self._busy = layers.selection.active, self._busy, True
        try:
            yield
        finally:
            self._busy = busy
            if active is not None and active in layers and layers.selection.active is not active:
                layers.selection.active = active

    def _insert(self, index: int, layer: Layer) -> None:
        """Add a layer that nobody hears to be active for a moment: showing its controls takes some 40 ms."""
        layers = self.viewer.layers
        active = layers.selection.active
        if active is None:
            layers.insert(index, layer)
            return
        with layers.selection.events.blocker_all():
            layers.insert(index, layer)
            layers.selection.active = active

    def _drop(self, role: str) -> None:
        layer = self._layers.pop(role, None)
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def _index(self, role: str, above: Layer | None) -> int:
        """Below the first layer of ours that belongs above; otherwise on top."""
        rank, layers = _order(role), self.viewer.layers
        least = layers.index(above) + 1 if above is not None and above in layers else 0
        for index, layer in enumerate(layers):
            if any(layer is ours and _order(other) > rank for other, ours in self._layers.items()):
                return max(index, least)
        return len(layers)

    def _adopt(self, layer: Layer) -> None:
        role = role_of(layer)
        if role is None:
            return
        if self._layers.get(role, layer) is layer:
            self._layers[role] = layer
        else:
            _unmark(layer)

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _on_removed(self, event: Any) -> None:
        role = next((role for role, layer in self._layers.items() if layer is event.value), None)
        if role is None:
            return
        del self._layers[role]
        if not self._busy:
            self.removed.emit(role)


def _unmark(layer: Layer) -> None:
    layer.metadata = {key: value for key, value in layer.metadata.items() if key != KEY}


def _order(role: str) -> int:
    name = role.partition(":")[0]
    return _BELOW.index(name) if name in _BELOW else len(_BELOW)


class Quiet:
    """A flag that is up while we change something ourselves, so that our own slots do not answer."""

    def __init__(self) -> None:
        self._depth = 0

    def __bool__(self) -> bool:
        return self._depth > 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1


def connected(emitters: Any, slots: dict[str, Callable[..., None]]) -> None:
    """Connect named napari events, each at most once."""
    for name, slot in slots.items():
        emitter = getattr(emitters, name)
        if slot not in emitter.callbacks:
            emitter.connect(slot)


def disconnected(emitters: Any, slots: dict[str, Callable[..., None]]) -> None:
    """Take the slots off again, where they are connected."""
    for name, slot in slots.items():
        getattr(emitters, name).disconnect(slot)
