"""A project with a volume, a picture in colour and a plain one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_segsize.project import PlaneRef, Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Image 1: a volume of 3 planes, 20 x 30, pixels of half a millimetre. Image 2: one plane, 16 x 16."""
    rng = np.random.default_rng(0)
    with Project.create(tmp_path / "project", name="test") as project:
        volume = rng.integers(0, 1000, (3, 20, 30)).astype(np.uint16)
        project.add_array("volume", volume, kind="stack", spacing=(2.0, 0.5, 0.5), unit="mm")
        project.add_array("flat", rng.random((16, 16)))
        yield project


@pytest.fixture
def plane() -> PlaneRef:
    return PlaneRef(1, 1)


@pytest.fixture
def flat() -> PlaneRef:
    return PlaneRef(2)
