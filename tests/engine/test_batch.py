from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_arrays import ArrayPixels, squares

from napari_segsize.engine.augment import affine_matrices, flip_centres, warp
from napari_segsize.engine.batch import Batch, BatchSource, generator_for, windows_of
from napari_segsize.engine.dataset import Dataset, Item
from napari_segsize.ops.centroid import centroid
from napari_segsize.ops.size import object_size
from napari_segsize.project import PlaneRef


def same(one: Batch, other: Batch) -> bool:
    names = (
        "images",
        "target",
        "known",
        "owner",
        "size",
        "centre",
        "corner",
        "domain",
        "rows",
        "clean",
        "turned",
    )
    return all(torch.equal(getattr(one, n).nan_to_num(-9), getattr(other, n).nan_to_num(-9)) for n in names)


def test_a_step_always_draws_the_same_batch() -> None:
    draw = lambda seed: BatchSource(squares(masks=4), masks=2, sizes=3, seed=seed)  # noqa: E731
    assert same(draw(0)(7), draw(0)(7))
    assert not same(draw(0)(7), draw(0)(8))
    assert not same(draw(0)(7), draw(1)(7))


def test_an_epoch_takes_every_item_once() -> None:
    source = BatchSource(squares(9, masks=9), masks=3)
    taken = [item.plane for step in (1, 2, 3) for item in source._take(source.with_mask, 3, step, 1)]
    assert sorted(taken) == sorted(item.plane for item in source.with_mask)


def test_more_items_asked_for_than_there_are_go_round() -> None:
    source = BatchSource(squares(2, masks=2), masks=5)
    assert source(1).images.shape[0] == 5


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
def test_flipping_moves_image_mask_and_centre_alike(flips: tuple[bool, bool]) -> None:
    dataset = squares(1)
    item = dataset.items[0]
    image, mask = dataset.pixels(item.plane)[None], item.mask[None, None]
    sign = [1 - 2 * int(flip) for flip in flips]
    matrix = torch.tensor([[[sign[0], 0.0, 0.0], [0.0, sign[1], 0.0]]])
    moved, target, known = warp(image, mask.float(), torch.ones_like(mask), matrix)
    axes = [axis for axis, flip in zip((2, 3), flips, strict=True) if flip]
    torch.testing.assert_close(moved, image.flip(axes))
    assert torch.equal(target > 0, mask.flip(axes))
    assert known.all()
    centre = centroid(mask.float())[0, 0]
    carried = flip_centres(torch.tensor([[4.0, *centre]]), torch.tensor(flips), mask.shape[2:])
    torch.testing.assert_close(carried[0, 1:], centroid((target > 0).float())[0, 0])


def test_rotation_keeps_lengths_in_pixels_whatever_the_aspect() -> None:
    point = torch.zeros(1, 1, 48, 32)
    point[..., 10:14, 20:24] = 1
    centre = torch.tensor([23.5, 15.5])
    for seed in range(20):
        matrices, _ = affine_matrices(torch.tensor([False]), (48, 32), generator_for(seed, 0))
        moved, _, _ = warp(point, point, point > 0, matrices)
        zoom = torch.linalg.det(matrices[0, :, :2]).abs().sqrt()
        shift = torch.linalg.solve(matrices[0, :, :2], -matrices[0, :, 2]) * torch.tensor([24.0, 16.0])
        found = centroid(moved)[0, 0] - centre - shift
        expected = torch.tensor([11.5, 21.5]) - centre
        torch.testing.assert_close(found.norm(), expected.norm() / zoom, atol=0.15, rtol=0)


def test_sizes_are_only_flipped() -> None:
    matrices, flips = affine_matrices(torch.tensor([True] * 16), (24, 20), generator_for(0, 0))
    assert set(matrices.abs().flatten().tolist()) == {0.0, 1.0}
    assert flips.any()
    assert not flips.all()


def test_augmented_sizes_stay_true() -> None:
    """After the draw the mask of every weak crop still has the size and the centre that are handed out."""
    full, weak = squares(6), squares(6, masks=0)
    masks = {item.plane: item.mask for item in full.items}
    source = BatchSource(weak, sizes=6, seed=3)
    items = source._take(source.with_size, 6, 1, 2)
    batch = source(1)
    _, flips = affine_matrices(torch.tensor([True] * 6), (24, 20), generator_for(3, 1))
    for index, item in enumerate(items):
        axes = [axis for axis in (0, 1) if flips[index, axis]]
        mask = masks[item.plane].flip(axes)[None, None]
        assert object_size(mask).item() == batch.size[index].item()
        torch.testing.assert_close(centroid(mask.float())[0, 0], batch.centre[index, 0])


