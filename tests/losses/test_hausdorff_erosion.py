from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from torch.autograd import gradcheck

from napari_segsize.losses import HausdorffErosionLoss, hausdorff_erosion_loss, hausdorff_loss, notices
from napari_segsize.losses.hausdorff_erosion import residues

SHAPES = [(6, 7), (4, 5, 4)]
MODES = ["gain", "grey", "literal", "stretch"]
EMPTY = -30.0


def cross(p: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    offsets = [np.zeros(len(shape), int), *np.eye(len(shape), dtype=int), *-np.eye(len(shape), dtype=int)]
    places = [tuple(int(v) for v in p + offset) for offset in offsets]
    return [q for q in places if all(0 <= v < side for v, side in zip(q, shape, strict=True))]


def brute_erosion(error: np.ndarray, mode: str) -> np.ndarray:
    out = np.empty_like(error)
    for p in np.ndindex(error.shape):
        near = [error[q] for q in cross(np.array(p), error.shape)]
        if mode == "gain":
            out[p] = max(2 * np.mean(near) - 1, 0)
        elif mode == "grey":
            out[p] = min(near)
        else:
            out[p] = max(sum(near) / (2 * error.ndim + 1) - 0.5, 0)
    if mode == "stretch" and np.ptp(out) > 0:
        out = (out - out.min()) / np.ptp(out)
    return out


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("alpha", [2.0, 1.0])
def test_equals_its_formula(shape, mode, alpha):
    logits = 4 * torch.randn(2, 2, *shape, dtype=torch.float64)
    target = torch.rand(2, 2, *shape) < 0.5
    logits[target & (torch.rand(target.shape) < 0.7)] = EMPTY  # wide errors, so that some are left
    logits[0] = torch.where(target[0], EMPTY, -EMPTY)
    found = hausdorff_erosion_loss(logits, target, erosions=4, erosion=mode, alpha=alpha, reduction="none")
    for n, c in np.ndindex(2, 2):
        error = (1 / (1 + np.exp(-logits[n, c].numpy())) - target[n, c].numpy()) ** 2
        expected = 0.0
        for k in range(1, 5):
            error = brute_erosion(error, mode)
            expected += error.mean() * k**alpha
        assert found[n, c].item() == pytest.approx(expected)
    assert (found > 0).any()


@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 4)])
@pytest.mark.parametrize("mode", MODES)
def test_gradient(shape, mode):
    target = torch.rand(2, 1, *shape) < 0.5
    logits = torch.where(target, -2.5, 2.5).double() + 0.3 * torch.randn(2, 1, *shape)
    assert gradcheck(
        lambda z: hausdorff_erosion_loss(z, target, erosion=mode, erosions=2), logits.requires_grad_()
    )


def missed(shape: tuple[int, int], side: int, **options: object) -> float:
    """Loss of an empty prediction for a square in the middle."""
    target = torch.zeros(1, 1, *shape)
    top = (shape[0] - side) // 2
    target[..., top : top + side, top : top + side] = 1
    logits = torch.full_like(target, -60.0, dtype=torch.float64)
    return float(hausdorff_erosion_loss(logits, target, **options))


@pytest.mark.parametrize(("erosions", "expected"), [(1, 0.66), (2, 2.76), (10, 29.6)])
def test_a_square_of_13_pixels(erosions, expected):
    assert missed((15, 15), 13, erosions=erosions) == pytest.approx(expected, rel=0.01)


def test_the_literal_formula_leaves_nothing_for_a_second_erosion():
    values = [missed((15, 15), 13, erosions=k, erosion="literal") for k in (1, 2, 10)]
    assert values == pytest.approx([0.3293] * 3, abs=1e-4)


def test_the_stretch_of_published_code_never_lets_an_error_die():
    assert missed((12, 12), 2, erosion="stretch") > 1000 * missed((12, 12), 2)
    assert missed((12, 12), 2) == pytest.approx(0.0056, abs=1e-4)


