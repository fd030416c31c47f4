from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
import torch

from napari_segsize.losses import LOSSES
from napari_segsize.losses.microscope import microscope
from napari_segsize.losses.pictures import PICTURES
from napari_segsize.losses.pictures_contour import CONTOUR_PICTURES
from napari_segsize.losses.pictures_levelset import LEVELSET_PICTURES


def truth(shape: tuple[int, ...] = (12, 14)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[(slice(3, 9),) * len(shape)] = True
    return mask


def probabilities(shape: tuple[int, ...] = (12, 14)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.clip(0.7 * np.roll(truth(shape), 2, -1) + 0.3 * rng.random(shape), 0.05, 0.95)


CIRCLE = np.array([[6 + 4 * np.sin(t), 7 + 4 * np.cos(t)] for t in np.arange(12) * np.pi / 6])
Y, X = np.mgrid[:12, :14].astype(float)
LEVEL = 4 - np.hypot(Y - 6, X - 7)  # of the same circle
FIELD = np.stack([Y - 6, X - 7.2])
TARGETS = {
    "mask": truth(),
    "size": 6.0,
    "area": (20.0, 40.0),
    "centre": (5.5, 5.5),
    "extents": (3.0, 3.0, 8.0, 8.0),
    "points": np.array([[3, 5], [5, 3], [8, 5], [5, 8]], float),
    "image": probabilities(),
}


def given(name: str) -> dict[str, object]:
    """A prediction and a target for any loss of the catalogue."""
    info = LOSSES[name]
    target = TARGETS[info.needs[0]] if info.needs else None
    takes = inspect.signature(info.function).parameters
    shape = {"shape": (12, 14)} if "shape" in takes else {}
    prediction = {"contour": CIRCLE, "phi": LEVEL, "field": FIELD}.get(info.acts_on, probabilities())
    return {"prediction": prediction, "target": target, **shape}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_can_be_looked_at(name):
    torch.manual_seed(0)
    view = microscope(name, **given(name))
    assert np.isfinite(view.value)
    acts_on = LOSSES[name].acts_on
    expected = {"contour": (12, 2), "field": (2, 12, 14)}.get(acts_on, (12, 14))
    assert view.gradient.shape == expected
    assert view.gradient.dtype == np.float32
    assert np.isfinite(view.gradient).all()
    for each in view.maps.values():
        assert each.shape[-2:] == (12, 14)
        assert np.isfinite(each).all()
    painted = PICTURES.keys() | CONTOUR_PICTURES.keys() | LEVELSET_PICTURES.keys()
    assert name in painted
    assert view.maps or view.marks or view.dots
    assert (view.places is not None) == (acts_on == "contour")
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.value = 0.0


@pytest.mark.parametrize("name", ["bce", "boundary", "cldice", "active_contour", "hausdorff_convolution"])
def test_the_value_and_the_gradient_are_those_of_the_function(name):
    probs, target = probabilities(), truth()
    function = LOSSES[name].function

    def value(p: np.ndarray) -> float:
        logits = torch.logit(torch.from_numpy(p))
        return float(function(logits[None, None], torch.from_numpy(target)[None, None]))

    view = microscope(name, probs, target)
    assert view.value == pytest.approx(value(probs))
    for pixel in ((4, 4), (2, 3), (8, 10)):
        step = np.zeros_like(probs)
        step[pixel] = 1e-6
        slope = (value(probs + step) - value(probs - step)) / 2e-6
        assert view.gradient[pixel] == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_logits_probabilities_and_masks():
    probs = probabilities()
    logits = np.log(probs / (1 - probs))
    expected = microscope("dice", probs, truth())
    for prediction, kind in ((logits, "auto"), (logits, "logits"), (probs, "probabilities")):
        view = microscope("dice", prediction, truth(), kind=kind)
        assert view.value == pytest.approx(expected.value)
        assert np.allclose(view.gradient, expected.gradient, rtol=1e-4)
    mask = microscope("dice", probs > 0.5, truth())
    for same in ((probs > 0.5).astype(np.uint8), (probs > 0.5) * 7, (probs > 0.5).astype(float)):
        assert microscope("dice", same, truth()).value == mask.value
    felt = microscope("dice", probs, truth(), slope="logits").gradient
    assert np.allclose(felt, expected.gradient * probs * (1 - probs), rtol=1e-4)


def test_logits_that_look_like_probabilities_are_noticed():
    assert "kind=" in microscope("dice", probabilities(), truth(), kind="logits").notices[0]
    assert not microscope("dice", probabilities(), truth()).notices


def test_options_reach_the_loss_and_the_pictures():
    plain = microscope("boundary", probabilities(), truth())
    scaled = microscope("boundary", probabilities(), truth(), spacing=(2.0, 2.0))
    assert scaled.value == pytest.approx(2 * plain.value)
    assert np.allclose(scaled.maps["signed distance"], 2 * plain.maps["signed distance"])


@pytest.mark.parametrize("name", ["hausdorff", "one_sided_hausdorff", "bce", "focal", "active_contour"])
def test_the_cost_adds_up_to_the_value(name):
    view = microscope(name, probabilities(), truth())
    total = sum(each.mean() for key, each in view.maps.items() if key in ("cost", "length", "region"))
    assert total == pytest.approx(view.value, rel=1e-5)


def test_the_cost_of_a_weighted_focal_loss():
    view = microscope("focal", probabilities(), truth(), alpha=0.8, gamma=1.0)
    assert view.maps["cost"].mean() == pytest.approx(view.value, rel=1e-5)


def test_boundary_shows_its_map_negative_inside():
    view = microscope("boundary", probabilities(), truth(), offset=True)
    assert (view.maps["signed distance"][truth()] <= 0).all()
    assert (view.maps["signed distance"][~truth()] > 0).all()
    assert view.maps["cost"].mean() == pytest.approx(view.value, rel=1e-5)


def test_erosion_shows_what_is_left_step_by_step():
    view = microscope("hausdorff_erosion", ~truth(), truth(), erosions=3)
    left = view.maps["residues"]
    assert left.shape == (3, 12, 14)
    total = sum(k**2 * left[k - 1].mean() for k in (1, 2, 3))
    assert total == pytest.approx(view.value, rel=1e-5)
    thin = truth()
    thin[3, 3] = False
    assert "erosion" in microscope("hausdorff_erosion", thin, truth()).notices[-1]


def test_convolution_shows_its_disks():
    ghost = truth()
    ghost[10:, 11:] = True
    view = microscope("hausdorff_convolution", ghost, truth(), radii=(2, 4))
    assert view.maps["cost"].shape == (2, 12, 14)
    assert view.maps["cost"].mean((1, 2)).sum() == pytest.approx(view.value, rel=1e-5)
    disks = view.marks["disks"]
    assert disks[:, 2].tolist() == [2, 4]
    assert ghost[tuple(disks[:, :2].astype(int).T)].all()
    assert microscope("hausdorff_convolution", truth(), truth()).marks["disks"].shape == (0, 3)


def test_cldice_shows_misses_and_ghosts():
    mask = np.zeros((9, 20), bool)
    mask[3:6] = True
    broken = mask.copy()
    broken[:, 8:12] = False
    view = microscope("cldice", broken, mask)
    misses = view.maps["misses"]
    assert misses[4, 8:12].min() > 0.9
    assert misses.sum() == pytest.approx(4, abs=0.1)
    assert view.maps["ghosts"].max() < 0.1
    assert not view.notices
    thick = np.ones((9, 20), bool)
    thick[0] = False
    assert any("thicker" in each for each in microscope("cldice", thick, mask).notices)
    with pytest.warns(UserWarning, match="needs 1"):
        assert any("too few" in each for each in microscope("cldice", broken, mask, iterations=0).notices)


def test_topology_shows_its_dots_and_their_pixels():
    probs = np.full((7, 7), 0.1)
    probs[1:6, 1:6] = 0.9
    probs[3, 3] = 0.3
    view = microscope("topology", probs, truth((7, 7)))
    parts = [dot for dot in view.dots if dot.dimension == 0]
    holes = [dot for dot in view.dots if dot.dimension == 1]
    assert len(parts) == len(holes) == 1
    assert parts[0].wanted
    assert parts[0].death_pixel is None
    hole = holes[0]
    assert not hole.wanted
    assert hole.death_pixel == (3, 3)
    assert (hole.birth, hole.death) == pytest.approx((0.9, 0.3))
    assert probs[hole.birth_pixel] == 0.9
    assert sum(dot.cost for dot in view.dots) == pytest.approx(view.value)
    assert view.gradient[3, 3] < 0
    ring = truth((7, 7))
    ring[4, 4] = False
    flat = microscope("topology", np.full((7, 7), 0.5), ring)
    assert any("no dot" in each for each in flat.notices)


def test_chan_vese_tells_both_means_and_takes_channels():
    image = np.where(truth(), 5.0, 1.0)
    view = microscope("chan_vese", truth(), image)
    assert view.notices[-1] == "The mean is 5 inside and 1 outside."
    both = microscope("chan_vese", probabilities(), np.stack([image, image]))
    assert both.value == pytest.approx(microscope("chan_vese", probabilities(), image).value)
    total = both.maps["region"].mean() + 0.1 * both.maps["length"].mean()
    assert total == pytest.approx(both.value, rel=1e-5)


def test_centres_are_marked():
    view = microscope("centroid", truth(), (5.0, 6.0))
    assert view.marks["soft centre"][0] == pytest.approx([5.5, 5.5], abs=0.01)
    assert view.marks["true centre"][0] == pytest.approx([5.0, 6.0])


def test_volumes():
    shape = (10, 11, 12)
    for name in ("boundary", "cldice", "hausdorff_erosion", "active_contour"):
        view = microscope(name, probabilities(shape), truth(shape))
        assert view.gradient.shape == shape
        assert all(each.shape[-3:] == shape for each in view.maps.values())


def test_a_loss_that_has_nothing_to_say_says_so():
    view = microscope("boundary", probabilities(), np.zeros((12, 14), bool))
    assert view.value == 0
    assert any("gradient is 0" in each for each in view.notices)
    assert any("empty" in each for each in view.notices)
    view = microscope("hausdorff", probabilities(), np.ones((12, 14), bool))
    assert any("full" in each for each in view.notices)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "dise"}, 'Did you mean "dice"'),
        ({"name": "qqq"}, "There are"),
        ({"prediction": np.zeros(3)}, "prediction: expected one image"),
        ({"prediction": np.zeros((0, 3))}, "some pixels"),
        ({"prediction": np.full((12, 14), np.nan)}, r"got nan at \(0, 0\)"),
        ({"prediction": np.array([["a"]])}, "expected numbers"),
        ({"prediction": np.full((12, 14), 3.0), "kind": "probabilities"}, 'say kind="logits"'),
        ({"kind": "tanh"}, "kind: expected"),
        ({"slope": "mask"}, "slope: expected"),
        ({"target": None}, "needs the mask, got nothing"),
        ({"target": np.zeros((3, 3))}, r"expected a mask \(12, 14\)"),
        ({"target": np.full((12, 14), 2.0)}, "values from 0 to 1"),
        ({"target": np.full((12, 14), np.inf)}, "target: expected finite"),
        ({"sharpness": 2.0}, "dice has no option sharpness; it has none"),
        ({"name": "boundary", "alpha": 2.0}, "boundary has no option alpha; it has spacing"),
        ({"name": "balloon", "prediction": np.zeros((2, 2)), "shape": (4, 4)}, "expected vertices"),
        ({"name": "extreme_points", "prediction": CIRCLE, "target": None}, "needs the points"),
        ({"name": "size"}, "learns from the size of the object, one number in pixels; got 12 x 14"),
        ({"name": "centroid"}, r"the centre of the object, 2 numbers \(y, x\) in pixels; got 12 x 14"),
        ({"name": "centroid", "target": 3.0}, "got one number"),
        ({"name": "area_bounds"}, "the least and the most pixels; got 12 x 14"),
        ({"name": "projection", "target": (1, 2)}, "top, left, bottom, right.* got 2 numbers"),
        ({"name": "extreme_points", "prediction": CIRCLE, "target": (1, 2)}, "4 rows of 2 numbers"),
        ({"name": "contour_size", "prediction": CIRCLE, "shape": (12, 14)}, "one number in pixels"),
    ],
)
def test_bad_input_gets_a_sentence(change, sentence):
    given = {"name": "dice", "prediction": probabilities(), "target": truth(), **change}
    with pytest.raises(ValueError, match=sentence):
        microscope(given.pop("name"), given.pop("prediction"), given.pop("target"), **given)


