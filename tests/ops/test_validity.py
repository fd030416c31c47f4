from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from polygon_oracle import faces

from napari_segsize.ops.polygon import polygon_mask
from napari_segsize.ops.validity import repair, simplify

SQUARE = np.array([[0, 0], [6, 0], [6, 6], [0, 6]], float)
BOW_TIE = np.array([[0, 0], [6, 6], [6, 0], [0, 4]], float)


def signed(ring: np.ndarray) -> float:
    y, x = ring.T
    return float((y * np.roll(x, -1) - x * np.roll(y, -1)).sum())


def test_a_valid_outline_is_left_alone():
    ring, repaired = repair(SQUARE)
    assert not repaired
    assert np.array_equal(ring, SQUARE)
    assert np.array_equal(repair(SQUARE[::-1])[0], SQUARE[::-1])


def test_of_a_bow_tie_the_larger_wing_is_kept():
    ring, repaired = repair(BOW_TIE)
    assert repaired
    assert len(ring) == 3
    assert {tuple(vertex) for vertex in ring} == {(6, 6), (6, 0), (2.4, 2.4)}


def test_a_star_is_kept_whole_and_a_loop_counts_as_inside():
    angles = np.arange(5) * (4 * np.pi / 5)
    star = np.stack([8 - 7 * np.cos(angles), 8 + 7 * np.sin(angles)], 1)
    ring, repaired = repair(star)
    assert repaired
    assert len(ring) == 10
    covered = polygon_mask(torch.from_numpy(star)[None], (17, 17)).sum().item()
    assert shapely.Polygon(ring).area == pytest.approx(covered)


def test_the_sense_of_rotation_and_the_first_vertex_stay():
    twisted = np.array([[0, 0], [6, 0], [6, 6], [4, 7], [7, 5], [0, 6]], float)
    for start in (twisted, twisted[::-1]):
        ring, repaired = repair(start)
        assert repaired
        assert signed(ring) * signed(start) > 0
        assert np.array_equal(ring[0], start[0])


@given(
    arrays(np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.integers(-12, 12).map(float)),
)
@settings(deadline=None)
def test_whatever_comes_in_a_valid_polygon_comes_out(vertices):
    ring, repaired = repair(vertices)
    polygon = shapely.Polygon(ring)
    assert polygon.is_valid
    assert polygon.area > 0
    inside = shapely.unary_union(faces(vertices, "nonzero"))
    if not inside.is_empty:
        largest = max(shapely.Polygon(part.exterior).area for part in shapely.get_parts(inside))
        assert polygon.area == pytest.approx(largest)
    assert repaired or np.array_equal(ring, vertices)
    thinned = simplify(vertices, 1.0)
    assert shapely.Polygon(thinned).is_valid
    assert 3 <= len(thinned) <= len(ring)


@pytest.mark.parametrize(
    "vertices", [[[2, 3]] * 4, [[1, 1], [3, 5], [2, 3]], [[0, 0], [0, 4], [1e-6, 4], [1e-6, 0]]]
)
def test_a_collapsed_outline_becomes_a_triangle_that_can_be_seen(vertices):
    ring, repaired = repair(np.array(vertices, float))
    assert repaired
    assert ring.shape == (3, 2)
    assert shapely.Polygon(ring).area > 0.2
    assert np.allclose(ring.mean(0), np.mean(vertices, 0))


def test_simplifying_leaves_out_what_the_tolerance_allows():
    corners = np.array([[0, 0], [20, 0], [20, 20], [0, 20]], float)
    dense = (
        corners[:, None] + np.arange(0, 20, 4)[:, None] / 20 * (np.roll(corners, -1, 0) - corners)[:, None]
    )
    dense = dense.reshape(-1, 2)
    assert len(dense) == 20
    assert np.array_equal(simplify(dense, 0), corners)
    bumpy = dense.copy()
    bumpy[2] += [0, 0.7]
    assert len(simplify(bumpy, 0.5)) > 4
    assert np.array_equal(simplify(bumpy, 1.0), corners)
    assert len(simplify(dense, 100)) == 3
    assert (
        np.array_equal(simplify(dense[::-1], 0)[1:], corners[::-1][:-1])
        or signed(simplify(dense[::-1], 0)) < 0
    )


def test_the_simplified_outline_is_near_the_old_vertices(rng):
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    radii = 20 + rng.normal(size=80)
    blob = np.stack([30 - radii * np.cos(angles), 30 - radii * np.sin(angles)], 1)
    counts = []
    for tolerance in (0.2, 1.0, 3.0):
        ring = simplify(blob, tolerance)
        counts.append(len(ring))
        assert shapely.LinearRing(ring).distance(shapely.points(blob)).max() <= 1.1 * tolerance
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 15


def test_bad_input_is_told():
    with pytest.raises(ValueError, match="expected finite"):
        repair(SQUARE * np.nan)
    with pytest.raises(ValueError, match=r"at least 3 vertices, got \(2, 2\)"):
        simplify(SQUARE[:2], 1)
    with pytest.raises(ValueError, match="tolerance: expected 0 px or more"):
        simplify(SQUARE, -1)
