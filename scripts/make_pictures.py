"""Make the pictures of the docs from the real plugin: ``xvfb-run -a python scripts/make_pictures.py``.

A project of the bundled slices gets 26 masks and a stamp on every other training slice, and is trained for a
minute or two; the pages are photographed on the way. Nothing is drawn by hand.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import torch
from qtpy.QtWidgets import QApplication

from napari_segsize import samples
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.ops import centroid, object_size
from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets.main import TITLES, SegsizeWidget

IMAGES = Path(__file__).parent.parent / "docs" / "images"
EVERY = 8  # every eighth training slice has a mask
PATIENCE = 900.0  # seconds for a picture to become possible


def annotate(project: Project) -> PlaneRef:
    """Masks for few, stamps for many; a stamped plane with a large object is returned."""
    shown, largest = PlaneRef(1), 0.0
    with project.step("Annotations of the bundled sample"):
        for number, (plane, mask) in enumerate(samples.sample_masks(project).items()):
            training = project.image(plane.image).split == "train"
            if not training or number % EVERY == 0:
                project.put_mask(plane, mask.astype(np.int32))
            elif mask.any():
                tensor = torch.from_numpy(mask)[None, None]
                y, x = centroid(tensor.float())[0, 0].tolist()
                size = object_size(tensor).item()
                project.put_stamp(plane, size, centre=(y, x))
                if size > largest:
                    shown, largest = plane, size
    return shown


def until(condition: Callable[[], bool]) -> None:
    """Let the window live until something is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit("The picture did not become possible in time.")
        QApplication.processEvents()
        time.sleep(0.01)


def pause(seconds: float = 3.0) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def main() -> None:
    """Annotate, train, and take the pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp()) / "project"
    with samples.write_sample_project(folder) as project:
        shown = annotate(project)
    viewer = napari.Viewer(title="Segsize")
    _, widget = viewer.window.add_plugin_dock_widget("napari-segsize", "Segsize")
    assert isinstance(widget, SegsizeWidget)
    viewer.window.resize(1500, 950)

    def picture(name: str, page: str) -> None:
        widget.tabs.setCurrentIndex(TITLES.index(page))
        pause()
        viewer.screenshot(str(IMAGES / name), canvas_only=False, flash=False)

    controller = widget.controller
    until(lambda: controller.state.engine != "loading")
    controller.open_project(folder)
    controller.show(shown)
    picture("project.png", "Project")
    picture("annotate.png", "Annotate")
    widget.tabs.setCurrentIndex(TITLES.index("Train"))
    controller.train(PretrainConfig(steps=300, patience=0), FineTuneConfig(steps=200, patience=0))
    until(lambda: controller.state.stage == "finetune" and controller.state.step >= 120)
    picture("widget.png", "Train")
    until(lambda: not controller.state.busy)
    picture("trained.png", "Train")
    controller.predict_plane()
    picture("inspect.png", "Inspect")
    viewer.close()


if __name__ == "__main__":
    main()
