from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses.focal_loss import FocalLoss as MonaiFocal
from monai.losses.focal_loss import sigmoid_focal_loss
from torch.autograd import gradcheck

from napari_segsize.losses import bce_loss, focal_loss


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 2)])
@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, None), (0.5, 0.25), (0.0, 0.7)])
def test_equals_its_formula(shape, gamma, alpha):
    logits = torch.randn(2, 2, *shape, dtype=torch.float64)
    target = torch.rand(2, 2, *shape) < 0.4
    found = focal_loss(logits, target, gamma=gamma, alpha=alpha, reduction="none")
    for n, c in np.ndindex(2, 2):
        terms = []
        for z, y in zip(logits[n, c].flatten().tolist(), target[n, c].flatten().tolist(), strict=True):
            p = 1 / (1 + np.exp(-z))
            p_true = p if y else 1 - p
            weight = 1.0 if alpha is None else (alpha if y else 1 - alpha)
            terms.append(-weight * (1 - p_true) ** gamma * np.log(p_true))
        assert found[n, c].item() == pytest.approx(np.mean(terms))


def test_gradient():
    logits = torch.randn(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, 3, 4) < 0.4
    for gamma, alpha in ((2.0, 0.25), (0.5, None), (0.0, None)):
        assert gradcheck(lambda z, g=gamma, a=alpha: focal_loss(z, target, gamma=g, alpha=a), logits)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, None), (0.5, 0.25)])
def test_monai_says_the_same(gamma, alpha):
    logits = torch.randn(2, 1, 5, 6, dtype=torch.float64)
    target = torch.rand(2, 1, 5, 6, dtype=torch.float64)  # soft, too
    expected = sigmoid_focal_loss(logits, target, gamma, alpha).mean()
    assert focal_loss(logits, target, gamma=gamma, alpha=alpha).item() == pytest.approx(expected.item())
    assert MonaiFocal(gamma=gamma, alpha=alpha)(logits, target).dtype == torch.float32  # its module forgets


def test_without_gamma_it_is_the_cross_entropy():
    logits, target = torch.randn(2, 1, 5, 5), torch.rand(2, 1, 5, 5) < 0.4
    assert torch.allclose(focal_loss(logits, target, gamma=0.0), bce_loss(logits, target))


def test_a_bigger_gamma_looks_away_from_easy_pixels():
    logits = torch.tensor([[[[3.0, 0.1]]]], requires_grad=True)  # both foreground: one easy, one not
    shares = []
    for gamma in (0.0, 2.0, 5.0):
        (gradient,) = torch.autograd.grad(focal_loss(logits, torch.ones(1, 1, 1, 2), gamma=gamma), logits)
        easy, hard = gradient.abs().flatten()
        shares.append(easy / hard)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 1e-3


def test_a_bigger_alpha_hears_the_foreground_more():
    target = torch.tensor([[[[1.0, 0.0]]]])
    for wrong, sign in ((0, 1), (1, -1)):
        logits = torch.where(target > 0, 5.0, -5.0)
        logits[..., wrong] *= -1
        low, high = focal_loss(logits, target, alpha=0.1), focal_loss(logits, target, alpha=0.9)
        assert sign * (high - low) > 0.1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"gamma": -1.0}, "gamma: expected 0 or more"),
        ({"gamma": float("nan")}, "gamma: expected"),
        ({"alpha": 1.5}, "alpha: expected"),
    ],
)
def test_bad_options_get_a_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        focal_loss(torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3), **change)
