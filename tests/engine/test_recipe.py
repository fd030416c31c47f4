"""Recipes at work: whole or in parts, with half-known crops, by epoch, after a stop, and in old files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_arrays import squares

from napari_segsize.engine import checkpoint
from napari_segsize.engine.batch import Batch, BatchSource
from napari_segsize.engine.config import DEFAULT_LOSS, FineTuneConfig, PretrainConfig
from napari_segsize.engine.events import StepDone
from napari_segsize.engine.loop import fit
from napari_segsize.engine.objective import mask_objective, size_objective
from napari_segsize.engine.option import from_dict, to_dict
from napari_segsize.engine.recipe import (
    LEAST_EPOCH,
    epoch_length,
    obstacle,
    pixel_recipe,
    preset_text,
    schedule_notices,
)
from napari_segsize.engine.recipe_objective import recipe_objective
from napari_segsize.engine.runs import finetuning, pretraining
from napari_segsize.losses import LOSSES, MapCache
from napari_segsize.losses.recipe import PRESETS, parse_recipe
from napari_segsize.models.unet import build_unet

PIXEL_TERMS = [name for name in LOSSES if not obstacle(name)]
MASK_TERMS = [name for name in PIXEL_TERMS if LOSSES[name].needs == ("mask",)]
TEACHER = torch.zeros_like


def batch_of(**options: object) -> Batch:
    return BatchSource(squares(9, masks=4), masks=4, sizes=3, **options)(1)


def logits_for(batch: Batch, seed: int = 0) -> torch.Tensor:
    shape = (len(batch.images), 1, *batch.images.shape[2:])
    return (3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).requires_grad_()


def terms_of(text: str, logits: torch.Tensor, batch: Batch, step: int = 1, **options: object):
    return recipe_objective(parse_recipe(text), **options)(logits, batch, step, TEACHER)


def test_the_catalogue_teaches_pixels() -> None:
    assert {"bce", "dice", "boundary", "cldice", "topology", "chan_vese", "hausdorff"} <= set(PIXEL_TERMS)
    assert not {"size", "centroid", "balloon", "area_bounds"} & set(PIXEL_TERMS)
    for name in LOSSES:
        assert name in PIXEL_TERMS or obstacle(name).endswith(".")


@pytest.mark.parametrize("name", PIXEL_TERMS)
def test_parts_add_up_to_the_whole(name: str) -> None:
    batch = batch_of()
    logits = logits_for(batch)
    (whole,) = terms_of(name, logits, batch).values()
    whole.backward()
    expected, logits.grad = logits.grad.clone(), None
    found = 0.0
    for index in range(3):
        (term,) = terms_of(name, logits[index::3], batch.part(index, 3)).values()
        term.backward()
        found += term.item()
    assert found == pytest.approx(whole.item(), rel=1e-4, abs=1e-6)
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize("name", MASK_TERMS)
def test_pixels_that_are_not_known_are_not_learned(name: str) -> None:
    batch = batch_of()
    assert not batch.known[:4].all(), "turning crops makes their corners unknown"
    logits = logits_for(batch)
    (term,) = terms_of(name, logits, batch).values()
    term.backward()
    assert not logits.grad[~batch.known].any()
    assert logits.grad[batch.known].any()
    assert term.isfinite()


@pytest.mark.parametrize("name", MASK_TERMS)
def test_on_known_crops_a_term_is_the_public_loss(name: str) -> None:
    batch = BatchSource(squares(4), masks=4, augment=False)(1)
    logits = logits_for(batch)
    (term,) = terms_of(name, logits, batch).values()
    if name == "dice":  # smoothed otherwise
        torch.testing.assert_close(term, mask_objective(logits, batch, 1, TEACHER)["dice"])
        return
    each = [LOSSES[name].function(logits[i : i + 1], batch.target[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(term, torch.stack(each).mean())


def test_focal_is_a_mean_over_the_known_pixels() -> None:
    batch = BatchSource(squares(2), masks=2, augment=False)(1)
    logits = logits_for(batch)
    known = torch.zeros_like(batch.known)
    known[..., :10] = True
    half = replace(batch, known=known)
    (term,) = terms_of("focal", logits, half).values()
    expected = LOSSES["focal"].function(logits[..., :10], batch.target[..., :10])
    torch.testing.assert_close(term, expected)


def test_the_default_is_what_it_was_to_the_last_bit() -> None:
    batch = batch_of()
    logits = logits_for(batch)
    found = mask_objective(logits, batch, 1, TEACHER)
    assert list(found) == ["cross-entropy", "dice"]
    weight = batch.known.float()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.target, reduction="none")
    entropy = ((entropy * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)).sum() / 4
    assert torch.equal(found["cross-entropy"], entropy)
    assert PretrainConfig().loss == FineTuneConfig().loss == DEFAULT_LOSS


def test_weights_weigh_and_move_on_with_the_epoch() -> None:
    batch = batch_of()
    logits = logits_for(batch)
    text = "2*dice + 0.5*focal@increase(step=0.25) + boundary@delay=1"
    plain = {name: terms_of(name, logits, batch)[name] for name in ("dice", "focal", "boundary")}
    first, second = (terms_of(text, logits, batch, step, epoch=10) for step in (10, 11))
    assert set(first) == {"dice", "focal"}
    torch.testing.assert_close(first["dice"], 2 * plain["dice"])
    torch.testing.assert_close(first["focal"], 0.5 * plain["focal"])
    torch.testing.assert_close(second["focal"], 0.75 * plain["focal"])
    torch.testing.assert_close(second["boundary"], plain["boundary"])


def test_options_reach_the_loss() -> None:
    batch = batch_of()
    logits = logits_for(batch)
    one, other = (
        terms_of(f"tversky(ghosts={ghosts}, misses=1)", logits, batch)["tversky"] for ghosts in (0, 2)
    )
    assert one < other


@pytest.mark.parametrize("text", ["boundary", "boundary(edge=between)", "hausdorff", "one_sided_hausdorff"])
@pytest.mark.parametrize("spacing", ["", "spacing=(0.5, 2)"])
def test_kept_maps_change_nothing(text: str, spacing: str) -> None:
    batch = BatchSource(squares(4), masks=4, augment=False)(1)
    batch.target[0] = 0
    logits = logits_for(batch)
    text = text.replace(")", f", {spacing})") if "(" in text and spacing else text
    text = text if "(" in text or not spacing else f"{text}({spacing})"
    cache = MapCache()
    (without,) = terms_of(text, logits, batch).values()
    for _ in range(2):
        (kept,) = terms_of(text, logits, batch, cache=cache).values()
        torch.testing.assert_close(kept, without)
    assert (cache.hits, cache.misses) == (4, 4)


def test_chan_vese_hears_images_without_masks() -> None:
    batch = batch_of(augment=False)
    logits = logits_for(batch)
    (term,) = terms_of("chan_vese", logits, batch).values()
    term.backward()
    assert logits.grad.flatten(1).any(1).all()
    torch.testing.assert_close(term, LOSSES["chan_vese"].function(logits, batch.images))
    assert not terms_of("dice", logits, replace(batch, total_masks=0))


@pytest.mark.parametrize("name", PIXEL_TERMS)
def test_half_precision_is_computed_in_single(name: str) -> None:
    batch = batch_of()
    logits = logits_for(batch).detach().bfloat16()
    (half,) = terms_of(name, logits, batch).values()
    (single,) = terms_of(name, logits.float(), batch).values()
    assert half.dtype == torch.float32
    assert torch.equal(half, single)


def test_an_epoch_is_a_pass_over_the_masks_but_not_too_short() -> None:
    assert epoch_length(3200, 32) == 100
    assert epoch_length(33, 2) == 17
    assert epoch_length(4, 32) == LEAST_EPOCH
    assert BatchSource(squares(30), masks=2).epoch == 15
    assert BatchSource(squares(30, masks=0), sizes=2).epoch == 15
    assert BatchSource(squares(30, masks=24), masks=2, sizes=1).epoch == 12


def test_schedules_are_announced() -> None:
    assert schedule_notices(pixel_recipe("dice + 0.1*boundary"), 10, 100) == ()
    (said,) = schedule_notices(pixel_recipe("dice + boundary@rebalance"), 20, 100)
    assert "20 steps here, 5 in all" in said
    assert (
        "cldice would begin after the last step"
        in schedule_notices(pixel_recipe("dice + cldice@delay=5"), 20, 100)[1]
    )


def test_a_scheduled_run_resumes_with_the_same_weights(tmp_path: Path) -> None:
    config = PretrainConfig(
        loss="dice + 0.1*boundary@increase(step=0.1) + focal@delay=1", steps=14, batch_size=2,
        validate_every=20, device="cpu",
    )  # fmt: skip

    def run(resume: bool = False):
        made = pretraining(squares(6), squares(2, seed=1), config, tmp_path / "state.pt")
        if resume:
            made.restore(checkpoint.load(made.file))
        return made

    def steps(events, stop: int = 99) -> list[dict[str, float]]:
        losses = []
        for event in events:
            if isinstance(event, StepDone):
                losses.append(event.losses)
                if event.step == stop:
                    break
        events.close()
        return losses

    whole = steps(fit(run()))
    assert set(whole[9]) == {"dice", "boundary", "total"}
    assert set(whole[10]) == {"dice", "boundary", "focal", "total"}
    assert [*steps(fit(run()), 8), *steps(fit(run(resume=True)))] == whole


def test_a_recipe_teaches_in_half_precision(tmp_path: Path) -> None:
    config = PretrainConfig(
        loss="dice + 0.01*boundary + 0.1*cldice", precision="bf16-mixed", steps=2, batch_size=2, device="cpu"
    )
    run = pretraining(squares(4), squares(2, seed=1), config, tmp_path / "state.pt")
    losses = [event.losses for event in fit(run) if isinstance(event, StepDone)]
    assert set(losses[-1]) == {"dice", "boundary", "cldice", "total"}


def test_fine_tuning_has_its_own_recipe(tmp_path: Path) -> None:
    entry = checkpoint.network_entry("small", 1, "volume", 256)
    config = FineTuneConfig(
        loss="dice + 0.1*chan_vese", steps=1, batch_size=3, mask_batch_size=2, device="cpu"
    )
    run = finetuning(
        squares(8, masks=3), squares(2, seed=1), build_unet("small"), entry, config, tmp_path / "a"
    )
    (losses,) = [event.losses for event in fit(run) if isinstance(event, StepDone)]
    assert set(losses) == {"dice", "chan vese", "size", "centre", "own masks", "total"}


def test_the_paper_learns_from_sizes_alone_whatever_the_recipe() -> None:
    config = replace(FineTuneConfig.paper(), loss="dice + chan_vese").resolved()
    assert config.loss == DEFAULT_LOSS
    batch = BatchSource(squares(4, masks=0), sizes=4, augment=False)(1)
    assert set(size_objective(config, 6.0)(logits_for(batch), batch, 1, TEACHER)) == {"size"}


def test_configs_without_a_loss_still_load() -> None:
    for kind in (PretrainConfig, FineTuneConfig):
        old = to_dict(kind())
        del old["loss"]
        assert from_dict(kind, old) == kind()
        new = replace(kind(), loss="dice + 0.01*boundary")
        assert from_dict(kind, to_dict(new)) == new


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_teaches(preset: str) -> None:
    text = preset_text(preset)
    assert PretrainConfig(loss=text).loss == text
    assert preset_text(preset.replace(" + ", "-").replace(" ", "-").title()) == text
    batch = batch_of()
    logits = logits_for(batch)
    terms = terms_of(text, logits, batch, 10**4)
    sum(terms.values()).backward()
    assert len(terms) == len(parse_recipe(text).terms)
    assert logits.grad.isfinite().all()


def test_an_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean thin-structures"):
        preset_text("thin structure")
    with pytest.raises(ValueError, match="there are standard"):
        preset_text("qqq")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dice + bondary", "loss: No loss is called .*boundary?"),
        ("dice + size", "loss: size: .*size_weight"),
        ("dice + balloon", "loss: balloon: It acts on contours"),
        ("dice + area_bounds", "loss: area bounds: It needs the area"),
        ("chan_vese", "does not say which side"),
        ("chan_vese + dice@delay=3", "does not say which side"),
        ("", "loss: Expected a recipe"),
    ],
)
def test_recipes_that_cannot_teach_pixels_get_a_sentence(text: str, sentence: str) -> None:
    for kind in (PretrainConfig, FineTuneConfig):
        with pytest.raises(ValueError, match=sentence):
            kind(loss=text)


def test_a_project_calls_its_planes_by_name(shapes_project) -> None:
    from napari_segsize.engine.dataset import Pixels

    plane = shapes_project.planes()[0]
    assert Pixels(shapes_project).name_of(plane).startswith(shapes_project.image(plane.image).name)
