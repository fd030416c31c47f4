#!/usr/bin/env bash
# check-wheel.sh PYTHON WHEEL: install the wheel with its own requirements, no extra, into a new environment, and use
# it there from an empty folder: what pip users get before they choose a Qt binding.
set -eu -o pipefail
python=$(realpath -s "$1") wheel=$(realpath "$2") constraints=$(realpath "$(dirname "$0")/../constraints.txt")
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
"$python" -m venv clean
clean/bin/python -m pip install --quiet --constraint "$constraints" "$wheel"
unset PYTHONPATH
clean/bin/npe2 validate napari-segsize
clean/bin/segsize --help >/dev/null
clean/bin/python - "$room" <<'CHECK'
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from npe2 import PluginManager

import napari_segsize
from napari_segsize.samples import hippocampus, write_sample_project

assert Path(napari_segsize.__file__).is_relative_to(sys.argv[1]), napari_segsize.__file__
manager = PluginManager()
manager.discover()
manifest = manager.get_manifest("napari-segsize")
assert [widget.display_name for widget in manifest.contributions.widgets] == ["Segsize"]
for qt in ("PyQt5", "PyQt6", "PySide6", "torchvision"):
    assert importlib.util.find_spec(qt) is None, f"{qt} came with the base install"
with write_sample_project("project") as project:
    assert len(project.planes()) == len(hippocampus().images)
assert importlib.metadata.version("napari-segsize") == napari_segsize.__version__
print(f"The wheel of napari-segsize {napari_segsize.__version__} works in a clean environment, without Qt.")
CHECK
