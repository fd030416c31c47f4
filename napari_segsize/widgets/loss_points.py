"""What the loss microscope draws as points: disks, squares, centres, vertices, critical pixels; normals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.widgets.placement import like, place
from napari_segsize.widgets.shelf import Shelf

if TYPE_CHECKING:
    from napari.layers import Layer, Points

    from napari_segsize.losses.picture import Dot

__all__ = ["UNWANTED", "WANTED", "LossPoints"]

WANTED, UNWANTED = "#009e73", "#d55e00"  # green and orange: told apart by everybody
_DISK, _TRUE, _SOFT, _CHOSEN, _NORMAL = "#4cc9f0", "#ffffff", "#ff5da2", "#ffffff", "#f0e442"
_CHEAP, _COSTLY = (0.34, 0.06, 0.43, 1.0), (0.99, 0.9, 0.3, 1.0)
_MARK_PX = (9, 26)  # on the screen: how large a centre or a vertex is drawn, at least and at most
_ON_SCREEN = (7, 18)  # how large a critical pixel is drawn, at least and at most


class LossPoints:
    """Points above the layer that a loss is shown of; `corner` is the view's first pixel there."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def normals(self, source: Layer, corner: Sequence[int], normals: NDArray[np.float64]) -> None:
        """Draw strokes ``(M, 4)`` of a place and a direction, both ways: a normal has no sign."""
        from napari.layers import Vectors

        lead = len(corner) - 2
        length = max(2.0, min(_plane_shape(source)) / 50)
        strokes = np.zeros((len(normals), 2, source.ndim))
        strokes[:, 0, :lead] = corner[:lead]
        strokes[:, 0, lead:] = normals[:, :2] + np.asarray(corner[lead:], float) - length / 2 * normals[:, 2:]
        strokes[:, 1, lead:] = length * normals[:, 2:]
        layer = self._shelf.get("loss normals")
        if layer is not None and layer.ndim == source.ndim and len(layer.data) == len(strokes):
            layer.data = strokes
            place(layer, like(source))
            return
        look = {"edge_color": _NORMAL, "edge_width": length / 10, "vector_style": "line"}
        layer = Vectors(strokes, name="Loss: normals", ndim=source.ndim, **look, **like(source))
        self._shelf.put("loss normals", layer, above=source)

    def disks(self, source: Layer, corner: Sequence[int], disks: NDArray[np.float64]) -> None:
        """Draw rows of a centre and a radius."""
        sizes = 2 * disks[:, 2] + 1
        look: dict[str, Any] = {"name": "Loss: costliest disks", "face_color": "transparent"}
        rows = [_DISK] * len(disks)
        self._points(
            "loss disks", source, corner, disks[:, :2], sizes, border=rows, symbols=["disc"] * len(rows),
            border_width=0.6, border_width_is_relative=False, **look,
        )  # fmt: skip

    def squares(self, source: Layer, corner: Sequence[int], squares: NDArray[np.float64]) -> None:
        """Draw rows of a centre and a side: the square that is found, then the one that is wanted."""
        rows = [_DISK, _TRUE][: len(squares)]
        self._points(
            "loss squares", source, corner, squares[:, :2], squares[:, 2], border=rows,
            symbols=["square"] * len(rows), name="Loss: squares", face_color="transparent",
            border_width=0.5, border_width_is_relative=False,
        )  # fmt: skip

    def vertices(self, source: Layer, corner: Sequence[int], vertices: NDArray[np.float64]) -> None:
        """Draw rows of a place and a cost: the costlier, the larger and the lighter."""
        cost = vertices[:, 2]
        share = np.sqrt(cost / (cost.max(initial=0) or 1.0))
        extent = float(np.ptp(vertices[:, :2], axis=0).max(initial=0))
        faces = np.array(_CHEAP) + share[:, None] * (np.array(_COSTLY) - np.array(_CHEAP))
        size = max(1.0, extent / 10)
        self._points(
            "loss vertices", source, corner, vertices[:, :2], size * (0.4 + 0.6 * share), face=faces,
            symbols=["disc"] * len(vertices), name="Loss: vertices", border_width=0,
            canvas_size_limits=_MARK_PX,
        )  # fmt: skip

    def centres(self, source: Layer, corner: Sequence[int], marks: dict[str, NDArray[np.float64]]) -> None:
        """Draw true and soft centres, by name."""
        places = [at for each in marks.values() for at in each.reshape(-1, 2)]
        names = [name for name, each in marks.items() for _ in each.reshape(-1, 2)]
        colours = [_TRUE if "true" in name else _SOFT for name in names]
        symbols = ["cross" if "true" in name else "x" for name in names]
        size = max(3.0, min(_plane_shape(source)) / 22)
        self._points(
            "loss marks", source, corner, np.array(places), [size] * len(names), face=colours,
            symbols=symbols, name="Loss: centres", border_width=0, canvas_size_limits=_MARK_PX,
        )  # fmt: skip

    def pixels(
        self, source: Layer, corner: Sequence[int], dots: tuple[Dot, ...], chosen: int | None
    ) -> list[int]:
        """Draw where parts and holes appear and go; return the dot of each point."""
        places, symbols, faces, borders, sizes, rows = [], [], [], [], [], []
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
                rows.append(number)
        self._points(
            "loss pixels", source, corner, np.array(places, float), sizes, face=faces, border=borders,
            symbols=symbols, name="Loss: critical pixels", border_width=0.15, canvas_size_limits=_ON_SCREEN,
        )  # fmt: skip
        return rows

    def _points(
        self, role: str, source: Layer, corner: Sequence[int], places: NDArray[np.float64], sizes: Any, *,
        symbols: list[str], face: list[str] | NDArray[np.float64] | None = None,
        border: list[str] | None = None, **look: Any,
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
            _set(
                layer, "face_color", face.astype(np.float32) if isinstance(face, np.ndarray) else _rgba(face)
            )
        if border is not None:
            _set(layer, "border_color", _rgba(border))


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
