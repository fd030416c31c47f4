"""The square that follows the mouse while stamping, and the wheel that changes its side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.widgets.later import Later
from napari_segsize.widgets.placement import like
from napari_segsize.widgets.shelf import Shelf
from napari_segsize.widgets.stamps import COLOUR, STAMP_LOOK, Stamps

if TYPE_CHECKING:
    from napari.layers import Points
    from napari.viewer import Viewer

__all__ = ["Cursor"]

_PERIOD_MS = 25  # a move of a layer costs some milliseconds; a mouse reports up to a thousand moves a second
_FACE = COLOUR + "30"  # filled a little, to be seen on anything


class Cursor:
    """A ghost of the next stamp. Shift + wheel changes its side (napari uses Control and Alt, not Shift)."""

    def __init__(self, shelf: Shelf, stamps: Stamps) -> None:
        self._shelf, self._stamps = shelf, stamps
        self._viewer: Viewer = shelf.viewer
        self._position: tuple[float, ...] | None = None
        self._turned = 0.0
        self._following = Later(_PERIOD_MS, self._follow)
        self._viewer.mouse_move_callbacks.append(self._on_move)
        self._viewer.mouse_wheel_callbacks.append(self._on_wheel)
        self._viewer.layers.selection.events.active.connect(self.refresh)
        stamps.side_changed.connect(self._on_side)
        stamps.mode_changed.connect(self.refresh)

    @property
    def stamping(self) -> bool:
        """Whether a click would put a stamp."""
        layer = self._stamps.layer
        return layer is not None and layer.mode == "add" and self._viewer.layers.selection.active is layer

    def refresh(self) -> None:
        """Show the ghost while stamping, at the last place; hide it otherwise."""
        ghost = self._shelf.get("cursor")
        if not self.stamping:
            if ghost is not None:
                ghost.visible = False
            return
        self._follow()

    def dispose(self) -> None:
        """Stop following the mouse, and take the ghost away."""
        self._following.close()
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._viewer.mouse_wheel_callbacks.remove(self._on_wheel)
        self._viewer.layers.selection.events.active.disconnect(self.refresh)
        self._shelf.remove("cursor")

    def _on_move(self, _viewer: Viewer, event: Any) -> None:
        if self.stamping:
            self._position = tuple(event.position)
            self._following.ask()

    def _on_wheel(self, _viewer: Viewer, event: Any) -> None:
        layer = self._stamps.layer
        if (
            layer is None
            or self._viewer.layers.selection.active is not layer
            or set(event.modifiers) != {"Shift"}
        ):
            return
        event.handled = True
        # Some systems turn a shifted wheel into a horizontal one, and fine wheels report fractions of a step.
        self._turned += float(np.clip(np.sum(event.delta), -1, 1))
        steps = int(self._turned)
        self._turned -= steps
        if steps:
            self._stamps.step_side(steps)

    def _on_side(self, side: float) -> None:
        ghost = self._shelf.get("cursor")
        if ghost is not None:
            ghost.size = side

    def _follow(self) -> None:
        layer = self._stamps.layer
        if layer is None or not self.stamping or self._position is None:
            return
        place = np.asarray(layer.world_to_data(self._position[-layer.ndim :]))
        inside = self._stamps.contains(place[-2:])
        ghost = self._shelf.get("cursor")
        if ghost is None or ghost.ndim != layer.ndim:
            if not inside:
                return
            ghost = self._made(layer)
        if inside:
            ghost.data = place[None]
            ghost.size = self._stamps.side
        if ghost.visible != inside:
            ghost.visible = inside

    def _made(self, layer: Points) -> Points:
        from napari.layers import Points

        ghost = Points(
            np.zeros((1, layer.ndim)), name="Next size", size=self._stamps.side, border_color=COLOUR,
            border_width=float(layer.current_border_width), **{**STAMP_LOOK, "face_color": _FACE},
            **like(layer),
        )  # fmt: skip
        self._shelf.put("cursor", ghost)
        ghost.locked = True
        return ghost
