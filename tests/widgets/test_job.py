"""The thread: what comes through it, what stops it, and that it holds on to nothing."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import warnings
import weakref

import numpy as np
import pytest

from napari_segsize.engine.events import Loading, Notice, Preview
from napari_segsize.project.annotation import PlaneRef
from napari_segsize.project.stopping import check

pytest.importorskip("napari")
from qtpy.QtCore import QThreadPool

from napari_segsize.widgets.job import Job, launch

GUI = threading.main_thread()


class Heard:
    def __init__(self):
        self.events, self.ends, self.threads = [], [], set()

    def event(self, event):
        self.threads.add(threading.current_thread())
        self.events.append(event)

    def end(self, error):
        self.threads.add(threading.current_thread())
        self.ends.append(error)


@pytest.fixture
def heard(qtbot):
    return Heard()


def run(qtbot, heard, events):
    job = launch(events, heard.event, heard.end)
    qtbot.waitUntil(lambda: bool(heard.ends), timeout=5000)
    return job


def test_events_come_in_order_on_the_gui_thread(qtbot, heard):
    inside = []

    def events():
        for number in range(100):
            inside.append(threading.current_thread())
            yield Notice(str(number))

    run(qtbot, heard, events())
    assert [event.text for event in heard.events] == [str(number) for number in range(100)]
    assert heard.threads == {GUI}
    assert GUI not in inside
    assert heard.ends == [None]


@pytest.mark.parametrize(
    "error", [RuntimeError("torch's usual one"), MemoryError(), KeyError("x"), SystemExit(1)]
)
def test_errors_arrive_and_the_generator_is_closed_in_its_thread(qtbot, heard, error):
    closed = []

    def events():
        try:
            yield Notice("begun")
            raise error
        finally:
            closed.append(threading.current_thread())

    run(qtbot, heard, events())
    assert heard.ends == [error]
    assert [event.text for event in heard.events] == ["begun"]
    assert closed
    assert closed[0] is not GUI


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no priority of a single thread")
def test_the_work_gives_way_to_the_window_and_nobody_else_is_slowed_down(qtbot, heard):
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before, inside, pooled = niceness(), [], []

    def events():
        inside.append(niceness())
        yield Notice("on")

    run(qtbot, heard, events())
    pool = QThreadPool.globalInstance()
    pool.start(lambda: pooled.append(niceness()))  # a thread that has just waited for the work
    assert pool.waitForDone(5000)
    assert inside == [min(before + 10, 19)]  # whoever runs the tests with `nice` may have used it all up
    assert pooled == [before] == [niceness()]


def test_without_a_thread_to_be_had_the_job_ends_with_a_word(qtbot, heard, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    run(qtbot, heard, forever([]))
    assert "new thread" in str(heard.ends[0])


def forever(closed, pause=0.01):
    try:
        while True:
            time.sleep(pause)
            yield Notice("on")
    finally:
        closed.append(threading.current_thread())


def test_stop_answers_within_a_second_and_cleans_up_in_the_thread(qtbot, heard):
    closed = []
    job = launch(forever(closed), heard.event, heard.end)
    qtbot.waitUntil(lambda: len(heard.events) > 3)
    begun = time.perf_counter()
    job.stop()
    qtbot.waitUntil(lambda: bool(heard.ends), timeout=5000)
    assert time.perf_counter() - begun < 1
    assert heard.ends == [None]
    assert closed[0] is not GUI


def test_stop_before_it_began(qtbot, heard):
    began = []

    def events():
        began.append(True)
        yield Notice("on")

    job = Job(events(), heard.event, heard.end)
    job.stop()
    job.start()
    qtbot.waitUntil(lambda: bool(heard.ends))
    assert not began
    assert not heard.events


def test_napari_closing_stops_it(qtbot, heard, make_napari_viewer):
    viewer = make_napari_viewer()
    closed = []
    launch(forever(closed), heard.event, heard.end)
    qtbot.waitUntil(lambda: len(heard.events) > 3)
    viewer.close()
    qtbot.waitUntil(lambda: bool(heard.ends), timeout=3000)
    assert closed


def test_of_what_waits_and_is_outdated_only_the_newest_is_drawn(qtbot, heard):
    gate = threading.Event()

    def events():
        for number in range(50):
            yield Preview(plane=PlaneRef(1), probabilities=np.full((2, 2), number, np.float32))
            yield Loading(stage="pretrain", done=number, total=50)
            yield Notice(str(number))
        gate.set()

    job = Job(events(), heard.event, heard.end)
    job._worker.start()
    assert gate.wait(5)
    job._timer.start()
    qtbot.waitUntil(lambda: bool(heard.ends))
    previews = [event for event in heard.events if isinstance(event, Preview)]
    assert [float(event.probabilities[0, 0]) for event in previews] == [49.0]
    assert [event.done for event in heard.events if isinstance(event, Loading)] == [49]
    assert len(heard.events) == 52


def test_warnings_find_their_way_after_two_jobs_at_a_time(qtbot, heard):
    show, gate = warnings.showwarning, threading.Event()

    def first():
        yield Notice("first")
        assert gate.wait(5)

    def second():
        yield Notice("second")
        while len(heard.ends) < 1:
            time.sleep(0.01)

    for events in (first(), second()):
        launch(events, heard.event, heard.end)
        qtbot.waitUntil(lambda: bool(heard.events))
        heard.events.clear()
    gate.set()
    qtbot.waitUntil(lambda: len(heard.ends) == 2)
    assert warnings.showwarning is show


class Weights:
    """Stands for a network."""


@pytest.mark.parametrize("how", ["end", "stop", "error"])
def test_nothing_is_kept_of_the_generator(qtbot, heard, make_napari_viewer, how):
    """napari keeps a worker's arguments as long as the viewer lives; ours hold nothing by then."""
    make_napari_viewer()
    weights = Weights()
    gone = weakref.ref(weights)

    def events(held):
        yield Notice("begun")
        if how == "stop":
            while held:
                time.sleep(0.01)
                yield Notice("on")
        if how == "error":
            raise RuntimeError("CUDA out of memory")

    job = launch(events(weights), heard.event, heard.end)
    del weights
    qtbot.waitUntil(lambda: bool(heard.events))
    if how == "stop":
        job.stop()
    qtbot.waitUntil(lambda: bool(heard.ends))
    del job
    heard.ends.clear()
    qtbot.wait(20)
    gc.collect()
    assert gone() is None


