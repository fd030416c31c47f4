"""What the status line says of events."""

from __future__ import annotations

from napari_segsize.engine.events import Started
from napari_segsize.widgets.state import State, after


def test_one_mask_is_said_as_one():
    said = after(State(), Started(stage="edges", device="CPU", steps=3, masks=1, sizes=2)).message
    assert said == "Learning edges on CPU: 1 mask, 2 sizes"
