"""What every test shares: seeds, settings of its own, a tiny project."""

from __future__ import annotations

import importlib.util
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from napari_segsize.project import Project

# Before napari is imported: tests neither read nor write the developer's settings.
_HOME = tempfile.TemporaryDirectory(prefix="segsize-tests-", ignore_cleanup_errors=True)
os.environ["NAPARI_CONFIG"] = str(Path(_HOME.name) / "napari.yaml")
os.environ["XDG_CONFIG_HOME"] = _HOME.name  # the list of recent projects
os.environ.setdefault("NAPARI_CATCH_ERRORS", "0")
# Before torch is imported: its threads wait by spinning, which on a busy machine costs more than they give.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def _choose_qt() -> None:
    """Have napari and pytest-qt use the same binding: two of them in one process end in a crash.

    It is the one that ``QT_API`` names, else the first that is installed.
    """
    installed = [name for name in ("PyQt6", "PySide6") if importlib.util.find_spec(name) is not None]
    chosen = os.environ.get("QT_API") or (installed[0].lower() if installed else None)
    if chosen is not None:
        os.environ["QT_API"] = os.environ["PYTEST_QT_API"] = chosen


_choose_qt()  # before either is imported


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Make numbers repeatable; torch is seeded only in tests that have imported it."""
    import sys

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  for libraries that use the global generator
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture
def shapes_project(tmp_path: Path) -> Iterator[Project]:
    """Open a project of 12 synthetic shapes: 8 to train, 4 to validate, no annotations."""
    from napari_segsize.project import Project
    from napari_segsize.samples import synthetic_shapes

    sample = synthetic_shapes(12, (32, 32))
    with Project.create(tmp_path / "shapes") as project:
        for number, image in enumerate(sample.images):
            project.add_array(
                f"shape_{number:02d}", image, kind="image", split="train" if number < 8 else "validation"
            )
        yield project
