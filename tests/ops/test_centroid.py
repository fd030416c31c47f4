from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import center_of_mass
from torch.autograd import gradcheck

from napari_segsize.ops import centroid


@pytest.mark.parametrize("shape", [(7,), (5, 8), (3, 4, 6)])
def test_equals_scipy(rng, shape):
    weights = rng.random((2, 3, *shape))
    found = centroid(torch.from_numpy(weights))
    assert found.shape == (2, 3, len(shape))
    for n, c in np.ndindex(2, 3):
        np.testing.assert_allclose(found[n, c], center_of_mass(weights[n, c]))


def test_pixel_centres_are_integers_and_masks_count():
    mask = torch.zeros(1, 1, 5, 7, dtype=torch.bool)
    mask[..., 1, 2:5] = True
    assert centroid(mask).tolist() == [[[1.0, 3.0]]]


def test_without_mass_the_centre_is_the_image_centre_and_nothing_pulls():
    weights = torch.zeros(1, 2, 4, 5, requires_grad=True)
    found = centroid(weights)
    assert found.tolist() == [[[1.5, 2.0]] * 2]
    found.sum().backward()
    assert (weights.grad == 0).all()


def test_gradient():
    weights = torch.rand(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(centroid, weights)
    (gradient,) = torch.autograd.grad(centroid(weights)[0, 0, 1], weights)
    columns = torch.arange(4, dtype=torch.float64)
    centre = centroid(weights)[0, 0, 1].detach()
    assert torch.allclose(gradient[0, 0], ((columns - centre) / weights[0].sum().detach()).expand(3, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype):
    found = centroid(torch.ones(1, 1, 300, 300, dtype=dtype))
    assert found.dtype == torch.float32
    assert torch.allclose(found, torch.tensor(149.5))


@pytest.mark.parametrize("shape", [(2, 3), (1, 1, 0, 4)])
def test_bad_shapes_get_a_sentence(shape):
    with pytest.raises(ValueError, match="at least one pixel"):
        centroid(torch.zeros(shape))
