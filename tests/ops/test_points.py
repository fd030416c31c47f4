from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.autograd import gradcheck

from napari_segsize.ops.points import extreme_points, heat_map, jitter, ordered, outset


def plane(*rows: str) -> torch.Tensor:
    return torch.tensor([[pixel == "#" for pixel in row] for row in rows])[None, None]


def middle(places: np.ndarray) -> float:
    low, high = places[(len(places) - 1) // 2], places[len(places) // 2]
    return (low + high) / 2 if high - low == 1 else float(low)


def brute_force(mask: np.ndarray) -> np.ndarray:
    y, x = mask.nonzero()
    if not len(y):
        return np.full((4, 2), np.nan)
    return np.array(
        [
            (y.min(), middle(np.sort(x[y == y.min()]))),
            (middle(np.sort(y[x == x.min()])), x.min()),
            (y.max(), middle(np.sort(x[y == y.max()]))),
            (middle(np.sort(y[x == x.max()])), x.max()),
        ]
    )


@given(arrays(bool, st.tuples(*(st.integers(1, n) for n in (3, 2, 9, 9)))))
@settings(deadline=None)
def test_extreme_points_equal_brute_force(masks):
    found = extreme_points(torch.from_numpy(masks))
    expected = np.stack([[brute_force(mask) for mask in channels] for channels in masks])
    np.testing.assert_array_equal(found, expected)


def test_ties_lie_in_the_middle_and_on_the_object():
    square = extreme_points(plane("......", ".####.", ".####.", ".####.", "......"))
    assert square[0, 0].tolist() == [[1, 2.5], [2, 1], [3, 2.5], [2, 4]]
    horns = extreme_points(plane("#...#", "#####"))
    assert horns[0, 0].tolist() == [[0, 0], [0.5, 0], [1, 2], [0.5, 4]]


def test_an_empty_mask_has_no_points():
    masks = torch.cat([plane("..."), plane(".#.")])
    found = extreme_points(masks)
    assert found[0].isnan().all()
    assert (found[1, 0] == torch.tensor([0.0, 1.0])).all()


def test_outset_leads_from_the_outermost_pixels_to_the_outline():
    block = extreme_points(plane("......", ".####.", ".####.", ".####.", "......"))[0]
    found = outset(block)
    assert found[0].tolist() == [[0.5, 2.5], [2, 0.5], [3.5, 2.5], [2, 4.5]]
    each = outset(block.expand(2, 4, 2), torch.tensor([0.5, 2.0])[:, None, None])
    assert torch.equal(each[0], found[0])
    assert each[1].amin(0).tolist() == [-1, -1]


QUARTER = [[1.0, 5.0], [4.0, 0.0], [9.0, 6.0], [5.0, 8.0]]  # top, left, bottom, right


@pytest.mark.parametrize(
    "expected",
    [
        QUARTER,
        [
            [0.0, 9.0],
            [5.0, 0.0],
            [9.0, 4.0],
            [4.0, 8.0],
        ],  # top right: 9.0 is right as well, and 8.0 falls short
        [[0.0, 4.0], [0.0, 0.0], [9.0, 0.0], [9.0, 9.0]],  # three corners
        [[0.0, 0.0], [0.0, 0.0], [9.0, 9.0], [9.0, 9.0]],  # a diagonal, both ends clicked twice
        [[3.0, 3.0]] * 4,
        [[2.0, 1.0], [2.0, 0.0], [2.0, 5.0], [2.0, 9.0]],  # on one line
    ],
)
def test_the_order_of_clicks_does_not_matter(expected):
    points = torch.tensor(expected)
    clicks = torch.stack([points[list(order)] for order in permutations(range(4))])
    found = ordered(clicks)
    assert (found == found[0]).all()
    for one in found:  # the same points, each used once
        assert sorted(one.tolist()) == sorted(points.tolist())


def test_clear_cases_and_corners_are_told_apart():
    for expected in (QUARTER, [[0.0, 9.0], [5.0, 0.0], [9.0, 4.0], [4.0, 8.0]]):
        points = torch.tensor(expected, dtype=torch.float64)
        for order in permutations(range(4)):
            assert torch.equal(ordered(points[None, list(order)])[0], points)


@given(arrays(np.float64, (4, 2), elements=st.integers(0, 5).map(float)))
@settings(deadline=None)
def test_no_assignment_falls_short_by_less(points):
    def short(rows: np.ndarray) -> float:
        low, high = points.min(0), points.max(0)
        return rows[0, 0] - low[0] + rows[1, 1] - low[1] + high[0] - rows[2, 0] + high[1] - rows[3, 1]

    found = ordered(torch.from_numpy(points)[None])[0].numpy()
    assert short(found) == min(short(points[list(order)]) for order in permutations(range(4)))


def test_unknown_points_stay_as_they_are_and_gradients_find_their_click():
    clicks = torch.tensor([QUARTER[::-1], QUARTER[::-1]], dtype=torch.float64)
    clicks[1, 2] = torch.nan
    assert torch.equal(ordered(clicks)[1].nan_to_num(-1), clicks[1].nan_to_num(-1))
    assert gradcheck(ordered, clicks[:1].requires_grad_())


def test_heat_is_the_larger_of_gaussian_bumps():
    points = torch.rand(3, 4, 2, dtype=torch.float64) * 12 - 1
    points[2, 1] = torch.nan
    found = heat_map(points, (9, 11), sigma=1.7)
    y, x = np.mgrid[:9, :11]
    for one, bumps in zip(found, points.numpy(), strict=True):
        square = [(y - py) ** 2 + (x - px) ** 2 for py, px in bumps if np.isfinite(py)]
        np.testing.assert_allclose(one[0], np.exp(-np.min(square, 0) / (2 * 1.7**2)), atol=1e-12)


def test_a_bigger_sigma_makes_wider_bumps_of_the_same_height():
    points = torch.tensor([[[4.0, 4.0]]])
    narrow, wide = (heat_map(points, (9, 9), sigma=sigma) for sigma in (1.0, 2.0))
    assert narrow.max() == wide.max() == 1
    assert (wide >= narrow).all()
    assert wide.sum() > 2 * narrow.sum()


def test_no_points_give_no_heat():
    assert (heat_map(torch.full((2, 4, 2), torch.nan), (5, 6), sigma=2.0) == 0).all()
    assert heat_map(torch.empty(2, 0, 2), (5, 6), sigma=2.0).shape == (2, 1, 5, 6)


def test_jitter_moves_by_at_most_the_amount_and_is_repeatable():
    points = torch.rand(2, 1000, 2)
    amount = torch.tensor([1.0, 3.0])[:, None, None]
    moved = jitter(points, amount, torch.Generator().manual_seed(1)) - points
    assert torch.equal(moved + points, jitter(points, amount, torch.Generator().manual_seed(1)))
    for by, most in zip(moved, (1.0, 3.0), strict=True):
        assert 0.98 * most < by.abs().max() <= most
        assert by.mean(0).abs().max() < 0.1 * most
    assert torch.equal(jitter(points, 0.0), points)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: extreme_points(torch.zeros(1, 1, 4, 4)), "mask: expected a boolean"),
        (
            lambda: extreme_points(torch.zeros(1, 1, 4, 4, 4, dtype=torch.bool)),
            r"mask: expected \(N, C, H, W\)",
        ),
        (lambda: ordered(torch.zeros(2, 3, 2)), r"points: expected \(M, 4, 2\)"),
        (lambda: heat_map(torch.zeros(2, 2), (4, 4), sigma=1.0), r"points: expected \(M, P, 2\)"),
        (lambda: heat_map(torch.zeros(2, 4, 2), (4, 4), sigma=0.0), "sigma: expected more than 0"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
