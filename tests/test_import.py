"""Importing is light, and the closure of the requirements holds no torchvision."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import napari_segsize

_PROBE = """
import importlib, json, sys, time
start = time.perf_counter()
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps([time.perf_counter() - start, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
TRAINING = {"torch", "monai", "lightning_fabric", "numba"}
GUI = {"qtpy", "PyQt5", "PyQt6", "PySide6", "napari", "magicgui", "superqt", "pyqtgraph", "vispy"}


def _imported(*names: str) -> tuple[float, set[str]]:
    """Seconds and top-level packages that importing `names` takes, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _PROBE, *names], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(done.stdout)
    return seconds, set(modules)


def test_the_package_imports_nothing_heavy(record_property: pytest.RecordProperty):
    seconds, modules = _imported("napari_segsize")
    record_property("seconds", seconds)  # measured in benchmarks/; a shared machine is no stopwatch
    assert not modules & (TRAINING | GUI | {"numpy", "scipy", "sqlalchemy"})


@pytest.mark.parametrize(
    "name",
    [
        "napari_segsize.errors",
        "napari_segsize.samples",
        "napari_segsize.reader",
        "napari_segsize.project",
        "napari_segsize.engine",
        "napari_segsize.engine.config",
        "napari_segsize.engine.events",
        "napari_segsize.cli",
        "napari_segsize.widgets.controller",
    ],
)
def test_what_needs_neither_torch_nor_a_window_loads_neither(name: str):
    assert not _imported(name)[1] & (TRAINING | GUI)


def test_the_dock_widget_loads_no_torch():
    assert not _imported("napari_segsize.widgets.main")[1] & (TRAINING - {"numba"})  # napari brings numba


def test_ops_and_losses_know_no_window():
    assert not _imported("napari_segsize.ops", "napari_segsize.losses")[1] & GUI


def test_every_import_is_a_declared_requirement():
    """What happens to be installed with something else may be gone tomorrow."""
    package = Path(napari_segsize.__file__).parent
    imported = {name for file in package.rglob("*.py") for name in _top_level_imports(file)}
    third_party = imported - set(sys.stdlib_module_names) - {"napari_segsize"}
    declared = {
        _plain(Requirement(each).name) for each in importlib.metadata.requires("napari-segsize") or []
    }
    brought_by = importlib.metadata.packages_distributions()
    missing = {name for name in third_party if not {_plain(each) for each in brought_by[name]} & declared}
    assert not missing


def _top_level_imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_requirement_needs_torchvision():
    """Walk over everything that `napari-segsize[all]` brings; torchvision drags in gigabytes of CUDA."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [("napari-segsize", frozenset({"all"}))]
    while waiting:
        name, extras = item = waiting.pop()
        if item in seen:
            continue
        seen.add(item)
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system or Python
        for requirement in map(Requirement, requirements):
            markers = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if requirement.marker is None or any(map(requirement.marker.evaluate, markers)):
                waiting.append(
                    (re.sub(r"[-_.]+", "-", requirement.name).lower(), frozenset(requirement.extras))
                )
    names = {name for name, _ in seen}
    assert {"torch", "monai", "napari"} <= names
    assert "torchvision" not in names
