"""Chebyshev (chessboard) distance to the background."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from napari_segsize.ops import _compiled
from napari_segsize.ops._windows import WindowSums, border_distance, largest

Border = Literal["ignore", "background"]
"""What lies outside the image: unknown, or background."""


def chebyshev_distance(mask: Tensor, *, border: Border = "ignore") -> Tensor:
    """Chebyshev distance of every pixel to the nearest background pixel.

    Parameters
    ----------
    mask : (N, C, *spatial) bool Tensor
        2-D or 3-D; every (n, c) plane is one mask.
    border : {"ignore", "background"}
        What lies outside the image: unknown (as in [1]_), or background.

    Returns
    -------
    (N, C, *spatial) float32 Tensor
        In pixels; 0 on the background. Without any background ``max(spatial)`` everywhere. Not
        differentiable.

    Raises
    ------
    ValueError
        If `mask` is not boolean, is neither 2-D nor 3-D, or has no pixels.

    References
    ----------
    .. [1] Baručić and Kybic, "Learning to segment from object sizes", ITAT, 2022, eq. 3.
    """
    check_mask(mask, border)
    compiled = _compiled.usable(mask)
    if compiled is not None:
        return _compiled.distances(compiled, mask, border == "background")
    with torch.no_grad():
        return _chebyshev_tensor(mask, border).float()


def warm_up() -> bool:
    """Compile what the CPU path needs, or load it from numba's cache: call it early, on a background thread.

    Returns
    -------
    bool
        False where nothing can be compiled; everything then works, more slowly. The reason is logged.

    Notes
    -----
    Compiling takes about 10 seconds on a machine's first use, loading about half a second; the first call of
    `chebyshev_distance` or `flip_sizes` otherwise takes that long.
    """
    return _compiled.kernels() is not None


def check_mask(mask: Tensor, border: Border) -> None:
    """Raise a `ValueError` that says what is wrong with `mask` or `border`, if anything is."""
    if mask.dtype != torch.bool:
        raise ValueError(
            f"mask: expected a boolean tensor, got {mask.dtype}. Threshold it first: `logits > 0`."
        )
    if mask.ndim not in (4, 5):
        raise ValueError(
            f"mask: expected (N, C, *spatial) with 2 or 3 spatial axes, got {tuple(mask.shape)}. "
            "A single 2-D mask becomes one with `mask[None, None]`."
        )
    if 0 in mask.shape[2:]:
        raise ValueError(f"mask: expected at least one pixel along every axis, got {tuple(mask.shape)}.")
    if border not in get_args(Border):
        raise ValueError(f'border: expected "ignore" or "background", got {border!r}.')


def _chebyshev_tensor(mask: Tensor, border: Border) -> Tensor:
    """Distances as integers, on any device: d >= k where the window of side 2k - 1 holds no background."""
    spatial = tuple(mask.shape[2:])
    background = WindowSums(~mask)
    start = torch.zeros(mask.shape, dtype=torch.int64, device=mask.device)
    distance = largest(lambda k: background(k - 1) == 0, start, max(spatial))
    if border == "background":
        distance = torch.minimum(distance, border_distance(spatial, mask.device))
    return distance
