"""Make the pictures of docs/losses.md: what the microscope shows of every loss on pixels.

    python scripts/loss_pictures.py [docs/images/losses]

One prediction for all: a ring with a branch, predicted with a gap, a filled hole, a ghost and a blurred edge.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from napari_segsize.losses.microscope import LossView, microscope

HEIGHT, WIDTH, ZOOM, MARGIN, TITLE = 48, 64, 3, 6, 12
MOST = 6  # panels
LOSSES: dict[str, dict[str, object]] = {
    "bce": {},
    "focal": {},
    "dice": {},
    "generalised_dice": {},
    "tversky": {},
    "boundary": {},
    "hausdorff": {},
    "one_sided_hausdorff": {},
    "hausdorff_erosion": {"erosions": 4},
    "hausdorff_convolution": {"radii": (3, 9)},
    "active_contour": {},
    "chan_vese": {},
    "cldice": {},
    "topology": {"least": 0.05},
    "edge_bce": {},
    "nms": {},
    "direction": {},
}
Colours = NDArray[np.uint8]


def truth() -> NDArray[np.bool_]:
    """A ring with a branch."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    away = np.hypot(y - 24, x - 22)
    mask = (away < 16) & (away > 9)
    mask[22:27, 37:58] = True
    return mask


def prediction() -> NDArray[np.float64]:
    """Probabilities with a gap in the branch, a bridge over the hole, and a ghost."""
    mask = truth().astype(float)
    mask[:, 45:50] = 0
    mask[22:26, 12:30] = 1
    mask[5:10, 50:56] = 1
    return 0.03 + 0.94 * gaussian_filter(mask, 1.2)


def edges(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thick edges of that prediction, for the losses on edges."""
    down, across = np.gradient(gaussian_filter(probs, 0.7))
    slope = np.hypot(down, across)
    return 0.03 + 0.94 * slope / slope.max()


def grey(values: NDArray[np.floating]) -> Colours:
    """From black, the least, to white, the largest."""
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.repeat((255 * scaled).astype(np.uint8)[..., None], 3, -1)


def diverging(values: NDArray[np.floating]) -> Colours:
    """Blue below 0, where descending raises a pixel; red above; by the root, so that little is seen too."""
    most = float(np.abs(values).max()) or 1.0
    share = np.sqrt(np.abs(values) / most)[..., None]
    end = np.where(values[..., None] < 0, np.array([33, 102, 172]), np.array([178, 24, 43]))
    return (255 + share * (end - 255.0)).astype(np.uint8)


def panels(view: LossView, mask: NDArray[np.bool_], probs: NDArray[np.float64]) -> dict[str, Colours]:
    """Prediction with the true outline, gradient, and the first maps."""
    inner = mask & np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1)
    shown = grey(probs)
    shown[mask & ~inner] = (255, 200, 0)
    found = {"prediction": shown, "gradient": diverging(view.gradient)}
    for name, values in view.maps.items():
        steps = values if values.ndim == 3 else values[None]
        for number in sorted({0, len(steps) - 1}):
            label = f"{name}, {number + 1}" if len(steps) > 1 else name
            signed = steps[number].min() < -1e-3  # less is rounding
            found[label] = (diverging if signed else grey)(steps[number])
    if view.dots:
        found["dots: parts and holes"] = critical(view, probs)
    return dict(list(found.items())[:MOST])


def critical(view: LossView, probs: NDArray[np.float64]) -> Colours:
    """Pixels that dots hang on: green for wanted ones, red for others."""
    shown = grey(probs * 0.5)
    for dot in view.dots:
        colour = (60, 220, 60) if dot.wanted else (240, 60, 60)
        for pixel in (dot.birth_pixel, dot.death_pixel):
            if pixel is not None:
                shown[pixel] = colour
    return shown


def strip(parts: dict[str, Colours]) -> Image.Image:
    """Panels side by side, each under its name."""
    width, height = WIDTH * ZOOM, HEIGHT * ZOOM
    image = Image.new("RGB", (len(parts) * (width + MARGIN) - MARGIN, height + TITLE + 2), "white")
    draw = ImageDraw.Draw(image)
    for number, (name, colours) in enumerate(parts.items()):
        left = number * (width + MARGIN)
        panel = Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)
        image.paste(panel, (left, TITLE + 2))
        draw.text((left, 0), name, fill="black", font_size=TITLE - 1)
    return image


def main() -> None:
    """Write one picture a loss."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/losses")
    folder.mkdir(parents=True, exist_ok=True)
    mask, probs = truth(), prediction()
    noise = np.random.default_rng(0).normal(0, 0.15, mask.shape)
    for name, options in LOSSES.items():
        on_edges = name in ("edge_bce", "nms", "direction")
        shown = edges(probs) if on_edges else probs
        target = gaussian_filter(mask + noise, 0.7) if name == "chan_vese" else mask
        view = microscope(name, shown, target, **options)
        strip(panels(view, mask, shown)).save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
