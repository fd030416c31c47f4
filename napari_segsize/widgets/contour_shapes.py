"""Accepted contours: polygons in a Shapes layer, which napari's own tools edit."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.project.rings import on_grid
from napari_segsize.widgets.contour_points import camera_of, pixel_on_screen
from napari_segsize.widgets.contour_state import Board
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.placement import like
from napari_segsize.widgets.shelf import Quiet, Shelf, connected, disconnected

if TYPE_CHECKING:
    from napari.layers import Layer, Shapes

    from napari_segsize.project.annotation import Ring

__all__ = ["ROLE", "ContourShapes", "first_polygon", "outline_of_shape"]

ROLE = "accepted contours"

_COLOUR = "#5ad1ff"
_WIDTH_PX = 1.6  # on the screen
_MANY = 40  # changes from which on all polygons are made anew at once
_ROUND = 48  # corners of an ellipse
_ZOOM_MS = 250

Rings = tuple["Ring", ...]


class ContourShapes:
    """One polygon a ring. Only what has changed is added or taken away."""

    edited = Signal(str, object)
    """(object, its rings) after the user has edited a polygon; no rings when it was deleted"""
    drawn = Signal(object)
    """(K, 2) vertices of a shape that the user has drawn in the layer"""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._quiet = Quiet()
        self._heard: weakref.ref[Shapes] | None = None  # the layer that we listen to
        self._rows: list[tuple[str, int]] = []  # object and ring of each polygon
        self._known: dict[str, Rings] = {}
        self._number = 0
        self._camera = camera_of(shelf.viewer)
        self._zoomed = Later(_ZOOM_MS, self._resize)
        self._camera.events.zoom.connect(self._on_zoom)
        self._again = Later(0, self._rebuild)

    @property
    def layer(self) -> Shapes | None:
        """The layer of polygons, unless there is none or the user has removed it."""
        layer: Shapes | None = self._shelf.get(ROLE)
        return layer

    def show(self, base: Layer, number: int, board: Board) -> None:
        """Draw the accepted contours of one plane; those that are being changed are drawn elsewhere."""
        wanted = {each.object: each.rings for each in board.objects if each.status == "accepted"}
        layer = self.layer
        if layer is None or layer.ndim != base.ndim:
            layer = self._made(base)
        new = self._heard is None or self._heard() is not layer  # or left there by a dock that was closed
        if new:
            self._heard = weakref.ref(layer)
            connected(layer.events, {"data": self._on_data})
        if new or number != self._number:
            self._number = number
            self._replace(layer, wanted)
        elif wanted != self._known:
            self._change(layer, wanted)

    def remove(self) -> None:
        """Take the layers away."""
        self._rows, self._known = [], {}
        self._shelf.remove(ROLE)

    def forget(self) -> None:
        """The layer is gone: nothing is drawn in it."""
        self._rows, self._known = [], {}

    def dispose(self) -> None:
        """Stop following the camera and the user; the layer stays."""
        if self.layer is not None:
            disconnected(self.layer.events, {"data": self._on_data})
        self._zoomed.close()
        self._again.close()
        self._camera.events.zoom.disconnect(self._on_zoom)

    # --- the layer --------------------------------------------------------------------------------------

    def _made(self, base: Layer) -> Shapes:
        from napari.layers import Shapes

        self.forget()
        layer = Shapes(
            ndim=base.ndim, name="Contours", edge_color=_COLOUR, face_color="transparent",
            edge_width=_WIDTH_PX * pixel_on_screen(base, self._camera.zoom), **like(base),
        )  # fmt: skip
        layer.current_edge_color, layer.current_face_color = _COLOUR, "transparent"
        self._shelf.put(ROLE, layer)
        return layer

    def _change(self, layer: Shapes, wanted: Mapping[str, Rings]) -> None:
        gone = {name for name, rings in self._known.items() if wanted.get(name) != rings}
        new = {name: rings for name, rings in wanted.items() if self._known.get(name) != rings}
        if len(gone) + len(new) > _MANY:
            self._replace(layer, wanted)
            return
        with self._quiet():
            if gone:
                layer.selected_data = {k for k, (name, _) in enumerate(self._rows) if name in gone}
                layer.remove_selected()
                self._rows = [row for row in self._rows if row[0] not in gone]
            self._add(layer, new)
        self._known = dict(wanted)

    def _replace(self, layer: Shapes, wanted: Mapping[str, Rings]) -> None:
        with self._quiet():
            if self._rows or len(layer.data):
                layer.data = []
            self._rows = []
            self._add(layer, wanted)
        self._known = dict(wanted)

    def _add(self, layer: Shapes, wanted: Mapping[str, Rings]) -> None:
        rows = [(name, k) for name, rings in wanted.items() for k in range(len(rings))]
        polygons = [_lifted(wanted[name][k], self._number, layer.ndim) for name, k in rows]
        if polygons:
            layer.add(
                polygons, shape_type="polygon", edge_color=_COLOUR, face_color="transparent",
                edge_width=_WIDTH_PX * pixel_on_screen(layer, self._camera.zoom),
            )  # fmt: skip
        self._rows += rows
        layer.selected_data = set()

    def _rebuild(self) -> None:
        layer = self.layer
        if layer is not None:
            self._replace(layer, self._known)

    def _on_zoom(self) -> None:
        if self._rows:
            self._zoomed.ask()

    def _resize(self) -> None:
        layer = self.layer
        if layer is None or not self._rows or len(layer.edge_width) != len(self._rows):
            return
        width = _WIDTH_PX * pixel_on_screen(layer, self._camera.zoom)
        if abs(np.log(width / layer.edge_width[0])) > 0.35:
            with self._quiet():
                layer.edge_width = [width] * len(self._rows)

    # --- what the user does with napari's own tools -----------------------------------------------------

    def _on_data(self, event: Any) -> None:
        layer = self.layer
        action = str(getattr(event, "action", "changed")).lower()
        if self._quiet or layer is None:
            return
        count = len(layer.data)
        if action.endswith("added") and count > len(self._rows):
            outlines = [outline_of_shape(layer, k) for k in range(len(self._rows), count)]
            self._again.ask()  # not now: napari has not finished with the shape
            for outline in outlines:
                if outline is not None:
                    self.drawn.emit(outline)
        elif action.endswith("removed"):
            self._on_removed(layer)
        elif action.endswith("changed") and count == len(self._rows):
            self._on_changed(layer, getattr(event, "data_indices", ()))

    def _on_changed(self, layer: Shapes, indices: Iterable[int]) -> None:
        data = layer.data
        for name in {self._rows[k][0] for k in indices}:
            rings = tuple(
                tuple((float(y), float(x)) for y, x in on_grid(vertices[:, -2:]))  # as it is stored
                for (other, _), vertices in zip(self._rows, data, strict=True)
                if other == name
            )
            if rings != self._known.get(name):
                self._known[name] = rings
                self.edited.emit(name, rings)

    def _on_removed(self, layer: Shapes) -> None:
        """Find which polygons are missing: napari tells indices only of what is about to go."""
        left = [np.asarray(vertices)[:, -2:] for vertices in layer.data]
        rows, kept = [], []
        for name, k in self._rows:
            ring = np.array(self._known[name][k])
            if left and left[0].shape == ring.shape and np.array_equal(left[0], ring):
                left.pop(0)
                kept.append((name, k))
            else:
                rows.append((name, k))
        self._rows = kept
        for name in dict.fromkeys(name for name, _ in rows):
            lost = {k for other, k in rows if other == name}
            rings = () if 0 in lost else tuple(r for k, r in enumerate(self._known[name]) if k not in lost)
            self._again.ask()
            self.edited.emit(name, rings)


def first_polygon() -> Generator[Any, None, None]:
    """Make one polygon for nothing: napari compiles its triangulation at the first, which takes seconds."""
    from napari.layers import Shapes

    Shapes([np.array([[0, 0], [0, 9], [5, 4], [9, 9], [9, 0]])], shape_type="polygon")
    yield from ()


def outline_of_shape(layer: Shapes, index: int) -> NDArray[np.float64] | None:
    """Return the outline of a shape as (K, 2) vertices; None for a line."""
    kind = layer.shape_type[index]
    vertices = np.asarray(layer.data[index], float)[:, -2:]
    if kind == "ellipse":
        centre = vertices.mean(axis=0)
        across, down = (vertices[1] - vertices[0]) / 2, (vertices[3] - vertices[0]) / 2
        angle = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)[:, None]
        return np.asarray(centre + np.cos(angle) * across + np.sin(angle) * down)
    return None if kind == "line" or len(vertices) < 3 else vertices


def _lifted(ring: Ring, number: int, ndim: int) -> NDArray[np.float64]:
    vertices = np.array(ring, float)
    return vertices if ndim == 2 else np.insert(vertices, 0, number, axis=1)
