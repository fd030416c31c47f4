"""What holds for every loss on masks: how it reads its input."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from napari_segsize.losses import LOSSES

READS_MASKS = [
    "bce",
    "dice",
    "generalised_dice",
    "tversky",
    "focal",
    "boundary",
    "cldice",
    "active_contour",
    "hausdorff",
    "one_sided_hausdorff",
    "hausdorff_erosion",
    "hausdorff_convolution",
    "topology",
]
EDGES = ["empty", "full", "one pixel"]


def planes(kind: str, side: int = 8) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side, dtype=torch.bool)
    if kind == "full":
        mask[:] = True
    elif kind == "one pixel":
        mask[..., 3, 4] = True
    elif kind == "square":
        mask[..., 2:6, 3:6] = True
    return mask


@pytest.mark.parametrize("name", READS_MASKS)
def test_the_module_is_the_function(name):
    info = LOSSES[name]
    logits, target = torch.randn(2, 1, 9, 9), torch.rand(2, 1, 9, 9) < 0.4
    assert torch.equal(info.module()(logits, target), info.function(logits, target))
    taken = inspect.signature(info.module.__init__).parameters.items()
    offered = inspect.signature(info.function).parameters
    assert {key: each.default for key, each in taken if key in offered} == {
        key: offered[key].default for key, _ in taken if key in offered
    }


@pytest.mark.parametrize("name", READS_MASKS)
@pytest.mark.parametrize("truth", EDGES)
@pytest.mark.parametrize("guess", [*EDGES, "square"])
@pytest.mark.parametrize("level", [2.0, 1000.0])
def test_masks_at_the_edge_give_finite_values_and_gradients(name, truth, guess, level):
    logits = torch.where(planes(guess), level, -level).requires_grad_()
    value = LOSSES[name].function(logits, planes(truth))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", READS_MASKS)
def test_a_wrong_prediction_costs_more_than_the_right_one(name):
    target = planes("square")
    right = torch.where(target, 20.0, -20.0)
    wrong = right.roll(2, -1)
    wrong[..., 3, 6] = -20.0  # and a hole
    assert LOSSES[name].function(wrong, target) > LOSSES[name].function(right, target)


@pytest.mark.parametrize("name", READS_MASKS)
def test_unlabelled_planes_have_no_term(name):
    function = LOSSES[name].function
    logits = torch.randn(3, 1, 8, 8, requires_grad=True)
    target = (torch.rand(3, 1, 8, 8) < 0.4).float()
    target[1] = np.nan
    target[2, 0, 0, 0] = np.nan
    value = function(logits, target)
    value.backward()
    assert torch.allclose(value, function(logits[:1], target[:1]))
    assert (logits.grad[1:] == 0).all()
    each = function(logits, target, reduction="none")
    assert each.shape == (3, 1)
    assert (each[1:] == 0).all()
    assert function(logits, torch.full_like(target, np.nan)) == 0


@pytest.mark.parametrize("name", READS_MASKS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type(name, dtype):
    logits = torch.randn(1, 1, 40, 40).to(dtype).requires_grad_()
    value = LOSSES[name].function(logits, torch.rand(1, 1, 40, 40) < 0.4)
    value.backward()
    assert logits.grad.dtype == dtype
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert value.isfinite()


@pytest.mark.parametrize("name", READS_MASKS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_every_type_of_target_says_the_same(name, dtype):
    logits, target = torch.randn(1, 1, 8, 8), planes("square")
    function = LOSSES[name].function
    assert torch.equal(function(logits, target.to(dtype)), function(logits, target))


@pytest.mark.parametrize("name", READS_MASKS)
def test_nan_logits_show(name):
    logits = torch.zeros(1, 1, 8, 8)
    logits[..., 0, 0] = np.nan
    with pytest.warns(UserWarning, match=f"{name}_loss: expected a finite value"):
        assert LOSSES[name].function(logits, planes("square")).isnan()


@pytest.mark.parametrize("name", READS_MASKS)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"target": torch.zeros(2, 5, 5)}, r"target: expected \(2, 1, 5, 5\)"),
        ({"target": torch.zeros(2, 3, 5, 5)}, r"target: expected \(2, 1, 5, 5\)"),
        ({"target": torch.zeros(2, 5, 5, dtype=torch.int64)}, "one mask a class"),
        ({"target": torch.zeros(2, 1, 5, 5, dtype=torch.complex64)}, "target: expected a boolean"),
        ({"target": torch.zeros(2, 1, 5, 5, device="meta")}, "target: expected on cpu"),
        ({"target": torch.full((2, 1, 5, 5), 255, dtype=torch.uint8)}, "from 0 to 1, got 255 to 255"),
        ({"target": torch.arange(50).reshape(2, 1, 5, 5)}, "from 0 to 1, got 0 to 49"),
        ({"target": torch.full((2, 1, 5, 5), -0.5)}, r"from 0 to 1, got -0\.5 to -0\.5"),
        ({"target": torch.tensor([np.nan, 2.0]).reshape(2, 1, 1, 1).expand(2, 1, 5, 5)}, "got 2 to 2"),
        ({"logits": torch.zeros(2, 1, 5, 5, dtype=torch.int64)}, "logits: expected"),
        ({"logits": torch.zeros(5, 5)}, "logits: expected"),
        ({"logits": torch.zeros(2, 1, 0, 5)}, "at least one pixel"),
        ({"reduction": "sum"}, "reduction: expected"),
    ],
)
def test_bad_input_gets_a_sentence(name, change, sentence):
    given = {"logits": torch.zeros(2, 1, 5, 5), "target": torch.zeros(2, 1, 5, 5), **change}
    with pytest.raises(ValueError, match=sentence):
        LOSSES[name].function(**given)
