"""Words over the canvas while there is nothing else to see on it, in the viewer's own text overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import EmitLoopError

if TYPE_CHECKING:
    from napari_segsize.widgets.shelf import Shelf

__all__ = ["CanvasWords"]

_ROLE = "reading"
_CHANGED = ("text", "font_size", "position", "visible")
_POINTS = 16  # of the font: napari's own 10 are lost on an empty canvas


class CanvasWords:
    """Says something on the canvas, and leaves the overlay as the user had it.

    An empty layer bears the words meanwhile: without any layer napari covers the canvas with its welcome.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf, viewer = shelf, shelf.viewer
        canvas = getattr(viewer, "canvas", None)  # napari 0.9 keeps its overlays there
        overlays = getattr(canvas, "overlays", None)
        self._overlay: Any = viewer.text_overlay if overlays is None else overlays.text
        self._words = ""
        self._before: dict[str, Any] = {}

    def say(self, words: str) -> None:
        """Show the words; "" takes them away."""
        if words == self._words:
            return
        ours = self._words and self._overlay.text == self._words
        if words:
            self._put_layer(words)
            if not ours:
                self._before = {name: getattr(self._overlay, name) for name in _CHANGED}
            self._set(text=words, font_size=_POINTS, position="top_center", visible=True)
        elif ours:  # else somebody has written something of their own meanwhile
            self._restore()
        if not words:
            self._shelf.remove(_ROLE)
        self._words = words

    def _restore(self) -> None:
        """Put the overlay back as it was, unless its window is gone, and with it the canvas to be told."""
        try:
            self._set(**self._before)
        except EmitLoopError as error:
            if not isinstance(error.__cause__, RuntimeError):  # Qt's word for what has been deleted
                raise

    def _put_layer(self, words: str) -> None:
        from napari.layers import Points

        layer = self._shelf.get(_ROLE)
        if layer is None:
            self._shelf.put(_ROLE, Points(ndim=2, name=words))
        else:
            layer.name = words

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self._overlay, name, value)
