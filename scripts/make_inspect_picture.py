"""Make the pictures of the loss microscope: ``xvfb-run -a python scripts/make_inspect_picture.py``.

The ring of `loss_pictures` in a window of napari: its mask in a project, its prediction as a layer. The page
Inspect shows the persistence diagram, and one of its dots is clicked; then a contour of which one vertex is
moved. Nothing is drawn by hand.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from loss_pictures import prediction, truth
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets.main import TITLES, SegsizeWidget

FILE = Path(__file__).parent.parent / "docs" / "images" / "loss-microscope.png"
CONTOUR = FILE.with_stem("loss-microscope-contour")
PATIENCE = 300.0


def until(condition: Callable[[], bool]) -> None:
    """Let the window live until something is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit("The picture did not become possible in time.")
        QApplication.processEvents()
        time.sleep(0.01)


def pause(seconds: float) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def main() -> None:
    """Open the page, click a dot, take the picture."""
    probabilities, mask = prediction().astype(np.float32), truth()
    folder = Path(tempfile.mkdtemp()) / "project"
    noise = np.random.default_rng(0).normal(0, 12, mask.shape)
    with Project.create(folder) as project:
        project.add_array("ring", (50 + 120 * mask + noise).clip(0, 255).astype(np.uint8))
        project.put_mask(PlaneRef(1), mask.astype(np.int32))
    viewer = napari.Viewer(title="Segsize")
    _, widget = viewer.window.add_plugin_dock_widget("napari-segsize", "Segsize")
    assert isinstance(widget, SegsizeWidget)
    viewer.window.resize(1280, 860)
    widget.controller.open_project(folder)
    widget.controller.show(PlaneRef(1))
    until(lambda: "Mask" in viewer.layers)
    viewer.add_image(probabilities, name="Probabilities", opacity=0.6, colormap="gray")
    viewer.layers.move(viewer.layers.index("Probabilities"), viewer.layers.index("Mask"))
    viewer.layers["Mask"].contour = 1
    widget.tabs.setCurrentIndex(TITLES.index("Inspect"))
    widget.inspect_page.choice.setCurrentIndex(1)
    page = widget.inspect_page.loss_inspector
    until(page.loss.isEnabled)
    page.loss.choose("topology")
    until(lambda: page.diagram is not None and page.diagram.isVisible())
    pause(2)
    diagram = page.diagram
    assert diagram is not None
    spots = diagram.scatter.points()
    unwanted = next(spot for spot in spots if spot.data() == 0)  # the costliest
    diagram.scatter.sigClicked.emit(diagram.scatter, [unwanted], None)
    viewer.reset_view()
    pause(2)
    take(viewer, FILE)
    viewer.layers["Probabilities"].visible = False
    page.loss.choose("contour_segmentation")
    pause(2)
    page.copy.click()
    until(lambda: "Loss gradient" in viewer.layers and not page.microscope.busy)
    drawn = viewer.layers["Drawn contour"]
    vertices = np.array(drawn.data[0])
    middle = vertices.mean(0)
    vertices[4] += 0.5 * (vertices[4] - middle)  # out of the object
    vertices[11] += 0.4 * (middle - vertices[11])  # into it
    drawn.data = [vertices]
    drawn.selected_data = {0}
    pause(2)
    for name in ("ghosts", "misses"):
        page.checks[name].setChecked(True)
    pause(2)
    take(viewer, CONTOUR)
    viewer.close()


def take(viewer: napari.Viewer, file: Path) -> None:
    """Take a picture of the window."""
    viewer.screenshot(str(file), canvas_only=False, flash=False)
    Image.open(file).convert("RGB").save(file, optimize=True)  # a palette would lose the few green pixels


if __name__ == "__main__":
    main()
