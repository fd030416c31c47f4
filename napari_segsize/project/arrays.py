"""Pixels that had no file (a layer made in napari, a synthetic sample), written so that nothing is lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.sizes import unit_name
from napari_segsize.project.writing import replacing, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["write_tiff"]

_AXES = {"image": "YX", "stack": "ZYX", "channels": "CYX", "channel stack": "ZCYX"}


def write_tiff(
    folder: Path, name: str, array: NDArray[Any], *, kind: str, spacing: Sequence[float], unit: str, rgb: bool
) -> Path:
    """Write an array as a compressed TIFF with its axes and spacing, under a free name; see `add_array`."""
    import tifffile

    if kind not in _AXES:
        raise ValueError(f"kind: expected one of {', '.join(map(repr, _AXES))}, got {kind!r}")
    axes = _AXES[kind] + ("S" if rgb else "")
    array = np.asarray(array)
    if array.dtype.kind not in "buif":
        raise SegsizeError(
            f"{name}: pixels are {array.dtype}; expected whole or real numbers, so convert it first."
        )
    if array.ndim != len(axes) or 0 in array.shape:
        raise SegsizeError(
            f"{name}: expected an array with the axes {axes}, got the shape {array.shape}; save each time "
            "point (or position) as an image of its own."
        )
    if rgb and ("C" in axes or array.shape[-1] not in (3, 4) or array.dtype == bool):
        raise SegsizeError(
            f"{name}: colours are numbers along a last axis of 3, got {array.dtype} of shape {array.shape}."
        )
    if rgb:
        array = array[..., :3]
    if len(spacing) not in (2, 3):
        raise ValueError(f"spacing: expected (z, y, x) or (y, x), got {spacing}")
    sizes = [1.0] * (3 - len(spacing)) + [float(side) for side in spacing]
    if not all(np.isfinite(side) and side > 0 for side in sizes):
        raise SegsizeError(
            f"{name}: a pixel's sides must be positive, got {tuple(spacing)}; check the layer's scale."
        )
    array = array.astype(array.dtype.newbyteorder("="))
    safe = re.sub(r"[^\w.-]+", "_", name).strip("._") or "image"
    file = folder / f"{safe}.tif"
    number = 2
    while file.exists():
        file, number = folder / f"{safe}_{number}.tif", number + 1
    with told(file), replacing(file) as new:
        folder.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(
            new, array, photometric="rgb" if rgb else "minisblack", compression="zlib",
            metadata={"axes": axes, "spacing": sizes, "unit": unit_name(unit)},
        )  # fmt: skip
    return file
