"""The pages Project and Train by keys alone: Tab goes through what is seen, Enter and Space press it."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

pytest.importorskip("napari")
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton, QWidget

from napari_segsize.engine.events import Started, StepDone
from napari_segsize.project import PlaneRef
from napari_segsize.widgets import recent, runs
from napari_segsize.widgets.main import TITLES, SegsizeWidget

KEY = Qt.Key


def iter_of(*events):
    yield from events


def training(folder, pretrain, finetune, watch, **options):
    yield Started(stage="pretrain", device="CPU", steps=10_000, masks=3)
    for step in range(1, 10_000):
        time.sleep(0.01)
        losses = {"total": 1 / step}
        yield StepDone(
            stage="pretrain", step=step, steps=10_000, losses=losses, seconds_left=60.0, memory_mb=512.0
        )


@pytest.fixture
def widget(make_napari_viewer_proxy, shapes_project, qtbot, monkeypatch, tmp_path):
    left = runs.Ready(device="CPU", resumable=runs.Resume(stage="pretrain", step=3, steps=10))
    monkeypatch.setattr(runs, "warming", lambda threads: iter_of(runs.Ready(device="CPU")))
    monkeypatch.setattr(runs, "looking", lambda folder: iter_of(left))
    monkeypatch.setattr(runs, "training", training)
    monkeypatch.setattr(recent, "_file", lambda: tmp_path / "config" / "recent.json")
    viewer = make_napari_viewer_proxy(show=True)
    made = SegsizeWidget(viewer)
    viewer.window.add_dock_widget(made, name="Segsize")
    made.controller.open_project(shapes_project.folder)
    qtbot.waitUntil(lambda: made.controller.state.resumable is not None, timeout=90_000)
    made.window().activateWindow()
    yield made
    made.controller.dispose()
    qtbot.waitUntil(lambda: not made.controller.state.busy, timeout=5000)


def turn_to(widget, qtbot, title):
    widget.tabs.setCurrentIndex(TITLES.index(title))
    bar = widget.tabs.tabBar()
    bar.setFocus()
    qtbot.waitUntil(bar.hasFocus)
    return widget.pages[TITLES.index(title)]


def is_seen(widget: QWidget) -> bool:
    """Whether it is on the screen, once what was just unfolded has been laid out."""
    end = time.monotonic() + 5
    while widget.visibleRegion().isEmpty() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
    return not widget.visibleRegion().isEmpty()


def stops(page: QWidget) -> list[QWidget]:
    """Press Tab until it leaves the page."""
    found: list[QWidget] = []
    while True:
        QTest.keyClick(QApplication.focusWidget(), KEY.Key_Tab)
        reached = QApplication.focusWidget()
        if not page.isAncestorOf(reached):
            return found
        assert reached not in found, f"Tab does not leave {reached}"
        assert is_seen(reached), f"{reached} has the focus and is not seen"
        found.append(reached)


def place(widget: QWidget, page: QWidget) -> QRect:
    return QRect(widget.mapTo(page, QPoint()), widget.size())


def named(page: QWidget, text: str) -> QPushButton:
    (button,) = [each for each in page.findChildren(QPushButton) if each.text() == text]
    return button


@pytest.mark.parametrize("title", ["Project", "Train"])
def test_tab_goes_through_what_is_seen_from_top_to_bottom(widget, qtbot, title):
    page = turn_to(widget, qtbot, title)
    widget.controller.update(model="model 1, from masks")
    qtbot.waitUntil(named(widget.train_page, "Compare models").isEnabled)
    found = stops(page)
    assert len(found) > 8
    seen = [each for each in page.findChildren(QPushButton) if each.isVisible() and each.isEnabled()]
    assert set(seen) <= set(found)
    for before, after in pairwise(place(each, page) for each in found):
        same_row = before.top() <= after.center().y() <= before.bottom()
        assert after.left() > before.left() if same_row else after.top() > before.top()


def test_what_is_folded_is_out_of_reach_until_it_is_unfolded(widget, qtbot):
    page = turn_to(widget, qtbot, "Train")
    steps = page.pretrain.editor("steps")
    assert steps not in stops(page)
    named(page, "Settings").setFocus()
    QTest.keyClick(named(page, "Settings"), KEY.Key_Space)
    qtbot.waitUntil(steps.isVisible)
    turn_to(widget, qtbot, "Train")
    found = stops(page)
    assert steps in found
    assert page.pretrain.editor("seed") not in found  # under Advanced
    steps.setFocus()
    steps.selectAll()
    QTest.keyClicks(steps, "77")
    QTest.keyClick(steps, KEY.Key_Tab)
    assert page.pretrain.config().steps == 77


@pytest.mark.parametrize("key", [KEY.Key_Return, KEY.Key_Enter, KEY.Key_Space])
def test_training_is_begun_and_stopped_by_keys(widget, qtbot, key):
    page = turn_to(widget, qtbot, "Train")
    anew = named(page, "Train anew")
    qtbot.waitUntil(anew.isVisible)
    anew.setFocus()
    QTest.keyClick(anew, key)
    qtbot.waitUntil(lambda: page.button.text() == "Stop")
    qtbot.waitUntil(lambda: widget.controller.state.step > 1)
    page.button.setFocus()
    QTest.keyClick(page.button, key)
    qtbot.waitUntil(lambda: not widget.controller.state.busy, timeout=5000)


def test_a_project_is_looked_through_and_dealt_out_by_keys(widget, qtbot, monkeypatch, tmp_path):
    page, controller = turn_to(widget, qtbot, "Project"), widget.controller
    page.table.setFocus()
    for _ in range(3):
        QTest.keyClick(page.table, KEY.Key_Down)
    (chosen,) = page.table.selected()
    assert chosen.id != controller.state.plane.image
    QTest.keyClick(page.table, KEY.Key_Return)
    assert controller.state.plane == PlaneRef(chosen.id)
    page._validation.setFocus()
    page._validation.selectAll()
    QTest.keyClicks(page._validation, "50")
    named(page, "Deal out").setFocus()
    QTest.keyClick(named(page, "Deal out"), KEY.Key_Return)
    assert sum(image.split == "validation" for image in controller.state.images) == 6
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(tmp_path / "mine"), ""))
    named(page, "New…").setFocus()
    QTest.keyClick(named(page, "New…"), KEY.Key_Return)
    assert (tmp_path / "mine" / "project.segsize").exists()
