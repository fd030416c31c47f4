"""Contours to start an evolution from: a circle, a stamp, four extreme points, a mask.

All begin at the top and turn anticlockwise on the screen (y down): top, left, bottom, right.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours
from torch import Tensor

from napari_segsize.ops.outline import resample

_STEPS = 64  # along a quarter ellipse, to measure its length: 0.01 % short at most


def circle_contour(centre: Tensor, radius: Tensor, count: int) -> Tensor:
    """Vertices at equal steps on circles.

    Parameters
    ----------
    centre : (N, 2) float Tensor
        ``(y, x)`` in pixels.
    radius : (N,) Tensor
    count : int
        Number of vertices, at least 3. The polygon is inside the circle: with 8 vertices it has 90 % of the
        area, with 32 99.4 %.

    Returns
    -------
    (N, count, 2) Tensor
    """
    _check(centre, (2,), count, 3)
    angle = torch.arange(count, device=centre.device).to(centre) * (2 * math.pi / count)
    steps = -torch.stack([angle.cos(), angle.sin()], 1)
    return centre[:, None] + radius.to(centre)[:, None, None] * steps


def stamp_contour(centre: Tensor, size: Tensor, count: int) -> Tensor:
    """The square that a size stamp draws, from its top left corner.

    Parameters
    ----------
    centre : (N, 2) float Tensor
        ``(y, x)`` in pixels.
    size : (N,) Tensor
        Side of the square in pixels: the largest upright square inside the object, so the contour grows.
    count : int
        Number of vertices, at least 4; corners are vertices, the others lie evenly on the sides.

    Returns
    -------
    (N, count, 2) Tensor
    """
    _check(centre, (2,), count, 4)
    corners = centre.new_tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    parts = []
    for side in range(4):
        steps = count // 4 + (side < count % 4)
        share = torch.arange(steps, device=centre.device).to(centre)[:, None] / steps
        parts.append(corners[side] + share * (corners[(side + 1) % 4] - corners[side]))
    return centre[:, None] + size.to(centre)[:, None, None] * torch.cat(parts)


def extreme_points_contour(points: Tensor, count: int) -> Tensor:
    """Quarter ellipses from each extreme point to the next, level with the axes at the points.

    Parameters
    ----------
    points : (N, 4, 2) float Tensor
        ``(y, x)`` in the order top, left, bottom, right (`napari_segsize.ops.points.ordered`). They may
        coincide or lie on one line: an arc is then a straight line or a point.
    count : int
        Number of vertices, at least 4. The four points are vertices; the others are shared between the arcs
        by length, and lie at equal steps along each.

    Returns
    -------
    (N, count, 2) Tensor
        Begins with the topmost point. Differentiable in `points`, for fixed places of the vertices on the
        arcs; NaN where points are.
    """
    _check(points, (4, 2), count, 4)
    after = points.roll(-1, 1)
    # At the top or bottom the ellipse sets out along x, so its centre lies straight below or above.
    upright = torch.tensor([True, False, True, False], device=points.device)[:, None]
    corner = torch.where(upright, after, points)[..., 0], torch.where(upright, points, after)[..., 1]
    centre = torch.stack(corner, -1)
    first, second = points - centre, after - centre
    with torch.no_grad():
        angle = torch.linspace(0, math.pi / 2, _STEPS + 1, device=points.device).to(points)[:, None]
        fine = angle.cos() * first[:, :, None] + angle.sin() * second[:, :, None]  # (N, 4, steps + 1, 2)
        way = torch.linalg.vector_norm(fine.diff(dim=2), dim=-1).nan_to_num(1.0).cumsum(-1)
        arc, share = _shared_out(way[..., -1], count)
        way = torch.cat([torch.zeros_like(way[..., :1]), way], -1).take_along_dim(arc[..., None], 1)
        angle = _angle(way, share)
    arc = arc[..., None]
    first, second, centre, start = (each.take_along_dim(arc, 1) for each in (first, second, centre, points))
    between = centre + angle.cos()[..., None] * first + angle.sin()[..., None] * second
    return torch.where((share == 0)[..., None], start, between)


def mask_contour(mask: Tensor, count: int) -> Tensor:
    """Outline of the largest object in a mask, half-way between its pixels and the background's.

    Parameters
    ----------
    mask : (H, W) bool Tensor
        Pixels that touch at a corner belong together; holes are filled.
    count : int
        Number of vertices, at least 3, at equal steps along the outline.

    Returns
    -------
    (count, 2) float32 Tensor
        On the device of `mask`. Before vertices cut its corners, the outline encloses half a pixel less than
        the object has.

    Raises
    ------
    ValueError
        If `mask` is not ``(H, W)`` and boolean, or has no foreground.
    """
    if mask.ndim != 2 or mask.dtype != torch.bool:
        raise ValueError(f"mask: expected a boolean (H, W), got {mask.dtype} {tuple(mask.shape)}.")
    if not mask.any():
        raise ValueError("mask: expected at least one foreground pixel, got none. Leave such masks out.")
    pixels = np.pad(mask.cpu().numpy(), 1)
    labels, objects = ndimage.label(pixels, np.ones((3, 3)))
    largest = int(np.bincount(labels.ravel(), minlength=objects + 1)[1:].argmax()) + 1
    filled = ndimage.binary_fill_holes(labels == largest)
    # With holes filled there is one outline; it is closed, and the last vertex repeats the first.
    find: Callable[..., list[NDArray[np.float64]]] = find_contours
    (outline,) = find(filled.astype(np.float32), 0.5, fully_connected="high")
    outline = outline[:-1] - 1
    y, x = outline.T
    if (y * np.roll(x, -1) - x * np.roll(y, -1)).sum() < 0:
        outline = outline[::-1]
    outline = np.roll(outline, -int(outline[:, 0].argmin()), 0)
    vertices = torch.from_numpy(outline.astype(np.float32)).to(mask.device)
    return resample(vertices[None], count)[0]


def _shared_out(length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """On which of four arcs ``(N, 4)`` a vertex lies, and what share of it comes before: ``(N, count)``."""
    total = length.sum(1, True)
    wish = (count - 4) * length / torch.where(total > 0, total, 1)
    vertices = (wish - 1e-3).clamp(min=0).floor().long()  # rounding must not share out too many
    left = count - 4 - vertices.sum(1, True)  # those with the largest remainders get one more
    rank = (vertices - wish).argsort(stable=True, dim=1).argsort(1)
    vertices = 1 + vertices + (rank < left) + (left > 4) * (left - 4) * (rank == 0)
    upto = vertices.cumsum(1)
    number = torch.arange(count, device=length.device).expand(len(length), -1).contiguous()
    arc = torch.searchsorted(upto, number, right=True)
    before = number - (upto - vertices).gather(1, arc)
    return arc, before.to(length) / vertices.gather(1, arc)


def _angle(way: Tensor, share: Tensor) -> Tensor:
    """Angles ``(N, count)`` at which a share of the way ``(N, count, steps + 1)`` lies behind."""
    at = (share * way[..., -1])[..., None]
    step = torch.searchsorted(way, at, right=True).clamp(1, _STEPS)
    begin, end = way.gather(-1, step - 1), way.gather(-1, step)
    part = (at - begin) / torch.where(end > begin, end - begin, 1)
    return ((step - 1 + part) * (math.pi / 2 / _STEPS))[..., 0]


def _check(given: Tensor, shape: tuple[int, ...], count: int, least: int) -> None:
    if given.shape[1:] != shape or not given.is_floating_point():
        wanted = ", ".join(["N", *map(str, shape)])
        raise ValueError(f"expected a floating-point ({wanted}), got {given.dtype} {tuple(given.shape)}.")
    if count < least:
        raise ValueError(f"count: expected at least {least} vertices, got {count}.")
