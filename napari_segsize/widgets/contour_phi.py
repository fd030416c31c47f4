"""The level set of the selected object as images: phi step by step, its curvature, and its modulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.widgets.placement import like, place

if TYPE_CHECKING:
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_segsize.widgets.contour_drawing import Wanted
    from napari_segsize.widgets.contour_state import LevelSet, Outline
    from napari_segsize.widgets.shelf import Shelf

__all__ = ["ROLES", "PhiDrawing"]

PHI, CURVATURE, MODULATION = "level set", "curvature", "modulation"
ROLES = (PHI, CURVATURE, MODULATION)
"""Of the layers, from below."""

_REACH = 30 / 256  # of the region's side: farther from the line the network says no more
_LINE = 0.01  # half the width of the zero line, as a share of the colours
_SHARPEST = 0.3  # per pixel of the region: the curvature that has the strongest colour
_TITLES = {PHI: "Level set", CURVATURE: "Curvature", MODULATION: "Modulation"}


class PhiDrawing:
    """Three Image layers over the region that the network saw."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._hidden: set[str] = set()  # by us; what the user has hidden stays hidden

    def show(self, base: Layer, number: int, meant: Outline | None, wanted: Wanted) -> None:
        """Draw what is asked for of the selected object, at the step that is shown; take the rest away.

        While another object without a level set is selected, the layers are hidden: making one takes long.
        """
        found = None if meant is None else meant.levelset
        for role in ROLES:
            if role not in wanted.overlays:
                self._drop(role)
                continue
            if found is None or meant is None:
                self._hide(role)
                continue
            step = meant.step if wanted.playing is None else wanted.playing.get(meant.object, meant.step)
            self._put(base, number, role, found, min(step, len(found.phi) - 1))

    def place(self, base: Layer) -> None:
        """Follow the image."""
        for role, (found, _, number) in self._shown.items():
            layer = self._shelf.get(role)
            if layer is not None and layer.ndim == base.ndim:
                place(layer, _over(base, number, found))

    def remove(self) -> None:
        """Take everything away."""
        for role in ROLES:
            self._drop(role)

    def _hide(self, role: str) -> None:
        layer = self._shelf.get(role)
        if layer is not None and layer.visible:
            layer.visible = False
            self._hidden.add(role)

    def _drop(self, role: str) -> None:
        self._shown.pop(role, None)
        self._hidden.discard(role)
        self._shelf.remove(role)

    def _put(self, base: Layer, number: int, role: str, found: LevelSet, step: int) -> None:
        step = 0 if role == MODULATION else step
        layer = self._shelf.get(role)
        if layer is not None and role in self._hidden:
            layer.visible = True
        self._hidden.discard(role)
        before = self._shown.get(role)
        same_place = before is not None and before[0] is found and before[2] == number
        if layer is not None and same_place and before is not None and before[1] == step:
            return
        self._shown[role] = (found, step, number)
        values = _values(role, found, step)
        data = values[(None,) * (base.ndim - 2)]
        if layer is not None and layer.ndim == base.ndim and layer.data.shape == data.shape:
            layer.data = data
            place(layer, _over(base, number, found))
            return
        from napari.layers import Image

        most = {PHI: _REACH * values.shape[-1], CURVATURE: _SHARPEST, MODULATION: 1.0}[role]
        colours, least = ("viridis", 0.0) if role == MODULATION else (_diverging(), -most)
        made = Image(
            data, name=_TITLES[role], colormap=colours, contrast_limits=(least, most), opacity=0.55,
            interpolation2d="linear", **_over(base, number, found),
        )  # fmt: skip
        self._shelf.put(role, made, above=base)


def _values(role: str, found: LevelSet, step: int) -> NDArray[np.float32]:
    if role == MODULATION:
        return found.modulation
    phi = found.phi[step]
    return phi if role == PHI else _curvature(phi)


def _curvature(phi: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the lines of equal phi, for looking at: negative where an object bulges."""
    down, across = np.gradient(phi)
    length = np.maximum(np.hypot(down, across), 1e-6)
    bent: NDArray[np.float32] = np.gradient(down / length, axis=0) + np.gradient(across / length, axis=1)
    return bent.astype(np.float32)


def _over(base: Layer, number: int, found: LevelSet) -> Any:
    """Where the region lies on the image: as the image itself, but with pixels of its own size."""
    side = found.phi.shape[-1]
    corner = np.asarray(found.centre) - found.scale * (side - 1) / 2
    offset = np.concatenate([np.full(base.ndim - 2, float(number)), corner])
    placement = like(base, offset.tolist())
    placement["scale"] = placement["scale"] * np.array([1.0] * (base.ndim - 2) + [found.scale] * 2)
    return placement


def _diverging() -> Any:
    """Blue outside, red inside, and a dark line where it changes."""
    from napari.utils import Colormap

    colours: NDArray[np.float64] = np.array(
        [
            [0.13, 0.40, 0.67, 1], [0.90, 0.94, 0.98, 1], [0.05, 0.05, 0.05, 1],
            [0.05, 0.05, 0.05, 1], [0.99, 0.92, 0.88, 1], [0.70, 0.09, 0.17, 1],
        ]
    )  # fmt: skip
    controls = [0.0, 0.5 - 2 * _LINE, 0.5 - _LINE, 0.5 + _LINE, 0.5 + 2 * _LINE, 1.0]
    return Colormap(colours, name="level set", controls=controls)
