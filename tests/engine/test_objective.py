"""The terms add up the same whole or in parts, and mean what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from engine_arrays import squares

from napari_segsize.engine.batch import Batch, BatchSource
from napari_segsize.engine.config import FineTuneConfig
from napari_segsize.engine.objective import mask_objective, size_objective
from napari_segsize.losses.centroid import centroid_loss
from napari_segsize.losses.size import size_loss

CONFIG = FineTuneConfig(samples=3)
TEACHER = torch.zeros_like  # sees nothing anywhere


def batch_of(**options: object) -> Batch:
    return BatchSource(squares(9, masks=4), masks=3, sizes=4, **options)(1)


def logits_for(batch: Batch, seed: int = 0) -> torch.Tensor:
    shape = (len(batch.images), 1, *batch.images.shape[2:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize("one_object", [True, False])
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_add_up_to_the_whole(one_object: bool, parts: int) -> None:
    batch = batch_of(one_object=one_object)
    objective = size_objective(CONFIG, 6.0)
    logits = logits_for(batch)
    whole = objective(logits, batch, 5, TEACHER)
    sum(whole.values()).backward()
    expected, logits.grad = logits.grad.clone(), None
    found = dict.fromkeys(whole, 0.0)
    for index in range(parts):
        terms = objective(logits[index::parts], batch.part(index, parts), 5, TEACHER)
        sum(terms.values()).backward()
        for name, value in terms.items():
            found[name] += value.item()
    assert found == pytest.approx({name: value.item() for name, value in whole.items()}, rel=1e-4, abs=1e-6)
    torch.testing.assert_close(logits.grad, expected)


def test_the_mask_terms_are_cross_entropy_and_dice() -> None:
    batch = BatchSource(squares(4), masks=4, augment=False)(1)
    logits = logits_for(batch)
    terms = mask_objective(logits, batch, 1, TEACHER)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.target)
    torch.testing.assert_close(terms["cross-entropy"], entropy)
    p, y = logits.sigmoid().flatten(1), batch.target.flatten(1)
    dice = 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)
    torch.testing.assert_close(terms["dice"], dice.mean())


def test_pixels_that_are_not_known_have_no_gradient() -> None:
    batch = batch_of()
    logits = logits_for(batch)
    sum(mask_objective(logits, batch, 1, TEACHER).values()).backward()
    assert not logits.grad[~batch.known].any()
    assert logits.grad[batch.known].any()


def test_size_and_centre_are_relative_to_the_mean_size() -> None:
    batch = BatchSource(squares(4, masks=0), sizes=4)(1)
    logits = logits_for(batch)
    near, far = (size_objective(CONFIG, reference)(logits, batch, 1, TEACHER) for reference in (6.0, 12.0))
    for name in ("size", "centre"):
        torch.testing.assert_close(near[name], 4 * far[name])


def test_the_paper_recipe_is_the_plain_squared_size_error() -> None:
    batch = BatchSource(squares(4, masks=0), sizes=4, augment=False)(1)
    logits = logits_for(batch)
    terms = size_objective(FineTuneConfig.paper().resolved(), 6.0)(logits, batch, 1, TEACHER)
    assert set(terms) == {"size"}
    surely = torch.full_like(logits, -50.0)
    terms = size_objective(FineTuneConfig.paper().resolved(), 6.0)(surely, batch, 1, TEACHER)
    torch.testing.assert_close(terms["size"], (batch.size**2).mean())


def test_weights_weigh() -> None:
    batch = BatchSource(squares(4, masks=0), sizes=4)(1)
    logits = logits_for(batch)
    once = size_objective(CONFIG, 6.0)(logits, batch, 1, TEACHER)
    twice = size_objective(replace(CONFIG, size_weight=2.0, centre_weight=3.0), 6.0)(
        logits, batch, 1, TEACHER
    )
    torch.testing.assert_close(twice["size"], 2 * once["size"])
    torch.testing.assert_close(twice["centre"], 3 * once["centre"])
    none = size_objective(replace(CONFIG, size_weight=0.0, centre_weight=1.0), 6.0)(logits, batch, 1, TEACHER)
    assert set(none) == {"centre"}


def test_the_terms_are_the_public_losses_seen_through_windows() -> None:
    batch = BatchSource(squares(4, masks=0), sizes=4)(1)
    surely = torch.where(batch.images > 0.5, 60.0, -60.0).requires_grad_()
    terms = size_objective(CONFIG, 1.0)(surely, batch, 1, TEACHER)
    diagonal = sum(side**2 for side in batch.images.shape[2:])
    expected = size_loss(batch.through_windows(surely), batch.size)
    torch.testing.assert_close(terms["size"], expected)
    centre = centroid_loss(batch.through_windows(surely), batch.centre) * diagonal
    torch.testing.assert_close(terms["centre"], centre)


def test_a_neighbours_pixels_do_not_change_an_objects_terms() -> None:
    from engine_arrays import ArrayPixels

    from napari_segsize.engine.dataset import Dataset, Item
    from napari_segsize.project import PlaneRef

    objects = torch.tensor([[6.0, 10.0, 10.0], [6.0, 10.0, 40.0]])
    item = Item(plane=PlaneRef(1, 0), shape=(20, 50), objects=objects)
    source = BatchSource(
        Dataset((item,), ArrayPixels(torch.zeros(1, 1, 20, 50).numpy())),
        sizes=1,
        one_object=False,
        augment=False,
    )
    batch = source(1)
    logits = torch.full((1, 1, 20, 50), -60.0)
    logits[..., 7:13, 7:13] = 60
    right = next(k for k in range(2) if batch.owner[k] == 0 and batch.corner[k, 1] > 20)
    objective = size_objective(replace(CONFIG, centre_weight=0.0), 1.0)
    before = objective(logits, batch, 1, TEACHER)["size"]
    logits[..., 7:13, 37:43] = 60
    after = objective(logits, batch, 1, TEACHER)["size"]
    assert batch.size[right] == 6
    torch.testing.assert_close(before, torch.tensor(18.0))  # (0 - 6)² over two objects
    torch.testing.assert_close(after, torch.tensor(0.0))
