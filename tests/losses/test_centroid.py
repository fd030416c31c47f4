from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import CentroidLoss, centroid_loss
from napari_segsize.ops import centroid


@pytest.mark.parametrize("shape", [(6, 9), (3, 5, 4)])
@pytest.mark.parametrize("sharpness", [1.0, 2.5, 0.5])
def test_equals_its_definition(shape, sharpness):
    logits = torch.randn(2, 3, *shape, dtype=torch.float64)
    target = torch.rand(2, 3, len(shape), dtype=torch.float64)
    square = ((centroid(logits.sigmoid() ** sharpness) - target) ** 2).sum(-1)
    expected = square.mean() / sum(side**2 for side in shape)
    assert torch.allclose(centroid_loss(logits, target, sharpness=sharpness), expected)


def test_a_bigger_sharpness_listens_less_to_faint_background():
    faint = torch.full((1, 1, 9, 9), -4.0)
    faint[..., 1:3, 1:3] = 4.0
    target = torch.tensor([[[1.5, 1.5]]])
    assert centroid_loss(faint, target, sharpness=4.0) < centroid_loss(faint, target, sharpness=1.0)


def test_gradient():
    logits = torch.randn(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, 2, dtype=torch.float64)
    domain = torch.rand(2, 1, 4, 5) < 0.7
    assert gradcheck(lambda z: centroid_loss(z, target, sharpness=1.5, mask=domain), logits)


@pytest.mark.parametrize("level", [-1000.0, -100.0, 1000.0])
def test_extreme_logits_still_have_a_centre(level):
    logits = torch.full((1, 1, 5, 7), level, requires_grad=True)
    value = centroid_loss(logits, torch.tensor([[[2.0, 3.0]]]))
    value.backward()
    assert value == 0
    assert logits.grad.isfinite().all()


def test_unknown_centres_have_no_term():
    logits = torch.randn(3, 1, 5, 5, requires_grad=True)
    target = torch.tensor([[[1.0, 1.0]], [[np.nan, 2.0]], [[np.nan, np.nan]]])
    value = centroid_loss(logits, target)
    value.backward()
    assert torch.allclose(value, centroid_loss(logits[:1], target[:1]))
    assert (logits.grad[1:] == 0).all()
    each = centroid_loss(logits, target, reduction="none")
    assert each.shape == (3, 1)
    assert (each[1:] == 0).all()


def test_nothing_known_is_zero_and_still_backpropagates():
    logits = torch.randn(2, 1, 5, 5, requires_grad=True)
    value = centroid_loss(logits, torch.full((2, 1, 2), np.nan))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_pixels_of_others_weigh_nothing():
    logits = torch.randn(2, 1, 6, 6, requires_grad=True)
    domain = torch.zeros(2, 1, 6, 6, dtype=torch.bool)
    domain[0, :, :3] = True  # and nothing at all in the second
    target = torch.full((2, 1, 2), 1.0)
    each = centroid_loss(logits, target, mask=domain, reduction="none")
    each.sum().backward()
    alone = centroid_loss(logits[:1, :, :3], target[:1], reduction="none")
    assert torch.allclose(each[0] * (36 + 36), alone[0] * (9 + 36))
    assert (logits.grad[~domain] == 0).all()
    assert logits.grad.isfinite().all()
    assert each[1] == 2 * 1.5**2 / 72  # the image's centre


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type(dtype):
    logits = torch.randn(1, 1, 200, 200).to(dtype).requires_grad_()
    value = centroid_loss(logits, torch.zeros(1, 1, 2))
    value.backward()
    assert logits.grad.dtype == dtype
    assert value.isfinite()


def test_nan_logits_show():
    logits = torch.zeros(1, 1, 4, 4)
    logits[..., 0, 0] = np.nan
    with pytest.warns(UserWarning, match="expected a finite value"):
        assert centroid_loss(logits, torch.zeros(1, 1, 2)).isnan()


def test_the_module_is_the_function():
    logits, target = torch.randn(2, 1, 6, 6), torch.rand(2, 1, 2)
    assert CentroidLoss(sharpness=3.0)(logits, target) == centroid_loss(logits, target, sharpness=3.0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"target": torch.zeros(2, 1, 3)}, r"target: expected \(2, 1, 2\)"),
        ({"sharpness": 0.0}, "sharpness: expected more than 0"),
        ({"mask": torch.ones(2, 1, 5, 5)}, "mask: expected a boolean"),
        ({"reduction": "sum"}, "reduction: expected"),
    ],
)
def test_bad_input_gets_a_sentence(change, sentence):
    given = {"logits": torch.zeros(2, 1, 5, 5), "target": torch.zeros(2, 1, 2), **change}
    with pytest.raises(ValueError, match=sentence):
        centroid_loss(**given)
