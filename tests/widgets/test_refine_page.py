"""Refining outlines: the desk with a plain loop, the page in a real viewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from held_jobs import HeldJob, Launch
from scipy.ndimage import gaussian_filter

pytest.importorskip("napari")
from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent, QShowEvent

from napari_segsize.engine import checkpoint
from napari_segsize.engine.edge_config import AlignConfig, AlignmentConfig
from napari_segsize.engine.events import Ended, Started, StepDone, Validated
from napari_segsize.engine.run_files import state_file
from napari_segsize.models.alignment import build_alignment_net
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import mask_of, rings_of
from napari_segsize.widgets import refine_runs
from napari_segsize.widgets.alignment_box import AlignmentBox
from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.main import TITLES, SegsizeWidget
from napari_segsize.widgets.refine_desk import FOCUSED, OPEN

SHAPE = (50, 70)
LEFT = Qt.MouseButton.LeftButton


def disk(centre: tuple[int, int], radius: float = 9) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


TRUTH = {1: disk((22, 18)), 2: disk((24, 48))}


@pytest.fixture
def folder(tmp_path):
    with Project.create(tmp_path / "cells") as made:
        pixels = gaussian_filter(100.0 * (TRUTH[1] | TRUTH[2]), 1).astype(np.float32)
        for number in range(2):
            plane = PlaneRef(made.add_array(f"cell{number}", pixels, split="train").id, 0)
            made.put_contour(plane, object="a", rings=rings_of(disk((25, 17))), source="drawn")
            made.put_mask(plane, disk((22, 51)).astype(np.int32))
    return tmp_path / "cells"


@pytest.fixture
def controller(folder):
    made = Controller(Launch())
    made.open_project(folder)
    yield made
    made.dispose()


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def outline(controller) -> np.ndarray:
    return mask_of(controller.project.annotation(controller.state.plane).contours[0].rings, SHAPE)


def test_outlines_are_accepted_one_by_one(controller):
    desk = controller.refining
    desk.align(AlignConfig(stay=0.1), to_edges=False)
    assert (desk.total, desk.done, desk.focus, sorted(desk.waiting)) == (2, 2, 1, [1, 2])
    assert "2 of 2 outlines moved" in controller.state.message
    assert np.array_equal(outline(controller), disk((25, 17)))
    drawn = desk.picture()
    assert overlap(drawn == FOCUSED, TRUTH[1]) > 0.9
    assert overlap(drawn == OPEN, TRUTH[2]) > 0.9
    desk.show_step(0)
    assert np.array_equal(desk.picture() == FOCUSED, disk((25, 17)))
    desk.show_step(desk.steps)
    desk.accept()
    assert overlap(outline(controller), TRUTH[1]) > 0.9
    assert (desk.focus, list(desk.waiting)) == (2, [2])
    mask = controller.project.annotation(controller.state.plane).mask
    assert np.array_equal(mask > 0, disk((22, 51)))
    desk.accept()
    assert overlap(controller.project.annotation(controller.state.plane).mask > 0, TRUTH[2]) > 0.9
    assert desk.picture() is None
    controller.undo()
    controller.undo()
    assert np.array_equal(outline(controller), disk((25, 17)))


def test_the_step_that_is_shown_is_the_one_that_is_taken(controller):
    desk = controller.refining
    desk.align(AlignConfig(), to_edges=False)
    desk.show_step(1)
    shown = desk.picture() == FOCUSED
    desk.accept()
    assert np.array_equal(outline(controller), shown)


def test_rejected_outlines_stay_and_all_can_be_accepted(controller):
    desk = controller.refining
    desk.align(AlignConfig(stay=0.1), to_edges=False)
    desk.next_object()
    assert desk.focus == 2
    desk.reject()
    assert (desk.focus, list(desk.waiting)) == (1, [1])
    assert "stays as it was" in controller.state.message
    desk.accept_all()
    said = controller.project.annotation(controller.state.plane)
    assert np.array_equal(said.mask > 0, disk((22, 51)))
    assert overlap(outline(controller), TRUTH[1]) > 0.9


def test_all_that_is_accepted_at_once_is_one_step_of_undo(controller):
    desk, plane = controller.refining, controller.state.plane
    before = controller.project.annotation(plane)
    desk.align(AlignConfig(), to_edges=False)
    desk.accept_all()
    assert "2 outlines are refined" in controller.state.message
    controller.undo()
    after = controller.project.annotation(plane)
    assert np.array_equal(after.mask, before.mask)
    assert after.contours == before.contours


def test_what_wants_a_look_is_not_accepted_with_all_others(controller):
    desk = controller.refining
    desk.align(AlignConfig(), to_edges=False)
    desk.waiting[1] = replace(desk.waiting[1], notice="It vanished.")
    desk.accept_all()
    assert list(desk.waiting) == [1]
    assert np.array_equal(outline(controller), disk((25, 17)))
    desk.accept_all()
    assert "wants a look" in controller.state.error
    desk.mean(1)
    desk.accept()
    assert not desk.waiting


def test_outlines_that_changed_meanwhile_are_not_overwritten(controller):
    desk = controller.refining
    desk.align(AlignConfig(), to_edges=False)
    controller.put_mask(controller.state.plane, disk((10, 10)).astype(np.int32))
    desk.accept()
    assert "have changed" in controller.state.error
    assert np.array_equal(outline(controller), disk((25, 17)))


def test_another_plane_forgets_what_waited(controller):
    desk = controller.refining
    desk.align(AlignConfig(), to_edges=False)
    controller.next()
    desk.follow(controller.state.plane)
    assert not desk.waiting
    assert desk.picture() is None


def test_what_went_wrong_is_said(controller):
    desk = controller.refining
    desk.align(AlignConfig(), to_edges=True)
    assert "no edge network yet" in controller.state.error
    assert not desk.is_aligning
    desk.show_edges()
    assert "no edge network yet" in controller.state.error
    controller.delete("mask")
    controller.close_project()
    desk.align(AlignConfig(), to_edges=False)
    assert "No project is open" in controller.state.error


def test_a_job_of_before_is_not_listened_to(folder):
    jobs = []

    def hold(events, on_event, on_end):
        jobs.append(HeldJob(events, on_event, on_end))
        return jobs[-1]

    controller = Controller(Launch(), beside=hold)
    controller.open_project(folder)
    desk = controller.refining
    desk.align(AlignConfig(), to_edges=False)
    assert desk.is_aligning
    first = jobs[-1]
    desk.align(AlignConfig(), to_edges=False)
    assert first.stopped
    first.finish()
    assert desk.is_aligning
    assert desk.total == 0
    jobs[-1].finish()
    assert len(desk.waiting) == 2
    controller.dispose()


def test_training_is_the_long_job(controller, monkeypatch):
    seen = []

    def training(folder, config, *, resume=False, threads=0):
        seen.append((config.steps, resume))
        yield Started(stage="edges", device="CPU", steps=2)
        yield StepDone(stage="edges", step=1, steps=2, losses={"total": 1.0}, seconds_left=1.0, memory_mb=1.0)
        yield Ended(stage="edges", message="Learned.")

    monkeypatch.setattr(refine_runs, "training_edges", training)
    controller.train_edges()
    controller.train_edges(resume=True)
    assert seen == [(600, False), (600, True)]
    assert controller.state.message == "Learned."
    assert not controller.state.busy


def test_teaching_the_network_for_rough_outlines_is_a_long_job(controller, monkeypatch):
    seen = []

    def training(folder, config, *, resume=False, threads=0):
        seen.append((config.steps, resume))
        yield Started(stage="alignment", device="CPU", steps=2)
        yield Ended(stage="alignment", message="Learned.")

    monkeypatch.setattr(refine_runs, "training_alignment", training)
    controller.train_alignment()
    controller.train_alignment(AlignmentConfig(steps=7), resume=True)
    assert seen == [(1500, False), (7, True)]
    assert controller.state.message == "Learned."
    assert not controller.state.busy


class NoLayers:
    """Counts how often strokes were asked for."""

    flushed = 0

    def flush(self) -> None:
        self.flushed += 1


def test_the_box_of_the_network_is_there_for_its_method_alone(qtbot, folder, monkeypatch):
    jobs = []

    def hold(events, on_event, on_end):
        jobs.append(HeldJob(events, on_event, on_end))
        return jobs[-1]

    controller, layers = Controller(hold), NoLayers()
    box = AlignmentBox(controller, layers)
    qtbot.addWidget(box)
    controller.state_changed.connect(box.show_state)
    box.follow("likely")
    assert box.isHidden()
    box.follow("learned")
    assert not box.isHidden()
    assert not box.teach.isEnabled()
    controller.open_project(folder)
    assert box.teach.isEnabled()
    assert box.used.text() == "In use: the network that ships."
    controller.update(aligner="model 7, taught on 3 May")
    assert "model 7" in box.used.text()
    qtbot.mouseClick(box.teach, LEFT)
    assert layers.flushed == 1
    assert (controller.state.stage, controller.state.busy) == ("alignment", True)
    assert box.teach.text() == "Stop"
    box.follow("geodesic")
    assert not box.isHidden()  # while it learns
    controller.update(
        step=100, steps=1500,
        metrics=tuple(
            Validated(stage="alignment", step=step, metrics={"back": back}, best=True)
            for step, back in ((0, 0.2), (100, 0.31))
        ),
    )  # fmt: skip
    assert box.progress.text() == (
        "Step 100 of 1500; of what displacement does to held-out outlines, 31 % is brought back "
        "(20 % at first)."
    )
    qtbot.mouseClick(box.teach, LEFT)
    assert jobs[-1].stopped
    controller.dispose()


def test_a_taught_network_is_named_and_used_until_the_shipped_one_is_wanted(qtbot, controller):
    network = build_alignment_net(8, seed=0)
    file = controller.project.models_folder / "0001-alignment.pt"
    file.parent.mkdir(exist_ok=True)
    content = {"network": {"features": 8}, "weights": network.state_dict()}
    checkpoint.save(file, {"stage": "alignment", "config": {}, "metrics": {"back": 0.4}, **content})
    record = controller.project.add_model(file, stage="alignment", metrics={"back": 0.4}, config={})
    controller.project.promote(record.id)
    controller.reload()
    assert controller.state.aligner.startswith(f"model {record.id}, taught on ")
    assert controller.state.aligner.endswith("40 % of held-out displacements brought back")
    box = AlignmentBox(controller, NoLayers())
    qtbot.addWidget(box)
    box.show_state(controller.state)
    assert not box.shipped.isHidden()
    desk = controller.refining
    desk.align(AlignConfig(method="learned", reach=4), to_edges=False)
    assert not desk.waiting  # a network that has learned nothing moves nothing
    assert desk.done == 2
    qtbot.mouseClick(box.shipped, LEFT)
    box.show_state(controller.state)
    assert box.shipped.isHidden()
    assert "the network that ships" in controller.state.message
    desk.align(AlignConfig(method="learned", reach=4), to_edges=False)
    assert len(desk.waiting) == 2


def test_the_page_in_a_viewer(make_napari_viewer, qtbot, folder):
    viewer = make_napari_viewer()
    widget = SegsizeWidget(viewer)
    viewer.window.add_dock_widget(widget)
    controller, page = widget.controller, widget.refine_page
    widget.tabs.setCurrentIndex(TITLES.index("Refine"))
    controller.open_project(folder)
    qtbot.waitUntil(lambda: controller.state.engine == "ready", timeout=60_000)
    qtbot.waitUntil(page.align.isEnabled, timeout=10_000)
    assert page.resume.isHidden()
    assert page.teaching.isHidden()
    page.align_form.set_config(AlignConfig(method="learned"))
    assert not page.teaching.isHidden()
    page.align_form.set_config(AlignConfig())
    assert page.teaching.isHidden()
    controller.project.models_folder.mkdir(exist_ok=True)
    checkpoint.save(
        state_file(controller.project, "edges"), {"stage": "edges", "step": 3, "config": {"steps": 9}}
    )
    controller.open_project(folder)
    qtbot.waitUntil(lambda: not page.resume.isHidden(), timeout=5_000)
    qtbot.mouseClick(page.align, LEFT)
    qtbot.waitUntil(lambda: len(controller.refining.waiting) == 2, timeout=60_000)
    qtbot.waitUntil(lambda: any(layer.name == "Aligned outlines" for layer in viewer.layers), timeout=10_000)
    layer = viewer.layers["Aligned outlines"]
    assert viewer.layers.selection.active is layer
    qtbot.waitUntil(lambda: set(np.unique(layer.data)) == {0, OPEN, FOCUSED}, timeout=5_000)
    assert "Outline 1 of 2" in page.status.text()
    page.slider.setValue(0)
    qtbot.waitUntil(lambda: np.array_equal(np.squeeze(layer.data) == FOCUSED, disk((25, 17))), timeout=5_000)
    page.slider.setValue(page.slider.maximum())
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_F)
    qtbot.waitUntil(lambda: len(controller.refining.waiting) == 1, timeout=5_000)
    assert overlap(outline(controller), TRUTH[1]) > 0.8
    page.hideEvent(QHideEvent())
    qtbot.keyClick(canvas, Qt.Key.Key_E)
    assert not layer.keymap  # on another page the same letter means something else
    assert viewer.layers.selection.active is widget.layers.base
    assert len(controller.refining.waiting) == 1
    page.showEvent(QShowEvent())
    assert viewer.layers.selection.active is layer
    qtbot.keyClick(canvas, Qt.Key.Key_E)
    qtbot.waitUntil(lambda: "Aligned outlines" not in viewer.layers, timeout=5_000)
    assert "is accepted or rejected" in page.status.text()
    controller.refining.plane = controller.state.plane
    controller.refining._on_edges(controller.refining._turn, np.ones(SHAPE, np.float32))
    qtbot.waitUntil(lambda: "Edges" in viewer.layers, timeout=5_000)
    assert np.array_equal(viewer.layers["Edges"].scale, widget.layers.base.scale)
    viewer.layers.remove("Edges")
    qtbot.waitUntil(
        lambda: controller.refining.edges is None or not page.show_edges.isChecked(), timeout=5_000
    )
    widget.close()
