"""What the loss microscope draws on an image: the gradient and maps, with what lies on them; clicks."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.widgets.contour_points import camera_of, pixel_on_screen
from napari_segsize.widgets.loss_points import LossPoints
from napari_segsize.widgets.loss_strokes import GROUPS, LossStrokes, group_of
from napari_segsize.widgets.overlays import SEEN_THROUGH, lifted, limit_of
from napari_segsize.widgets.placement import place
from napari_segsize.widgets.shelf import Shelf

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_segsize.losses.microscope import LossView
    from napari_segsize.losses.picture import Dot

__all__ = ["LossLayers", "costliest", "is_signed", "short_name"]

_MOST_DOTS, _FAINT = 400, 0.01  # the latter of persistence
_ERRORS = ("ghosts", "misses")  # above other maps: they are what one looks for
_ROUNDING = 1e-3  # of its largest value: what a map may go below 0 without being signed
_CLICK_PX, _DRAG_PX = 10.0, 4.0  # on the screen
_SEEN_PX = 5.0  # on the screen: how large a pixel is made that a dot leads to
_HUES = {
    "ghosts": (0.84, 0.37, 0.0),
    "misses": (0.0, 0.62, 0.45),
    "skeleton of the prediction": (1.0, 0.36, 0.64),
    "skeleton of the target": (0.3, 0.79, 0.94),
}
_SHORT = {
    "skeleton of the prediction": "predicted line",
    "skeleton of the target": "true line",
    "share of the disk in the target": "share in target",
    "share of the disk in the prediction": "share in prediction",
}
_HEAT = ((0, 0, 0.02, 0), (0.34, 0.06, 0.43, 0.6), (0.73, 0.21, 0.33, 0.8), (0.98, 0.55, 0.04, 0.9),
         (0.99, 1, 0.64, 1))  # fmt: skip


class LossLayers:
    """Layers of one loss at a time; nobody edits them."""

    picked = Signal(int)
    """The dot whose pixel was clicked: its number among the costliest."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._points, self._strokes = LossPoints(shelf), LossStrokes(shelf)
        self._rows: list[int] = []  # the dot of each critical pixel

    def show(
        self,
        source: Layer,
        corner: Sequence[int],
        view: LossView,
        wanted: Collection[str],
        *,
        step: int = 0,
        chosen: int | None = None,
        over: Layer | None = None,
    ) -> None:
        """Draw what is wanted of a view whose first pixel is `corner` of `source`.

        Parameters
        ----------
        wanted : names
            "gradient", "marks", "pixels", those of `GROUPS`, and of maps.
        step : int
            Of maps that have several.
        chosen : int, optional
            The dot that stands out.
        over : napari layer, optional
            What strokes lie above, if it is not `source`: the contour that they are about.
        """
        drawn = {role for role in self._shelf.roles() if role.startswith("loss ")}
        self._strokes.over = over
        keep: set[str | None] = set()
        for name, values in view.maps.items():
            if name in wanted:
                role = f"loss {'error' if name in _ERRORS else 'map'}:{name}"
                keep.add(role)
                plane = values[min(step, len(values) - 1)] if values.ndim > 2 else values
                self._map(role, name, source, corner, plane, values)
        if "gradient" in wanted:
            keep.add(self._gradient(source, corner, view))
        keep |= self._marks(source, corner, view, wanted)
        if "pixels" in wanted and view.dots:
            keep.add("loss pixels")
            self._rows = self._points.pixels(source, corner, costliest(view.dots), chosen)
        for role in drawn - keep:
            self._shelf.remove(role)

    def remove(self) -> None:
        """Take everything away."""
        for role in [role for role in self._shelf.roles() if role.startswith("loss ")]:
            self._shelf.remove(role)
        self._rows = []

    def go_to(self, source: Layer, corner: Sequence[int], pixel: Sequence[int]) -> None:
        """Bring a pixel to the middle of the screen, and near enough to be seen."""
        lead = len(corner) - 2
        at = (*corner[:lead], *(a + b for a, b in zip(corner[lead:], pixel, strict=True)))
        world = np.asarray(source.data_to_world(at))[-2:]
        camera = camera_of(self._shelf.viewer)
        camera.center = (*tuple(camera.center)[:-2], float(world[0]), float(world[1]))
        least = _SEEN_PX * pixel_on_screen(source, 1.0)
        if camera.zoom < least:
            camera.zoom = least

    def listen(self, *, to_clicks: bool) -> None:
        """Hear clicks on critical pixels, or no more."""
        callbacks = self._shelf.viewer.mouse_drag_callbacks
        if to_clicks and self._on_press not in callbacks:
            callbacks.append(self._on_press)
        elif not to_clicks and self._on_press in callbacks:
            callbacks.remove(self._on_press)

    # --- the layers ---------------------------------------------------------------------------------------

    def _gradient(self, source: Layer, corner: Sequence[int], view: LossView) -> str | None:
        if view.gradient.ndim == 3 or view.places is not None:
            return self._strokes.gradient(source, corner, view)
        limit = limit_of(view.gradient)
        look = {"name": "Loss gradient", "stops": SEEN_THROUGH, "opacity": 0.9}
        self._image("loss gradient", source, corner, view.gradient, (-limit, limit), look)
        return "loss gradient"

    def _marks(
        self, source: Layer, corner: Sequence[int], view: LossView, wanted: Collection[str]
    ) -> set[str | None]:
        """Draw the marks that are wanted; return the roles of their layers."""
        drawn: set[str | None] = set()
        centres = {name: each for name, each in view.marks.items() if group_of(name) not in GROUPS}
        if "marks" in wanted and centres:
            self._points.centres(source, corner, centres)
            drawn.add("loss marks")
        points = {
            "disks": self._points.disks, "normals": self._points.normals, "squares": self._points.squares,
            "vertices": self._points.vertices,
        }  # fmt: skip
        for name, values in view.marks.items():
            if group_of(name) not in wanted or name in centres:
                continue
            if name in points:
                points[name](source, corner, values)
                drawn.add(f"loss {name}")
            else:
                drawn.add(self._strokes.show(source, corner, name, values))
        return drawn

    def _map(
        self, role: str, name: str, source: Layer, corner: Sequence[int],
        plane: NDArray[np.float32], values: NDArray[np.float32],
    ) -> None:  # fmt: skip
        most = float(np.abs(values).max()) or 1.0  # of all steps: they share one scale
        hue = _HUES.get(name)
        stops: Any = _HEAT if hue is None else ((*hue, 0), (*hue, 1))
        limits = (0.0, most)
        if is_signed(values):
            stops, limits = SEEN_THROUGH, (-most, most)
        look = {"name": f"Loss: {short_name(name)}", "stops": stops, "opacity": 0.9}
        self._image(role, source, corner, plane, limits, look)

    def _image(
        self, role: str, source: Layer, corner: Sequence[int], plane: NDArray[np.float32],
        limits: tuple[float, float], look: dict[str, Any],
    ) -> None:  # fmt: skip
        from napari.layers import Image
        from napari.utils import Colormap

        data, where = lifted(source, plane, corner)
        layer = self._shelf.get(role)
        if layer is None or layer.ndim != source.ndim:
            colours = Colormap(look["stops"], name=role)
            layer = Image(
                data, name=look["name"], colormap=colours, opacity=look["opacity"], contrast_limits=limits,
                blending="translucent", interpolation2d="nearest", **where,
            )  # fmt: skip
            self._shelf.put(role, layer, above=source)
            return
        layer.data = data
        if layer.colormap.name == role:
            signed = limits[0] < 0
            if signed != (layer.contrast_limits_range[0] < 0):
                layer.colormap = Colormap(look["stops"], name=role)
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits
        place(layer, where)

    # --- clicks -------------------------------------------------------------------------------------------

    def _on_press(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Pick the critical pixel under a click that moves nothing and paints nothing."""
        layer = self._shelf.get("loss pixels")
        active = viewer.layers.selection.active
        at_rest = active is None or str(active.mode) in ("pan_zoom", "select")
        if layer is None or not layer.visible or not at_rest or event.button != 1 or event.modifiers:
            return
        begin = np.array(event.pos, float)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos, float) - begin).max() > _DRAG_PX or not self._rows:
            return
        at = np.asarray(layer.world_to_data(event.position))[-2:]
        away = np.hypot(*(layer.data[:, -2:] - at).T)
        reach = _CLICK_PX * pixel_on_screen(layer, camera_of(viewer).zoom)
        nearest = int(away.argmin())
        if away[nearest] <= max(reach, layer.size[nearest] / 2):
            self.picked.emit(self._rows[nearest])


def costliest(dots: tuple[Dot, ...]) -> tuple[Dot, ...]:
    """The dots that are shown: noise has thousands, which cost next to nothing."""
    seen = [dot for dot in dots if dot.wanted or dot.birth - dot.death >= _FAINT]
    return tuple(sorted(seen, key=lambda dot: -dot.cost)[:_MOST_DOTS])


def short_name(name: str) -> str:
    """The name of a map, short enough for napari's list of layers, which grows with it."""
    return _SHORT.get(name, name)


def is_signed(values: NDArray[np.float32]) -> bool:
    """Whether 0 is the middle of a map, not its beginning."""
    return bool(values.size) and float(values.min()) < -_ROUNDING * float(np.abs(values).max())
