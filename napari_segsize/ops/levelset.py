"""Level sets: a contour as the zero line of a function, positive inside, and how it moves one step."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FLAT = 1e-8  # slopes below are none: squared, it keeps the root's gradient finite


def gradient(phi: Tensor) -> Tensor:
    """Central differences; beyond its edge the function goes on with its edge values (Neumann).

    Parameters
    ----------
    phi : (N, 1, *spatial) float Tensor
        2-D or 3-D.

    Returns
    -------
    (N, D, *spatial) Tensor
        Per pixel, along ``(y, x)`` or ``(z, y, x)``. Differentiable.

    Raises
    ------
    ValueError
        If `phi` has another shape, or is no floating-point tensor.
    """
    _check(phi)
    wide = _padded(phi)
    parts = [_at(wide, {axis: 1}) - _at(wide, {axis: -1}) for axis in range(phi.ndim - 2)]
    return torch.cat(parts, 1) / 2


def divergence(field: Tensor) -> Tensor:
    """Sum of the central differences of a field ``(N, D, *spatial)`` along its own axes: (N, 1, *spatial)."""
    dims = field.ndim - 2
    if dims not in (2, 3) or field.shape[1] != dims:
        raise ValueError(
            f"field: expected (N, D, *spatial) with D spatial axes, 2 or 3, got {tuple(field.shape)}."
        )
    wide = _padded(field)
    parts = [
        _at(wide[:, axis : axis + 1], {axis: 1}) - _at(wide[:, axis : axis + 1], {axis: -1})
        for axis in range(dims)
    ]
    return torch.stack(parts).sum(0) / 2


def laplacian(phi: Tensor) -> Tensor:
    """Sum of the second differences over next neighbours of `phi` ``(N, 1, *spatial)``."""
    _check(phi)
    wide = _padded(phi)
    parts = [_at(wide, {axis: 1}) + _at(wide, {axis: -1}) - 2 * phi for axis in range(phi.ndim - 2)]
    return torch.stack(parts).sum(0)


def curvature(phi: Tensor, *, limit: float = 1.0) -> Tensor:
    """Divergence of the unit normal: curvature of the line through a pixel; in 3-D twice the mean curvature.

    Parameters
    ----------
    phi : (N, 1, *spatial) float Tensor
        Positive inside: a convex object has **negative** curvature, -1/r on a circle, -2/r on a sphere.
    limit : float
        Largest absolute value, per pixel: the grid shows no circle narrower than a pixel, and where the slope
        vanishes the formula has no value.

    Returns
    -------
    (N, 1, *spatial) Tensor
        Per pixel; 0 where `phi` is flat. Within 2 % on circles of 8 px radius and more. Differentiable.

    Notes
    -----
    ``(|g|^2 laplacian - g H g) / |g|^3`` with gradient g and Hessian H, from next neighbours: unlike
    differences of differences it sees a chessboard pattern.
    """
    _check(phi)
    wide = _padded(phi)
    axes = range(phi.ndim - 2)
    first = [(_at(wide, {a: 1}) - _at(wide, {a: -1})) / 2 for a in axes]
    second = [_at(wide, {a: 1}) + _at(wide, {a: -1}) - 2 * phi for a in axes]
    square = torch.stack([each**2 for each in first]).sum(0)
    bent = torch.zeros_like(phi)
    for a in axes:
        bent = bent + second[a] * (square - first[a] ** 2)
    for a, b in combinations(axes, 2):
        mixed = _at(wide, {a: 1, b: 1}) + _at(wide, {a: -1, b: -1})
        mixed = (mixed - _at(wide, {a: 1, b: -1}) - _at(wide, {a: -1, b: 1})) / 4
        bent = bent - 2 * first[a] * first[b] * mixed
    return (bent / (square + _FLAT) ** 1.5).clamp(-limit, limit)


def heaviside(phi: Tensor, *, width: float = 1.0) -> Tensor:
    """Share of a pixel that counts as inside: ``1/2 + atan(phi / width) / pi``, 1/2 on the line [1]_.

    Parameters
    ----------
    phi : Tensor
        Positive inside.
    width : float
        In pixels. Wider lets pixels farther from the line have a say, and blurs it.

    References
    ----------
    .. [1] Chan and Vese, "Active contours without edges", IEEE TIP, 2001, eq. for H_2.
    """
    _check_positive("width", width)
    return 0.5 + torch.atan(phi / width) / math.pi


def dirac(phi: Tensor, *, width: float) -> Tensor:
    """Which pixels move with the line: a cosine window, 1 on the line and 0 from `width` pixels on.

    Its peak, not its integral, is 1, so that a force of one pixel moves the line by one pixel.
    """
    _check_positive("width", width)
    window = (1 + torch.cos(math.pi * phi.clamp(-width, width) / width)) / 2
    return torch.where(phi.abs() < width, window, 0)


def neumann(phi: Tensor) -> Tensor:
    """A copy whose outermost pixels repeat those two further in, corners too: no slope across the border.

    `phi` itself ``(N, 1, *spatial)`` stays as it is. An axis of fewer than 3 pixels has no such pixels and is
    left alone.
    """
    _check(phi)
    for axis in range(2, phi.ndim):
        if phi.shape[axis] < 3:
            continue
        inner = phi.narrow(axis, 1, phi.shape[axis] - 2)
        first, last = phi.narrow(axis, 2, 1), phi.narrow(axis, phi.shape[axis] - 3, 1)
        phi = torch.cat([first, inner, last], axis)
    return phi


def diffusion_rate(slope: Tensor) -> Tensor:
    """How strongly, and in which direction, a slope is mended: ``p'(s) / s`` of the double well [1]_.

    Parameters
    ----------
    slope : Tensor
        Not negative.

    Returns
    -------
    Tensor
        1 at slope 0 and 0 at slopes 1/2 and 1, in any precision; negative between these two (slopes there
        grow steeper), positive beyond 1 (they become flatter), at most 1.

    References
    ----------
    .. [1] Li et al., "Distance regularized level set evolution and its application to image segmentation",
       IEEE TIP, 2010, eqs. 16 to 18.
    """
    return torch.where(slope <= 1, torch.sinc(2 * slope.clamp(max=1)), 1 - 1 / slope.clamp(min=1))


def distance_regularisation(phi: Tensor) -> Tensor:
    """What keeps `phi` a distance near its zero line (slope 1) and flat away from it (slope 0).

    ``div(d(|grad phi|) grad phi)`` with `diffusion_rate` d; the part that is plain diffusion is taken from
    next neighbours, so that no chessboard pattern escapes it.

    Parameters
    ----------
    phi : (N, 1, *spatial) float Tensor

    Returns
    -------
    (N, 1, *spatial) Tensor
        To be added with a weight of at most 1 / (2 D).
    """
    slopes = gradient(phi)
    steepness = ((slopes**2).sum(1, keepdim=True) + _FLAT**2).sqrt()
    return divergence((diffusion_rate(steepness) - 1) * slopes) + laplacian(phi)


def step(
    phi: Tensor,
    *,
    dt: float,
    motion: Tensor | None = None,
    modulation: Tensor | float = 0.0,
    width: float | None = None,
    regularisation: float = 0.2,
    geometric: bool = False,
    detach: bool = True,
) -> Tensor:
    """Move the zero line one step: ``phi + dt dirac(phi) (V . grad phi + g curvature)``, then regularise.

    Parameters
    ----------
    phi : (N, 1, *spatial) float Tensor
        Positive inside.
    dt : float
        Length of the step. With a `motion` of length 1 the line moves by up to `dt` pixels.
    motion : (N, D, *spatial) Tensor, optional
        V, in pixels. The line moves along **-V**: a field that points away from an outline on both of its
        sides draws the line to it.
    modulation : (N, 1, *spatial) Tensor or float
        g, how much the curvature counts at a pixel: more smooths, and shrinks what is convex.
    width : float, optional
        Half-width of the `dirac` window in pixels. None moves every pixel alike.
    regularisation : float
        Weight of `distance_regularisation` afterwards; 0 leaves it out.
    geometric : bool
        Multiply the curvature by the slope of `phi`: the zero line then moves by its curvature whatever the
        slope. The published evolution does not.
    detach : bool
        As published, let no gradient pass through curvature and regularisation.

    Returns
    -------
    (N, 1, *spatial) Tensor
        Differentiable in `phi`, `motion` and `modulation`.

    Raises
    ------
    ValueError
        If a shape does not fit, or a step is too long to be stable; the sentence says the bound: that no two
        pixels change order (``dt |V| <= 2 width / pi``, without a window one pixel), that the curvature
        does not overshoot (``dt g <= 1/2``; over D - 1 in 3-D), and ``regularisation <= 1 / (2 D)``.

    References
    ----------
    .. [1] Wang et al., "Object instance annotation with deep extreme level set evolution", CVPR 2019, eqs. 6
       to 9. The published evolution has negative values inside; changing the sign of phi leaves the
       equation as it is.
    """
    _check(phi)
    check_step(
        phi.ndim - 2, dt=dt, motion=motion, modulation=modulation, width=width, regularisation=regularisation
    )
    fixed = phi.detach() if detach else phi
    force = torch.zeros_like(phi)
    if motion is not None:
        _check_field("motion", motion, (len(phi), phi.ndim - 2, *phi.shape[2:]))
        force = force + (motion * gradient(phi)).sum(1, keepdim=True)
    if isinstance(modulation, Tensor) or modulation:
        if isinstance(modulation, Tensor):
            _check_field("modulation", modulation, tuple(phi.shape))
        bend = curvature(fixed)
        if geometric:
            bend = bend * ((gradient(fixed) ** 2).sum(1, keepdim=True) + _FLAT**2).sqrt()
        force = force + modulation * bend
    window: Tensor | float = 1.0 if width is None else dirac(phi, width=width)
    moved = phi + dt * window * force
    if regularisation:
        moved = moved + regularisation * distance_regularisation(moved.detach() if detach else moved)
    return neumann(moved)


def evolve(phi: Tensor, *, steps: int, **options: object) -> Iterator[Tensor]:
    """Yield `phi` and what becomes of it in each of `steps` steps; `options` are those of `step`."""
    if steps < 0:
        raise ValueError(f"steps: expected 0 or more, got {steps}.")
    yield phi
    for _ in range(steps):
        phi = step(phi, **options)  # type: ignore[arg-type]  # passed on as they came
        yield phi


def check_step(
    dims: int,
    *,
    dt: float,
    motion: Tensor | float | None = None,
    modulation: Tensor | float = 0.0,
    width: float | None = None,
    regularisation: float = 0.2,
) -> None:
    """Raise a `ValueError` with the bound unless a `step` in `dims` dimensions is stable."""
    _check_positive("dt", dt)
    fastest = _longest(motion)
    reach = 1.0 if width is None else 2 * width / math.pi
    if dt * fastest > reach * (1 + 1e-5):
        raise ValueError(
            f"dt: expected at most {reach / fastest:.4g}, where a motion of {fastest:.3g} px moves the line "
            f"by {reach:.4g} px, got {dt:.4g}. Take a smaller step, or more of them."
        )
    weight = float(modulation.detach().abs().amax()) if isinstance(modulation, Tensor) else abs(modulation)
    if dt * weight * (dims - 1) > 0.5 * (1 + 1e-5):
        raise ValueError(
            f"dt: expected at most {0.5 / (weight * (dims - 1)):.4g} with a curvature of weight "
            f"{weight:.3g}, got {dt:.4g}. Take a smaller step, or lower the modulation."
        )
    if not 0 <= regularisation <= 1 / (2 * dims) + 1e-9:
        raise ValueError(
            f"regularisation: expected 0 to {1 / (2 * dims):.4g} in {dims} dimensions, "
            f"got {regularisation:.4g}."
        )


def _longest(motion: Tensor | float | None) -> float:
    if motion is None:
        return 0.0
    if not isinstance(motion, Tensor):
        return abs(motion)
    return float((motion.detach() ** 2).sum(1).amax().sqrt()) if motion.numel() else 0.0


def _padded(values: Tensor) -> Tensor:
    return functional.pad(values, (1, 1) * (values.ndim - 2), mode="replicate")


def _at(wide: Tensor, shift: dict[int, int]) -> Tensor:
    """Values of the neighbour at `shift` (spatial axis to -1 or 1), from values padded by one pixel."""
    for axis in range(wide.ndim - 2):
        wide = wide.narrow(2 + axis, 1 + shift.get(axis, 0), wide.shape[2 + axis] - 2)
    return wide


def _check(phi: Tensor) -> None:
    if phi.ndim not in (4, 5) or phi.shape[1] != 1 or not phi.is_floating_point() or 0 in phi.shape[2:]:
        raise ValueError(
            "phi: expected a floating-point (N, 1, *spatial) with 2 or 3 spatial axes, "
            f"got {phi.dtype} {tuple(phi.shape)}."
        )


def _check_field(name: str, field: Tensor, expected: Sequence[int]) -> None:
    if tuple(field.shape) != tuple(expected):
        raise ValueError(f"{name}: expected {tuple(expected)}, got {tuple(field.shape)}.")


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: expected more than 0, got {value}.")
