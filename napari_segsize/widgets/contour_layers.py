"""All that the page Contours does with layers: clicks and handles, what evolves, what is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.project.annotation import Point
from napari_segsize.widgets import contour_drawing, contour_labels, contour_points, contour_shapes
from napari_segsize.widgets.contour_drawing import ContourDrawing, Truth, Wanted
from napari_segsize.widgets.contour_labels import ObjectLabels
from napari_segsize.widgets.contour_making import Making
from napari_segsize.widgets.contour_outlines import selected_label, selected_shapes
from napari_segsize.widgets.contour_phi import PhiDrawing
from napari_segsize.widgets.contour_points import ContourPoints, Handle
from napari_segsize.widgets.contour_shape import contains, distance_to
from napari_segsize.widgets.contour_shapes import ContourShapes
from napari_segsize.widgets.contour_snap import snapped
from napari_segsize.widgets.contour_state import Board
from napari_segsize.widgets.keys import CONTOUR_SHORTCUTS, Keys
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.placement import like, place
from napari_segsize.widgets.refine_layers import EDGES
from napari_segsize.widgets.shelf import Shelf

if TYPE_CHECKING:
    from napari.layers import Layer, Points

    from napari_segsize.project.annotation import Contour, PlaneAnnotation
    from napari_segsize.widgets.contour_state import Outline

__all__ = ["ContourLayers"]

_HELD_MS = 60
_NEAR_PX = 8.0  # on the screen: a click this near to a contour means it


class ContourLayers:
    """The layers of contours on the image on screen."""

    clicked = Signal(object)
    moved = Signal(str, object)
    removed = Signal(object)
    edited = Signal(str, object)
    drawn = Signal(object)
    picked = Signal(str)
    """the object of the contour that was clicked"""
    mode_changed = Signal(str)

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.points = ContourPoints(shelf, self._snapped)
        self._drawing = ContourDrawing(shelf)
        self._phi = PhiDrawing(shelf)
        self._shapes, self._labels = ContourShapes(shelf), ObjectLabels(shelf)
        self.keys = Keys(CONTOUR_SHORTCUTS)
        self.wanted = Wanted()
        self.snapping = False
        self._base: Layer | None = None
        self._number = 0
        self._shape = (1, 0, 0)
        self._board = Board()
        self._in_use = False  # no layers, as long as nobody outlines anything
        self._expected = False  # but the one to click in, while the page is looked at
        self._said: Mapping[int, Iterable[Contour]] = {}
        self._away: set[str] = set()  # roles of layers that the user has removed
        self._drawn: tuple[Any, ...] = ()
        self._truth = Truth()
        for mine, theirs in (
            (self.clicked, self.points.clicked), (self.moved, self.points.moved),
            (self.removed, self.points.removed), (self.mode_changed, self.points.mode_changed),
            (self.edited, self._shapes.edited), (self.drawn, self._shapes.drawn),
        ):  # fmt: skip
            theirs.connect(mine.emit)
        self.points.picked.connect(self._on_picked)
        self.points.held.connect(self._on_held)
        self._holding = Later(_HELD_MS, self._draw_held)
        self.making = Making(shelf, self._ways, self._bind, waits=(contour_shapes.ROLE, contour_labels.ROLE))

    @property
    def layer(self) -> Points | None:
        """The layer to click in."""
        return self.points.layer

    # --- showing ------------------------------------------------------------------------------------------

    def begin(self, base: Layer, shape: tuple[int, int, int], said: Mapping[int, Iterable[Contour]]) -> None:
        """Another image is on screen: (planes, H, W), with what is said of its planes."""
        if self._base is not None and self._base.ndim != base.ndim:
            self.clear()
        self._base, self._shape, self._away = base, shape, set()
        self._said, self._drawn = said, ()
        if self._labels.layer is not None:
            self._labels.begin(base, shape, said)
        if self.layer is not None:
            self.points.make(base)
        elif self._expected:
            self.making.ask()
        self.place(base)

    def expect(self, *, use: bool) -> None:
        """Have the layer to click in before it is asked for; or take it away again if nobody used it."""
        self._expected = use
        if use:
            self.making.ask()
        elif not self._in_use and self._shelf.viewer.layers.selection.active is not self.layer:
            self._shelf.remove(contour_points.ROLE)

    def show(self, board: Board, number: int, said: PlaneAnnotation | None) -> None:
        """Draw the objects of a plane; nothing is done when they are drawn already.

        A layer that has nothing to show is made later, one at a time, so that nobody waits for all of them.
        """
        base = self._base
        self._in_use = self._in_use or bool(board.objects)
        if base is None or board.plane is None or not self._in_use:
            return
        self._board, self._number = board, number
        self.points.show(board, number)
        mask = None if said is None else said.mask
        if self._drawing.held:
            self._drawing.held, self._drawn = {}, ()
        drawn = (board.objects, board.focus, self.wanted, number, mask, base)
        if _same(drawn, self._drawn):
            return
        self._drawn = drawn
        truth = self._truth.around(mask, board, self.wanted)
        if self._may(contour_drawing.ROLE, needed=truth is not None or any(map(_outlined, board.objects))):
            self._drawing.show(base, number, board, self.wanted, truth)
        meant = board.focused
        shown = meant is not None and "displacement" in self.wanted.overlays
        self._drawing.show_field(base, number, meant.displacement if shown and meant is not None else None)
        self._phi.show(base, number, meant, self.wanted)
        accepted = any(each.rings for each in board.objects)
        if self._may(contour_shapes.ROLE, needed=accepted):
            self._shapes.show(base, number, board)
        if self._may(contour_labels.ROLE, needed=accepted or self._accepted_elsewhere()):
            self._show_labels(base)
        self._bind()

    def show_points(self, board: Board) -> None:
        """Draw the clicks at once: a click must be seen when it is made."""
        self.points.show(board, self._number)

    def draw_again(self) -> None:
        """Draw, though the board is the same: an overlay was asked for."""
        self._drawn = ()

    def clear(self) -> None:
        """Take all layers of contours away."""
        self._drawing.remove()
        self._phi.remove()
        self._shapes.remove()
        self._labels.remove()
        self._shelf.remove(contour_points.ROLE)
        self._base, self._board, self._drawn = None, Board(), ()

    def place(self, base: Layer) -> None:
        """Follow the image."""
        self._drawing.place(base)
        self._phi.place(base)
        for role in (contour_points.ROLE, contour_shapes.ROLE, contour_labels.ROLE):
            layer = self._shelf.get(role)
            if layer is not None and layer.ndim == base.ndim:
                place(layer, like(base))

    def dispose(self) -> None:
        """Stop following anything; the layers stay for the user."""
        self.keys.unbind()
        self._holding.close()
        self.making.close()
        for part in (self.points, self._drawing, self._shapes):
            part.dispose()

    # --- using --------------------------------------------------------------------------------------------

    def wake(self) -> Points | None:
        """Return the layer to click in, made anew with everything else if the user has removed it."""
        if self._base is None:
            return None
        self._away.clear()
        self._in_use = True
        layer = self.points.make(self._base)
        self._drawn = ()
        self._bind()
        return layer

    def on_removed(self, role: str) -> None:
        """The user has removed a layer: it stays away until a tool is taken up, or another image shown."""
        self._away.add(role)
        if role == contour_shapes.ROLE:
            self._shapes.forget()

    def selected_outlines(self) -> list[NDArray[np.float64]]:
        """Return outlines of the shapes that are selected in the user's own layers, in data coordinates."""
        return [] if self._base is None else selected_shapes(self._shelf.viewer.layers, self._base)

    def selected_label(self, layer: Layer, plane: NDArray[Any]) -> list[NDArray[np.float64]]:
        """Return the outline of the label that is selected in a Labels layer, given its plane on screen."""
        return [] if self._base is None else selected_label(layer, plane, self._base)

    # --- inside -------------------------------------------------------------------------------------------

    def _may(self, role: str, *, needed: bool = True) -> bool:
        """Whether to draw in a layer now; one that is not there, and has nothing to show, is made later."""
        if role in self._away:
            return False
        if needed or self._shelf.get(role) is not None:
            return True
        self.making.ask()
        return False

    def _ways(self) -> dict[str, Callable[[], object]]:
        """How to make each layer that may be there."""
        base = self._base
        ways: dict[str, Callable[[], object]] = {}
        if base is None:
            return ways
        if self._expected:
            ways[contour_points.ROLE] = lambda: self._show_points(base)
        if self._in_use:
            ways |= {
                contour_drawing.ROLE: lambda: self._drawing.show(
                    base, self._number, self._board, self.wanted, self._truth.shown
                ),
                contour_shapes.ROLE: lambda: self._shapes.show(base, self._number, self._board),
                contour_labels.ROLE: lambda: self._show_labels(base),
            }
        return {role: make for role, make in ways.items() if role not in self._away}

    def _show_points(self, base: Layer) -> None:
        self.points.make(base)
        self.points.show(self._board, self._number)

    def _show_labels(self, base: Layer) -> None:
        if self._labels.layer is None:
            self._labels.begin(base, self._shape, self._said)
        self._labels.show(base, self._number, self._board, self._shape)

    def _accepted_elsewhere(self) -> bool:
        return any(contour.accepted for contours in self._said.values() for contour in contours)

    def _bind(self) -> None:
        layers = [self._shelf.get(role) for role in (contour_points.ROLE, contour_drawing.ROLE)]
        self.keys.bind_all([layer for layer in layers if layer is not None])

    def _snapped(self, point: Point) -> Point:
        if not self.snapping or self._base is None:
            return point
        pixels, drawn = self._base.data, self._shelf.get(EDGES)
        edges = None  # of the plane on screen: the page Refine takes them away with it
        if drawn is not None and drawn.visible:
            edges = np.asarray(drawn.data).reshape(drawn.data.shape[-2:])
        return snapped(pixels[self._number] if self._base.ndim == 3 else pixels, point, edges=edges)

    def _on_picked(self, point: Point) -> None:
        layer = self.layer
        if layer is None:
            return
        near = _NEAR_PX * self.points.pixel(layer)
        inside = [each for each in self._board.objects if len(each.present) > 2]
        hit = [each for each in inside if contains(each.present, point)]
        hit = hit or [each for each in inside if distance_to(each.present, point) <= near]
        if hit:  # of objects inside each other, the smaller one is meant
            least = min(hit, key=lambda each: float(np.ptp(each.present, axis=0).prod()))
            self.picked.emit(least.object)

    def _on_held(self, places: Mapping[Handle, Point]) -> None:
        """Let the contour follow the vertex in the hand."""
        for handle, at in places.items():
            meant = self._board.find(handle.object)
            if handle.kind == "vertex" and meant is not None and handle.nth < len(meant.present):
                contour = self._drawing.held.setdefault(handle.object, meant.present.copy())
                contour[handle.nth] = at
                self._drawing.held[handle.object] = contour.copy()
        self._holding.ask()

    def _draw_held(self) -> None:
        if self._drawing.held and self._base is not None and self._may(contour_drawing.ROLE):
            self._drawing.show(self._base, self._number, self._board, self.wanted, self._truth.shown)


def _outlined(each: Outline) -> bool:
    return len(each.present) > 0


def _same(now: tuple[Any, ...], before: tuple[Any, ...]) -> bool:
    """Compare what is drawn: objects one by one, as a board is made anew for each change."""
    if len(now) != len(before) or any(a is not b for a, b in zip(now[4:], before[4:], strict=True)):
        return False
    if now[1:4] != before[1:4] or len(now[0]) != len(before[0]):
        return False
    return all(a is b for a, b in zip(now[0], before[0], strict=True))
