"""Close-ups become batches: what is known goes through every turn and zoom together with the picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_segsize.engine.closeup import (
    PATCH,
    SIDE,
    CloseUp,
    close_ups,
    in_three_channels,
    normalised_rois,
    outline_points,
)
from napari_segsize.engine.contour_batch import ContourSource
from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.contour_objective import contour_objective
from napari_segsize.ops.polygon import polygon_mask


def disc(side: int = 60, centre: tuple[float, float] = (28.0, 31.0), radius: float = 12.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    return (((y - centre[0]) / 1.5) ** 2 + (x - centre[1]) ** 2).sqrt() < radius


def scene(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    mask = disc()
    noise = torch.randn(1, 60, 60, generator=torch.Generator().manual_seed(seed))
    return mask.float()[None] * 3 + 0.1 * noise, mask


@pytest.fixture
def items() -> list[CloseUp]:
    image, mask = scene()
    whole = close_ups(image, [mask], objects=["a"])
    weak = CloseUp(image=whole[0].image, points=whole[0].points, size=10.0, scale=whole[0].scale)
    sized = CloseUp(image=whole[0].image, size=10.0, scale=whole[0].scale)
    return [whole[0], weak, sized]


def source(items, **options):
    return ContourSource(items, **{"batch_size": 6, "vertices": 32, "seed": 1, **options})


def test_a_close_up_shows_the_object_in_the_middle_at_the_region_scale():
    image, mask = scene()
    item = close_ups(image, [mask, torch.zeros_like(mask)], objects=["a", "empty"])
    assert [each.object for each in item] == ["a"]
    assert item[0].image.shape == (3, PATCH, PATCH)
    middle = (item[0].points.amin(0) + item[0].points.amax(0)) / 2
    assert torch.allclose(middle, torch.full((2,), (PATCH - 1) / 2), atol=0.01)
    extent = float(outline_points(mask[None, None])[0, 0, :, 0].max() - 28.0) * 2 + 1
    assert item[0].scale == pytest.approx(extent * 1.6 / SIDE)
    assert float(item[0].mask.sum()) * item[0].scale ** 2 == pytest.approx(float(mask.sum()), rel=0.02)


def test_a_mask_ends_where_the_image_ends():
    mask = torch.zeros(40, 40, dtype=torch.bool)
    mask[:12, :12] = True
    item = close_ups(mask.float()[None], [mask])[0]
    assert float(item.mask.sum()) * item.scale**2 == pytest.approx(144, rel=0.05)


@pytest.mark.parametrize(
    ("channels", "kept"), [(1, [0, 0, 0]), (2, [0, 1, 1]), (3, [0, 1, 2]), (5, [0, 1, 2])]
)
def test_every_number_of_channels_is_shown_in_three(channels, kept):
    image = torch.arange(float(channels))[:, None, None].expand(channels, 2, 2)
    assert in_three_channels(image)[:, 0, 0].tolist() == kept


def test_regions_are_normalised_and_survive_constants_and_nan():
    images = torch.randn(2, 3, 8, 8) * 7 + 5
    images[0, 0, 0, 0] = torch.nan
    images[1] = 4.0
    result = normalised_rois(images)
    assert result.isfinite().all()
    assert abs(float(result[0].mean())) < 0.05
    assert float(result[0].std()) == pytest.approx(1, abs=0.05)
    assert torch.equal(result[1], torch.zeros(3, 8, 8))


def test_without_chance_a_batch_is_the_close_up_cut_to_the_region(items):
    batch = source(items, augment=False).batch(items, None)
    assert batch.inputs.shape == (3, 5, SIDE, SIDE)
    found = outline_points(batch.target[:1] > 0.5)[0, 0]
    assert torch.allclose(found, batch.points[0], atol=1.1)  # the grid of the region is another one
    assert torch.allclose(batch.points[0], batch.points[1], atol=1e-3)
    assert batch.masked.tolist() == [True, False, False]
    assert batch.points[2].isnan().all()
    assert batch.size[:, 0].isnan().tolist() == [True, False, False]
    assert torch.allclose(batch.pixel, 1 / torch.tensor([item.scale for item in items]), rtol=0.01)
    start = polygon_mask(batch.contours[:1], (SIDE, SIDE))
    overlap = torch.minimum(start, batch.target[:1]).sum() / torch.maximum(start, batch.target[:1]).sum()
    assert overlap > 0.9  # the arcs of an ellipse are the ellipse


def test_the_prompts_are_the_clicks_and_the_start(items):
    batch = source(items, augment=False).batch(items, None)
    heat, start = batch.inputs[:, 3], batch.inputs[:, 4]
    y, x = (int(value) for value in batch.points[0, 0].round())
    assert heat[0, y, x] > 0.9
    assert heat[2].max() == 0  # nothing was clicked
    assert torch.equal(start, polygon_mask(batch.contours, (SIDE, SIDE))[:, 0])
    assert source(items, prompts=0, augment=False).batch(items, None).inputs.shape[1] == 3


def test_the_same_step_draws_the_same_batch(items):
    one, two, other = source(items)(4), source(items)(4), source(items)(5)
    assert torch.equal(one.inputs, two.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert not torch.equal(one.inputs, source(items, seed=2)(4).inputs)


def test_points_follow_the_turned_mask(items):
    batch = source(items[:1], batch_size=24)(1)
    found = outline_points(batch.target > 0.5)[:, 0]
    away = (found - batch.points).abs()
    outermost = torch.stack([away[:, 0, 0], away[:, 1, 1], away[:, 2, 0], away[:, 3, 1]])
    assert outermost.max() < 1.6  # half a pixel of each of the two grids, and of the threshold


def test_objects_without_a_mask_are_turned_by_right_angles_only(items):
    extents = set()
    for step in range(1, 12):
        batch = source(items[1:2], batch_size=8, augment=True)(step)
        height, width = (batch.points.amax(1) - batch.points.amin(1)).unbind(-1)
        extents |= {
            round(float(value), 1) for value in torch.maximum(height, width) / torch.minimum(height, width)
        }
    assert len(extents) == 1  # the shape is never stretched or turned in between


def test_zoom_changes_sizes_with_the_picture(items):
    batch = source(items[1:2], batch_size=16)(3)
    extent = (batch.points.amax(1) - batch.points.amin(1)).amax(-1)
    assert torch.allclose(batch.size[:, 0] / extent, (batch.size[:, 0] / extent)[:1].expand(16), rtol=1e-3)
    assert float(extent.std()) > 0.5


def test_starts_are_clicks_stamps_and_outlines(items):
    batches = [source(items[:1], batch_size=16)(step) for step in range(1, 8)]
    unclicked = torch.cat([batch.inputs[:, 3].flatten(1).amax(1) == 0 for batch in batches])
    assert 0.05 < float(unclicked.float().mean()) < 0.4
    weak = torch.cat(
        [source(items[1:2], batch_size=16)(step).inputs[:, 3].flatten(1).amax(1) for step in range(4)]
    )
    assert (weak > 0).all()  # without a mask there is nothing else to start from


def test_the_papers_start_is_a_circle_in_the_middle(items):
    batch = source(items, circle=8.0, prompts=0)(1)
    away = (batch.contours - (SIDE - 1) / 2).norm(dim=-1)
    assert torch.allclose(away, torch.full_like(away, 8.0), atol=1e-4)


def test_objects_seen_from_a_circle_are_zoomed_but_stay_in_the_middle(items):
    batch = source(items[:1], circle=8.0, prompts=0, batch_size=24)(1)
    still = source(items[:1], circle=8.0, prompts=0, augment=False).batch(items[:1], None)
    areas = (batch.target.sum((1, 2, 3)) / still.target.sum()).sqrt()
    assert areas.min() > 1 / 1.35
    assert areas.max() < 1.35
    assert areas.std() > 0.05
    middle = (SIDE - 1) / 2
    assert torch.allclose(_centroid(batch.target), torch.full((24, 2), middle), atol=2.0)


def _axis(masks: torch.Tensor) -> torch.Tensor:
    """How far the long axis of each mask is from upright, in degrees, -90 to 90."""
    grid = torch.arange(masks.shape[-1], dtype=masks.dtype)
    dy = grid[None, :, None] - _centroid(masks)[:, :1, None]
    dx = grid[None, None, :] - _centroid(masks)[:, 1:, None]
    weight = masks[:, 0]
    yy, xx, xy = ((weight * a * b).sum((1, 2)) for a, b in ((dy, dy), (dx, dx), (dy, dx)))
    return torch.rad2deg(0.5 * torch.atan2(2 * xy, yy - xx))


def test_close_ups_turn_as_far_as_they_may(items):
    any_way = _axis(source(items[:1], circle=8.0, prompts=0, batch_size=40)(1).target)
    little = _axis(source(items[:1], circle=8.0, prompts=0, batch_size=40, turn=10.0)(1).target)
    assert any_way.abs().median() > 30
    assert 2 < little.abs().median() < 10  # not the largest: the stretch can make an ellipse nearly round
    assert little.min() < 0 < little.max()


def _centroid(masks: torch.Tensor) -> torch.Tensor:
    grid = torch.arange(masks.shape[-1], dtype=masks.dtype)
    total = masks.sum((1, 2, 3))
    return torch.stack(
        [(masks.sum(3)[:, 0] * grid).sum(1) / total, (masks.sum(2)[:, 0] * grid).sum(1) / total], -1
    )


def test_close_ups_and_regions_of_another_side_show_the_same(items):
    small = source(items[:1], circle=8.0, prompts=0, augment=False).batch(items[:1], None)
    twice = [
        replace(
            items[0],
            image=torch.nn.functional.interpolate(items[0].image[None], scale_factor=2.0)[0],
            mask=torch.nn.functional.interpolate(items[0].mask[None], scale_factor=2.0)[0],
        )
    ]
    large = source(twice, circle=16.0, prompts=0, augment=False, side=2 * SIDE).batch(twice, None)
    assert large.inputs.shape[-1] == 2 * SIDE
    half = torch.nn.functional.avg_pool2d(large.target, 2)
    assert torch.allclose(half, small.target, atol=1e-4)
    assert torch.allclose((large.contours + 0.5) / 2 - 0.5, small.contours, atol=1e-4)


def test_the_parts_of_a_batch_add_up(items):
    config = ContourConfig(balloon_weight=0.1, curvature_weight=0.1)
    objective = contour_objective(config)
    batch = source(items, batch_size=6)(1)
    field = 3 * torch.randn(6, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    whole = objective(field, batch, 1, lambda x: x)
    parts = [objective(field[index::3], batch.part(index, 3), 1, lambda x: x) for index in range(3)]
    for name, value in whole.items():
        assert float(sum(part.get(name, torch.zeros(())) for part in parts)) == pytest.approx(
            float(value), rel=1e-4
        )


def test_every_weight_weighs_its_term(items):
    batch = source(items).batch(items, None)
    field = torch.zeros(3, 2, SIDE, SIDE)
    base = contour_objective(ContourConfig(balloon_weight=1.0, curvature_weight=1.0))(
        field, batch, 1, lambda x: x
    )
    assert set(base) == {"segmentation", "balloon", "curvature", "extreme points", "size"}
    twice = contour_objective(
        ContourConfig(balloon_weight=2.0, curvature_weight=2.0, points_weight=2.0, size_weight=0.2)
    )(field, batch, 1, lambda x: x)
    for name in ("balloon", "curvature", "extreme points", "size"):
        assert float(twice[name]) == pytest.approx(2 * float(base[name]), rel=1e-5)
    none = contour_objective(ContourConfig(points_weight=0.0, size_weight=0.0))(field, batch, 1, lambda x: x)
    assert set(none) == {"segmentation"}
    near, far = (
        contour_objective(ContourConfig(distance_weight=weight))(field, batch, 1, lambda x: x)["distance"]
        for weight in (1.0, 2.0)
    )
    assert float(far) == pytest.approx(2 * float(near), rel=1e-5)


def test_more_iterations_add_their_errors(items):
    batch = source(items[:1], batch_size=4)(1)
    field = torch.zeros(4, 2, SIDE, SIDE)
    one, three = (
        contour_objective(ContourConfig(iterations=count))(field, batch, 1, lambda x: x)["segmentation"]
        for count in (1, 3)
    )
    assert float(three) == pytest.approx(3 * float(one), rel=1e-5)


def test_a_speck_that_vanishes_when_it_is_turned_keeps_its_points():
    mask = torch.zeros(30, 30, dtype=torch.bool)
    mask[10, 10:12] = True
    item = close_ups(torch.rand(1, 30, 30), [mask])[0]
    batch = source([item], batch_size=8)(1)
    assert batch.points.isfinite().all()
    assert np.isfinite(batch.inputs.numpy()).all()