@pytest.mark.parametrize("name", ["ce", "cross-entropy", "Cross-Entropy"])
def test_other_names_of_recipes_are_known(name):
    probabilities = np.array([[0.2, 0.9], [0.4, 0.1]])
    mask = np.array([[0, 1], [1, 0]])
    view = microscope(name, probabilities, mask)
    assert view.name == "bce"
    assert view.value == microscope("bce", probabilities, mask).value


def test_an_area_is_said_and_a_box_is_drawn_around_its_pixels():
    area = microscope("area_bounds", probabilities(), (20.0, 40.0))
    assert area.maps["probabilities"].sum() == pytest.approx(probabilities().sum(), rel=1e-6)
    assert f"{probabilities().sum():.4g} px; wanted are 20 to 40 px" in area.notices[-1]
    view = microscope("projection", probabilities(), (3.0, 4.0, 8.0, 9.0))
    assert np.allclose(view.maps["largest of each row"][:, 5], probabilities().max(1))
    assert np.allclose(view.maps["largest of each column"][5], probabilities().max(0))
    box = view.marks["true outline"]
    assert box[:, :2].tolist() == [[2.5, 3.5], [8.5, 3.5], [8.5, 9.5], [2.5, 9.5]]
    assert not (box[:, 2:].sum(0)).any()
    clicked = np.array([[3, 5], [6, 4], [8, 5], [6, 9]], float)
    assert np.array_equal(microscope("projection", probabilities(), clicked).marks["true outline"], box)
