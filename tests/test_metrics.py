from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segsize.metrics import centre_error, dice, hausdorff95, iou, size_error


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
