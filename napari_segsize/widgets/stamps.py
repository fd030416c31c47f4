"""The size stamps: a Points layer of square markers whose point size is the object size, in data pixels."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.project.annotation import SizeStamp, even_size
from napari_segsize.widgets.placement import like, place
from napari_segsize.widgets.shelf import Quiet, Shelf, connected

if TYPE_CHECKING:
    from napari.layers import Layer, Points

__all__ = ["COLOUR", "STAMP_LOOK", "Stamps"]

STAMP_LOOK: Mapping[str, Any] = {
    "symbol": "square",
    "face_color": "transparent",
    "border_width_is_relative": False,
    "blending": "translucent",
}
COLOUR = "#2ee66b"  # seen on black, on white and on pink stains
_STEP = 2.0  # sizes are even


class Stamps:
    """Located stamps of every plane of the image on screen."""

    changed = Signal(int, object, object)
    """(slice, stamps that are new or different, identities that are gone)"""
    side_changed = Signal(float)
    mode_changed = Signal(str)
    refused = Signal(str)

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._quiet = Quiet()
        self._known: dict[int, dict[str, SizeStamp]] = {}
        self._shape = (0, 0)
        self._base: Layer | None = None
        self._dragging = False
        self._last = 0  # how many points there were when we last looked
        self._side = 16.0
        self._unit = "px"

    # --- what is shown ----------------------------------------------------------------------------------

    @property
    def layer(self) -> Points | None:
        """The Points layer, unless there is none or the user has removed it."""
        layer: Points | None = self._shelf.get("stamps")
        return layer

    def show(self, base: Layer, shape: tuple[int, int], stamps: Mapping[int, Iterable[SizeStamp]]) -> Points:
        """Make the layer for an image; `stamps` by slice."""
        mode = self.mode
        active = self.layer is not None and self._shelf.viewer.layers.selection.active is self.layer
        self._base, self._shape = base, shape
        self._known = {number: _located(each) for number, each in stamps.items()}
        with self._quiet():
            layer = self.layer
            if layer is None or layer.ndim != base.ndim:
                layer = self._made(base)
            place(layer, like(base))
            self._fill(layer)
        self._listen(layer)
        if active:
            self._shelf.viewer.layers.selection.active = layer
            layer.mode = mode
        return layer

    def update(self, number: int, stamps: Iterable[SizeStamp]) -> None:
        """Show what the project says about one plane, unless that is what is shown."""
        layer, wanted = self.layer, _located(stamps)
        if layer is None or self._dragging:
            return
        self._known[number] = wanted
        if self._read(layer).get(number, {}) != wanted:
            with self._quiet():
                self._fill(layer)

    def clear(self) -> None:
        """Take the layer away."""
        self._known, self._base = {}, None
        self._shelf.remove("stamps")

    # --- the size of the next stamp, or of the selected ones --------------------------------------------

    @property
    def side(self) -> float:
        """Side of the square, in pixels: of the selected stamps, otherwise of the next one."""
        return self._side

    def set_side(self, pixels: float) -> None:
        """Change the size of the selected stamps; without any, of the next one."""
        side = min(max(even_size(pixels), 2.0), self._largest)
        layer = self.layer
        if layer is not None and layer.current_size != side:
            if layer.mode == "add":
                layer.selected_data = set()  # the stamp just put is finished: the next one changes
            layer.current_size = side
        self._remember(side)

    def step_side(self, steps: float) -> None:
        """Make the square larger or smaller by steps of two pixels."""
        self.set_side(self._side + _STEP * steps)

    def contains(self, place: NDArray[Any]) -> bool:
        """Whether (y, x) in data coordinates lies in the image."""
        return bool((place >= -0.5).all() and (place <= np.array(self._shape) - 0.5).all())

    def set_unit(self, unit: str) -> None:
        """Choose what new sizes are recorded in: "px", or the unit of the image."""
        self._unit = unit

    @property
    def selected(self) -> tuple[str, ...]:
        """Identities of the selected stamps."""
        layer = self.layer
        names = [] if layer is None else list(layer.features["object"])
        return tuple(names[k] for k in sorted(layer.selected_data)) if layer is not None else ()

    @property
    def mode(self) -> str:
        """The napari mode of the layer."""
        return "pan_zoom" if self.layer is None else str(self.layer.mode)

    @property
    def _largest(self) -> float:
        return even_size(max(self._shape)) if max(self._shape) else math.inf

    def _remember(self, side: float) -> None:
        if side != self._side:
            self._side = side
            self.side_changed.emit(side)

    # --- the layer --------------------------------------------------------------------------------------

    def _made(self, base: Layer) -> Points:
        from napari.layers import Points

        layer = Points(
            np.zeros((0, base.ndim)), name="Sizes", size=self._side, border_color=COLOUR,
            border_width=_border(self._shape), features=_table([]), **STAMP_LOOK, **like(base),
        )  # fmt: skip
        layer.current_size = self._side
        self._shelf.put("stamps", layer)
        return layer

    def _listen(self, layer: Points) -> None:
        connected(
            layer.events,
            {
                "data": self._on_data,
                "size": self._on_size,
                "current_size": self._on_current_size,
                "features": self._on_features,
                "set_data": self._on_set_data,
                "mode": self._on_mode,
            },
        )

    def _fill(self, layer: Points) -> None:
        """Write what is known into the layer."""
        rows = [(number, stamp) for number in sorted(self._known) for stamp in self._known[number].values()]
        layer.selected_data = set()
        layer.data = _coordinates(rows, layer.ndim)
        if rows:
            layer.size = np.array([stamp.size for _, stamp in rows])
            layer.border_color = COLOUR
            layer.symbol = "square"
        layer.features = _table([(stamp.object, stamp.size) for _, stamp in rows])
        layer.current_size = self._side
        layer.refresh()
        self._last = len(rows)

    def _read(self, layer: Points) -> dict[int, dict[str, SizeStamp]]:
        """What the layer says now, by slice."""
        found: dict[int, dict[str, SizeStamp]] = {}
        for row, name, size in zip(layer.data, layer.features["object"], layer.size, strict=True):
            number = int(row[0]) if layer.ndim == 3 else 0
            old = self._known.get(number, {}).get(name)
            centre = (float(row[-2]), float(row[-1]))
            found.setdefault(number, {})[name] = self._stamp(str(name), float(size), centre, old)
        return found

    def _stamp(self, name: str, size: float, centre: tuple[float, float], old: SizeStamp | None) -> SizeStamp:
        if old is not None and old.size == size:
            return SizeStamp(object=name, size=size, centre=centre, entered=old.entered, unit=old.unit)
        factor = 1.0 if self._unit == "px" or self._base is None else abs(float(self._base.scale[-1]))
        return SizeStamp(object=name, size=size, centre=centre, entered=size * factor, unit=self._unit)

    # --- what the user does, with napari's own tools or ours --------------------------------------------

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event, "action", "changed")).lower()
        if self._quiet:
            return
        self._dragging = action.endswith("changing")
        if action.endswith(("added", "removed", "changed")):
            self._take(from_table=False)

    def _on_size(self) -> None:
        if not self._quiet:
            self._take(from_table=False)

    def _on_features(self) -> None:
        if not self._quiet and not self._dragging:
            self._take(from_table=True)

    def _on_set_data(self) -> None:
        layer = self.layer  # pasting announces nothing else
        if not self._quiet and not self._dragging and layer is not None and len(layer.data) != self._last:
            self._take(from_table=False)

    def _on_current_size(self) -> None:
        if not self._quiet and self.layer is not None:
            self._remember(max(even_size(float(self.layer.current_size)), 2.0))

    def _on_mode(self) -> None:
        self.mode_changed.emit(self.mode)

    def _take(self, *, from_table: bool) -> None:
        """Put the layer in order, then tell what differs from what was known."""
        layer = self.layer
        if layer is None or len(layer.features) != len(layer.data):
            return
        with self._quiet():
            self._tidy(layer, from_table=from_table)
        now = self._read(layer)
        self._last = len(layer.data)
        for number in sorted(self._known.keys() | now.keys()):
            before, after = self._known.get(number, {}), now.get(number, {})
            if before != after:
                self._known[number] = after
                put = tuple(stamp for name, stamp in after.items() if before.get(name) != stamp)
                gone = tuple(name for name in before if name not in after)
                self.changed.emit(number, put, gone)

    def _tidy(self, layer: Points, *, from_table: bool) -> None:
        self._bring_in(layer)
        if layer.ndim == 3 and len(layer.data):
            rounded = np.round(layer.data[:, 0])
            if not np.array_equal(rounded, layer.data[:, 0]):
                layer.data = np.column_stack([rounded, layer.data[:, 1:]])
        sizes = self._sizes(layer, from_table=from_table)
        if not np.array_equal(sizes, layer.size):
            layer.size = sizes
        table = _table(list(zip(_identities(layer.features["object"]), sizes, strict=True)))
        if not table.equals(layer.features[["object", "size"]]):
            others = layer.features.drop(columns=["object", "size"]).reset_index(drop=True)
            layer.features = pd.concat([table, others], axis=1)  # columns of the user's stay

    def _bring_in(self, layer: Points) -> None:
        """Put what was dragged out of the image back where it was; what was put there does not stay."""
        outside = self._outside(layer)
        if not outside:
            return
        names = list(layer.features["object"])
        places = {
            name: (number, *(stamp.centre or ()))
            for number, each in self._known.items()
            for name, stamp in each.items()
        }
        dragged = [row for row in outside if names[row] in places and names.count(names[row]) == 1]
        if dragged:
            data = np.array(layer.data)
            data[dragged] = [places[names[row]][-layer.ndim :] for row in dragged]
            layer.data = data
            self.refused.emit(
                "A size stays inside its image, so the square is back where it was. To delete it, select it "
                "and press Del."
            )
        put = [row for row in outside if row not in dragged]
        if put:
            layer.remove(put)
            self.refused.emit("That was outside the image: a size is put where its object is.")

    def _outside(self, layer: Points) -> list[int]:
        if not len(layer.data):
            return []
        inside = (layer.data[:, -2:] >= -0.5) & (layer.data[:, -2:] <= np.array(self._shape) - 0.5)
        return [int(index) for index in np.flatnonzero(~inside.all(1))]

    def _sizes(self, layer: Points, *, from_table: bool) -> NDArray[np.float64]:
        """Even sizes that fit the image; what was typed into the table counts when it is one."""
        drawn = np.asarray(layer.size, float)
        if from_table:
            typed = np.asarray(pd.to_numeric(layer.features["size"], errors="coerce"), float)
            bad = ~(typed > 0) | (typed > self._largest)
            if (bad & ~np.isnan(drawn)).any():
                self.refused.emit(
                    f"A size is a number of pixels between 2 and {self._largest:g}: the former one was kept."
                )
            drawn = np.where(bad, drawn, typed)
        return np.array([min(max(even_size(size), 2.0), self._largest) for size in drawn], float)


def _located(stamps: Iterable[SizeStamp]) -> dict[str, SizeStamp]:
    return {stamp.object: stamp for stamp in stamps if stamp.centre is not None}


def _coordinates(rows: Sequence[tuple[int, SizeStamp]], ndim: int) -> NDArray[np.float64]:
    points = [(number, *stamp.centre) for number, stamp in rows if stamp.centre is not None]
    return np.array(points, float).reshape(-1, 3)[:, -ndim:]


def _identities(names: Iterable[Any]) -> list[str]:
    """Give every point a name of its own: a new or pasted one comes with none, or with another one's."""
    seen: set[str] = set()
    out = []
    for name in names:
        if not isinstance(name, str) or not name or name in seen:
            name = uuid.uuid4().hex
        seen.add(name)
        out.append(name)
    return out


def _table(rows: Sequence[tuple[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "object": pd.Series([name for name, _ in rows], dtype=object),
            "size": pd.Series([float(size) for _, size in rows], dtype=float),
        }
    )


def _border(shape: tuple[int, int]) -> float:
    """In data pixels: thin against the image, so that the pixels at the square's rim can be seen."""
    return max(min(shape) / 150, 0.25) if min(shape) else 0.5