def test_an_error_keeps_its_traceback_but_not_the_locals(qtbot, heard):
    weights = Weights()
    gone = weakref.ref(weights)

    def events(held):
        yield Notice("begun")
        raise RuntimeError("out of memory")

    run(qtbot, heard, events(weights))
    del weights
    gc.collect()
    assert heard.ends[0].__traceback__ is not None
    assert gone() is None


_FORGOTTEN = """
import time
from qtpy.QtWidgets import QApplication
from napari_segsize.engine.events import Notice
from napari_segsize.widgets.job import launch

def forever():
    try:
        while True:
            time.sleep(0.5)  # a step, or an import: nothing is heard meanwhile
            yield Notice("on")
    finally:
        time.sleep(0.5)
        print("saved", flush=True)

app, heard = QApplication([]), []
job = launch(forever(), heard.append, heard.append)
while not heard:
    app.processEvents()
"""


@pytest.mark.slow
def test_a_program_that_ends_without_closing_anything_still_saves(tmp_path):
    script = tmp_path / "forgotten.py"
    script.write_text(_FORGOTTEN)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, ["saved"])
    assert "Traceback" not in done.stderr


def test_a_long_reading_is_stopped_in_the_middle(qtbot, heard):
    closed = []

    def events():
        try:
            yield Notice("reading")
            while True:  # a file without an end
                time.sleep(0.001)
                check()
        finally:
            check()  # cleaning up is not stopped
            closed.append(True)

    job = launch(events(), heard.event, heard.end)
    qtbot.waitUntil(lambda: bool(heard.events), timeout=5000)
    job.stop()
    qtbot.waitUntil(lambda: bool(heard.ends), timeout=1000)
    assert heard.ends == [None]
    assert closed == [True]
