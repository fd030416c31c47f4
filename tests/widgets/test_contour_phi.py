"""Where the level set lies on the image, and which step of it is shown."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_segsize.widgets.contour_drawing import Wanted
from napari_segsize.widgets.contour_phi import ROLES, PhiDrawing
from napari_segsize.widgets.contour_state import LevelSet, Outline
from napari_segsize.widgets.shelf import Shelf

SIDE = 16
ALL = Wanted(overlays=frozenset(ROLES))


def outline(step: int = 1, scale: float = 2.0) -> Outline:
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    phi = np.stack([radius - np.hypot(y, x) for radius in (3.0, 5.0)]).astype(np.float32)
    modulation = np.full((SIDE, SIDE), 0.25, np.float32)
    found = LevelSet(phi=phi, modulation=modulation, centre=(20.0, 30.0), scale=scale)
    steps = np.zeros((2, 4, 2), np.float32)
    return Outline(object="a", number=1, status="review", steps=steps, step=step, levelset=found)


@pytest.fixture(params=[2, 3])
def base(request):
    ndim = request.param
    viewer = ViewerModel(ndisplay=2)
    layer = Image(
        np.zeros((4, 50, 60)[-ndim:]), scale=(3.0, 0.5, 0.5)[-ndim:], translate=(7.0, -2.0, 4.0)[-ndim:],
        rotate=20 if ndim == 2 else None, units=["um"] * ndim,
    )  # fmt: skip
    viewer.add_layer(layer)
    return viewer, layer


def test_each_pixel_lies_where_it_was_looked_at(base):
    viewer, image = base
    shelf = Shelf(viewer)
    PhiDrawing(shelf).show(image, 2, outline(), ALL)
    more = (2.0,) if image.ndim == 3 else ()
    for role in ROLES:
        layer = shelf.get(role)
        assert layer.data.shape == (1,) * (image.ndim - 2) + (SIDE, SIDE)
        for pixel, place in (((7.5, 7.5), (20.0, 30.0)), ((0.0, 15.0), (5.0, 45.0))):
            here = layer.data_to_world((*(0.0,) * len(more), *pixel))
            assert here == pytest.approx(image.data_to_world((*more, *place)), abs=1e-4)
        assert layer.units == image.units


def test_the_step_that_is_shown_or_played_is_drawn(base):
    viewer, image = base
    shelf = Shelf(viewer)
    drawing, meant = PhiDrawing(shelf), outline()
    drawing.show(image, 0, meant, ALL)
    layer = shelf.get("level set")
    assert np.array_equal(layer.data.squeeze(), meant.levelset.phi[1])
    drawing.show(image, 0, meant, Wanted(overlays=frozenset(ROLES), playing={"a": 0}))
    assert shelf.get("level set") is layer
    assert np.array_equal(layer.data.squeeze(), meant.levelset.phi[0])
    line = np.abs(meant.levelset.phi[0]) < 0.5
    assert shelf.get("curvature").data.squeeze()[line] == pytest.approx(-1 / 3, abs=0.12)
    assert (shelf.get("modulation").data == 0.25).all()


def test_what_is_not_asked_for_is_taken_away(base):
    viewer, image = base
    shelf = Shelf(viewer)
    drawing = PhiDrawing(shelf)
    drawing.show(image, 0, outline(), ALL)
    drawing.show(image, 0, outline(), Wanted(overlays=frozenset({"modulation"})))
    assert [shelf.get(role) is not None for role in ROLES] == [False, False, True]
    plain = Outline(object="b", number=2, status="review")
    drawing.show(image, 0, plain, ALL)
    layer = shelf.get("modulation")
    assert not layer.visible
    drawing.show(image, 0, outline(), ALL)
    assert shelf.get("modulation") is layer
    assert layer.visible
    layer.visible = False  # the user's own choice
    drawing.show(image, 0, plain, ALL)
    drawing.show(image, 0, outline(), ALL)
    assert not layer.visible
    image.translate = np.array(image.translate) + 5
    drawing.place(image)
    corner = shelf.get("level set").data_to_world((0.0,) * (image.ndim - 2) + (7.5, 7.5))
    assert corner == pytest.approx(image.data_to_world((0.0,) * (image.ndim - 2) + (20.0, 30.0)), abs=1e-4)
    drawing.remove()
    assert len(viewer.layers) == 1


def test_the_colour_changes_at_the_line(base):
    viewer, image = base
    shelf = Shelf(viewer)
    PhiDrawing(shelf).show(image, 0, outline(), ALL)
    layer = shelf.get("level set")
    low, middle, high = layer.colormap.map(np.array([0.1, 0.5, 0.9]))[:, :3]
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert middle.max() < 0.1
    assert layer.contrast_limits == [-30 / 256 * SIDE, 30 / 256 * SIDE]
