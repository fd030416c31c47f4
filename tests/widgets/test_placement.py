from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels, Points

from napari_segsize.widgets.placement import TRANSFORM_EVENTS, like, place

# Slices of rotated volumes: what is checked here is where things lie, not how they are cut.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

UNITS = ("pixel", "um", "mm", "nm")


@st.composite
def placed_images(draw):
    ndim = draw(st.sampled_from([2, 3]))

    def numbers(n, low, high):
        return draw(st.lists(st.floats(low, high, allow_subnormal=False), min_size=n, max_size=n))

    affine = np.eye(ndim + 1)
    affine[:ndim, :ndim] += np.reshape(numbers(ndim**2, -0.2, 0.2), (ndim, ndim))
    affine[:ndim, -1] = numbers(ndim, -50, 50)
    angles = numbers(3, -180, 180)
    return Image(
        np.zeros((4, 5, 6)[-ndim:]),
        scale=numbers(ndim, 0.1, 10),
        translate=numbers(ndim, -100, 100),
        rotate=angles if ndim == 3 else angles[0],
        shear=numbers(ndim * (ndim - 1) // 2, -0.5, 0.5),
        affine=affine,
        units=[draw(st.sampled_from(UNITS))] * ndim,
        axis_labels=["z", "y", "x"][-ndim:],
    )


def rims(layer, offset):
    corners = np.stack(np.meshgrid(*[[0, side - 1] for side in (4, 5, 6)[-layer.ndim :]], indexing="ij"), -1)
    return [(corner - offset, corner) for corner in corners.reshape(-1, layer.ndim)]


@settings(max_examples=60, deadline=None)
@given(placed_images(), st.tuples(*[st.floats(-5, 9, allow_subnormal=False)] * 3))
def test_a_copy_lies_exactly_on_the_original(image, offset):
    offset = np.array(offset[-image.ndim :])
    copies = (
        Points(np.zeros((1, image.ndim)), **like(image, offset)),
        Labels(np.zeros((2,) * image.ndim, int), **like(image, offset)),
    )
    for copy in copies:
        for there, here in rims(image, offset):
            assert np.allclose(copy.data_to_world(there), image.data_to_world(here), atol=1e-4)
        assert copy.units == image.units
        assert copy.axis_labels == image.axis_labels


@settings(max_examples=30, deadline=None)
@given(placed_images())
def test_an_existing_layer_moves_to_the_same_place(image):
    points = Points(np.zeros((1, image.ndim)))
    place(points, like(image))
    for there, here in rims(image, np.zeros(image.ndim)):
        assert np.allclose(points.data_to_world(there), image.data_to_world(here), atol=1e-4)


@pytest.mark.parametrize("name", TRANSFORM_EVENTS)
def test_nothing_is_set_that_is_already_so(name):
    image, points = Image(np.zeros((4, 4)), scale=(2, 2)), Points(np.zeros((1, 2)))
    place(points, like(image))
    seen = []
    getattr(points.events, name).connect(lambda event: seen.append(name))
    place(points, like(image))
    assert seen == []
