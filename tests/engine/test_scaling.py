"""Mean and deviation from blocks are those of the whole; large volumes are read in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_segsize.engine import dataset
from napari_segsize.engine.dataset import Pixels
from napari_segsize.engine.scaling import Scaling, normalised
from napari_segsize.project import PlaneRef, Project, images


@pytest.mark.parametrize("cuts", [[3], [1, 2, 8], [], list(range(1, 12))])
def test_blocks_give_what_the_whole_gives(cuts: list[int]) -> None:
    rng = np.random.default_rng(1)
    volume = rng.normal(1e4, 3, (12, 2, 9, 10))
    volume[:5, 1] += 1e4  # blocks far from each other
    volume[rng.random(volume.shape) < 0.1] = np.nan
    volume[7] = np.inf  # a block of nothing
    values = np.where(np.isfinite(volume), volume, np.nan)
    mean, deviation = np.nanmean(values, (0, 2, 3)), np.nanstd(values, (0, 2, 3))
    expected = np.nan_to_num((values - mean[:, None, None]) / deviation[:, None, None])
    found = normalised(volume, np.split(volume, cuts))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.array_equal(normalised(volume), normalised(volume, volume))


def test_a_constant_volume_in_blocks_is_0() -> None:
    volume = np.full((4, 1, 5, 5), 1e9, np.float32)
    assert not Scaling.of(np.split(volume, 4)).apply(volume).any()


@pytest.mark.parametrize("cache", [10, 2 << 30])
@pytest.mark.parametrize("once", [10, 256 << 20])
@pytest.mark.parametrize("whole", [10, 64 << 20])
def test_planes_of_volumes_of_every_size(
    tmp_path: Path, cache: int, once: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "_CACHE_BYTES", cache)
    monkeypatch.setattr(dataset, "_ONCE_BYTES", once)
    monkeypatch.setattr(images, "_WHOLE_BYTES", whole)
    monkeypatch.setattr(images, "_BLOCK_BYTES", 2000)
    volume = np.random.default_rng(0).integers(0, 1000, (7, 20, 30)).astype(np.uint16)
    expected = normalised(volume[:, None])
    with Project.create(tmp_path / "project") as project:
        record = project.add_array("volume", volume, kind="stack")
        pixels = Pixels(project)
        for k in (3, 0, 6, 3):
            np.testing.assert_allclose(pixels(PlaneRef(record.id, k)), expected[k], atol=1e-6)
