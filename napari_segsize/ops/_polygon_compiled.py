"""The compiled path for contours on the CPU: loading the kernels, and sharing polygons between threads."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from napari_segsize.ops._compiled import share

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray
    from torch import Tensor

logger = logging.getLogger(__name__)

_SHARE = 2**20  # pixels and pairs of edges a thread from which sharing is worth while (about 2 ms)


class Split(NamedTuple):
    """Cut edges of some polygons."""

    part: slice
    ends: NDArray[np.int64]  # (polygons,) where the sub-edges of each polygon end
    edges: NDArray[np.int64]  # (M,) which edge
    spans: NDArray[np.float64]  # (M, 3) from, to (0 to 1 along the edge), weight


@cache
def kernels() -> ModuleType | None:
    """The compiled kernels, ready to run; None where they cannot be compiled, and the tensor path must do."""
    try:
        from napari_segsize.ops import _polygon_kernels

        contours = np.array([[[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0]]])
        parts = _polygon_kernels.split(contours, False)
        image = np.zeros((1, 2, 2), np.float32)
        _polygon_kernels.cover(contours, *parts, image)
        _polygon_kernels.pull(contours, *parts, image, np.zeros((1, 4)))
    # Whatever goes wrong (no numba for this Python or this processor, a full disk), the tensor path remains.
    except Exception:
        logger.warning("Polygons are rendered without compiled code, which is slower.", exc_info=True)
        return None
    return _polygon_kernels


def split(module: ModuleType, contours: Tensor, pixels: int, even_odd: bool) -> list[Split]:
    """Cut edges of `contours` (float64), in as many parts as are worth a thread for so many pixels each."""
    vertices = contours.numpy()
    polygons, count = vertices.shape[:2]
    splits: list[Split] = []

    def run(part: slice) -> None:
        splits.append(Split(part, *module.split(vertices[part], even_odd)))

    share(run, polygons, polygons * (pixels + count**2) // _SHARE)
    return splits


def cover(
    module: ModuleType, contours: Tensor, splits: list[Split], shape: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """Coverage ``(N, H, W)`` of `contours` (float64)."""
    vertices = contours.numpy()
    out = torch.empty((len(vertices), *shape), dtype=dtype)
    filled = out.numpy()

    def run(parts: slice) -> None:
        for part, *split in splits[parts]:
            module.cover(vertices[part], *split, filled[part])

    share(run, len(splits), len(splits))
    return out


def pull(module: ModuleType, contours: Tensor, splits: list[Split], upstream: Tensor) -> Tensor:
    """Gradient ``(N, K)`` with respect to the x of `contours` (float64); `upstream` is ``(N, H, W)``."""
    vertices, image = contours.numpy(), upstream.contiguous().numpy()
    out = torch.zeros(contours.shape[:2], dtype=torch.float64)
    filled = out.numpy()

    def run(parts: slice) -> None:
        for part, *split in splits[parts]:
            module.pull(vertices[part], *split, image[part], filled[part])

    share(run, len(splits), len(splits))
    return out
