from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import ContourSizeLoss, contour_size_loss
from napari_segsize.losses.contour_size import _centre, _distances
from napari_segsize.ops import object_size
from napari_segsize.ops.polygon import polygon_mask

SHAPE = (40, 48)


def ring(radius: float, count: int = 32, *, flat: float = 1.0, wave: float = 0.0) -> torch.Tensor:
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    radii = radius + wave * (torch.arange(count) % 2)
    return torch.stack([20.3 + flat * radii * angle.sin(), 23.1 + radii * angle.cos()], -1)[None]


def box(top: float, left: float, height: float, width: float) -> torch.Tensor:
    corners = [[top, left], [top + height, left], [top + height, left + width], [top, left + width]]
    return torch.tensor([corners], dtype=torch.float64)


def width(contours: torch.Tensor) -> float:
    """The side of the largest square, read off the loss: (width / goal - 1)², from below the goal."""
    goal = 100.0
    value = contour_size_loss(contours, torch.tensor([[goal]]), SHAPE, pixel=0.0).item()
    return goal * (1 - value**0.5)


@pytest.mark.parametrize("place", [(10.0, 12.0), (10.5, 11.5), (9.7, 12.2)])
@pytest.mark.parametrize("side", [3.0, 4.0, 7.6, 12.3])
def test_the_square_in_a_box_is_measured_to_half_a_pixel(place, side):
    for wide in (side, 2 * side):
        assert side - 0.51 <= width(box(*place, side, wide)) <= side + 0.01


def test_the_square_in_a_disk():
    for radius in (4.0, 9.3, 15.0):
        assert width(ring(radius, 128)) == pytest.approx(2**0.5 * radius, abs=0.5)


@pytest.mark.parametrize("goal", [6.0, 14.0, 22.0, 30.0])
@pytest.mark.parametrize(
    "start", [ring(4.0), ring(16.0), ring(9.0, wave=3.0), ring(12.0, 16, flat=0.6), box(10, 10, 9, 24)]
)
def test_gradient_descent_on_it_alone_reaches_the_size(goal, start):
    contours = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([contours], lr=0.2)
    for _ in range(200):
        optimizer.zero_grad()
        contour_size_loss(contours, torch.tensor([[goal]]), SHAPE).backward()
        optimizer.step()
    assert object_size(polygon_mask(contours.detach(), SHAPE) > 0.5) == goal


def test_the_gradient_is_that_of_a_soft_minimum_of_distances():
    contours = ring(8.0, 12, wave=2.0).requires_grad_()
    centre = _centre(polygon_mask(contours.detach(), SHAPE))

    def soft(c: torch.Tensor) -> torch.Tensor:
        return -0.7 * torch.logsumexp(-_distances(polygon_mask(c, SHAPE), centre) / 0.7, -1)

    assert gradcheck(soft, contours)
    value = contour_size_loss(contours, torch.tensor([[20.0]]), SHAPE, temperature=0.7)
    value.backward()
    error = -(value.item() ** 0.5)  # width / goal - 1, for a polygon that is too small
    (slope,) = torch.autograd.grad(soft(contours), contours)
    torch.testing.assert_close(contours.grad, 2 * error * 2 / 19.5 * slope)


def test_a_higher_temperature_moves_more_of_the_outline():
    moved = []
    for temperature in (0.1, 0.5, 3.0):
        contours = ring(10.0, 64).requires_grad_()
        contour_size_loss(contours, torch.tensor([[20.0]]), SHAPE, temperature=temperature).backward()
        moved.append(int((contours.grad.norm(dim=-1) > 0.01 * contours.grad.norm(dim=-1).max()).sum()))
    assert moved == sorted(moved)
    assert moved[-1] > 2 * moved[0]


def test_a_size_stands_for_two_widths_of_the_images_own_pixels():
    exact = box(10.5, 10.5, 9.5, 9.5)
    for factor, pixel in ((1.0, 1.0), (2.0, 2.0)):
        value = contour_size_loss(exact * factor, torch.tensor([[10.0 * factor]]), (90, 90), pixel=pixel)
        assert value.item() == pytest.approx(0, abs=3e-3)
    each = torch.tensor([1.0, 0.0])
    both = contour_size_loss(
        exact.expand(2, 4, 2), torch.full((2, 1), 10.0), SHAPE, pixel=each, reduction="none"
    )
    assert both[0] < 3e-3 < both[1]


