"""Contours on their way: all of them as the edges of one Vectors layer, which is quick to draw again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.widgets.contour_phi import ROLES as PHI_ROLES
from napari_segsize.widgets.contour_points import camera_of, pixel_on_screen
from napari_segsize.widgets.contour_shape import centroid, edges
from napari_segsize.widgets.contour_state import Board, Field, Outline
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.placement import like, place
from napari_segsize.widgets.shelf import Shelf

if TYPE_CHECKING:
    from napari.layers import Layer, Vectors

__all__ = ["OVERLAYS", "ROLE", "ContourDrawing", "Truth", "Wanted", "move", "truth_edges"]

ROLE, FIELD_ROLE = "evolving contours", "displacement"
OVERLAYS = ("start", "evolving", "truth", "displacement", "centroid", *PHI_ROLES)
"""What can be drawn, in the order in which the page lists it."""

_BLUE, _YELLOW, _PALE, _GREEN = (0.25, 0.6, 1, 1), (1, 0.88, 0.1, 1), (1, 0.8, 0.1, 0.7), (0.2, 0.9, 0.35, 1)
_WHITE, _PINK = (1, 1, 1, 1), (1, 0.36, 0.64, 1)
_WIDTH_PX = 1.7  # on the screen
_ARROWS = 20  # along a side of the field
_MOST_TIMES = 100  # a field that hardly moves anything is to look like it
_ZOOM_MS = 150
_CROSS_PX = 4.0
_MOST_TRUTH = 20_000  # edges of masks; of more, only those around the selected object are drawn

Colour = tuple[float, float, float, float]
Part = tuple[NDArray[np.float64], NDArray[np.float32]]
"""Vectors (M, 2, 2) and their colours (M, 4)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to draw: overlays, and the steps at which evolutions that are being played are shown."""

    overlays: frozenset[str] = frozenset({"evolving", "truth"})
    playing: Mapping[str, int] | None = None

    def step_of(self, each: Outline, held: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the contour of an object that is shown now; `held` is one whose vertex is being dragged."""
        if each.object in held:
            return held[each.object]
        step = None if self.playing is None else self.playing.get(each.object)
        return each.present if step is None or step >= len(each.steps) - 1 else each.steps[step]


