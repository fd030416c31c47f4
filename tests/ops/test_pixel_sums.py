from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.ops import pixel_sums as module
from napari_segsize.ops.pixel_sums import mean_entropy, mean_focal, soft_counts


@pytest.fixture(params=["compiled", "tensors"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    module._kernels.cache_clear()
    if request.param == "tensors":
        monkeypatch.setitem(sys.modules, "napari_segsize.ops._pixel_kernels", None)
        monkeypatch.delattr("napari_segsize.ops._pixel_kernels", raising=False)
    assert (module._kernels() is None) == (request.param == "tensors")
    yield request.param
    module._kernels.cache_clear()


def case(*shape: int, soft: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    truth = torch.rand(shape, dtype=torch.float64)
    return 2 * torch.randn(shape, dtype=torch.float64), truth if soft else (truth < 0.4).double()


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 2, 5, 6), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("soft", [False, True])
def test_pixel_by_pixel(shape, soft):
    logits, target = case(*shape, soft=soft)
    both, mass, area = soft_counts(logits, target)
    entropy, focal = mean_entropy(logits, target), mean_focal(logits, target, 1.5, 0.3)
    for n, c in np.ndindex(*shape[:2]):
        sums = [0.0] * 5
        for z, y in zip(logits[n, c].flatten().tolist(), target[n, c].flatten().tolist(), strict=True):
            p = 1 / (1 + math.exp(-z))
            cross = -(y * math.log(p) + (1 - y) * math.log(1 - p))
            wrong = 1 / (1 + math.exp(z * (2 * y - 1)))
            shares = p * y, p, y, cross, (0.3 * y + 0.7 * (1 - y)) * wrong**1.5 * cross
            sums = [total + share for total, share in zip(sums, shares, strict=True)]
        found = [both, mass, area, entropy * logits[0, 0].numel(), focal * logits[0, 0].numel()]
        assert [each[n, c].item() for each in found] == pytest.approx(sums)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        soft_counts,
        mean_entropy,
        lambda z, y: mean_focal(z, y, 2.0, None),
        lambda z, y: mean_focal(z, y, 0.5, 0.25),
        lambda z, y: mean_focal(z, y, 0.0, 0.9),
    ],
)
def test_gradients_of_logits_and_of_target(function, soft):
    logits, target = case(2, 2, 3, 4, soft=soft)
    assert gradcheck(function, (logits.requires_grad_(), target.requires_grad_()))


def test_parts_of_larger_images():
    logits, target = case(3, 4, 10, 12)
    logits, target = logits[:, 1:3, ::2, 1:].requires_grad_(), target[:, 1:3, ::2, 1:]
    whole = [each.contiguous() for each in (logits, target)]
    for function in (soft_counts, mean_entropy):
        found, expected = function(logits, target), function(*whole)
        assert torch.equal(torch.stack([*found]), torch.stack([*expected]))


@pytest.mark.parametrize("size", [1, 31, 96, 97, 1024, 5000])
def test_any_number_of_pixels(size):
    logits, target = case(1, 1, size)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert mean_entropy(logits, target).item() == pytest.approx(expected.item())
    assert soft_counts(logits, target)[1].item() == pytest.approx(logits.sigmoid().sum().item())


def test_single_precision_stays_precise_over_millions_of_pixels():
    logits, target = case(1, 1, 2_000_000)
    exact = torch.stack([*soft_counts(logits, target), mean_entropy(logits, target)])
    found = torch.stack([each.double() for each in soft_counts(logits.float(), target.float())])
    assert torch.allclose(found, exact[:3], rtol=1e-6)
    entropy = mean_entropy(logits.float(), target.float())
    assert entropy.item() == pytest.approx(exact[3].item(), rel=1e-6)


@pytest.mark.parametrize("level", [0.0, 5.0, 16.0, 200.0])
def test_the_surest_predictions(level):
    target = case(1, 1, 20, 20)[1].float()
    right = torch.where(target > 0, level, -level)
    for logits in (right, -right):
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits.double(), target.double())
        assert mean_entropy(logits, target).item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-7)


def test_what_is_not_a_number_shows_where_it_is():
    logits, target = (each.float() for each in case(3, 1, 4, 5))
    logits[0, 0, 1, 1] = math.nan
    target[1, 0, 2, 2] = math.nan
    for values in (*soft_counts(logits, target)[:1], mean_entropy(logits, target)):
        assert values.isnan().flatten().tolist() == [True, True, False]


def test_planes_shared_among_threads_say_the_same(monkeypatch):
    logits, target = case(5, 1, 8, 9)
    alone = torch.stack([*soft_counts(logits, target), mean_entropy(logits, target)])
    monkeypatch.setattr(module, "_SHARE", 100)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    shared = torch.stack([*soft_counts(logits, target), mean_entropy(logits, target)])
    assert torch.equal(shared, alone)


def test_without_images_there_is_nothing():
    empty = torch.zeros(0, 1, 4, 4)
    assert soft_counts(empty, empty)[0].shape == mean_entropy(empty, empty).shape == (0, 1)
