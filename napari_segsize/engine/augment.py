"""Random changes of a batch: geometry through MONAI's batched affine layer, and re-lighting.

Turning or zooming an object does not keep the biggest square that fits in it. Crops that carry sizes are
therefore flipped at most, crops with masks are also turned, shifted and zoomed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.networks.layers import AffineTransform
from torch import Tensor

__all__ = ["affine_matrices", "flip_centres", "flip_points", "relight", "warp", "warp_images", "warp_masks"]

_ANGLE = math.radians(15)
_ZOOM = 0.15
_SHIFT = 0.1  # of half the side
_GAIN, _OFFSET, _NOISE = 0.2, 0.2, 0.05  # in standard deviations of the image


def affine_matrices(
    flips_only: Tensor, shape: Sequence[int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw one affine map a crop, output to input, in normalised (y, x) coordinates.

    Returns
    -------
    matrices : (B, 2, 3) Tensor
    flips : (B, 2) bool Tensor
        Whether the y and the x axis are turned round.
    """
    count = len(flips_only)
    flips = torch.rand(count, 2, generator=generator) < 0.5
    sign = 1.0 - 2.0 * flips.float()
    free = (~flips_only).float()
    angle = (torch.rand(count, generator=generator) * 2 - 1) * _ANGLE * free
    zoom = 1 + (torch.rand(count, generator=generator) * 2 - 1) * _ZOOM * free
    shift = (torch.rand(count, 2, generator=generator) * 2 - 1) * _SHIFT * free[:, None]
    height, width = shape
    ratio = height / width  # a rotation in pixels is sheared by the aspect in normalised coordinates
    matrices = torch.stack(
        [
            torch.stack(
                [angle.cos() * zoom * sign[:, 0], angle.sin() * zoom * sign[:, 1] / ratio, shift[:, 0]], -1
            ),
            torch.stack(
                [-angle.sin() * zoom * sign[:, 0] * ratio, angle.cos() * zoom * sign[:, 1], shift[:, 1]], -1
            ),
        ],
        1,
    )
    return matrices, flips


def warp_images(images: Tensor, matrices: Tensor) -> Tensor:
    """Resample images; what comes from outside repeats the edge."""
    if not len(images):
        return images
    smooth = AffineTransform(normalized=True, mode="bilinear", padding_mode="border", align_corners=False)
    moved: Tensor = smooth(images, matrices)
    return moved


def warp_masks(target: Tensor, known: Tensor, matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Resample masks and where they are known; what comes from outside is not known."""
    if not len(target):
        return target, known
    exact = AffineTransform(normalized=True, mode="bilinear", padding_mode="zeros", align_corners=False)
    both = exact(torch.cat([target, known.to(target.dtype)], 1), matrices)
    return (both[:, :1] > 0.5).to(target.dtype), both[:, 1:] > 0.5


def warp(images: Tensor, target: Tensor, known: Tensor, matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Resample images, masks and where the masks are known."""
    return warp_images(images, matrices), *warp_masks(target, known, matrices)


def flip_centres(objects: Tensor, flips: Tensor, shape: Sequence[int]) -> Tensor:
    """Carry stamps ``(K, 3)`` (size, y, x) along when axes are turned round."""
    result = objects.clone()
    for axis in (0, 1):
        if flips[axis]:
            result[:, 1 + axis] = shape[axis] - 1 - objects[:, 1 + axis]
    return result


def flip_points(points: Tensor, flips: Tensor, shape: Sequence[int]) -> Tensor:
    """Carry extreme points ``(K, 4, 2)`` along when axes are turned round: the topmost becomes the last."""
    result = points
    for axis in (0, 1):
        if flips[axis]:
            order = [2, 1, 0, 3] if axis == 0 else [0, 3, 2, 1]
            result = result[:, order].clone()
            result[..., axis] = shape[axis] - 1 - result[..., axis]
    return result


def relight(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random gain and offset of every image, and pixel noise."""
    shape = (len(images), 1, 1, 1)
    gain = 1 + _GAIN * torch.randn(shape, generator=generator)
    offset = _OFFSET * torch.randn(shape, generator=generator)
    noise = _NOISE * torch.randn(images.shape, generator=generator)
    return images * gain + offset + noise
