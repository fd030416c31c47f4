"""Files of any size are read in blocks: the same pixels, never two copies, and Stop is heard between them."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_segsize.project import Project, fingerprint, images, nifti
from napari_segsize.project.images import look_at, open_image
from napari_segsize.project.stopping import Stopped, check, stoppable

PLANES, SHAPE = 7, (20, 30)
PLANE_BYTES = 2 * SHAPE[0] * SHAPE[1]
STACK = np.random.default_rng(0).integers(0, 1000, (PLANES, *SHAPE)).astype(np.uint16)
KINDS = ["plain.nii", "packed.nii.gz", "scaled.nii.gz", "stack.tif", "pages.tif", "lzw.tif", "stack.zarr"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two planes a block, and nothing is read at once."""
    monkeypatch.setattr(images, "_WHOLE_BYTES", 10)
    monkeypatch.setattr(images, "_BLOCK_BYTES", 2 * PLANE_BYTES)
    monkeypatch.setattr(nifti, "_STEP_BYTES", 100)
    monkeypatch.setattr(fingerprint, "_BLOCK_BYTES", 100)


def write(folder: Path, kind: str) -> Path:
    path = folder / kind
    if ".nii" in kind:
        image = nibabel.Nifti1Image(STACK.transpose(2, 1, 0), np.eye(4))
        if kind.startswith("scaled"):
            image.header.set_slope_inter(0.5, 10)
        nibabel.save(image, path)
    elif kind == "stack.zarr":
        array = zarr.create_array(str(path), shape=STACK.shape, chunks=(3, 8, 8), dtype=STACK.dtype)
        array[:] = STACK
    elif kind == "lzw.tif":
        first, *others = (Image.fromarray(plane) for plane in STACK)
        first.save(path, compression="tiff_lzw", save_all=True, append_images=others)
    elif kind == "pages.tif":
        with tifffile.TiffWriter(path) as writer:
            for plane in STACK:
                writer.write(plane, contiguous=False, metadata=None)
    else:
        tifffile.imwrite(path, STACK, metadata={"axes": "ZYX"}, compression="zlib")
    return path


class After:
    """Says "stop" when it was asked so often."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_put_together_are_the_file(tmp_path: Path, kind: str) -> None:
    source = open_image(write(tmp_path, kind))
    expected = STACK[:, None]
    if kind.startswith("scaled"):
        expected = np.asarray(nibabel.load(tmp_path / kind).dataobj).transpose(2, 1, 0)[:, None]
    parts = list(source.blocks())
    assert len(parts) > 2
    assert [first for first, _ in parts] == np.cumsum([0, *(len(part) for _, part in parts[:-1])]).tolist()
    assert np.array_equal(np.concatenate([part for _, part in parts]), expected)
    assert np.array_equal(source.read(), expected)
    assert np.array_equal(source.read(2, 6), expected[2:6])
    assert np.array_equal(source.read(5, 6), expected[5:6])
    assert all(part.dtype == source.dtype and part.flags["C_CONTIGUOUS"] for _, part in parts)


def test_what_zarr_stores_together_is_decoded_once(tmp_path: Path) -> None:
    source = open_image(write(tmp_path, "stack.zarr"))  # three planes a chunk, more than a block
    assert [(first, len(part)) for first, part in source.blocks()] == [(0, 3), (3, 3), (6, 1)]
    assert [(first, len(part)) for first, part in source.blocks(1, 5)] == [(1, 2), (3, 2)]


def test_colours_and_transparency(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 20, 30, 4)).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="rgb", metadata={"axes": "ZYXS"}, extrasamples=["unassalpha"]
    )
    source = open_image(tmp_path / "a.tif")
    assert len(list(source.blocks())) == 3
    assert np.array_equal(source.read(), pixels[..., :3].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_stop_is_heard_between_blocks(tmp_path: Path, kind: str) -> None:
    source = open_image(write(tmp_path, kind))
    stop = False
    with stoppable(lambda: stop):
        blocks = source.blocks()
        first, block = next(blocks)
        assert first + len(block) < PLANES
        stop = True
        with pytest.raises(Stopped):
            next(blocks)
    with pytest.raises(Stopped), stoppable(After(2)):
        source.read()
    with pytest.raises(Stopped), stoppable(After(2)):
        look_at(source)


def test_stop_is_heard_on_the_way_to_a_late_plane_of_a_compressed_file(tmp_path: Path) -> None:
    source = open_image(write(tmp_path, "packed.nii.gz"))
    steps = After(10**9)
    with stoppable(steps):
        source.read(PLANES - 1, PLANES)
    before = 10**9 - steps.left
    assert before > (PLANES - 1) * PLANE_BYTES / 100
    with pytest.raises(Stopped), stoppable(After(before // 2)):
        source.read(PLANES - 1, PLANES)


def test_a_compressed_file_is_decompressed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_image(write(tmp_path, "packed.nii.gz"))
    decompressed = 0
    read = gzip.GzipFile.read

    def counting(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        nonlocal decompressed
        part = read(self, size)
        decompressed += len(part)
        return part

    monkeypatch.setattr(gzip.GzipFile, "read", counting)
    assert np.array_equal(source.read(), STACK[:, None])
    assert decompressed <= STACK.nbytes + 1000


@pytest.mark.parametrize("kind", KINDS)
def test_the_hash_is_that_of_the_whole_and_can_be_stopped(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    if path.is_file():
        assert fingerprint.content_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(Stopped), stoppable(After(3)):
        fingerprint.content_hash(path)


@pytest.mark.parametrize("kind", ["large.nii", "large.nii.gz", "large.tif", "large.zarr"])
def test_memory_does_not_double(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((64, 256, 256), np.uint16)
    monkeypatch.setattr(images, "_BLOCK_BYTES", 1 << 19)
    monkeypatch.setattr(nifti, "_STEP_BYTES", 1 << 18)
    path = tmp_path / kind
    if ".nii" in kind:
        nibabel.save(nibabel.Nifti1Image(pixels.transpose(2, 1, 0), np.eye(4)), path)
    elif kind.endswith("tif"):
        tifffile.imwrite(path, pixels, metadata={"axes": "ZYX"}, compression="zlib")
    else:
        zarr.create_array(str(path), shape=pixels.shape, chunks=(2, 256, 256), dtype="uint16")[:] = pixels
    source = open_image(path)
    source.read(0, 1)  # what is imported at the first reading
    tracemalloc.start()
    try:
        read = source.read()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read.nbytes == pixels.nbytes
    assert most < 1.5 * pixels.nbytes


def test_nothing_is_added_by_a_stopped_reading(tmp_path: Path) -> None:
    path = write(tmp_path, "packed.nii.gz")
    with Project.create(tmp_path / "project") as project:
        for times in (2, 30, 100):
            with pytest.raises(Stopped), stoppable(After(times)):
                project.add_files(path)
            assert project.images() == ()
        (record,) = project.add_files(path)
        with pytest.raises(Stopped), stoppable(After(3)):
            project.volume(record.id)
        assert np.array_equal(project.volume(record.id), STACK[:, None])
        assert np.array_equal(np.concatenate(list(project.blocks(record.id))), STACK[:, None])


def test_stop_is_said_once() -> None:
    with stoppable(lambda: True):
        with pytest.raises(Stopped):
            check()
        check()  # whoever cleans up is not stopped
    with stoppable(lambda: True), pytest.raises(Stopped):
        check()
    check()
