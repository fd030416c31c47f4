"""Level sets against what is known of circles, planes and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import find_contours
from torch.autograd import gradcheck

from napari_segsize.losses.levelset import motion_target, truncated_distance
from napari_segsize.ops.levelset import (
    curvature,
    diffusion_rate,
    dirac,
    distance_regularisation,
    divergence,
    evolve,
    gradient,
    heaviside,
    laplacian,
    neumann,
    step,
)


def ball(radius: float, side: int = 48, dims: int = 2, centre: float | None = None) -> torch.Tensor:
    """Exact distance to a circle or sphere, positive inside."""
    middle = (side - 1) / 2 if centre is None else centre
    away = torch.meshgrid(*[torch.arange(side, dtype=torch.float64) - middle] * dims, indexing="ij")
    return (radius - torch.stack(away).square().sum(0).sqrt())[None, None]


def enclosed(phi: torch.Tensor) -> float:
    total = 0.0
    for ring in find_contours(phi[0, 0].numpy(), 0.0):
        y, x = ring[:-1].T
        total += abs((y * np.roll(x, -1) - x * np.roll(y, -1)).sum()) / 2
    return total


def overlap(phi: torch.Tensor, truth: torch.Tensor) -> float:
    inside = phi[0, 0] > 0
    return float((inside & truth).sum() / (inside | truth).sum())


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 5)])
def test_differences_equal_a_loop_over_pixels(shape):
    phi = torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slopes, bends = gradient(phi), laplacian(phi)
    assert slopes.shape == (2, len(shape), *shape)
    for n in range(2):
        for place in np.ndindex(shape):
            total = 0.0
            for axis, side in enumerate(shape):
                before, after = list(place), list(place)
                before[axis], after[axis] = max(place[axis] - 1, 0), min(place[axis] + 1, side - 1)
                low, high, here = (float(phi[n, 0][tuple(each)]) for each in (before, after, place))
                assert float(slopes[n, axis][place]) == pytest.approx((high - low) / 2)
                total += high + low - 2 * here
            assert float(bends[n, 0][place]) == pytest.approx(total)


def test_the_divergence_of_a_slope_adds_up_its_own_differences():
    field = torch.randn(1, 2, 6, 5, dtype=torch.float64)
    expected = gradient(field[:, :1])[:, :1] + gradient(field[:, 1:])[:, 1:]
    assert torch.allclose(divergence(field), expected)


@pytest.mark.parametrize("radius", [8.0, 9.5, 14.0, 20.0])
@pytest.mark.parametrize("centre", [23.5, 23.0, 23.3])
def test_the_curvature_of_a_circle_is_within_two_percent(radius, centre):
    phi = ball(radius, centre=centre)
    near = phi.abs() < 1
    expected = -1 / (radius - phi[near])
    assert ((curvature(phi)[near] - expected) / expected).abs().max() < 0.02


def test_the_curvature_of_a_sphere_counts_both_directions():
    phi = ball(9.0, side=26, dims=3)
    near = phi.abs() < 0.7
    expected = -2 / (9.0 - phi[near])
    assert ((curvature(phi)[near] - expected) / expected).abs().max() < 0.03


def test_a_hole_has_the_opposite_curvature_and_a_plane_none():
    phi = ball(9.0)
    assert torch.allclose(curvature(-phi), -curvature(phi))
    plane = torch.arange(12.0).expand(12, 12)[None, None] - 5.2
    assert curvature(plane).abs().max() < 1e-6
    assert curvature(torch.zeros(1, 1, 6, 6)).abs().max() == 0


def test_the_curvature_of_a_point_is_limited():
    phi = ball(3.0)
    assert curvature(phi, limit=0.5).abs().max() == 0.5
    assert curvature(phi, limit=5.0).abs().max() > 0.5


@pytest.mark.parametrize("geometric", [True, False])
def test_a_circle_shrinks_by_the_area_law(geometric):
    # dA/dt = -2 pi, whatever the radius; without the slope's factor only while phi is a distance
    states = list(evolve(ball(16.0), steps=60, dt=0.5, modulation=1.0, geometric=geometric, regularisation=0))
    first, last = enclosed(states[0]), enclosed(states[-1 if geometric else 6])
    passed = 30.0 if geometric else 3.0
    assert (last - first) / passed == pytest.approx(-2 * math.pi, rel=0.01 if geometric else 0.08)


def test_the_slope_does_not_matter_to_the_geometric_flow():
    options = {"steps": 20, "dt": 0.5, "modulation": 1.0, "regularisation": 0.0}
    ends = {}
    for geometric in (True, False):
        for steepness in (1, 3):
            start = steepness * ball(12.0)
            ends[geometric, steepness] = enclosed(list(evolve(start, geometric=geometric, **options))[-1])
    assert ends[True, 3] == pytest.approx(ends[True, 1], rel=1e-6)
    assert ends[False, 3] > ends[False, 1] + 5


@pytest.mark.parametrize("start", [7.0, 18.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_contours_from_inside_and_from_outside_reach_the_object(start, dtype):
    y, x = torch.meshgrid(torch.arange(48.0) - 23.5, torch.arange(48.0) - 23.5, indexing="ij")
    truth = (y / 10) ** 2 + (x / 13) ** 2 < 1
    motion = motion_target(truth[None, None]).to(dtype)
    states = list(evolve(ball(start).to(dtype), steps=20, dt=1.25, motion=motion, width=2.25))
    assert overlap(states[0], truth) < 0.5
    assert overlap(states[-1], truth) > 0.95
    # with the gradient of the signed distance, a start inside shrinks
    wrong = motion * torch.where(truth, -1, 1)
    lost = list(evolve(ball(7.0).to(dtype), steps=20, dt=1.25, motion=wrong, width=2.25))
    assert overlap(lost[-1], truth) < overlap(lost[0], truth) / 2


@pytest.mark.parametrize("off", [-2.5, 4.0])
def test_a_hole_and_a_bay_are_found_again(off):
    y, x = torch.meshgrid(torch.arange(48.0) - 23.5, torch.arange(48.0) - 23.5, indexing="ij")
    truth = (y.abs() < 17) & (x.abs() < 19) & ~((y > 2) & (x.abs() < 4)) & ~((y + 9) ** 2 + x**2 < 16)
    motion = motion_target(truth[None, None])
    start = truncated_distance(truth[None, None]) + off
    states = list(evolve(start, steps=10, dt=1.25, motion=motion, width=2.25))
    assert overlap(states[0], truth) < 0.75
    assert overlap(states[-1], truth) > 0.95
    assert states[-1][0, 0, 14, 23] < 0  # the hole


def test_only_pixels_within_the_window_move():
    phi = ball(12.0)
    motion = torch.zeros(1, 2, 48, 48, dtype=torch.float64)
    motion[:, 0] = 0.5
    moved = step(phi, dt=1.0, motion=motion, width=3.0, regularisation=0) - phi
    inner = torch.zeros_like(phi, dtype=torch.bool)
    inner[..., 1:-1, 1:-1] = True
    assert moved[(phi.abs() >= 3.0) & inner].abs().max() == 0
    assert moved[(phi.abs() < 1.0) & inner].abs().max() > 0.3
    everywhere = step(phi, dt=1.0, motion=motion, regularisation=0) - phi
    assert (everywhere[(phi.abs() >= 3.0) & inner].abs() > 0.1).any()


def test_the_window_and_the_share_of_a_pixel():
    phi = torch.tensor([-9.0, -3.0, -1.5, 0.0, 1.5, 3.0, 9.0])
    assert torch.allclose(dirac(phi, width=3.0), torch.tensor([0, 0, 0.5, 1, 0.5, 0, 0]), atol=1e-6)
    share = heaviside(phi, width=1.5)
    assert share[3] == 0.5
    assert share[4] == pytest.approx(0.75)
    assert torch.allclose(share + share.flip(0), torch.ones(7))
    assert heaviside(torch.tensor([2.0]), width=0.1) > heaviside(torch.tensor([2.0]), width=4.0)


def test_the_border_repeats_pixels_further_in_and_leaves_the_caller_his_tensor():
    phi = torch.arange(30.0).reshape(1, 1, 5, 6)
    before = phi.clone()
    found = neumann(phi)
    assert torch.equal(phi, before)
    assert torch.equal(found[0, 0, 1:-1, 1:-1], phi[0, 0, 1:-1, 1:-1])
    assert torch.equal(found[0, 0, 0, 1:-1], phi[0, 0, 2, 1:-1])
    corners = [(0, 0, 2, 2), (0, 5, 2, 3), (4, 0, 2, 2), (4, 5, 2, 3)]
    for y, x, inner_y, inner_x in corners:
        assert found[0, 0, y, x] == phi[0, 0, inner_y, inner_x]
    assert neumann(torch.zeros(1, 1, 2, 5)).shape == (1, 1, 2, 5)
    cube = neumann(torch.randn(1, 1, 4, 5, 6))
    assert torch.equal(cube[..., 0, :, :], cube[..., 2, :, :])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_double_well_rests_at_slopes_of_zero_a_half_and_one(dtype):
    slopes = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 2.0], dtype=dtype)
    expected = torch.tensor([1.0, 2 / math.pi, 0.0, -2 / (3 * math.pi), 0.0, 0.5], dtype=dtype)
    assert torch.allclose(diffusion_rate(slopes), expected, atol=1e-6 if dtype == torch.float32 else 1e-14)


@pytest.mark.parametrize("amount", [0.15, -0.15])
def test_regularisation_brings_slopes_back_to_one(amount):
    exact = ball(12.0)
    phi = exact + amount * torch.sin(1.2 * exact)
    near = exact.abs() < 5

    def off(phi: torch.Tensor) -> float:
        return float((gradient(phi).square().sum(1, keepdim=True).sqrt() - 1)[near].abs().mean())

    before = off(phi)
    for _ in range(30):
        phi = phi + 0.2 * distance_regularisation(phi)
    assert off(phi) < 0.2 * before


def test_regularisation_removes_a_chessboard():
    board = (torch.arange(10)[:, None] + torch.arange(10)) % 2
    phi = 0.1 * (2.0 * board[None, None] - 1)
    assert (phi + 0.2 * distance_regularisation(phi)).abs()[..., 2:-2, 2:-2].max() < 0.1


@given(st.floats(0.05, 3.0), st.floats(0.5, 6.0))
@settings(max_examples=40, deadline=None)
def test_within_the_bound_no_two_pixels_change_order(fast, width):
    line = torch.linspace(-8, 8, 161, dtype=torch.float64).expand(3, 161)[None, None] * 1.0
    motion = torch.zeros(1, 2, 3, 161, dtype=torch.float64)
    motion[:, 1] = -fast / 0.1  # the slope is 0.1 a pixel
    dt = 2 * width / math.pi / (fast / 0.1)
    moved = step(line, dt=dt, motion=motion, width=width, regularisation=0)
    assert (moved[0, 0, 1, 1:-1].diff() >= -1e-9).all()
    with pytest.raises(ValueError, match="expected at most"):
        step(line, dt=1.01 * dt, motion=motion, width=width)


def test_steps_beyond_stability_are_refused_with_the_bound():
    phi = ball(8.0)
    with pytest.raises(ValueError, match=r"dt: expected at most 0\.5 with a curvature of weight 1"):
        step(phi, dt=0.6, modulation=1.0)
    with pytest.raises(ValueError, match=r"dt: expected at most 0\.25"):
        step(ball(4.0, side=12, dims=3), dt=0.3, modulation=1.0, regularisation=0.1)
    with pytest.raises(ValueError, match=r"regularisation: expected 0 to 0\.25"):
        step(phi, dt=0.1, regularisation=0.3)
    with pytest.raises(ValueError, match=r"dt: expected at most 0\.5, where a motion of 2"):
        step(phi, dt=0.6, motion=torch.full((1, 2, 48, 48), math.sqrt(2), dtype=torch.float64))
    # the bound means something: beyond it curvature blows up noise that within it it smooths
    noise = phi + 0.3 * torch.randn(phi.shape, generator=torch.Generator().manual_seed(0), dtype=phi.dtype)
    calm = list(evolve(noise, steps=30, dt=0.5, modulation=1.0, geometric=True, regularisation=0))[-1]
    assert (calm - phi).abs()[..., 4:-4, 4:-4].max() < 6
    assert curvature(calm).abs().median() < curvature(noise).abs().median()


def test_gradients():
    generator = torch.Generator().manual_seed(1)
    phi = (truncated_distance(ball(3.0, side=9) > 0).double() + 0.3 * torch.rand(
        1, 1, 9, 9, generator=generator, dtype=torch.float64
    )).requires_grad_()  # fmt: skip
    motion = torch.rand(1, 2, 9, 9, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.rand(1, 1, 9, 9, generator=generator, dtype=torch.float64).requires_grad_()

    def two_steps(phi, motion, weight):
        options = {"dt": 0.4, "motion": motion, "modulation": weight, "width": 2.5}
        return step(step(phi, detach=False, **options), detach=False, geometric=True, **options)

    assert gradcheck(two_steps, (phi, motion, weight))
    assert gradcheck(curvature, (phi,))
    assert gradcheck(distance_regularisation, (phi,))


def test_by_default_no_gradient_passes_through_the_curvature():
    phi = ball(4.0, side=12).requires_grad_()
    free = step(phi, dt=0.5, modulation=1.0, regularisation=0)
    (slope,) = torch.autograd.grad(free.sum(), phi)
    bound = step(phi, dt=0.5, modulation=1.0, regularisation=0, detach=False)
    (other,) = torch.autograd.grad(bound.sum(), phi)
    assert torch.equal(slope, torch.autograd.grad(neumann(phi).sum(), phi)[0])
    assert not torch.equal(slope, other)


def test_evolve_yields_the_start_and_every_step():
    phi = ball(8.0)
    states = list(evolve(phi, steps=3, dt=0.4, modulation=1.0))
    assert len(states) == 4
    assert states[0] is phi
    with pytest.raises(ValueError, match="steps"):
        list(evolve(phi, steps=-1, dt=0.4))


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match="phi"):
        curvature(torch.zeros(4, 4))
    with pytest.raises(ValueError, match="phi"):
        gradient(torch.zeros(1, 1, 4, 4, dtype=torch.long))
    with pytest.raises(ValueError, match="field"):
        divergence(torch.zeros(1, 1, 4, 4))
    phi = ball(3.0, side=8)
    with pytest.raises(ValueError, match="motion"):
        step(phi, dt=0.1, motion=torch.zeros(1, 2, 4, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="modulation"):
        step(phi, dt=0.1, modulation=torch.zeros(1, 1, 4, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="width"):
        dirac(phi, width=0.0)
    with pytest.raises(ValueError, match="dt"):
        step(phi, dt=0.0)
