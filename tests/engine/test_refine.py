from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_segsize.engine.alignment import Alignment
from napari_segsize.engine.edge_config import AlignConfig
from napari_segsize.engine.refine import accept, refine_plane, rough_objects, rough_planes, tendency
from napari_segsize.errors import SegsizeError
from napari_segsize.models.edges import build_edge_net
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import mask_of, rings_of

SHAPE = (50, 70)


def disk(centre: tuple[int, int], radius: float = 9) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


TRUTH = {"left": disk((22, 18)), "right": disk((24, 48))}


@pytest.fixture
def project(tmp_path: Path):
    with Project.create(tmp_path / "cells") as opened:
        pixels = gaussian_filter(100.0 * (TRUTH["left"] | TRUTH["right"]), 1)
        plane = PlaneRef(opened.add_array("cell", pixels.astype(np.float32), split="train").id, 0)
        opened.put_contour(plane, object="a", rings=rings_of(disk((25, 17))), source="drawn")
        opened.put_mask(plane, 5 * disk((22, 51)).astype(np.int32))
        yield opened


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_contours_and_the_mask_are_refined_and_put_back_each_in_a_transaction(project):
    (rough,) = rough_planes(project)
    assert rough.objects == {1: "a"}
    assert rough.painted == {2: 5}
    found = list(refine_plane(project, rough, AlignConfig(stay=0.1)))
    assert [each.number for each in found] == [1, 2]
    labels = accept(project, rough, found)
    said = project.annotation(rough.plane)
    outline = mask_of(said.contours[0].rings, SHAPE)
    assert np.array_equal(outline, labels == 1)
    assert np.array_equal(said.mask == 5, labels == 2)
    assert set(np.unique(said.mask)) == {0, 5}
    assert overlap(outline, TRUTH["left"]) > 0.9
    assert said.contours[0].source == "refined"
    assert overlap(said.mask == 5, TRUTH["right"]) > 0.9
    project.undo()
    assert np.array_equal(project.annotation(rough.plane).mask == 5, disk((22, 51)))
    assert np.array_equal(mask_of(project.annotation(rough.plane).contours[0].rings, SHAPE), outline)
    project.undo()
    assert np.array_equal(mask_of(project.annotation(rough.plane).contours[0].rings, SHAPE), disk((25, 17)))


def test_a_method_that_looks_at_images_refuses_the_edges_of_a_network(project):
    (rough,) = rough_planes(project)
    with pytest.raises(SegsizeError, match="Align to the image, or choose another method"):
        next(refine_plane(project, rough, AlignConfig(method="learned"), network=build_edge_net("small")))


def test_a_habit_of_drawing_is_told_from_mistakes():
    def to(number, before, after, notice=""):
        return Alignment(number, (0, 0), np.stack([disk((25, 30), before), disk((25, 30), after)]), notice)

    assert tendency([]) == ""
    assert tendency([to(k, 12, 9) for k in range(4)]) == ""  # too few
    said = tendency([to(k, 12, 9) for k in range(5)])
    assert "Most shrink" in said
    assert "43 %" in said
    assert "Most grow" in tendency([to(k, 9, 12) for k in range(5)])
    assert tendency([to(k, 9, 12) if k % 2 else to(k, 12, 9) for k in range(10)] + [to(10, 9, 9.2)]) == ""
    assert tendency([to(k, 12, 9, "It vanished.") for k in range(9)]) == ""


def test_what_is_not_accepted_stays(project):
    (rough,) = rough_planes(project)
    (one,) = refine_plane(project, rough, numbers=[2])
    accept(project, rough, [one])
    said = project.annotation(rough.plane)
    assert np.array_equal(mask_of(said.contours[0].rings, SHAPE), disk((25, 17)))
    assert not np.array_equal(said.mask == 5, disk((22, 51)))
    accept(project, rough, [])
    assert project.annotation(rough.plane) == said


def test_an_object_that_did_not_move_is_no_step(project):
    (rough,) = rough_planes(project)
    still = Alignment(1, (0, 0), np.stack([rough.labels == 1] * 2))
    accept(project, rough, [still])
    assert project.annotation(rough.plane).contours[0].source == "drawn"
    project.undo()
    assert project.annotation(rough.plane).mask is None  # the last step was the mask of the fixture


def test_what_was_drawn_anew_since_is_not_overwritten(project):
    (rough,) = rough_planes(project)
    found = list(refine_plane(project, rough, AlignConfig(stay=0.1)))
    assert all(each.moved for each in found)
    project.put_contour(rough.plane, object="a", rings=())
    mine = 5 * disk((24, 48), 8).astype(np.int32)
    project.put_mask(rough.plane, mine)
    accept(project, rough, found)
    said = project.annotation(rough.plane)
    assert not any(contour.accepted for contour in said.contours)
    assert np.array_equal(said.mask, mine)


def test_a_label_under_a_contour_is_the_contours(project):
    (record,) = project.images()
    plane = PlaneRef(record.id, 0)
    project.put_mask(plane, 3 * disk((24, 17)).astype(np.int32))
    rough = rough_objects(project.annotation(plane), SHAPE)
    assert rough.objects == {1: "a"}
    assert not rough.painted


def test_nothing_to_refine_is_said(tmp_path):
    with Project.create(tmp_path / "empty") as opened:
        opened.add_array("x", np.zeros((9, 9), np.float32))
        with pytest.raises(SegsizeError, match="no outline to refine"):
            rough_planes(opened)
