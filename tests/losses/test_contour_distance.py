"""The distance loss pulls vertices to the outline from wherever they are."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch.autograd import gradcheck

from napari_segsize.losses import ContourDistanceLoss, contour_distance_loss

SHAPE = (24, 30)


def ring(radius: float, centre: tuple[float, float], count: int = 12) -> torch.Tensor:
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    return torch.stack([centre[0] + radius * angle.sin(), centre[1] + radius * angle.cos()], -1)[None]


def disc(centre: tuple[float, float] = (11.0, 16.0), radius: float = 6.0) -> torch.Tensor:
    y, x = np.indices(SHAPE)
    return torch.from_numpy((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2)[None, None].double()


def test_at_pixel_centres_it_is_the_euclidean_distance():
    target = disc()
    inside = target[0, 0].numpy() > 0.5
    signed = distance_transform_edt(inside) - distance_transform_edt(~inside)
    away = np.abs(signed) - 0.5
    vertices = torch.tensor([[[2.0, 3.0], [11.0, 16.0], [20.0, 28.0], [5.0, 16.0]]], dtype=torch.float64)
    expected = np.mean([(away[int(y), int(x)] / 30) ** 2 for y, x in vertices[0].tolist()])
    assert float(contour_distance_loss(vertices, target)) == pytest.approx(expected, rel=1e-5)


def test_it_is_nought_on_the_outline_and_grows_on_both_sides():
    values = [float(contour_distance_loss(ring(radius, (11, 16)), disc())) for radius in (2, 4, 6.2, 8, 10)]
    assert values[2] < 1e-4
    assert values[0] > values[1] > values[2] < values[3] < values[4]


def test_a_contour_beside_the_object_finds_it():
    moved = ring(2.0, (4.0, 4.0)).requires_grad_()
    optimizer = torch.optim.Adam([moved], lr=0.3)
    for _ in range(150):
        optimizer.zero_grad()
        contour_distance_loss(moved, disc()).backward()
        optimizer.step()
    assert float(contour_distance_loss(moved.detach(), disc())) < 1e-3


def test_iterations_are_summed_and_objects_averaged():
    contours = torch.stack([ring(3, (11, 16)), ring(8, (11, 16))]).repeat(1, 2, 1, 1)
    target = torch.cat([disc(), disc(radius=4.0)])
    each = contour_distance_loss(contours, target, reduction="none")
    assert each.shape == (2, 2)
    assert torch.allclose(contour_distance_loss(contours, target), each.sum(0).mean())
    assert torch.allclose(contour_distance_loss(contours[0], target, reduction="none"), each[0])
    assert torch.equal(ContourDistanceLoss()(contours, target), contour_distance_loss(contours, target))


@pytest.mark.parametrize("value", [0.0, 1.0, math.nan])
def test_where_there_is_no_outline_there_is_no_term(value):
    contours = ring(3, (11, 16)).repeat(2, 1, 1).requires_grad_()
    target = torch.cat([disc(), torch.full((1, 1, *SHAPE), value, dtype=torch.float64)])
    each = contour_distance_loss(contours, target, reduction="none")
    assert each[1].item() == 0
    each.sum().backward()
    assert contours.grad is not None
    assert contours.grad.isfinite().all()
    assert torch.allclose(contour_distance_loss(contours, target), each[0])


def test_gradient():
    contours = (ring(4.3, (10.6, 15.2)) + 0.137).requires_grad_()
    assert gradcheck(lambda c: contour_distance_loss(c, disc()), contours, atol=1e-4)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="target"):
        contour_distance_loss(ring(3, (11, 16)), torch.cat([disc(), disc()]))
    with pytest.raises(ValueError, match="contours"):
        contour_distance_loss(torch.zeros(1, 2, 2), disc())
