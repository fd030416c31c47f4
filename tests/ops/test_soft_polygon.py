from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch
from polygon_oracle import star_shaped
from torch.autograd import gradcheck

from napari_segsize.ops.polygon import polygon_mask, soft_polygon_mask

SHAPE = (6, 7)
TRIANGLE = torch.tensor([[[1.0, 1.0], [1.0, 5.0], [5.0, 5.0]]])


def test_the_soft_mask_is_the_sigmoid_of_the_distance(rng):
    contours = np.stack([star_shaped(rng, 8, 0.3) for _ in range(4)])
    masks = soft_polygon_mask(torch.from_numpy(contours), SHAPE, sharpness=0.7)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels = shapely.points(y, x)
    for contour, mask in zip(contours, masks[:, 0], strict=True):
        polygon = shapely.Polygon(contour)
        away = shapely.distance(polygon.exterior, pixels) * np.where(polygon.contains(pixels), 1, -1)
        assert np.abs(mask.numpy() - 1 / (1 + np.exp(-0.7 * away))).max() < 1e-9


def test_the_soft_mask_knows_the_inside_of_a_contour_that_crosses_itself(rng):
    contours = torch.from_numpy(rng.uniform(0, 6, (8, 7, 2)))
    exact = polygon_mask(contours, SHAPE)
    sure = (exact == 0) | (exact == 1)
    assert torch.equal((soft_polygon_mask(contours, SHAPE) > 0.5)[sure], exact[sure] == 1)


def test_a_sharper_mask_is_nearer_to_the_exact_one_and_reaches_less_far():
    contours = torch.tensor([[[8.0, 8.0], [8.0, 16.0], [16.0, 16.0], [16.0, 8.0]]], requires_grad=True)
    exact = polygon_mask(contours.detach(), (25, 25))
    errors, pulls = [], []
    for sharpness in (0.2, 1.0, 5.0):
        mask = soft_polygon_mask(contours, (25, 25), sharpness=sharpness)
        errors.append((mask - exact).abs().mean().item())
        (gradient,) = torch.autograd.grad(mask[0, 0, 12, 21], contours)  # five pixels beside the contour
        pulls.append(gradient.abs().max().item())
    assert errors == sorted(errors, reverse=True)
    assert pulls == sorted(pulls, reverse=True)
    (gradient,) = torch.autograd.grad(polygon_mask(contours, (25, 25))[0, 0, 12, 21], contours)
    assert gradient.abs().max() == 0


def test_the_gradient_of_the_soft_mask(rng):
    contours = np.concatenate([rng.uniform(-2, 8, (3, 7, 2)), [star_shaped(rng, 7, 0.4) for _ in range(3)]])
    vertices = torch.from_numpy(contours).requires_grad_()
    assert gradcheck(lambda each: soft_polygon_mask(each, SHAPE), vertices)


def test_pixels_on_an_edge_pull_at_it_too():
    square = torch.tensor([[[1.0, 1.0], [1.0, 5.0], [5.0, 5.0], [5.0, 1.0]]], dtype=torch.float64)
    for contours in (square, square.flip(1)):
        vertices = contours.clone().requires_grad_()
        mask = soft_polygon_mask(vertices, (7, 7))
        assert mask[0, 0, 1, 3] == 0.5
        (gradient,) = torch.autograd.grad(mask[0, 0, 1, 3], vertices)
        assert gradient[..., 0].sum().item() == pytest.approx(-0.25)  # down, away from the pixel


def test_a_collapsed_contour_has_a_soft_mask():
    contours = torch.full((1, 5, 2), 3.0, requires_grad=True)
    mask = soft_polygon_mask(contours, SHAPE)
    assert mask.max() <= 0.5
    (gradient,) = torch.autograd.grad(mask.sum(), contours)
    assert gradient.isfinite().all()


def test_the_soft_masks_memory_does_not_grow_with_the_vertices():
    """What backward keeps: the same bytes for eight and for eighty vertices, but for the vertices."""
    kept = []
    for count in (8, 80):
        angle = torch.arange(count) * (2 * torch.pi / count)
        contours = torch.stack([16 + 9 * angle.cos(), 16 + 9 * angle.sin()], 1)[None].requires_grad_()
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
        ):
            soft_polygon_mask(contours, (32, 32))
        kept.append(sum(sizes))
    assert kept[1] - kept[0] < 80 * 10


@pytest.mark.parametrize("sharpness", [0.0, -1.0, float("nan")])
def test_bad_sharpness_is_told(sharpness):
    with pytest.raises(ValueError, match="sharpness: expected more than 0"):
        soft_polygon_mask(TRIANGLE, SHAPE, sharpness=sharpness)
