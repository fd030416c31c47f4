from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import (
    ActiveContourLoss,
    ChanVeseLoss,
    active_contour_loss,
    chan_vese_loss,
)

SHAPES = [(5, 6), (3, 4, 4)]
WEIGHTS = {"length": 0.3, "inside": 2.0, "outside": 0.7}


def brute_length(u: np.ndarray, spacing: tuple[float, ...]) -> float:
    total = 0.0
    for p in np.ndindex(u.shape):
        square = 1e-8
        for axis, side in enumerate(spacing):
            q = tuple(v + (a == axis) for a, v in enumerate(p))
            if q[axis] < u.shape[axis]:
                square += ((u[q] - u[p]) / side) ** 2
        total += np.sqrt(square)
    return total / u.size


def disk(radius: float, side: int = 24) -> torch.Tensor:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return torch.from_numpy(y**2 + x**2 < radius**2)[None, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spaced", [False, True])
def test_the_supervised_loss_equals_its_formula(shape, spaced):
    logits = torch.randn(2, 2, *shape, dtype=torch.float64)
    target = torch.rand(2, 2, *shape, dtype=torch.float64)  # soft masks are allowed
    spacing = (2.0, 0.5, 1.5)[: len(shape)] if spaced else None
    found = active_contour_loss(logits, target, **WEIGHTS, spacing=spacing, reduction="none")
    for n, c in np.ndindex(2, 2):
        u, v = 1 / (1 + np.exp(-logits[n, c].numpy())), target[n, c].numpy()
        expected = 0.3 * brute_length(u, spacing or (1.0,) * len(shape))
        expected += 2.0 * (u * (v - 1) ** 2).mean() + 0.7 * ((1 - u) * v**2).mean()
        assert found[n, c].item() == pytest.approx(expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_unsupervised_loss_equals_its_formula(shape):
    logits = torch.randn(2, 2, *shape, dtype=torch.float64)
    image = torch.rand(2, 3, *shape, dtype=torch.float64)
    found = chan_vese_loss(logits, image, **WEIGHTS, reduction="none")
    for n, c in np.ndindex(2, 2):
        u = 1 / (1 + np.exp(-logits[n, c].numpy()))
        expected = 0.3 * brute_length(u, (1.0,) * len(shape))
        for k in range(3):
            plane = image[n, k].numpy()
            c1, c2 = (u * plane).sum() / u.sum(), ((1 - u) * plane).sum() / (1 - u).sum()
            region = 2.0 * (u * (plane - c1) ** 2).mean() + 0.7 * ((1 - u) * (plane - c2) ** 2).mean()
            expected += region / plane.var() / 3
        assert found[n, c].item() == pytest.approx(expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape):
    logits = torch.randn(2, 1, *shape, dtype=torch.float64, requires_grad=True)
    target, image = torch.rand(2, 1, *shape) < 0.4, torch.rand(2, 2, *shape)
    assert gradcheck(lambda z: active_contour_loss(z, target, **WEIGHTS), logits)
    # although the means take no part in it: they are where the value is least
    assert gradcheck(lambda z: chan_vese_loss(z, image, **WEIGHTS), logits)


def test_the_length_is_the_perimeter():
    square = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    square[..., 5:15, 5:15] = True
    sure = torch.where(square, 60.0, -60.0).double()
    found = active_contour_loss(sure, square, inside=0.0, outside=0.0) * 400
    assert found.item() == pytest.approx(40, abs=1)  # a corner counts once the root of 2
    stretched = active_contour_loss(sure, square, inside=0.0, outside=0.0, spacing=(1.0, 2.0)) * 400 * 2
    assert stretched.item() == pytest.approx(60, abs=1)  # in area elements of 2


def test_more_length_prefers_a_smoother_outline():
    target = disk(8)
    rough = target ^ (target & (torch.arange(24)[:, None] % 4 == 0) & ~disk(6))
    rough_logits, smooth_logits = (torch.where(m, 20.0, -20.0) for m in (rough, disk(7)))
    assert (rough ^ target).sum() < (disk(7) ^ target).sum()
    assert active_contour_loss(rough_logits, target, length=0.0) < active_contour_loss(
        smooth_logits, target, length=0.0
    )
    dear = {"length": 3.0}
    assert active_contour_loss(rough_logits, target, **dear) > active_contour_loss(
        smooth_logits, target, **dear
    )


@pytest.mark.parametrize(("guess", "weight"), [(9, "inside"), (7, "outside")])
def test_inside_and_outside_are_prices_of_ghosts_and_misses(guess, weight):
    logits = torch.where(disk(guess), 20.0, -20.0)
    plain = active_contour_loss(logits, disk(8), length=0.0)
    dear = active_contour_loss(logits, disk(8), length=0.0, **{weight: 3.0})
    assert dear.item() == pytest.approx(3 * plain.item())


@pytest.mark.parametrize(("radius", "length", "found"), [(1.5, 1.0, False), (1.5, 0.1, True), (6, 1.0, True)])
def test_small_objects_are_cheaper_missed_unless_the_length_weighs_less(radius, length, found):
    target = disk(radius)
    right, nothing = torch.where(target, 30.0, -30.0), torch.full((1, 1, 24, 24), -30.0)
    costs = [active_contour_loss(each, target, length=length) for each in (right, nothing)]
    assert (costs[0] < costs[1]) == found


def test_chan_vese_finds_a_bright_disk_without_a_mask():
    image = disk(6).float() + 0.2 * torch.randn(1, 1, 24, 24)
    logits = torch.where(disk(3), 1.0, -1.0).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        chan_vese_loss(logits, image).backward()
        optimizer.step()
    assert ((logits > 0) ^ disk(6)).sum() < 12


def test_chan_vese_does_not_care_about_brightness_contrast_or_which_side():
    logits, image = torch.randn(1, 1, 9, 9), torch.rand(1, 1, 9, 9)
    expected = chan_vese_loss(logits, image)
    assert torch.allclose(chan_vese_loss(logits, 300 * image - 20), expected, rtol=1e-4)
    assert torch.allclose(chan_vese_loss(-logits, image), expected, rtol=1e-4)


def test_a_region_that_explains_nothing_costs_one():
    image = torch.rand(1, 1, 40, 40)
    assert chan_vese_loss(torch.zeros(1, 1, 40, 40), image, length=0.0) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("level", [-1000.0, 1000.0, 0.0])
def test_chan_vese_of_empty_predictions_and_flat_images_is_finite(level):
    for image in (torch.rand(1, 1, 6, 6), torch.full((1, 1, 6, 6), 3.0)):
        logits = torch.full((1, 1, 6, 6), level, requires_grad=True)
        value = chan_vese_loss(logits, image)
        value.backward()
        assert value.isfinite()
        assert logits.grad.isfinite().all()


def test_an_image_with_nan_has_no_term():
    logits, image = torch.randn(2, 2, 6, 6, requires_grad=True), torch.rand(2, 1, 6, 6)
    image[1, 0, 2, 2] = np.nan
    value = chan_vese_loss(logits, image)
    value.backward()
    assert torch.allclose(value, chan_vese_loss(logits[:1], image[:1]))
    assert (logits.grad[1] == 0).all()


def test_nan_logits_show():
    logits = torch.zeros(1, 1, 6, 6)
    logits[..., 0, 0] = np.nan
    with pytest.warns(UserWarning, match="expected a finite value"):
        assert chan_vese_loss(logits, torch.rand(1, 1, 6, 6)).isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_chan_vese_in_half_precision(dtype):
    logits = torch.randn(1, 1, 40, 40).to(dtype).requires_grad_()
    value = chan_vese_loss(logits, (1000 * torch.rand(1, 1, 40, 40)).to(torch.int16))
    value.backward()
    assert value.isfinite()
    assert logits.grad.dtype == dtype


def test_modules_take_what_the_functions_take():
    logits, image = torch.randn(2, 1, 6, 6), torch.rand(2, 1, 6, 6)
    options = {**WEIGHTS, "spacing": (1.0, 2.0)}
    assert ActiveContourLoss(**options)(logits, image) == active_contour_loss(logits, image, **options)
    assert ChanVeseLoss(**options)(logits, image) == chan_vese_loss(logits, image, **options)
    assert ChanVeseLoss()(logits, image) == chan_vese_loss(logits, image)


@pytest.mark.parametrize(
    ("loss", "change", "sentence"),
    [
        (active_contour_loss, {"length": -1.0}, "length: expected a weight"),
        (active_contour_loss, {"inside": float("nan")}, "inside: expected a weight"),
        (active_contour_loss, {"spacing": (1.0,)}, "spacing: expected 2"),
        (chan_vese_loss, {"outside": float("inf")}, "outside: expected a weight"),
        (chan_vese_loss, {"image": torch.zeros(2, 1, 3, 3)}, r"image: expected \(1, channels, 3, 3\)"),
        (chan_vese_loss, {"image": torch.zeros(1, 3, 3)}, "image: expected"),
        (chan_vese_loss, {"logits": torch.zeros(3, 3)}, "logits: expected"),
        (chan_vese_loss, {"image": torch.zeros(1, 1, 3, 3, device="meta")}, "image: expected on cpu"),
    ],
)
def test_bad_input_gets_a_sentence(loss, change, sentence):
    second = "image" if loss is chan_vese_loss else "target"
    given = {"logits": torch.zeros(1, 1, 3, 3), second: torch.zeros(1, 1, 3, 3), **change}
    with pytest.raises(ValueError, match=sentence):
        loss(**given)
