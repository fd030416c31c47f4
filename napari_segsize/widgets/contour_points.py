"""Extreme points and the vertices of the selected contour: one Points layer to click and to drag in."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.project.annotation import Point
from napari_segsize.widgets.contour_handles import Handle, Row, colours_of, rows_of, table_of
from napari_segsize.widgets.contour_state import Board
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.placement import like, place
from napari_segsize.widgets.shelf import Quiet, Shelf, connected, disconnected

if TYPE_CHECKING:
    from napari.layers import Layer, Points

__all__ = ["ROLE", "ContourPoints", "Handle", "pixel_on_screen"]

ROLE = "extreme points"

_POINT_PX, _VERTEX_PX, _LEAST_PX = 9.0, 7.0, 3.0  # on the screen, however far it is zoomed
_ZOOM_MS = 60
_TWICE_PX = 2.0
_DRAG_PX = 4.0  # a press and release nearer than this is a click


class ContourPoints:
    """Shows what can be clicked and dragged, and tells what the user has done with it.

    In the mode "add" a click is an extreme point. In the mode "select" the points and the vertices of the
    selected object can be dragged and deleted, and a click on another contour selects that object.
    """

    clicked = Signal(object)
    """(y, x) of a new point"""
    moved = Signal(str, object)
    """(kind, {handle: (y, x)}) of points or vertices of one object that were dragged"""
    removed = Signal(object)
    """handles of points that were deleted"""
    told = Signal(str)
    """A sentence for the user"""
    held = Signal(object)
    """{handle: (y, x)} of what is being dragged"""
    picked = Signal(object)
    """(y, x) of a click on no handle"""
    mode_changed = Signal(str)

    def __init__(self, shelf: Shelf, snap: Callable[[Point], Point]) -> None:
        self._shelf, self._snap = shelf, snap
        self._quiet = Quiet()
        self._heard: weakref.ref[Points] | None = None  # the layer that we listen to
        self._rows: tuple[Row, ...] = ()
        self._board = Board()
        self._number = 0
        self._last: Point | None = None  # where the last click was
        self._dragging = self._filled = False
        self._slots: dict[str, Callable[..., None]] = {
            "data": self._on_data, "set_data": self._on_set_data, "mode": self._on_mode,
        }  # fmt: skip
        self._zoomed = Later(_ZOOM_MS, self._resize)
        self._camera = camera_of(shelf.viewer)
        self._camera.events.zoom.connect(self._on_zoom)

    @property
    def layer(self) -> Points | None:
        """The Points layer, unless there is none or the user has removed it."""
        layer: Points | None = self._shelf.get(ROLE)
        return layer

    @property
    def mode(self) -> str:
        """The napari mode of the layer."""
        return "pan_zoom" if self.layer is None else str(self.layer.mode)

    def make(self, base: Layer) -> Points:
        """Make the layer if it is not there."""
        layer = self.layer
        if layer is None or layer.ndim != base.ndim:
            layer = self._made(base)
        if self._heard is None or self._heard() is not layer:  # new, or left there by a dock that was closed
            self._heard, self._rows = weakref.ref(layer), ()
            connected(layer.events, self._slots)
            for callbacks, slot in self._mouse(layer):
                callbacks.append(slot)
        place(layer, like(base))
        return layer

    def show(self, board: Board, number: int) -> None:
        """Draw the points of a plane; nothing is done when they are drawn already."""
        self._board, self._number = board, number
        layer = self.layer
        if layer is None or self._dragging:
            return
        rows = tuple(rows_of(board, repairing=self.mode == "select"))
        if rows != self._rows or len(layer.data) != len(rows):
            self._fill(layer, rows)

    def pixel(self, layer: Layer) -> float:
        """Return how many pixels of the data one pixel of the screen covers."""
        return pixel_on_screen(layer, self._camera.zoom)

    def dispose(self) -> None:
        """Stop following the camera and the user; the layer stays."""
        layer = self.layer
        if layer is not None:
            disconnected(layer.events, self._slots)
            for callbacks, slot in self._mouse(layer):
                if slot in callbacks:
                    callbacks.remove(slot)
        self._zoomed.close()
        self._camera.events.zoom.disconnect(self._on_zoom)

    # --- the layer --------------------------------------------------------------------------------------

    def _made(self, base: Layer) -> Points:
        from napari.layers import Points

        layer = Points(
            np.zeros((0, base.ndim)), name="Extreme points", symbol="disc", border_color="#202020",
            border_width=0.12, features=table_of(()), **like(base),
        )  # fmt: skip
        self._shelf.put(ROLE, layer)
        return layer

    def _mouse(self, layer: Points) -> list[tuple[list[Any], Callable[..., Any]]]:
        return [
            (layer.mouse_drag_callbacks, self._on_press),
            (layer.mouse_double_click_callbacks, self._on_double_click),
        ]

    def _fill(self, layer: Points, rows: tuple[Row, ...]) -> None:
        self._rows, self._filled = rows, True
        places = np.array([(self._number, *row.place) for row in rows], float).reshape(-1, 3)
        # Each of these would draw on its own: together they cost a third.
        with self._quiet(), layer.events.blocker_all():
            layer.selected_data = set()
            layer.data = places[:, -layer.ndim :]
            layer.features = table_of(rows)
            if rows:
                layer.symbol = ["disc" if row.handle.kind == "point" else "square" for row in rows]
                layer.face_color = colours_of(rows)
                layer.border_color = "#202020"
                layer.size = self._sizes(layer)
        with self._quiet():
            layer.refresh()

    def _sizes(self, layer: Points) -> NDArray[np.float64]:
        pixel = self.pixel(layer)
        vertices = np.array([row.place for row in self._rows if row.handle.kind == "vertex"])
        apart = np.inf  # handles that cover each other cannot be told apart
        if len(vertices):
            apart = 0.75 * float(np.median(np.linalg.norm(vertices - np.roll(vertices, 1, axis=0), axis=1)))
        least = _LEAST_PX * pixel
        sides = {"point": _POINT_PX * pixel, "vertex": max(min(_VERTEX_PX * pixel, apart), least)}
        return np.array([sides[row.handle.kind] for row in self._rows])

    def _resize(self) -> None:
        layer = self.layer
        if layer is not None and self._rows and len(layer.data) == len(self._rows) and not self._dragging:
            with self._quiet():
                layer.size = self._sizes(layer)

    def _on_zoom(self) -> None:
        if self._rows:
            self._zoomed.ask()

    # --- what the user does -----------------------------------------------------------------------------

    def _on_data(self, event: Any) -> None:
        if self._quiet:
            return
        action = str(getattr(event, "action", "changed")).lower()
        self._dragging = action.endswith("changing")
        if action.endswith("added"):
            self._on_added()
        elif action.endswith("removed"):
            self._on_removed()
        elif action.endswith("changed"):
            self._on_changed()

    def _on_added(self) -> None:
        layer = self.layer
        if layer is None or len(layer.data) <= len(self._rows):
            return
        y, x = (float(value) for value in layer.data[-1][-2:])
        self._last = (y, x)
        with self._undoing():
            self.clicked.emit(self._snap((y, x)))

    def _on_removed(self) -> None:
        layer = self.layer
        if layer is None:
            return
        names = ("object", "kind", "index")
        left = set(zip(*(layer.features[name] for name in names), strict=True))
        gone = tuple(row.handle for row in self._rows if row.said not in left)
        with self._undoing():
            if gone:
                self.removed.emit(gone)

    def _on_changed(self) -> None:
        layer = self.layer
        if layer is None or len(layer.data) != len(self._rows):
            return
        moved: dict[tuple[str, str], dict[Handle, Point]] = {}
        now = self._moved(layer)
        if len(now) == 1:  # several together keep their shape
            now = {handle: self._snap(at) for handle, at in now.items()}
        for handle, place_now in now.items():
            moved.setdefault((handle.object, handle.kind), {})[handle] = place_now
        with self._undoing():
            for (_, kind), places in moved.items():
                self.moved.emit(kind, places)

    def _moved(self, layer: Points) -> dict[Handle, Point]:
        """Return what is no longer where it was drawn."""
        if len(layer.data) != len(self._rows):
            return {}
        now = [(float(at[-2]), float(at[-1])) for at in layer.data]
        return {row.handle: at for row, at in zip(self._rows, now, strict=True) if at != row.place}

    @contextmanager
    def _undoing(self) -> Iterator[None]:
        """Draw what is known again, unless that is done meanwhile: only what is stored is shown."""
        self._dragging, self._filled = False, False
        yield
        layer = self.layer
        if layer is not None and not self._filled:
            self._fill(layer, self._rows)

    def _on_set_data(self) -> None:
        layer = self.layer
        if self._quiet or layer is None or str(layer.mode) == "add":
            return
        if self._dragging:
            self.held.emit(self._moved(layer))
        elif len(layer.data) > len(self._rows):  # pasting announces nothing else
            self._fill(layer, self._rows)

    def _on_mode(self) -> None:
        self.show(self._board, self._number)
        self.mode_changed.emit(self.mode)

    def _on_press(self, layer: Points, event: Any) -> Generator[None, None, None]:
        """Select the contour under a click that hits no handle."""
        if str(layer.mode) != "select" or event.button != 1 or event.modifiers:
            return
        hit = layer.get_value(event.position, world=True)
        begin = np.array(event.pos, float)
        yield
        while event.type == "mouse_move":
            yield
        if hit is None and np.abs(np.array(event.pos, float) - begin).max() <= _DRAG_PX:
            y, x = (float(value) for value in layer.world_to_data(event.position)[-2:])
            self.picked.emit((y, x))

    def _on_double_click(self, layer: Points, event: Any) -> None:
        """Take the second of two quick clicks close together for a click; napari takes it for nothing."""
        if str(layer.mode) != "add" or event.button != 1:
            return
        place = np.asarray(layer.world_to_data(event.position))
        last = np.array(self._last if self._last is not None else (np.inf, np.inf))
        if np.abs(place[-2:] - last).max() > _TWICE_PX * self.pixel(layer):
            layer.add(place)
        else:
            self.told.emit("A double click counts once: click again, more slowly, where two ends coincide.")


def camera_of(viewer: Any) -> Any:
    """Return the camera: of the scene since napari 0.9, of the viewer before."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def pixel_on_screen(layer: Layer, zoom: float) -> float:
    """Return how many pixels of the data one pixel of the screen covers."""
    return 1.0 / max(float(zoom) * abs(float(layer.scale[-1])), 1e-9)
