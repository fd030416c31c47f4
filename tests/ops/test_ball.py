from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.ops.ball import ball_means


def brute_mean(image: np.ndarray, radius: int) -> np.ndarray:
    """Mean over what of each disk lies in the image, pixel by pixel."""
    places = np.array(list(np.ndindex(image.shape)))
    out = np.empty(image.shape)
    for p in places:
        near = ((places - p) ** 2).sum(1) <= radius**2
        out[tuple(p)] = image[tuple(places[near].T)].mean()
    return out


@pytest.mark.parametrize("shape", [(7, 9), (1, 12), (5, 4, 6), (13,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_brute_force(shape, dtype):
    image = torch.rand(2, 2, *shape, dtype=dtype)
    for radius, found in zip((1, 2, 5, 20), ball_means(image, (1, 2, 5, 20)), strict=True):
        assert found.dtype == dtype
        for n, c in np.ndindex(2, 2):
            expected = brute_mean(image[n, c].numpy(), radius)
            assert np.allclose(found[n, c], expected, atol=1e-6 if dtype == torch.float32 else 1e-12)


def test_gradient():
    image = torch.rand(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: list(ball_means(x, (1, 3))), image)


@pytest.mark.parametrize("radii", [(), (0,), (1.5,), (3, -1)])
def test_bad_radii_get_a_sentence(radii):
    with pytest.raises(ValueError, match="radii: expected"):
        next(ball_means(torch.zeros(1, 1, 3, 3), radii))
