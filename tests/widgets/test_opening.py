"""An image is read in the background before it is shown, and nothing is shown until it is there."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("napari")
import nibabel
from held_jobs import Launch

from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project, images
from napari_segsize.project.stopping import check
from napari_segsize.widgets import opening, recent, runs
from napari_segsize.widgets.canvas_words import CanvasWords
from napari_segsize.widgets.large_volume import LargeVolume
from napari_segsize.widgets.layers import SegsizeLayers
from napari_segsize.widgets.main import SegsizeWidget
from napari_segsize.widgets.opening import Opening, Picture
from napari_segsize.widgets.shelf import Shelf


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two packed volumes and a picture that is small enough to be read at once."""
    monkeypatch.setattr(opening, "_QUICK_BYTES", 2000)
    rng = np.random.default_rng(0)
    with Project.create(tmp_path / "p") as project:
        for name in ("one", "two"):
            volume = rng.integers(0, 255, (20, 18, 9), dtype=np.uint8)
            nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / f"{name}.nii.gz")
            project.add_files(tmp_path / f"{name}.nii.gz")
        project.add_array("small", rng.integers(0, 255, (16, 16), dtype=np.uint8))
        yield project


class Asked:
    """An `Opening` whose jobs wait to be finished, and what it said."""

    def __init__(self):
        self.launch, self.ready, self.failed, self.said = Launch(), 0, [], []
        self.launch.hold = True
        self.opening = Opening(self._on_ready, self.failed.append, self.launch, self.said.append)

    def _on_ready(self):
        self.ready += 1

    def finish(self):
        self.launch.held.pop(0).finish()


@pytest.fixture
def asked():
    return Asked()


ONE, TWO, SMALL = PlaneRef(1, 4), PlaneRef(2, 0), PlaneRef(3)


def test_a_volume_is_read_elsewhere_and_held_from_then_on(project, asked):
    assert asked.opening.picture(project, ONE) is None
    assert asked.opening.words == "Reading one…"
    assert asked.opening.picture(project, PlaneRef(1, 5)) is None  # the same image: it is being read
    assert len(asked.launch.held) == 1
    asked.finish()
    assert (asked.ready, asked.opening.words) == (1, "")
    picture = asked.opening.picture(project, ONE)
    expected = project.volume(1)
    assert np.array_equal(picture.volume, expected)
    assert picture.limits == ((expected.min(), expected.max()),)
    assert not asked.launch.held


def test_a_small_image_and_a_lost_one_need_no_job(project, asked, tmp_path):
    assert np.array_equal(asked.opening.picture(project, SMALL).volume, project.volume(3))
    (tmp_path / "one.nii.gz").unlink()
    with pytest.raises(SegsizeError, match="not there any more"):
        asked.opening.picture(project, ONE)
    assert not asked.launch.held


@pytest.mark.parametrize("then", ["another volume", "a small image", "nothing"])
def test_what_is_wanted_no_longer_is_stopped_and_never_told(project, asked, then):
    asked.opening.picture(project, ONE)
    if then == "nothing":
        asked.opening.cancel()
    else:
        asked.opening.picture(project, TWO if then == "another volume" else SMALL)
    (late, *_) = asked.launch.held
    assert late.stopped
    late.finish()
    assert asked.ready == 0
    assert asked.opening.words == ("Reading two…" if then == "another volume" else "")
    assert asked.said[-1] == asked.opening.words


def test_a_file_that_was_written_anew_is_looked_at_again(project, asked, tmp_path):
    asked.opening.picture(project, ONE)
    asked.finish()
    file = tmp_path / "one.nii.gz"
    file.write_bytes((tmp_path / "two.nii.gz").read_bytes())
    assert asked.opening.picture(project, ONE) is None
    asked.finish()
    assert "has changed since it was added" in asked.failed[0]
    assert asked.ready == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError(), "does not fit into memory"), (RuntimeError("odd"), "RuntimeError: odd")],
)
def test_what_goes_wrong_is_said(project, asked, monkeypatch, error, words):
    def fail(*_):
        raise error

    monkeypatch.setattr(Picture, "of", fail)
    asked.opening.picture(project, ONE)
    asked.finish()
    assert words in asked.failed[0]
    assert asked.opening.words == ""
    assert asked.said == ["Reading one…", ""]


def test_the_images_shown_last_are_held_and_others_forgotten(project, asked, monkeypatch):
    monkeypatch.setattr(opening, "_HELD_BYTES", 20 * 18 * 9 + 1)
    for plane in (ONE, TWO):
        asked.opening.picture(project, plane)
        asked.finish()
    assert asked.opening.picture(project, TWO) is not None
    assert asked.opening.picture(project, ONE) is None


