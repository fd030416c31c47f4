"""Masks of polygons: exact area coverage, differentiable in the vertices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from napari_segsize.ops import _polygon_compiled, _polygon_tensors
from napari_segsize.ops._polygon_distance import signed_distance

if TYPE_CHECKING:
    from types import ModuleType

Rule = Literal["nonzero", "evenodd"]


def polygon_mask(contours: Tensor, shape: tuple[int, int], *, rule: Rule = "nonzero") -> Tensor:
    """Share of every pixel that a polygon covers: exact, also where it crosses itself.

    Pixel ``(r, c)`` is the square ``[r - 0.5, r + 0.5] x [c - 0.5, c + 0.5]`` (``align_corners=False``).

    Parameters
    ----------
    contours : (N, K, 2) float Tensor
        Vertices ``(y, x)`` in pixels, closed, the first not repeated; either sense of rotation. They may lie
        outside the image, coincide, and their edges may cross or cover each other.
    shape : (int, int)
        Height and width of the masks.
    rule : {"nonzero", "evenodd"}
        What is inside where the polygon overlaps itself: all that it winds around (a twist or a loop adds
        area), or only what it winds around an odd number of times (an overlap is a hole). The same for
        polygons that do not cross themselves.

    Returns
    -------
    (N, 1, H, W) Tensor
        From 0 to 1, of the type of `contours`. The sum over an image is the area inside it. Differentiable
        once: the gradient is the exact edge integral over the pixels that edges cross. Where an edge runs
        along the boundary of two pixels, the derivatives on both sides are averaged.

    Raises
    ------
    ValueError
        If `contours` is not floating-point, ``(N, K >= 3, 2)`` and finite, or `shape` or `rule` is wrong.

    Notes
    -----
    Computed in float64 (on devices without it, Apple's, in float32: errors of about 1e-5). Memory grows with
    N·H·W and the number of pixels near edges; time with that and N·K². The CPU runs compiled code, and every
    other device tensor operations; the results agree to rounding.
    """
    height, width = check_shape(shape)
    check_contours(contours)
    if rule not in get_args(Rule):
        raise ValueError(f'rule: expected "nonzero" or "evenodd", got {rule!r}.')
    return coverage(contours, (height, width), rule == "evenodd", _usable(contours))[:, None]


def soft_polygon_mask(contours: Tensor, shape: tuple[int, int], *, sharpness: float = 1.0) -> Tensor:
    """Sigmoid of the signed distance to the contour: a mask whose edge is blurred, and felt from afar.

    The gradient of `polygon_mask` is non-zero only where an edge crosses a pixel; here every pixel pulls at
    the edge nearest to it, the less the farther it is. Use it to find an object that the contour does not yet
    overlap, and `polygon_mask` to measure.

    Parameters
    ----------
    contours : (N, K, 2) float Tensor
        As for `polygon_mask`; inside is what a contour winds around (the non-zero rule), also where it
        crosses itself, but there its edges count as outline all the same.
    shape : (int, int)
        Height and width of the masks.
    sharpness : float
        Per pixel: the mask goes from 0.27 to 0.73 within ``2 / sharpness`` pixels across the outline. Larger
        values come nearer to `polygon_mask`, with a narrower reach; 0.1 to 4 is usual.

    Returns
    -------
    (N, 1, H, W) Tensor
        Above 0 and below 1; 0.5 on the outline. Differentiable.

    Notes
    -----
    Memory grows with N·H·W, not with K; time with N·K·H·W.
    """
    height, width = check_shape(shape)
    check_contours(contours)
    if not sharpness > 0:
        raise ValueError(f"sharpness: expected more than 0 per pixel, got {sharpness}.")
    return (sharpness * signed_distance(contours, (height, width))).sigmoid()[:, None]


def warm_up() -> bool:
    """Compile what the CPU path needs, or load it from numba's cache: call it early, on a background thread.

    Returns
    -------
    bool
        False where nothing can be compiled; everything then works, more slowly. The reason is logged.
    """
    return _polygon_compiled.kernels() is not None


def check_contours(contours: Tensor) -> None:
    """Raise a `ValueError` that says what is wrong with `contours`, if anything is."""
    if contours.ndim != 3 or contours.shape[2] != 2 or contours.shape[1] < 3:
        raise ValueError(
            f"contours: expected (N, K, 2) with at least 3 vertices, got {tuple(contours.shape)}. "
            "A single contour becomes one with `contour[None]`."
        )
    if not contours.is_floating_point():
        raise ValueError(
            f"contours: expected float32 or float64, got {contours.dtype}. Convert it: `contours.float()`."
        )
    if not contours.isfinite().all():
        raise ValueError(
            "contours: expected finite coordinates, got NaN or infinity. Leave such contours out."
        )


def check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """`shape` as two integers; a `ValueError` says what is wrong with it."""
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape: expected height and width, at least 1 each, got {tuple(shape)}.")
    return int(shape[0]), int(shape[1])


def coverage(contours: Tensor, shape: tuple[int, int], even_odd: bool, module: ModuleType | None) -> Tensor:
    """Share of every pixel ``(N, H, W)``, by the compiled kernels in `module`, or without them by tensors."""
    return cast("Tensor", _Coverage.apply(contours, shape, even_odd, module))  # type: ignore[no-untyped-call]


def _usable(contours: Tensor) -> ModuleType | None:
    """The compiled kernels, if they can take `contours`."""
    fits = contours.device.type == "cpu" and contours.dtype in (torch.float32, torch.float64)
    return _polygon_compiled.kernels() if fits else None


def _accurate(tensor: Tensor) -> Tensor:
    """Float64 where the device has it."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


class _Coverage(torch.autograd.Function):
    """Coverage ``(N, H, W)``, by compiled kernels if there are any, else by tensor operations."""

    @staticmethod
    def forward(
        ctx: Any, contours: Tensor, shape: tuple[int, int], even_odd: bool, module: ModuleType | None
    ) -> Tensor:
        shifted = _accurate(contours.detach()).contiguous() + 0.5
        parts = _split(shifted, shape, even_odd, module)
        ctx.save_for_backward(shifted)
        ctx.parts, ctx.even_odd, ctx.module, ctx.dtype = parts, even_odd, module, contours.dtype
        if module is not None:
            return _polygon_compiled.cover(module, shifted, parts, shape, contours.dtype)
        subs, pieces = parts
        return _polygon_tensors.cover(shifted, subs, pieces, shape).to(contours.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None, None]:
        if not ctx.needs_input_grad[0]:
            return None, None, None, None
        shifted: Tensor = ctx.saved_tensors[0]
        turned, upstream_turned = shifted.flip(-1), upstream.mT
        shape = upstream_turned.shape[-2], upstream_turned.shape[-1]
        along_x = _pull(shifted, ctx.parts, upstream, ctx.module)
        parts = _split(turned, shape, ctx.even_odd, ctx.module)
        along_y = _pull(turned, parts, upstream_turned, ctx.module)
        return torch.stack([along_y, along_x], -1).to(ctx.dtype), None, None, None


def _split(contours: Tensor, shape: tuple[int, int], even_odd: bool, module: ModuleType | None) -> Any:
    """What covering and pulling need: parts of edges with their weights."""
    if module is not None:
        return _polygon_compiled.split(module, contours, shape[0] * shape[1], even_odd)
    subs = _polygon_tensors.split(contours, even_odd)
    return subs, _polygon_tensors.cut_at_pixels(contours, subs, shape)


def _pull(contours: Tensor, parts: Any, upstream: Tensor, module: ModuleType | None) -> Tensor:
    """Gradient ``(N, K)`` with respect to x."""
    if module is not None:
        return _polygon_compiled.pull(module, contours, parts, upstream)
    subs, pieces = parts
    return _polygon_tensors.pull(contours, subs, pieces, _accurate(upstream))
