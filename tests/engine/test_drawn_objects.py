from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, label
from skimage.morphology import convex_hull_image

from napari_segsize.engine.drawn_objects import OPEN_KINDS, drawn_object, drawn_open_object

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_picture_changes_at_the_outline(seed: int) -> None:
    colours, mask = drawn_object(np.random.default_rng(seed), 96, 50.0)
    assert colours.shape == (3, 96, 96)
    assert colours.dtype == np.float32
    assert np.isfinite(colours).all()
    rows, columns = np.nonzero(mask)
    assert 40 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 54
    rng = np.random.default_rng(seed)
    again = drawn_object(rng, 96, 50.0)
    assert np.array_equal(colours, again[0])
    assert not np.array_equal(colours, drawn_object(rng, 96, 50.0)[0])


def test_objects_are_as_often_brighter_as_darker_than_what_is_around_them() -> None:
    rng, signs = np.random.default_rng(0), []
    for _ in range(60):
        colours, mask = drawn_object(rng, 64, 30.0)
        signs.append(colours[0][mask].mean() > colours[0][~mask].mean())
    assert 0.3 < np.mean(signs) < 0.7


@pytest.mark.parametrize("kind", OPEN_KINDS)
def test_open_objects_are_what_no_polygon_is(kind: str) -> None:
    rng, holes, parts, solid = np.random.default_rng(1), [], [], []
    for _ in range(12):
        _, mask = drawn_open_object(rng, 96, 60.0, kind)
        holes.append(label(binary_fill_holes(mask) & ~mask)[1])
        parts.append(label(mask)[1])
        solid.append(mask.sum() / convex_hull_image(mask).sum())
    if kind in ("hole", "holes"):
        assert np.mean(np.array(holes) >= (1 if kind == "hole" else 2)) > 0.7
    elif kind == "parts":
        assert np.mean(np.array(parts) >= 2) > 0.7
    else:
        assert np.mean(solid) < 0.85
    assert min(parts) >= 1