def test_the_first_look_at_a_large_volume_reads_nothing_more(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_WHOLE_BYTES", 10)
    with Project.create(tmp_path / "q") as project:
        pixels = np.random.default_rng(0).integers(0, 255, (9, 2, 24, 36), dtype=np.uint8)
        project.add_array("stack", pixels, kind="channel stack")
        picture = Picture.of(project, PlaneRef(1, 6))
    assert isinstance(picture.volume, LargeVolume)
    sample = pixels[[0, 4, 8]]
    assert picture.limits == tuple((sample[:, c].min(), sample[:, c].max()) for c in range(2))
    monkeypatch.setattr(images.ImageSource, "read", lambda *_: pytest.fail("read on the window's thread"))
    assert np.array_equal(picture.volume.of_channel(1)[6], pixels[6, 1])
    assert np.array_equal(picture.volume.of_channel(0)[0], pixels[0, 0])


def test_nothing_is_shown_until_it_is_there_and_the_tool_stays(project, make_napari_viewer):
    launch = Launch()
    launch.hold = True
    layers = SegsizeLayers(make_napari_viewer(), launch)
    shown = []
    layers.opened.connect(lambda: shown.append(layers.plane))
    layers.show_plane(project, SMALL)
    layers.use("paint", project)
    layers.show_plane(project, ONE)
    assert layers.plane is None
    assert layers.base is None
    assert layers.opening == "Reading one…"
    overlay = CanvasWords(layers._shelf)._overlay
    assert [layer.name for layer in layers.viewer.layers] == ["Reading one…"]
    assert (overlay.text, overlay.visible) == ("Reading one…", True)
    layers.show_plane(project, PlaneRef(1, 7))  # the user has gone on to another slice
    launch.held.pop().finish()
    assert shown == [PlaneRef(1, 7)] == [layers.plane]
    assert layers.base.name == "one"
    assert layers.tool == "paint"
    assert not overlay.visible
    assert not [layer for layer in layers.viewer.layers if "Reading" in layer.name]
    layers.show_plane(project, TWO)
    assert (overlay.text, overlay.visible) == ("Reading two…", True)
    layers.clear()  # the project is left
    assert not overlay.visible
    assert not layers.viewer.layers
    launch.held.pop().finish()
    assert layers.base is None
    layers.close()


def test_words_on_the_canvas_give_back_what_the_user_wrote_there(make_napari_viewer):
    viewer = make_napari_viewer()
    words = CanvasWords(Shelf(viewer))
    overlay = words._overlay
    overlay.text, overlay.font_size, overlay.visible = "mine", 7, True
    words.say("Reading one…")
    words.say("Reading two…")
    assert [layer.name for layer in viewer.layers] == ["Reading two…"]
    assert (overlay.text, overlay.visible) == ("Reading two…", True)
    assert overlay.font_size > 10
    words.say("")
    assert (overlay.text, overlay.font_size, overlay.visible) == ("mine", 7, True)
    words.say("Reading one…")
    overlay.text = "mine again"  # meanwhile
    words.say("")
    assert (overlay.text, overlay.visible) == ("mine again", True)
    words.say("Reading one…")
    viewer.layers.clear()  # by the user
    words.say("")
    assert not viewer.layers


class Slow:
    """Reads until it is let go, and asks meanwhile whether to stop."""

    def __init__(self, read):
        self._read, self.gate, self.threads = read, threading.Event(), []

    def __call__(self, project, plane):
        self.threads.append(threading.current_thread())
        while not self.gate.wait(0.01):
            check()
        return self._read(project, plane)


@pytest.fixture
def slow(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "warming", lambda threads: (event for event in ()))
    monkeypatch.setattr(recent, "_file", lambda: tmp_path / "config" / "recent.json")
    made = Slow(Picture.of)
    monkeypatch.setattr(Picture, "of", made)
    return made


@pytest.fixture
def widget(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    made = SegsizeWidget(viewer)
    viewer.window.add_dock_widget(made, name="Segsize")
    return made


PATIENCE = 60_000


def test_the_window_goes_on_while_a_volume_is_read(project, slow, widget, qtbot):
    widget.controller.open_project(project.folder)
    qtbot.waitUntil(lambda: "Reading one…" in widget.status.text(), timeout=PATIENCE)
    begun = time.monotonic()
    widget.controller.put_stamp(6)
    assert widget.controller.state.message.startswith("Saved")
    assert time.monotonic() - begun < 2
    assert widget.layers.base is None
    slow.gate.set()
    qtbot.waitUntil(lambda: widget.layers.base is not None, timeout=PATIENCE)
    qtbot.waitUntil(lambda: "Reading" not in widget.status.text(), timeout=PATIENCE)
    assert threading.main_thread() not in slow.threads
    assert len(widget.layers.stamps.layer.data) == 0  # a size without a place
    assert widget.controller.state.annotation.stamps[0].size == 6


@pytest.mark.parametrize("how", ["project left", "window closed"])
def test_leaving_while_a_volume_is_read(project, slow, widget, qtbot, how):
    widget.controller.open_project(project.folder)
    qtbot.waitUntil(lambda: bool(slow.threads), timeout=PATIENCE)
    if how == "project left":
        widget.controller.close_project()
    else:
        widget.layers.close()
        widget.controller.dispose()
    (thread,) = slow.threads
    qtbot.waitUntil(lambda: not thread.is_alive(), timeout=PATIENCE)  # it was stopped: the gate is shut
    assert widget.layers.base is None
    assert widget.layers.opening == ""


class Lazy:
    """Pixels that are read when somebody asks for them all, as those of dask or of a LargeVolume."""

    def __init__(self, pixels):
        self._pixels, self.threads = pixels, []
        self.shape, self.dtype, self.ndim, self.size = pixels.shape, pixels.dtype, pixels.ndim, pixels.size

    def __getitem__(self, index):
        return self._pixels[index]

    def __array__(self, dtype=None, copy=None):
        self.threads.append(threading.current_thread())
        return self._pixels


def test_a_layer_that_is_not_read_yet_is_read_in_the_background(project, slow, widget, qtbot):
    widget.controller.open_project(project.folder)
    lazy = Lazy(np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype=np.uint8))
    viewer = widget.layers.viewer
    layer = viewer.add_image(lazy, name="lazy", contrast_limits=(0, 255))
    viewer.layers.selection = {layer}
    lazy.threads.clear()
    widget.controller.add_layers(widget.layers.image_layers_for_add())
    qtbot.waitUntil(lambda: len(widget.controller.state.images) == 4, timeout=PATIENCE)
    assert lazy.threads
    assert threading.main_thread() not in lazy.threads
