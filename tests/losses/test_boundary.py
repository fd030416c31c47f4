from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import BoundaryLoss as MonaiBoundary
from torch.autograd import gradcheck

from napari_segsize.losses import BoundaryLoss, MapCache, boundary_loss, boundary_map

SHAPES = [(5, 6), (3, 4, 4)]


def case(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 2, *shape, dtype=torch.float64), torch.rand(2, 2, *shape) < 0.4


def brute_map(mask: np.ndarray, spacing: tuple[float, ...], edge: str) -> np.ndarray:
    """Distance to the nearest pixel of the other kind, less a whole or half a pixel inside."""
    found = np.zeros(mask.shape)
    for p in np.ndindex(mask.shape):
        away = np.sqrt((((np.argwhere(mask != mask[p]) - p) * spacing) ** 2).sum(1)).min()
        step = min(spacing)
        if edge == "between":
            found[p] = step / 2 - away if mask[p] else away - step / 2
        else:
            found[p] = step - away if mask[p] else away
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("edge", ["inner", "between"])
def test_equals_its_formula(shape, spaced, edge):
    logits, target = case(shape)
    spacing = (2.0, 0.7, 1.1)[: len(shape)] if spaced else None
    found = boundary_loss(logits, target, spacing=spacing, edge=edge, reduction="none")
    for n, c in np.ndindex(2, 2):
        phi = brute_map(target[n, c].numpy(), spacing or (1.0,) * len(shape), edge)
        expected = (phi / (1 + np.exp(-logits[n, c].numpy()))).mean()
        assert found[n, c].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient(shape):
    logits, target = case(shape)
    assert gradcheck(lambda z: boundary_loss(z, target), logits.requires_grad_())


@pytest.mark.parametrize("shape", [(8, 9), (5, 6, 7)])
def test_monai_says_the_same_without_spacing(shape):
    logits, target = case(shape)
    target[0, 0], target[1, 1] = False, True  # no outline: 0 for both
    expected = MonaiBoundary(sigmoid=True, reduction="none")(logits, target.double())
    assert torch.allclose(boundary_loss(logits, target, reduction="none"), expected, atol=1e-6)


def test_the_unit_scales_the_loss():
    """The published code subtracts 1 inside whatever the unit is: its map would change shape."""
    logits, target = case((8, 9))
    assert torch.allclose(
        boundary_loss(logits, target, spacing=(0.2, 0.2)), 0.2 * boundary_loss(logits, target), rtol=1e-5
    )


def test_the_map_is_zero_on_the_inner_edge_or_between():
    target = torch.zeros(1, 1, 1, 7, dtype=torch.bool)
    target[..., 3:] = True
    assert boundary_map(target).flatten().tolist() == [3, 2, 1, 0, -1, -2, -3]
    assert boundary_map(target, edge="between").flatten().tolist() == [2.5, 1.5, 0.5, -0.5, -1.5, -2.5, -3.5]


def test_farther_ghosts_cost_more():
    target = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    target[..., :2, :2] = True
    near, far = (torch.where(target, 20.0, -20.0) for _ in range(2))
    near[..., 3, 3], far[..., 8, 8] = 20.0, 20.0
    assert boundary_loss(far, target) > boundary_loss(near, target)


def test_the_offset_changes_the_value_and_not_the_gradient():
    target = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    target[..., 2:7, 2:7] = True
    right = torch.where(target, 30.0, -30.0)
    assert boundary_loss(right, target) < -0.1
    assert boundary_loss(right, target, offset=True) == pytest.approx(0, abs=1e-6)
    logits = torch.randn(1, 1, 9, 9, requires_grad=True)
    one, other = (
        torch.autograd.grad(boundary_loss(logits, target, offset=o), logits)[0] for o in (False, True)
    )
    assert torch.allclose(one, other)
    assert boundary_loss(logits, target, offset=True) > 0


def test_only_the_chosen_classes_count():
    logits, target = torch.randn(2, 3, 6, 6, requires_grad=True), torch.rand(2, 3, 6, 6) < 0.4
    value = boundary_loss(logits, target, classes=[2])
    value.backward()
    assert torch.allclose(value, boundary_loss(logits[:, 2:], target[:, 2:]))
    assert (logits.grad[:, :2] == 0).all()
    each = boundary_loss(logits, target, classes=[0, 2], reduction="none")
    assert (each[:, 1] == 0).all()
    assert (each[:, 2] != 0).all()


