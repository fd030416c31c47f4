"""What losses say of numbers that are hardly meant, and what happens where they do not look at them."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from loss_inputs import ON_LESS, ON_MASKS, call, given, prediction, target
from torch import Tensor

from napari_segsize.losses import LOSSES, bce_loss, dice_loss, direction_loss, notices
from napari_segsize.ops import pixel_sums

SIGNED = [name for name, info in LOSSES.items() if info.acts_on in ("logits", "phi", "edges")]


@pytest.fixture
def far(monkeypatch):
    """Numbers lie where looking at them is a wait, and compiled code cannot go."""
    monkeypatch.setattr(notices, "_NEAR", frozenset())
    monkeypatch.setattr(pixel_sums, "_kernels", lambda: None)


def probabilities() -> Tensor:
    return prediction("bce").mul(4).sigmoid()


@pytest.mark.parametrize("name", SIGNED)
def test_probabilities_for_logits_are_noticed(name):
    wanted = "phi: expected a level set" if LOSSES[name].acts_on == "phi" else "logits: expected logits"
    for guess in (probabilities(), probabilities().half(), probabilities().round()):
        notices._said.clear()
        with pytest.warns(UserWarning, match=f"^{name}_loss: {wanted}.* got values that all lie from 0 to 1"):
            call(name, guess, *given(name))


@pytest.mark.parametrize("name", SIGNED)
def test_modules_notice_too_and_point_to_the_line_that_called(name):
    module = LOSSES[name].module()
    with pytest.warns(UserWarning, match="got values that all lie from 0 to 1") as said:
        module(probabilities(), *given(name))
    assert {each.filename for each in said} == {__file__}


@pytest.mark.parametrize(
    "logits",
    [
        torch.zeros(2, 1, 12, 14),  # a head that starts with zeros
        torch.ones(2, 1, 12, 14),
        torch.rand(2, 1, 12, 14) * 0.8 + 0.1,  # unsure, and never below 0 by chance
        torch.rand(2, 1, 12, 14) * 1.2,
        torch.rand(2, 1, 12, 14) - 0.05,
        torch.eye(6)[None, None],  # too few to tell
    ],
)
def test_what_may_be_logits_is_left_alone(logits):
    bce_loss(logits, torch.zeros_like(logits))  # a warning is an error here


def test_one_number_outside_is_enough_wherever_it_is():
    target = torch.zeros(1, 1, 40, 40)
    for place in range(0, 1600, 7):
        logits = torch.rand(1, 1, 40, 40)
        logits.view(-1)[place] = -0.01
        bce_loss(logits, target)


def test_it_is_said_once_a_place():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            warnings.filterwarnings("always", "of no matter")  # changing filters makes Python forget
            bce_loss(probabilities(), target("bce"))
        dice_loss(probabilities(), target("dice"))
        for row in range(3):
            logits = torch.randn(3, 1, 12, 14)
            logits[row] = math.nan
            bce_loss(logits, torch.zeros_like(logits))
    assert len(said) == 3


def test_hardly_any_logits_are_looked_at_twice(monkeypatch):
    looked = []
    plain = Tensor.aminmax
    monkeypatch.setattr(Tensor, "aminmax", lambda self, **k: looked.append(self.numel()) or plain(self, **k))
    dice_loss(torch.randn(4, 1, 64, 64), torch.zeros(4, 1, 64, 64, dtype=torch.bool))
    assert sum(looked) <= 4 * 16


def test_a_value_that_is_none_names_the_image_and_the_class():
    logits, truth = torch.randn(4, 3, 8, 8), torch.rand(4, 3, 8, 8) < 0.5
    logits[2, 1, 3, 3] = math.nan
    with pytest.warns(
        UserWarning, match=r"^dice_loss: expected a finite value, got nan of number \(2, 1\) of"
    ):
        dice_loss(logits, truth)
    logits[:] = math.nan
    with pytest.warns(UserWarning, match=r"\(0, 0\) and \(0, 1\) and \(0, 2\) and 9 more"):
        assert dice_loss(logits, truth, reduction="none").isnan().all()
    known = truth.float()
    known[:] = math.nan
    assert dice_loss(logits, known) == 0  # nothing is known of it


@pytest.mark.parametrize("name", SIGNED)
def test_silence(name):
    guess = probabilities()
    with notices.silence():
        call(name, guess, *given(name))
        guess.view(-1)[3] = math.nan
        assert call(name, guess, *given(name)).isnan()
    with pytest.warns(UserWarning, match="expected a finite value"):
        call(name, guess, *given(name))


@pytest.mark.parametrize("name", ON_MASKS)
def test_far_away_a_mask_of_other_numbers_makes_its_plane_no_number(far, name):
    truth = target(name).float()
    truth[1] *= 255
    value = call(name, prediction(name), truth, reduction="none")
    assert not value[0].isnan().any()
    assert value[1].isnan().all()


@pytest.mark.parametrize("name", [*ON_LESS, "chan_vese"])
def test_far_away_what_cannot_be_makes_its_plane_no_number(far, name):
    truth = target(name)
    for wrong in (math.inf, -1.0) if LOSSES[name].needs[0] in ("size", "area") else (math.inf,):
        truth[1] = wrong
        value = call(name, prediction(name), truth, reduction="none")
        assert not value[0].isnan().any()
        assert not value[1].isfinite().any()


@pytest.mark.parametrize("name", LOSSES)
def test_far_away_the_values_are_the_same_and_nothing_is_said(far, name, monkeypatch):
    if name == "size":
        pytest.skip("its samples differ")
    guess, truth = prediction(name), given(name)
    away = call(name, guess, *truth)
    for each in truth:
        if each.is_floating_point():
            each[0] = math.nan
    mixed = call(name, guess, *truth)
    monkeypatch.undo()
    assert torch.allclose(mixed, call(name, guess, *truth))
    spoiled = guess.clone().view(-1)
    spoiled[3] = math.nan
    assert away.isfinite()
    monkeypatch.setattr(notices, "_NEAR", frozenset())
    if name not in ("contour_segmentation", "balloon", "contour_size"):  # there is no polygon to render
        assert call(name, spoiled.view_as(guess), *given(name)).isnan()


TENSORS_ALONE = (
    *("bce", "dice", "generalised_dice", "tversky", "focal", "active_contour", "chan_vese", "centroid"),
    *("projection", "hausdorff_erosion", "hausdorff_convolution", "phi_bce", "curvature", "extreme_points"),
)


@pytest.mark.parametrize("name", TENSORS_ALONE)
def test_no_number_leaves_the_device(far, monkeypatch, name):
    """No transfer to the processor's memory, no waiting: what a GPU would have to stop for."""

    def fail(*_: object) -> None:
        raise AssertionError("a round trip")

    guess = prediction(name).requires_grad_()
    truth = [each.float() for each in given(name)]
    for method in ("numpy", "cpu", "item", "tolist", "__bool__", "__float__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, method, fail)
    call(name, guess, *truth).backward()


def test_edges_that_are_flat_have_no_direction_and_that_is_said():
    varied, mask = (
        torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(0)),
        torch.zeros(2, 1, 12, 12),
    )
    mask[..., 4:8, 3:9] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        direction_loss(varied, mask)
    varied[1] = -3.0
    with pytest.warns(
        UserWarning, match=r"direction_loss: .* one number throughout in \(1, 0\) of the batch"
    ):
        each = direction_loss(varied, mask, reduction="none")
    assert each[1] == 0 < each[0]
