from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from polygon_oracle import clipped, faces, star_shaped
from torch.autograd import gradcheck

from napari_segsize.ops import _polygon_compiled, _polygon_tensors
from napari_segsize.ops.polygon import coverage, polygon_mask, warm_up

RULES = ("nonzero", "evenodd")
SHAPE = (6, 7)
# Vertices that meet, overlap and run along pixel boundaries, and vertices that do none of that.
LATTICE = arrays(np.int64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.integers(-3, 15)).map(
    lambda steps: steps / 2
)
ANYWHERE = arrays(
    np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.floats(-3, 9, allow_subnormal=False)
)


def both(contours: torch.Tensor, shape: tuple[int, int], rule: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks ``(N, H, W)`` of the compiled path and of the tensor path."""
    module = _polygon_compiled.kernels()
    assert module is not None
    compiled = coverage(contours, shape, rule == "evenodd", module)
    return compiled, coverage(contours, shape, rule == "evenodd", None)


def assert_exact(contour: np.ndarray, rule: str, shape: tuple[int, int] = SHAPE) -> None:
    expected = clipped(contour, shape, rule)
    for mask in both(torch.from_numpy(contour)[None], shape, rule):
        assert np.abs(mask[0].numpy() - expected).max() < 1e-9
    single = contour.astype(np.float32)
    expected = clipped(single.astype(np.float64), shape, rule)
    for mask in both(torch.from_numpy(single)[None], shape, rule):
        assert mask.dtype == torch.float32
        assert np.abs(mask[0].numpy() - expected).max() < 1e-5


@given(LATTICE, st.sampled_from(RULES))
@settings(deadline=None, max_examples=50)
def test_equals_clipping_where_edges_meet_and_overlap(contour, rule):
    assert_exact(contour, rule)


@given(ANYWHERE, st.sampled_from(RULES))
@example(np.array([[1, 0], [0, 1], [0, 0], [0, 0], [1.9e-264, 0]]), "nonzero")
@settings(deadline=None, max_examples=50)
def test_equals_clipping_wherever_vertices_lie(contour, rule):
    assert_exact(contour, rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["convex", "concave", "crossing"])
def test_equals_clipping_of_random_polygons(rng, kind, rule):
    for count in (3, 4, 8, 16, 33):
        if kind == "crossing":
            contour = rng.uniform(-2, 8, (count, 2))
        else:
            contour = star_shaped(rng, count, 0.1 if kind == "concave" else 1.0)
        assert_exact(contour, rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("off", [0, 1e-14, 3e-12, 1e-10, 1e-8, 1e-6])
def test_edges_that_nearly_lie_on_each_other_cost_nearly_nothing(rng, off, rule):
    """Overlapping polygons, turned so that rounding tears them apart, and `off` on top."""
    for _ in range(10):
        exact = rng.integers(-3, 4, (20, int(rng.integers(3, 13)), 2)).astype(float)
        exact[:10, :, 1] = exact[:10, :, 0] + (rng.random(exact.shape[1]) < 0.2)
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = exact @ turn + 7 + off * rng.normal(size=exact.shape)
        areas = polygon_mask(torch.from_numpy(exact) + 7, (15, 15), rule=rule).sum((1, 2, 3))
        for masks in both(torch.from_numpy(moved), (15, 15), rule):
            assert (masks.sum((1, 2)) - areas).abs().max() < 1e-10 + 100 * off


def test_even_odd_is_what_shapely_calls_valid(rng):
    for _ in range(20):
        contour = rng.uniform(0, 5, (7, 2))
        valid = shapely.make_valid(shapely.Polygon(contour[:, ::-1]))
        assert sum(face.area for face in faces(contour, "evenodd")) == pytest.approx(valid.area, abs=1e-9)
        mask = polygon_mask(torch.from_numpy(contour)[None], (7, 7), rule="evenodd")
        assert mask.sum().item() == pytest.approx(valid.area, abs=1e-9)


def test_a_twice_walked_square_is_full_or_empty():
    square = torch.tensor([[0.5, 0.5], [0.5, 3.5], [3.5, 3.5], [3.5, 0.5]])
    twice = square.repeat(2, 1)[None]
    assert torch.equal(polygon_mask(twice, (5, 5)), polygon_mask(square[None], (5, 5)))
    assert polygon_mask(twice, (5, 5), rule="evenodd").sum() == 0


def test_the_rules_differ_where_a_polygon_winds_twice():
    angles = torch.arange(5) * (4 * torch.pi / 5)
    star = torch.stack([8 - 7 * angles.cos(), 8 + 7 * angles.sin()], 1)[None]
    assert polygon_mask(star, (17, 17))[0, 0, 8, 8] == 1
    assert polygon_mask(star, (17, 17), rule="evenodd")[0, 0, 8, 8] == 0


def test_pixels_are_squares_around_integers():
    square = torch.tensor([[[0.5, 1.5], [0.5, 3.5], [2.5, 3.5], [2.5, 1.5]]])
    expected = torch.zeros(1, 1, 4, 5)
    expected[..., 1:3, 2:4] = 1
    assert torch.equal(polygon_mask(square, (4, 5)), expected)
    quarter = polygon_mask(square + 0.5, (4, 5))
    assert quarter[0, 0, 1:4, 2:5].tolist() == [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


@pytest.mark.parametrize("rule", RULES)
def test_the_sense_of_rotation_and_the_first_vertex_do_not_matter(rng, rule):
    contours = torch.from_numpy(rng.uniform(0, 7, (12, 9, 2)))
    mask = polygon_mask(contours, SHAPE, rule=rule)
    torch.testing.assert_close(polygon_mask(contours.flip(1), SHAPE, rule=rule), mask)
    torch.testing.assert_close(polygon_mask(contours.roll(4, 1), SHAPE, rule=rule), mask)
    turned = polygon_mask(contours.flip(2), SHAPE[::-1], rule=rule)
    torch.testing.assert_close(turned.mT, mask)


def test_the_sum_is_the_area(rng):
    for count in (3, 5, 20):
        contour = star_shaped(rng, count, 0.3) + 4
        mask = polygon_mask(torch.from_numpy(contour)[None], (14, 14))
        assert mask.sum().item() == pytest.approx(shapely.Polygon(contour).area, abs=1e-9)


@pytest.mark.parametrize("far", [10.0, 1e4, 1e8])
def test_what_leaves_the_image_leaves_no_trace(far):
    contours = torch.tensor([[[1.0, 1.0], [1.0, 4.0], [4.0, 4.0], [3.0, 2.0]]], requires_grad=True)
    for y, x in [(far, 0), (-far, 0), (0, far), (0, -far)]:
        for mask in both(contours + torch.tensor([y, x]), SHAPE, "nonzero"):
            assert mask.abs().max() == 0
            (gradient,) = torch.autograd.grad(mask.sum(), contours)
            assert gradient.abs().max() == 0


def test_vertices_far_outside_still_cover_the_image():
    far = 1e6
    around = torch.tensor([[[-far, -far], [-far, far], [far, far], [far, -far]]], dtype=torch.float64)
    for mask in both(around, SHAPE, "nonzero"):
        assert mask.min() > 1 - 1e-8
    half = torch.tensor([[[-far, 3.25], [-far, far], [far, far], [far, 3.25]]], dtype=torch.float64)
    for mask in both(half, SHAPE, "nonzero"):
        torch.testing.assert_close(mask[0, 0], torch.tensor([0, 0, 0, 0.25, 1, 1, 1]).double())


@pytest.mark.parametrize(
    "contour",
    [
        [[2, 2]] * 3,  # a point
        [[1, 1], [4, 5], [1, 1]],  # there and back
        [[1, 1], [2, 2], [4, 4], [3, 3]],  # on one line
        [[1, 1], [1, 5], [1, 3], [1, 4]],
    ],
)
@pytest.mark.parametrize("rule", RULES)
def test_a_collapsed_polygon_covers_nothing(contour, rule):
    contours = torch.tensor([contour], dtype=torch.float64, requires_grad=True)
    for mask in both(contours, SHAPE, rule):
        assert mask.abs().max() == 0
        (gradient,) = torch.autograd.grad(mask.sum(), contours)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("rule", RULES)
def test_repeated_vertices_change_nothing(rng, rule):
    contours = torch.from_numpy(rng.uniform(0, 6, (5, 6, 2)))
    repeated = contours[:, [0, 0, 1, 2, 3, 3, 3, 4, 5, 5]]
    for mask, expected in zip(both(repeated, SHAPE, rule), both(contours, SHAPE, rule), strict=True):
        torch.testing.assert_close(mask, expected)


def test_a_batch_is_its_polygons_one_by_one(rng):
    contours = torch.from_numpy(rng.uniform(-1, 7, (9, 8, 2)))
    contours[3:6] = torch.from_numpy(np.stack([star_shaped(rng, 8, 0.5) for _ in range(3)]))
    for path in (0, 1):
        together = both(contours, SHAPE, "nonzero")[path]
        alone = [both(contour[None], SHAPE, "nonzero")[path][0] for contour in contours]
        torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-12)
    assert polygon_mask(contours[:0], SHAPE).shape == (0, 1, *SHAPE)
    assert polygon_mask(contours[:, ::2], (3, 1)).shape == (9, 1, 3, 1)


def test_threads_and_blocks_change_nothing(rng, monkeypatch):
    contours = torch.from_numpy(rng.uniform(-1, 7, (9, 8, 2))).requires_grad_()
    upstream = torch.from_numpy(rng.normal(size=(9, *SHAPE)))

    def results() -> list[torch.Tensor]:
        masks = both(contours, SHAPE, "nonzero")
        pulls = [torch.autograd.grad((mask * upstream).sum(), contours)[0] for mask in masks]
        return [*masks, *pulls]

    before, threads = results(), torch.get_num_threads()
    monkeypatch.setattr(_polygon_compiled, "_SHARE", 1)
    monkeypatch.setattr(_polygon_tensors, "_BLOCK", 40)
    torch.set_num_threads(3)
    try:
        after = results()
    finally:
        torch.set_num_threads(threads)
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("path", [0, 1])
def test_gradient(rng, rule, path):
    contours = np.concatenate([rng.uniform(-2, 8, (6, 8, 2)), [star_shaped(rng, 8, 0.4) for _ in range(3)]])
    vertices = torch.from_numpy(contours).requires_grad_()
    assert gradcheck(
        lambda each: both(each, SHAPE, rule)[path], vertices, eps=1e-7, atol=1e-5, fast_mode=True
    )


@given(LATTICE, st.sampled_from(RULES))
@settings(deadline=None)
def test_both_paths_have_one_gradient(contour, rule):
    contours = torch.from_numpy(contour)[None].requires_grad_()
    upstream = torch.arange(SHAPE[0] * SHAPE[1], dtype=torch.float64).reshape(1, *SHAPE).sin()
    one, two = (
        torch.autograd.grad((mask * upstream).sum(), contours)[0] for mask in both(contours, SHAPE, rule)
    )
    torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


def test_along_a_pixel_boundary_the_gradient_is_the_mean_of_both_sides():
    square = torch.tensor([[[0.5, 0.5], [0.5, 3.5], [3.5, 3.5], [3.5, 0.5]]], dtype=torch.float64)
    upstream = torch.arange(25, dtype=torch.float64).reshape(1, 5, 5)
    step = 1e-6 * torch.tensor([1.0, 0.0], dtype=torch.float64)
    for path in (0, 1):

        def value(contours: torch.Tensor, path: int = path) -> torch.Tensor:
            return (both(contours, (5, 5), "nonzero")[path] * upstream).sum()

        moved = square.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(value(moved), moved)
        change = value(square + step) - value(square - step)
        torch.testing.assert_close(gradient[0, :, 0].sum(), change / 2e-6, rtol=1e-5, atol=1e-5)


def test_a_step_down_the_gradient_fits_the_polygon_better():
    contours = torch.tensor([[[1.0, 1.0], [1.0, 6.0], [6.0, 6.0], [6.0, 1.0]]], requires_grad=True)
    target = polygon_mask(torch.tensor([[[2.0, 2.0], [2.0, 7.0], [7.0, 7.0], [7.0, 2.0]]]), (9, 9))
    losses = []
    for _ in range(30):
        loss = (polygon_mask(contours, (9, 9)) - target).square().sum()
        losses.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, contours)
        contours = (contours - 0.05 * gradient).detach().requires_grad_()
    assert losses[-1] < 0.05 * losses[0]


def test_no_gradient_is_computed_unless_asked_for():
    contours = torch.tensor([[[1.0, 1.0], [1.0, 6.0], [6.0, 6.0]]])
    assert not polygon_mask(contours, SHAPE).requires_grad
    with torch.no_grad():
        assert not polygon_mask(contours.requires_grad_(), SHAPE).requires_grad


def test_without_compiled_code_the_tensor_path_does(monkeypatch):
    contours = torch.tensor([[[1.0, 1.0], [1.0, 5.5], [6.0, 6.0]]])
    expected = polygon_mask(contours, SHAPE)
    monkeypatch.setattr(_polygon_compiled, "kernels", lambda: None)
    assert not warm_up()
    torch.testing.assert_close(polygon_mask(contours, SHAPE), expected)


def test_half_precision_takes_the_tensor_path():
    contours = torch.tensor([[[1.0, 1.0], [1.0, 5.5], [6.0, 6.0]]])
    half = polygon_mask(contours.half(), SHAPE)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), polygon_mask(contours, SHAPE), rtol=0, atol=1e-3)


TRIANGLE = torch.tensor([[[1.0, 1.0], [1.0, 5.0], [5.0, 5.0]]])


@pytest.mark.parametrize(
    ("contours", "shape", "rule", "says"),
    [
        (TRIANGLE.int(), SHAPE, "nonzero", r"contours: expected float32 or float64, got torch\.int32"),
        (TRIANGLE / 0, SHAPE, "nonzero", "contours: expected finite coordinates"),
        (TRIANGLE * torch.nan, SHAPE, "nonzero", "contours: expected finite coordinates"),
        (TRIANGLE[0], SHAPE, "nonzero", r"contours: expected \(N, K, 2\).*contour\[None\]"),
        (TRIANGLE[:, :2], SHAPE, "nonzero", "at least 3 vertices"),
        (TRIANGLE, (0, 5), "nonzero", "shape: expected height and width, at least 1 each"),
        (TRIANGLE, (5,), "nonzero", "shape: expected height and width"),
        (TRIANGLE, SHAPE, "winding", 'rule: expected "nonzero" or "evenodd"'),
    ],
)
def test_bad_input_is_told(contours, shape, rule, says):
    with pytest.raises(ValueError, match=says):
        polygon_mask(contours, shape, rule=rule)
