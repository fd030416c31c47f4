from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segsize.metrics import (
    betti_error,
    boundary_f,
    boundary_matches,
    centre_error,
    cldice,
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


@pytest.mark.parametrize("wrong", [(2,), (1, 1), (2, 2), (2, 1, 1)])
def test_a_size_or_centre_that_is_not_of_each_mask_is_refused(wrong: tuple[int, ...]) -> None:
    masks = torch.cat([ONE, NONE])
    with pytest.raises(ValueError, match=r"size: expected \(2, 1\)"):
        size_error(masks, torch.ones(wrong))
    with pytest.raises(ValueError, match=r"centre: expected \(2, 1, 2\)"):
        centre_error(masks, torch.ones(*wrong, 2))


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
        (lambda: cldice(ONE, ONE[..., 1:]), "equal shapes"),
        (lambda: cldice(ONE[None], ONE[None]), r"expected \(N, C, H, W\)"),
        (lambda: betti_error(ONE, ONE[..., 1:]), "equal shapes"),
        (lambda: boundary_f(ONE[None], ONE[None]), r"expected \(N, C, H, W\)"),
        (lambda: weighted_coverage(ONE.float(), ONE.float()), "labels and truth: expected integers"),
        (lambda: weighted_coverage(ONE, ONE[..., 1:]), "labels and truth: expected integers"),
        (lambda: pooled_boundary_f(torch.zeros(3, 5)), r"matches: expected \(..., R, 4\)"),
    ],
)
def test_outlines_and_instances_are_checked(call, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


# centre lines, parts and holes


def test_cldice_pixel_by_pixel() -> None:
    from skimage.morphology import skeletonize

    random = np.random.default_rng(0)
    mask, target = (blobs(random, 12, (17, 21)) | blobs(random, 12, (17, 21)) for _ in range(2))
    expected = []
    for one, other in zip(mask, target, strict=True):
        line, true_line = np.argwhere(skeletonize(one)), np.argwhere(skeletonize(other))
        met, found = sum(bool(other[y, x]) for y, x in line), sum(bool(one[y, x]) for y, x in true_line)
        expected.append(harmonic(met, len(line), found, len(true_line)))
    given = (torch.from_numpy(each).reshape(4, 3, 17, 21) for each in (mask, target))
    np.testing.assert_allclose(cldice(*given).flatten(), expected)
    assert min(expected) < 0.5 < max(expected)


def test_cldice_counts_length_and_not_width() -> None:
    thick = torch.zeros(1, 1, 30, 60, dtype=torch.bool)
    thick[..., 10:19, 5:55] = True
    thin = torch.zeros_like(thick)
    thin[..., 14, 10:50] = True
    assert cldice(thin, thick).item() > 0.95
    assert dice(thin, thick).item() < 0.2
    half = thin.clone()
    half[..., 30:] = False
    assert cldice(half, thin).item() == pytest.approx(2 / 3)  # all of its line is right, half is missing


def test_cldice_of_empty_and_tiny_masks() -> None:
    assert cldice(NONE, NONE).item() == 1
    assert cldice(NONE, ONE).item() == cldice(ONE, NONE).item() == 0
    assert cldice(ONE, plane((7, 7))).item() == 0
    random = torch.rand(200, 1, 5, 5, generator=torch.Generator().manual_seed(0)) < 0.4
    for mask in (ONE, TWO, plane((1, 1), (1, 2), (2, 1), (2, 2)), random):
        assert (cldice(mask, mask) == 1).all()  # no object is so small that it has no line


def test_betti_error_by_flooding() -> None:
    from scipy.ndimage import label

    def parts_and_holes(mask: np.ndarray) -> tuple[int, int]:
        return label(mask, np.ones((3, 3)))[1], label(np.pad(~mask, 1, constant_values=True))[1] - 1

    random = np.random.default_rng(0)
    mask, target = (random.random((40, 3, 9, 8)) < 0.6 for _ in range(2))
    expected = [
        np.abs(np.subtract(parts_and_holes(one), parts_and_holes(other)))
        for one, other in zip(mask.reshape(-1, 9, 8), target.reshape(-1, 9, 8), strict=True)
    ]
    found = betti_error(torch.from_numpy(mask), torch.from_numpy(target))
    np.testing.assert_array_equal(found.reshape(-1, 2), expected)
    assert np.max(expected, 0).min() > 1


def test_betti_error_counts_and_does_not_look_where() -> None:
    ring = plane(*((y, x) for y in (2, 3, 4) for x in (2, 3, 4) if (y, x) != (3, 3)))
    assert betti_error(ring, ring).tolist() == [[[0, 0]]]
    assert betti_error(ring, NONE).tolist() == betti_error(NONE, ring).tolist() == [[[1, 1]]]
    assert betti_error(ring | plane((7, 7)), ring).tolist() == [[[1, 0]]]
    assert betti_error(ring | plane((3, 3)), ring).tolist() == [[[0, 1]]]
    assert betti_error(ONE, plane((7, 7))).tolist() == [[[0, 0]]]
