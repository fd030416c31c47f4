"""What a loss acts on, out of layers: contours, level sets, fields, edges; and which object they learn."""

import numpy as np
import pytest

from napari_segsize.engine.loss_look import LossRequest, look_at_loss, looks_at_loss
from napari_segsize.losses.microscope import microscope

SHAPE = (30, 36)


def box(top: int = 5, left: int = 6, side: int = 10) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    labels[top : top + side, left : left + side] = 1
    return labels


SQUARE = np.array([[6.0, 7.0], [6.0, 17.0], [16.0, 17.0], [16.0, 7.0]])


def look(name: str, prediction: np.ndarray, target: np.ndarray | None = None, **more: object):
    return look_at_loss(LossRequest(name=name, prediction=prediction, target=target, **more))


def drawn(name: str, target: np.ndarray | None = None, **more: object):
    return look(name, SQUARE, target, drawn=True, shape=SHAPE, **more)


def test_a_drawn_contour_is_taken_vertex_by_vertex():
    view = drawn("contour_segmentation", box())
    assert np.array_equal(view.places, SQUARE)
    expected = microscope("contour_segmentation", SQUARE, box() > 0)
    assert view.value == expected.value
    assert np.array_equal(view.gradient, expected.gradient)
    assert "contour" not in view.marks  # it is on screen already


def test_a_drawn_contour_at_equal_steps_runs_along_the_same_line():
    view = drawn("contour_segmentation", box(), vertices=40)
    assert view.gradient.shape == (40, 2)
    steps = np.hypot(*view.marks["contour"][:, 2:].T)
    assert np.allclose(steps, 1.0)
    assert view.value == pytest.approx(drawn("contour_segmentation", box()).value)


def test_the_outline_of_the_label_that_is_meant_or_of_the_largest():
    labels = box(2, 2, 6) + 4 * box(15, 15, 12)
    largest = look("balloon", labels)
    assert "label 4, the largest" in largest.notices[0]
    assert largest.places.min() > 14
    small = look("balloon", labels, label=1, vertices=12)
    assert small.gradient.shape == (12, 2)
    assert small.places.max() < 8
    assert look("balloon", labels, label=9).notices == largest.notices


def test_probabilities_have_the_outline_of_their_half():
    probs = np.where(box(), 0.9, 0.3)
    view = look("contour_segmentation", probs, box())
    assert view.value < 0.01


def test_balloon_and_curvature_know_the_image():
    assert drawn("balloon").value == pytest.approx(1 - 100 / (SHAPE[0] * SHAPE[1]))
    assert drawn("curvature").value == microscope("curvature", SQUARE, shape=SHAPE).value


def test_of_several_objects_the_one_under_the_contour_is_learned():
    labels = 3 * box(7, 8, 8) + 7 * box(20, 24, 9)
    view = drawn("contour_segmentation", labels)
    assert view.notices[0] == "Of the target, label 3 counts, which the contour covers most."
    assert view.value == microscope("contour_segmentation", SQUARE, labels == 3).value
    far = look("contour_segmentation", SQUARE + np.array([12, -4]), labels, drawn=True, shape=SHAPE)
    assert "the nearest" in far.notices[0]
    parts = look("contour_segmentation", SQUARE, labels > 0, drawn=True, shape=SHAPE)
    assert "one of 2 parts" in parts.notices[0]
    assert parts.value == view.value


def test_sizes_and_points_are_those_of_that_object():
    labels = 3 * box(7, 8, 8) + 7 * box(20, 24, 9)
    size = drawn("contour_size", labels)
    assert any("8 px" in each for each in size.notices)
    assert size.marks["squares"][1, 2] == 7.5
    points = drawn("extreme_points", labels)
    assert points.marks["true points"].min(0).tolist() == [7, 8]
    clicks = np.array([[14.0, 11.0], [7.0, 11.0], [11.0, 15.0], [11.0, 8.0]])  # in any order
    clicked = drawn("extreme_points", clicks)
    assert clicked.marks["true points"].tolist() == clicks[[1, 3, 0, 2]].tolist()
    stamped = drawn("contour_size", 0 * labels, size=8.0)
    assert stamped.value == size.value


def test_a_level_set_is_taken_as_it_is_and_a_mask_by_its_distance():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    phi = 6.0 - np.hypot(y - 10, x - 11)
    view = look("phi_distance", phi, box())
    assert view.value == microscope("phi_distance", phi, box()).value
    assert not view.notices
    made = look("phi_distance", box(), box())
    assert "signed distance" in made.notices[0]
    assert made.value == pytest.approx(0, abs=1e-9)
    assert look("phi_distance", np.where(box(), 0.8, 0.1), box()).value == made.value
    assert look("phi_distance", box(), box(), options={"truncation": 3.0}).maps["level set"].max() == 3
    assert look("phi_bce", box(), box()).maps["level set"].min() < -12
    scaled = (phi - phi.min()) / (phi.max() - phi.min())  # 0..1, and yet a level set if one says so
    assert look("phi_bce", scaled, box(), kind="logits").value == microscope("phi_bce", scaled, box()).value


def test_a_field_is_taken_as_it_is_or_points_off_the_outline():
    field = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]]).astype(float) - 10
    assert (
        look("motion_direction", field, box()).value == microscope("motion_direction", field, box() > 0).value
    )
    made = look("motion_direction", box(), box())
    assert "way off its outline" in made.notices[0]
    assert made.value < 0.01


def test_objects_have_edges_where_their_outline_is_and_painted_edges_are_edges():
    outline = look("edge_bce", box(), box())
    assert "outlines" in outline.notices[0]
    ring = box() - box(6, 7, 8)
    painted = look("edge_bce", ring, box(), kind="mask")
    assert painted.value == outline.value
    assert not painted.notices
    assert look("edge_bce", np.where(box(), 0.9, 0.2), box(), kind="outlines").value == outline.value
    assert look("edge_bce", np.where(box(), 0.9, 0.2), box()).value != outline.value


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (LossRequest(name="balloon", prediction=0 * box()), "empty here and has no outline"),
        (LossRequest(name="balloon", prediction=SQUARE[:2], drawn=True, shape=SHAPE), "at least 3 vertices"),
        (LossRequest(name="balloon", prediction=box(), vertices=2), "3 to 512"),
        (LossRequest(name="contour_size", prediction=box(), target=box()[:9]), "the target 9 x 36"),
        (LossRequest(name="extreme_points", prediction=box(), target=0 * box()), "no extreme points"),
        (LossRequest(name="phi_bce", prediction=np.full(SHAPE, np.nan), target=box()), "finite"),
        (
            LossRequest(name="phi_bce", prediction=3.0 * box(), target=box(), kind="probabilities"),
            "from 0 to 1",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(request_, words):
    (said,) = looks_at_loss(request_)
    assert isinstance(said, str)
    assert words in said
