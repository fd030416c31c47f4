"""Masks on disk: nothing of them is lost, and what is empty costs nothing."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segsize.project.packing import packed, unpacked

MOST = 2**31 - 1
shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
values = st.one_of(st.just(0), st.sampled_from([1, 255, 256, 65535, 65536, MOST]), st.integers(0, MOST))


@given(masks=shapes.flatmap(lambda shape: arrays(np.int32, shape, elements=values)))
def test_a_mask_comes_back_as_it_was(masks: np.ndarray) -> None:
    back = unpacked(packed(masks), masks.shape)
    assert back.dtype == np.int32
    assert back.flags.writeable
    assert np.array_equal(back, masks)


@given(masks=shapes.flatmap(lambda shape: arrays(np.int32, shape, elements=values)))
def test_views_are_packed_as_what_they_show(masks: np.ndarray) -> None:
    assert packed(masks[::-1].T) == packed(np.ascontiguousarray(masks[::-1].T))


def test_the_plane_around_the_labels_is_not_stored() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(1, MOST, (20, 30)).astype(np.int32)
    large = np.zeros((2000, 3000), np.int32)
    large[1900:1920, 7:37] = small
    assert len(packed(large)) == len(packed(small))


def test_labels_are_stored_as_narrow_as_they_are() -> None:
    noise = np.random.default_rng(0).integers(1, 256, (100, 100)).astype(np.int32)
    narrow, wide = len(packed(noise)), len(packed(noise + 2**16))
    assert narrow < 1.01 * noise.size
    assert wide > 1.4 * narrow


def test_what_older_versions_wrote_can_be_read() -> None:
    mask = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert np.array_equal(unpacked(zlib.compress(mask.astype("<i4").tobytes()), (3, 4)), mask)
