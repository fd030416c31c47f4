"""What the loss microscope draws on an image: the gradient, maps, disks, centres and critical pixels."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.widgets.contour_points import camera_of, pixel_on_screen
from napari_segsize.widgets.overlays import SEEN_THROUGH, lifted, limit_of
from napari_segsize.widgets.placement import like, place
from napari_segsize.widgets.shelf import Shelf

if TYPE_CHECKING:
    from napari.layers import Layer, Points

    from napari_segsize.losses.microscope import LossView
    from napari_segsize.losses.picture import Dot

__all__ = ["UNWANTED", "WANTED", "LossLayers", "costliest", "is_signed", "short_name"]

WANTED, UNWANTED = "#009e73", "#d55e00"  # green and orange: told apart by everybody
_MOST_DOTS, _FAINT = 400, 0.01  # the latter of persistence
_DISK, _TRUE, _SOFT, _CHOSEN = "#4cc9f0", "#ffffff", "#ff5da2", "#ffffff"
_ERRORS = ("ghosts", "misses")  # above other maps: they are what one looks for
_ROUNDING = 1e-3  # of its largest value: what a map may go below 0 without being signed
_CLICK_PX, _DRAG_PX = 10.0, 4.0  # on the screen
_ON_SCREEN = (7, 18)  # how large a critical pixel is drawn, at least and at most
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
    ) -> None:
        """Draw what is wanted of a view whose first pixel is `corner` of `source`.

        Parameters
        ----------
        wanted : names
            "gradient", "disks", "marks", "pixels", and of maps.
        step : int
            Of maps that have several.
        chosen : int, optional
            The dot that stands out.
        """
        drawn = {role for role in self._shelf.roles() if role.startswith("loss ")}
        keep = set()
        for name, values in view.maps.items():
            if name in wanted:
                role = f"loss {'error' if name in _ERRORS else 'map'}:{name}"
                keep.add(role)
                plane = values[min(step, len(values) - 1)] if values.ndim > 2 else values
                self._map(role, name, source, corner, plane, values)
        if "gradient" in wanted:
            keep.add("loss gradient")
            self._gradient(source, corner, view.gradient)
        marks = {name: each for name, each in view.marks.items() if name != "disks"}
        if "disks" in wanted and "disks" in view.marks:
            keep.add("loss disks")
            self._disks(source, corner, view.marks["disks"])
        if "marks" in wanted and marks:
            keep.add("loss marks")
            self._marks(source, corner, marks)
        if "pixels" in wanted and view.dots:
            keep.add("loss pixels")
            self._pixels(source, corner, costliest(view.dots), chosen)
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

    def _gradient(self, source: Layer, corner: Sequence[int], gradient: NDArray[np.float32]) -> None:
        limit = limit_of(gradient)
        look = {"name": "Loss gradient", "stops": SEEN_THROUGH, "opacity": 0.9}
        self._image("loss gradient", source, corner, gradient, (-limit, limit), look)

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

    def _disks(self, source: Layer, corner: Sequence[int], disks: NDArray[np.float64]) -> None:
        sizes = 2 * disks[:, 2] + 1
        look: dict[str, Any] = {"name": "Loss: costliest disks", "face_color": "transparent"}
        rows = [_DISK] * len(disks)
        self._points(
            "loss disks", source, corner, disks[:, :2], sizes, border=rows, symbols=["disc"] * len(rows),
            border_width=0.6, border_width_is_relative=False, **look,
        )  # fmt: skip

    def _marks(self, source: Layer, corner: Sequence[int], marks: dict[str, NDArray[np.float64]]) -> None:
        places = [at for each in marks.values() for at in each.reshape(-1, 2)]
        names = [name for name, each in marks.items() for _ in each.reshape(-1, 2)]
        colours = [_TRUE if "true" in name else _SOFT for name in names]
        symbols = ["cross" if "true" in name else "x" for name in names]
        size = max(3.0, min(_plane_shape(source)) / 22)
        self._points(
            "loss marks", source, corner, np.array(places), [size] * len(names), face=colours,
            symbols=symbols, name="Loss: centres", border_width=0,
        )  # fmt: skip

    def _pixels(
        self, source: Layer, corner: Sequence[int], dots: tuple[Dot, ...], chosen: int | None
    ) -> None:
        places, symbols, faces, borders, sizes, self._rows = [], [], [], [], [], []
        side = min(max(min(_plane_shape(source)) / 32, 1.5), 6.0)
        for number, dot in enumerate(dots):
            for symbol, pixel in (("disc", dot.birth_pixel), ("x", dot.death_pixel)):
                if pixel is None:
                    continue
                places.append(pixel)
                symbols.append(symbol)
                faces.append(WANTED if dot.wanted else UNWANTED)
                borders.append(_CHOSEN if number == chosen else faces[-1])
                sizes.append(side * (2.2 if number == chosen else 1.0))
                self._rows.append(number)
        self._points(
            "loss pixels", source, corner, np.array(places, float), sizes, face=faces, border=borders,
            symbols=symbols, name="Loss: critical pixels", border_width=0.15, canvas_size_limits=_ON_SCREEN,
        )  # fmt: skip

    def _points(
        self, role: str, source: Layer, corner: Sequence[int], places: NDArray[np.float64], sizes: Any, *,
        symbols: list[str], face: list[str] | None = None, border: list[str] | None = None, **look: Any,
    ) -> None:  # fmt: skip
        from napari.layers import Points

        lead = len(corner) - 2
        rows = np.zeros((len(places), source.ndim))
        rows[:, :lead] = corner[:lead]
        rows[:, lead:] = places.reshape(-1, 2) + np.asarray(corner[lead:], float)
        layer: Points | None = self._shelf.get(role)
        if layer is None or layer.ndim != source.ndim:
            layer = Points(rows, **look, **like(source))
            self._shelf.put(role, layer, above=source)
        else:
            layer.selected_data = set()
            layer.data = rows
            place(layer, like(source))
        if not len(rows):
            return
        _set(layer, "size", np.array(sizes, float))
        if [str(each) for each in layer.symbol] != symbols:
            layer.symbol = symbols
        if face is not None:
            _set(layer, "face_color", _rgba(face))
        if border is not None:
            _set(layer, "border_color", _rgba(border))

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


def _plane_shape(source: Layer) -> tuple[int, ...]:
    data = source.data[0] if source.multiscale else source.data
    shape: tuple[int, ...] = data.shape[-3:-1] if getattr(source, "rgb", False) else data.shape[-2:]
    return shape


def _rgba(colours: list[str]) -> NDArray[np.float32]:
    from napari.utils.colormaps.standardize_color import transform_color

    known = {name: transform_color(name)[0] for name in set(colours)}
    return np.array([known[name] for name in colours], np.float32)


def _set(layer: Layer, name: str, value: NDArray[Any]) -> None:
    """Set what differs only: every setting redraws."""
    if not np.array_equal(getattr(layer, name), value):
        setattr(layer, name, value)
