"""What the microscope shows of a loss, as files: numbers as float32 TIFF, pictures of them as PNG."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..project.writing import replacing, told

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..losses.microscope import LossView

__all__ = ["diverging", "grey", "write_view"]

_BELOW, _ABOVE = (33, 102, 172), (178, 24, 43)  # blue, red
_WANTED, _UNWANTED = (0, 158, 115), (213, 94, 0)  # green, orange: told apart by everybody
_ROUNDING = -1e-3  # a map whose values go below is signed


def write_view(view: LossView, prediction: NDArray[Any], folder: Path) -> tuple[Path, ...]:
    """Write the gradient, the maps and their pictures, each under its own name; same names are replaced.

    Parameters
    ----------
    view : LossView
        Of a 2-D image, or of a contour, whose gradient has no picture.
    prediction : (H, W) array
        What was looked at; the critical pixels of a persistence diagram are drawn on it.
    folder : Path
        Is made if it is not there.

    Returns
    -------
    tuple of Path
        In the order they were written. A map with steps is one TIFF stack, and one picture a step.
    """
    with told(folder / "gradient.tif"):
        folder.mkdir(parents=True, exist_ok=True)
    is_image = view.gradient.shape == prediction.shape and not _is_contour(view)
    files = [_tiff(view.gradient, folder / "gradient.tif")]
    if is_image:
        files.append(_png(diverging(view.gradient), folder / "gradient.png"))
    for name, values in view.maps.items():
        plain = re.sub(r"\W+", "-", name)
        files.append(_tiff(values, folder / f"{plain}.tif"))
        paint = diverging if values.min() < _ROUNDING else grey
        if values.ndim == 2:
            files.append(_png(paint(values), folder / f"{plain}.png"))
            continue
        colours = paint(values)  # one scale for all steps
        files += [
            _png(step, folder / f"{plain}-{number}.png") for number, step in enumerate(colours, start=1)
        ]
    if view.dots:
        files.append(_png(_critical(view, prediction), folder / "dots.png"))
    return tuple(files)


def grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours ``(..., 3)`` from black, the least, to white, the largest."""
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    return np.repeat((255 * scaled).astype(np.uint8)[..., None], 3, -1)


def diverging(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Blue below 0, where descending raises a pixel; red above; by the root, so that little is seen too."""
    most = float(np.abs(values).max()) or 1.0
    share = np.sqrt(np.abs(values) / most)[..., None]
    end = np.where(values[..., None] < 0, np.array(_BELOW), np.array(_ABOVE))
    return np.asarray(255 + share * (end - 255.0)).astype(np.uint8)


def _critical(view: LossView, prediction: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels where parts and holes are born or die: green if the target has them, orange if not."""
    shown = grey(prediction.astype(np.float64))
    for dot in sorted(view.dots, key=lambda dot: dot.cost):  # the costliest on top
        for pixel in (dot.birth_pixel, dot.death_pixel):
            if pixel is not None:
                shown[pixel] = _WANTED if dot.wanted else _UNWANTED
    return shown


def _is_contour(view: LossView) -> bool:
    from ..losses import LOSSES

    return LOSSES[view.name].acts_on == "contour"


def _tiff(values: NDArray[np.float32], file: Path) -> Path:
    import tifffile

    with told(file), replacing(file) as new:
        tifffile.imwrite(
            new,
            values.astype(np.float32),
            compression="zlib",
            photometric="minisblack",
            metadata={"axes": "ZYX"[-values.ndim :]},
        )
    return file


def _png(colours: NDArray[np.uint8], file: Path) -> Path:
    from PIL import Image

    with told(file), replacing(file) as new:
        Image.fromarray(colours).save(new)
    return file
