"""Bad input to every loss of the catalogue: a message, or a value that shows it; never a silent zero."""

from __future__ import annotations

import inspect
import math
import warnings

import pytest
import torch
from loss_inputs import ON_LESS, ON_MASKS, PLANES, SHAPE, WITH_TARGET, call, given, prediction, square, target

from napari_segsize.losses import LOSSES


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_prediction_that_is_no_number_shows_or_is_refused(name, value):
    guess = prediction(name)
    guess.view(-1)[3] = value
    if name in ("contour_segmentation", "balloon", "contour_size"):  # there is no polygon to render
        with pytest.raises(ValueError, match="expected finite coordinates"):
            call(name, guess, *given(name))
        return
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = call(name, guess, *given(name))
    if math.isnan(value):
        assert found.isnan()
    else:  # an endless logit is a sure pixel: either that is counted, or it shows
        assert not found.isfinite() or found != 0
    assert [str(each.message).split(", got")[0] for each in said] == [
        f"{LOSSES[name].function.__name__}: expected a finite value"
    ] * (not found.isfinite())


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


@pytest.mark.parametrize("name", [*ON_LESS, "chan_vese"])
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


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_nothing_is_worth_nothing(name):
    guess = prediction(name)[:0].requires_grad_()
    value = call(name, guess, *(each[:0] for each in given(name)))
    assert value == 0
    value.backward()
    assert guess.grad is not None
    assert guess.grad.shape == guess.shape


@pytest.mark.parametrize("name", WITH_TARGET)
def test_what_is_no_tensor_is_told_apart(name):
    for guess, truth in ((prediction(name).numpy(), target(name)), (prediction(name), target(name).numpy())):
        with pytest.raises(
            ValueError, match=r"expected a tensor, got ndarray\. Convert it: `torch\.as_tensor"
        ):
            call(name, guess, truth)


@pytest.mark.parametrize("name", [name for name in ON_MASKS if LOSSES[name].acts_on in ("logits", "edges")])
@pytest.mark.parametrize("sure", [-30.0, 30.0])
def test_an_empty_or_full_prediction_of_an_object_costs(name, sure):
    """But for what they are not made to see, which their paragraphs say."""
    if name == "direction" or (sure > 0 and name in ("topology", "cldice")):
        pytest.skip(
            "no direction where nothing bends; one part as wanted; no centre line of what is too thick"
        )
    value = call(name, torch.full((2, 1, *SHAPE), sure), target(name))
    assert value.isfinite()
    assert value > 0


NUMBERS = [
    (name, key)
    for name, info in LOSSES.items()
    for key, each in inspect.signature(info.function).parameters.items()
    if isinstance(each.default, float) or key in ("spacing", "alpha", "iterations", "patch")
]


@pytest.mark.parametrize(("name", "key"), NUMBERS)
def test_options_that_are_no_numbers_are_refused(name, key):
    wrong = (math.nan, 1.0) if key == "spacing" else math.nan
    with pytest.raises(ValueError, match=f"{key}.*: expected"):
        call(name, prediction(name), *given(name), **{key: wrong})


@pytest.mark.parametrize("name", LOSSES)
def test_modules_refuse_what_functions_refuse(name):
    module = LOSSES[name].module()
    shape = (SHAPE,) if "shape" in inspect.signature(module.forward).parameters else ()
    assert module(prediction(name), *given(name), *shape).isfinite()
    with pytest.raises(ValueError, match="expected"):
        module(prediction(name).long(), *given(name), *shape)
    if LOSSES[name].needs and LOSSES[name].needs != ("image",):
        with pytest.raises(ValueError, match="expected"):
            module(prediction(name), target(name)[None], *shape)
