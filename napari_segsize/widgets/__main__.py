"""``python -m napari_segsize.widgets [PROJECT]``: napari with Segsize docked, the project open in it.

``segsize run`` starts this in a process of its own, so that the command line needs no window. With
``--screenshot`` it takes a picture of the whole window and ends: what `make run` does without a display.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_segsize.widgets.main import SegsizeWidget

SIZE = (1500, 950)  # of the window in a picture
PAUSE_MS = 3000  # for napari to draw, and for the state to reach the pages


def main(arguments: Sequence[str] | None = None) -> None:
    """Open napari; return when its window is closed, or when the picture is taken."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_segsize.widgets", description="napari with Segsize in a dock"
    )
    parser.add_argument("project", type=Path, nargs="?", help="folder of a project, or its .segsize file")
    parser.add_argument("--screenshot", type=Path, metavar="PNG", help="take a picture and end")
    chosen = parser.parse_args(arguments)

    import napari
    from qtpy.QtCore import QTimer

    viewer = napari.Viewer(title="Segsize")
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-segsize", "Segsize")
    if chosen.project is not None:
        cast("SegsizeWidget", widget).controller.open_project(chosen.project)
    if chosen.screenshot is not None:
        viewer.window.resize(*SIZE)

        def take() -> None:
            chosen.screenshot.parent.mkdir(parents=True, exist_ok=True)
            viewer.screenshot(str(chosen.screenshot), canvas_only=False, flash=False)
            viewer.close()

        QTimer.singleShot(PAUSE_MS, take)
    napari.run()


if __name__ == "__main__":
    main()
