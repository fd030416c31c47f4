from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segsize.engine.microscope import inspect_plane, inspect_steps
from napari_segsize.ops import object_size
from napari_segsize.project.annotation import object_size_of


def plane(height=12, width=14):
    return np.zeros((height, width), np.int32)


def exact_gradient(probs, target):
    """dE/dp by enumerating every mask."""
    shape, flat = probs.shape, probs.ravel()
    masks = np.array(list(itertools.product([False, True], repeat=flat.size)))
    sizes = object_size(torch.from_numpy(masks.reshape(-1, 1, *shape)))[:, 0].numpy()
    losses = (target - sizes) ** 2
    out = np.zeros(flat.size)
    for i in range(flat.size):
        others = np.delete(np.where(masks, flat, 1 - flat), i, axis=1).prod(1)
        out[i] = (losses * others * np.where(masks[:, i], 1, -1)).sum()
    return out.reshape(shape)


def test_a_square_is_its_own_largest_square():
    labels = plane()
    labels[3:9, 4:10] = 7
    (seen,) = inspect_plane(labels, samples=()).objects
    assert (seen.label, seen.area, seen.size) == (7, 36, 6.0)
    assert seen.squares == ((5.5, 6.5),)
    assert seen.hard_centroid == (5.5, 6.5)


def test_two_largest_squares_are_both_shown():
    labels = plane(9, 22)
    labels[2:7, 2:7] = labels[2:7, 14:19] = 1
    labels[4, 7:14] = 1  # a thin bridge: one object with two places
    (seen,) = inspect_plane(labels, samples=()).objects
    assert seen.squares == ((4.0, 4.0), (4.0, 16.0))


def test_a_bent_plateau_is_marked_on_itself():
    labels = plane(20, 20)
    labels[2:5, 2:18] = labels[2:18, 2:5] = 1
    (seen,) = inspect_plane(labels, samples=()).objects
    (place,) = seen.squares
    assert inspect_plane(labels, samples=()).distance[tuple(int(c) for c in place)] == 2


@settings(max_examples=50, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(-1, 3)))
def test_sizes_are_those_of_each_label_alone(labels):
    view = inspect_plane(labels, samples=())
    assert [each.label for each in view.objects] == sorted(set(labels.ravel().tolist()) - {0})
    for each in view.objects:
        mask = labels == each.label
        assert each.size == object_size_of(mask)
        assert each.size == 2 * view.distance[mask].max()
        assert np.allclose(each.hard_centroid, np.argwhere(mask).mean(0))
    assert (view.distance[labels == 0] == 0).all()


def test_probabilities_are_split_into_parts_that_do_not_touch():
    probs = np.full((10, 10), 0.1)
    probs[1:4, 1:4] = 0.9
    probs[4, 4] = 0.9  # touches at a corner: the same object
    probs[7:9, 7:9] = 0.8
    assert [each.area for each in inspect_plane(probs, samples=()).objects] == [10, 4]


def test_a_soft_centroid_feels_the_background_and_not_other_objects():
    labels = plane(20, 20)
    labels[2:6, 2:6] = 1
    alone = inspect_plane(labels, samples=(), confidence=3).objects[0]
    sure = inspect_plane(labels, samples=(), confidence=20).objects[0]
    assert alone.soft_centroid[0] > alone.hard_centroid[0]
    assert np.allclose(sure.soft_centroid, sure.hard_centroid, atol=1e-4)
    labels[14:18, 14:18] = 2
    first = inspect_plane(labels, samples=(), confidence=20).objects[0]
    assert np.allclose(first.soft_centroid, (3.5, 3.5), atol=1e-4)


def test_the_gradient_is_unbiased():
    logits = np.random.default_rng(0).normal(0, 1, (3, 3)).astype(np.float32)
    mask = logits > 0
    view = inspect_plane(mask, samples=(20_000,), logits=logits, target=4.0)
    exact = exact_gradient(1 / (1 + np.exp(-logits.astype(float))), 4.0)
    assert np.abs(view.gradients[20_000] - exact).max() < 0.35  # four standard errors of a loss of up to 16


def test_the_gradient_pulls_the_right_way():
    labels = plane(16, 16)
    labels[4:10, 4:10] = 1
    too_large = inspect_plane(labels, samples=(64,), target=2.0, confidence=6).gradients[64]
    too_small = inspect_plane(labels, samples=(64,), target=12.0, confidence=6).gradients[64]
    inside = labels > 0
    assert too_large[inside].sum() > 0  # the object should shrink
    assert too_small[inside].sum() < 0


def test_more_confidence_brings_the_sampled_size_to_the_size():
    labels = plane(24, 24)
    labels[4:20, 4:20] = 1
    vague, sure = (inspect_plane(labels, samples=(32,), confidence=c).sampled_sizes[32] for c in (1, 12))
    assert vague < 8 < 15.9 <= sure


def test_the_same_seed_shows_the_same_picture_and_another_one_does_not():
    labels = plane()
    labels[3:9, 4:10] = 1
    views = [inspect_plane(labels, samples=(1, 8), target=10, seed=s, confidence=2) for s in (0, 0, 1)]
    pictures = [view.gradients[8] for view in views]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_the_focus_says_whose_gradient_it_is():
    labels = plane(20, 30)
    labels[2:8, 2:8] = 1
    labels[10:18, 20:28] = 5
    assert inspect_plane(labels, samples=()).focus == 5  # the largest
    view = inspect_plane(labels, samples=(8,), focus=1, target=2)
    assert view.focus == 1
    assert (view.gradients[8][labels == 5] == 0).all()
    assert view.gradients[8][labels == 1].any()


def test_a_large_plane_is_looked_at_through_a_window():
    labels = plane(400, 300)
    labels[200:220, 100:130] = 1
    view = inspect_plane(labels, samples=(1,), target=10)
    height, width = view.gradients[1].shape
    assert (view.window.bottom - view.window.top, view.window.right - view.window.left) == (height, width)
    assert (view.labels[view.window.slices] == 1).sum() == 600
    assert height * width < 5000


def test_it_stops_when_asked():
    labels = plane()
    labels[3:9, 4:10] = 1
    answers = iter([False] * 3)  # for the object, for the view, for n = 1
    seen = list(inspect_steps(labels, samples=(1, 100_000_000), stopped=lambda: next(answers, True)))
    assert [list(each.gradients) for each in seen] == [[], [1]]


def test_nothing_to_see():
    view = inspect_plane(plane())
    assert view.objects == ()
    assert view.gradients == {}
    assert view.focused is None
    assert math.isnan(view.target)


def test_an_image_without_background():
    (seen,) = inspect_plane(np.ones((4, 6), np.uint8), samples=(1,)).objects
    assert seen.size == 12.0


@pytest.mark.parametrize("wrong", [np.zeros(4), np.zeros((2, 3, 4)), np.zeros((0, 3))])
def test_other_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        inspect_plane(wrong)


def test_logits_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="logits"):
        inspect_plane(plane(), logits=np.zeros((2, 2), np.float32))


def test_a_view_that_was_stopped_half_way_is_not_shown():
    labels = plane()
    labels[3:9, 4:10] = 1
    assert list(inspect_steps(labels, stopped=lambda: True)) == []
