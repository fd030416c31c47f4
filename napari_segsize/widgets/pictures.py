"""The image on screen: a napari layer we make, or the user's own when it shows the same pixels."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.errors import SegsizeError
from napari_segsize.project.sizes import unit_name
from napari_segsize.project.stopping import check
from napari_segsize.widgets.large_volume import LargeVolume
from napari_segsize.widgets.runs import LayerImage
from napari_segsize.widgets.shelf import Shelf, role_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Layer
    from napari.viewer import Viewer

    from napari_segsize.project.annotation import ImageRecord

__all__ = ["Pictures", "contrast", "contrasts", "layer_image"]

_CHANNEL_COLOURS = ("gray", "magenta", "green", "cyan", "yellow", "red", "blue")


class Pictures:
    """Shows one image of the project; `base` is what all overlays lie on."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._viewer: Viewer = shelf.viewer
        self._record: ImageRecord | None = None

    @property
    def record(self) -> ImageRecord | None:
        """The image on screen."""
        return self._record

    @property
    def base(self) -> Layer | None:
        """Its layer; None when nothing is shown, or when the user has removed it."""
        layer: Layer | None = self._shelf.get("image")
        return layer

    def show(
        self,
        record: ImageRecord,
        volume: NDArray[Any] | LargeVolume,
        limits: Sequence[tuple[float, float]],
    ) -> None:
        """Put an image of (planes, C, H, W) pixels on screen; the C of an RGB image are its colours.

        `limits`: what is black and what is white, of each channel, see `contrasts`.
        """
        own = self._users_own(record, _seen(record, volume, 0))
        self._hide()
        self._record = record
        if own is not None:
            own.visible = True
            self._shelf.mark("image", own)
        elif record.rgb:
            self._put("image", record, _seen(record, volume, 0), rgb=True)
        else:
            for channel in reversed(range(record.channels)):
                role = "image" if channel == 0 else f"image:{channel}"
                colour = _CHANNEL_COLOURS[channel % len(_CHANNEL_COLOURS)]
                pixels, seen = _seen(record, volume, channel), limits[channel]
                self._put(role, record, pixels, contrast_limits=seen, colormap=colour)

    def clear(self) -> None:
        """Take our image away."""
        self._hide()
        self._record = None

    def _put(
        self,
        role: str,
        record: ImageRecord,
        pixels: NDArray[Any] | LargeVolume,
        *,
        rgb: bool = False,
        **look: Any,
    ) -> None:
        from napari.layers import Image

        ndim = 2 if record.planes == 1 else 3
        options: dict[str, Any] = {"rgb": rgb, **look}
        if role.startswith("image:"):
            options["blending"] = "additive"
        layer = Image(
            pixels, name=record.name if role == "image" else f"{record.name} [{role[6:]}]",
            scale=record.spacing[-ndim:], units=(_unit(record.unit),) * ndim,
            axis_labels=("z", "y", "x")[-ndim:], **options,
        )  # fmt: skip
        self._shelf.put(role, layer)

    def _hide(self) -> None:
        """Take our layers away; a layer of the user's is only switched off."""
        for role in [role for role in self._shelf.roles() if role.startswith("image")]:
            layer = self._shelf.get(role)
            if layer.metadata.get("napari-segsize-adopted"):
                layer.visible = False
                self._shelf.mark(role, None)
            else:
                self._shelf.remove(role)

    def _users_own(self, record: ImageRecord, wanted: NDArray[Any] | LargeVolume) -> Image | None:
        """A layer of the user's that shows these very pixels: the one that was added to the project, say."""
        from napari.layers import Image

        if record.channels > 1 and not record.rgb:
            return None
        for layer in self._viewer.layers:
            ours = role_of(layer) is not None
            if ours or not isinstance(layer, Image) or layer.multiscale or layer.name != record.name:
                continue
            if layer.data.shape == wanted.shape and layer.rgb == record.rgb and _same(layer.data, wanted):
                layer.metadata = {**layer.metadata, "napari-segsize-adopted": True}
                return layer
        return None


def layer_image(layer: Layer) -> LayerImage:
    """Turn an image layer into pixels and spacing for the project.

    Raises
    ------
    SegsizeError
        For a layer that is no image, or has more than one axis of planes.
    """
    from napari.layers import Image

    if not isinstance(layer, Image):
        raise SegsizeError(
            f"{layer.name}: an image layer is expected, this is a {type(layer).__name__} layer."
        )
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim not in (2, 3):
        raise SegsizeError(
            f"{layer.name}: an image (y, x) or a stack (z, y, x) is expected, this layer has {layer.ndim} "
            "axes. Duplicate one time point or channel as a layer of its own and add that."
        )
    unit = unit_name(str(layer.units[-1]))
    return LayerImage(
        name=layer.name,
        pixels=data,  # which may be read only now, so in the background
        kind="image" if layer.ndim == 2 else "stack",
        spacing=tuple(abs(float(side)) for side in layer.scale),
        unit=unit,
        rgb=bool(layer.rgb),
    )


def _seen(
    record: ImageRecord, volume: NDArray[Any] | LargeVolume, channel: int
) -> NDArray[Any] | LargeVolume:
    """What the layer of one channel shows, or of all if they are colours; a single image has no slider."""
    if isinstance(volume, LargeVolume):
        return volume if record.rgb else volume.of_channel(channel)
    pixels = volume[0] if record.planes == 1 else volume
    return np.moveaxis(pixels, -3, -1) if record.rgb else pixels[..., channel, :, :]


def contrasts(record: ImageRecord, volume: NDArray[Any] | LargeVolume) -> tuple[tuple[float, float], ...]:
    """Contrast limits of each channel of an image; of colours, none. A large volume gives three planes."""
    if record.rgb:
        return ()
    seen = [_seen(record, volume, channel) for channel in range(record.channels)]
    return tuple(contrast(each.sample() if isinstance(each, LargeVolume) else each) for each in seen)


def contrast(pixels: NDArray[Any]) -> tuple[float, float]:
    """Limits that show something, whatever the pixels are: constant, boolean, NaN."""
    low, high = math.inf, -math.inf
    for plane in pixels if pixels.ndim > 2 else (pixels,):
        check()
        finite = plane if plane.dtype.kind in "bui" else plane[np.isfinite(plane)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1.0)


def _unit(name: str) -> str:
    """Return the unit if napari knows it, else "pixel"."""
    from napari.utils.transforms import Affine

    with contextlib.suppress(Exception):
        Affine(ndim=2, units=(name, name))
        return name
    return "pixel"


def _same(data: Any, wanted: NDArray[Any] | LargeVolume) -> bool:
    """Compare one plane: enough to tell images apart, and cheap for stacks that are read lazily."""
    first = (0,) * (
        data.ndim - 2 - (wanted.shape[-1] in (3, 4) and data.ndim > 2 and wanted.ndim == data.ndim)
    )
    try:
        return bool(
            np.array_equal(np.asarray(data[first]), wanted[first], equal_nan=wanted.dtype.kind == "f")
        )
    except (TypeError, ValueError, OSError):
        return False
