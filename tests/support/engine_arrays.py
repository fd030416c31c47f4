"""Data sets of arrays: squares on a noisy ground, with their true sizes and centres."""

from __future__ import annotations

import numpy as np
import torch

from napari_segsize.engine.dataset import Dataset, Item
from napari_segsize.project import PlaneRef


class ArrayPixels:
    """Stands for `Pixels` without a project."""

    normalise = "volume"

    def __init__(self, images: np.ndarray) -> None:
        self.images = torch.from_numpy(images.astype(np.float32))

    def __call__(self, plane: PlaneRef) -> torch.Tensor:
        return self.images[plane.slice]


def squares(count: int = 8, shape: tuple[int, int] = (24, 20), *, seed: int = 0, masks: int | None = None):
    """`count` planes with one square each; the first `masks` have their mask, the others size and centre."""
    random = np.random.default_rng(seed)
    images = 0.3 * random.standard_normal((count, 1, *shape))
    items = []
    for index in range(count):
        side = int(random.integers(3, 6)) * 2
        top, left = (int(random.integers(1, extent - side)) for extent in shape)
        mask = np.zeros(shape, bool)
        mask[top : top + side, left : left + side] = True
        images[index, 0] += mask
        known = masks is None or index < masks
        centre = (top + (side - 1) / 2, left + (side - 1) / 2)
        items.append(
            Item(
                plane=PlaneRef(1, index),
                shape=shape,
                mask=torch.from_numpy(mask) if known else None,
                objects=torch.empty(0, 3) if known else torch.tensor([[float(side), *centre]]),
            )
        )
    return Dataset(tuple(items), ArrayPixels(images))
