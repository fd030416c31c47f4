from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.losses import LOSSES, ProjectionLoss, projection_loss
from napari_segsize.ops.points import extreme_points

DISK = ((torch.arange(13)[:, None] - 6) ** 2 + (torch.arange(17) - 8) ** 2 <= 22)[None, None]
POINTS = extreme_points(DISK)
EXTENTS = torch.tensor([[[2.0, 4.0, 10.0, 12.0]]])


def entropy(logit: float, target: int) -> float:
    return float(np.logaddexp(0, -logit if target else logit))


def brute_force(z: np.ndarray, points: np.ndarray, own: np.ndarray, reach: float | None) -> float:
    """Row by row, column by column, point by point, for known points inside the image."""
    height, width = z.shape
    top, left, bottom, right = np.rint([points[0, 0], points[1, 1], points[2, 0], points[3, 1]]).astype(int)
    rows, columns, touched = [], [], []
    for y in range(height):
        mine = [x for x in range(width) if own[y, x]]
        between = range(left, right + 1)
        if top <= y <= bottom and all(own[y, x] for x in between):
            rows.append(entropy(max(z[y, x] for x in between), 1))
        elif not top <= y <= bottom and mine:
            rows.append(entropy(max(z[y, x] for x in mine), 0))
    for x in range(width):
        mine = [y for y in range(height) if own[y, x]]
        between = range(top, bottom + 1)
        if left <= x <= right and all(own[y, x] for y in between):
            columns.append(entropy(max(z[y, x] for y in between), 1))
        elif not left <= x <= right and mine:
            columns.append(entropy(max(z[y, x] for y in mine), 0))
    for py, px in np.rint(points) if reach is not None else ():
        near = [z[y, x] for y, x in np.argwhere(own) if abs(y - py) <= reach and abs(x - px) <= reach]
        if near:
            touched.append(entropy(max(near), 1))
    return sum(float(np.mean(part)) for part in (rows, columns, touched) if part)


@pytest.mark.parametrize("reach", [0.0, 1.0, 2.5])
def test_equals_brute_force(reach):
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(0, 3, (6, 2, 13, 17)))
    masks = torch.from_numpy(random.random((6, 2, 13, 17)) < 0.1)
    masks[..., 6, 6:9] = True
    points = extreme_points(masks)
    own = torch.from_numpy(random.random((6, 2, 13, 17)) < 0.97)
    own[:3] = True
    own[1, 0, :3] = False
    each = projection_loss(logits, points, reach=reach, mask=own, reduction="none")
    extents = torch.stack([points[:, :, k, k % 2] for k in range(4)], -1)
    boxes = projection_loss(logits, extents, mask=own, reduction="none")
    for n, c in np.ndindex(6, 2):
        given = logits[n, c].numpy(), points[n, c].numpy(), own[n, c].numpy()
        assert each[n, c].item() == pytest.approx(brute_force(*given, reach))
        assert boxes[n, c].item() == pytest.approx(brute_force(*given, None))
    assert torch.allclose(projection_loss(logits, points, reach=reach, mask=own), each.mean())


def test_gradient():
    logits = torch.randn(2, 1, 13, 17, dtype=torch.float64, requires_grad=True)
    own = torch.rand(2, 1, 13, 17) < 0.95
    points = POINTS.expand(2, 1, 4, 2)
    assert gradcheck(lambda z: projection_loss(z, points, mask=own), logits)


def test_the_right_mask_costs_nothing_and_others_something():
    surely = torch.where(DISK, 40.0, -40.0)
    for target in (POINTS, EXTENTS):
        assert projection_loss(surely, target) < 1e-6
        for moved in (surely.roll(1, 2), surely.roll(-1, 3), -40 * torch.ones_like(surely), surely.abs()):
            assert projection_loss(moved, target) > 0.5


