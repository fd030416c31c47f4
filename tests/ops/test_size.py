from __future__ import annotations

import numpy as np
import pytest
import torch
from geometry_oracle import flips, periodic_masks, random_masks, sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segsize.ops import flip_sizes, object_size
from napari_segsize.ops.size import _flip_radii_tensor, size_and_flips

BORDERS = ("ignore", "background")


def assert_equals_brute_force(masks: np.ndarray, border: str) -> None:
    """Both paths, on a batch ``(B, *spatial)``."""
    expected = np.stack([flips(mask, border) for mask in masks])
    tensor = torch.from_numpy(masks)[:, None]
    size, flipped = size_and_flips(tensor, border=border)
    assert np.array_equal(size[:, 0], sizes(masks, border))
    assert np.array_equal(flipped[:, 0], expected)
    radius, flipped_radius = _flip_radii_tensor(tensor, border)
    assert np.array_equal(2 * radius, size)
    assert np.array_equal(2 * flipped_radius, flipped)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("dims", [2, 3])
def test_flips_equal_brute_force(dims, border):
    """2080 masks for each border: 16 of each of 90 plane and 40 volume shapes up to 12 pixels a side."""
    rng = np.random.default_rng(dims)
    for _ in range(90 if dims == 2 else 40):
        shape = tuple(int(side) for side in rng.integers(1, 13, dims))
        assert_equals_brute_force(random_masks(rng, 16, shape), border)


@given(arrays(bool, st.lists(st.integers(1, 7), min_size=2, max_size=3).map(tuple)), st.sampled_from(BORDERS))
@settings(deadline=None)
def test_flips_equal_brute_force_on_whatever_hypothesis_finds(mask, border):
    assert_equals_brute_force(mask[None], border)


@pytest.mark.parametrize("border", BORDERS)
def test_every_mask_of_three_by_three(border):
    masks = np.array([[bool(number >> bit & 1) for bit in range(9)] for number in range(512)]).reshape(
        -1, 3, 3
    )
    assert_equals_brute_force(masks, border)


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (1, 12), (12, 1), (1, 1, 12)])
@pytest.mark.parametrize("border", BORDERS)
def test_thin_images(rng, shape, border):
    assert_equals_brute_force(random_masks(rng, 32, shape), border)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("shape", [(9, 50), (23, 31), (5, 6, 29)])
def test_holes_at_regular_distances(rng, shape, border):
    """Where every pixel sees one hole, and long runs of neighbours the same one; some pixels inverted."""
    for _ in range(6):
        spacing = tuple(int(space) for space in rng.integers(2, 14, len(shape)))
        masks = periodic_masks(shape, spacing)
        assert_equals_brute_force(masks, border)
        assert_equals_brute_force(masks ^ (rng.random(masks.shape) < 0.01), border)


@pytest.mark.parametrize("border", BORDERS)
def test_both_paths_agree_on_regular_holes_of_larger_images(rng, border):
    for shape in [(80, 200), (150, 40), (11, 30, 70)]:
        for _ in range(6):
            masks = periodic_masks(shape, tuple(int(space) for space in rng.integers(2, 45, len(shape))))
            mask = torch.from_numpy(masks ^ (rng.random(masks.shape) < rng.choice([0, 0.0005])))[:, None]
            radius, flipped_radius = _flip_radii_tensor(mask, border)
            size, flipped = size_and_flips(mask, border=border)
            assert torch.equal(size, 2 * radius.float())
            assert torch.equal(flipped, 2 * flipped_radius.float())


@pytest.mark.parametrize("border", BORDERS)
def test_both_paths_agree_on_larger_images(rng, border):
    for shape in [(40, 150), (150, 40), (9, 20, 70)]:
        mask = torch.from_numpy(random_masks(rng, 8, shape))[:, None]
        mask[4:, :, 10:] |= torch.rand(mask[4:, :, 10:].shape) < 0.995  # few holes: large radii
        size, flipped = size_and_flips(mask, border=border)
        radius, flipped_radius = _flip_radii_tensor(mask, border)
        assert torch.equal(size, 2 * radius.float())
        assert torch.equal(flipped, 2 * flipped_radius.float())


@pytest.mark.parametrize(("side", "size"), [(1, 2), (2, 2), (3, 4), (4, 4), (5, 6), (6, 6), (7, 8)])
def test_size_of_a_square_is_its_side_rounded_up_to_even(side, size):
    mask = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    mask[..., 2 : 2 + side, 3 : 3 + side] = True
    assert object_size(mask) == size


def test_a_hole_in_the_middle_makes_it_small():
    mask = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    mask[..., 2:7, 2:7] = True
    assert object_size(mask) == 6
    assert flip_sizes(mask)[0, 0, 4, 4] == 2
    mask[..., 4, 4] = False
    assert object_size(mask) == 2
    assert flip_sizes(mask)[0, 0, 4, 4] == 6


def test_the_border_matters():
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., :4, :4] = True
    assert object_size(mask) == 8
    assert object_size(mask, border="background") == 4


def test_conventions_at_the_extremes():
    full = torch.ones(2, 3, 6, 9, dtype=torch.bool)
    assert object_size(full).shape == (2, 3)
    assert (object_size(full) == 18).all()
    assert (object_size(~full) == 0).all()
    one = ~full
    one[..., 2, 2] = True
    assert (flip_sizes(one)[..., 2, 2] == 0).all()
    assert (flip_sizes(~one)[..., 2, 2] == 18).all()


def test_results_are_not_part_of_a_graph():
    logits = torch.randn(1, 1, 5, 5, requires_grad=True)
    assert not object_size(logits > 0).requires_grad
    assert not flip_sizes(logits > 0).requires_grad
