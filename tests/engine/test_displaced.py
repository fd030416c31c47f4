from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_segsize.engine.displaced import SIDE, Outlined, displaced_window, outlined_objects, rim_of
from napari_segsize.engine.outline_search import signed_distances


def disk(radius: float = 20, side: int = 120, centre: tuple[int, int] = (60, 60)) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def image_of(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(gaussian_filter(mask * 1.0, 1).astype(np.float32))[None].repeat(3, 1, 1)


def outlined(mask: np.ndarray, farthest: float = 6.0) -> Outlined:
    (found,) = outlined_objects(image_of(mask), mask.astype(np.int32), farthest)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_window_holds_the_true_outline_a_displaced_one_and_what_lies_between(seed: int) -> None:
    one = outlined(disk())
    inputs, target, counts = displaced_window(one, np.random.default_rng(seed))
    assert inputs.shape == (6, SIDE, SIDE)
    assert target.shape == counts.shape == (1, SIDE, SIDE)
    assert inputs.isfinite().all()
    assert set(target.unique().tolist()) <= {0.0, 1.0}
    wrong = (inputs[3:4] > 0) ^ (target > 0)
    assert wrong.any()
    assert (counts[wrong & (inputs[5:] > 0)] == 1).float().mean() > 0.95  # where it can be mended, it counts
    assert counts.mean() < 0.8
    bright = inputs[:1] > inputs[:1].mean()
    assert (bright == (target > 0)).float().mean() > 0.98  # the image shows the true outline, not the rough


def test_the_same_seed_draws_the_same_window_and_another_another() -> None:
    one = outlined(disk())
    first, again, other = (displaced_window(one, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_displacement_ends_near_the_farthest_and_what_is_told_holds_it() -> None:
    mask = disk(30, 200, (100, 100))
    one = replace(outlined(mask), farthest=4.0)
    rng, beyond, seen = np.random.default_rng(0), [], []
    for _ in range(80):
        inputs, target, _ = displaced_window(one, rng)
        told = float(inputs[4].max()) * 8
        assert 1.99 <= told <= 5.01
        wrong = ((inputs[3] > 0) ^ (target[0] > 0)).numpy()
        wrong[:12] = wrong[-12:] = wrong[:, :12] = wrong[:, -12:] = False  # the outline may lie beyond
        true = target[0].numpy() > 0
        off = float(np.abs(signed_distances(true))[wrong].max(initial=0)) if true.any() else 0.0
        assert off <= 1.75 * (told - 1) + 1  # a whole may be too large or too small besides
        beyond.append(off > told)
        seen.append(off)
    assert np.mean(beyond) < 0.15
    assert max(seen) > 3
    assert min(seen) < 1.5


def test_thin_objects_are_displaced_less_and_dots_not_at_all() -> None:
    labels = np.zeros((80, 200), np.int32)
    labels[10:70, 20:80] = 1
    labels[20:60, 100:104] = 2
    labels[5:9, 150:155] = 3
    found = outlined_objects(image_of(labels > 0), labels, 8.0)
    assert [each.mask.sum() for each in found] == [3600, 160]
    assert found[0].farthest == 8.0
    assert 1.5 <= found[1].farthest < 2.0
    for each in found:
        assert each.colours.shape[1:] == each.mask.shape == each.inside.shape
        assert each.mask[tuple(each.rim.T)].mean() == pytest.approx(0.5, abs=0.1)


def test_what_lies_beyond_the_image_is_said_to() -> None:
    mask = disk(14, 60, (4, 30))
    one = outlined(mask)
    assert one.inside.all()
    rng = np.random.default_rng(0)
    shares = [float(displaced_window(one, rng)[0][5].mean()) for _ in range(10)]
    assert max(shares) < 0.5  # of a window of 96 px, an image of 60
    inputs, _, counts = displaced_window(one, rng)
    assert not counts[(inputs[5:] == 0)].any()


def test_an_object_that_fills_the_plane_has_no_outline() -> None:
    assert outlined_objects(torch.zeros(3, 40, 40), np.ones((40, 40), np.int32)) == []
    assert len(rim_of(disk(10))) > 60
