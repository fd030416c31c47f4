"""Distances, sizes and flips the slow and obvious way, on SciPy: what `napari_segsize.ops` must equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt, generate_binary_structure

Mask = NDArray[np.bool_]


def distances(masks: Mask, border: str) -> NDArray[np.int64]:
    """Chessboard distances of a batch of masks ``(B, *spatial)``."""
    dims, limit = masks.ndim - 1, max(masks.shape[1:])
    inner = (slice(None), *[slice(1, -1)] * dims)
    seen = np.pad(masks, [(0, 0), *[(1, 1)] * dims]) if border == "background" else masks
    # One call for the batch: neighbours within a mask, none between masks.
    kernel = np.zeros((3,) * (dims + 1), bool)
    kernel[1] = generate_binary_structure(dims, dims)
    found = distance_transform_cdt(seen, metric=kernel).astype(np.int64)
    found[found < 0] = limit  # SciPy's mark for "no background anywhere"
    return found[inner] if border == "background" else found


def sizes(masks: Mask, border: str) -> NDArray[np.int64]:
    """Object sizes of a batch of masks."""
    return 2 * distances(masks, border).reshape(len(masks), -1).max(1)


def flips(mask: Mask, border: str) -> NDArray[np.int64]:
    """Object size after inverting each single pixel, one new mask a pixel."""
    flipped = np.repeat(mask[None], mask.size, 0)
    flat = flipped.reshape(mask.size, mask.size)
    np.fill_diagonal(flat, ~np.diagonal(flat))
    return sizes(flipped, border).reshape(mask.shape)


def random_masks(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> Mask:
    """`count` masks: noise of every density, two blocks, full, empty, one pixel away from full and empty."""
    masks = rng.random((count, *shape)) < rng.choice([0.02, 0.3, 0.6, 0.9, 0.97], (count, *[1] * len(shape)))
    for number in range(count):
        kind = number % 8
        if kind == 0:
            masks[number] = False
            for _ in range(2):
                first = [int(rng.integers(0, side)) for side in shape]
                last = [int(rng.integers(low, side)) for low, side in zip(first, shape, strict=True)]
                block = tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))
                masks[(number, *block)] = True
        elif kind in (1, 2):
            masks[number] = kind == 1
            masks[(number, *(int(rng.integers(0, side)) for side in shape))] ^= True
        elif kind == 3:
            masks[number] = number % 16 == 3
    return masks


def periodic_masks(shape: tuple[int, ...], spacing: tuple[int, ...]) -> Mask:
    """Full masks but for a lattice of holes, that lattice with each row shifted, stripes, and checkers."""
    steps = np.indices(shape)
    lattice = np.all([step % space == space // 2 for step, space in zip(steps, spacing, strict=True)], axis=0)
    shifted = [*steps[:-1], steps[-1] + steps[-2] // spacing[-2] * (spacing[-1] // 2)]
    staggered = np.all([step % space == 0 for step, space in zip(shifted, spacing, strict=True)], axis=0)
    stripes = [step % space == 0 for step, space in zip(steps, spacing, strict=True)]
    squares = sum(step // space for step, space in zip(steps, spacing, strict=True)) % 2 == 0
    return ~np.stack([lattice, staggered, *stripes, squares])
