"""The pictures behind the losses on contours, level sets and motion fields."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segsize.losses.microscope import microscope

SHAPE = (40, 44)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)


def disk(y: float, x: float, radius: float) -> np.ndarray:
    return np.hypot(Y - y, X - x) < radius


def contour(y: float = 20.0, x: float = 21.0, radius: float = 9.0, count: int = 16) -> np.ndarray:
    angle = np.arange(count) * 2 * np.pi / count
    radius = radius + np.cos(3 * angle)
    return np.stack([y + radius * np.sin(angle), x + radius * np.cos(angle)], 1)


@pytest.mark.parametrize(
    ("name", "target", "options"),
    [
        ("curvature", None, {"shape": SHAPE}),
        ("curvature", None, {"shape": SHAPE, "squared": True}),
        ("curvature", None, {"shape": SHAPE, "invariant": True}),
        ("contour_distance", disk(18, 24, 10), {}),
    ],
)
def test_what_the_vertices_cost_adds_up_to_the_value(name, target, options):
    view = microscope(name, contour(), target, **options)
    assert np.array_equal(view.marks["vertices"][:, :2], contour())
    assert view.marks["vertices"][:, 2].mean() == pytest.approx(view.value, rel=1e-5)
    assert np.array_equal(view.places, contour())


@pytest.mark.parametrize(
    ("name", "key", "prediction", "options"),
    [
        ("contour_segmentation", "cost", contour(), {}),
        ("phi_distance", "cost", 9 - np.hypot(Y - 20, X - 21), {}),
        ("phi_distance", "cost", 9 - np.hypot(Y - 20, X - 21), {"truncation": 3.0}),
        ("phi_bce", "cost", 9 - np.hypot(Y - 20, X - 21), {}),
        ("phi_bce", "cost", 9 - np.hypot(Y - 20, X - 21), {"balanced": False, "width": 2.0}),
    ],
)
def test_what_the_pixels_cost_adds_up_to_the_value(name, key, prediction, options):
    view = microscope(name, prediction, disk(18, 24, 10), **options)
    assert view.value > 0
    assert view.maps[key].mean() == pytest.approx(view.value, rel=1e-5)


def test_the_balloon_is_what_lies_outside():
    view = microscope("balloon", contour(), shape=SHAPE)
    assert view.maps["outside"].mean() == pytest.approx(view.value, rel=1e-5)
    assert np.allclose(view.maps["rendered mask"] + view.maps["outside"], 1)


def test_squared_angles_add_up_where_there_is_a_direction():
    field = np.stack([Y - 20, X - 30])
    view = microscope("motion_direction", field, disk(18, 24, 10))
    directed = len(view.marks["wanted motion"])
    assert view.maps["squared angle"].sum() / directed == pytest.approx(view.value, rel=1e-4)
    lengths = np.hypot(*view.marks["motion"][:, 2:].T)
    assert np.allclose(lengths, 1)
    still = microscope("motion_direction", 0 * field, disk(18, 24, 10))
    assert not len(still.marks["motion"])


def test_zero_lines_run_along_the_circle_and_close():
    view = microscope("phi_distance", 9 - np.hypot(Y - 20, X - 21), disk(18, 24, 10))
    line = view.marks["zero line"]
    assert np.allclose(np.hypot(line[:, 0] - 20, line[:, 1] - 21), 9, atol=0.1)
    assert np.allclose(line[:, :2] + line[:, 2:], np.roll(line[:, :2], -1, 0))
    outline = view.marks["true outline"]
    assert np.allclose(np.hypot(outline[:, 0] - 18, outline[:, 1] - 24), 10, atol=0.8)


def test_gaps_and_reach_are_those_of_the_loss():
    box = np.array([[10.0, 12.0], [10.0, 30.0], [28.0, 30.0], [28.0, 12.0]])
    points = np.array([[8.0, 20.0], [18.0, 15.0], [28.0, 20.0], [18.0, 30.0]])  # the left one inside
    view = microscope("extreme_points", box, points, pixel=0.0)
    assert np.allclose(view.marks["gaps"][0], [8, 20, 2, 0])
    assert np.allclose(view.marks["gaps"][1], [18, 15, 0, -3])
    assert np.allclose(view.marks["reach"][0], [8, 20, 2, 0])  # stays 2 px behind: the way is inwards
    assert np.allclose(view.marks["reach"][1], [18, 15, 0, -3])
    assert not view.marks["gaps"][2:, 2:].any()
    ways = np.concatenate([view.marks["gaps"][:, 2:], view.marks["reach"][:, 2:]])
    assert view.value == pytest.approx((ways**2).sum() / 4 / 20**2)


def test_squares_are_the_one_inside_and_the_one_wanted():
    box = np.array([[9.5, 11.5], [9.5, 29.5], [25.5, 29.5], [25.5, 11.5]])  # 16 x 18 px
    view = microscope("contour_size", box, 20.0, shape=SHAPE)
    (y, _, found), (_, _, wanted) = view.marks["squares"]
    assert (y, found) == pytest.approx((17.5, 16.0))
    assert wanted == 19.5
    assert view.value == pytest.approx(((found - wanted) / wanted) ** 2)
    assert "16 px" in view.notices[0]


@pytest.mark.parametrize(
    ("name", "prediction", "target", "words"),
    [
        ("contour_segmentation", contour(8, 8, 4), disk(30, 34, 6), "does not touch the object"),
        ("contour_distance", contour(), disk(0, 0, 0), "target is empty"),
        ("phi_distance", 9 - np.hypot(Y, X), disk(20, 20, 99), "target is full"),
        ("phi_bce", np.full(SHAPE, -3.0), disk(20, 20, 9), "all of it is outside"),
        ("motion_direction", np.stack([Y, X]), disk(0, 0, 0), "target is empty"),
    ],
)
def test_what_cannot_be_learned_is_said(name, prediction, target, words):
    assert any(words in each for each in microscope(name, prediction, target).notices)


def test_masks_of_bytes_are_masks_for_contours_as_for_pixels():
    whole = microscope("contour_segmentation", contour(), disk(18, 24, 10))
    assert microscope("contour_segmentation", contour(), 255 * disk(18, 24, 10).astype(np.uint8)).value == (
        whole.value
    )


def test_descending_moves_a_contour_to_its_object():
    vertices, target = contour(20, 18), disk(20, 24, 10)
    first = microscope("contour_segmentation", vertices, target).value
    for _ in range(60):
        vertices = vertices - 40 * microscope("contour_segmentation", vertices, target).gradient
    assert microscope("contour_segmentation", vertices, target).value < 0.2 * first
