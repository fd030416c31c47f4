from __future__ import annotations

import numpy as np
import pytest
import torch
from geometry_oracle import random_masks
from homology_oracle import betti, cell_diagram, diagram
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from napari_segsize.ops.topology import betti_numbers, persistence_pairs


def numbers(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(betti_numbers(torch.from_numpy(np.ascontiguousarray(mask))[None, None])[0, 0].tolist())


def points(plane: np.ndarray, dimension: int) -> list[tuple[float, float]]:
    pairs = persistence_pairs(plane, dimension)
    flat = plane.ravel()
    died = np.where(pairs.deaths < 0, 0, flat[pairs.deaths])
    assert np.allclose(flat[pairs.births] - died, pairs.persistence)
    return sorted(zip(flat[pairs.births].tolist(), died.tolist(), strict=True))


@pytest.mark.parametrize("part", range(10))
def test_betti_numbers_of_1000_random_masks(part):
    """Both dimensions, against ranks of boundary matrices."""
    rng = np.random.default_rng(part)
    for _ in range(5):
        shape = tuple(rng.integers(1, 8, 2))
        masks = random_masks(rng, 20, shape)
        found = betti_numbers(torch.from_numpy(masks)[:, None])[:, 0]
        assert [tuple(each) for each in found.tolist()] == [betti(mask) for mask in masks]


def test_betti_numbers_of_volumes(rng):
    for _ in range(8):
        masks = random_masks(rng, 16, tuple(rng.integers(1, 5, 3)))
        found = betti_numbers(torch.from_numpy(masks)[:, None])[:, 0]
        assert [tuple(each) for each in found.tolist()] == [betti(mask) for mask in masks]


def test_parts_touch_at_corners_and_background_does_not():
    diamond = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    assert numbers(diamond) == (1, 1)
    assert numbers(np.eye(4, dtype=bool)) == (1, 0)
    open_ring = np.ones((3, 3), bool)
    open_ring[1, 1:] = False  # open to the edge of the image
    assert numbers(open_ring) == (1, 0)
    assert numbers(np.zeros((3, 3), bool)) == (0, 0)
    assert numbers(np.ones((3, 3), bool)) == (1, 0)


def test_a_hollow_ball_a_ring_and_a_plane_of_a_volume():
    ball = np.ones((3, 3, 3), bool)
    ball[1, 1, 1] = False
    assert numbers(ball) == (1, 0, 1)
    ring = np.zeros((3, 5, 5), bool)
    ring[1, 1:4, 1:4] = True
    ring[1, 2, 2] = False
    assert numbers(ring) == (1, 1, 0)
    assert numbers(ring[1:2]) == (1, 1, 0)


def test_planes_keep_their_places(rng):
    masks = random_masks(rng, 6, (5, 7)).reshape(3, 2, 5, 7)
    found = betti_numbers(torch.from_numpy(masks))
    assert found.shape == (3, 2, 2)
    for n, c in np.ndindex(3, 2):
        assert tuple(found[n, c].tolist()) == betti(masks[n, c])


@pytest.mark.parametrize("dimension", [0, 1])
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (1, 9), (9, 1), (8, 8), (1, 1)])
def test_pairs_equal_flooding(rng, dimension, shape):
    for _ in range(20):
        plane = rng.permutation(np.linspace(0.05, 0.95, int(np.prod(shape)))).reshape(shape)
        assert points(plane, dimension) == diagram(plane, dimension)


FEW_VALUES = st.integers(0, 4).map(float)


@given(arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=FEW_VALUES))
@settings(deadline=None, max_examples=60)
def test_at_every_threshold_the_living_are_the_betti_numbers(plane):
    """With many equal values, and parts and holes at once."""
    found = [points(plane + 1, dimension) for dimension in (0, 1)]
    for threshold in range(1, 6):
        alive = tuple(sum(death < threshold <= birth for birth, death in each) for each in found)
        assert alive == betti(plane + 1 >= threshold)


@pytest.mark.parametrize("dimension", [0, 1, 2])
@pytest.mark.parametrize("shape", [(3, 4, 5), (5, 3, 4), (4, 4, 4), (1, 4, 5), (2, 1, 7), (1, 1, 1)])
def test_pairs_of_volumes_equal_the_whole_matrix_reduced(rng, dimension, shape):
    for _ in range(4):
        volume = rng.permutation(np.linspace(0.05, 0.95, int(np.prod(shape)))).reshape(shape)
        assert points(volume, dimension) == cell_diagram(volume, dimension)


