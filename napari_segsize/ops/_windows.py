"""Sums over square windows whose side differs from pixel to pixel: the tensor path of this folder.

Summed-area tables: works on every device without a loop over pixels and without waiting for the device.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable


def axis_coordinates(spatial: tuple[int, ...], device: torch.device) -> list[Tensor]:
    """One index tensor an axis, shaped to broadcast against ``(N, C, *spatial)``."""
    dims = len(spatial)
    return [
        torch.arange(side, device=device).reshape([1] * (2 + axis) + [side] + [1] * (dims - axis - 1))
        for axis, side in enumerate(spatial)
    ]


def border_distance(spatial: tuple[int, ...], device: torch.device) -> Tensor:
    """Chebyshev distance of every pixel to the nearest place outside the image, ``(1, 1, *spatial)``."""
    distance = torch.full((1, 1, *spatial), max(spatial), dtype=torch.int64, device=device)
    for index, side in zip(axis_coordinates(spatial, device), spatial, strict=True):
        distance = torch.minimum(distance, torch.minimum(index + 1, side - index))
    return distance


class WindowSums:
    """Sums of `values` ``(N, C, *spatial)`` over windows that are clipped at the image's edge."""

    def __init__(self, values: Tensor) -> None:
        self._spatial = tuple(values.shape[2:])
        table = values
        for axis in range(2, values.ndim):
            table = table.cumsum(axis, dtype=torch.int64)
        pad = [1, 0] * len(self._spatial)  # one plane of zeros before each axis
        self._table = torch.nn.functional.pad(table, pad).flatten(2)
        self._axes = axis_coordinates(self._spatial, values.device)

    def __call__(self, radius: Tensor) -> Tensor:
        """Sum over ``|offset| <= radius`` on every axis; `radius` broadcasts against ``(N, C, *spatial)``."""
        stride, corners = 1, []
        for index, side in zip(reversed(self._axes), reversed(self._spatial), strict=True):
            low = (index - radius).clamp_(0, side) * stride
            high = (index + radius + 1).clamp_(0, side) * stride
            corners.append((low, high))
            stride *= side + 1
        shape = (*self._table.shape[:2], *self._spatial)
        total = torch.zeros(shape, dtype=torch.int64, device=self._table.device)
        for choice in product((0, 1), repeat=len(corners)):
            flat = torch.zeros((), dtype=torch.int64, device=self._table.device)
            for pair, end in zip(corners, choice, strict=True):
                flat = flat + pair[end]
            part = self._table.gather(2, flat.expand(shape).flatten(2)).reshape(shape)
            total = total - part if (len(corners) - sum(choice)) % 2 else total + part
        return total


def largest(holds: Callable[[Tensor], Tensor], start: Tensor, limit: int) -> Tensor:
    """Per element the largest ``k`` in ``0..limit`` with `holds(k)`, true up to some ``k``.

    `start` is a tensor of zeros that gives shape and device. Binary: ``log2(limit)`` evaluations, no
    synchronisation.
    """
    found = start
    for bit in reversed(range(limit.bit_length())):
        tried = found + (1 << bit)
        found = torch.where(holds(tried) & (tried <= limit), tried, found)
    return found
