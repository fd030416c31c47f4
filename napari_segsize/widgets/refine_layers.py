"""What refining draws on an image: outlines that wait to be accepted, and thin edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.widgets.keys import Keys, Shortcut
from napari_segsize.widgets.overlays import lifted
from napari_segsize.widgets.placement import place
from napari_segsize.widgets.refine_desk import FOCUSED, OPEN

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_segsize.widgets.shelf import Shelf

__all__ = ["EDGES", "OUTLINES", "REFINE_SHORTCUTS", "RefineLayers"]

OUTLINES, EDGES = "aligned outlines", "edges"
REFINE_SHORTCUTS = (
    Shortcut("accept", ("F",), "F", "accept the outline"),
    Shortcut("reject", ("E",), "E", "reject it: leave it as it was"),
    Shortcut("next_object", ("W",), "W", "next outline"),
    Shortcut("undo", ("Control-Z",), "Ctrl+Z", "undo"),
)
"""Keys on the layer of aligned outlines; the same letters as for contours."""
_WAITING, _MEANT = "#4cc9f0", "#ffd60a"


class RefineLayers:
    """Two layers that nobody edits."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._edges: NDArray[np.float32] | None = None
        self.keys = Keys(REFINE_SHORTCUTS)
        self._in_use = True
        self._base: Layer | None = None

    def use_keys(self, on: bool) -> None:
        """Let the keys work, or not: on other pages the same letters mean other things."""
        self._in_use = on
        layer, layers = self._shelf.get(OUTLINES), self._shelf.viewer.layers
        if not on:
            self.keys.unbind()
            if layer is not None and layers.selection.active is layer and self._base in layers:
                layers.selection.active = self._base  # on the outlines E would be napari's eraser
        elif layer is not None:
            self.keys.bind_all([layer])
            layers.selection.active = layer

    def show_outlines(self, base: Layer | None, number: int, picture: NDArray[np.uint8] | None) -> None:
        """Draw the outlines of a picture of `RefineDesk` on plane `number`; None takes them away."""
        from napari.layers import Labels
        from napari.utils import DirectLabelColormap

        self._base = base
        if base is None or picture is None:
            self.keys.unbind()
            self._shelf.remove(OUTLINES)
            if base is not None and self._shelf.viewer.layers.selection.active is None:
                self._shelf.viewer.layers.selection.active = base
            return
        data, where = lifted(base, picture, () if base.ndim == 2 else (number,))
        layer = self._shelf.get(OUTLINES)
        if layer is not None and layer.ndim == base.ndim:
            layer.data = data
            place(layer, where)
            return
        colours = DirectLabelColormap(
            color_dict={None: "transparent", 0: "transparent", OPEN: _WAITING, FOCUSED: _MEANT}
        )
        layer = Labels(data, name="Aligned outlines", colormap=colours, opacity=1.0, **where)
        layer.contour = 1
        self._shelf.put(OUTLINES, layer, above=base)
        layer.editable = False
        self._shelf.viewer.layers.selection.active = layer if self._in_use else base
        if self._in_use:  # its keys work at once
            self.keys.bind_all([layer])

    def show_edges(self, base: Layer | None, number: int, edges: NDArray[np.float32] | None) -> None:
        """Draw thin edges over the image; None takes them away."""
        from napari.layers import Image

        if base is None or edges is None:
            self._edges = None
            self._shelf.remove(EDGES)
            return
        layer = self._shelf.get(EDGES)
        if edges is self._edges and layer is not None:
            return
        self._edges = edges
        data, where = lifted(base, edges, () if base.ndim == 2 else (number,))
        if layer is not None and layer.ndim == base.ndim:
            layer.data = data
            place(layer, where)
            return
        look: dict[str, Any] = {"colormap": "inferno", "contrast_limits": (0, 1), "blending": "additive"}
        layer = Image(data, name="Edges", interpolation2d="nearest", **look, **where)
        self._shelf.put(EDGES, layer, above=base)

    @property
    def shown(self) -> tuple[bool, bool]:
        """Whether the user left the outlines, and the edges, in the list of layers."""
        return self._shelf.get(OUTLINES) is not None, self._shelf.get(EDGES) is not None
