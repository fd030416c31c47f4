"""What a click on the image would do: the tools, which are modes of our layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_segsize.widgets.layer_parts import LayerParts

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["LayerTools"]

_MODES = {"stamp": "add", "select": "select", "paint": "paint", "points": "add", "repair": "select"}


class LayerTools(LayerParts):
    """Which tool is in use."""

    @property
    def tool(self) -> str:
        """What a click would do, see `use`; "" for napari's own business."""
        active = self.viewer.layers.selection.active
        if active is not None and active is self.stamps.layer:
            return {"add": "stamp", "select": "select"}.get(self.stamps.mode, "")
        if active is not None and active is self.masks.layer:
            return "" if self.masks.mode in ("pan_zoom", "transform", "pick") else "paint"
        if active is not None and active is self.contours.layer:
            return {"add": "points", "select": "repair"}.get(self.contours.points.mode, "")
        return ""

    def _take_up(self, tool: str) -> None:
        layer: Layer | None = self.masks.layer if tool == "paint" else self.stamps.layer
        if tool in ("points", "repair"):
            layer = self.contours.wake()
        elif not tool:
            layer = self.viewer.layers.selection.active if self.tool else layer
        if layer is None:
            return
        layer.visible = True
        self.viewer.layers.selection.active = layer
        layer.mode = _MODES.get(tool, "pan_zoom")
        self._on_tool()

    def _on_tool(self) -> None:
        self.tool_changed.emit(self.tool)
