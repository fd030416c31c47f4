"""Geometry of one contour against shapely, and what is measured and drawn of it against counted pixels."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from napari_segsize.project.outlines import mask_of
from napari_segsize.widgets.contour_shape import (
    area,
    centroid,
    contains,
    distance_to,
    edges,
    is_stray,
    with_vertices,
)
from napari_segsize.widgets.contour_snap import snapped

quick = settings(deadline=None, max_examples=50)
number = st.floats(-50, 50, allow_subnormal=False)


@st.composite
def stars(draw):
    """Simple polygons around a centre, convex or not."""
    count = draw(st.integers(3, 12))
    radii = np.array(draw(st.lists(st.floats(1, 20), min_size=count, max_size=count)))
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.array([draw(number), draw(number)]) + radii[:, None] * np.stack(
        [np.sin(angle), np.cos(angle)], 1
    )


@quick
@given(stars())
def test_area_and_centroid_are_shapelys(contour):
    polygon = shapely.Polygon(contour)
    assert area(contour) == pytest.approx(polygon.area)
    assert area(contour[::-1]) == pytest.approx(polygon.area)
    assert centroid(contour) == pytest.approx((polygon.centroid.x, polygon.centroid.y), abs=1e-6)


@quick
@given(stars(), number, number)
def test_inside_and_distance_are_shapelys(contour, y, x):
    polygon, point = shapely.Polygon(contour), shapely.Point(y, x)
    away = polygon.exterior.distance(point)
    assert distance_to(contour, (y, x)) == pytest.approx(away, abs=1e-9)
    assume(away > 1e-6)
    assert contains(contour, (y, x)) == polygon.contains(point)


@quick
@given(stars(), st.integers(3, 40))
def test_another_number_of_vertices(contour, count):
    changed = with_vertices(contour, count)
    assert len(changed) == count
    if count >= len(contour):  # halving edges changes nothing
        assert area(changed) == pytest.approx(area(contour))
    else:
        kept = {tuple(vertex) for vertex in contour}
        assert all(tuple(vertex) in kept for vertex in changed)


def test_the_vertex_that_matters_least_goes_first():
    square = np.array([[0, 0], [0, 5.01], [0, 10], [10, 10], [10, 0]], float)
    assert with_vertices(square, 4).tolist() == [[0, 0], [0, 10], [10, 10], [10, 0]]
    with pytest.raises(ValueError, match="at least 3"):
        with_vertices(square, 2)


def test_a_click_is_stray_when_it_is_far_for_the_size_of_the_object():
    ends = [(10, 20), (20, 10), (30, 20)]
    assert not is_stray(ends, (20, 30))
    assert not is_stray(ends, (20, 110))  # an object nine times as long as wide
    assert is_stray(ends, (20, 140))
    small = [(10, 11), (11, 10), (12, 11)]
    assert not is_stray(small, (11, 50))  # what is tiny says little
    assert is_stray(small, (11, 80))


def test_edges_close_the_contour():
    triangle = np.array([[0, 0], [0, 3], [4, 0]], float)
    vectors = edges(triangle)
    assert np.allclose(vectors[:, 0], triangle)
    assert np.allclose(vectors.sum(axis=1), np.roll(triangle, -1, axis=0))
    assert edges(np.stack([triangle, triangle])).shape == (6, 2, 2)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_click_snaps_to_a_clear_edge_within_reach(channels):
    pixels = np.zeros((40, 40, *channels), np.uint8)
    pixels[:, 20:] = 200
    y, x = snapped(pixels, (12.0, 17.0))
    assert x in (19.0, 20.0)
    assert abs(y - 12) <= 4
    assert snapped(pixels, (12.0, 10.0)) == (12.0, 10.0)  # too far
    assert snapped(pixels, (12.0, 10.0), reach=12.0)[1] in (19.0, 20.0)


def test_a_click_on_noise_or_in_a_corner_stays(rng):
    noise = rng.normal(size=(30, 30))
    assert snapped(noise, (15.0, 15.0)) == (15.0, 15.0)


def test_a_click_is_pulled_to_the_nearest_thin_edge_that_is_seen():
    pixels = np.zeros((30, 30))
    pixels[:, 20:] = 100
    edges = np.zeros((30, 30), np.float32)
    edges[:, 15], edges[:, 13] = 0.9, 0.05
    assert snapped(pixels, (12.3, 17.0), edges=edges) == (12.0, 15.0)
    assert snapped(pixels, (12.0, 14.0), edges=edges) == (12.0, 15.0)  # the faint one is none
    assert snapped(pixels, (12.0, 22.0), edges=edges)[1] in (19.0, 20.0)  # too far: the image decides
    assert snapped(pixels, (12.0, 6.0), edges=edges) == (12.0, 6.0)
    assert snapped(pixels, (0.0, 12.0), edges=edges) == (0.0, 15.0)
    assert snapped(np.zeros((2, 2)), (0.0, 0.0)) == (0.0, 0.0)
    assert snapped(np.full((30, 30), np.nan), (0.0, 0.0)) == (0.0, 0.0)


@quick
@given(stars())
def test_measured_curves_are_those_of_the_masks(contour):
    scrubber = pytest.importorskip("napari_segsize.widgets.contour_scrubber")
    shape = (160, 160)
    grown = np.stack([80 + (contour - contour.mean(0)) * factor for factor in (0.5, 1.0)])
    masks = [mask_of([step], shape) for step in grown]
    assume(masks[1].any())
    truth = masks[1].astype(int) * 7
    found = scrubber.measured(grown, truth)
    assert found["area"] == pytest.approx([area(step) for step in grown])
    expected = [(mask & masks[1]).sum() / (mask | masks[1]).sum() for mask in masks]
    assert found["iou"] == pytest.approx(expected)


def test_a_truth_beyond_the_contour_counts_too():
    scrubber = pytest.importorskip("napari_segsize.widgets.contour_scrubber")
    truth = np.ones((100, 100), int)
    square = np.array([[9.5, 9.5], [9.5, 19.5], [19.5, 19.5], [19.5, 9.5]])
    assert scrubber.measured(np.stack([square, square]), truth)["iou"] == pytest.approx([0.01, 0.01])


def test_a_large_object_is_measured_at_a_smaller_scale():
    scrubber = pytest.importorskip("napari_segsize.widgets.contour_scrubber")
    square = np.array([[0, 0], [0, 1000], [1000, 1000], [1000, 0]], float)
    found = scrubber.measured(np.stack([square, square]))
    assert found["size"] == pytest.approx([1000, 1000], rel=0.03)
    assert "iou" not in found


def test_the_border_of_labels_is_every_side_of_a_pixel_between_two():
    drawing = pytest.importorskip("napari_segsize.widgets.contour_drawing")
    labels = np.array([[0, 1, 2], [0, 1, 0]])
    vectors = drawing.truth_edges(labels)
    # 4 sides around the ends of column 1, 2 to its left, 2 to its right, and 3 more around the 2
    assert len(vectors) == 2 + 2 + 2 + 3
    assert {tuple(each) for each in vectors[:, 1].tolist()} == {(0.0, 1.0), (1.0, 0.0)}
    padded = np.pad(labels, 1)
    for begin, along in vectors:
        middle = begin + along / 2 + 1  # in the padded image, on a side between two pixels
        a, b = middle - 0.5 * along[::-1], middle + 0.5 * along[::-1]
        assert padded[tuple(a.astype(int))] != padded[tuple(b.astype(int))]