def test_descent_on_it_alone_gives_a_mask_with_these_extents():
    logits = torch.zeros(1, 1, 13, 17, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        optimizer.zero_grad()
        projection_loss(logits, POINTS).backward()
        optimizer.step()
    found = extreme_points(logits.detach() > 0)[0, 0]
    assert found[[0, 2], 0].tolist() == [2, 10]
    assert found[[1, 3], 1].tolist() == [4, 12]


def test_only_the_largest_logit_of_a_line_hears():
    logits = torch.randn(1, 1, 13, 17, requires_grad=True)
    projection_loss(logits, EXTENTS).backward()
    assert 0 < (logits.grad != 0).sum() <= 13 + 17
    assert (logits.grad[0, 0, :2] >= 0).all()  # outside: told to fall
    assert (logits.grad[0, 0, :, 13:] >= 0).all()
    assert (logits.grad[0, 0, 2:11, 4:13] <= 0).all()  # between: told to rise


def test_points_say_where_the_edge_is_touched_and_reach_how_exactly():
    surely = torch.where(DISK, 40.0, -40.0)
    far = POINTS.clone()
    far[0, 0, 0, 1] += 3  # three pixels beside the top: the disk's first row is five pixels wide
    costs = [projection_loss(surely, far, reach=reach).item() for reach in (0.0, 1.0, 2.0)]
    assert costs[0] > 5
    assert costs[1] < 1e-6
    assert costs[2] < 1e-6


def test_pixels_of_others_count_as_background_and_hear_nothing():
    logits = torch.full((1, 1, 13, 17), -40.0)
    logits[DISK] = 40
    logits[..., 14:] = 40  # a neighbour
    own = torch.ones_like(logits, dtype=torch.bool)
    own[..., 14:] = False
    logits.requires_grad_()
    assert projection_loss(logits, POINTS) > 1
    value = projection_loss(logits, POINTS, mask=own)
    value.backward()
    assert value < 1e-6
    assert (logits.grad[~own] == 0).all()
    own[...] = False
    assert projection_loss(logits, POINTS, mask=own) == 0


def test_what_is_cut_by_the_border_is_not_asked_for():
    """An object that goes on beyond the left border: its rows may show nothing, the rest is still empty."""
    beyond = torch.tensor([[[2.0, -5.0, 10.0, 4.0]]])
    nothing = torch.full((1, 1, 13, 17), -40.0)
    found = projection_loss(nothing, beyond)
    inside = projection_loss(nothing, torch.tensor([[[2.0, 0.0, 10.0, 4.0]]]))
    assert found.item() == pytest.approx(40 * 5 / 17)  # columns 0 to 4
    assert inside.item() == pytest.approx(40 * 5 / 17 + 40 * 9 / 13)
    everything = torch.full((1, 1, 13, 17), 40.0)
    assert projection_loss(everything, beyond).item() == pytest.approx(40 * 12 / 17 + 40)


def test_unknown_sides_claim_nothing():
    nothing, everything = torch.full((1, 1, 13, 17), -40.0), torch.full((1, 1, 13, 17), 40.0)
    only_top = torch.tensor([[[2.0, torch.nan, torch.nan, torch.nan]]])
    assert projection_loss(nothing, only_top) < 1e-6
    assert projection_loss(everything, only_top).item() == pytest.approx(40)  # rows 0 and 1
    points = POINTS.clone()
    points[0, 0, 0, 1] = torch.nan  # the row is known, the place in it is not
    assert projection_loss(torch.where(DISK, 40.0, -40.0), points) < 1e-6


def test_unknown_objects_have_no_term():
    logits = torch.randn(3, 1, 13, 17, requires_grad=True)
    points = POINTS.repeat(3, 1, 1, 1)
    points[1] = torch.nan
    value = projection_loss(logits, points)
    value.backward()
    assert torch.allclose(value, projection_loss(logits[[0, 2]], points[[0, 2]]))
    assert (logits.grad[1] == 0).all()
    assert projection_loss(logits, torch.full((3, 1, 4), torch.nan)) == 0
    assert projection_loss(logits, points, reduction="none")[1] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type(dtype):
    logits = torch.randn(1, 1, 13, 17).to(dtype).requires_grad_()
    value = projection_loss(logits, POINTS)
    value.backward()
    assert logits.grad.dtype == dtype
    assert value.isfinite()


def test_nan_logits_show():
    logits = torch.zeros(1, 1, 13, 17)
    logits[..., 6, 6] = np.nan
    with pytest.warns(UserWarning, match="expected a finite value"):
        assert projection_loss(logits, POINTS).isnan()


def test_the_module_is_the_function_and_the_catalogue_has_it():
    logits = torch.randn(1, 1, 13, 17)
    assert ProjectionLoss(reach=2.0)(logits, POINTS) == projection_loss(logits, POINTS, reach=2.0)
    assert LOSSES["projection"].function is projection_loss


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"logits": torch.zeros(1, 1, 3, 13, 17)}, r"logits: expected \(N, C, H, W\)"),
        ({"points": torch.zeros(1, 1, 3)}, r"points: expected \(1, 1, 4\) or \(1, 1, 4, 2\)"),
        ({"reach": -1.0}, "reach: expected 0 or more"),
        ({"mask": torch.ones(1, 1, 5, 5)}, "mask: expected a boolean"),
        ({"reduction": "sum"}, "reduction: expected"),
    ],
)
def test_bad_input_gets_a_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        projection_loss(**{"logits": torch.zeros(1, 1, 13, 17), "points": POINTS, **change})
