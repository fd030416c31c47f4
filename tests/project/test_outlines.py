"""Outlines and pixels: brute force says which pixels are inside; masks come back as they were."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from napari_segsize.project import Contour
from napari_segsize.project.outlines import labels_of, mask_of, pieces_of, rings_of, same_pixels
from napari_segsize.project.rings import GRID

SHAPE = (9, 11)
vertex = st.tuples(
    *(st.one_of(st.integers(-3, 12), st.integers(-3 * GRID, 12 * GRID).map(lambda k: k / GRID)) for _ in "yx")
)
some_rings = st.lists(st.lists(vertex, min_size=1, max_size=8), max_size=3)
masks = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def by_hand(rings: list[list[tuple[float, float]]], shape: tuple[int, int]) -> np.ndarray:
    """Count the edges to the left of every pixel centre, in exact arithmetic."""
    mask = np.zeros(shape, bool)
    for y, x in np.ndindex(shape):
        odd = False
        for ring in rings:
            for (y0, x0), (y1, x1) in zip(ring, [*ring[1:], ring[0]], strict=True):
                if (y0 <= y) != (y1 <= y):
                    part = (Fraction(y) - Fraction(y0)) / (Fraction(y1) - Fraction(y0))
                    odd ^= Fraction(x0) + part * (Fraction(x1) - Fraction(x0)) <= x
        mask[y, x] = odd
    return mask


@settings(deadline=None, max_examples=60)
@given(some_rings)
def test_the_pixels_inside(rings: list[list[tuple[float, float]]]) -> None:
    assert np.array_equal(mask_of(rings, SHAPE), by_hand(rings, SHAPE))


@settings(deadline=None, max_examples=60)
@given(some_rings, some_rings)
def test_the_same_pixels(
    some: list[list[tuple[float, float]]], others: list[list[tuple[float, float]]]
) -> None:
    expected = np.array_equal(mask_of(some, SHAPE), mask_of(others, SHAPE))
    assert same_pixels(some, others, SHAPE) == expected
    assert same_pixels(some, some[::-1], SHAPE)


def test_large_polygons_against_shapely() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        angles, radii = np.sort(rng.uniform(0, 2 * np.pi, 30)), rng.uniform(20, 60, 30)
        ring = np.stack((50 + radii * np.sin(angles), 40 + radii * np.cos(angles)), -1)
        ring = np.round(ring * GRID) / GRID
        polygon = shapely.Polygon(ring)
        y, x = np.mgrid[:90, :100]
        clear = ~shapely.intersects_xy(polygon.boundary, y, x)
        assert np.array_equal(mask_of([ring], (90, 100))[clear], shapely.contains_xy(polygon, y, x)[clear])


def test_objects_that_share_an_edge_share_no_pixel() -> None:
    corners = [(0, 0), (0, 10), (8, 10), (8, 0)]
    middle = (3, 5)
    parts = [
        mask_of([[a, b, middle]], SHAPE) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    assert np.array_equal(np.sum(parts, axis=0), mask_of([corners], SHAPE))
    assert mask_of([corners], SHAPE).sum() == 80  # the upper and the left edge belong to it


def test_vertices_are_rounded_as_they_are_stored() -> None:
    ring = [(2 + 0.4 / GRID, 2), (2 + 0.4 / GRID, 5), (5, 5), (5, 2)]
    assert mask_of([ring], SHAPE)[2, 2]


def test_no_rings_and_far_rings() -> None:
    assert not mask_of([], SHAPE).any()
    assert not mask_of([[(-9, -9), (-9, -2), (-2, -2)]], SHAPE).any()
    assert not mask_of([[(50, 50), (50, 90), (90, 50)]], SHAPE).any()
    assert mask_of(
        [[(-(2**24), -(2**24)), (-(2**24), 2**24), (2**24, 2**24), (2**24, -(2**24))]], SHAPE
    ).all()


@settings(deadline=None, max_examples=60)
@given(masks)
def test_a_mask_comes_back(mask: np.ndarray) -> None:
    rings = rings_of(mask)
    assert np.array_equal(mask_of(rings, mask.shape), mask)
    pieces = pieces_of(rings)
    assert [ring for piece in pieces for ring in piece] == list(rings)
    polygons = [shapely.Polygon(outer, holes) for outer, *holes in pieces]
    assert all(polygon.is_valid for polygon in polygons)
    assert shapely.MultiPolygon(polygons).is_valid
    assert sum(polygon.area for polygon in polygons) == mask.sum()
    assert len(pieces) == label(mask, connectivity=1).max()
    assert all(shapely.get_num_coordinates(shapely.simplify(p, 0)) == shapely.get_num_coordinates(p)
               for p in polygons)  # corners only  # fmt: skip


def test_the_outer_ring_comes_first() -> None:
    mask = np.zeros((7, 9), bool)
    mask[1:6, 1:6] = True
    mask[2:5, 2:5] = False
    mask[3, 3] = mask[0, 8] = True
    lone, outer, hole, inner = rings_of(mask)
    assert outer == ((0.5, 0.5), (0.5, 5.5), (5.5, 5.5), (5.5, 0.5))
    assert set(hole) == {(1.5, 1.5), (1.5, 4.5), (4.5, 4.5), (4.5, 1.5)}
    assert min(lone) == (-0.5, 7.5)
    assert min(inner) == (2.5, 2.5)
    assert pieces_of((outer, lone, inner, hole)) == ((lone,), (outer, hole), (inner,))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(vertex, min_size=3, max_size=6, unique=True).map(tuple), max_size=5))
def test_rings_that_cross_are_all_kept(rings: list[tuple[tuple[float, float], ...]]) -> None:
    assert sorted(ring for piece in pieces_of(rings) for ring in piece) == sorted(rings)


def test_rings_of_labels_and_wrong_shapes() -> None:
    assert rings_of(np.array([[0, 7]])) == rings_of(np.array([[False, True]]))
    assert rings_of(np.zeros((3, 4))) == ()
    with pytest.raises(ValueError, match="expected 2 dimensions, got 3"):
        rings_of(np.zeros((1, 3, 4)))


@settings(deadline=None, max_examples=60)
@given(st.lists(some_rings, max_size=4))
def test_the_first_object_keeps_its_pixels(drawn: list[list[list[tuple[float, float]]]]) -> None:
    contours = [Contour(object=f"{k}", rings=tuple(map(tuple, rings))) for k, rings in enumerate(drawn)]
    labels = labels_of(contours, SHAPE)
    assert labels.dtype == np.int32
    expected = np.zeros(SHAPE, int)
    for number in range(len(contours), 0, -1):
        expected[mask_of(contours[number - 1].rings, SHAPE)] = number
    assert np.array_equal(labels, expected)


def test_contours_without_an_outline_leave_their_number_free() -> None:
    square = Contour(object="b", rings=rings_of(np.eye(3)))
    labels = labels_of([Contour(object="a", points=((1.0, 1.0),)), square], (3, 3))
    assert np.array_equal(labels, 2 * np.eye(3))
