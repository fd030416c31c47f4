"""Pixels brought to mean 0 and deviation 1, from blocks of planes: a volume may be larger than the memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scaling", "normalised"]

Pixels = NDArray[np.generic]


class Scaling:
    """Mean and deviation of each channel over all the blocks that were added.

    Blocks are put together as Chan, Golub and LeVeque do: "Updating formulae and a pairwise algorithm for
    computing sample variances", 1979, eq. 2.1. One block alone gives exactly its own mean and deviation.
    """

    def __init__(self) -> None:
        self._count: NDArray[np.float64] = np.zeros(())
        self._mean: NDArray[np.float64] = np.zeros(())
        self._squares: NDArray[np.float64] = np.zeros(())  # sum of squared differences from the mean

    @classmethod
    def of(cls, blocks: Iterable[Pixels]) -> Scaling:
        """The scaling of blocks ``(..., C, H, W)``."""
        scaling = cls()
        for block in blocks:
            scaling.add(block)
        return scaling

    def add(self, block: Pixels) -> None:
        """Count in the finite pixels of a block ``(..., C, H, W)``."""
        values = block.astype(np.float64)
        finite = np.isfinite(values)
        axes = (*range(values.ndim - 3), -2, -1)
        count = finite.sum(axes)
        values[~finite] = 0.0
        mean = values.sum(axes) / np.maximum(count, 1)
        values -= mean.reshape(-1, 1, 1)
        values[~finite] = 0.0
        squares = np.square(values, out=values).sum(axes)
        total = self._count + count
        share = count / np.maximum(total, 1)
        apart = mean - self._mean
        self._squares = self._squares + squares + apart**2 * self._count * share
        self._mean = self._mean + apart * share
        self._count = total

    def apply(self, pixels: Pixels) -> NDArray[np.float32]:
        """Planes ``(..., C, H, W)`` with mean 0 and deviation 1; 0 where constant, or not a number."""
        deviation = np.sqrt(self._squares / np.maximum(self._count, 1))
        constant = deviation <= 1e-12 * np.maximum(np.abs(self._mean), 1.0)
        scale = np.where(constant, np.inf, deviation)
        values = pixels.astype(np.float64) - self._mean.reshape(-1, 1, 1)
        values[~np.isfinite(values)] = 0.0
        values /= scale.reshape(-1, 1, 1)
        return values.astype(np.float32)


def normalised(pixels: Pixels, reference: Pixels | Iterable[Pixels] | None = None) -> NDArray[np.float32]:
    """Bring each channel of ``(..., C, H, W)`` planes to mean 0 and deviation 1; constant channels become 0.

    Pixels that are not finite count as the mean. Mean and deviation are those of `reference`, if given: an
    array, or blocks of one.
    """
    if reference is None:
        reference = pixels
    return Scaling.of([reference] if isinstance(reference, np.ndarray) else reference).apply(pixels)
