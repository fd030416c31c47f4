"""How much memory a network may take, and the crops and tiles that fit into it.

Only networks that bring an estimate (KiU-Net) are fitted; all others are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil
import torch

from ..errors import SegsizeError

__all__ = ["CROPS", "Estimate", "Fit", "fitting_crops", "fitting_images", "fitting_tile", "free_bytes", "gib"]

Estimate = Callable[..., int]  # (sides, batch, training=...) to bytes

CROPS = (128, 96, 64)  # px; none larger: a step on a CPU would take too long
SMALLEST = 32  # px: below, a crop is all border
_TRAINING, _PREDICTION = 0.5, 0.25  # shares of the free memory: the window needs some too


@dataclass(frozen=True, slots=True)
class Fit:
    """Training crops that fit: their largest side, passes a batch is cut into, and what one pass takes."""

    side: int
    parts: int
    bytes: int
    free: int


def free_bytes(device: torch.device | None = None) -> int:
    """Memory that can still be had, of the GPU if `device` is one."""
    if device is not None and device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def gib(amount: float) -> str:
    """Bytes as people read them."""
    return f"{amount / 2**30:.1f} GiB" if amount >= 2**30 / 10 else f"{max(amount / 2**20, 1):.0f} MiB"


def fitting_crops(estimate: Estimate, patch: int, shape: Sequence[int], batch: int, free: int) -> Fit:
    """The largest training crops, up to `patch`, whose batch takes at most half of the `free` bytes.

    Crops are made smaller first, down to 64 px, since a batch that is cut is normalised in pieces; then the
    batch is cut; then the crops become as small as they can be.

    Parameters
    ----------
    estimate : callable
        ``(sides, batch, training=...)`` to bytes.
    patch : int
        The crop side that was asked for.
    shape : (height, width)
        Of the largest image: crops are not larger.
    batch : int
        Crops in one step.
    free : int
        Bytes.

    Raises
    ------
    SegsizeError
        If not even one crop of the smallest side fits.
    """

    def taken(side: int, at_once: int) -> int:
        return estimate([min(side, extent) for extent in shape], at_once, training=True)

    sides = [side for side in CROPS if side < patch] or [patch]
    if patch <= CROPS[0]:
        sides = [patch, *(side for side in sides if side != patch)]
    whole = [(side, 1) for side in sides]
    cuts = [min(2**power, batch) for power in range(batch.bit_length() + 1)]  # 1, 2, 4, … and single crops
    cut = [(side, parts) for side in (sides[-1], min(SMALLEST, sides[-1])) for parts in cuts]
    for side, parts in whole + cut:
        needed = taken(side, -(-batch // parts))
        if needed <= _TRAINING * free:
            return Fit(side, parts, needed, free)
    least = min(SMALLEST, sides[-1])
    raise SegsizeError(
        f"A single crop of {least} px takes about {gib(taken(least, 1))} of memory with this network, and "
        f"{gib(free)} are free. Lower ki_levels, choose the network 'small', or close other programs."
    )


def fitting_images(estimate: Estimate, shape: Sequence[int], free: int) -> int:
    """How many images of `shape` may be segmented together; at least one."""
    return max(1, int(_PREDICTION * free // estimate(shape, 1, training=False)))


def fitting_tile(estimate: Estimate, shape: Sequence[int], free: int) -> int:
    """Side of the tiles in which an image of `shape` is segmented; 0 if it fits as a whole.

    Raises
    ------
    SegsizeError
        If not even the smallest tile fits.
    """
    for side in (0, *CROPS, SMALLEST):
        sides = [side, side] if side else shape
        if estimate(sides, 1, training=False) <= _PREDICTION * free:
            return side
    needed = estimate([SMALLEST, SMALLEST], 1, training=False)
    raise SegsizeError(
        f"Segmenting a tile of {SMALLEST} px takes about {gib(needed)} of memory with this network, and "
        f"{gib(free)} are free. Close other programs, or train the network 'small' instead."
    )
