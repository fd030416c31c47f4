"""The queue of contours behind the real dock widget: a thread, a slow engine, and what may go wrong."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("napari")
from contour_engine import FakeEngine

from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets import contour_page, contour_runs, recent, runs
from napari_segsize.widgets.contour_queue import Inbox
from napari_segsize.widgets.main import TITLES, SegsizeWidget
from napari_segsize.widgets.network_choice import NetworkChoice


class SlowEngine(FakeEngine):
    """Waits at a gate before each answer."""

    def __init__(self):
        super().__init__()
        self.gate, self.threads, self.ended = threading.Event(), set(), []

    def __call__(self, folder, inbox, config):
        try:
            yield from super().__call__(folder, inbox, config)
        finally:
            self.ended.append(folder)

    def answer(self, prompt, config):
        self.threads.add(threading.current_thread())
        self.gate.wait(5)
        return super().answer(prompt, config)


def iter_of(*events):
    yield from events


@pytest.fixture
def engine(monkeypatch, tmp_path):
    engine = SlowEngine()
    monkeypatch.setattr(contour_runs, "evolving", engine)
    monkeypatch.setattr(contour_page, "launch_quietly", lambda events, _, on_end: on_end(events.close()))
    monkeypatch.setattr(runs, "warming", lambda threads: iter_of(runs.Ready(device="CPU, 1 thread")))
    monkeypatch.setattr(runs, "looking", lambda folder: iter_of(runs.Ready(device="CPU, 1 thread")))
    # the engine is only said to be there: asked for the memory it needs, it would be imported by the window
    monkeypatch.setattr(NetworkChoice, "_estimate", lambda *_: None)
    monkeypatch.setattr(recent, "_file", lambda: tmp_path / "config" / "recent.json")
    return engine


@pytest.fixture
def folder(tmp_path, rng):
    with Project.create(tmp_path / "p") as project:
        project.add_array("cells", rng.integers(0, 255, (200, 200), dtype=np.uint8))
    return tmp_path / "p"


def opened(viewer, qtbot, folder):
    widget = SegsizeWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segsize")
    widget.controller.open_project(folder)
    qtbot.waitUntil(lambda: len(viewer.layers) >= 3)
    widget.tabs.setCurrentIndex(TITLES.index("Contours"))
    return widget


def mark(widget, count):
    """Click the four ends of objects with napari's own tool; seconds that it took."""
    widget.contour_page.buttons["points"].click()
    begun = time.perf_counter()
    for k in range(count):
        y, x = 20 + 30 * (k // 6), 20 + 30 * (k % 6)
        for place in ((y - 8, x), (y, x - 8), (y + 8, x), (y, x + 8)):
            widget.layers.contours.layer.add(place)
    return time.perf_counter() - begun


def statuses(widget):
    return [each.status for each in widget.controller.state.board.objects]


def points_on_disk(folder):
    with Project.open(folder) as project:
        return [len(contour.points) for contour in project.annotation(PlaneRef(1)).contours]


def test_marking_never_waits_for_contours(make_napari_viewer, qtbot, engine, folder):
    widget = opened(make_napari_viewer(), qtbot, folder)
    mark(widget, 20)
    assert statuses(widget) == ["queued"] * 20
    assert points_on_disk(folder) == [4] * 20
    engine.gate.set()
    qtbot.waitUntil(lambda: statuses(widget) == ["review"] * 20, timeout=10_000)
    qtbot.waitUntil(lambda: "20 to review" in widget.contour_page.headline.text(), timeout=5000)
    assert threading.main_thread() not in engine.threads
    assert len(engine.runs) == 1
    widget.controller.dispose()
    qtbot.waitUntil(lambda: len(engine.ended) == 1, timeout=5000)


def test_the_window_is_closed_with_a_full_queue(make_napari_viewer, qtbot, engine, folder):
    viewer = make_napari_viewer()
    widget = opened(viewer, qtbot, folder)
    mark(widget, 3)
    qtbot.waitUntil(lambda: bool(engine.threads), timeout=5000)
    viewer.close()
    engine.gate.set()
    qtbot.waitUntil(lambda: bool(engine.ended), timeout=5000)
    assert points_on_disk(folder) == [4] * 3
    again = opened(make_napari_viewer(), qtbot, folder)
    qtbot.waitUntil(lambda: statuses(again) == ["review"] * 3, timeout=10_000)
    again.controller.dispose()


def test_the_project_is_switched_with_a_full_queue(make_napari_viewer, qtbot, engine, folder, tmp_path):
    widget = opened(make_napari_viewer(), qtbot, folder)
    mark(widget, 3)
    widget.controller.create_project(tmp_path / "other")
    engine.gate.set()
    qtbot.waitUntil(lambda: len(engine.ended) == 1, timeout=5000)
    assert statuses(widget) == []
    widget.controller.open_project(folder)
    qtbot.waitUntil(lambda: statuses(widget) == ["review"] * 3, timeout=10_000)
    widget.controller.dispose()


def test_the_dock_is_closed_with_a_full_queue(make_napari_viewer, qtbot, engine, folder):
    viewer = make_napari_viewer()
    widget = opened(viewer, qtbot, folder)
    mark(widget, 2)
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    engine.gate.set()
    qtbot.waitUntil(lambda: bool(engine.ended), timeout=5000)
    assert points_on_disk(folder) == [4] * 2


def test_an_inbox_ends_when_nothing_has_come_for_a_while():
    from queue import Empty

    inbox = Inbox(0.05)
    with pytest.raises(Empty):
        inbox.get(timeout=0.001)
    time.sleep(0.06)
    assert inbox.get(timeout=0.001) is None
    inbox = Inbox(60)
    inbox.close()
    assert inbox.get(timeout=0.001) is None
