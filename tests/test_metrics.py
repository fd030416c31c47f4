from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segsize.metrics import (
    boundary_f,
    boundary_matches,
    centre_error,
    dice,
    f1,
    hausdorff95,
    iou,
    mean_iou,
    pooled_boundary_f,
    size_error,
    weighted_coverage,
)


def plane(*pixels: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    for y, x in pixels:
        mask[0, 0, y, x] = True
    return mask


ONE, TWO, NONE = plane((1, 1)), plane((1, 1), (1, 2)), plane()


def test_overlap_by_hand() -> None:
    assert iou(ONE, TWO).item() == pytest.approx(1 / 2)
    assert dice(ONE, TWO).item() == pytest.approx(2 / 3)


def test_against_numpy_and_the_dice_of_iou() -> None:
    random = np.random.default_rng(0)
    one, other = (torch.from_numpy(random.random((20, 3, 8, 7)) < 0.4) for _ in range(2))
    j = iou(one, other)
    expected = (one & other).flatten(2).sum(-1) / (one | other).flatten(2).sum(-1)
    torch.testing.assert_close(j, expected.double())
    torch.testing.assert_close(dice(one, other), 2 * j / (1 + j))


def test_both_empty_is_perfect_and_one_empty_is_nothing() -> None:
    assert iou(NONE, NONE).item() == dice(NONE, NONE).item() == 1
    assert iou(NONE, ONE).item() == dice(ONE, NONE).item() == 0
    assert hausdorff95(NONE, NONE).item() == 0
    assert hausdorff95(NONE, ONE).item() == pytest.approx(9 * 2**0.5)
    assert centre_error(NONE, torch.zeros(1, 1, 2)).item() == pytest.approx(9 * 2**0.5)


def test_size_error_is_squared_and_keeps_unknown_sizes() -> None:
    assert size_error(ONE, torch.tensor([[6.0]])).item() == 16
    assert size_error(ONE, torch.tensor([[torch.nan]])).isnan().all()


def test_centre_error_is_a_distance_in_pixels() -> None:
    assert centre_error(ONE, torch.tensor([[[4.0, 5.0]]])).item() == pytest.approx(5.0)


def test_hausdorff_speaks_in_spacing() -> None:
    far = plane((1, 7))
    assert hausdorff95(ONE, far).item() == pytest.approx(6.0)
    assert hausdorff95(ONE, far, spacing=(1.0, 0.5)).item() == pytest.approx(3.0)


def test_shapes_and_types_are_checked() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        iou(ONE, torch.zeros(1, 1, 8, 9, dtype=torch.bool))
    with pytest.raises(ValueError, match="expected bool"):
        iou(ONE.float(), ONE.float())


def test_f1_and_mean_iou() -> None:
    random = np.random.default_rng(0)
    one, other = (torch.from_numpy(random.random((20, 3, 8, 7)) < 0.4) for _ in range(2))
    both, union = (one & other).flatten(2).sum(-1), (one | other).flatten(2).sum(-1)
    precision, recall = both / one.flatten(2).sum(-1), both / other.flatten(2).sum(-1)
    torch.testing.assert_close(
        f1(one, other), 2 * precision * recall / (precision + recall), check_dtype=False
    )
    torch.testing.assert_close(mean_iou(one, other), (both / union).double().mean())


# outlines


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixel by pixel: whether it differs from its right, lower or lower right neighbour."""
    found = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        for down, right in ((0, 1), (1, 0), (1, 1)):
            if y + down < mask.shape[0] and x + right < mask.shape[1]:
                found[y, x] |= mask[y, x] != mask[y + down, x + right]
    return found


def counts(mask: np.ndarray, target: np.ndarray, radius: float) -> tuple[int, int, int, int]:
    here, there = np.argwhere(outline(mask)), np.argwhere(outline(target))
    if not len(here) or not len(there):
        return 0, len(here), 0, len(there)
    near = ((here[:, None] - there) ** 2).sum(-1) <= radius**2
    return int(near.any(1).sum()), len(here), int(near.any(0).sum()), len(there)


def harmonic(met: float, here: float, met_there: float, there: float) -> float:
    precision, recall = met / here if here else 0.0, met_there / there if there else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def blobs(random: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres, radii = random.uniform(0, shape[0], (count, 2)), random.uniform(1, 7, count)
    return np.stack(
        [(y - cy) ** 2 + (x - cx) ** 2 < r**2 for (cy, cx), r in zip(centres, radii, strict=True)]
    )


RADII = (1, 2, 3, 4, 5)


def test_boundary_f_by_brute_force_for_each_image_and_pooled() -> None:
    random = np.random.default_rng(0)
    mask, target = (blobs(random, 12, (17, 21)) for _ in range(2))
    mask[3] = False
    given = torch.from_numpy(mask).reshape(6, 2, 17, 21), torch.from_numpy(target).reshape(6, 2, 17, 21)
    each = np.array(
        [[counts(m, t, radius) for radius in RADII] for m, t in zip(mask, target, strict=True)]
    )  # (12, R, 4)
    assert np.array_equal(boundary_matches(*given).reshape(12, 5, 4), each)
    expected = [np.mean([harmonic(*row) for row in rows]) for rows in each]
    np.testing.assert_allclose(boundary_f(*given).flatten(), expected)
    pooled = np.mean([harmonic(*row) for row in each.sum(0)])
    matches = boundary_matches(*given)
    assert pooled_boundary_f(matches).item() == pytest.approx(pooled)
    assert pooled != pytest.approx(np.mean(expected), abs=1e-3)
    apart = torch.cat([matches[:2].flatten(0, 1), matches[2:].flatten(0, 1)])
    assert pooled_boundary_f(apart).item() == pytest.approx(pooled)


def test_boundary_f_of_radii_of_ones_own() -> None:
    random = np.random.default_rng(1)
    mask, target = (blobs(random, 4, (15, 15)) for _ in range(2))
    for radii in ((1.5,), (2, 7.3)):
        found = boundary_f(torch.from_numpy(mask)[None], torch.from_numpy(target)[None], radii=radii)[0]
        rows = zip(mask, target, strict=True)
        expected = [np.mean([harmonic(*counts(m, t, radius)) for radius in radii]) for m, t in rows]
        np.testing.assert_allclose(found, expected)


def test_a_mask_moved_by_three_pixels_is_met_from_radius_three_on() -> None:
    target = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    target[..., 10:30, 10:30] = True
    moved = target.roll(3, -1)
    scores = [boundary_f(moved, target, radii=(radius,)).item() for radius in RADII]
    assert scores[2:] == [1, 1, 1]
    assert scores[0] < scores[1] < 1
    assert boundary_f(moved, target).item() == pytest.approx(np.mean(scores))
    assert boundary_f(target, target).item() == 1


def test_masks_without_an_outline() -> None:
    full = torch.ones_like(NONE)
    assert boundary_f(NONE, NONE).item() == boundary_f(full, full).item() == 1
    assert boundary_f(NONE, full).item() == boundary_f(NONE, ONE).item() == boundary_f(ONE, NONE).item() == 0
    assert pooled_boundary_f(boundary_matches(NONE, ONE)).item() == 0
    assert pooled_boundary_f(boundary_matches(NONE, NONE)).item() == 1


# instances


def coverage(labels: np.ndarray, truth: np.ndarray) -> float:
    true = [truth == g for g in np.unique(truth) if g]
    found = [labels == s for s in np.unique(labels) if s]
    if not true:
        return float(not found)
    best = [max([(g & s).sum() / (g | s).sum() for s in found], default=0.0) for g in true]
    areas = [g.sum() for g in true]
    return float(np.dot(areas, best) / sum(areas))


def test_weighted_coverage_by_brute_force() -> None:
    random = np.random.default_rng(0)
    labels, truth = (random.integers(0, 5, (8, 2, 6, 7)) * (1 + 300 * k) for k in range(2))
    labels[0, 0], truth[1, 0], labels[1, 1], truth[1, 1] = 0, 0, 0, 0
    found = weighted_coverage(torch.from_numpy(labels), torch.from_numpy(truth))
    expected = [
        [coverage(*pair) for pair in zip(*pairs, strict=True)] for pairs in zip(labels, truth, strict=True)
    ]
    np.testing.assert_allclose(found, expected)
    assert found[0, 0] == found[1, 0] == 0
    assert found[1, 1] == 1


def test_weighted_coverage_is_overlap_and_not_the_ratio_of_areas() -> None:
    truth = torch.zeros(1, 1, 40, 40, dtype=torch.int32)
    truth[..., 10:30, 10:30] = 7
    moved = truth.roll(3, -1)
    assert weighted_coverage(moved, truth).item() == pytest.approx(17 / 23)
    torch.testing.assert_close(weighted_coverage(moved > 0, truth > 0), iou(moved > 0, truth > 0))


def test_large_instances_weigh_more_and_excess_costs_nothing() -> None:
    truth = torch.zeros(1, 1, 10, 40, dtype=torch.int64)
    truth[..., :30] = 1
    truth[..., 30:] = 2
    large, small = truth * (truth == 1), truth * (truth == 2)
    assert weighted_coverage(large, truth).item() == 0.75
    assert weighted_coverage(small, truth).item() == 0.25
    assert weighted_coverage(truth, large).item() == 1


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: boundary_f(ONE[0], ONE[0]), "equal shapes"),
        (lambda: boundary_f(ONE[None], ONE[None]), r"expected \(N, C, H, W\)"),
        (lambda: weighted_coverage(ONE.float(), ONE.float()), "labels and truth: expected integers"),
        (lambda: weighted_coverage(ONE, ONE[..., 1:]), "labels and truth: expected integers"),
        (lambda: pooled_boundary_f(torch.zeros(3, 5)), r"matches: expected \(..., R, 4\)"),
    ],
)
def test_outlines_and_instances_are_checked(call, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
