from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import (
    BalloonLoss,
    ContourSegmentationLoss,
    CurvatureLoss,
    ExtremePointsLoss,
    balloon_loss,
    contour_segmentation_loss,
    curvature_loss,
    extreme_points_loss,
)
from napari_segsize.losses.contour import BALLOON_WEIGHT, CURVATURE_WEIGHT
from napari_segsize.ops.points import extreme_points
from napari_segsize.ops.polygon import polygon_mask

SHAPE = (14, 18)


def ring(radius: float, count: int, centre: tuple[float, float] = (6.3, 8.4)) -> torch.Tensor:
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    return torch.stack([centre[0] + radius * angle.sin(), centre[1] + radius * angle.cos()], -1)[None]


def box(top: float, left: float, bottom: float, right: float) -> torch.Tensor:
    corners = [[top, left], [bottom, left], [bottom, right], [top, right]]
    return torch.tensor([corners], dtype=torch.float64)


def wild(*lead: int, count: int = 7) -> torch.Tensor:
    """Polygons that cross themselves, and the image's border."""
    return torch.rand(*lead, count, 2, dtype=torch.float64) * torch.tensor([16.0, 20.0]) - 1


def descended(loss, contours: torch.Tensor, steps: int = 300, rate: float = 0.1) -> torch.Tensor:
    moved = contours.clone().requires_grad_()
    optimizer = torch.optim.Adam([moved], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(moved).backward()
        optimizer.step()
    return moved.detach()


# segmentation and balloon


def test_segmentation_equals_its_definition_summed_over_iterations():
    contours, target = wild(3, 2), torch.rand(2, 1, *SHAPE, dtype=torch.float64)
    expected = sum(((polygon_mask(each, SHAPE) - target) ** 2).mean() for each in contours)
    assert torch.allclose(contour_segmentation_loss(contours, target), expected)
    alone = contour_segmentation_loss(contours[0], target)
    assert torch.allclose(contour_segmentation_loss(contours[:1], target), alone)
    each = contour_segmentation_loss(contours, target, reduction="none")
    assert each.shape == (3, 2)
    assert torch.allclose(each.mean(1).sum(), expected)


def test_segmentation_gradient():
    contours, target = wild(2, 2).requires_grad_(), torch.rand(2, 1, *SHAPE, dtype=torch.float64)
    assert gradcheck(lambda c: contour_segmentation_loss(c, target), contours)


def test_segmentation_alone_finds_the_object():
    truth = ring(5.0, 40)
    target = polygon_mask(truth, SHAPE)
    found = descended(lambda c: contour_segmentation_loss(c, target), ring(2.0, 16, (5.0, 9.0)))
    assert ((polygon_mask(found, SHAPE) > 0.5) == (target > 0.5)).float().mean() > 0.97


def test_unknown_targets_have_no_term():
    contours = wild(3).requires_grad_()
    target = torch.rand(3, 1, *SHAPE)
    target[1, 0, 3, 3] = torch.nan
    value = contour_segmentation_loss(contours, target)
    value.backward()
    assert torch.allclose(value, contour_segmentation_loss(contours[[0, 2]], target[[0, 2]]))
    assert (contours.grad[1] == 0).all()
    nothing = contour_segmentation_loss(contours, torch.full_like(target, torch.nan))
    assert nothing == 0


def test_boolean_targets_and_given_masks_count_the_same():
    contours, target = wild(2, 3), torch.rand(3, 1, *SHAPE) < 0.5
    masks = polygon_mask(contours.flatten(0, 1), SHAPE).unflatten(0, (2, 3))
    for loss in (
        lambda **given: contour_segmentation_loss(contours, target, **given),
        lambda **given: balloon_loss(contours, SHAPE, **given),
    ):
        assert torch.equal(loss(), loss(masks=masks))
    assert torch.equal(
        contour_segmentation_loss(contours, target), contour_segmentation_loss(contours, target.double())
    )


def test_balloon_is_the_share_outside_and_lets_contours_grow():
    inside = box(2, 3, 8, 11)
    assert balloon_loss(inside, SHAPE).item() == pytest.approx(1 - 6 * 8 / (14 * 18))
    assert torch.allclose(
        balloon_loss(inside[None].expand(3, 1, 4, 2), SHAPE), 3 * balloon_loss(inside, SHAPE)
    )
    assert gradcheck(lambda c: balloon_loss(c, SHAPE), wild(2).requires_grad_())
    grown = descended(lambda c: balloon_loss(c, SHAPE), inside, steps=20)
    assert polygon_mask(grown, SHAPE).sum() > 48 * 1.3


# curvature


def test_balloon_gradient():
    contours = ring(4.3, 9)
    contours = (contours + 0.1 * torch.randn_like(contours)).double().requires_grad_()
    assert gradcheck(lambda each: balloon_loss(each, (24, 24)), contours)


@pytest.mark.parametrize(("count", "value"), [(4, 0.5), (8, 0.146), (16, 0.038), (32, 0.0096)])
def test_curvature_of_the_papers_rings(count, value):
    """Radius 0.25 in coordinates from -1 to 1, in an image of any size."""
    for side in (16, 64):
        contour = ring(0.25 * side / 2, count)
        assert curvature_loss(contour, (side, side)).item() == pytest.approx(value, abs=6e-4)
        assert curvature_loss(contour, (side // 2, side)).item() == pytest.approx(value, abs=6e-4)
        squared = curvature_loss(contour, (side, side), squared=True).item()
        assert squared == pytest.approx(curvature_loss(contour, (side, side)).item() ** 2)


def test_the_invariant_form_is_the_radius_with_any_number_of_vertices():
    for count in (4, 5, 16, 128):
        found = curvature_loss(ring(4.0, count), (64, 64), invariant=True).item()
        assert found == pytest.approx(4.0 / 32)
        squared = curvature_loss(ring(4.0, count), (64, 64), invariant=True, squared=True).item()
        assert squared == pytest.approx((4.0 / 32) ** 2)


def test_curvature_equals_its_definition():
    contours = wild(2, 3)
    p = contours.numpy() * 2 / 18
    bend = np.roll(p, 1, 2) - 2 * p + np.roll(p, -1, 2)
    each = np.sqrt((bend**2).sum(-1)).mean(-1)
    found = curvature_loss(contours, SHAPE, reduction="none")
    np.testing.assert_allclose(found, each)
    assert curvature_loss(contours, SHAPE).item() == pytest.approx(each.mean(1).sum())


def test_squared_curvature_minds_a_single_spike_more():
    spiky = ring(5.0, 32)
    spiky[0, 0] *= 1.5
    ratio = [
        (
            curvature_loss(spiky, SHAPE, squared=squared)
            / curvature_loss(ring(5.0, 32), SHAPE, squared=squared)
        )
        for squared in (False, True)
    ]
    assert ratio[1] > 3 * ratio[0]


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("invariant", [False, True])
def test_curvature_gradient(squared, invariant):
    contours = wild(2, 2).requires_grad_()
    assert gradcheck(lambda c: curvature_loss(c, SHAPE, squared=squared, invariant=invariant), contours)


def test_a_straight_stretch_has_no_curvature_and_a_finite_gradient():
    contours = torch.tensor([[[0.0, 0], [0, 1], [0, 2], [0, 3], [0, 4]]], requires_grad=True)
    curvature_loss(contours, SHAPE).backward()
    assert contours.grad.isfinite().all()


def test_the_papers_weights():
    assert (BALLOON_WEIGHT, CURVATURE_WEIGHT) == (0.01, 0.5)


# extreme points

POINTS = torch.tensor([[[2.0, 9.0], [6.0, 4.0], [10.0, 8.0], [5.0, 13.0]]], dtype=torch.float64)


def test_contours_that_touch_all_points_and_reach_no_farther_cost_nothing():
    diamond = POINTS[:, [0, 1, 2, 3]]
    assert extreme_points_loss(diamond, POINTS, pixel=0).item() == 0
    assert extreme_points_loss(box(2, 4, 10, 13), POINTS, pixel=0).item() == 0  # flat sides, corners far off
    assert extreme_points_loss(box(1.5, 3.5, 10.5, 13.5), POINTS).item() == 0  # half a pixel beyond centres


def test_the_outline_of_a_mask_meets_the_masks_own_points():
    mask = polygon_mask(ring(5.0, 60), SHAPE) > 0.5
    y, x = mask[0, 0].nonzero().unbind(1)
    blocks = box(int(y.min()) - 0.5, int(x.min()) - 0.5, int(y.max()) + 0.5, int(x.max()) + 0.5)
    points = extreme_points(mask)[:, 0].double()
    assert extreme_points_loss(blocks, points) == 0
    assert extreme_points_loss(ring(5.0, 60), points) < 1e-2


def brute_force(contour: np.ndarray, points: np.ndarray, pixel: float) -> float:
    outward = np.array([[-1, 0], [0, -1], [1, 0], [0, 1]])
    goal = points + pixel / 2 * outward
    fine = np.linspace(0, 1, 2001)[:, None]
    edges = [a + fine * (b - a) for a, b in zip(contour, np.roll(contour, -1, 0), strict=True)]
    total = 0.0
    for point, way in zip(goal, outward, strict=True):
        total += min(((edge - point) ** 2).sum(1).min() for edge in edges)
        total += ((contour @ way).max() - point @ way) ** 2
    extent = max(np.ptp(points, axis=0)) + pixel
    return total / 4 / extent**2


@pytest.mark.parametrize("pixel", [0.0, 1.0, 0.3])
def test_extreme_points_equal_brute_force(pixel):
    contours = wild(5)
    found = extreme_points_loss(contours, POINTS.expand(5, 4, 2), pixel=pixel, reduction="none")
    expected = [brute_force(one.numpy(), POINTS[0].numpy(), pixel) for one in contours]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_extreme_points_gradient():
    contours = wild(2, 2).requires_grad_()
    assert gradcheck(lambda c: extreme_points_loss(c, POINTS.expand(2, 4, 2)), contours)


@pytest.mark.parametrize("radius", [2.0, 8.0])
def test_extreme_points_alone_bring_small_and_large_contours_to_all_four(radius):
    found = descended(lambda c: extreme_points_loss(c, POINTS), ring(radius, 24), steps=500)
    mask = polygon_mask(found, SHAPE) > 0.5
    assert (found.amin(1) - (POINTS.amin(1) - 0.5)).abs().max() < 0.1
    assert (found.amax(1) - (POINTS.amax(1) + 0.5)).abs().max() < 0.1
    assert (extreme_points(mask)[0, 0] - POINTS[0]).abs().max() <= 3


def test_the_loss_is_relative_to_the_extent():
    contours = ring(3.0, 12)
    for factor in (0.5, 4.0):
        scaled = extreme_points_loss(contours * factor, POINTS * factor, pixel=factor)
        assert torch.allclose(scaled, extreme_points_loss(contours, POINTS))


def test_a_pixel_for_each_object():
    contours = ring(3.0, 12).expand(2, 12, 2)
    both = extreme_points_loss(
        contours, POINTS.expand(2, 4, 2), pixel=torch.tensor([0.2, 1.0]), reduction="none"
    )
    alone = [extreme_points_loss(contours[:1], POINTS, pixel=pixel) for pixel in (0.2, 1.0)]
    assert torch.allclose(both, torch.stack(alone))
    assert alone[0] != alone[1]


def test_unknown_points_have_no_term():
    contours = wild(3, 3).requires_grad_()
    points = POINTS.repeat(3, 1, 1)
    points[1] = torch.nan
    points[2, 1, 0] = torch.nan
    each = extreme_points_loss(contours, points, reduction="none")
    each.sum().backward()
    assert (each[:, 1] == 0).all()
    assert (contours.grad[:, 1] == 0).all()
    assert contours.grad.isfinite().all()
    value = extreme_points_loss(contours, points)
    assert torch.allclose(value, each[:, [0, 2]].mean(1).sum())
    known = POINTS.clone()
    known[:, 1] = torch.nan
    farther_left = box(1.5, -3.0, 10.5, 13.5)
    assert extreme_points_loss(farther_left, known) == 0
    assert extreme_points_loss(contours, torch.full_like(points, torch.nan)) == 0


def test_coincident_vertices_and_points_are_finite():
    contours = torch.full((1, 5, 2), 3.0, requires_grad=True)
    value = extreme_points_loss(contours, torch.full((1, 4, 2), 5.0))
    value.backward()
    assert value.isfinite()
    assert contours.grad.isfinite().all()


# all


def test_the_modules_are_the_functions():
    contours, target = wild(2, 2), torch.rand(2, 1, *SHAPE)
    points = POINTS.expand(2, 4, 2)
    assert ContourSegmentationLoss()(contours, target) == contour_segmentation_loss(contours, target)
    assert BalloonLoss()(contours, SHAPE) == balloon_loss(contours, SHAPE)
    bent = curvature_loss(contours, SHAPE, squared=True, invariant=True)
    assert CurvatureLoss(squared=True, invariant=True)(contours, SHAPE) == bent
    assert ExtremePointsLoss(pixel=0.5)(contours, points) == extreme_points_loss(contours, points, pixel=0.5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: balloon_loss(torch.zeros(2, 2, 2), SHAPE), "contours: expected"),
        (lambda: curvature_loss(torch.zeros(4, 2), SHAPE), "contours: expected"),
        (
            lambda: contour_segmentation_loss(wild(2), torch.zeros(3, 1, 4, 4)),
            r"target: expected \(2, 1, H, W\)",
        ),
        (lambda: extreme_points_loss(wild(2), torch.zeros(2, 3, 2)), r"points: expected \(2, 4, 2\)"),
        (lambda: balloon_loss(wild(2), SHAPE, masks=torch.zeros(2, 1, 4, 4)), "masks: expected"),
        (lambda: balloon_loss(wild(2), SHAPE, reduction="sum"), "reduction: expected"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
