"""Outlines of several rings, as level sets have them: kept when accepted, moved, stepped through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contour_engine import FakeEngine
from held_jobs import Launch

from napari_segsize.project import Project
from napari_segsize.project.outlines import mask_of
from napari_segsize.widgets import contour_runs
from napari_segsize.widgets.contour_drawing import ContourDrawing, Wanted
from napari_segsize.widgets.controller import Controller

OUTER = np.array([(4, 4), (4, 20), (20, 20), (20, 4), (12, 3)], np.float32)
HOLE = np.array([(9, 9), (9, 14), (14, 12)], np.float32)


def board(controller):
    return controller.state.board


def clicks(controller):
    points = ((4, 10), (12, 4), (20, 12), (10, 20))
    return [controller.contours.click(controller.state.plane, point) for point in points][-1].object


def stored(controller, name):
    with Project.open(controller.state.folder) as other:
        said = other.annotation(controller.state.plane)
    return next(each for each in said.contours if each.object == name)


@pytest.fixture
def controller(monkeypatch, tmp_path, rng):
    engine = FakeEngine()

    def levelset(*args, **options):
        for event in engine(*args, **options):
            pierced = hasattr(event, "contours")
            yield replace(event, engine="levelset", rings=(OUTER, HOLE)) if pierced else event

    monkeypatch.setattr(contour_runs, "evolving", levelset)
    with Project.create(tmp_path / "p") as project:
        project.add_array("a", rng.integers(0, 255, (64, 64), dtype=np.uint8))
    made = Controller(Launch(), beside=Launch(), linger=0.0)
    assert made.open_project(tmp_path / "p")
    yield made
    made.dispose()


def test_holes_are_shown_and_accepted(controller):
    name = clicks(controller)
    shown = board(controller).find(name)
    assert np.array_equal(shown.present, OUTER)
    assert np.array_equal(shown.more[0], HOLE)
    controller.contours.accept(name)
    kept = stored(controller, name)
    assert kept.source == "levelset"
    assert np.array_equal(mask_of(kept.rings, (64, 64)), mask_of([OUTER, HOLE], (64, 64)))


def test_an_earlier_step_is_its_largest_outline_alone(controller):
    name = clicks(controller)
    controller.contours.show_step(name, 1)
    assert board(controller).find(name).more == ()
    controller.contours.accept(name)
    assert len(stored(controller, name).rings) == 1


def test_a_vertex_that_is_moved_leaves_the_hole_where_it_is(controller):
    name = clicks(controller)
    controller.contours.move_vertices(name, {0: (2.0, 2.0)}, evolve=False)
    shown = board(controller).find(name)
    assert shown.present[0].tolist() == [2.0, 2.0]
    assert np.array_equal(shown.more[0], HOLE)
    controller.contours.accept(name)
    assert len(stored(controller, name).rings) == 2
    controller.contours.move_vertices(name, {0: (3.0, 3.0)}, evolve=False)
    assert len(board(controller).find(name).more) == 1


def test_the_hole_is_drawn_with_its_outline(controller):
    clicks(controller)
    parts = ContourDrawing._contours(  # no layer is needed
        type("Drawing", (), {"held": {}})(), board(controller), Wanted()
    )
    assert sorted(len(vectors) for vectors, _ in parts) == [len(HOLE), len(OUTER)]
