from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, gaussian_filter, label
from skimage.morphology import convex_hull_image

from napari_segsize.engine.drawn_objects import OPEN_KINDS, drawn_object, drawn_open_object
from napari_segsize.engine.outline_search import signed_distances

SEEDS = range(12)


def steepness(colours: np.ndarray, mask: np.ndarray) -> float:
    """Mean slope across the outline over the mean slope elsewhere."""
    smooth = gaussian_filter(colours, (0, 1, 1))
    slope = np.hypot(*np.gradient(smooth, axis=(1, 2))).mean(0)
    rim = np.abs(signed_distances(mask)) < 1.5
    return float(slope[rim].mean() / slope[~rim].mean())


def test_the_picture_changes_at_the_outline() -> None:
    rng = np.random.default_rng(0)
    drawn = [drawn_object(rng, 96, 50.0) for _ in range(40)]
    ratios = [steepness(*each) for each in drawn]
    assert np.median(ratios) > 1.5
    assert np.mean(np.array(ratios) > 1.1) > 0.8
    moved = [steepness(colours, np.roll(mask, 20, 1)) for colours, mask in drawn]
    assert np.median(moved) < 1.3  # it is the outline, not its kind of line


@pytest.mark.parametrize("seed", SEEDS)
def test_objects_have_the_extent_that_is_asked_for_and_the_seed_fixes_them(seed: int) -> None:
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
