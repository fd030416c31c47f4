from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from geometry_oracle import distances, random_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segsize.ops import _compiled, chebyshev_distance, flip_sizes
from napari_segsize.ops.distance import _chebyshev_tensor, warm_up

BORDERS = ("ignore", "background")


def planes(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(mask))[None, None]


@pytest.fixture
def without_compiled_code(monkeypatch: pytest.MonkeyPatch):
    """Let the compiled kernels fail to import, as on a Python that numba does not know."""
    _compiled.kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "napari_segsize.ops._distance_kernels", None)
    monkeypatch.delattr("napari_segsize.ops._distance_kernels", raising=False)
    yield
    _compiled.kernels.cache_clear()


@given(
    arrays(bool, st.lists(st.integers(1, 12), min_size=2, max_size=3).map(tuple)), st.sampled_from(BORDERS)
)
@settings(deadline=None)
def test_equals_an_independent_implementation(mask, border):
    expected = distances(mask[None], border)[0]
    assert np.array_equal(chebyshev_distance(planes(mask), border=border)[0, 0], expected)
    assert np.array_equal(_chebyshev_tensor(planes(mask), border)[0, 0], expected)


@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 300), (300, 5), (70, 129), (200, 257), (3, 4, 140), (1, 9, 9), (40, 2, 3)]
)
@pytest.mark.parametrize("border", BORDERS)
def test_equals_it_on_every_stage_of_the_compiled_rows(rng, shape, border):
    masks = random_masks(rng, 5, shape)
    expected = distances(masks, border)
    tensor = torch.from_numpy(masks)[:, None]
    assert np.array_equal(chebyshev_distance(tensor, border=border)[:, 0], expected)
    assert np.array_equal(_chebyshev_tensor(tensor, border)[:, 0], expected)


def test_equals_opencv(rng):
    mask = rng.random((90, 110)) < 0.99
    expected = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_C, 3)
    assert np.array_equal(chebyshev_distance(planes(mask))[0, 0], expected)


def test_the_outside_is_unknown_or_background():
    mask = np.zeros((9, 9), bool)
    mask[:4, :4] = True
    assert chebyshev_distance(planes(mask)).max() == 4
    assert chebyshev_distance(planes(mask), border="background").max() == 2


@pytest.mark.parametrize("shape", [(5, 9), (4, 7, 6)])
def test_without_background_the_distance_is_the_longest_side(shape):
    full = torch.ones(1, 1, *shape, dtype=torch.bool)
    assert (chebyshev_distance(full) == max(shape)).all()
    assert (chebyshev_distance(~full) == 0).all()


def test_a_volume_of_one_slice_is_not_a_plane():
    full = torch.ones(1, 1, 1, 5, 5, dtype=torch.bool)
    assert (chebyshev_distance(full, border="background") == 1).all()
    assert chebyshev_distance(full[0], border="background").max() == 3


def test_planes_do_not_touch_each_other(rng):
    mask = torch.from_numpy(rng.random((3, 2, 8, 9)) < 0.9)
    together = chebyshev_distance(mask)
    assert together.shape == mask.shape
    assert together.dtype == torch.float32
    for n, c in np.ndindex(3, 2):
        assert torch.equal(chebyshev_distance(mask[n : n + 1, c : c + 1])[0, 0], together[n, c])


def test_views_and_empty_batches():
    mask = torch.rand(6, 2, 12, 10) < 0.9
    view = mask.transpose(2, 3)[::2, :, 1:]
    assert torch.equal(
        chebyshev_distance(view), chebyshev_distance(view.clone(memory_format=torch.contiguous_format))
    )
    assert chebyshev_distance(mask[:0]).shape == (0, 2, 12, 10)
    assert flip_sizes(mask[:, :0]).shape == (6, 0, 12, 10)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (torch.ones(1, 1, 3, 3), "boolean"),
        (torch.ones(3, 3, dtype=torch.bool), r"\(N, C, \*spatial\)"),
        (torch.ones(1, 1, 0, 3, dtype=torch.bool), "at least one pixel"),
    ],
)
def test_bad_masks_get_a_sentence(mask, sentence):
    with pytest.raises(ValueError, match=sentence):
        chebyshev_distance(mask)


def test_bad_borders_get_a_sentence():
    with pytest.raises(ValueError, match="border"):
        chebyshev_distance(torch.ones(1, 1, 2, 2, dtype=torch.bool), border="reflect")  # type: ignore[arg-type]


def test_threads_share_planes_and_change_nothing(rng, monkeypatch):
    mask = torch.from_numpy(random_masks(rng, 37, (24, 20)))[:, None]
    alone = chebyshev_distance(mask), flip_sizes(mask)
    monkeypatch.setattr(_compiled, "_DISTANCE_SHARE", 100)
    monkeypatch.setattr(_compiled, "_FLIP_SHARE", 100)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    assert torch.equal(chebyshev_distance(mask), alone[0])
    assert torch.equal(flip_sizes(mask), alone[1])


def test_two_threads_at_once(rng, monkeypatch):
    monkeypatch.setattr(_compiled, "_FLIP_SHARE", 1000)  # each of them shares its planes with others
    mask = torch.from_numpy(random_masks(rng, 40, (40, 30)))[:, None]
    expected = flip_sizes(mask)
    with ThreadPoolExecutor(2) as pool:
        assert all(torch.equal(found, expected) for found in pool.map(flip_sizes, [mask] * 20))


def test_warm_up_says_that_code_is_compiled():
    assert warm_up()


def test_without_compiled_code_the_result_is_the_same(without_compiled_code, rng, caplog):
    assert not warm_up()
    assert "slower" in caplog.text
    masks = random_masks(rng, 8, (7, 9))
    assert np.array_equal(
        chebyshev_distance(torch.from_numpy(masks)[:, None])[:, 0], distances(masks, "ignore")
    )
    flip_sizes(torch.from_numpy(masks)[:, None])


def test_an_install_that_cannot_be_written_to_compiles_without_a_cache(monkeypatch):
    from napari_segsize.ops import _jit

    options = []

    def njit(**given):
        options.append(given)
        if given.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(_jit, "njit", njit)
    assert _jit.kernel(len) is len
    assert [bool(given.get("cache")) for given in options] == [True, False]
