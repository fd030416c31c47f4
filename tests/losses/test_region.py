from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import BceLoss, DiceLoss, bce_loss, dice_loss


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 2)])
def test_cross_entropy_is_the_papers_but_a_mean(shape):
    logits = torch.randn(2, 2, *shape)
    target = torch.rand(2, 2, *shape) < 0.5
    expected = (logits * (1 - target.float()) + torch.log1p(torch.exp(-logits))).mean()  # eq. 6
    assert torch.allclose(bce_loss(logits, target), expected)
    assert BceLoss()(logits, target) == bce_loss(logits, target)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 2)])
def test_gradient_of_cross_entropy(shape):
    logits, target = torch.randn(2, 1, *shape, dtype=torch.float64), torch.rand(2, 1, *shape) < 0.5
    assert gradcheck(lambda z: bce_loss(z, target), logits.requires_grad_())


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


@pytest.mark.parametrize("loss", [bce_loss, dice_loss])
class TestPlanes:
    def test_an_unlabelled_plane_has_no_term(self, loss):
        logits = torch.randn(3, 2, 5, 6, dtype=torch.float64, requires_grad=True)
        target = (torch.rand(3, 2, 5, 6) < 0.4).double()
        each = loss(logits, target, reduction="none")
        assert each.shape == (3, 2)
        assert loss(logits, target).item() == pytest.approx(each.mean().item())
        target[1, 0, 2, 3] = torch.nan
        value = loss(logits, target)
        expected = (each.sum() - each[1, 0]) / 5
        assert value.item() == pytest.approx(expected.item())
        (slope,) = torch.autograd.grad(value, logits)
        assert slope.isfinite().all()
        assert not slope[1, 0].any()
        assert loss(logits, torch.full_like(target, torch.nan)).item() == 0

    def test_half_precision_is_computed_in_single(self, loss):
        logits = torch.randn(1, 1, 8, 8).half()
        target = torch.rand(1, 1, 8, 8) < 0.5
        assert loss(logits, target).dtype == torch.float32
        assert loss(logits, target) == loss(logits.float(), target)

    def test_a_target_elsewhere_is_refused(self, loss):
        with pytest.raises(ValueError, match=r"target: expected on cpu as logits, got meta"):
            loss(torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3, device="meta"))
