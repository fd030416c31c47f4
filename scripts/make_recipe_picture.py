"""Make the picture of the recipe on page Train: ``xvfb-run -a python scripts/make_recipe_picture.py``.

The bundled slices with their masks, the preset for thin structures, and one term more. Nothing is drawn by
hand.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import napari
import numpy as np
from make_inspect_picture import pause, until

from napari_segsize.engine.recipe import preset_text
from napari_segsize.samples import sample_masks, write_sample_project
from napari_segsize.widgets.main import TITLES, SegsizeWidget

FILE = Path(__file__).parent.parent / "docs" / "images" / "recipe.png"


def main() -> None:
    """Open the table, take the picture."""
    folder = Path(tempfile.mkdtemp()) / "project"
    with write_sample_project(folder) as project:
        for plane, mask in list(sample_masks(project).items())[::8]:
            project.put_mask(plane, mask.astype(np.int32))
    viewer = napari.Viewer(title="Segsize")
    _, widget = viewer.window.add_plugin_dock_widget("napari-segsize", "Segsize")
    assert isinstance(widget, SegsizeWidget)
    viewer.window.resize(1280, 860)
    widget.controller.open_project(folder)
    widget.tabs.setCurrentIndex(TITLES.index("Train"))
    table = widget.train_page.loss
    until(table.button.isEnabled)
    table.button.click()
    table.set_recipe(preset_text("thin-structures") + " + 0.01*boundary(edge=between)@increase")
    pause(3)
    table.grab().save(str(FILE))
    viewer.close()


if __name__ == "__main__":
    main()
