"""Soft skeletons: a centre line that a gradient can pass through."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from napari_segsize.ops import _compiled

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_SHARE = 2**18  # pixels a thread from which sharing is worth while

Step = Literal["erode", "dilate"]


def soft_skeleton(image: Tensor, iterations: int) -> Tensor:
    """Soft skeleton of every plane: what openings remove, while the image is eroded step by step [1]_.

    Parameters
    ----------
    image : (N, C, *spatial) float Tensor
        Probabilities, or a mask of 0 and 1; 2-D or 3-D.
    iterations : int
        Erosions. They must reach the half width of what is to have a skeleton, or that has **none**: a bar
        3 pixels wide needs 1, one 5 wide needs 2; `skeleton_iterations` counts for a mask. More than needed
        cost time and change nothing.

    Returns
    -------
    (N, C, *spatial) Tensor
        Between 0 and 1, differentiable in `image`. Outside the image is unknown: a bar keeps its skeleton up
        to the image's edge.

    Raises
    ------
    ValueError
        If a shape, a type or `iterations` does not fit.

    Notes
    -----
    Erosion takes the least value in the cross of neighbours that share a side, dilation the largest in the
    block of 3 pixels a side. Where several share an extreme, the gradient goes to the first, the pixel itself
    before its neighbours.

    References
    ----------
    .. [1] Shit et al., "clDice, a novel topology-preserving loss function for tubular structure
       segmentation", CVPR, 2021, algorithm 1.
    """
    _check(image)
    if iterations < 0:
        raise ValueError(f"iterations: expected 0 or more, got {iterations}.")
    eroded = erode(image)
    skeleton = (image - dilate(eroded)).relu()
    for _ in range(iterations):
        image, eroded = eroded, erode(eroded)
        removed = (image - dilate(eroded)).relu()
        skeleton = skeleton + (removed - skeleton * removed).relu()
    return skeleton


def skeleton_iterations(mask: Tensor) -> int:
    """Erosions after which every plane of `mask` has its whole soft skeleton.

    One less than the largest city-block distance to the background, because erosion is by a cross. A plane
    without background never erodes and has no skeleton; it does not count.

    Parameters
    ----------
    mask : (N, C, *spatial) bool Tensor
        2-D or 3-D.

    Returns
    -------
    int
        0 or more.
    """
    if mask.dtype != torch.bool or mask.ndim not in (4, 5):
        raise ValueError(
            "mask: expected a boolean (N, C, *spatial) tensor with 2 or 3 spatial axes, "
            f"got {tuple(mask.shape)} of {mask.dtype}."
        )
    if not mask.numel():
        return 0
    return max(int(_thickness(mask).max()) - 1, 0)


def erode(image: Tensor) -> Tensor:
    """Least value in the cross around every pixel, within the image; `image` ``(N, C, *spatial)``."""
    return _apply(image, "erode")


def dilate(image: Tensor) -> Tensor:
    """Largest value in the block of 3 pixels a side around every pixel; `image` ``(N, C, *spatial)``."""
    return _apply(image, "dilate")


def _check(image: Tensor) -> None:
    if image.ndim not in (4, 5) or not image.is_floating_point() or 0 in image.shape[2:]:
        raise ValueError(
            "image: expected (N, C, *spatial) floats with 2 or 3 spatial axes and some pixels, "
            f"got {tuple(image.shape)} of {image.dtype}."
        )


def _apply(image: Tensor, step: Step) -> Tensor:
    _check(image)
    fits = image.device.type == "cpu" and image.dtype in (torch.float32, torch.float64) and image.numel()
    if fits and _kernels() is not None:
        return cast("Tensor", _Compiled.apply(image, step))  # type: ignore[no-untyped-call]
    return _pooled(image, step)


def _pooled(image: Tensor, step: Step) -> Tensor:
    """The same by torch's pooling, on any device."""
    dims = image.ndim - 2
    pool = functional.max_pool2d if dims == 2 else functional.max_pool3d
    if step == "dilate":
        return pool(image, 3, 1, 1)
    lines = []
    for axis in range(dims):
        side = [3 if each == axis else 1 for each in range(dims)]
        lines.append(pool(-image, side, 1, [each // 2 for each in side]))
    least = lines[0]
    for line in lines[1:]:
        least = torch.maximum(least, line)
    return -least


class _Compiled(torch.autograd.Function):
    """Erosion or dilation by a compiled kernel, forth and back."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, step: Step) -> Tensor:
        image = image.contiguous()
        out = torch.empty_like(image)
        kernel = getattr(_kernels(), step)
        given, filled = _planes(image), _planes(out)
        _shared(lambda part: kernel(given[part], filled[part]), image)
        ctx.save_for_backward(image, out)
        ctx.step = step
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        image, result = ctx.saved_tensors
        gradient = torch.zeros_like(image)
        kernel = getattr(_kernels(), f"{ctx.step}_backward")
        parts = [_planes(each) for each in (image, result, upstream.contiguous(), gradient)]
        _shared(lambda part: kernel(*[each[part] for each in parts]), image)
        return gradient, None


def _planes(image: Tensor) -> NDArray[Any]:
    """A view as ``(planes, depth, height, width)``."""
    depth = image.shape[2] if image.ndim == 5 else 1
    return image.detach().view(-1, depth, *image.shape[-2:]).numpy()


def _shared(run: Any, image: Tensor) -> None:
    planes = image.shape[0] * image.shape[1]
    _compiled.share(run, planes, image.numel() // _SHARE)


def _thickness(mask: Tensor) -> Tensor:
    """Largest city-block distance to the background ``(N, C)``; 0 for planes without background."""
    module = _kernels() if mask.device.type == "cpu" else None
    if module is not None:
        out = np.empty(mask.shape[0] * mask.shape[1], np.int32)
        module.thickness(_planes(mask.contiguous().view(torch.uint8)), out)
        return torch.from_numpy(out).reshape(mask.shape[:2])
    far = sum(mask.shape[2:])
    away = torch.where(mask, far, 0)
    for axis in range(2, mask.ndim):
        shape = [-1 if each == axis else 1 for each in range(mask.ndim)]
        place = torch.arange(mask.shape[axis], device=mask.device).reshape(shape)
        behind = (away - place).cummin(axis).values + place
        ahead = (away + place).flip(axis).cummin(axis).values.flip(axis) - place
        away = torch.minimum(behind, ahead)
    most = away.flatten(2).amax(-1)
    return torch.where(most >= far, 0, most)


@cache
def _kernels() -> ModuleType | None:
    """The compiled kernels, ready to run; None where they cannot be compiled, and the tensor path must do."""
    try:
        from napari_segsize.ops import _skeleton_kernels

        for dtype in (np.float32, np.float64):
            image = np.ones((1, 1, 2, 2), dtype)
            for step in ("erode", "dilate"):
                getattr(_skeleton_kernels, step)(image, image.copy())
                getattr(_skeleton_kernels, f"{step}_backward")(image, image, image, image.copy())
        _skeleton_kernels.thickness(np.ones((1, 1, 2, 2), np.uint8), np.empty(1, np.int32))
    # Whatever goes wrong (no numba for this Python or this processor, a full disk), the tensor path remains.
    except Exception:
        logger.warning("Skeletons are computed without compiled code, which is slower.", exc_info=True)
        return None
    return _skeleton_kernels
