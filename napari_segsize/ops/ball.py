"""Means over disks and balls around every pixel."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def ball_means(image: Tensor, radii: Sequence[int]) -> Iterator[Tensor]:
    """Mean of `image` over the disk (in 3-D the ball) of each radius around every pixel.

    Parameters
    ----------
    image : (N, C, *spatial) float Tensor
        float32 or float64, any number of spatial axes, any device.
    radii : sequence of int
        In pixels; a pixel belongs to the disk when its centre is at most that far away.

    Yields
    ------
    (N, C, *spatial) Tensor
        One a radius. Outside the image is left out: at its edge the mean is over what is left of the disk.
        Differentiable.

    Raises
    ------
    ValueError
        If a radius is less than 1.

    Notes
    -----
    By Fourier transforms, whose rounding is about 1e-6 in float32: compare with a margin.
    """
    if not radii or any(radius < 1 or radius != int(radius) for radius in radii):
        raise ValueError(f"radii: expected whole numbers of 1 or more, got {tuple(radii)}.")
    if image.numel() == 0:  # no Fourier transform takes it
        yield from (image.clone() for _ in radii)
        return
    spatial = tuple(image.shape[2:])
    axes = tuple(range(2, image.ndim))
    padded = tuple(_fast_length(side + max(radii)) for side in spatial)
    spectrum = torch.fft.rfftn(image, s=padded, dim=axes)
    crop = (..., *[slice(side) for side in spatial])
    for radius in radii:
        kernel, weight = _ball(int(radius), spatial, padded, image.dtype, image.device)
        yield torch.fft.irfftn(spectrum * kernel, s=padded, dim=axes)[crop] / weight


@lru_cache(maxsize=32)
def _ball(
    radius: int,
    spatial: tuple[int, ...],
    padded: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Spectrum of a ball on the origin (real, as a ball is symmetric), and its pixels in the image."""
    axes = tuple(range(len(padded)))
    square = torch.zeros((), device=device)
    for axis, side in enumerate(padded):
        place = torch.arange(side, device=device)
        shape = [-1 if each == axis else 1 for each in axes]
        square = square + torch.minimum(place, side - place).reshape(shape) ** 2
    spectrum = torch.fft.rfftn((square <= radius**2).to(dtype), dim=axes).real
    ones = torch.zeros(padded, dtype=dtype, device=device)
    inside = tuple(slice(side) for side in spatial)
    ones[inside] = 1
    pixels = torch.fft.irfftn(torch.fft.rfftn(ones, dim=axes) * spectrum, s=padded, dim=axes)[inside]
    return spectrum, pixels.round()


def _fast_length(least: int) -> int:
    """Return the next length that has no prime factor above 5."""
    length = least
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
