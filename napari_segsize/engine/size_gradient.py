"""The gradient that learning from sizes sees, estimated from sampled masks as in training, for one plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_segsize.engine.microscope import Inspection

__all__ = ["gradients"]

_BATCH_PIXELS = 1 << 18  # pixels of all masks flipped at a time: a few milliseconds, then a stop is noticed


def gradients(
    view: Inspection,
    probs: NDArray[np.float64],
    samples: Sequence[int],
    seed: int,
    stopped: Callable[[], bool],
) -> Iterator[tuple[int, NDArray[np.float32], float]]:
    """Yield n, the mean gradient of the first n masks in the view's window, and their mean size."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    crop = view.window.slices
    labels = view.labels[crop]
    others = torch.from_numpy((labels != 0) & (labels != view.focus))
    inside = torch.from_numpy(probs[crop]).masked_fill(others, 0.0)
    total = torch.zeros_like(inside)
    sizes, done = 0.0, 0
    for n in sorted(set(samples)):
        while done < n:
            if stopped():
                return
            count = min(n - done, max(1, _BATCH_PIXELS // inside.numel()))
            gradient, size = _drawn(inside, view.target, count, generator)
            total += gradient.masked_fill(others, 0.0)
            sizes += size
            done += count
        yield n, np.asarray((total / n).numpy(), np.float32), sizes / n


def _drawn(probs: Tensor, target: float, count: int, generator: Any) -> tuple[Tensor, float]:
    """Draw `count` masks and return sums over them: of eq. 21, and of their sizes."""
    import torch

    from napari_segsize.ops import flip_sizes, object_size

    noise = torch.rand((count, 1, *probs.shape), generator=generator, dtype=probs.dtype)
    masks = noise < probs
    sizes = object_size(masks).double()
    loss = (target - sizes)[..., None, None] ** 2
    flipped = (target - flip_sizes(masks).double()) ** 2
    signs = masks.double() * 2 - 1
    return (signs * (loss - flipped)).sum((0, 1)), float(sizes.sum())