@pytest.mark.parametrize("mode", ["gain", "grey"])
def test_wider_errors_cost_more_up_to_the_number_of_erosions(mode):
    costs = [missed((40, 40), side, erosion=mode) / side**2 for side in (1, 3, 7, 15)]
    assert costs[0] == pytest.approx(0, abs=1e-40)
    assert all(after > before for before, after in pairwise(costs))
    few = [missed((40, 40), side, erosions=2, erosion=mode) / side**2 for side in (15, 25)]
    many = [missed((40, 40), side, erosions=12, erosion=mode) / side**2 for side in (15, 25)]
    assert many[1] / many[0] > few[1] / few[0]


def test_a_larger_alpha_prefers_wide_errors():
    ratios = [missed((40, 40), 15, alpha=alpha) / missed((40, 40), 5, alpha=alpha) for alpha in (1, 2, 3)]
    assert ratios == sorted(ratios)


def test_faint_errors_have_no_gradient_except_with_grey_erosion():
    target = torch.zeros(1, 1, 12, 12)
    target[..., 2:10, 2:10] = 1
    for mode in MODES:
        logits = torch.zeros(1, 1, 12, 12, requires_grad=True)  # p = 1/2 everywhere
        value = hausdorff_erosion_loss(logits, target, erosion=mode)
        value.backward()
        heard = mode == "grey"
        assert (value > 0) == heard
        assert bool(logits.grad.any()) == heard


def test_errors_are_not_eroded_from_the_edge_of_the_image():
    error = torch.ones(1, 1, 6, 8)
    error[..., 5:] = 0
    for k, left in enumerate(residues(error, 3), start=1):
        assert (left[..., : 5 - k] == 1).all()
        assert (left[..., 5 - k :] < 1).all()
    for left in residues(torch.ones(1, 1, 5, 5), 5):
        assert (left == 1).all()


def test_erosions_are_those_of_scipy():
    error = torch.rand(1, 1, 10, 11, dtype=torch.float64)
    kernel = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]) / 5
    expected = np.maximum(convolve(error[0, 0].numpy(), kernel, mode="constant") - 0.5, 0)
    assert np.allclose(next(residues(error, 1, "literal"))[0, 0], expected)


def test_no_number_leaves_the_device(monkeypatch):
    """No transfer to the processor's memory, no waiting: what a GPU would have to stop for."""

    def fail(*_: object) -> None:
        raise AssertionError("a round trip")

    logits, target = torch.randn(1, 1, 8, 8, requires_grad=True), torch.rand(1, 1, 8, 8) < 0.4
    monkeypatch.setattr(notices, "_NEAR", frozenset())  # what a processor does is no transfer
    for name in ("numpy", "cpu", "item", "tolist", "__bool__", "__float__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, fail)
    hausdorff_erosion_loss(logits, target).backward()


def test_it_is_another_loss_than_by_distances():
    logits, target = 3 * torch.randn(1, 1, 20, 20), torch.rand(1, 1, 20, 20) < 0.4
    assert hausdorff_erosion_loss(logits, target, erosion="grey") != hausdorff_loss(logits, target)


def test_the_module_takes_what_the_function_takes():
    logits, target = 5 * torch.randn(2, 1, 9, 9), torch.rand(2, 1, 9, 9) < 0.4
    options = {"alpha": 1.0, "erosions": 3, "erosion": "grey"}
    found = HausdorffErosionLoss(**options)(logits, target)
    assert found == hausdorff_erosion_loss(logits, target, **options)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"alpha": -1.0}, "alpha: expected"),
        ({"erosions": 0}, "erosions: expected 1"),
        ({"erosion": "soft"}, "erosion: expected"),
        ({"logits": torch.zeros(1, 1, 3), "target": torch.zeros(1, 1, 3)}, "2 or 3 spatial axes"),
    ],
)
def test_bad_options_get_a_sentence(change, sentence):
    given = {"logits": torch.zeros(1, 1, 3, 3), "target": torch.zeros(1, 1, 3, 3), **change}
    with pytest.raises(ValueError, match=sentence):
        hausdorff_erosion_loss(**given)
