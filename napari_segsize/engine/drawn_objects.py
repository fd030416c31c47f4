"""Drawn objects for networks to learn from: shapes, textures, edges and neighbours of many kinds.

Nothing here imitates a particular data set: contrast has either sign, an object may be textured or empty,
ringed or shaded, alone or in a crowd. What they have in common is that the picture changes at the outline.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.draw import polygon2mask

__all__ = ["OPEN_KINDS", "drawn_object", "drawn_open_object"]

OPEN_KINDS = ("hole", "holes", "bay", "parts")
"""What no polygon is, or hardly: pierced once, twice, open to one side like a C, in two parts."""


def drawn_object(
    rng: np.random.Generator, side: int, extent: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One picture ``(3, side, side)`` with an object of about `extent` px in its middle, and its mask."""
    family = rng.choice(["blob", "ellipse", "rectangle", "corners", "union", "star", "bean"])
    middle = (side - 1) / 2 + rng.uniform(-2, 2, 2)
    truth = _filled(_outline(rng, family, extent, middle), side)
    if truth.sum() < 12:
        return drawn_object(rng, side, extent)
    others = np.zeros_like(truth)
    for _ in range(int(rng.choice([0, 0, 1, 2, 4, 8]))):
        angle, away = rng.uniform(0, 2 * math.pi), extent * rng.uniform(0.75, 1.6)
        place = middle + away * np.array([math.sin(angle), math.cos(angle)])
        others |= _filled(_outline(rng, family, extent * rng.uniform(0.6, 1.2), place), side)
    gap = rng.integers(0, 3)
    near = gaussian_filter(truth.astype(np.float32), 0.5 + gap) > (0.02 if gap else 0.5)
    others &= ~(near | truth)
    return _painted(rng, truth, others, extent), truth


