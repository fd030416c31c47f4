from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import HausdorffDTLoss as MonaiHausdorff
from torch.autograd import gradcheck

from napari_segsize.losses import (
    HausdorffLoss,
    OneSidedHausdorffLoss,
    hausdorff_loss,
    one_sided_hausdorff_loss,
)
from napari_segsize.losses.hausdorff import outline_distance

SHAPES = [(5, 6), (3, 4, 4)]
BOTH = [hausdorff_loss, one_sided_hausdorff_loss]


def brute_distance(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    found = np.zeros(mask.shape)
    for p in np.ndindex(mask.shape):
        others = np.argwhere(mask != mask[p])
        if len(others):
            found[p] = np.sqrt((((others - p) * spacing) ** 2).sum(1)).min()
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alpha", [2.0, 0.7])
@pytest.mark.parametrize("spaced", [False, True])
def test_equals_its_formula(shape, alpha, spaced):
    logits = torch.randn(2, 2, *shape, dtype=torch.float64)
    target = torch.rand(2, 2, *shape) < 0.4
    target[0, 0], logits[1, 1] = False, -3.0  # planes without an outline
    spacing = (2.0, 0.7, 1.1)[: len(shape)] if spaced else None
    found = hausdorff_loss(logits, target, alpha=alpha, spacing=spacing, reduction="none")
    one_sided = one_sided_hausdorff_loss(logits, target, alpha=alpha, spacing=spacing, reduction="none")
    sides = spacing or (1.0,) * len(shape)
    for n, c in np.ndindex(2, 2):
        q, p = 1 / (1 + np.exp(-logits[n, c].numpy())), target[n, c].numpy()
        d_p, d_q = brute_distance(p, sides), brute_distance(q > 0.5, sides)
        both = d_p**alpha + d_q**alpha
        assert found[n, c].item() == pytest.approx(((p - q) ** 2 * both).mean(), rel=1e-5)
        assert one_sided[n, c].item() == pytest.approx(((p - q) ** 2 * d_p**alpha).mean(), rel=1e-5)


@pytest.mark.parametrize("loss", BOTH)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(loss, shape):
    logits = torch.randn(2, 1, *shape, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, *shape) < 0.4
    assert gradcheck(lambda z: loss(z, target), logits)


@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)])
@pytest.mark.filterwarnings("ignore:single channel prediction")
def test_monai_says_the_same(shape):
    logits, target = torch.randn(4, 1, *shape), torch.rand(4, 1, *shape) < 0.4
    target[0], target[1] = False, True
    logits[2] = -5.0
    expected = MonaiHausdorff(sigmoid=True, reduction="none", alpha=1.5)(logits, target.float())
    found = hausdorff_loss(logits, target, alpha=1.5, reduction="none")
    assert torch.allclose(found.flatten(), expected.flatten(), rtol=1e-4)


@pytest.mark.parametrize("loss", BOTH)
def test_a_far_ghost_costs_more_than_a_near_one_and_more_so_with_a_larger_alpha(loss):
    target = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    target[..., 2:6, 2:6] = True
    near, far = (torch.where(target, 20.0, -20.0) for _ in range(2))
    near[..., 8, 8], far[..., 20, 20] = 20.0, 20.0
    ratios = [loss(far, target, alpha=alpha) / loss(near, target, alpha=alpha) for alpha in (0.5, 1.0, 2.0)]
    assert ratios[0] > 1
    assert ratios == sorted(ratios)


def test_only_the_two_sided_loss_hears_how_far_the_prediction_lies_from_a_miss():
    """A missed pixel beside the true outline, with the rest of the prediction near or far."""
    target = torch.ones(1, 1, 1, 30, dtype=torch.bool)
    target[..., 0] = False
    near, far = torch.full((1, 1, 1, 30), -20.0), torch.full((1, 1, 1, 30), -20.0)
    near[..., 15:], far[..., 28:] = 20.0, 20.0
    pixel = (torch.arange(30) == 1).expand(1, 1, 1, 30)
    one, other = (
        [loss(torch.where(pixel, m, 20.0 * (2.0 * target - 1)), target) for m in (near, far)] for loss in BOTH
    )
    assert one[0] == one[1]
    assert other[0] == other[1]
    assert hausdorff_loss(far, target) - one_sided_hausdorff_loss(far, target) > 2 * (
        hausdorff_loss(near, target) - one_sided_hausdorff_loss(near, target)
    )


def test_the_unit_scales_the_loss():
    logits, target = torch.randn(1, 1, 8, 9), torch.rand(1, 1, 8, 9) < 0.4
    for loss in BOTH:
        assert torch.allclose(loss(logits, target, spacing=(3.0, 3.0)), 9 * loss(logits, target), rtol=1e-5)


def test_the_distance_to_the_target_may_be_given():
    logits, target = torch.randn(2, 1, 8, 9), torch.rand(2, 1, 8, 9) < 0.4
    given = outline_distance(target)
    for loss in BOTH:
        assert torch.equal(loss(logits, target, target_distance=given), loss(logits, target))
        assert loss(logits, target, target_distance=2 * given) > loss(logits, target)


def test_modules_take_what_the_functions_take():
    logits, target = torch.randn(2, 1, 8, 9), torch.rand(2, 1, 8, 9) < 0.4
    options = {"alpha": 1.0, "spacing": (1.0, 2.0)}
    assert HausdorffLoss(**options)(logits, target) == hausdorff_loss(logits, target, **options)
    assert OneSidedHausdorffLoss(**options)(logits, target) == one_sided_hausdorff_loss(
        logits, target, **options
    )


@pytest.mark.parametrize("loss", BOTH)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"alpha": 0.0}, "alpha: expected more than 0"),
        ({"alpha": float("nan")}, "alpha: expected"),
        ({"spacing": (1.0,)}, "spacing: expected 2"),
        ({"target_distance": torch.zeros(3, 3)}, "target_distance: expected"),
        ({"target_distance": torch.zeros(1, 1, 3, 3, device="meta")}, "target_distance: expected on cpu"),
        ({"logits": torch.zeros(1, 1, 3), "target": torch.zeros(1, 1, 3)}, "2 or 3 spatial axes"),
    ],
)
def test_bad_options_get_a_sentence(loss, change, sentence):
    given = {"logits": torch.zeros(1, 1, 3, 3), "target": torch.zeros(1, 1, 3, 3), **change}
    with pytest.raises(ValueError, match=sentence):
        loss(**given)