def test_a_map_may_be_given():
    logits, target = case((5, 6))
    given = boundary_map(target)
    expected = boundary_loss(logits, target)
    assert torch.allclose(boundary_loss(logits, target, distance_map=given), expected)
    assert torch.allclose(boundary_loss(logits, target, distance_map=2 * given), 2 * expected)


def test_a_cache_computes_a_map_once(monkeypatch):
    target = torch.rand(3, 2, 6, 6) < 0.4
    cache = MapCache()
    first = cache.maps(target)
    assert torch.equal(first, boundary_map(target))
    monkeypatch.setattr("napari_segsize.losses.boundary.boundary_map", None)
    assert torch.equal(cache.maps(target.flip(0)), first.flip(0))
    assert (cache.hits, cache.misses, len(cache)) == (3, 3, 3)


def test_a_cache_knows_a_mask_by_its_content_and_how_the_map_was_made():
    target = torch.rand(1, 1, 6, 6) < 0.4
    cache = MapCache()
    cache.maps(target)
    changed = target.clone()
    changed[..., 0, 0] ^= True
    for mask, options in (
        (changed, {}),
        (target, {"edge": "between"}),
        (target, {"spacing": (1.0, 2.0)}),
        (target.reshape(1, 1, 4, 9), {}),
    ):
        assert torch.equal(cache.maps(mask, **options), boundary_map(mask, **options))
    assert cache.hits == 0


def test_names_stand_for_masks_that_never_change():
    target = torch.rand(2, 1, 6, 6) < 0.4
    cache = MapCache()
    maps = cache.maps(target, ["one", "two"])
    assert torch.equal(cache.maps(~target, ["two", "one"]), maps.flip(0))
    with pytest.raises(ValueError, match="names: expected 2"):
        cache.maps(target, ["one"])


def test_a_cache_forgets_what_was_not_asked_for_the_longest():
    a, b, c = (torch.rand(1, 1, 10, 10) < 0.4 for _ in range(3))
    cache = MapCache(megabytes=2 * 400 / 1e6)  # two maps of 10 x 10
    cache.maps(a), cache.maps(b), cache.maps(a), cache.maps(c)
    assert len(cache) == 2
    cache.maps(a)
    assert cache.hits == 2
    cache.maps(b)
    assert cache.hits == 2
    assert len(cache) == 2


def test_twice_the_same_mask_in_one_batch():
    target = (torch.rand(1, 1, 6, 6) < 0.4).repeat(2, 1, 1, 1)
    assert torch.equal(MapCache(0).maps(target), boundary_map(target))


def test_the_module_keeps_maps():
    logits, target = torch.randn(2, 1, 6, 6), torch.rand(2, 1, 6, 6) < 0.4
    module = BoundaryLoss(spacing=(1.0, 2.0), edge="between", offset=True, classes=[0])
    options = {"spacing": (1.0, 2.0), "edge": "between", "offset": True, "classes": [0]}
    for _ in range(2):
        assert torch.equal(module(logits, target), boundary_loss(logits, target, **options))
    assert (module.cache.hits, module.cache.misses) == (2, 2)
    assert torch.equal(module(logits, target, names=["a", "b"]), module(logits, target))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"edge": "outer"}, "edge: expected"),
        ({"spacing": (1.0,)}, "spacing: expected 2"),
        ({"spacing": (1.0, -1.0)}, "spacing: expected 2 positive"),
        ({"classes": [1]}, "classes: expected channels from 0 to 0"),
        ({"classes": []}, "classes: expected"),
        ({"distance_map": torch.zeros(3, 3)}, "distance_map: expected"),
        ({"logits": torch.zeros(1, 1, 3), "target": torch.zeros(1, 1, 3)}, "2 or 3 spatial axes"),
    ],
)
def test_bad_options_get_a_sentence(change, sentence):
    given = {"logits": torch.zeros(1, 1, 3, 3), "target": torch.zeros(1, 1, 3, 3), **change}
    with pytest.raises(ValueError, match=sentence):
        boundary_loss(**given)
    with pytest.raises(ValueError, match="megabytes"):
        MapCache(-1.0)
