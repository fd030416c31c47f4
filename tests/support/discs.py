"""A project of two images of four discs, some of which are known: by an outline, by points, by a size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_segsize.project import PlaneRef, Project

CENTRES = ((20.0, 22.0), (20.0, 70.0), (60.0, 30.0), (66.0, 76.0))
RADIUS = 11.0
Point = tuple[float, float]


def discs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The image, and its labels."""
    y, x = np.indices((90, 100))
    labels = np.zeros((90, 100), np.int32)
    for number, (cy, cx) in enumerate(CENTRES, start=1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= RADIUS**2] = number
    rng = np.random.default_rng(seed)
    return (200.0 * (labels > 0) + rng.normal(scale=10, size=labels.shape)).astype(np.float32), labels


def clicks(centre: Point) -> tuple[Point, ...]:
    """The extreme points of a disc."""
    y, x = centre
    return ((y + RADIUS, x), (y, x - RADIUS), (y - RADIUS, x), (y, x + RADIUS))


def circle(centre: Point) -> tuple[Point, ...]:
    """The outline of a disc."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return tuple((centre[0] + RADIUS * math.sin(a), centre[1] + RADIUS * math.cos(a)) for a in angle)


@pytest.fixture
def project(tmp_path):
    with Project.create(tmp_path / "project") as made:
        for seed, split in enumerate(("train", "validation")):
            made.add_array(f"image {seed}", discs(seed)[0], split=split)
        yield made


def planes(project: Project) -> tuple[PlaneRef, PlaneRef]:
    first, second = project.images()
    return PlaneRef(first.id), PlaneRef(second.id)


def annotate(project: Project) -> None:
    """An outline on both images; points with a size, and a size alone, on the first."""
    train, validation = planes(project)
    for plane in (train, validation):
        project.put_contour(plane, object="a", rings=(circle(CENTRES[0]),), source="drawn")
    project.put_contour(train, object="b", points=clicks(CENTRES[1]))
    project.put_stamp(train, 14, centre=CENTRES[1], object="b")
    project.put_stamp(train, 14, centre=CENTRES[2], object="c")
