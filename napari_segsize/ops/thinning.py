"""Edges of masks, the directions across them, and edges thinned to lines: the geometry of STEAL.

A normal is an angle in [0, pi): across an edge, without saying to which side. It points along
``(sin(angle), cos(angle))`` in ``(y, x)``. Functions that must be differentiable carry the doubled angle as a
vector ``(cos 2a, sin 2a)``, which does not jump where an angle passes from pi to 0.

Acuna, Kar and Fidler, "Devil is in the edges: learning semantic boundaries from noisy annotations", CVPR
2019.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from napari_segsize.ops.distance import Border
from napari_segsize.ops.signed_distance import edge_distance, has_edge, signed_distance

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUNDING = 1e-5  # of the largest value of a map: differences below are none
_SLOPE = (1 / 12, -8 / 12, 0.0, 8 / 12, -1 / 12)  # central difference of the fourth order


def edge_map(mask: Tensor, radius: float = 2.0, *, border: Border = "ignore") -> Tensor:
    """Pixels near the outline of every mask, on both sides of it.

    Parameters
    ----------
    mask : (N, C, H, W) bool Tensor
        Every (n, c) plane is one mask with a background of its own.
    radius : float
        In px, at least 1: how far, from centre to centre, the nearest pixel of the other kind may be. The
        edge is ``2 * floor(radius)`` px wide along straight sides: 2 px for 1, 4 px for 2 (as published).
    border : {"ignore", "background"}
        What lies outside the image: unknown, so that an object cut off by the frame has no edge there; or
        background (as published, where masks are padded by 1 px).

    Returns
    -------
    (N, C, H, W) bool Tensor
        False throughout for a plane without outline.

    Raises
    ------
    ValueError
        If `mask` is not ``(N, C, H, W)`` boolean or `radius` is less than 1.
    """
    if mask.ndim != 4 or mask.dtype != torch.bool or 0 in mask.shape[2:]:
        raise ValueError(f"mask: expected boolean (N, C, H, W), got {tuple(mask.shape)} of {mask.dtype}.")
    if not 1 <= radius < math.inf:
        raise ValueError(f"radius: expected 1 px or more, got {radius}.")
    padded = functional.pad(mask, (1, 1, 1, 1)) if border == "background" else mask
    near = (edge_distance(padded) <= radius) & has_edge(padded)[..., None, None]
    return near[..., 1:-1, 1:-1] if border == "background" else near


def outline_map(mask: Tensor, *, border: Border = "ignore") -> Tensor:
    """The outermost pixels of every object, a line 1 px wide: those beside a pixel of the background.

    Parameters
    ----------
    mask : (N, C, H, W) bool Tensor
    border : {"ignore", "background"}
        See `edge_map`.

    Returns
    -------
    (N, C, H, W) bool Tensor
        8-connected.
    """
    return edge_map(mask, 1.0, border=border) & mask


def triangle_filter(values: Tensor, radius: int) -> Tensor:
    """Smooth by a triangle, separably: weights 1, 2 … r + 1 … 2, 1 along both axes.

    Parameters
    ----------
    values : (N, C, H, W) float Tensor
    radius : int
        In px; 0 leaves the values as they are. Values beyond the image repeat those of its border.

    Returns
    -------
    (N, C, H, W) Tensor
        Differentiable.
    """
    if radius < 0:
        raise ValueError(f"radius: expected 0 px or more, got {radius}.")
    if radius == 0:
        return values
    weights = radius + 1.0 - torch.arange(-radius, radius + 1, device=values.device).abs()
    weights = weights / (radius + 1) ** 2
    return _along(_along(_framed(values, radius), weights, 2), weights, 3)


def ridge_directions(values: Tensor, *, smoothing: int = 4) -> Tensor:
    """Which way a map bends most, as the doubled angle: across its ridges, and across its valleys.

    Parameters
    ----------
    values : (N, C, H, W) float Tensor
        Edge probabilities, or any map.
    smoothing : int
        Radius in px of the triangle filter before the second derivatives; 4 as published. More is steadier,
        and rounds off where edges turn.

    Returns
    -------
    (N, C, 2, H, W) Tensor
        ``(cos 2a, sin 2a)`` times a length, how much more the map bends across than along; 0 where it is
        flat. Differentiable.

    Notes
    -----
    The eigenvector of the Hessian whose eigenvalue has the larger absolute value.
    """
    smooth = triangle_filter(_framed(_checked("values", values), 4), smoothing)
    slope = torch.tensor(_SLOPE)
    down, across = _along(smooth, slope, 2), _along(smooth, slope, 3)  # (…, H + 4, W + 8), (…, H + 8, W + 4)
    yy = _along(down, slope, 2)[..., 4:-4]
    xx = _along(across, slope, 3)[..., 4:-4, :]
    xy = _along(down, slope, 3)[..., 2:-2, 2:-2]
    # The direction of the larger eigenvalue; of the smaller one where the map bends down more than up.
    sign = torch.where(xx + yy < 0, -1.0, 1.0).to(values)
    return sign[:, :, None] * torch.stack((xx - yy, 2 * xy), 2)


def normals(edges: Tensor, *, smoothing: int = 4) -> Tensor:
    """The angle across the edges of a map, modulo pi.

    Parameters
    ----------
    edges : (N, C, H, W) float Tensor
        Edge probabilities.
    smoothing : int
        See `ridge_directions`.

    Returns
    -------
    (N, C, H, W) Tensor
        In [0, pi); the normal is ``(sin, cos)`` of it in ``(y, x)``. 0 where the map is flat.

    Notes
    -----
    The released code of the paper takes the arctangent of a ratio of second derivatives, which is the
    arctangent of the squared tangent: up to 12.8 degrees wrong, at 23.5. The eigenvector is right at every
    angle.
    """
    return _angle(ridge_directions(edges, smoothing=smoothing))


def mask_directions(mask: Tensor, *, smoothing: int = 4) -> Tensor:
    """Directions across the outlines of masks, as the unit vector of the doubled angle.

    Parameters
    ----------
    mask : (N, C, H, W) bool Tensor
    smoothing : int
        Radius in px of the triangle filter that evens out the steps of the pixels; more rounds off corners.

    Returns
    -------
    (N, C, 2, H, W) Tensor
        ``(cos 2a, sin 2a)``; ``(0, 0)`` in planes without outline, and where no direction prevails.

    Notes
    -----
    The leading eigenvector of the structure tensor of the signed distance, which is also right on objects 1
    or 2 px wide, where the gradients of both sides cancel.
    """
    distance = triangle_filter(_framed(signed_distance(mask), 2), 1)
    slope = torch.tensor(_SLOPE)
    down, across = _along(distance, slope, 2)[..., 2:-2], _along(distance, slope, 3)[..., 2:-2, :]
    doubled = torch.stack((across**2 - down**2, 2 * down * across), 2)
    doubled = torch.stack([triangle_filter(each, smoothing) for each in doubled.unbind(2)], 2)
    length = doubled.norm(dim=2, keepdim=True)
    seen = (length > _ROUNDING) & has_edge(mask)[..., None, None, None]
    return torch.where(seen, doubled / length.clamp(min=_ROUNDING), 0)


def normals_of_mask(mask: Tensor, *, smoothing: int = 4) -> Tensor:
    """The angle across the nearest outline of every mask, modulo pi: `mask_directions` as an angle.

    Returns
    -------
    (N, C, H, W) Tensor
        In [0, pi); 0 in planes without outline.
    """
    return _angle(mask_directions(mask, smoothing=smoothing))


def sample_along(values: Tensor, angles: Tensor, offsets: Sequence[float]) -> Tensor:
    """Values of a map on a line through every pixel.

    Parameters
    ----------
    values : (N, C, H, W) float Tensor
    angles : (N, C, H, W) Tensor
        Of the lines.
    offsets : sequence of float
        Places on the line, in px from the pixel.

    Returns
    -------
    (N, C, T, H, W) Tensor
        One a place, interpolated bilinearly; beyond the image the border's. Differentiable in `values`.
    """
    _checked("values", values)
    if angles.shape != values.shape:
        raise ValueError(f"angles: expected {tuple(values.shape)} as the map, got {tuple(angles.shape)}.")
    height, width = values.shape[2:]
    places = torch.tensor(offsets, dtype=values.dtype, device=values.device)[:, None, None]
    rows = torch.arange(height, dtype=values.dtype, device=values.device)[:, None]
    columns = torch.arange(width, dtype=values.dtype, device=values.device)
    angles = angles.detach().to(values.dtype)[:, :, None]
    y = (rows + places * angles.sin()).clamp(0, height - 1)  # (N, C, T, H, W)
    x = (columns + places * angles.cos()).clamp(0, width - 1)
    top, left = y.floor().clamp(max=max(height - 2, 0)), x.floor().clamp(max=max(width - 2, 0))
    down, right = y - top, x - left
    flat = values.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        row, column = row.clamp(max=height - 1), column.clamp(max=width - 1)
        return flat.gather(2, (row * width + column).long().flatten(2)).view_as(y)

    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return upper * (1 - down) + lower * down


def thin(edges: Tensor, *, radius: int = 2, smoothing: int = 2, steadiness: int = 4, fade: int = 0) -> Tensor:
    """Keep an edge map only on the crest of its ridges: non-maximum suppression along the normal.

    Parameters
    ----------
    edges : (N, C, H, W) float Tensor
        Edge probabilities, at least 0.
    radius : int
        How far along the normal, on both sides, nothing may be higher, in px; 2 as published.
    smoothing : int
        Radius in px of the triangle filter before that; 2 as published. It lets plateaus have a crest; 0
        compares the values as they are.
    steadiness : int
        `smoothing` of `ridge_directions`.
    fade : int
        Edges within so many px of the frame fade out towards it. 0 by default: the published 5 hides the
        edges of objects that the frame cuts.

    Returns
    -------
    (N, C, H, W) Tensor
        The smoothed map where it is a maximum along its normal, else 0: lines 1 px wide, 2 where two pixels
        share the crest. A constant map has no ridge: 0 throughout. Differentiable in the values that are
        kept.
    """
    if radius < 1:
        raise ValueError(f"radius: expected 1 px or more, got {radius}.")
    smooth = triangle_filter(_checked("edges", edges), smoothing)
    with torch.no_grad():
        angles = normals(edges, smoothing=steadiness)
        offsets = [float(step) for step in range(-radius, radius + 1) if step]
        around = sample_along(smooth, angles, offsets)
        slack = _ROUNDING * smooth.abs().amax((2, 3), keepdim=True)
        crest = (smooth >= around.amax(2) - slack) & (smooth > around.amin(2) + slack)
    kept = torch.where(crest, smooth, 0)
    return kept * _fading(kept, fade) if fade else kept


def _fading(values: Tensor, fade: int) -> Tensor:
    """From 0 on the frame up to 1, `fade` px away from it."""
    ways = [torch.arange(side, dtype=values.dtype, device=values.device) for side in values.shape[2:]]
    rows, columns = (torch.minimum(way, way.flip(0)) for way in ways)
    return (torch.minimum(rows[:, None], columns) / fade).clamp(max=1)


def _angle(doubled: Tensor) -> Tensor:
    cosine, sine = doubled.unbind(2)
    angle = torch.atan2(sine, cosine) / 2
    turned = torch.where(angle < 0, angle + math.pi, angle)
    return torch.where(turned < math.pi, turned, 0)  # a little below 0 rounds to pi


def _framed(values: Tensor, width: int) -> Tensor:
    """With the values of the border repeated around it."""
    return functional.pad(values, (width, width, width, width), mode="replicate")


def _along(values: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Correlate along one axis; only where the weights lie within."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    kernel = weights.to(values).reshape(shape)
    planes = values.reshape(-1, 1, *values.shape[2:])
    found = functional.conv2d(planes, kernel)
    return found.reshape(*values.shape[:2], *found.shape[2:])


def _checked(name: str, values: Tensor) -> Tensor:
    if values.ndim != 4 or not values.is_floating_point() or 0 in values.shape[2:]:
        raise ValueError(
            f"{name}: expected (N, C, H, W) floats with at least one pixel, got {tuple(values.shape)} of "
            f"{values.dtype}."
        )
    return values
