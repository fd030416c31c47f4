from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from monai.losses import SoftclDiceLoss as MonaiClDice
from torch.autograd import gradcheck

from napari_segsize.losses import ClDiceLoss, cldice_loss
from napari_segsize.ops.skeleton import soft_skeleton


def bar(top: int, bottom: int, shape: tuple[int, int] = (15, 24)) -> torch.Tensor:
    mask = torch.zeros(1, 1, *shape, dtype=torch.bool)
    mask[..., top:bottom, 2:-2] = True
    return mask


def sure(mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, 30.0, -30.0)


@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 4)])
@pytest.mark.parametrize("smooth", [1.0, 0.2])
def test_equals_its_formula(shape, smooth):
    logits = torch.randn(2, 2, *shape, dtype=torch.float64)
    target = torch.rand(2, 2, *shape) < 0.6
    found = cldice_loss(logits, target, iterations=5, smooth=smooth, reduction="none")
    lines = soft_skeleton(logits.sigmoid(), 5).numpy(), soft_skeleton(target.double(), 5).numpy()
    for n, c in np.ndindex(2, 2):
        p, y = 1 / (1 + np.exp(-logits[n, c].numpy())), target[n, c].numpy()
        line, true_line = lines[0][n, c], lines[1][n, c]
        precision = (sum(line[y]) + smooth) / (line.sum() + smooth)
        sensitivity = ((true_line * p).sum() + smooth) / (true_line.sum() + smooth)
        expected = 1 - 2 / (1 / precision + 1 / sensitivity)
        assert found[n, c].item() == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 3)])
def test_gradient(shape):
    logits = torch.randn(2, 1, *shape, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, *shape) < 0.6
    assert gradcheck(lambda z: cldice_loss(z, target), logits)


def test_a_broken_vessel_costs_more_than_a_thin_one():
    target = bar(5, 10)
    broken, thin = target.clone(), bar(7, 8)
    broken[..., 10:13] = False
    assert (target ^ broken).sum() < (target ^ thin).sum()
    assert cldice_loss(sure(broken), target) > cldice_loss(sure(thin), target) + 0.02


def test_a_ghost_line_and_a_missed_line_both_cost():
    one, two = bar(3, 5), bar(3, 5) | bar(9, 11)
    assert cldice_loss(sure(two), one) > 0.2
    assert cldice_loss(sure(one), two) > 0.2
    assert cldice_loss(sure(two), two) == pytest.approx(0, abs=1e-5)


def test_too_few_iterations_are_the_silent_trap_and_are_warned_of():
    target, wrong = bar(4, 11), sure(bar(0, 2))  # 7 wide: needs 3
    with pytest.warns(UserWarning, match="needs 3 iterations, got 2"):
        trapped = cldice_loss(wrong, target, iterations=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cldice_loss(wrong, target) > 0.5
        assert cldice_loss(wrong, target, iterations=3) == cldice_loss(wrong, target)
    missed = torch.full_like(wrong, -30.0)
    with pytest.warns(UserWarning, match="needs 3"):
        assert cldice_loss(missed, target, iterations=2) == pytest.approx(0, abs=1e-6)
    assert cldice_loss(missed, target) > 0.5
    assert trapped < cldice_loss(wrong, target)


def test_monai_falls_into_the_trap_without_a_word():
    """MONAI takes 3 iterations whatever the target: everything thicker than 8 px is not learned from."""
    target, missed = bar(2, 13), torch.full((1, 1, 15, 24), -30.0)
    assert MonaiClDice(sigmoid=True)(missed, target.float()) == pytest.approx(0, abs=1e-3)
    assert cldice_loss(missed, target) > 0.5


def test_more_smoothing_makes_a_short_line_count_less():
    target = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    target[..., 4, 4] = True
    missed = torch.full((1, 1, 9, 9), -30.0)
    values = [cldice_loss(missed, target, smooth=smooth) for smooth in (0.1, 1.0, 10.0)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("shape", [(12, 13), (6, 7, 8)])
def test_monai_says_the_same_for_one_channel(shape):
    logits, target = torch.randn(3, 1, *shape), torch.rand(3, 1, *shape) < 0.6
    expected = MonaiClDice(iter_=9, sigmoid=True, reduction="none")(logits, target.float())
    found = cldice_loss(logits, target, iterations=9, reduction="none")
    assert torch.allclose(found[:, 0], expected, atol=2e-4)  # MONAI adds 1e-4 below


def test_monai_pools_channels_and_ours_are_masks_of_their_own():
    target = torch.cat([bar(3, 5), bar(3, 11)], 1)
    logits = torch.cat([sure(bar(9, 11)), sure(bar(3, 11))], 1)  # the first all wrong, the second right
    each = cldice_loss(logits, target, reduction="none")
    assert each[0, 0] > 0.9
    assert each[0, 1] == pytest.approx(0, abs=1e-5)
    pooled = MonaiClDice(iter_=9, sigmoid=True)(logits, target.float())
    assert abs(pooled - each.mean()) > 0.02


def test_the_module_takes_what_the_function_takes():
    logits, target = torch.randn(2, 1, 9, 9), torch.rand(2, 1, 9, 9) < 0.5
    assert torch.equal(
        ClDiceLoss(iterations=6, smooth=0.5)(logits, target),
        cldice_loss(logits, target, iterations=6, smooth=0.5),
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"iterations": -1}, "iterations: expected"),
        ({"smooth": 0.0}, "smooth: expected"),
        ({"logits": torch.zeros(1, 1, 3), "target": torch.zeros(1, 1, 3)}, "2 or 3 spatial axes"),
    ],
)
def test_bad_options_get_a_sentence(change, sentence):
    given = {"logits": torch.zeros(1, 1, 3, 3), "target": torch.zeros(1, 1, 3, 3), **change}
    with pytest.raises(ValueError, match=sentence):
        cldice_loss(**given)
