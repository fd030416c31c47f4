"""What contours cost the window: taking up the tool, and drawing hundreds that evolve.

    xvfb-run -a python benchmarks/contour_window.py [--contours 500]

Processor time of the window's thread, which other programs do not change: for each turn of Qt's event loop
after the page was shown and after "Four points" was pressed (every layer of contours is made in these
turns), and for each picture of contours of 32 vertices that are all played at once. "As before" draws by
setting all vectors anew.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_segsize.project import Project
from napari_segsize.widgets import contour_drawing
from napari_segsize.widgets.contour_drawing import Wanted
from napari_segsize.widgets.contour_labels import first_labels
from napari_segsize.widgets.contour_shapes import first_polygon
from napari_segsize.widgets.contour_state import Board, Outline
from napari_segsize.widgets.layers import SegsizeLayers

VERTICES, STEPS, PICTURES = 32, 6, 24


def spent(call, *arguments) -> float:
    """Milliseconds of processor time of this thread."""
    begin = time.thread_time()
    call(*arguments)
    return 1000 * (time.thread_time() - begin)


def turns(seconds: float) -> list[float]:
    """Milliseconds of each turn of the event loop."""
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end:
        found.append(spent(QApplication.processEvents))
        time.sleep(0.002)
    return found


def growing(count: int) -> tuple[Outline, ...]:
    """Circles on a grid, each with all its steps."""
    angle = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    ring = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    found = []
    for k in range(count):
        centre = np.array([k // 25 * 50 + 25.0, k % 25 * 40 + 25.0])
        steps = np.stack([centre + ring * (6 + 1.5 * t) for t in range(STEPS)]).astype(np.float32)
        found.append(
            Outline(
                object=f"o{k}", number=k + 1, status="review", steps=steps, step=STEPS - 1,
                present=steps[-1].astype(float),
            )
        )  # fmt: skip
    return tuple(found)


def pictures(layers: SegsizeLayers, board: Board, said) -> tuple[float, float]:
    """Milliseconds a picture: our own work, and what Qt and napari do with it."""
    ours, theirs = [], []
    for k in range(PICTURES):
        layers.contours.wanted = Wanted(playing={each.object: k % (STEPS - 1) for each in board.objects})
        ours.append(spent(layers.show_contours, board, said))
        theirs.append(spent(QApplication.processEvents))
    return float(np.mean(ours)), float(np.mean(theirs))


def _long(found: list[float]) -> str:
    return ", ".join(f"{t:.0f}" for t in found if t > 20)


def all_anew(layer, data) -> None:
    """Draw as before: napari then also makes a new picture for its layer list."""
    layer.data = data


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contours", type=int, default=500)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp()) / "project"
    with Project.create(folder) as project:
        pixels = np.random.default_rng(0).integers(0, 255, (1024, 1024), dtype=np.uint8)
        project.add_array("noise", pixels)
        (plane,) = project.planes()
        viewer = napari.Viewer()
        layers = SegsizeLayers(viewer)
        layers.show_plane(project, plane)
        turns(3)
        said = project.annotation(plane)
        print(
            f"{platform.machine()}, Python {platform.python_version()}, napari {napari.__version__}; seed 0"
        )

        for work in (first_labels(), first_polygon()):  # as the page does in the background when it is shown
            list(work)
        layers.contours.making.may("accepted contours")
        layers.contours.making.may("objects")
        layers.contours.expect(use=True)
        print(f"The page is shown: turns of {_long(turns(2))} ms")

        def begin() -> None:
            layers.use("points")
            layers.show_contours(Board(plane=plane), said)

        first, later = spent(begin), turns(5)
        print(f"Four points: {first:.0f} ms, then turns of {_long(later)} ms")
        board = Board(plane=plane, objects=growing(options.contours))
        layers.show_contours(board, said)
        turns(1)
        for name, move in (("as before", all_anew), ("now", contour_drawing.move)) * 2:
            contour_drawing.move = move
            pictures(layers, board, said)
            ours, theirs = pictures(layers, board, said)
            print(f"{options.contours} contours, {name}: {ours:.1f} + {theirs:.1f} ms a picture", flush=True)
        layers.close()
        viewer.close()


if __name__ == "__main__":
    main()
