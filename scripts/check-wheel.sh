#!/usr/bin/env bash
# check-wheel.sh PYTHON WHEEL [--requirements]: install the wheel into a new environment and use it there, from an
# empty folder and without Qt. The packages it needs are those of PYTHON's environment, which saves minutes and
# gigabytes; with --requirements they are installed anew, without any extra: what `pip install napari-segsize` gives.
set -eu -o pipefail
python=$(realpath -s "$1") wheel=$(realpath "$2") constraints=$(realpath "$(dirname "$0")/../constraints.txt")
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
unset PYTHONPATH
if [ "${3:-}" = --requirements ]; then
  "$python" -m venv clean
  clean/bin/python -m pip install --quiet --constraint "$constraints" "$wheel"
else
  "$python" -m venv --without-pip clean
  "$python" -m pip --quiet --python clean/bin/python install --no-deps "$wheel"
  site='import sysconfig; print(sysconfig.get_path("purelib"))'
  # Behind the environment's own packages, and without the .pth files there: the checkout is not to be found.
  "$python" -c "$site" >"$(clean/bin/python -c "$site")/requirements.pth"
fi
clean/bin/segsize --help >/dev/null
clean/bin/python - "$room" <<'CHECK'
import importlib.metadata
import sys
from pathlib import Path

for qt in ("PyQt5", "PyQt6", "PySide2", "PySide6"):
    sys.modules[qt] = None  # as if it were not installed

import napari_segsize
from npe2 import PluginManager

from napari_segsize.samples import hippocampus, write_sample_project

room = Path(sys.argv[1]).resolve()
assert Path(napari_segsize.__file__).resolve().is_relative_to(room), napari_segsize.__file__
(entry,) = [e for e in importlib.metadata.entry_points(group="napari.manifest") if e.name == "napari-segsize"]
assert Path(entry.dist.locate_file("")).resolve().is_relative_to(room), entry.dist.locate_file("")
manager = PluginManager()
manager.discover()
manifest = manager.get_manifest("napari-segsize")
assert manifest.package_version == napari_segsize.__version__
assert [widget.display_name for widget in manifest.contributions.widgets] == ["Segsize"]
with write_sample_project("project") as project:
    assert len(project.planes()) == len(hippocampus().images)
print(f"The wheel of napari-segsize {napari_segsize.__version__}: its manifest is found, and it works without Qt.")
CHECK