@pytest.mark.parametrize("dimension", [0, 1])
def test_the_two_ways_agree_on_planes(rng, dimension):
    plane = rng.random((6, 7))
    assert cell_diagram(plane, dimension) == diagram(plane, dimension)


@given(arrays(np.float64, st.tuples(*[st.integers(1, 4)] * 3), elements=FEW_VALUES))
@settings(deadline=None, max_examples=60)
def test_at_every_threshold_the_living_of_a_volume_are_its_betti_numbers(volume):
    """With many equal values: parts, handles and cavities."""
    found = [points(volume + 1, dimension) for dimension in (0, 1, 2)]
    for threshold in range(1, 6):
        alive = tuple(sum(death < threshold <= birth for birth, death in each) for each in found)
        assert alive == betti(volume + 1 >= threshold)


@pytest.mark.parametrize("smooth", [0, 1, 2])
def test_larger_volumes_too(rng, smooth):
    """The parts, handles and cavities of 20 voxels a side, where columns of the matrix grow long."""
    volume = gaussian_filter(rng.standard_normal((20, 18, 22)), smooth).round(3) + 10
    found = [np.array(points(volume, dimension)) for dimension in (0, 1, 2)]
    for threshold in np.quantile(volume, (0.1, 0.3, 0.5, 0.7, 0.9)):
        alive = tuple(int(((each[:, 1] < threshold) & (threshold <= each[:, 0])).sum()) for each in found)
        assert alive == numbers(volume >= threshold)


def test_a_ring_of_voxels_dies_across_its_tunnel_and_a_shell_at_its_lowest_voxel():
    ring = np.full((3, 5, 5), 0.1)
    ring[1, 1:4, 1:4] = 0.9
    ring[1, 1, 2] = 0.7  # its weakest place
    ring[1, 2, 2] = 0.3  # the tunnel
    ring[0, 2, 2] = ring[2, 2, 2] = 0.2
    (pair,) = zip(*persistence_pairs(ring, 1)[:2], strict=True)
    assert [np.unravel_index(place, ring.shape) for place in pair] == [(1, 1, 2), (1, 2, 2)]
    shell = np.full((5, 5, 5), 0.1)
    shell[1:4, 1:4, 1:4] = 0.9
    shell[1, 2, 2] = 0.6
    shell[2, 2, 2] = 0.4
    (pair,) = zip(*persistence_pairs(shell, 2)[:2], strict=True)
    assert [np.unravel_index(place, shell.shape) for place in pair] == [(1, 2, 2), (2, 2, 2)]


def test_the_most_persistent_come_first(rng):
    for dimension in (0, 1):
        pairs = persistence_pairs(rng.random((20, 20)), dimension)
        assert (np.diff(pairs.persistence) <= 0).all()
        assert (pairs.persistence > 0).all()


def test_gudhi_says_the_same(rng):
    gudhi = pytest.importorskip("gudhi")
    for shape in ((12, 17), (17, 12), (7, 9, 8)):
        plane = rng.random(shape)
        cells = gudhi.CubicalComplex(top_dimensional_cells=1 - plane)
        found = cells.persistence()
        for dimension in range(plane.ndim):
            expected = sorted(
                (1 - birth, 0.0 if death == np.inf else 1 - death)
                for k, (birth, death) in found
                if k == dimension
            )
            assert np.allclose(points(plane, dimension), expected)


def test_half_precision_and_views(rng):
    plane = rng.random((6, 8)).astype(np.float16)
    assert points(plane[:, ::2], 0) == points(plane[:, ::2].astype(np.float32), 0)


@pytest.mark.parametrize(
    ("plane", "dimension", "sentence"),
    [
        (np.zeros(3), 0, "plane: expected"),
        (np.zeros((3, 3), int), 0, "plane: expected"),
        (np.zeros((0, 3)), 0, "plane: expected"),
        (np.full((2, 2), np.nan), 0, "got NaN"),
        (np.zeros((3, 3)), 2, "dimension: expected 0"),
        (np.zeros((3, 3, 3)), 3, "2 .cavities., got 3"),
        (np.zeros((3, 3, 3, 3)), 0, "plane: expected"),
    ],
)
def test_bad_planes_get_a_sentence(plane, dimension, sentence):
    with pytest.raises(ValueError, match=sentence):
        persistence_pairs(plane, dimension)


@pytest.mark.parametrize("shape", [(3, 3), (1, 1, 0, 3), None])
def test_bad_masks_get_a_sentence(shape):
    mask = torch.zeros(1, 1, 3, 3) if shape is None else torch.zeros(shape, dtype=torch.bool)
    with pytest.raises(ValueError, match="mask: expected"):
        betti_numbers(mask)