def drawn_open_object(
    rng: np.random.Generator, side: int, extent: float, kind: str = ""
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A picture like those of `drawn_object`, of an object with holes, a deep bay or two parts, and its mask.

    `kind` is one of `OPEN_KINDS`, or drawn.
    """
    kind = kind or str(rng.choice(OPEN_KINDS))
    family = rng.choice(["blob", "ellipse", "rectangle", "union", "star"])
    middle = (side - 1) / 2 + rng.uniform(-2, 2, 2)
    whole = _filled(_outline(rng, family, extent, middle), side)
    truth = whole & ~_opening(rng, whole, kind, extent)
    if truth.sum() < 0.3 * whole.sum() or (kind == "holes" and whole.sum() < 0.3 * extent**2):
        return drawn_open_object(rng, side, extent, kind)
    others = np.zeros_like(truth)
    for _ in range(int(rng.choice([0, 0, 1, 3]))):
        angle, away = rng.uniform(0, 2 * math.pi), extent * rng.uniform(0.9, 1.6)
        place = middle + away * np.array([math.sin(angle), math.cos(angle)])
        others |= _filled(_outline(rng, family, extent * rng.uniform(0.6, 1.2), place), side)
    others &= ~(gaussian_filter(whole.astype(np.float32), 1.5) > 0.02)
    return _painted(rng, truth, others, extent), truth


def _opening(
    rng: np.random.Generator, whole: NDArray[np.bool_], kind: str, extent: float
) -> NDArray[np.bool_]:
    """What is missing from an object."""
    side = len(whole)
    deep = distance_transform_edt(whole)
    if kind in ("hole", "holes"):
        opening = np.zeros_like(whole)
        for _ in range(1 if kind == "hole" else 2):
            y, x = np.unravel_index(int(np.argmax(deep * rng.uniform(0.5, 1, whole.shape))), whole.shape)
            room = float(deep[y, x])
            family = rng.choice(["blob", "ellipse", "rectangle"])
            inner = _outline(rng, family, 2 * room * rng.uniform(0.4, 0.75), np.array([y, x], float))
            opening |= _filled(inner, side) & (deep > 2)
            deep = np.where(gaussian_filter(opening.astype(np.float32), 2) > 0.02, 0, deep)
        return opening
    y, x = np.indices(whole.shape)
    middle, turn = np.argwhere(whole).mean(0), rng.uniform(0, 2 * math.pi)
    along = (y - middle[0]) * math.sin(turn) + (x - middle[1]) * math.cos(turn)
    across = (x - middle[1]) * math.sin(turn) - (y - middle[0]) * math.cos(turn)
    width = extent * (rng.uniform(0.08, 0.2) if kind == "bay" else rng.uniform(0.04, 0.1))
    bend = rng.uniform(-0.004, 0.004) * across**2 if kind == "parts" else 0.0
    gap: NDArray[np.bool_] = np.abs(across if kind == "bay" else along + bend) < width
    if kind == "bay":  # from one side to beyond the middle, wider at its end
        bulge = np.hypot(along, across) < width * rng.uniform(1.0, 2.0)
        gap = (gap & (along > -width)) | bulge
    return gap


def _outline(
    rng: np.random.Generator, family: str, extent: float, middle: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Vertices (y, x) of a closed outline, turned and stretched at random."""
    angle = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    if family == "rectangle":
        shape = _rectangle(rng)
    elif family == "corners":
        shape = _corners(rng)
    elif family == "star":
        count = int(rng.integers(4, 9))
        radius = 1 + rng.uniform(0.1, 0.4) * np.cos(count * angle)
        shape = radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
    else:
        orders = np.arange(1, 7)
        amount = {"ellipse": 0.0, "blob": 0.25, "union": 0.5, "bean": 0.15}[family]
        weights = amount * rng.normal(size=(6, 2)) / orders[:, None]
        radius = 1 + sum(
            a * np.cos(k * angle) + b * np.sin(k * angle) for k, (a, b) in zip(orders, weights, strict=True)
        )
        shape = np.maximum(radius, 0.25)[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
        if family == "bean":
            shape[:, 0] += rng.uniform(0.2, 0.9) * (shape[:, 1] ** 2 - 0.5)
    stretch = np.array([1.0, rng.uniform(0.35, 1.0)])
    turn = rng.uniform(0, 2 * math.pi)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    shape = (shape * stretch) @ rotation.T
    shape = shape - (shape.max(0) + shape.min(0)) / 2
    result: NDArray[np.float64] = shape / np.ptp(shape, axis=0).max() * extent + middle
    return result


def _rectangle(rng: np.random.Generator) -> NDArray[np.float64]:
    corners = np.array([[-1.0, -1], [-1, 1], [1, 1], [1, -1]])
    return corners + rng.normal(scale=0.04, size=(4, 2))


def _corners(rng: np.random.Generator) -> NDArray[np.float64]:
    """An L, T or U of right angles."""
    a, b = rng.uniform(-0.6, 0.6, 2)
    kinds = [
        [[-1, -1], [-1, a], [b, a], [b, 1], [1, 1], [1, -1]],
        [[-1, -0.4], [-1, 0.4], [b, 0.4], [b, 1], [1, 1], [1, -1], [b, -1], [b, -0.4]],
        [[-1, -1], [-1, -0.4], [b, -0.4], [b, 0.4], [-1, 0.4], [-1, 1], [1, 1], [1, -1]],
    ]
    return np.array(kinds[int(rng.integers(3))], dtype=np.float64)


def _filled(outline: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = polygon2mask((side, side), outline)  # type: ignore[no-untyped-call]
    return mask


def _texture(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Noise at one or two scales, or stripes; deviation about 1."""
    kind = rng.choice(["fine", "coarse", "both", "stripes", "flat"])
    noise = np.zeros(shape)
    if kind in ("fine", "both"):
        noise += _unit(gaussian_filter(rng.normal(size=shape), rng.uniform(0.5, 1.5)))
    if kind in ("coarse", "both"):
        noise += _unit(gaussian_filter(rng.normal(size=shape), rng.uniform(3, 10)))
    if kind == "stripes":
        y, x = np.indices(shape)
        turn, length = rng.uniform(0, math.pi), rng.uniform(3, 12)
        noise += np.sin(2 * math.pi * (y * math.sin(turn) + x * math.cos(turn)) / length)
    return noise


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / max(float(values.std()), 1e-6)


def _painted(
    rng: np.random.Generator, truth: NDArray[np.bool_], others: NDArray[np.bool_], extent: float
) -> NDArray[np.float32]:
    """Give background, object and neighbours their tones, then blur and add noise."""
    shape = truth.shape
    colour = rng.random() < 0.5
    contrast = rng.uniform(0.3, 3.0) * rng.choice([-1.0, 1.0])
    background = rng.uniform(0, 0.8) * _texture(rng, shape)
    if rng.random() < 0.4:
        background = background + rng.uniform(0.3, 1.5) * _leaves(rng, shape, extent)
    inside = contrast + rng.uniform(0, 0.8) * _texture(rng, shape)
    if rng.random() < 0.3:
        inside = inside + rng.uniform(0.3, 1.5) * _halves(rng, truth)
    alike = rng.random() < 0.7
    beside = inside if alike else rng.uniform(-2, 2) + rng.uniform(0, 0.8) * _texture(rng, shape)
    picture = np.where(truth, inside, np.where(others, beside, background))
    if rng.random() < 0.35:
        picture += _rim(truth | others if alike else truth, rng, extent)
    if rng.random() < 0.3:
        picture += _shadow(truth, rng, extent)
    if rng.random() < 0.4:
        slope = rng.normal(size=2) / max(shape)
        y, x = np.indices(shape)
        picture += rng.uniform(0, 2) * (slope[0] * y + slope[1] * x)
    channels = []
    for _ in range(3):
        tinted = picture
        if colour:
            tinted = picture * rng.uniform(0.3, 1.2) + rng.normal() * truth + 0.5 * rng.normal() * others
            tinted = tinted + 0.2 * _texture(rng, shape)
        channels.append(tinted)
    result = np.stack(channels)
    blur = rng.choice([0.0, 0.5, 1.0, 2.0])
    if blur:
        result = gaussian_filter(result, (0, blur, blur))
    grain = rng.uniform(0, 0.4) * rng.normal(size=shape if not colour else result.shape)
    if rng.random() < 0.25:  # speckle: stronger where it is bright
        grain = grain * (1 + np.abs(result))
    return (result + grain).astype(np.float32)


def _leaves(rng: np.random.Generator, shape: tuple[int, int], extent: float) -> NDArray[np.float64]:
    """Shapes that lie over each other like fallen leaves, each of its own tone."""
    tones = np.zeros(shape)
    for _ in range(int(rng.integers(6, 30))):
        family = rng.choice(["ellipse", "rectangle", "blob", "corners"])
        place = rng.uniform(0, min(shape), 2)
        outline = _outline(rng, family, extent * rng.uniform(0.2, 1.5), place)
        tones[_filled(outline, shape[0])] = rng.normal()
    return tones


def _halves(rng: np.random.Generator, truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Two tones on the two sides of a line through the object, as on a roof or in a folded thing."""
    y, x = np.indices(truth.shape)
    middle, turn = np.argwhere(truth).mean(0), rng.uniform(0, 2 * math.pi)
    side = (y - middle[0]) * math.sin(turn) + (x - middle[1]) * math.cos(turn) > 0
    return np.asarray(side.astype(np.float64) - 0.5)


def _rim(objects: NDArray[np.bool_], rng: np.random.Generator, extent: float) -> NDArray[np.float64]:
    """A bright or dark line along the outline."""
    width = rng.uniform(0.6, max(0.7, 0.06 * extent))
    soft = gaussian_filter(objects.astype(np.float64), width)
    return np.asarray(rng.uniform(1, 4) * rng.choice([-1.0, 1.0]) * 4 * soft * (1 - soft))


def _shadow(truth: NDArray[np.bool_], rng: np.random.Generator, extent: float) -> NDArray[np.float64]:
    """A dark (or bright) copy beside the object."""
    shift = rng.uniform(0.05, 0.2, 2) * extent * rng.choice([-1, 1], 2)
    moved = np.roll(truth, shift.round().astype(int), (0, 1)) & ~truth
    return np.asarray(rng.choice([-1.5, 1.0]) * gaussian_filter(moved.astype(np.float64), 0.7))
