"""Windows on true outlines that are displaced at random: what the network for rough outlines learns from.

The outline is displaced along its normal by smooth noise; the network sees the displaced one and is asked for
the one that was there. Outlines that are themselves off by chance teach it too: what cannot be told from the
image averages out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter
from torch import Tensor

from .drawn_objects import drawn_object, drawn_open_object
from .learned_outline import alignment_inputs
from .outline_search import signed_distances

__all__ = ["FARTHEST", "SIDE", "Outlined", "displaced_window", "drawn_outlined", "outlined_objects", "rim_of"]

FARTHEST = 10.0
"""Most that outlines are displaced, in px, see `Outlined`; what the network that ships has learned with."""
SIDE = 96
"""px of a window."""
_AROUND = 20  # px around a window, so that noise and distances do not end with it
_SURROUNDINGS = 64  # px around an object, as far as there is an image: a window at its rim is filled
_LEAST = 30  # px: a smaller object is its outline
_BEYOND = 8  # px that a window may reach beyond the image
_SHIFT = 24  # px: a window's middle lies at most so far from the outline, on either axis
_NEAR_RIM = 1.0
_BLUR = (4.0, 9.0)  # px: how smooth the noise is
_DEVIATIONS = 1.5  # noise is cut off at so many standard deviations: there it has the displacement drawn
_ALL_ALIKE, _ALIKE = 0.3, 4.0  # share of windows in which all is too large or too small, by 1 / 4 of it
_GAIN, _OFFSET = (0.7, 1.4), 0.3
_FAR = 99.0  # px: where a window holds no outline
_COUNTS_BEYOND = 2.0  # px beyond the displacement, within which answers count
_REACH_BEYOND = 1.0  # px that the network is told more than the displacement
_DEEP = 0.8  # of an object's depth may be displaced, lest nothing is left
_LEAST_FARTHEST = 1.5
_DRAWN_SIDE, _DRAWN_EXTENTS, _DRAWN_OPEN = 128, (20, 90), 0.3  # px, px, and the share with holes or parts


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """An object with its surroundings.

    Attributes
    ----------
    colours : (3, H, W) float32 array
    mask : (H, W) bool array
    inside : (H, W) bool array
        Where the image is; False beyond its frame.
    rim : (K, 2) int array
        Pixels along the outline.
    farthest : float
        Most that its outline is displaced, in px, but for a whole that is too large or too small.
    """

    colours: NDArray[np.float32]
    mask: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    rim: NDArray[np.intp]
    farthest: float = FARTHEST


def rim_of(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Pixels along the outline of a mask that is neither empty nor full, (K, 2)."""
    return np.argwhere(np.abs(signed_distances(mask)) < _NEAR_RIM)


def outlined_objects(image: Tensor, labels: NDArray[np.int32], farthest: float = FARTHEST) -> list[Outlined]:
    """The objects of a plane from 30 px of area on, each with its surroundings.

    Parameters
    ----------
    image : (3, H, W) float Tensor
        Normalised.
    labels : (H, W) int array
        0 is background.
    farthest : float
        Most that outlines are displaced, in px; less for thin objects, lest nothing of them is left.
    """
    colours = image.numpy()
    found = []
    for number, place in enumerate(find_objects(labels), start=1):
        if place is None:
            continue
        crop = tuple(slice(max(side.start - _SURROUNDINGS, 0), side.stop + _SURROUNDINGS) for side in place)
        mask = labels[crop] == number
        if mask.sum() < _LEAST or mask.all():
            continue
        away = signed_distances(mask)
        most = max(min(farthest, _DEEP * float(away.max())), _LEAST_FARTHEST)
        inside = np.broadcast_to(np.True_, mask.shape)
        found.append(
            Outlined(colours[(slice(None), *crop)], mask, inside, np.argwhere(np.abs(away) < _NEAR_RIM), most)
        )
    return found


def drawn_outlined(rng: np.random.Generator, farthest: float = FARTHEST) -> Outlined:
    """A new drawn object, see `drawn_objects`; three in ten have holes, a deep bay or two parts."""
    draw = drawn_open_object if rng.random() < _DRAWN_OPEN else drawn_object
    colours, mask = draw(rng, _DRAWN_SIDE, rng.uniform(*_DRAWN_EXTENTS))
    return Outlined(colours, mask, np.ones_like(mask), rim_of(mask), farthest)


def displaced_window(one: Outlined, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A window on an object whose outline is displaced, turned and re-lit at random.

    Returns
    -------
    inputs : (6, S, S) float Tensor
        See `alignment_inputs`.
    target : (1, S, S) float Tensor
        1 inside the outline that was there.
    counts : (1, S, S) float Tensor
        1 where the answer counts: within the displacement.
    """
    there, known = _cut(one, rng)
    true = one.mask[np.ix_(*there)] & known
    px = float(np.exp(rng.uniform(0, np.log(one.farthest))))
    rough = _distances(true) + _noise(true.shape, px, rng) > 0
    gain, offset = rng.uniform(*_GAIN), rng.normal(0, _OFFSET, (3, 1, 1))
    colours = one.colours[:, there[0]][:, :, there[1]] * gain + offset
    inside = one.inside[np.ix_(*there)] & known
    stack = np.concatenate([colours, np.stack([_distances(rough), inside, true])])
    stack = stack[:, _AROUND:-_AROUND, _AROUND:-_AROUND]
    stack = np.rot90(stack, int(rng.integers(4)), (1, 2))
    stack = np.ascontiguousarray(stack[:, :, :: rng.choice([-1, 1])], np.float32)
    *colour, distance, seen, target = torch.from_numpy(stack)
    inputs = alignment_inputs(torch.stack(colour), distance, seen, px + _REACH_BEYOND)
    counts = (distance.abs() <= px + _COUNTS_BEYOND) & (seen > 0)
    return inputs, target[None], counts[None].float()


def _cut(one: Outlined, rng: np.random.Generator) -> tuple[Sequence[NDArray[np.intp]], NDArray[np.bool_]]:
    """Rows and columns of a window around some pixel of the outline, and which of them there are."""
    sides = one.mask.shape
    corner = one.rim[rng.integers(len(one.rim))] + rng.integers(-_SHIFT, _SHIFT + 1, 2) - SIDE // 2
    starts = [
        int(np.clip(at, -_BEYOND, side - SIDE + _BEYOND)) for at, side in zip(corner, sides, strict=True)
    ]
    wanted = [np.arange(at - _AROUND, at + SIDE + _AROUND) for at in starts]
    there = [each.clip(0, side - 1) for each, side in zip(wanted, sides, strict=True)]
    known = np.logical_and.outer(there[0] == wanted[0], there[1] == wanted[1])
    return there, known


def _noise(shape: tuple[int, ...], px: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """How far the outline is displaced at every pixel."""
    noise = gaussian_filter(rng.standard_normal(shape), rng.uniform(*_BLUR))
    noise = np.clip(noise / noise.std() * px / _DEVIATIONS, -px, px)
    if rng.random() < _ALL_ALIKE:
        noise = noise + rng.normal() * px / _ALIKE
    return np.asarray(noise)


def _distances(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    if mask.any() and not mask.all():
        return signed_distances(mask)
    return np.where(mask, _FAR, -_FAR)
