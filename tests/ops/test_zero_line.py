"""The zero line as rings: exact where it is straight, with holes and parts, without specks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segsize.ops.zero_line import main_part, touches_frame, zero_rings
from napari_segsize.project.outlines import mask_of


def disc(radius: float, centre: tuple[float, float] = (15.3, 14.8), side: int = 32) -> np.ndarray:
    y, x = np.indices((side, side))
    return radius - np.hypot(y - centre[0], x - centre[1])


def area(ring: np.ndarray) -> float:
    y, x = ring.T
    return abs(float((y * np.roll(x, -1) - x * np.roll(y, -1)).sum())) / 2


def test_a_circle_is_found_between_the_pixels():
    (ring,) = zero_rings(disc(9.0))
    away = np.hypot(ring[:, 0] - 15.3, ring[:, 1] - 14.8)
    assert np.abs(away - 9.0).max() < 0.03
    assert area(ring) == pytest.approx(np.pi * 81, rel=0.005)


def test_a_ring_has_a_hole_and_two_discs_are_two_parts():
    outer, hole = zero_rings(np.minimum(disc(12.0), -disc(5.0)))
    assert area(outer) > area(hole) == pytest.approx(np.pi * 25, rel=0.01)
    two = np.maximum(disc(6.0, (8.0, 8.0)), disc(4.0, (23.0, 23.0)))
    first, second = zero_rings(two)
    assert first.mean(0) == pytest.approx([8.0, 8.0], abs=0.1)
    assert second.mean(0) == pytest.approx([23.0, 23.0], abs=0.1)


def test_a_tolerance_takes_fewer_vertices():
    (fine,), (coarse,) = zero_rings(disc(9.0)), zero_rings(disc(9.0), tolerance=0.2)
    assert len(coarse) < len(fine) / 2
    assert area(coarse) == pytest.approx(area(fine), rel=0.02)


def test_at_the_frame_the_line_runs_half_a_pixel_outside():
    (ring,) = zero_rings(np.ones((4, 6)))
    assert (ring.min(0).tolist(), ring.max(0).tolist()) == ([-0.5, -0.5], [3.5, 5.5])


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=60, deadline=None)
def test_any_mask_comes_back_from_its_rings(mask):
    rings = zero_rings(np.where(mask, 1.0, -1.0))
    assert np.array_equal(mask_of(rings, mask.shape), mask)
    assert (zero_rings(np.full(mask.shape, -1.0))) == []


def test_specks_go_and_parts_stay():
    phi = np.maximum(disc(8.0), disc(0.8, (28.0, 28.0)))
    phi = np.where(disc(1.0) > 0, -1.0, phi)  # a pinhole
    assert len(zero_rings(phi)) == 3
    assert len(zero_rings(main_part(phi, least=0.05))) == 1
    assert len(zero_rings(main_part(phi, least=0.0))) == 3
    two = np.maximum(disc(6.0, (8.0, 8.0)), disc(4.0, (23.0, 23.0)))
    assert np.array_equal(main_part(two), two)
    assert (main_part(np.full((5, 5), -2.0)) < 0).all()


def test_what_lies_outside_the_box_or_at_the_frame_is_no_part():
    two = np.maximum(disc(6.0, (8.0, 8.0)), disc(7.0, (23.0, 23.0)))
    (ring,) = zero_rings(main_part(two, box=(2.0, 2.0, 14.0, 14.0)))
    assert ring.mean(0) == pytest.approx([8.0, 8.0], abs=0.1)
    beside = np.maximum(disc(6.0), disc(5.0, (31.0, 31.0)))
    assert touches_frame(beside)
    assert not touches_frame(main_part(beside))
    # an object that fills its region has nothing else to be
    assert touches_frame(main_part(np.ones((6, 6))))
    # a box without anything in it decides nothing
    assert len(zero_rings(main_part(two, box=(0.0, 28.0, 1.0, 30.0)))) == 2


def test_bad_input_is_named():
    for wrong in (np.zeros((2, 3, 3)), np.zeros((3, 3), int), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="phi"):
            zero_rings(wrong)
        with pytest.raises(ValueError, match="phi"):
            main_part(wrong)