def test_the_error_is_relative_to_the_size():
    for goal in (8.0, 16.0):
        contours = box(10.5, 10.5, goal * 1.5, goal * 1.5)
        value = contour_size_loss(contours, torch.tensor([[goal]]), SHAPE, pixel=0.0)
        assert value.item() == pytest.approx(0.25, rel=0.1)


def test_unknown_sizes_have_no_term_and_iterations_add_up():
    contours = torch.cat([ring(6.0), ring(9.0), ring(12.0)]).expand(2, 3, 32, 2).clone().requires_grad_()
    size = torch.tensor([[20.0], [torch.nan], [8.0]])
    value = contour_size_loss(contours, size, SHAPE)
    value.backward()
    assert (contours.grad[:, 1] == 0).all()
    each = contour_size_loss(contours, size, SHAPE, reduction="none")
    assert each.shape == (2, 3)
    assert (each[:, 1] == 0).all()
    assert torch.allclose(value, each[:, [0, 2]].mean(1).sum())
    masks = polygon_mask(contours.flatten(0, 1), SHAPE).unflatten(0, (2, 3))
    assert torch.equal(contour_size_loss(contours, size, SHAPE, masks=masks), value)
    assert contour_size_loss(contours, torch.full((3, 1), torch.nan), SHAPE) == 0


def test_the_border_does_not_hold_a_square():
    corner = box(-10.0, -10.0, 15.0, 15.0)  # 5.5 px of it are seen
    for goal, grows in ((8.0, False), (24.0, True)):
        contours = corner.clone().requires_grad_()
        contour_size_loss(contours, torch.tensor([[goal]]), SHAPE).backward()
        assert contours.grad.isfinite().all()
        assert (contours.grad[0, 2].sum() < 0) == grows
    everything = box(-5.0, -5.0, 90.0, 90.0).requires_grad_()
    contour_size_loss(everything, torch.tensor([[8.0]]), SHAPE).backward()
    assert (everything.grad == 0).all()


def test_specks_grow_and_what_is_outside_stays_finite():
    speck = box(20.1, 20.2, 0.4, 0.3).requires_grad_()
    contour_size_loss(speck, torch.tensor([[8.0]]), SHAPE).backward()
    assert (-speck.grad[0, 2] > 0).all()
    assert (-speck.grad[0, 0] < 0).all()
    away = box(90.0, 90.0, 4.0, 4.0).requires_grad_()
    value = contour_size_loss(away, torch.tensor([[8.0]]), SHAPE)
    value.backward()
    assert value.isfinite()
    assert (away.grad == 0).all()


def test_no_object_is_size_zero():
    contours = ring(5.0).requires_grad_()
    contour_size_loss(contours, torch.zeros(1, 1), SHAPE).backward()
    shrunk = contours.detach() - 0.5 * contours.grad / contours.grad.abs().max()
    assert polygon_mask(shrunk, SHAPE).sum() < polygon_mask(contours.detach(), SHAPE).sum()


def test_the_module_is_the_function():
    contours, size = ring(6.0), torch.tensor([[8.0]])
    found = ContourSizeLoss(pixel=0.5, temperature=1.0)(contours, size, SHAPE)
    assert found == contour_size_loss(contours, size, SHAPE, pixel=0.5, temperature=1.0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"contours": torch.zeros(4, 2)}, "contours: expected"),
        ({"size": torch.zeros(2, 1)}, r"size: expected \(1, 1\)"),
        ({"temperature": 0.0}, "temperature: expected more than 0"),
        ({"reduction": "sum"}, "reduction: expected"),
    ],
)
def test_bad_input_gets_a_sentence(change, sentence):
    given = {"contours": ring(5.0), "size": torch.zeros(1, 1), "shape": SHAPE, **change}
    with pytest.raises(ValueError, match=sentence):
        contour_size_loss(**given)
