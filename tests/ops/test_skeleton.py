from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from geometry_oracle import random_masks
from monai.losses.cldice import soft_skel
from scipy.ndimage import distance_transform_cdt, grey_dilation, grey_erosion
from torch.autograd import gradcheck

from napari_segsize.ops import skeleton as module
from napari_segsize.ops.skeleton import dilate, erode, skeleton_iterations, soft_skeleton

SHAPES = [(7, 9), (4, 5, 6), (1, 6), (6, 1)]


@pytest.fixture
def without_compiled_code(monkeypatch: pytest.MonkeyPatch):
    module._kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "napari_segsize.ops._skeleton_kernels", None)
    monkeypatch.delattr("napari_segsize.ops._skeleton_kernels", raising=False)
    assert module._kernels() is None
    yield
    module._kernels.cache_clear()


def neighbours(shape: tuple[int, ...], p: tuple[int, ...], cross: bool) -> list[tuple[int, ...]]:
    offsets = np.array(list(np.ndindex((3,) * len(shape)))) - 1
    if cross:
        offsets = offsets[np.abs(offsets).sum(1) <= 1]
    places = [tuple(int(v) for v in offset + p) for offset in offsets]
    return [q for q in places if all(0 <= v < side for v, side in zip(q, shape, strict=True))]


def brute_skeleton(image: np.ndarray, iterations: int) -> np.ndarray:
    """Algorithm 1 of the paper, pixel by pixel."""

    def each(image: np.ndarray, choose: object, cross: bool) -> np.ndarray:
        out = np.empty_like(image)
        for p in np.ndindex(image.shape):
            out[p] = choose([image[q] for q in neighbours(image.shape, p, cross)])
        return out

    def removed(image: np.ndarray) -> np.ndarray:
        return np.maximum(image - each(each(image, min, True), max, False), 0)

    found = removed(image)
    for _ in range(iterations):
        image = each(image, min, True)
        delta = removed(image)
        found = found + np.maximum(delta - found * delta, 0)
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_equals_the_paper(shape, iterations):
    image = torch.rand(2, 1, *shape, dtype=torch.float64)
    found = soft_skeleton(image, iterations)
    for n in range(2):
        assert np.allclose(found[n, 0], brute_skeleton(image[n, 0].numpy(), iterations))


@pytest.mark.parametrize("shape", [(30, 31), (9, 8, 7)])
def test_equals_monai_and_scipy(shape):
    image = torch.rand(2, 2, *shape)
    assert torch.equal(soft_skeleton(image, 4), soft_skel(image, 4))
    cross = np.zeros((3,) * len(shape), bool)
    for p in neighbours(cross.shape, (1,) * len(shape), cross=True):
        cross[p] = True
    for n, c in np.ndindex(2, 2):
        plane = image[n, c].numpy()
        assert np.array_equal(erode(image)[n, c], grey_erosion(plane, footprint=cross, mode="nearest"))
        assert np.array_equal(dilate(image)[n, c], grey_dilation(plane, size=3, mode="nearest"))


@pytest.mark.parametrize("shape", [(4, 5), (3, 3, 4)])
def test_gradient(shape):
    image = torch.rand(2, 1, *shape, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: soft_skeleton(x, 2), image)


@pytest.mark.parametrize("shape", SHAPES)
def test_tensors_and_compiled_code_agree(shape, without_compiled_code, monkeypatch):
    image = torch.rand(2, 2, *shape, dtype=torch.float64, requires_grad=True)
    pooled = soft_skeleton(image, 2)
    (slope,) = torch.autograd.grad((pooled * pooled).sum(), image)
    monkeypatch.undo()
    module._kernels.cache_clear()
    assert module._kernels() is not None
    compiled = soft_skeleton(image, 2)
    (found,) = torch.autograd.grad((compiled * compiled).sum(), image)
    assert torch.equal(compiled, pooled)
    assert torch.allclose(found, slope)


@pytest.mark.parametrize("step", [erode, dilate])
@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 5)])
def test_ties_share_out_the_whole_gradient_once(step, shape):
    image = (torch.rand(1, 1, *shape) < 0.5).float().requires_grad_()
    out = step(image)
    weights = torch.rand_like(out)
    (gradient,) = torch.autograd.grad((out * weights).sum(), image)
    assert gradient.sum().item() == pytest.approx(weights.sum().item(), rel=1e-5)
    assert (gradient[image == (1 - out)] >= 0).all()


@pytest.mark.parametrize(("width", "needed"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (9, 4)])
def test_a_bar_has_a_skeleton_with_enough_iterations_and_none_with_fewer(width, needed):
    mask = torch.zeros(1, 1, 15, 20)
    mask[..., 3 : 3 + width, :] = 1
    assert skeleton_iterations(mask > 0) == needed
    assert soft_skeleton(mask, needed).sum() > 0
    assert torch.equal(soft_skeleton(mask, needed), soft_skeleton(mask, needed + 3))
    if needed:
        assert soft_skeleton(mask, needed - 1).sum() == 0


@pytest.mark.parametrize("shape", [(11, 13), (6, 7, 5)])
def test_the_iterations_are_those_of_the_taxicab_distance(rng, shape):
    for mask in random_masks(rng, 24, shape):
        away = 0 if mask.all() else int(distance_transform_cdt(mask, metric="taxicab").max())
        assert skeleton_iterations(torch.from_numpy(mask)[None, None]) == max(away - 1, 0)


def test_the_iterations_without_compiled_code(rng, without_compiled_code):
    for shape in ((11, 13), (6, 7, 5)):
        for mask in random_masks(rng, 16, shape):
            away = 0 if mask.all() else int(distance_transform_cdt(mask, metric="taxicab").max())
            assert skeleton_iterations(torch.from_numpy(mask)[None, None]) == max(away - 1, 0)


def test_the_thickest_plane_decides_and_full_ones_do_not():
    masks = torch.zeros(3, 1, 9, 9, dtype=torch.bool)
    masks[0, :, 2:5, 2:5], masks[1, :, 1:8, 1:8], masks[2] = True, True, True
    assert skeleton_iterations(masks) == 3
    assert skeleton_iterations(masks[2:]) == 0
    assert skeleton_iterations(masks[:0]) == 0


@pytest.mark.parametrize(
    ("image", "iterations", "sentence"),
    [
        (torch.zeros(3, 3), 1, "image: expected"),
        (torch.zeros(1, 1, 3, 3, dtype=torch.bool), 1, "image: expected"),
        (torch.zeros(1, 1, 3, 3), -1, "iterations: expected"),
    ],
)
def test_bad_input_gets_a_sentence(image, iterations, sentence):
    with pytest.raises(ValueError, match=sentence):
        soft_skeleton(image, iterations)
    with pytest.raises(ValueError, match="mask: expected"):
        skeleton_iterations(torch.zeros(1, 1, 3, 3))
