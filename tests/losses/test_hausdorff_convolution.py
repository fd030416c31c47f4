from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import HausdorffConvolutionLoss, hausdorff_convolution_loss, notices


def brute_mean(image: np.ndarray, radius: int) -> np.ndarray:
    places = np.array(list(np.ndindex(image.shape)))
    out = np.empty(image.shape)
    for p in places:
        near = ((places - p) ** 2).sum(1) <= radius**2
        out[tuple(p)] = image[tuple(places[near].T)].mean()
    return out


def half(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0.5, x, 0)


@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 4)])
@pytest.mark.parametrize("alpha", [2.0, 1.0])
def test_equals_its_formula(shape, alpha):
    logits = 2 * torch.randn(2, 2, *shape, dtype=torch.float64)
    target = torch.rand(2, 2, *shape) < 0.4
    found = hausdorff_convolution_loss(logits, target, alpha=alpha, radii=(1, 3), reduction="none")
    for n, c in np.ndindex(2, 2):
        p, q = target[n, c].double().numpy(), 1 / (1 + np.exp(-logits[n, c].numpy()))
        ghosts, misses = (p - q) ** 2 * q, (p - q) ** 2 * p
        expected = 0.0
        for r in (1, 3):
            terms = half(brute_mean(1 - p, r)) * ghosts + half(brute_mean(p, r)) * misses
            terms += half(brute_mean(1 - q, r)) * misses + half(brute_mean(q, r)) * ghosts
            expected += r**alpha * terms.mean()
        assert found[n, c].item() == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 4)])
def test_gradient(shape):
    logits = torch.randn(2, 1, *shape, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 1, *shape) < 0.4
    assert gradcheck(lambda z: hausdorff_convolution_loss(z, target, radii=(1, 2)), logits)


def ghost(distance: int, **options: object) -> float:
    """Loss of a ghost so many pixels away from a square."""
    target = torch.zeros(1, 1, 30, 60, dtype=torch.bool)
    target[..., 10:20, 5:15] = True
    logits = torch.where(target, 30.0, -30.0)
    logits[..., 14:16, 15 + distance : 17 + distance] = 30.0
    return float(hausdorff_convolution_loss(logits, target, **options))


def test_a_far_ghost_costs_more_until_the_largest_radius():
    near, middle, far = (ghost(distance) for distance in (1, 6, 20))
    assert 0 < near < middle < far
    small = [ghost(distance, radii=(2,)) for distance in (6, 20)]
    assert small[0] == pytest.approx(small[1])


def test_a_larger_alpha_listens_to_larger_disks():
    small, large = (ghost(6, radii=(r,), alpha=1.0) / r for r in (2, 8))
    for alpha in (0.5, 1.0, 3.0):
        expected = 2**alpha * small + 8**alpha * large
        assert ghost(6, radii=(2, 8), alpha=alpha) == pytest.approx(expected, rel=1e-5)


def test_wrong_pixels_have_a_gradient_wherever_they_are():
    target = torch.zeros(1, 1, 30, 30, dtype=torch.bool)
    target[..., 5:15, 5:15] = True
    logits = torch.where(target, 1.0, -1.0)
    logits[..., 20:24, 20:24] = 1.0
    logits[..., 8:12, 8:12] = -1.0
    logits.requires_grad_()
    hausdorff_convolution_loss(logits, target).backward()
    assert (logits.grad[..., 20:24, 20:24] > 0).all()
    assert (logits.grad[..., 8:12, 8:12] < 0).all()


def test_a_half_is_a_half_whatever_the_rounding():
    """At the image's edge a disk may hold exactly half; float32 and float64 must agree on it."""
    target = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    target[..., :8] = True
    logits = torch.where(target.roll(3, -1), 30.0, -30.0)
    single = hausdorff_convolution_loss(logits, target)
    double = hausdorff_convolution_loss(logits.double(), target)
    assert single.item() == pytest.approx(double.item(), rel=1e-4)


def test_no_number_leaves_the_device(monkeypatch):
    """No transfer to the processor's memory, no waiting: what a GPU would have to stop for."""

    def fail(*_: object) -> None:
        raise AssertionError("a round trip")

    logits, target = torch.randn(1, 1, 8, 8, requires_grad=True), torch.rand(1, 1, 8, 8) < 0.4
    monkeypatch.setattr(notices, "_NEAR", frozenset())  # what a processor does is no transfer
    for name in ("numpy", "cpu", "item", "tolist", "__bool__", "__float__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, fail)
    hausdorff_convolution_loss(logits, target).backward()


def test_the_module_takes_what_the_function_takes():
    logits, target = torch.randn(2, 1, 9, 9), torch.rand(2, 1, 9, 9) < 0.4
    options = {"alpha": 1.0, "radii": (2, 4)}
    found = HausdorffConvolutionLoss(**options)(logits, target)
    assert found == hausdorff_convolution_loss(logits, target, **options)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"alpha": 0.0}, "alpha: expected"),
        ({"radii": ()}, "radii: expected"),
        ({"radii": (0, 3)}, "radii: expected"),
        ({"logits": torch.zeros(1, 1, 3), "target": torch.zeros(1, 1, 3)}, "2 or 3 spatial axes"),
    ],
)
def test_bad_options_get_a_sentence(change, sentence):
    given = {"logits": torch.zeros(1, 1, 3, 3), "target": torch.zeros(1, 1, 3, 3), **change}
    with pytest.raises(ValueError, match=sentence):
        hausdorff_convolution_loss(**given)
