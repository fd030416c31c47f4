"""What is drawn of a field: arrows where they act, long enough to be seen."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("qtpy")
from napari_segsize.widgets.contour_drawing import _arrows
from napari_segsize.widgets.contour_state import Field


def field(value: float, scale: float = 1.0) -> Field:
    values = np.zeros((2, 40, 40), np.float32)
    values[0] = value
    return Field(values=values, centre=(50.0, 60.0), scale=scale)


def test_arrows_lie_on_the_region_and_are_displacements():
    arrows, times = _arrows(field(6.0, scale=2.0))
    places, along = arrows[:, 0], arrows[:, 1]
    assert places.mean(0) == pytest.approx([50, 60], abs=2)
    assert (np.ptp(places, axis=0) == 2.0 * 38).all()  # every second of 40 pixels, 2 px each
    assert np.allclose(along, [6, 0])
    assert times == 1


@pytest.mark.parametrize(
    ("value", "scale", "times"), [(0.25, 1.0, 8), (0.25, 2.0, 16), (1e-9, 1.0, 100), (0, 1, 1)]
)
def test_short_ones_are_drawn_as_long_as_their_distance(value, scale, times):
    arrows, found = _arrows(field(value, scale))
    assert found == times
    assert np.allclose(arrows[:, 1], [value, 0])  # the data stay what they are
