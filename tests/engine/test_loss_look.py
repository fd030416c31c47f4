"""A loss on one plane of layers: what is taken from the mask, what is said, what is refused."""

import numpy as np
import pytest

from napari_segsize.engine.loss_catalogue import catalogue
from napari_segsize.engine.loss_look import LossRequest, look_at_loss, looks_at_loss, warm_up
from napari_segsize.losses import LOSSES
from napari_segsize.losses.microscope import microscope

SHAPE = (24, 28)


@pytest.fixture
def target():
    labels = np.zeros(SHAPE, np.int32)
    labels[4:14, 5:15] = 1
    return labels


@pytest.fixture
def probs(target):
    return (0.1 + 0.8 * np.roll(target, 2, 1)).astype(np.float32)


def entry(name):
    return next(each for each in catalogue() if each.name == name)


def test_the_catalogue_names_every_loss_and_its_options():
    assert {each.name for each in catalogue()} == set(LOSSES)
    erosion = {each.name: each for each in entry("hausdorff_erosion").options}
    assert list(erosion) == ["alpha", "erosions", "erosion"]
    assert erosion["erosion"].choices == ("gain", "grey", "literal", "stretch")
    assert erosion["erosions"].kind == "whole"
    assert "5 to 20" in erosion["erosions"].help
    patch = next(each for each in entry("topology").options if each.name == "patch")
    assert patch.optional
    assert patch.kind == "whole"
    assert not any(each.reason for each in catalogue())
    acts = {each.acts_on for each in catalogue()}
    assert acts == {"pixels", "edges", "contour", "phi", "field"}
    assert [each.name for each in entry("curvature").options] == ["squared", "invariant"]
    assert entry("phi_distance").options[0].optional


def test_every_option_has_help_without_markup_and_choices_where_it_is_a_choice():
    for each in catalogue():
        for option in each.options:
            assert option.help, (each.name, option.name)
            assert not set("`*") & set(option.help), (each.name, option.name)
            assert (option.kind == "choice") == bool(option.choices), (each.name, option.name)


@pytest.mark.parametrize("name", [each.name for each in catalogue()])
def test_every_loss_can_be_looked_at_with_its_default_options(name, probs, target):
    wanted = probs if entry(name).needs == "image" else target
    options = {each.name: each.default for each in entry(name).options}
    view = look_at_loss(LossRequest(name=name, prediction=probs, target=wanted, options=options))
    assert np.isfinite(view.value)
    assert view.gradient.shape == {"contour": (48, 2), "field": (2, *SHAPE)}.get(entry(name).acts_on, SHAPE)


def test_sizes_centres_areas_and_boxes_are_taken_from_the_mask(probs, target):
    said = {
        name: " ".join(look_at_loss(LossRequest(name=name, prediction=probs, target=target)).notices)
        for name in ("size", "centroid", "area_bounds", "projection")
    }
    assert "10 px" in said["size"]
    assert "(8.5, 9.5)" in said["centroid"]
    assert "90 to 110" in said["area_bounds"]
    assert "extreme points" in said["projection"]


def test_stamps_stand_in_for_an_empty_mask_only(probs, target):
    request = {"prediction": probs, "size": 20.0, "centre": (3.0, 4.0)}
    empty = LossRequest(name="size", target=0 * target, **request)
    assert look_at_loss(empty).notices[0] == "The size to learn is that of the stamp."
    assert look_at_loss(LossRequest(name="centroid", target=0 * target, **request)).value > 0
    assert "10 px" in look_at_loss(LossRequest(name="size", target=target, **request)).notices[0]


def test_the_sampled_gradient_of_the_size_is_the_same_at_every_look(probs, target):
    request = LossRequest(name="size", prediction=probs, target=target, options={"samples": 4})
    assert np.array_equal(look_at_loss(request).gradient, look_at_loss(request).gradient)


def test_labels_are_one_mask_and_that_is_said(probs, target):
    target[18:22, 18:22] = 7
    view = look_at_loss(LossRequest(name="dice", prediction=target, target=target))
    assert view.notices[:2] == (
        "The prediction's 2 labels are taken together, as one mask.",
        "The target's 2 labels are taken together, as one mask.",
    )
    assert view.value == pytest.approx(0, abs=1e-4)


def test_spacing_is_that_of_the_layer(probs, target):
    request = LossRequest(
        name="hausdorff", prediction=probs, target=target, spacing=(2.0, 2.0), options={"spacing": True}
    )
    expected = microscope("hausdorff", probs, target, spacing=(2.0, 2.0)).value
    assert look_at_loss(request).value == expected
    pixels = LossRequest(name="hausdorff", prediction=probs, target=target, options={"spacing": False})
    assert look_at_loss(pixels).value == pytest.approx(expected / 4)


def test_probabilities_in_bytes_are_shares(probs, target):
    stored = np.round(probs * 255).astype(np.uint8)
    view = look_at_loss(LossRequest(name="dice", prediction=stored, target=target, kind="probabilities"))
    assert view.value == pytest.approx(microscope("dice", probs, target).value, abs=5e-3)
    assert "shares of 255" in view.notices[0]


def test_an_empty_target_is_said_once(probs, target):
    for name in ("dice", "boundary"):
        view = look_at_loss(LossRequest(name=name, prediction=probs, target=0 * target))
        assert sum("target is empty" in each for each in view.notices) == 1


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("dice", {"target": np.ones((5, 6), np.int32)}, "24 x 28 pixels and the target 5 x 6"),
        ("centroid", {"target": np.zeros(SHAPE, np.int32)}, "no centre"),
        ("projection", {"target": np.zeros(SHAPE, np.int32)}, "no box"),
        ("dice", {"prediction": np.full(SHAPE, np.nan)}, "nan at (0, 0)"),
        ("dice", {"prediction": np.full(SHAPE, 3.0), "kind": "probabilities"}, "probabilities from 0 to 1"),
        ("dice", {"target": None}, "needs the mask"),
    ],
)
def test_what_cannot_be_looked_at_is_one_sentence(name, change, words, probs, target):
    request = {"prediction": probs, "target": target, **change}
    (said,) = looks_at_loss(LossRequest(name=name, **request))
    assert isinstance(said, str)
    assert words in said


def test_warming_up_compiles_every_kernel():
    from napari_segsize.ops import _skeleton_kernels, _topology_kernels

    assert list(warm_up()) == ["boundary", "cldice", "topology", "size", "contour_segmentation"]
    for kernel in (
        _skeleton_kernels.erode,
        _skeleton_kernels.dilate_backward,
        _skeleton_kernels.thickness,
        _topology_kernels.part_pairs,
        _topology_kernels.hole_pairs,
    ):
        assert kernel.signatures
