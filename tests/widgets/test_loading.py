"""Threads that import the engine wait for each other."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pytest

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.project import Project
from napari_segsize.widgets import contour_runs, loading, microscope_job, runs
from napari_segsize.widgets.loading import ONE_AT_A_TIME
from napari_segsize.widgets.newest import Flag


def first(events):
    for _ in events:
        break
    events.close()


@pytest.mark.parametrize("job", ["warming", "looking", "getting ready", "evolving", "inspecting"])
def test_an_import_waits_until_another_is_done(job, tmp_path):
    Project.create(tmp_path / "p").close()
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    inbox.put(None)
    events = {
        "warming": lambda: runs.warming(),
        "looking": lambda: runs.looking(tmp_path / "p"),
        "getting ready": contour_runs.getting_ready,
        "inspecting": lambda: microscope_job._looking(
            microscope_job.Request(plane=np.ones((4, 4), np.int32)), Flag()
        ),
        "evolving": lambda: contour_runs.evolving(tmp_path / "p", inbox, EvolveConfig(engine="snake")),
    }[job]
    thread = threading.Thread(target=lambda: first(events()))
    with ONE_AT_A_TIME:
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("job", [runs.warming, contour_runs.getting_ready])
def test_what_the_imports_brought_is_gone_through_before_anybody_clicks(job, monkeypatch):
    looks = []
    monkeypatch.setattr(loading.gc, "collect", lambda: looks.append(job))

    list(job())

    assert looks == [job]


def test_napari_need_not_search_the_imports_whenever_a_layer_goes():
    list(runs.warming())
    assert loading.gc.get_freeze_count() > 10_000

    loading.take_back()

    assert loading.gc.get_freeze_count() == 0
