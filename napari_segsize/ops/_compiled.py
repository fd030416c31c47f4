"""The compiled path for tensors on the CPU: which masks may take it, and how many threads share them."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

logger = logging.getLogger(__name__)

# Sharing costs about 0.1 ms, more on a busy machine: pixels a thread from which it is worth while (2 ms).
_DISTANCE_SHARE = 2**21
_FLIP_SHARE = 2**19


class Kernels(NamedTuple):
    """Functions of planes that write into arrays."""

    distances: Callable[..., None]
    flips: Callable[..., None]


@cache
def kernels() -> Kernels | None:
    """The compiled kernels, ready to run; None where they cannot be compiled, and the tensor path must do."""
    try:
        from napari_segsize.ops._distance_kernels import distances
        from napari_segsize.ops._flip_kernels import flips

        mask = np.ones((1, 1, 2, 2), np.uint8)
        out = np.empty(mask.shape, np.float32)
        distances(mask, False, False, out)
        flips(mask, False, False, np.empty(1, np.float32), out)
    # Whatever goes wrong (no numba for this Python or this processor, a full disk), the tensor path remains.
    except Exception:
        logger.warning("Distances are computed without compiled code, which is slower.", exc_info=True)
        return None
    return Kernels(distances, flips)


def usable(mask: Tensor) -> Kernels | None:
    """The kernels, if they can take `mask`."""
    fits = mask.device.type == "cpu" and mask[0, 0].numel() < 2**31 if mask.numel() else False
    return kernels() if fits else None


def distances(compiled: Kernels, mask: Tensor, background_outside: bool) -> Tensor:
    """Chebyshev distances of `mask` ``(N, C, *spatial)``, float32."""
    planes, volume = _planes(mask)
    out = torch.empty(mask.shape, dtype=torch.float32)
    filled = out.view(planes.shape).numpy()

    def run(part: slice) -> None:
        compiled.distances(planes[part], background_outside, volume, filled[part])

    share(run, len(planes), mask.numel() // _DISTANCE_SHARE)
    return out


def flips(compiled: Kernels, mask: Tensor, background_outside: bool) -> tuple[Tensor, Tensor]:
    """Sizes ``(N, C)`` of `mask` ``(N, C, *spatial)`` and sizes after each single flip, float32."""
    planes, volume = _planes(mask)
    sizes = torch.empty(mask.shape[:2], dtype=torch.float32)
    out = torch.empty(mask.shape, dtype=torch.float32)
    filled_sizes, filled = sizes.flatten().numpy(), out.view(planes.shape).numpy()

    def run(part: slice) -> None:
        compiled.flips(planes[part], background_outside, volume, filled_sizes[part], filled[part])

    share(run, len(planes), mask.numel() // _FLIP_SHARE)
    return sizes, out


def _planes(mask: Tensor) -> tuple[NDArray[np.uint8], bool]:
    """Masks as ``(planes, depth, height, width)`` bytes, and whether they are volumes."""
    volume = mask.ndim == 5
    depth = mask.shape[2] if volume else 1
    shape = (mask.shape[0] * mask.shape[1], depth, *mask.shape[-2:])
    return mask.contiguous().view(torch.uint8).reshape(shape).numpy(), volume


def share(run: Callable[[slice], None], planes: int, shares: int) -> None:
    """Run over all planes, on at most `shares` threads and never more than torch may use."""
    threads = max(1, min(shares, planes, torch.get_num_threads()))
    if threads == 1:
        run(slice(0, planes))
        return
    ends = [planes * i // threads for i in range(threads + 1)]
    parts = [slice(*pair) for pair in pairwise(ends)]
    # Threads of this call only: none is left behind to be lost in a fork.
    with ThreadPoolExecutor(threads - 1, thread_name_prefix="segsize-planes") as pool:
        others = [pool.submit(run, part) for part in parts[1:]]
        run(parts[0])
        for other in others:
            other.result()
