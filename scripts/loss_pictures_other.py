"""Make the pictures of docs/losses.md for losses without masks, on level sets and on contours.

    python scripts/loss_pictures_other.py [docs/images/losses]

The prediction is that of loss_pictures.py. Level sets are the signed distance of its outline; the contour is
a circle beside a disk.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from loss_pictures import (
    HEIGHT,
    MARGIN,
    TITLE,
    WIDTH,
    Colours,
    diverging,
    grey,
    panels,
    prediction,
    strip,
    truth,
)
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from napari_segsize.losses.microscope import LossView, microscope

BIG, VERTICES, LONGEST = 6, 24, 7.0  # zoom of contours, corners, longest arrow in pixels
Floats = NDArray[np.float64]


def without_masks(mask: NDArray[np.bool_]) -> dict[str, tuple[object, dict[str, object]]]:
    """What each loss is told of the true mask."""
    places = np.argwhere(mask)
    area = float(mask.sum())
    return {
        "size": (6.0, {"samples": 256}),
        "centroid": (places.mean(0), {}),
        "area_bounds": (np.array([0.9 * area, 1.1 * area]), {}),
        "projection": (np.concatenate([places.min(0), places.max(0)]), {}),
    }


def signed(mask: NDArray[np.bool_]) -> Floats:
    """Distance to the outline, positive inside."""
    return np.asarray(distance_transform_edt(mask) - distance_transform_edt(~mask))


def with_outline(colours: Colours, mask: NDArray[np.bool_]) -> Colours:
    """The true outline in yellow."""
    inner = mask & np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1)
    shown = colours.copy()
    shown[mask & ~inner] = (255, 200, 0)
    return shown


def of_phi(name: str, phi: Floats, mask: NDArray[np.bool_]) -> Image.Image:
    """A level set, how its loss grows with it, and what the loss computes on its way."""
    view = microscope(name, phi, mask)
    parts = {"phi": with_outline(diverging(-phi), mask), "gradient": diverging(view.gradient)}
    for key, values in view.maps.items():
        if key != "level set":
            parts[key] = diverging(-values) if values.min() < 0 else grey(values)
    return strip(parts)


def of_motion(phi: Floats, mask: NDArray[np.bool_]) -> Image.Image:
    """A field that points off the predicted outline, and which way its loss turns it."""
    field = np.stack(np.gradient(phi)) * np.sign(phi)
    view = microscope("motion_direction", field, mask)
    slopes = view.gradient
    most = float(np.quantile(np.abs(slopes), 0.9))  # where V is short the slope is steep, and drowns the rest
    parts = {}
    for axis, along in zip("yx", field, strict=True):
        parts[f"V, {axis}"] = with_outline(diverging(along), mask)
    for axis, slope in zip("yx", slopes, strict=True):
        parts[f"gradient, {axis}"] = diverging(np.clip(slope, -most, most))
    parts["squared angle"] = grey(view.maps["squared angle"])
    return strip(parts)


def circle() -> Floats:
    """Vertices, a little uneven, so that the curvature has something to straighten."""
    angle = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    radius = 13 + 1.5 * np.cos(5 * angle)
    return np.stack([24 + radius * np.sin(angle), 24 + radius * np.cos(angle)], 1)


def disk() -> NDArray[np.bool_]:
    """The object: larger than the contour, and beside it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(np.hypot(y - 24, x - 32) < 16)


def on_contours(mask: NDArray[np.bool_]) -> dict[str, tuple[object, dict[str, object]]]:
    """What each loss is told of the object."""
    whole = {"shape": (HEIGHT, WIDTH)}
    ends = np.array([[8.5, 32], [24, 16.5], [39.5, 32], [24, 47.5]])
    return {
        "contour_segmentation": (mask, {}),
        "contour_distance": (mask, {}),
        "balloon": (None, whole),
        "curvature": (None, whole),
        "extreme_points": (ends, {}),
        "contour_size": (22.0, whole),
    }


def of_contour(view: LossView, vertices: Floats, mask: NDArray[np.bool_]) -> Image.Image:
    """The contour over its object, with arrows the way that descending moves each vertex; beside it, maps."""
    shown = with_outline(np.repeat((90 * mask).astype(np.uint8)[..., None], 3, -1), mask)
    maps = {name: grey(values) for name, values in view.maps.items()}
    beside = strip(dict(list(maps.items())[:2])) if maps else None
    width = WIDTH * BIG + (0 if beside is None else MARGIN + beside.width)
    image = Image.new("RGB", (width, HEIGHT * BIG + TITLE + 2), "white")
    if beside is not None:
        image.paste(beside, (WIDTH * BIG + MARGIN, 0))
    panel = Image.fromarray(shown).resize((WIDTH * BIG, HEIGHT * BIG), Image.Resampling.NEAREST)
    image.paste(panel, (0, TITLE + 2))
    draw = ImageDraw.Draw(image)
    draw.text((0, 0), "contour, and where descending moves it", fill="black", font_size=TITLE - 1)
    steps = -view.gradient / (np.abs(view.gradient).max() or 1.0) * LONGEST

    def at(point: Floats) -> tuple[float, float]:
        return (point[1] + 0.5) * BIG, (point[0] + 0.5) * BIG + TITLE + 2

    for y, x, side in view.marks.get("squares", ()):
        draw.rectangle([*at(np.array([y, x]) - side / 2), *at(np.array([y, x]) + side / 2)], outline="white")
    for y, x, dy, dx in [*view.marks.get("gaps", ()), *view.marks.get("reach", ())]:
        draw.line([at(np.array([y, x])), at(np.array([y + dy, x + dx]))], fill="white", width=2)
    draw.polygon([at(each) for each in vertices], outline=(90, 170, 255), width=2)
    cost = view.marks["vertices"][:, 2] if "vertices" in view.marks else np.ones(len(vertices))
    shares = np.sqrt(cost / cost.max())  # of what the costliest vertex adds
    for vertex, step, share in zip(vertices, steps, shares, strict=True):
        draw.line([at(vertex), at(vertex + step)], fill=(255, 90, 60), width=2)
        y, x = at(vertex)[::-1]
        radius = 2 + 4 * share if "vertices" in view.marks else 3
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(90, 170, 255))
    return image


def main() -> None:
    """Write one picture a loss."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/losses")
    folder.mkdir(parents=True, exist_ok=True)
    mask, probs = truth(), prediction()
    pictures: dict[str, Image.Image] = {}
    for name, (target, options) in without_masks(mask).items():
        view = microscope(name, probs, target, **options)  # type: ignore[arg-type]  # each loss has its own
        pictures[name] = strip(panels(view, mask, probs))
    phi = signed(probs > 0.5)
    for name in ("phi_distance", "phi_bce"):
        pictures[name] = of_phi(name, phi, mask)
    pictures["motion_direction"] = of_motion(phi, mask)
    vertices, solid = circle(), disk()
    for name, (target, options) in on_contours(solid).items():
        view = microscope(name, vertices, target, **options)  # type: ignore[arg-type]
        pictures[name] = of_contour(view, vertices, solid)
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
