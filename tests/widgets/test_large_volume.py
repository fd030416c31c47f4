"""A large volume is shown plane by plane, without being read before."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")
from napari_segsize.project import PlaneRef, Project, images
from napari_segsize.widgets.large_volume import LargeVolume, volume_of
from napari_segsize.widgets.layers import SegsizeLayers


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A stack, and one in colour, that count as large."""
    monkeypatch.setattr(images, "_WHOLE_BYTES", 10)
    rng = np.random.default_rng(0)
    with Project.create(tmp_path / "p") as project:
        project.add_array("stack", rng.integers(0, 255, (9, 24, 36), dtype=np.uint8), kind="stack")
        colours = rng.integers(0, 255, (5, 20, 22, 3), dtype=np.uint8)
        project.add_array("colour", colours, kind="stack", rgb=True)
        yield project


@pytest.mark.parametrize(
    "index", [3, -1, slice(2, 5), (4, slice(3, 9)), (slice(None), 5, 6), ..., [0, 8], ()]
)
def test_it_is_indexed_like_the_array(project, index):
    whole = project.volume(1)[:, 0]
    large = volume_of(project, 1).of_channel(0)
    assert isinstance(large, LargeVolume)
    assert (large.shape, large.dtype, large.ndim, large.size) == (whole.shape, whole.dtype, 3, whole.size)
    assert np.array_equal(large[index], whole[index])
    assert np.array_equal(np.asarray(large), whole)


def test_small_images_are_arrays(project, monkeypatch):
    monkeypatch.setattr(images, "_WHOLE_BYTES", 1 << 20)
    assert isinstance(volume_of(project, 1), np.ndarray)


def test_only_what_is_looked_at_is_read(project, make_napari_viewer, monkeypatch):
    stack, colour = project.volume(1)[:, 0], project.volume(2).transpose(0, 2, 3, 1)
    read = []
    planes = images.ImageSource.read
    monkeypatch.setattr(
        images.ImageSource, "read", lambda self, a=0, b=None: (read.append((a, b)), planes(self, a, b))[1]
    )
    viewer = make_napari_viewer()
    layers = SegsizeLayers(viewer)
    layers.show_plane(project, PlaneRef(1, 6))
    layer = next(layer for layer in viewer.layers if layer.name == "stack")
    sample = stack[[0, 4, 8]]
    assert tuple(layer.contrast_limits) == (sample.min(), sample.max())
    assert np.array_equal(layer._slice.image.view, stack[6])
    assert len(read) < 9
    assert all(b - a == 1 for a, b in read)
    viewer.dims.set_current_step(0, 7)
    assert np.array_equal(layer._slice.image.view, stack[7])
    layers.show_plane(project, PlaneRef(2, 1))
    layer = next(layer for layer in viewer.layers if layer.name == "colour")
    assert np.array_equal(layer._slice.image.view, colour[1])
    viewer.dims.ndisplay = 3
    assert layer._slice.image.view.shape[:3] == colour.shape[:3]
    layers.close()
