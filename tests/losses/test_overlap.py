from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss as MonaiDice
from monai.losses import GeneralizedDiceLoss as MonaiGeneralisedDice
from monai.losses import TverskyLoss as MonaiTversky
from torch.autograd import gradcheck

from napari_segsize.losses import dice_loss, generalised_dice_loss, tversky_loss

SHAPES = [(4, 5), (3, 4, 2)]


def case(shape: tuple[int, ...], planes: tuple[int, int] = (2, 2)) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(*planes, *shape, dtype=torch.float64), torch.rand(*planes, *shape) < 0.4


def counts(logits: torch.Tensor, target: torch.Tensor) -> tuple[float, float, float, float]:
    """Soft true and false positives and negatives of one plane, pixel by pixel."""
    probs, truth = 1 / (1 + np.exp(-logits.numpy())), target.numpy()
    found = [0.0] * 4
    for p, y in zip(probs.ravel(), truth.ravel(), strict=True):
        found[0 if y else 1] += p
        found[2 if y else 3] += 1 - p
    return found[0], found[1], found[2], found[3]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("weight", "power"), [("square", 2), ("simple", 1), ("uniform", 0)])
def test_generalised_dice_equals_its_formula(shape, weight, power):
    logits, target = case(shape)
    found = generalised_dice_loss(logits, target, weight=weight, reduction="none")
    for n, c in np.ndindex(2, 2):
        tp, fp, fn, tn = counts(logits[n, c], target[n, c])
        area = int(target[n, c].sum())
        w_fore, w_back = area**-power, (target[n, c].numel() - area) ** -power
        over = 2 * (w_fore * tp + w_back * tn)
        expected = 1 - over / (w_fore * (2 * tp + fp + fn) + w_back * (2 * tn + fp + fn))
        assert found[n, c].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_tversky_equals_its_formula(shape):
    logits, target = case(shape)
    found = tversky_loss(logits, target, ghosts=0.2, misses=0.9, reduction="none")
    for n, c in np.ndindex(2, 2):
        tp, fp, fn, _ = counts(logits[n, c], target[n, c])
        assert found[n, c].item() == pytest.approx(1 - tp / (tp + 0.2 * fp + 0.9 * fn), abs=1e-5)


@pytest.mark.parametrize("loss", [dice_loss, generalised_dice_loss, tversky_loss])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(loss, shape):
    logits, target = case(shape)
    assert gradcheck(lambda z: loss(z, target), logits.requires_grad_())


def test_the_squared_weight_hears_a_small_object_most():
    target = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    target[..., :2, :2] = True
    missed = torch.full((1, 1, 32, 32), -9.0)
    square, simple, uniform = (
        generalised_dice_loss(missed, target, weight=w) for w in ("square", "simple", "uniform")
    )
    assert square > simple > uniform
    assert square > 0.9
    assert uniform < 0.01


def test_generalised_dice_is_monais_on_small_images():
    logits, target = case((5, 6), (3, 1))
    target[1], target[2] = True, False  # MONAI's convention for an absent class holds as well
    probs = torch.cat([logits.sigmoid(), 1 - logits.sigmoid()], 1)
    both = torch.cat([target, ~target], 1).double()
    expected = MonaiGeneralisedDice(reduction="none")(probs, both).flatten()
    assert torch.allclose(
        generalised_dice_loss(logits, target, reduction="none").flatten(), expected, atol=1e-3
    )


def test_monais_smoothing_decides_on_large_images_and_ours_does_not():
    target = torch.zeros(1, 1, 1024, 1024)
    target[..., :512] = 1
    inverted = torch.where(target > 0, -20.0, 20.0)
    probs = torch.cat([inverted.sigmoid(), 1 - inverted.sigmoid()], 1)
    assert MonaiGeneralisedDice()(probs, torch.cat([target, 1 - target], 1)) < 0.5
    assert generalised_dice_loss(inverted, target) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_dice_and_tversky_are_monais(shape):
    logits, target = case(shape)
    target[1] = False
    dice = MonaiDice(sigmoid=True, reduction="none")(logits, target.double()).flatten(1)
    assert torch.allclose(dice_loss(logits, target, reduction="none"), dice)
    tversky = MonaiTversky(sigmoid=True, alpha=0.2, beta=0.9, reduction="none")(logits, target.double())
    found = tversky_loss(logits, target, ghosts=0.2, misses=0.9, reduction="none")
    assert torch.allclose(found, tversky.reshape(2, 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_dice_equals_its_formula(shape):
    logits, target = case(shape)
    found = dice_loss(logits, target, reduction="none")
    for n, c in np.ndindex(2, 2):
        tp, fp, fn, _ = counts(logits[n, c], target[n, c])
        assert found[n, c].item() == pytest.approx(1 - 2 * tp / (2 * tp + fp + fn), abs=1e-5)


def test_tversky_is_dice_at_one_half():
    logits, target = case((5, 6))
    assert torch.allclose(
        tversky_loss(logits, target, ghosts=0.5, misses=0.5), dice_loss(logits, target), atol=1e-5
    )


def test_tversky_prices():
    target = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    target[..., 2:6, 2:6] = True
    small, large = torch.full((1, 1, 8, 8), -20.0), torch.full((1, 1, 8, 8), -20.0)
    small[..., 3:5, 3:5], large[..., 1:7, 1:7] = 20.0, 20.0
    for mask, price in ((small, "misses"), (large, "ghosts")):
        cheap = tversky_loss(mask, target, **{"ghosts": 0.5, "misses": 0.5, price: 0.1})
        dear = tversky_loss(mask, target, **{"ghosts": 0.5, "misses": 0.5, price: 0.9})
        assert dear > cheap + 0.1


@pytest.mark.parametrize(
    ("loss", "change", "sentence"),
    [
        (generalised_dice_loss, {"weight": "cubic"}, "weight: expected"),
        (tversky_loss, {"ghosts": -0.1}, "ghosts, misses: expected"),
        (tversky_loss, {"ghosts": 0.0, "misses": 0.0}, "ghosts, misses: expected"),
        (tversky_loss, {"misses": float("nan")}, "ghosts, misses: expected"),
    ],
)
def test_bad_options_get_a_sentence(loss, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        loss(torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3), **change)
