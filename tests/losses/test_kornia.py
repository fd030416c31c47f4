"""kornia's losses as a second opinion, where both compute the same formula."""

from __future__ import annotations

import pytest
import torch

from napari_segsize.losses import focal_loss, hausdorff_erosion_loss, tversky_loss

kornia = pytest.importorskip("kornia.losses")


@pytest.fixture
def logits():
    return 3 * torch.randn(2, 1, 24, 20, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def target():
    mask = torch.zeros(2, 1, 24, 20)
    mask[:, :, 6:18, 5:13] = 1
    return mask


@pytest.mark.parametrize("erosions", [1, 3, 10])
def test_erosion_that_stretches_is_what_kornia_computes(logits, target, erosions):
    both = torch.cat((1 - logits.sigmoid(), logits.sigmoid()), 1)
    theirs = kornia.HausdorffERLoss(alpha=2.0, k=erosions, reduction="none")(both, target.long())
    ours = hausdorff_erosion_loss(
        logits, target, alpha=2.0, erosions=erosions, erosion="stretch", reduction="none"
    )
    assert torch.allclose(ours[:, 0], theirs[1, :, 0].mean((-2, -1)), rtol=1e-4)  # channel 1: the object's


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.5, 0.5)])
def test_focal(logits, target, gamma, alpha):
    theirs = kornia.binary_focal_loss_with_logits(logits, target, alpha=alpha, gamma=gamma, reduction="mean")
    assert torch.allclose(focal_loss(logits, target, gamma=gamma, alpha=alpha), theirs, rtol=1e-4)


def test_tversky_with_the_prices_by_name(logits, target):
    # kornia's alpha is the price of a ghost; it takes a softmax, and the mean over background and object
    both = torch.cat((torch.zeros_like(logits), logits), 1)
    theirs = kornia.tversky_loss(both, target[:, 0].long(), alpha=0.3, beta=0.7)
    of_object = tversky_loss(logits, target, ghosts=0.3, misses=0.7)
    of_background = tversky_loss(-logits, 1 - target, ghosts=0.3, misses=0.7)
    assert torch.allclose((of_object + of_background) / 2, theirs, rtol=1e-3)
