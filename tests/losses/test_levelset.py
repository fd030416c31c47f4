"""The losses on level sets: values by hand, what their parameters mean, and that a descent ends well."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import LOSSES
from napari_segsize.losses.levelset import (
    MotionDirectionLoss,
    PhiBceLoss,
    PhiDistanceLoss,
    motion_direction_loss,
    motion_target,
    phi_bce_loss,
    phi_distance_loss,
    truncated_distance,
)
from napari_segsize.losses.microscope import microscope
from napari_segsize.ops.signed_distance import signed_distance


def square(side: int = 12, low: int = 3, high: int = 9) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side, dtype=torch.bool)
    mask[..., low:high, low:high] = True
    return mask


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_distance_is_positive_inside_and_cut_off():
    mask = square()
    found = truncated_distance(mask, truncation=2.0)
    assert torch.equal(found, signed_distance(mask).clamp(-2, 2))
    assert found[0, 0, 6, 6] == 2.0
    assert found[0, 0, 3, 6] == 0.5
    wide = torch.zeros(1, 1, 4, 256, dtype=torch.bool)
    wide[..., 0] = True
    assert truncated_distance(wide).min() == -30.0
    assert truncated_distance(torch.ones(1, 1, 4, 4), truncation=1.5).unique().tolist() == [1.5]


def test_the_true_distance_costs_nothing_and_every_pixel_off_its_square():
    mask = square()
    phi = truncated_distance(mask, truncation=3.0)
    assert phi_distance_loss(phi, mask, truncation=3.0) == 0
    assert phi_distance_loss(phi + 2, mask, truncation=3.0) == pytest.approx(4.0)
    assert phi_distance_loss(phi, mask, truncation=5.0) > 0


def test_the_way_off_an_outline_is_told_on_both_sides():
    motion = motion_target(square())
    assert motion[0, :, 6, 1].tolist() == [0, -1]  # left of it: to the left
    assert motion[0, :, 6, 4].tolist() == [0, 1]  # inside near the left edge: to the right
    assert motion[0, :, 1, 6].tolist() == [-1, 0]
    assert motion[0, :, 4, 6].tolist() == [1, 0]
    length = motion.square().sum(1).sqrt()
    assert (((length - 1).abs() < 1e-5) | (length == 0)).all()
    assert motion_target(torch.ones(1, 1, 5, 5)).abs().max() == 0
    assert motion_target(torch.zeros(1, 1, 4, 5, 6)).shape == (1, 3, 4, 5, 6)


def test_the_angle_counts_and_the_length_does_not():
    mask = square()
    wanted = motion_target(mask)
    turned = torch.stack([-wanted[:, 1], wanted[:, 0]], 1)
    least = math.acos(1 - 1e-4) ** 2
    assert motion_direction_loss(wanted, mask) == pytest.approx(least, rel=1e-2)
    assert motion_direction_loss(0.01 * wanted, mask) == pytest.approx(least, rel=1e-2)
    assert motion_direction_loss(turned, mask) == pytest.approx((math.pi / 2) ** 2, rel=1e-4)
    assert motion_direction_loss(-wanted, mask) == pytest.approx(math.acos(-(1 - 1e-4)) ** 2, rel=1e-4)
    assert torch.isfinite(motion_direction_loss(torch.zeros_like(wanted), mask))


def test_cross_entropy_by_hand():
    mask = square(4, 1, 3)
    share = 0.25
    high, low = 0.5 + math.atan(3.0 / 2.0) / math.pi, 0.5 - math.atan(3.0 / 2.0) / math.pi
    phi = torch.where(mask, 3.0, -3.0)
    expected = -(share * (1 - share) * math.log(high) + (1 - share) * share * math.log(1 - low))
    assert phi_bce_loss(phi, mask, width=2.0) == pytest.approx(expected, rel=1e-5)
    plain = phi_bce_loss(phi, mask, width=2.0, balanced=False)
    assert plain == pytest.approx(-math.log(high), rel=1e-5)


def test_a_smaller_width_asks_for_less_phi_to_be_sure():
    mask = square()
    phi = torch.where(mask, 1.0, -1.0)
    costs = [phi_bce_loss(phi, mask, width=width).item() for width in (0.1, 1.0, 5.0)]
    assert costs == sorted(costs)
    assert costs[0] < 0.1 * costs[2]


@pytest.mark.parametrize("shape", [(2, 1, 7, 9), (1, 1, 5, 6, 7)])
def test_distance_and_direction_equal_brute_force(shape):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.3
    phi = random(*shape)
    dims, places = len(shape) - 2, np.stack(np.meshgrid(*map(np.arange, shape[2:]), indexing="ij"), -1)
    places = places.reshape(-1, dims)
    for n in range(shape[0]):
        inside = mask[n, 0].numpy().ravel()
        total = 0.0
        for place, own, found in zip(places, inside, phi[n, 0].ravel().tolist(), strict=True):
            away = np.sqrt(((places[inside != own] - place) ** 2).sum(1)).min() - 0.5
            total += (found - min(away, 2.0) * (1 if own else -1)) ** 2
        value = phi_distance_loss(phi[[n]], mask[[n]], truncation=2.0)
        assert value.item() == pytest.approx(total / len(places), rel=1e-5)


def test_balance_gives_a_small_object_as_much_say_as_its_background():
    mask = square(20, 9, 11)
    missed = torch.full((1, 1, 20, 20), -2.0)
    flooded = torch.full((1, 1, 20, 20), 2.0)
    assert phi_bce_loss(missed, mask) == pytest.approx(float(phi_bce_loss(flooded, mask)), rel=1e-5)
    assert phi_bce_loss(missed, mask, balanced=False) < 0.1 * phi_bce_loss(flooded, mask, balanced=False)


def test_far_from_the_line_the_logarithm_stays_finite():
    mask = square()
    wrong = torch.where(mask, -1e30, 1e30).requires_grad_()
    value = phi_bce_loss(wrong, mask)
    assert value < 20
    (slope,) = torch.autograd.grad(value, wrong)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("shape", [(1, 1, 6, 7), (2, 1, 4, 5, 4)])
def test_gradients(shape):
    phi = random(*shape).requires_grad_()
    target = random(*shape, seed=1) > 0.3
    assert gradcheck(lambda z: phi_distance_loss(z, target), phi)
    assert gradcheck(lambda z: phi_bce_loss(z, target, width=0.7), phi)
    motion = random(shape[0], len(shape) - 2, *shape[2:], seed=2).requires_grad_()
    assert gradcheck(lambda v: motion_direction_loss(v, target), motion)


@pytest.mark.parametrize("loss", [phi_distance_loss, phi_bce_loss])
def test_a_descent_ends_at_the_mask(loss):
    mask = square()
    phi = random(1, 1, 12, 12).requires_grad_()
    descent = torch.optim.Adam([phi], 0.3)
    for _ in range(60):
        descent.zero_grad()
        loss(phi, mask).backward()
        descent.step()
    assert torch.equal(phi > 0, mask)


@pytest.mark.parametrize("loss", [phi_distance_loss, phi_bce_loss, motion_direction_loss])
def test_planes_without_a_mask_add_nothing(loss):
    target = square().double().repeat(3, 1, 1, 1)
    target[1] = torch.nan
    given = random(3, 2 if loss is motion_direction_loss else 1, 12, 12)
    each = loss(given, target, reduction="none")
    assert each.shape == (3, 1)
    assert each[1] == 0
    assert loss(given, target) == pytest.approx(float((each[0] + each[2]) / 2))


def test_an_object_without_an_outline_has_no_direction():
    motion = random(2, 2, 6, 6)
    assert motion_direction_loss(motion, torch.zeros(2, 1, 6, 6)) == 0
    assert phi_bce_loss(random(1, 1, 6, 6), torch.ones(1, 1, 6, 6)) == 0


def test_modules_are_thin_shells():
    phi, motion, mask = random(1, 1, 12, 12), random(1, 2, 12, 12), square()
    assert PhiDistanceLoss(2.0)(phi, mask) == phi_distance_loss(phi, mask, truncation=2.0)
    assert MotionDirectionLoss()(motion, mask) == motion_direction_loss(motion, mask)
    assert PhiBceLoss(3.0, False)(phi, mask) == phi_bce_loss(phi, mask, width=3.0, balanced=False)


def test_bad_input_is_named():
    phi, mask = random(1, 1, 12, 12), square()
    with pytest.raises(ValueError, match="truncation"):
        phi_distance_loss(phi, mask, truncation=0.0)
    with pytest.raises(ValueError, match="target"):
        phi_bce_loss(phi, mask[..., :4])
    with pytest.raises(ValueError, match="motion"):
        motion_direction_loss(phi, mask)
    with pytest.raises(ValueError, match="target"):
        motion_direction_loss(random(1, 2, 12, 12), mask[..., :4])


def test_the_microscope_takes_phi_as_it_is_and_fields_of_vectors():
    phi, mask = random(12, 12).numpy() * 0.1, square()[0, 0].numpy()
    view = microscope("phi_distance", phi, mask, truncation=3.0)
    wanted = truncated_distance(square(), truncation=3.0)[0, 0].double()
    assert view.value == pytest.approx(float((torch.from_numpy(phi) - wanted).square().mean()))
    assert np.allclose(view.gradient, 2 * (phi - wanted.numpy()) / 144, atol=1e-6)
    field = microscope("motion_direction", random(2, 12, 12).numpy(), mask)
    assert field.gradient.shape == (2, 12, 12)
    with pytest.raises(ValueError, match="field"):
        microscope("motion_direction", random(12, 12).numpy(), mask)
    assert {LOSSES[name].acts_on for name in ("phi_distance", "phi_bce")} == {"phi"}
