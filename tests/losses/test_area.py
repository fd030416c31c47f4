from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import AreaBoundsLoss, area_bounds, area_bounds_loss


def test_silent_between_the_bounds_and_quadratic_outside():
    logits = torch.zeros(1, 1, 4, 5)  # a soft area of 10 of 20 pixels
    found = [
        float(area_bounds_loss(logits, torch.tensor([[bounds]])))
        for bounds in [(8.0, 12.0), (13.0, 15.0), (2.0, 6.0), (10.0, 10.0)]
    ]
    assert found == pytest.approx([0.0, 9 / 20, 16 / 20, 0.0])


def test_infinity_and_zero_leave_a_side_open():
    logits = torch.zeros(2, 1, 4, 5, requires_grad=True)
    value = area_bounds_loss(logits, torch.tensor([[[1.0, np.inf]], [[-np.inf, 10.5]]]))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_bounds_around_an_area():
    assert torch.allclose(area_bounds(torch.tensor([[100.0]])), torch.tensor([[[90.0, 110.0]]]))
    assert torch.allclose(
        area_bounds(torch.tensor([[100.0]]), tolerance=0.5), torch.tensor([[[50.0, 150.0]]])
    )
    with pytest.raises(ValueError, match="tolerance"):
        area_bounds(torch.tensor([[1.0]]), tolerance=-0.1)


def test_gradient():
    logits = torch.randn(2, 1, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    bounds = torch.tensor([[[20.0, 22.0]], [[1.0, 2.0]]], dtype=torch.float64)
    assert gradcheck(lambda z: area_bounds_loss(z, bounds), logits)


def test_unknown_bounds_and_pixels_of_others():
    logits = torch.zeros(2, 1, 4, 5, requires_grad=True)
    bounds = torch.tensor([[[2.0, 3.0]], [[np.nan, 3.0]]])
    domain = torch.zeros(2, 1, 4, 5, dtype=torch.bool)
    domain[..., :2] = True  # soft area 4
    each = area_bounds_loss(logits, bounds, mask=domain, reduction="none")
    each.sum().backward()
    assert each.flatten().tolist() == pytest.approx([1 / 20, 0.0])
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[~domain] == 0).all()
    assert torch.allclose(area_bounds_loss(logits, bounds, mask=domain), torch.tensor(1 / 20))


def test_module_and_shapes():
    logits, bounds = torch.randn(2, 1, 4, 4), torch.tensor([[[1.0, 2.0]]] * 2)
    assert AreaBoundsLoss()(logits, bounds) == area_bounds_loss(logits, bounds)
    with pytest.raises(ValueError, match=r"bounds: expected \(2, 1, 2\)"):
        area_bounds_loss(logits, bounds[:, 0])
