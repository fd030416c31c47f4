"""Files are found by name in one walk, which can be stopped."""

from __future__ import annotations

import os

import pytest

from napari_segsize.project.searching import named
from napari_segsize.project.stopping import Stopped, stoppable


def test_every_place_of_every_name_in_order(tmp_path):
    for place in ("b/one.tif", "a/deep/one.tif", "a/two.zarr/0/0", "a/three.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")

    found = named(tmp_path, {"one.tif", "two.zarr", "none.tif"})

    assert found == {
        "one.tif": (tmp_path / "a/deep/one.tif", tmp_path / "b/one.tif"),
        "two.zarr": (tmp_path / "a/two.zarr",),
        "none.tif": (),
    }


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert named(tmp_path / "gone", {"one.tif"}) == {"one.tif": ()}


def test_it_walks_once_however_many_are_looked_for(tmp_path, monkeypatch):
    walks, walk = [], os.walk
    monkeypatch.setattr(os, "walk", lambda folder: (walks.append(folder), walk(folder))[1])
    named(tmp_path, {f"{number}.tif" for number in range(50)})
    assert walks == [tmp_path]


def test_it_is_stopped_between_two_folders(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    asked = []

    def stopping():
        asked.append(True)
        return len(asked) > 2

    with stoppable(stopping), pytest.raises(Stopped):
        named(tmp_path, {"one.tif"})
    assert len(asked) == 3
