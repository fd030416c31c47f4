"""Preferences and recent projects: there, absent, or broken."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_segsize.widgets import recent
from napari_segsize.widgets.preferences import Preferences, read_preferences

napari_settings = pytest.importorskip("napari.settings")


def test_what_the_user_set_is_used(monkeypatch, tmp_path):
    settings = SimpleNamespace(
        train=SimpleNamespace(device="cpu", threads=3),
        project=SimpleNamespace(folder=str(tmp_path), recent=2),
    )
    monkeypatch.setattr(napari_settings, "get_plugin_settings", lambda name: settings, raising=False)
    read = read_preferences()
    assert read == Preferences(device="cpu", threads=3, folder=str(tmp_path), recent=2)
    assert read.start_folder == tmp_path


def test_an_older_napari_has_none(monkeypatch):
    monkeypatch.delattr(napari_settings, "get_plugin_settings", raising=False)
    assert read_preferences() == Preferences()


def test_a_plugin_that_napari_does_not_know(monkeypatch):
    def unknown(name):
        raise KeyError(name)

    monkeypatch.setattr(napari_settings, "get_plugin_settings", unknown, raising=False)
    assert read_preferences() == Preferences()


def test_nonsense_keeps_the_default(monkeypatch):
    settings = SimpleNamespace(train=SimpleNamespace(device="cpu", threads="many"))
    monkeypatch.setattr(napari_settings, "get_plugin_settings", lambda name: settings, raising=False)
    assert read_preferences() == Preferences(device="cpu")
    assert Preferences(folder="/nowhere/at/all").start_folder == Path.home()


@pytest.fixture
def file(monkeypatch, tmp_path):
    found = tmp_path / "config" / "recent.json"
    monkeypatch.setattr(recent, "_file", lambda: found)
    return found


def project(folder):
    folder.mkdir()
    (folder / "project.segsize").touch()
    return folder


def test_recent_projects_newest_first_and_only_those_that_are_there(file, tmp_path):
    first, second, gone = (project(tmp_path / name) for name in ("first", "second", "gone"))
    for folder in (first, gone, second, first):
        recent.remember(folder)
    (gone / "project.segsize").unlink()
    assert recent.recent_projects() == (first, second)
    assert recent.recent_projects(1) == (first,)


@pytest.mark.parametrize("text", ["", "{", "7", '[1, null, "x"]'])
def test_a_broken_file_is_an_empty_one(file, text):
    file.parent.mkdir()
    file.write_text(text)
    assert recent.recent_projects() == ()


def test_a_home_that_cannot_be_written_disturbs_nobody(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(recent, "_file", lambda: tmp_path / "file" / "recent.json")
    recent.remember(tmp_path)
    assert recent.recent_projects() == ()
