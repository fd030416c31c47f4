from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from napari_segsize.losses import BceLoss, DiceLoss, bce_loss, dice_loss


def test_cross_entropy_is_the_papers_but_a_mean():
    logits = torch.randn(2, 1, 4, 4)
    target = torch.rand(2, 1, 4, 4) < 0.5
    expected = (logits * (1 - target.float()) + torch.log1p(torch.exp(-logits))).mean()  # eq. 6
    assert torch.allclose(bce_loss(logits, target), expected)
    assert BceLoss()(logits, target) == bce_loss(logits, target)


def test_dice_of_a_perfect_a_wrong_and_an_empty_prediction():
    target = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    target[..., 1:4, 1:4] = True
    sure = torch.where(target, 100.0, -100.0)
    assert dice_loss(sure, target) == pytest.approx(0, abs=1e-4)
    assert dice_loss(-sure, target) == pytest.approx(1, abs=1e-4)
    assert dice_loss(torch.full_like(sure, -100.0), torch.zeros_like(target)) == pytest.approx(0, abs=1e-4)
    assert DiceLoss()(sure, target) == dice_loss(sure, target)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_dice_of_large_half_precision_images_is_finite(dtype):
    logits = torch.full((1, 1, 300, 300), 5.0, dtype=dtype)
    assert dice_loss(logits, torch.ones(1, 1, 300, 300)) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("loss", [bce_loss, dice_loss])
def test_shapes_must_agree(loss):
    with pytest.raises(ValueError, match="target: expected"):
        loss(torch.zeros(1, 1, 3, 3), torch.zeros(1, 3, 3))


def test_importing_the_losses_does_not_import_monai_or_numba():
    code = "import sys, napari_segsize.losses; print(*{'monai', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
