from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from torch.autograd import gradcheck

from napari_segsize.ops.outline import area, polygon_centroid
from napari_segsize.ops.polygon import polygon_mask
from napari_segsize.ops.starts import circle_contour, extreme_points_contour, mask_contour, stamp_contour

CLICKS = torch.tensor([[[2.0, 9.0], [12.0, 3.0], [20.0, 14.0], [8.0, 22.0]]])


def test_every_start_begins_at_the_top_and_turns_one_way():
    centre = torch.tensor([[8.0, 9.0]])
    disc = torch.zeros(20, 20, dtype=torch.bool)
    disc[5:12, 6:14] = True
    for start in (
        circle_contour(centre, torch.tensor([4.0]), 12),
        stamp_contour(centre, torch.tensor([6.0]), 12),
        extreme_points_contour(CLICKS, 12),
        mask_contour(disc, 12)[None],
    ):
        assert start.shape == (1, 12, 2)
        assert area(start, signed=True) > 0
        assert start[0, 0, 0] == start[0, :, 0].min()
        assert start[0, 1, 1] <= start[0, 0, 1]  # goes left, or down


def test_a_circle_is_around_its_centre():
    centre, radius = torch.tensor([[8.0, 9.0], [3.0, -2.0]]), torch.tensor([5.0, 2.0])
    circle = circle_contour(centre, radius, 32)
    distance = torch.linalg.vector_norm(circle - centre[:, None], dim=-1)
    torch.testing.assert_close(distance, radius[:, None].expand(2, 32))
    torch.testing.assert_close(polygon_centroid(circle), centre)
    torch.testing.assert_close(
        area(circle) / (math.pi * radius**2), torch.full((2,), 0.994), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("count", [4, 5, 7, 8, 32])
def test_a_stamp_is_its_square(count):
    stamp = stamp_contour(torch.tensor([[8.0, 9.0], [2.0, 2.0]]), torch.tensor([6.0, 4.0]), count)
    assert stamp.shape == (2, count, 2)
    assert area(stamp).tolist() == [36, 16]
    assert stamp[0].amin(0).tolist() == [5, 6]
    assert stamp[0].amax(0).tolist() == [11, 12]
    assert len(stamp[0].unique(dim=0)) == count


@given(
    arrays(np.float32, (2, 4, 2), elements=st.integers(-40, 40).map(lambda n: n / 4)),
    st.sampled_from([4, 5, 6, 9, 32]),
)
@settings(deadline=None)
def test_arcs_pass_exactly_through_the_points_wherever_they_lie(points, count):
    points = torch.from_numpy(points)
    contours = extreme_points_contour(points, count)
    assert contours.shape == (2, count, 2)
    assert contours.isfinite().all()
    for contour, clicked in zip(contours, points, strict=True):
        for point in clicked:
            assert (contour == point).all(1).any()


@pytest.mark.parametrize("seed", range(4))
def test_arcs_stay_in_the_box_of_points_and_are_quarters_of_ellipses(seed):
    rng = np.random.default_rng(seed)
    top, left, bottom, right = rng.uniform(1, 8, 4)
    points = torch.tensor([[[-top, 0.5], [1.0, -left], [bottom, -0.5], [-1.0, right]]], dtype=torch.float64)
    contour = extreme_points_contour(points, 400)
    assert torch.equal(contour[0].amin(0), torch.tensor([-top, -left]).double())
    assert torch.equal(contour[0].amax(0), torch.tensor([bottom, right]).double())
    # The four points' own area, and what each quarter ellipse has beyond its chord.
    steps = (points[0] - points[0].roll(-1, 0)).abs()
    exact = area(points) + (math.pi / 4 - 0.5) * steps.prod(1).sum()
    torch.testing.assert_close(area(contour), exact, rtol=1e-3, atol=0)
    assert shapely.Polygon(contour[0].numpy()).is_valid


def test_four_points_of_a_circle_give_the_circle():
    points = torch.tensor([[[-5.0, 0.0], [0.0, -5.0], [5.0, 0.0], [0.0, 5.0]]])
    torch.testing.assert_close(
        extreme_points_contour(points, 16),
        circle_contour(torch.zeros(1, 2), torch.tensor([5.0]), 16),
        rtol=0,
        atol=1e-3,
    )


def test_vertices_are_shared_by_the_length_of_the_arcs():
    points = torch.tensor([[[0.0, 0.0], [10.0, -20.0], [20.0, 0.0], [10.0, 2.0]]])
    contour = extreme_points_contour(points, 32)[0]
    steps = torch.linalg.vector_norm(contour.roll(-1, 0) - contour, dim=1)
    assert steps.max() / steps.min() < 1.5


def test_arcs_follow_the_points():
    """Exact for moves and stretches of all points, which leave the places on the arcs as they are."""

    def moved(shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return extreme_points_contour(CLICKS.double() * scale + shift, 9)

    start = torch.tensor([3.0, -2.0]).double().requires_grad_(), torch.tensor(1.5).double().requires_grad_()
    assert gradcheck(moved, start)


def test_unknown_points_give_an_unknown_contour():
    points = torch.cat([CLICKS, CLICKS * torch.nan])
    contours = extreme_points_contour(points, 8)
    assert contours[0].isfinite().all()
    assert contours[1].isnan().any()


def overlap(mask: np.ndarray, count: int) -> float:
    contour = mask_contour(torch.from_numpy(mask), count)
    drawn = (polygon_mask(contour[None], mask.shape)[0, 0] > 0.5).numpy()
    return (drawn & mask).sum() / (drawn | mask).sum()


def test_the_outline_of_a_mask_draws_the_mask(rng):
    y, x = np.mgrid[:40, :50]
    ellipse = ((y - 18) / 14) ** 2 + ((x - 25) / 20) ** 2 < 1
    assert overlap(ellipse, 32) > 0.96
    assert overlap(ellipse, 100) > 0.99
    assert overlap(np.ones((12, 15), bool), 300) == 1
    blobs = ndimage.gaussian_filter(rng.normal(size=(60, 60)), 4) > 0
    labels, _ = ndimage.label(blobs, np.ones((3, 3)))
    largest = ndimage.binary_fill_holes(labels == np.bincount(labels.ravel())[1:].argmax() + 1)
    assert overlap(largest, 400) > 0.97


def test_a_rectangle_loses_its_corners():
    mask = torch.zeros(9, 9, dtype=torch.bool)
    mask[2:6, 3:8] = True
    contour = mask_contour(mask, 400)
    assert area(contour[None]).item() == pytest.approx(19.5, abs=0.02)
    assert contour.amin(0).tolist() == pytest.approx([1.5, 2.5], abs=0.05)


@pytest.mark.parametrize("count", [3, 4, 32])
def test_a_single_pixel_has_an_outline(count):
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[0, 3] = True
    contour = mask_contour(mask, count)
    assert contour.shape == (count, 2)
    assert area(contour[None]) > 0.2
    assert (contour - torch.tensor([0.0, 3.0])).abs().max() <= 0.5


def test_the_largest_object_is_taken_and_its_holes_filled():
    mask = torch.zeros(20, 20, dtype=torch.bool)
    mask[1:4, 1:4] = True
    mask[6:16, 6:16] = True
    mask[9:13, 9:13] = False
    mask[16, 16] = True  # touches at a corner
    contour = mask_contour(mask, 800)
    assert area(contour[None]).item() == pytest.approx(100.5, abs=0.1)
    assert contour.amin() > 5
    assert contour.amax() > 16.4


def test_bad_input_is_told():
    with pytest.raises(ValueError, match="at least one foreground pixel"):
        mask_contour(torch.zeros(4, 4, dtype=torch.bool), 8)
    with pytest.raises(ValueError, match=r"expected a boolean \(H, W\)"):
        mask_contour(torch.zeros(1, 4, 4, dtype=torch.bool), 8)
    with pytest.raises(ValueError, match="at least 4 vertices"):
        extreme_points_contour(CLICKS, 3)
    with pytest.raises(ValueError, match=r"expected a floating-point \(N, 4, 2\)"):
        extreme_points_contour(CLICKS[:, :3], 8)
    with pytest.raises(ValueError, match=r"expected a floating-point \(N, 2\)"):
        circle_contour(torch.tensor([[1, 2]]), torch.tensor([1.0]), 8)
