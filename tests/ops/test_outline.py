from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
import torch
from torch.autograd import gradcheck

from napari_segsize.ops import object_size
from napari_segsize.ops.outline import area, curvature, perimeter, polygon_centroid, polygon_size, resample
from napari_segsize.ops.polygon import polygon_mask
from napari_segsize.ops.starts import circle_contour

SQUARE = torch.tensor([[[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]], dtype=torch.float64)


def stars(rng: np.random.Generator, polygons: int = 5, count: int = 9) -> torch.Tensor:
    """Simple concave polygons of positive signed area."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, (polygons, count)))
    radii = rng.uniform(2, 8, (polygons, count))
    return torch.from_numpy(np.stack([20 - radii * np.cos(angles), 30 - radii * np.sin(angles)], -1))


def test_measures_equal_shapely(rng):
    contours = stars(rng)
    for contour, inside, around, centre in zip(
        contours, area(contours), perimeter(contours), polygon_centroid(contours), strict=True
    ):
        polygon = shapely.Polygon(contour.numpy())
        assert inside.item() == pytest.approx(polygon.area)
        assert around.item() == pytest.approx(polygon.length)
        assert centre.tolist() == pytest.approx([polygon.centroid.x, polygon.centroid.y])


def test_the_sign_of_the_area_is_the_sense_of_rotation():
    assert area(SQUARE, signed=True) == 16
    assert area(SQUARE.flip(1), signed=True) == -16
    assert area(SQUARE.flip(1)) == 16


def test_measures_do_not_lose_digits_far_from_the_origin(rng):
    near = stars(rng).round().float()
    far = near + 2.0**17
    assert torch.equal(area(far), area(near))
    torch.testing.assert_close(polygon_centroid(far) - 2.0**17, polygon_centroid(near), rtol=0, atol=0.01)


def test_resampling_a_square_steps_along_its_sides():
    eight = resample(SQUARE, 8)[0]
    assert eight.tolist() == [[0, 0], [2, 0], [4, 0], [4, 2], [4, 4], [2, 4], [0, 4], [0, 2]]
    assert torch.equal(resample(eight[None], 4), SQUARE)
    assert torch.equal(resample(SQUARE, 4), SQUARE)


@pytest.mark.parametrize("count", [3, 7, 9, 50])
def test_resampling_stays_on_the_contour_at_equal_steps(rng, count):
    contours = stars(rng)
    for contour, vertices in zip(contours.numpy(), resample(contours, count).numpy(), strict=True):
        ring = shapely.LinearRing(contour)
        assert np.array_equal(vertices[0], contour[0])
        at = [ring.project(shapely.Point(vertex)) for vertex in vertices[1:]]
        assert at == pytest.approx(ring.length * np.arange(1, count) / count)
        assert max(ring.distance(shapely.points(vertices))) < 1e-9


def test_resampling_a_contour_with_repeated_vertices_or_none_apart():
    repeated = SQUARE[:, [0, 0, 1, 2, 2, 2, 3, 3]].requires_grad_()
    eight = resample(repeated, 8)
    assert torch.equal(eight, resample(SQUARE, 8))
    point = torch.full((1, 5, 2), 3.0, requires_grad=True)
    collapsed = resample(point, 7)
    assert torch.equal(collapsed, torch.full((1, 7, 2), 3.0))
    for result, source in ((eight, repeated), (collapsed, point)):
        (gradient,) = torch.autograd.grad(result.sum(), source)
        assert gradient.isfinite().all()


@pytest.mark.parametrize(
    "measure",
    [lambda c: resample(c, 7), area, perimeter, curvature, polygon_centroid],
    ids=lambda f: f.__name__,
)
def test_gradients(rng, measure):
    assert gradcheck(measure, stars(rng, 3, 6).requires_grad_())


def test_the_curvature_of_a_circle_is_one_over_its_radius():
    for radius in (5.0, 20.0):
        circle = circle_contour(torch.tensor([[9.0, 9.0]]), torch.tensor([radius]), 64)
        torch.testing.assert_close(curvature(circle), torch.full((1, 64), 1 / radius), rtol=1e-3, atol=0)
        torch.testing.assert_close(
            curvature(circle.flip(1)), torch.full((1, 64), -1 / radius), rtol=1e-3, atol=0
        )


def test_the_turns_of_a_simple_contour_add_up_to_one_round(rng):
    contours = stars(rng)
    length = torch.linalg.vector_norm(contours.roll(-1, 1) - contours, dim=-1)
    turns = curvature(contours) * (length + length.roll(1, 1)) / 2
    torch.testing.assert_close(turns.sum(1), torch.full((5,), 2 * math.pi, dtype=torch.float64))
    assert (turns < 0).any()


def test_collapsed_contours_have_measures_without_nan():
    line = torch.tensor([[[1.0, 1.0], [1.0, 3.0], [1.0, 5.0], [1.0, 3.0]]])
    point = torch.full((1, 4, 2), 2.0)
    contours = torch.cat([line, point]).requires_grad_()
    assert area(contours).tolist() == [0, 0]
    assert perimeter(contours).tolist() == [8, 0]
    assert polygon_centroid(contours).tolist() == [[1, 3], [2, 2]]
    assert polygon_size(contours).tolist() == [0, 0]
    total = sum(each(contours).sum() for each in (area, perimeter, polygon_centroid, curvature))
    (gradient,) = torch.autograd.grad(total, contours)
    assert gradient.isfinite().all()


def test_the_size_of_shapes_whose_largest_square_is_known():
    rectangle = SQUARE * torch.tensor([1.0, 2.5])
    diamond = torch.tensor([[[0.0, 3.0], [3.0, 0.0], [6.0, 3.0], [3.0, 6.0]]]).double()
    long_ = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [3.0, 90.0], [0.0, 90.0]]]).double()
    sizes = polygon_size(torch.cat([SQUARE, rectangle, diamond, long_]))
    torch.testing.assert_close(sizes, torch.tensor([4.0, 4.0, 3.0, 3.0]).double(), rtol=0, atol=0.01)


def test_the_size_is_that_of_the_mask(rng):
    """A mask's size is even, and counts whole pixels: within two of the polygon's."""
    contours = stars(rng, 6) + torch.tensor([0.0, -8.0])
    masks = polygon_mask(contours, (44, 44)) > 0.5
    assert (object_size(masks)[:, 0] - polygon_size(contours)).abs().max() < 2.5


def test_a_finer_precision_comes_closer(rng):
    contours = stars(rng)
    exact = polygon_size(contours, precision=1e-5)
    for precision in (1.0, 0.1):
        short = exact - polygon_size(contours, precision=precision)
        assert short.min() >= -1e-9
        assert short.max() <= precision
    assert (exact - polygon_size(contours, precision=1.0)).max() > 0.01


def test_bad_input_is_told():
    with pytest.raises(ValueError, match="at least 3 vertices, got 2"):
        resample(SQUARE, 2)
    with pytest.raises(ValueError, match="precision: expected more than 0"):
        polygon_size(SQUARE, precision=0)
    for measure in (area, perimeter, curvature, polygon_centroid, polygon_size):
        with pytest.raises(ValueError, match="contours: expected finite"):
            measure(SQUARE * torch.nan)