def test_parts_hold_every_crop_and_object_once() -> None:
    batch = BatchSource(squares(8, masks=3), masks=3, sizes=4)(1)
    parts = [batch.part(index, 3) for index in range(3)]
    assert sum(len(part.images) for part in parts) == len(batch.images)
    assert sorted(torch.cat([part.rows for part in parts]).tolist()) == batch.rows.tolist()
    for part in parts:
        for row, owner in zip(part.rows, part.owner, strict=True):
            assert torch.equal(part.images[owner], batch.images[batch.owner[row]])


def test_windows_cut_what_they_say() -> None:
    batch = several_source()(1)
    cut = batch.through_windows(batch.images[:, :1])
    for k, (y, x) in enumerate(batch.corner.tolist()):
        h, w = batch.domain.shape[2:]
        assert torch.equal(cut[k, 0], batch.images[batch.owner[k], 0, y : y + h, x : x + w])


def several_source(context: float = 1.0) -> BatchSource:
    objects = torch.tensor([[6.0, 10.0, 10.0], [6.0, 10.0, 20.0], [4.0, 50.0, 55.0]])
    item = Item(plane=PlaneRef(1, 0), shape=(64, 64), objects=objects)
    images = np.random.default_rng(0).standard_normal((1, 1, 64, 64))
    return BatchSource(
        Dataset((item,), ArrayPixels(images)), sizes=1, one_object=False, context=context, augment=False
    )


def test_every_pixel_belongs_to_its_nearest_stamp() -> None:
    objects = torch.tensor([[6.0, 10.0, 10.0], [6.0, 10.0, 20.0]])
    corner, domain = windows_of(objects, (64, 64), (31, 31), 4.0, torch.tensor([0, 1]))
    ground = torch.zeros(2, 64, 64, dtype=torch.bool)
    for k, (y, x) in enumerate(corner.tolist()):
        ground[k, y : y + 31, x : x + 31] = domain[k, 0]
    assert not (ground[0] & ground[1]).any()
    assert ground[0, 10, 14]
    assert ground[1, 10, 16]
    assert not ground[0, 10, 16]


def test_a_larger_context_shows_more_of_the_surroundings() -> None:
    assert several_source(2.0)(1).domain.sum() > several_source(1.0)(1).domain.sum()


def test_windows_at_the_image_border_stay_inside() -> None:
    objects = torch.tensor([[8.0, 1.0, 62.0]])
    corner, domain = windows_of(objects, (64, 64), (17, 17), 1.0, torch.tensor([0]))
    assert corner.tolist() == [[0, 47]]
    assert domain[0, 0, 1, 15]


def test_large_images_are_cropped_around_their_stamps() -> None:
    objects = torch.tensor([[8.0, 300.0, 40.0]])
    item = Item(plane=PlaneRef(1, 0), shape=(400, 380), objects=objects)
    dataset = Dataset((item,), ArrayPixels(np.zeros((1, 1, 400, 380))))
    source = BatchSource(dataset, sizes=1, patch=64, one_object=False, augment=False)
    for step in range(1, 20):
        batch = source(step)
        assert batch.images.shape == (1, 1, 64, 64)
        assert len(batch.size) == 1
        assert batch.domain[0, 0].any()


def test_planes_of_different_shape_share_a_batch_and_padding_is_not_known() -> None:
    masks = [torch.ones(20, 16, dtype=torch.bool), torch.ones(10, 30, dtype=torch.bool)]
    items = tuple(
        Item(plane=PlaneRef(1, index), shape=tuple(mask.shape), mask=mask) for index, mask in enumerate(masks)
    )

    class Two:
        normalise = "volume"

        def __call__(self, plane: PlaneRef) -> torch.Tensor:
            return torch.ones(1, *masks[plane.slice].shape)

    batch = BatchSource(Dataset(items, Two()), masks=2, augment=False)(1)
    assert batch.images.shape == (2, 1, 20, 30)
    assert sorted(batch.known.flatten(1).sum(1).tolist()) == [300, 320]
