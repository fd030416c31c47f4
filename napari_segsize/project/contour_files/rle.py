"""COCO's run lengths: columns from the left, each from top to bottom; background first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decoded", "lengths_of", "mask_of_lengths"]


def lengths_of(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths of a mask."""
    pixels = np.concatenate(([False], mask.ravel(order="F")))
    starts = np.flatnonzero(pixels[1:] != pixels[:-1])
    lengths: list[int] = np.diff(np.concatenate(([0], starts, [mask.size]))).tolist()
    return lengths


def mask_of_lengths(lengths: Sequence[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of run lengths."""
    counts = np.asarray(lengths, dtype=np.float64)
    height, width = shape
    if counts.ndim != 1 or (counts < 0).any() or (counts % 1 != 0).any() or counts.sum() != height * width:
        raise ValueError(f"expected run lengths of {height} x {width} pixels, got a sum of {counts.sum():g}")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts.astype(np.int64)).reshape(shape, order="F")


def decoded(text: str) -> list[int]:
    """Run lengths of COCO's compressed form, as pycocotools writes it.

    Each character has five bits of a number, the lowest first, and one that says whether more follow; the
    last one's highest bit is the sign. From the third on, a number is a difference to the last but one.
    """
    lengths: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"expected run lengths in COCO's letters, got {letter!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("expected whole run lengths, but the text is cut off")
    return lengths
