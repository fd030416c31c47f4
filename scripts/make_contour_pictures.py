"""Make the pictures of contours: ``xvfb-run -a python scripts/make_contour_pictures.py IMAGE LABELS``.

IMAGE is a microscopy image and LABELS its instance labels, which play the annotator: each nucleus gets four
clicks. The page Contours is photographed with half of them accepted, and one nucleus at every step of its
evolution. The pictures in the docs are of BBBC038 (Broad Bioimage Benchmark Collection, CC0).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import napari
import numpy as np
import torch
from qtpy.QtWidgets import QApplication

from napari_segsize.engine.closeup import outline_points
from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets.main import TITLES, SegsizeWidget

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SHOWN = 12  # objects that are clicked
PATIENCE = 300.0


def until(condition: Callable[[], bool]) -> None:
    """Let the window live until something is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit("The picture did not become possible in time.")
        QApplication.processEvents()
        time.sleep(0.01)


def pause(seconds: float = 2.0) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def clicks(labels: np.ndarray) -> list[np.ndarray]:
    """Four extreme points of the largest objects; the largest one is kept for the evolution."""
    numbers, areas = np.unique(labels[labels > 0], return_counts=True)
    chosen = numbers[np.argsort(areas)[::-1][: SHOWN + 1]]
    return [outline_points(torch.from_numpy(labels == number)[None, None])[0, 0].numpy() for number in chosen]


def main() -> None:
    """Click, wait for the contours, and take the pictures."""
    image, labels = Path(sys.argv[1]), iio.imread(sys.argv[2])
    folder = Path(tempfile.mkdtemp()) / "project"
    with Project.create(folder) as project:
        plane = PlaneRef(project.add_files(image)[0].id)
    viewer = napari.Viewer(title="Segsize")
    _, widget = viewer.window.add_plugin_dock_widget("napari-segsize", "Segsize")
    assert isinstance(widget, SegsizeWidget)
    viewer.window.resize(1500, 950)
    controller = widget.controller
    until(lambda: controller.state.engine != "loading")
    controller.open_project(folder)
    controller.show(plane)
    widget.tabs.setCurrentIndex(TITLES.index("Contours"))
    pause()
    desk, (largest, *objects) = controller.contours, clicks(labels)
    for points in objects:
        for y, x in points.tolist():
            desk.click(plane, (y, x))
        pause(0.2)
    until(lambda: controller.state.board.count("review") == len(objects))
    pause()
    names = [each.object for each in controller.state.board.objects]
    for name in names[: SHOWN // 2]:
        desk.accept(name)
    desk.select(names[-1])
    pause()
    viewer.screenshot(str(IMAGES / "contours.png"), canvas_only=False, flash=False)
    evolution(viewer, widget, largest)
    viewer.close()


def evolution(viewer: napari.Viewer, widget: SegsizeWidget, points: np.ndarray) -> None:
    """A small circle drawn in the middle of an object, at every step, side by side."""
    desk = widget.controller.contours
    middle, extent = points.mean(0), float(np.ptp(points, axis=0).max())
    before = {each.object for each in widget.controller.state.board.objects}
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = middle + 0.3 * extent * np.stack([np.sin(angle), np.cos(angle)], 1)
    desk.set_config(EvolveConfig(iterations=4))
    desk.start_from_outlines([circle])
    until(lambda: widget.controller.state.board.count("review") > SHOWN // 2)
    outline = next(each for each in widget.controller.state.board.objects if each.object not in before)
    desk.select(outline.object)
    viewer.camera.center = tuple(middle)
    viewer.camera.zoom = 300 / extent
    frames = []
    for step in range(len(outline.steps)):
        desk.show_step(outline.object, step)
        pause(0.7)
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
        height, width = picture.shape[:2]
        top, left = height // 2 - 200, width // 2 - 200
        frames.append(picture[top : top + 400, left : left + 400])
    gap = np.full((400, 8, 3), 255, np.uint8)
    row = [part for frame in frames for part in (frame, gap)][:-1]
    iio.imwrite(IMAGES / "evolution.png", np.concatenate(row, 1))


if __name__ == "__main__":
    main()
