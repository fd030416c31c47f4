"""Extreme points, from the project to the loss."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_arrays import ArrayPixels, squares

from napari_segsize.engine.augment import affine_matrices, flip_points
from napari_segsize.engine.batch import Batch, BatchSource, generator_for
from napari_segsize.engine.checkpoint import network_entry
from napari_segsize.engine.config import FineTuneConfig
from napari_segsize.engine.dataset import Dataset, Item, load_dataset
from napari_segsize.engine.events import Ended, Started, StepDone, Validated
from napari_segsize.engine.loop import Run, fit
from napari_segsize.engine.objective import checked_masks, size_objective
from napari_segsize.engine.runs import finetuning
from napari_segsize.engine.stages import finetune, pretrain
from napari_segsize.errors import SegsizeError
from napari_segsize.losses import projection_loss
from napari_segsize.models.unet import build_unet
from napari_segsize.ops.points import extents_of, extreme_points
from napari_segsize.project import PlaneRef, Project

CONFIG = FineTuneConfig(steps=3, batch_size=3, mask_batch_size=2, validate_every=3, device="cpu")
TEACHER = torch.zeros_like


def pointed(count: int = 9, *, masks: int = 4, sized: bool = False, **options: object) -> Dataset:
    """Squares; those without masks have extreme points, and if `sized` their size and centre."""
    full, weak = squares(count, **options), squares(count, masks=masks, **options)
    items = []
    for whole, item in zip(full.items, weak.items, strict=True):
        if item.mask is None:
            objects = item.objects if sized else torch.full((1, 3), torch.nan)
            points = extreme_points(whole.mask[None, None])[0]
            item = replace(item, objects=objects, points=points)
        items.append(item)
    return Dataset(tuple(items), weak.pixels)


def logits_for(batch: Batch) -> torch.Tensor:
    shape = (len(batch.images), 1, *batch.images.shape[2:])
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()


# items


def test_an_item_knows_what_it_was_told():
    points = torch.tensor([[[2.0, 5], [4, 1], [6, 6], [3, 9]], [[torch.nan] * 2] * 4])
    objects = torch.tensor([[torch.nan] * 3, [4.0, 20, 21]])
    item = Item(plane=PlaneRef(1), shape=(30, 30), objects=objects, points=points)
    assert item.extents[0].tolist() == [2, 1, 6, 9]
    assert item.places.tolist() == [[9, 4, 5], [4, 20, 21]]
    assert (item.located, item.sized, item.bounded) == (2, 1, 1)
    assert item.without_points().objects.tolist() == [[4, 20, 21]]
    assert item.without_points().bounded == 0
    plain = Item(plane=PlaneRef(1), shape=(30, 30), objects=objects[1:])
    assert plain.points.shape == (1, 4, 2)
    assert plain.without_points() is plain
    with pytest.raises(ValueError, match="points: expected"):
        Item(plane=PlaneRef(1), shape=(30, 30), objects=objects, points=points[:1])


# batches


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
def test_flips_carry_points(flips):
    mask = torch.rand(1, 1, 9, 12) < 0.2
    axes = [axis for axis, flip in zip((2, 3), flips, strict=True) if flip]
    found = flip_points(extreme_points(mask)[0], torch.tensor(flips), (9, 12))
    expected = extreme_points(mask.flip(axes))[0]
    assert torch.equal(extents_of(found), extents_of(expected))
    for y, x in found[0].floor().long().tolist():  # between two pixels of the object at most
        assert mask.flip(axes)[0, 0, y, x]


def test_augmented_points_stay_true():
    source = BatchSource(pointed(6, masks=0), sizes=6, seed=3)
    masks = {item.plane: item.mask for item in squares(6).items}
    batch = source(1)
    _, flips = affine_matrices(torch.tensor([True] * 6), (24, 20), generator_for(3, 1))
    assert flips.any()
    for index, item in enumerate(source._take(source.with_size, 6, 1, 2)):
        axes = [axis for axis in (0, 1) if flips[index, axis]]
        assert torch.equal(
            batch.points[index, 0], extreme_points(masks[item.plane].flip(axes)[None, None])[0, 0]
        )
    assert batch.total_extents == 6
    assert batch.total_sizes == batch.total_centres == 0


def test_points_change_nothing_else_of_a_batch():
    for options in ({}, {"one_object": False}, {"turned": True}):
        with_points = BatchSource(pointed(sized=True), masks=3, sizes=4, **options)(2)
        without = BatchSource(squares(9, masks=4), masks=3, sizes=4, **options)(2)
        for name in ("images", "target", "known", "size", "centre", "turned"):
            one, other = getattr(with_points, name), getattr(without, name)
            assert torch.equal(one.nan_to_num(-9), other.nan_to_num(-9))
        assert without.total_extents == 0
        assert without.points.isnan().all()


def strewn() -> Dataset:
    """Two objects with points alone, one stamp."""
    points = torch.full((3, 4, 2), torch.nan)
    points[0] = torch.tensor([[5.0, 9], [8, 4], [12, 8], [9, 14]])
    points[1] = torch.tensor([[50.0, 52], [55, 40], [60, 53], [52, 60]])
    objects = torch.tensor([[torch.nan] * 3, [torch.nan] * 3, [6.0, 30, 50]])
    item = Item(plane=PlaneRef(1, 0), shape=(64, 64), objects=objects, points=points)
    images = np.random.default_rng(0).standard_normal((1, 1, 64, 64))
    return Dataset((item,), ArrayPixels(images))


def test_windows_show_the_whole_box():
    batch = BatchSource(strewn(), sizes=1, one_object=False, augment=False)(1)
    assert (batch.total_extents, batch.total_sizes, batch.total_objects) == (2, 1, 3)
    seen = 0
    for k in range(3):
        extents = extents_of(batch.points[k, 0])
        if extents.isnan().any():
            continue
        top, left, bottom, right = extents.long().tolist()
        assert batch.domain[k, 0, top : bottom + 1, left : right + 1].all()
        y, x = batch.corner[k].tolist()
        seen += [top + y, left + x] in ([5, 4], [50, 40])
    assert seen == 2


def test_crops_are_cut_around_boxes_too():
    points = torch.tensor([[[296.0, 40], [300, 36], [304, 40], [300, 44]]])
    item = Item(plane=PlaneRef(1, 0), shape=(400, 380), objects=torch.full((1, 3), torch.nan), points=points)
    dataset = Dataset((item,), ArrayPixels(np.zeros((1, 1, 400, 380))))
    for one_object in (True, False):
        source = BatchSource(dataset, sizes=1, patch=64, one_object=one_object, augment=False)
        for step in range(1, 12):
            batch = source(step)
            top, left, bottom, right = extents_of(batch.points[0, 0]).tolist()
            assert (bottom - top, right - left) == (8, 8)
            assert 0 <= top + batch.corner[0, 0] < 64


def test_one_object_of_several_says_nothing_of_the_whole_image():
    batch = BatchSource(strewn(), sizes=1, one_object=True, augment=False)(1)
    assert (batch.total_extents, batch.total_sizes) == (0, 1)
    assert batch.size.item() == 6


# terms


@pytest.mark.parametrize("one_object", [True, False])
@pytest.mark.parametrize("parts", [2, 5])
def test_parts_add_up_to_the_whole(one_object, parts):
    batch = BatchSource(pointed(), masks=3, sizes=4, one_object=one_object)(1)
    objective = size_objective(CONFIG, 6.0)
    logits = logits_for(batch)
    whole = objective(logits, batch, 5, TEACHER)
    assert set(whole) == {"cross-entropy", "dice", "extents"}
    found = dict.fromkeys(whole, 0.0)
    for index in range(parts):
        for name, value in objective(logits[index::parts], batch.part(index, parts), 5, TEACHER).items():
            found[name] += value.item()
    assert found == pytest.approx({name: value.item() for name, value in whole.items()}, rel=1e-4)


def test_the_term_is_the_public_loss_and_the_weight_weighs():
    batch = BatchSource(pointed(4, masks=0), sizes=4)(1)
    logits = logits_for(batch)
    once = size_objective(CONFIG, 6.0)(logits, batch, 1, TEACHER)["extents"]
    torch.testing.assert_close(once, projection_loss(logits, batch.points))
    twice = size_objective(replace(CONFIG, extent_weight=2.0), 6.0)(logits, batch, 1, TEACHER)["extents"]
    torch.testing.assert_close(twice, 2 * once)
    none = size_objective(replace(CONFIG, extent_weight=0.0), 6.0)(logits, batch, 1, TEACHER)
    assert "extents" not in none


def test_the_teacher_is_believed_only_where_its_mask_ends_right():
    batch = BatchSource(pointed(4, masks=0), sizes=4, turned=True, augment=False)(1)

    def seen(images: torch.Tensor) -> torch.Tensor:
        masks = torch.full_like(images, -9.0)
        for image, points in zip(masks, batch.points[:, 0], strict=True):
            top, left, bottom, right = extents_of(points).long().tolist()
            image[:, top : bottom + 1, left : right + 1] = 9
        return masks

    def teacher(shift: int):
        def look(images: torch.Tensor) -> torch.Tensor:
            right_way_up = torch.equal(images, batch.clean)
            masks = seen(batch.clean).roll(shift, 2)
            return masks if right_way_up else masks.flip(-1)

        return look

    for shift, believed in ((0, True), (1, True), (3, False)):
        assert bool(checked_masks(batch, teacher(shift))[1].any()) == believed
    assert not checked_masks(batch, TEACHER)[1].any()  # nothing seen: ends nowhere
    blind = replace(batch, points=torch.full_like(batch.points, torch.nan))
    assert not checked_masks(blind, teacher(0))[1].any()  # nothing known: nothing to check with


# runs


def make(tmp_path: Path, dataset: Dataset, config: FineTuneConfig) -> Run:
    file = tmp_path / "run.pt"
    network = build_unet("small", seed=1)
    return finetuning(dataset, dataset, network, network_entry("small", 1, "volume", 256), config, file)


def losses(run: Run) -> list[dict[str, float]]:
    return [dict(event.losses) for event in fit(run) if isinstance(event, StepDone)]


def test_without_their_weight_points_are_not_there(tmp_path):
    config = replace(CONFIG, extent_weight=0.0)
    with_points = losses(make(tmp_path, pointed(sized=True), config))
    assert with_points == losses(make(tmp_path, squares(9, masks=4), CONFIG))
    paper = FineTuneConfig.paper(steps=2, batch_size=3, validate_every=2, device="cpu")
    sized = losses(make(tmp_path, pointed(sized=True), paper))
    assert sized == losses(make(tmp_path, squares(9, masks=4), paper))


def test_points_alone_are_enough(tmp_path):
    config = replace(CONFIG, size_weight=0.0, centre_weight=0.0, mask_batch_size=0, own_weight=0.0)
    for line in losses(make(tmp_path, pointed(), config)):
        assert set(line) == {"extents", "total"}
    with pytest.raises(SegsizeError, match="no object has extreme points"):
        make(tmp_path, squares(9, masks=4), config)
    with pytest.raises(SegsizeError, match="four extreme points"):
        make(tmp_path, pointed(), replace(CONFIG, extent_weight=0.0))


def test_validation_on_points_alone_measures_nothing_and_does_not_fail(tmp_path):
    only = Dataset(pointed(masks=0).items, pointed().pixels)
    run = make(tmp_path, only, CONFIG)
    found = [event.metrics for event in fit(run) if isinstance(event, Validated)]
    assert all(np.isnan(value) for metrics in found for value in metrics.values())


# projects

CLICKS = [(2.0, 9.0), (6.0, 4.0), (10.0, 8.0), (5.0, 13.0)]  # top, left, bottom, right


@pytest.fixture
def project(tmp_path: Path):
    random = np.random.default_rng(0)
    with Project.create(tmp_path / "project") as made:
        for index in range(4):
            split = "train" if index < 3 else "validation"
            made.add_array(f"image_{index}", random.standard_normal((24, 20)), kind="image", split=split)
        yield made


def test_four_clicks_in_any_order_are_an_object(project):
    plane = project.planes()[0]
    for order in list(permutations(CLICKS))[::5]:
        project.put_contour(plane, object="one", points=order)
        (item,) = load_dataset(project, "train").items
        assert item.points[0].tolist() == [list(point) for point in CLICKS]
        assert item.objects.isnan().all()
    project.put_contour(plane, object="one", points=CLICKS[:3])
    assert not load_dataset(project, "train").items


def test_points_join_the_stamp_of_the_same_object(project):
    plane = project.planes()[0]
    stamp = project.put_stamp(plane, 6, centre=(6, 8))
    project.put_contour(plane, object=stamp.object, points=CLICKS)
    other = project.put_contour(plane, points=[(y + 10, x) for y, x in CLICKS])
    assert other.object != stamp.object
    (item,) = load_dataset(project, "train").items
    assert item.objects[0].tolist() == [6, 6, 8]
    assert item.objects[1].isnan().all()
    assert item.bounded == 2
    assert item.points[1, 0].tolist() == [12, 9]


def test_an_accepted_outline_tells_size_centre_and_points(project):
    plane = project.planes()[0]
    square = [(3.5, 4.5), (9.5, 4.5), (9.5, 12.5), (3.5, 12.5)]  # rows 4 to 9, columns 5 to 12
    project.put_contour(plane, object="one", points=CLICKS, rings=[square], source="drawn")
    (item,) = load_dataset(project, "train").items
    assert item.objects.tolist() == [[6, 6.5, 8.5]]
    assert item.extents.tolist() == [[4, 5, 9, 12]]


def test_fine_tuning_a_project_from_masks_and_points(project):
    planes = project.planes()
    mask = np.zeros((24, 20), np.int32)
    mask[3:11, 5:13] = 1
    project.put_mask(planes[0], mask)
    project.put_mask(planes[3], mask)
    for plane in planes[1:3]:
        project.put_contour(plane, points=CLICKS)
    settings = {"steps": 2, "batch_size": 2, "validate_every": 2, "device": "cpu"}
    from napari_segsize.engine.config import PretrainConfig

    list(pretrain(project, PretrainConfig(**settings)))
    events = list(finetune(project, FineTuneConfig(**settings)))
    (started,) = [event for event in events if isinstance(event, Started)]
    assert (started.masks, started.sizes, started.extents) == (1, 0, 2)
    assert all("extents" in event.losses for event in events if isinstance(event, StepDone))
    assert isinstance(events[-1], Ended)
