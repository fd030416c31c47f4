"""The page of the loss microscope in a window of napari, with a project of an image and a stack."""

from __future__ import annotations

import numpy as np
import pytest
from shown_page import shown

from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets.loss_inspector import LossInspector
from napari_segsize.widgets.shelf import role_of

SHAPE = (32, 40)
PATIENCE = 60_000


def square():
    mask = np.zeros(SHAPE, np.int32)
    mask[8:20, 10:26] = 1
    return mask


def smooth():
    """The square, and a ghost that is not in the target."""
    probs = 0.1 + 0.8 * square()
    probs[24:28, 30:36] = 0.7
    return probs.astype(np.float32)


@pytest.fixture
def page(make_napari_viewer, qtbot, tmp_path):
    with Project.create(tmp_path / "p") as project:
        project.add_array("a", np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE))
        project.add_array(
            "s", np.zeros((3, *SHAPE), np.uint8), kind="stack", spacing=(2.0, 0.5, 0.5), unit="mm"
        )
        project.put_mask(PlaneRef(1), square())
        project.put_mask(PlaneRef(2, 1), square())
    with shown(LossInspector, make_napari_viewer(), qtbot, tmp_path / "p") as page:
        page.viewer = page.layers.viewer
        page.render(page.controller.state)
        qtbot.waitUntil(page.loss.isEnabled, timeout=PATIENCE)
        yield page
        page.hide()
        qtbot.waitUntil(lambda: not page.microscope.busy and page._loading is None, timeout=PATIENCE)


def seen(page, qtbot, name=None):
    """Wait for the view of what is chosen now."""
    if name is not None:
        page.loss.choose(name)
    qtbot.waitUntil(
        lambda: (
            page._seen is not None
            and not page.microscope.busy
            and not page._timer.isActive()
            and page._seen.asked.request.name == page.loss.entry.name
        ),
        timeout=PATIENCE,
    )
    return page._seen.view


def says(page, qtbot, words):
    qtbot.waitUntil(lambda: words in page.notices.text(), timeout=PATIENCE)


def ours(page):
    return {layer.name for layer in page.viewer.layers if (role_of(layer) or "").startswith("loss")}
