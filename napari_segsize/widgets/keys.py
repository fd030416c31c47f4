"""Keys on our own layers. napari ignores keys of a plugin's manifest, and its own letters are left alone."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["CONTOUR_SHORTCUTS", "SHORTCUTS", "Keys", "Shortcut"]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One verb and its keys, in napari's spelling; `roles` are the layers on which the keys work."""

    verb: str
    keys: tuple[str, ...]
    shown: str
    does: str
    on_mask: bool = True  # some letters of napari's Labels layer are its own


SHORTCUTS: tuple[Shortcut, ...] = (
    Shortcut("stamp", ("T",), "T", "stamp sizes"),
    Shortcut("paint", ("D",), "D", "draw the mask"),
    Shortcut("larger", ("=", "Shift-=", "+", "Shift-+"), "+", "square 2 px larger", on_mask=False),
    Shortcut("smaller", ("-",), "-", "square 2 px smaller", on_mask=False),
    Shortcut("next", ("N",), "N", "next image"),
    Shortcut("previous", ("Shift-N",), "Shift+N", "previous image"),
    Shortcut("next_unlabelled", ("U",), "U", "next unlabelled image"),
    Shortcut("no_object", ("H",), "H", "no object here"),
    Shortcut("skip", ("K",), "K", "skip this image"),
    Shortcut("undo", ("Control-Z",), "Ctrl+Z", "undo"),
    Shortcut("redo", ("Control-Shift-Z",), "Ctrl+Shift+Z", "redo"),
)


CONTOUR_SHORTCUTS: tuple[Shortcut, ...] = (
    Shortcut("points", ("Q",), "Q", "four points; once more: begin another object"),
    Shortcut("accept", ("F",), "F", "accept the contour"),
    Shortcut("reject", ("E",), "E", "reject: throw the object away"),
    Shortcut("again", ("R",), "R", "evolve again from the clicks"),
    Shortcut("next_object", ("W",), "W", "next object to review"),
    Shortcut("snap", ("G",), "G", "snapping of clicks and drags to edges on or off"),
    Shortcut("take_back", ("Backspace",), "Backspace", "take the last click back"),
    Shortcut("next", ("N",), "N", "next image"),
    Shortcut("previous", ("Shift-N",), "Shift+N", "previous image"),
    Shortcut("undo", ("Control-Z",), "Ctrl+Z", "undo"),
    Shortcut("redo", ("Control-Shift-Z",), "Ctrl+Shift+Z", "redo"),
)
"""Keys on the layers of contours. S and P are napari's own there: select (and repair), add points."""


class Keys:
    """Bind shortcuts to layers, and take them off again."""

    def __init__(self, shortcuts: Sequence[Shortcut] = SHORTCUTS) -> None:
        self._shortcuts = shortcuts
        self._verbs: Mapping[str, Callable[[], Any]] = {}
        self._layers: list[tuple[weakref.ref[Layer], bool]] = []

    def use(self, verbs: Mapping[str, Callable[[], Any]]) -> None:
        """Say what the keys do: a function for each verb of the shortcuts."""
        self._verbs = verbs

    def bind(self, stamps: Layer, mask: Layer, image: Layer | None = None) -> None:
        """Bind the keys on these layers; those bound before lose them."""
        layers = [(stamps, False), (mask, True)] + ([] if image is None else [(image, False)])
        self._bind(layers)

    def bind_all(self, layers: Sequence[Layer]) -> None:
        """Bind all keys on these layers; nothing is done when they are bound already."""
        if [reference() for reference, _ in self._layers] != list(layers):
            self._bind([(layer, False) for layer in layers])

    def unbind(self) -> None:
        """Give the keys back to napari."""
        for reference, on_mask in self._layers:
            layer = reference()
            if layer is not None:
                for _, key in self._keys(on_mask):
                    layer.bind_key(key, None)
        self._layers.clear()

    def _bind(self, layers: Sequence[tuple[Layer, bool]]) -> None:
        self.unbind()
        for layer, on_mask in layers:
            self._layers.append((weakref.ref(layer), on_mask))
            for shortcut, key in self._keys(on_mask):
                layer.bind_key(key, self._slot(shortcut.verb), overwrite=True)

    def _slot(self, verb: str) -> Callable[[Layer], None]:
        def press(_layer: Layer) -> None:
            if verb in self._verbs:
                self._verbs[verb]()

        return press

    def _keys(self, on_mask: bool) -> list[tuple[Shortcut, str]]:
        return [(each, key) for each in self._shortcuts if each.on_mask or not on_mask for key in each.keys]
