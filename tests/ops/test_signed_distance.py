from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from geometry_oracle import random_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from napari_segsize.ops import signed_distance as module
from napari_segsize.ops.signed_distance import edge_distance, has_edge, signed_distance

SPACINGS = (1.0, 2.5, 0.3)


def brute_force(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Distance of every pixel to every pixel of the other kind; the diagonal where there is none."""
    found = np.full(mask.shape, np.hypot.reduce(np.array(mask.shape) * spacing))
    for p in np.ndindex(mask.shape):
        others = np.argwhere(mask != mask[p])
        if len(others):
            found[p] = np.sqrt((((others - p) * spacing) ** 2).sum(1)).min()
    return found


@given(arrays(bool, st.lists(st.integers(1, 7), min_size=2, max_size=3).map(tuple)), st.booleans())
@settings(deadline=None)
def test_equals_brute_force(mask, spaced):
    spacing = SPACINGS[: mask.ndim] if spaced else (1.0,) * mask.ndim
    tensor = torch.from_numpy(mask)[None, None]
    expected = brute_force(mask, spacing)
    found = edge_distance(tensor, spacing=spacing)
    assert np.allclose(found[0, 0], expected, rtol=1e-6)
    signed = np.where(mask, expected, -expected) - np.where(mask, 1, -1) * min(spacing) / 2
    assert np.allclose(signed_distance(tensor, spacing=spacing)[0, 0], signed, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 300), (300, 40), (130, 129), (1, 50), (17, 30, 21)])
def test_equals_scipy_on_larger_images(rng, shape):
    masks = random_masks(rng, 8, shape)
    spacing = SPACINGS[: len(shape)]
    tensor = torch.from_numpy(masks)[:, None]
    found, edges = edge_distance(tensor, spacing=spacing)[:, 0], has_edge(tensor)[:, 0]
    assert 0 < edges.sum() < 8
    for number in edges.nonzero()[:, 0].tolist():
        mask = masks[number]
        inside = distance_transform_edt(mask, sampling=spacing)
        expected = inside + distance_transform_edt(~mask, sampling=spacing)
        assert np.allclose(found[number], expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(9, 13), (4, 5, 6)])
def test_tensors_and_compiled_code_agree(rng, shape, monkeypatch):
    tensor = torch.from_numpy(random_masks(rng, 10, shape)).reshape(5, 2, *shape)
    compiled = signed_distance(tensor, spacing=SPACINGS[: len(shape)])
    module._kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "napari_segsize.ops._euclid_kernels", None)
    monkeypatch.delattr("napari_segsize.ops._euclid_kernels", raising=False)
    assert module._kernels() is None
    found = signed_distance(tensor, spacing=SPACINGS[: len(shape)])
    module._kernels.cache_clear()
    assert torch.allclose(found, compiled, rtol=1e-6)


def test_the_sign_is_the_mask_and_the_edge_lies_between_pixels():
    mask = torch.zeros(1, 1, 1, 8, dtype=torch.bool)
    mask[..., 3:] = True
    assert signed_distance(mask).flatten().tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5]
    assert edge_distance(mask).flatten().tolist() == [3, 2, 1, 1, 2, 3, 4, 5]


def test_without_an_edge_the_distance_is_the_diagonal():
    mask = torch.zeros(1, 2, 3, 4, dtype=torch.bool)
    mask[:, 1] = True
    assert (signed_distance(mask)[0, 0] == -5 + 0.5).all()
    assert (signed_distance(mask)[0, 1] == 5 - 0.5).all()
    assert (edge_distance(mask, spacing=(2.0, 2.0)) == 10).all()


def test_spacing_scales():
    mask = torch.rand(1, 1, 9, 9) < 0.5
    assert torch.allclose(signed_distance(mask, spacing=(3.0, 3.0)), 3 * signed_distance(mask))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mask": torch.zeros(1, 1, 3, 3)}, "mask: expected a boolean"),
        ({"mask": torch.zeros(3, 3, dtype=torch.bool)}, "mask: expected"),
        ({"mask": torch.zeros(1, 1, 0, 3, dtype=torch.bool)}, "some pixels"),
        ({"spacing": (1.0,)}, "spacing: expected 2"),
        ({"spacing": (1.0, 0.0)}, "spacing: expected 2 positive"),
        ({"spacing": (1.0, float("nan"))}, "spacing: expected 2 positive"),
    ],
)
def test_bad_input_gets_a_sentence(change, sentence):
    given = {"mask": torch.zeros(1, 1, 3, 3, dtype=torch.bool), "spacing": None, **change}
    with pytest.raises(ValueError, match=sentence):
        signed_distance(**given)
