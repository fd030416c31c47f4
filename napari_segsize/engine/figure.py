"""One image with what was said and what was predicted about it, as inline SVG over an inline PNG."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
from numpy.typing import NDArray

from ..ops import centroid, chebyshev_distance

__all__ = ["Picture", "Square", "grey", "largest_square", "outline", "picture_row"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A held-out plane, its true mask, and what each model made of it."""

    caption: str
    image: NDArray[Any]  # (H, W) any number type, or (H, W, 3) uint8
    truth: NDArray[np.bool_] | None  # (H, W)
    predictions: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)  # name -> (H, W)


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """The largest square of a mask as a stamp draws it, and the mask's centre of mass; pixels, (y, x)."""

    centre: tuple[float, float]
    size: float
    centroid: tuple[float, float]


def largest_square(mask: NDArray[np.bool_]) -> Square | None:
    """Where the object size of a mask is taken: at the chessboard distance's first maximum."""
    if not mask.any():
        return None
    plane = torch.from_numpy(np.ascontiguousarray(mask))[None, None]
    distance = chebyshev_distance(plane)[0, 0].numpy()
    middle = centroid(plane.float())[0, 0].tolist()
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return Square(
        centre=(float(y), float(x)), size=2 * float(distance[y, x]), centroid=(middle[0], middle[1])
    )


def grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretch the central 98 % of the intensities to 0..255; pixels that are not finite become black."""
    if image.ndim == 3 and image.dtype == np.uint8:
        return image
    values = image.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(image.shape, np.uint8)
    low, high = np.percentile(values[finite], (1, 99))
    share = (np.where(finite, values, low) - low) / (high - low if high > low else 1.0)
    stretched: NDArray[np.uint8] = (255 * share.clip(0, 1)).round().astype(np.uint8)
    return stretched


def outline(mask: NDArray[np.bool_]) -> str:
    """SVG path along the pixel edges between object and background; the image's border is no edge."""
    across = mask[:, 1:] != mask[:, :-1]  # (H, W - 1): an edge right of pixel x
    down = mask[1:] != mask[:-1]
    strokes = [f"M{x + 1} {y}v1" for y, x in np.argwhere(across).tolist()]
    strokes += [f"M{x} {y + 1}h1" for y, x in np.argwhere(down).tolist()]
    return "".join(strokes)


def picture_row(picture: Picture) -> str:
    """The plane alone with the truth, then once for every prediction, as one row of figures."""
    panels = [_panel(picture, "truth", None)]
    panels += [_panel(picture, name, mask) for name, mask in picture.predictions.items()]
    return f'<div class="row"><p>{escape(picture.caption)}</p>{"".join(panels)}</div>'


def _panel(picture: Picture, name: str, mask: NDArray[np.bool_] | None) -> str:
    height, width = picture.image.shape[:2]
    layers = [_layer(picture.truth, "truth", square=mask is None)] if picture.truth is not None else []
    layers += [_layer(mask, "predicted", square=True)] if mask is not None else []
    agreement = _iou(mask, picture.truth)
    label = name if agreement is None else f"{name}: IoU {agreement:.2f}"
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f'<image width="{width}" height="{height}" href="{_png(grey(picture.image))}"/>'
        f"{''.join(layers)}</svg><figcaption>{escape(label)}</figcaption></figure>"
    )


def _layer(mask: NDArray[np.bool_], kind: str, *, square: bool) -> str:
    """Outline, size square and centroid of one mask; a pixel's centre lies half a pixel inside its corner."""
    parts = [f'<path d="{outline(mask)}"/>']
    found = largest_square(mask)
    if found is not None and square:
        y, x = (side + 0.5 - found.size / 2 for side in found.centre)
        parts.append(f'<rect x="{x:g}" y="{y:g}" width="{found.size:g}" height="{found.size:g}"/>')
    if found is not None:
        y, x = (side + 0.5 for side in found.centroid)
        parts.append(f'<path class="centre" d="M{x - 1:.2f} {y:.2f}h2M{x:.2f} {y - 1:.2f}v2"/>')
    return f'<g class="{kind}">{"".join(parts)}</g>'


def _iou(mask: NDArray[np.bool_] | None, truth: NDArray[np.bool_] | None) -> float | None:
    if mask is None or truth is None:
        return None
    union = int((mask | truth).sum())
    return int((mask & truth).sum()) / union if union else 1.0


def _png(image: NDArray[np.uint8]) -> str:
    data: bytes = imageio.imwrite("<bytes>", image, extension=".png")
    return "data:image/png;base64," + base64.b64encode(data).decode()
