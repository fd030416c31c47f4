"""Bad input to every loss of the catalogue: a message, or a value that shows it; never a silent zero."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from napari_segsize.losses import LOSSES

SHAPE = (12, 14)
WITH_TARGET = [name for name, info in LOSSES.items() if info.needs]
ON_MASKS = [name for name, info in LOSSES.items() if info.needs == ("mask",)]
ON_LESS = [name for name in WITH_TARGET if LOSSES[name].needs[0] not in ("mask", "image")]
PLANES = {"projection", "topology", "edge_bce", "nms", "direction"}
"""Losses that know images in two dimensions only."""


def square(*shape: int) -> Tensor:
    mask = torch.zeros(2, 1, *shape, dtype=torch.bool)
    mask[(..., *[slice(3, 9)] * len(shape))] = True
    return mask


def target(name: str) -> Tensor:
    return {
        "mask": square(*SHAPE),
        "size": torch.tensor([[6.0], [6.0]]),
        "area": torch.tensor([[[20.0, 40.0]]] * 2),
        "centre": torch.tensor([[[5.5, 6.5]]] * 2),
        "points": torch.tensor([[3.0, 5], [5, 3], [8, 5], [5, 8]]).repeat(2, 1, 1),
        "extents": torch.tensor([[[3.0, 4, 8, 9]]] * 2),
        "image": torch.rand(2, 1, *SHAPE),
    }[LOSSES[name].needs[0]]


def prediction(name: str) -> Tensor:
    if LOSSES[name].acts_on == "contour":
        turn = torch.arange(12) * math.pi / 6
        return torch.stack([6 + 4 * turn.sin(), 7 + 4 * turn.cos()], -1).repeat(2, 1, 1)
    return torch.randn(2, 2 if LOSSES[name].acts_on == "field" else 1, *SHAPE)


def call(name: str, guess: Tensor, *truth: Tensor) -> Tensor:
    function: Any = LOSSES[name].function
    options = {"shape": SHAPE} if "shape" in inspect.signature(function).parameters else {}
    found: Tensor = function(guess, *truth, **options)
    return found


def given(name: str) -> list[Tensor]:
    return [target(name)] if LOSSES[name].needs else []


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_prediction_that_is_no_number_shows_or_is_refused(name, value):
    guess = prediction(name)
    guess.view(-1)[3] = value
    if name in ("contour_segmentation", "balloon", "contour_size"):  # there is no polygon to render
        with pytest.raises(ValueError, match="expected finite coordinates"):
            call(name, guess, *given(name))
        return
    found = call(name, guess, *given(name))
    if math.isnan(value):
        assert found.isnan()
    else:  # an endless logit is a sure pixel: either that is counted, or it shows
        assert not found.isfinite() or found != 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_says_nearly_what_single_says(name, dtype):
    if name == "size":
        pytest.skip("its samples differ; tests/losses/test_size.py looks at its types")
    guess = prediction(name).to(dtype)
    assert call(name, guess, *given(name)).item() == pytest.approx(
        call(name, guess.float(), *given(name)).item(), rel=0.05, abs=0.01
    )


@pytest.mark.parametrize("name", LOSSES)
def test_whole_numbers_are_no_prediction(name):
    with pytest.raises(ValueError, match="expected"):
        call(name, prediction(name).long(), *given(name))


@pytest.mark.parametrize("name", WITH_TARGET)
def test_tensors_on_two_devices_are_told_apart(name):
    with pytest.raises(ValueError, match=r"expected on cpu as \w+, got meta\. Move it there"):
        call(name, prediction(name), target(name).to("meta"))
    with pytest.raises(ValueError, match=r"expected on meta as \w+, got cpu\. Move it there"):
        call(name, prediction(name).to("meta"), target(name))


@pytest.mark.parametrize("name", WITH_TARGET)
def test_numbers_of_images_and_of_classes_must_agree(name):
    for wrong in (target(name)[:1], target(name)[None], target(name).repeat_interleave(3, 1)):
        if LOSSES[name].needs == ("image",) and wrong.ndim == 4 and len(wrong) == 2:
            continue  # an image may have channels
        with pytest.raises(ValueError, match="expected"):
            call(name, prediction(name), wrong)


@pytest.mark.parametrize("name", ON_MASKS)
@pytest.mark.parametrize("wrong", [255, 2, -1, math.inf])
def test_a_mask_of_other_numbers_is_refused(name, wrong):
    with pytest.raises(ValueError, match="from 0 to 1"):
        call(name, prediction(name), target(name) * wrong)
    if wrong == 255:
        with pytest.raises(ValueError, match=r"take `target > 0`"):
            call(name, prediction(name), target(name).to(torch.uint8) * 255)


@pytest.mark.parametrize("name", WITH_TARGET)
def test_a_batch_may_mix_known_and_unknown(name):
    if name == "size":
        pytest.skip("its samples differ; tests/losses/test_size.py has this test with given noise")
    guess, truth = prediction(name), target(name).float()
    truth[1] = math.nan
    assert torch.allclose(call(name, guess, truth), call(name, guess[:1], truth[:1]))
    assert call(name, guess, torch.full_like(truth, math.nan)) == 0


@pytest.mark.parametrize("name", ON_LESS)
def test_what_cannot_be_is_refused(name):
    with pytest.raises(ValueError, match="expected"):
        call(name, prediction(name), torch.full_like(target(name), math.inf))
    if LOSSES[name].needs[0] in ("size", "area"):
        with pytest.raises(ValueError, match="expected"):
            call(name, prediction(name), -1 - target(name))


@pytest.mark.parametrize("name", ON_MASKS)
@pytest.mark.parametrize("kind", ["empty", "full", "one pixel"])
def test_masks_at_the_edge_are_finite(name, kind):
    truth = torch.full((2, 1, *SHAPE), kind == "full")
    truth[..., 5, 6] = kind != "empty"
    guess = prediction(name).requires_grad_()
    value = call(name, guess, truth)
    assert value.isfinite()
    if value.requires_grad:
        value.backward()
        assert guess.grad is None or guess.grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].acts_on != "contour"])
def test_volumes_are_computed_or_refused_with_a_way_out(name):
    shape = (10, 11, 12)
    guess = torch.randn(2, 3 if LOSSES[name].acts_on == "field" else 1, *shape)
    truth = {
        "mask": square(*shape),
        "centre": torch.full((2, 1, 3), 5.0),
        "extents": torch.zeros(2, 1, 4),
        "image": torch.rand(2, 1, *shape),
    }.get(LOSSES[name].needs[0])
    truth = target(name) if truth is None else truth
    if name not in PLANES:
        assert call(name, guess, truth).isfinite()
        return
    with pytest.raises(ValueError, match="Cut volumes into planes"):
        call(name, guess, truth)
