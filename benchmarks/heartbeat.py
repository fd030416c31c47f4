"""How long the window keeps still while a network trains: gaps between the beats of a 10 ms Qt timer.

    xvfb-run -a python benchmarks/heartbeat.py [--seconds 60]

The real widget in a real viewer, with the bundled slices, trains with its curves and its live preview. A
beat that comes late means that something held the window's thread; a gap is the time between two beats. The
same is measured before training starts, which tells what the machine itself does.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_segsize import samples
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.project import PlaneRef
from napari_segsize.widgets.main import TITLES, SegsizeWidget


def gaps(seconds: float) -> np.ndarray:
    """Milliseconds between beats while events are handled."""
    beats: list[float] = []
    timer = QTimer()
    timer.setInterval(10)
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.0005)
    timer.stop()
    return np.array([1000 * (after - before) for before, after in itertools.pairwise(beats)])


def row(name: str, found: np.ndarray) -> None:
    """Print one line of the table."""
    half, most = np.percentile(found, [50, 99])
    late = int((found > 100).sum())
    print(f"| {name} | {len(found)} | {half:.0f} | {most:.0f} | {found.max():.0f} | {late} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    with samples.write_sample_project(folder / "project") as project:
        masks = samples.sample_masks(project)
        for number, (plane, mask) in enumerate(masks.items()):
            if number % 8 == 0 or project.image(plane.image).split != "train":
                project.put_mask(plane, mask.astype(np.int32))
    viewer = napari.Viewer()
    widget = SegsizeWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segsize")
    while widget.controller.state.engine == "loading":
        QApplication.processEvents()
    widget.controller.open_project(folder / "project")
    widget.controller.show(PlaneRef(1, 3))
    widget.tabs.setCurrentIndex(TITLES.index("Train"))
    gaps(5)
    print(f"napari {napari.__version__}, {os.cpu_count()} cores")
    print("| | beats | median gap, ms | 99 %, ms | longest, ms | over 100 ms |\n|---|---|---|---|---|---|")
    row("idle", gaps(10))
    widget.controller.train(PretrainConfig(patience=0), FineTuneConfig())
    while widget.controller.state.step < 1:
        QApplication.processEvents()
    row("training", gaps(options.seconds))
    widget.controller.stop()
    begun = time.perf_counter()
    while widget.controller.state.busy:
        QApplication.processEvents()
    print(
        f"\nStop answered after {time.perf_counter() - begun:.2f} s at step {widget.controller.state.step}."
    )
    viewer.close()


if __name__ == "__main__":
    main()