class ContourDrawing:
    """The Vectors layer, and the one of the displacement field."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._camera = camera_of(shelf.viewer)
        self._zoomed = Later(_ZOOM_MS, self._resize)
        self._camera.events.zoom.connect(self._on_zoom)
        self._field: Field | None = None
        self.held: dict[str, NDArray[Any]] = {}

    @property
    def layer(self) -> Vectors | None:
        """The layer, unless there is none or the user has removed it."""
        layer: Vectors | None = self._shelf.get(ROLE)
        return layer

    def show(
        self, base: Layer, number: int, board: Board, wanted: Wanted, truth: NDArray[np.float64] | None
    ) -> None:
        """Draw what is wanted on one plane of `base`."""
        parts = self._parts(base, board, wanted)
        if truth is not None and "truth" in wanted.overlays and len(truth):
            parts.append((truth, _each(len(truth), _GREEN)))
        data = np.concatenate([part for part, _ in parts] or [np.zeros((0, 2, 2))])
        colours = np.concatenate([colours for _, colours in parts] or [_each(0, _GREEN)])
        self._put(base, _lifted(data, number, base.ndim), colours)

    def show_field(self, base: Layer, number: int, field: Field | None) -> None:
        """Draw the displacement field of the selected object, or take it away."""
        if field is None:
            self._field = None
            self._shelf.remove(FIELD_ROLE)
            return
        if field is self._field and self._shelf.get(FIELD_ROLE) is not None:
            return
        from napari.layers import Vectors

        self._field = field
        arrows, times = _arrows(field)
        width = 0.5 * _WIDTH_PX * pixel_on_screen(base, self._camera.zoom)
        layer = Vectors(
            _lifted(arrows, number, base.ndim), edge_color=np.array([_PINK]), edge_width=width,
            name="Displacement field" + (f" (arrows x {times})" if times > 1 else ""),
            vector_style="arrow", length=times, **like(base),
        )  # fmt: skip
        self._shelf.put(FIELD_ROLE, layer, above=base)

    def place(self, base: Layer) -> None:
        """Follow the image."""
        for role in (ROLE, FIELD_ROLE):
            layer = self._shelf.get(role)
            if layer is not None and layer.ndim == base.ndim:
                place(layer, like(base))

    def remove(self) -> None:
        """Take everything away."""
        self._field = None
        for role in (ROLE, FIELD_ROLE):
            self._shelf.remove(role)

    def dispose(self) -> None:
        """Stop following the camera."""
        self._zoomed.close()
        self._camera.events.zoom.disconnect(self._on_zoom)

    # --- inside

    def _parts(self, base: Layer, board: Board, wanted: Wanted) -> list[Part]:
        parts: list[Part] = []
        meant = board.focused
        if meant is not None and "start" in wanted.overlays and len(meant.steps) > 1:
            start = edges(meant.steps[0])
            parts.append((start, _each(len(start), _BLUE)))
        if "evolving" in wanted.overlays:
            parts += self._contours(board, wanted)
        if "centroid" in wanted.overlays:
            reach = _CROSS_PX * pixel_on_screen(base, self._camera.zoom)
            shown = [wanted.step_of(each, self.held) for each in board.objects]
            parts += [(_cross(contour, reach), _each(2, _WHITE)) for contour in shown if len(contour)]
        return parts

    def _contours(self, board: Board, wanted: Wanted) -> list[Part]:
        """Edges of the contours; those with as many vertices are one array, for speed."""
        meant = board.focused
        groups: dict[int, tuple[list[NDArray[Any]], list[Colour]]] = {}
        for each in board.objects:
            contour = wanted.step_of(each, self.held)
            if len(contour) and (each.status != "accepted" or each is meant):
                colour = _colour(each, is_meant=each is meant)
                # holes and other parts belong to the last step
                for ring in (contour, *(each.more if contour is each.present else ())):
                    contours, colours = groups.setdefault(len(ring), ([], []))
                    contours.append(ring)
                    colours.append(colour)
        return [
            (edges(np.stack(contours)), np.repeat(np.array(colours, np.float32), count, axis=0))
            for count, (contours, colours) in groups.items()
        ]

    def _put(self, base: Layer, data: NDArray[np.float64], colours: NDArray[np.float32]) -> None:
        layer = self.layer
        if layer is None or layer.ndim != base.ndim:
            from napari.layers import Vectors

            layer = Vectors(
                data, name="Contours to review", vector_style="line", length=1,
                edge_width=self._width(base), **like(base),
            )  # fmt: skip
            self._shelf.put(ROLE, layer)
        elif layer.data.shape == data.shape:
            move(layer, data)
        else:
            layer.data = data
        if len(data) and not np.array_equal(layer.edge_color, colours):
            layer.edge_color = colours

    def _width(self, base: Layer) -> float:
        return _WIDTH_PX * pixel_on_screen(base, self._camera.zoom)

    def _on_zoom(self) -> None:
        if self.layer is not None:
            self._zoomed.ask()

    def _resize(self) -> None:
        layer = self.layer
        if layer is not None:
            width = self._width(layer)
            if abs(np.log(width / layer.edge_width)) > 0.2:
                layer.edge_width = width


def move(layer: Vectors, data: NDArray[np.float64]) -> None:
    """Draw as many vectors elsewhere, without the picture in the layer list: it takes as long as the rest."""
    if not np.array_equal(layer.data, data):  # a click changes points only, and drawing is dear
        layer.data[...] = data
        layer.refresh(thumbnail=False, highlight=False, extent=False)


class Truth:
    """The borders of the painted mask, found once."""

    def __init__(self) -> None:
        self._mask: NDArray[Any] | None = None
        self._edges: NDArray[np.float64] | None = None
        self.shown: NDArray[np.float64] | None = None
        """What was asked for last."""

    def around(self, mask: NDArray[Any] | None, board: Board, wanted: Wanted) -> NDArray[np.float64] | None:
        """Return the borders if they are wanted; of very many, those around the selected object."""
        self.shown = None
        if mask is not None and "truth" in wanted.overlays:
            if self._mask is not mask:
                self._mask, self._edges = mask, truth_edges(mask)
            self.shown = self._near(board.focused)
        return self.shown

    def _near(self, meant: Outline | None) -> NDArray[np.float64] | None:
        edges = self._edges
        if edges is None or len(edges) <= _MOST_TRUTH:
            return edges
        if meant is None or not len(meant.present):
            return None
        low, high = meant.present.min(axis=0), meant.present.max(axis=0)
        margin = (high - low).max() / 2 + 4
        begin = edges[:, 0]
        return np.asarray(edges[((begin >= low - margin) & (begin <= high + margin)).all(axis=1)])


def truth_edges(mask: NDArray[Any], window: tuple[slice, slice] | None = None) -> NDArray[np.float64]:
    """Borders between different labels, as vectors (M, 2, 2) along the edges of pixels.

    `window`: look only there; a whole mask of very many objects is drawn there only.
    """
    if window is not None:
        part = truth_edges(mask[window])
        part[:, 0] += (window[0].start, window[1].start)
        return part
    padded = np.pad(np.asarray(mask), 1)
    down = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])  # between rows y - 1 and y
    across = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    vectors = np.zeros((len(down) + len(across), 2, 2))
    vectors[: len(down), 0], vectors[: len(down), 1] = down - 0.5, (0, 1)
    vectors[len(down) :, 0], vectors[len(down) :, 1] = across - 0.5, (1, 0)
    return vectors


def _colour(each: Outline, *, is_meant: bool) -> Colour:
    if each.status == "queued":
        return _BLUE
    if is_meant:
        return _WHITE if each.status == "accepted" else _YELLOW
    return _PALE


def _each(count: int, colour: Colour) -> NDArray[np.float32]:
    return np.tile(np.array([colour], np.float32), (count, 1))


def _cross(contour: NDArray[Any], reach: float) -> NDArray[np.float64]:
    y, x = centroid(contour)
    return np.array([[[y - reach, x], [2 * reach, 0]], [[y, x - reach], [0, 2 * reach]]])


def _arrows(field: Field) -> tuple[NDArray[np.float64], int]:
    """Return arrows, and how many times longer to draw them.

    A level set moves a fraction of a pixel a step, and nobody would see that.
    """
    side = field.values.shape[-1]
    step = max(side // _ARROWS, 1)
    at = np.arange(step // 2, side, step)
    rows, columns = np.meshgrid(at, at, indexing="ij")
    begin = np.stack([rows, columns], axis=-1).reshape(-1, 2)
    places = np.asarray(field.centre) + (begin - (side - 1) / 2) * field.scale
    along = field.values[:, begin[:, 0], begin[:, 1]].T
    longest = float(np.linalg.norm(along, axis=1).max(initial=0.0))
    times = min(max(1, round(step * field.scale / longest)), _MOST_TIMES) if longest > 0 else 1
    return np.stack([places, along], axis=1).astype(float), times


def _lifted(vectors: NDArray[np.float64], number: int, ndim: int) -> NDArray[np.float64]:
    if ndim == 2:
        return vectors
    lead = np.zeros((len(vectors), 2, 1))
    lead[:, 0] = number
    return np.concatenate([lead, vectors], axis=2)
