from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.autograd import gradcheck

from napari_segsize.losses import (
    DirectionLoss,
    EdgeBceLoss,
    NmsLoss,
    direction_loss,
    edge_bce_loss,
    nms_loss,
)
from napari_segsize.losses.microscope import microscope
from napari_segsize.ops.thinning import edge_map, mask_directions, normals, normals_of_mask, outline_map

ALL = [edge_bce_loss, nms_loss, direction_loss]


def disk(radius: float = 8.0, side: int = 31) -> torch.Tensor:
    way = torch.arange(side, dtype=torch.float64) - side // 2
    return (way[:, None] ** 2 + way**2 <= radius**2)[None, None]


def crest(width: float, radius: float = 7.7, side: int = 31) -> torch.Tensor:
    """Logits of an edge of some width on the disk's outline."""
    way = torch.arange(side, dtype=torch.float64) - side // 2
    away = (way[:, None] ** 2 + way**2).sqrt() - radius
    return torch.logit(0.02 + 0.9 * torch.exp(-((away / width) ** 2) / 2))[None, None]


def logits_like(mask: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return torch.randn(mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("radius", [1.0, 2.0])
@pytest.mark.parametrize("beta", [None, 0.8])
def test_cross_entropy_equals_its_formula(radius, beta):
    mask = torch.cat([disk(5, 15), disk(3, 15)], 1)
    logits = logits_like(mask)
    found = edge_bce_loss(logits, mask, radius=radius, beta=beta, reduction="none")
    for c in range(2):
        edge = edge_map(mask, radius)[0, c].numpy()
        p = 1 / (1 + np.exp(-logits[0, c].numpy()))
        weight = (~edge).sum() / edge.size if beta is None else beta
        expected = -(weight * np.log(p[edge]).sum() + (1 - weight) * np.log(1 - p[~edge]).sum()) / edge.size
        assert found[0, c].item() == pytest.approx(expected)


@pytest.mark.parametrize(("reach", "tau"), [(2, 0.1), (1, 0.5), (3, 1.0)])
def test_suppression_equals_its_formula(reach, tau):
    mask = disk(5, 15)
    logits = logits_like(mask)
    angles, edge = normals_of_mask(mask)[0, 0].double().numpy(), outline_map(mask)[0, 0].numpy()
    p = 1 / (1 + np.exp(-logits[0, 0].numpy()))
    total = 0.0
    for y, x in np.argwhere(edge):
        steps = np.arange(-reach, reach + 1)
        at = [y + steps * math.sin(angles[y, x]), x + steps * math.cos(angles[y, x])]
        values = np.exp(map_coordinates(p, at, order=1, mode="nearest") / tau)
        total -= math.log(values[reach] / values.sum())
    found = nms_loss(logits, mask, reach=reach, tau=tau)
    assert found.item() == pytest.approx(total / edge.size, rel=1e-4)


@pytest.mark.parametrize("squared", [False, True])
def test_the_angle_equals_its_formula(squared):
    mask = disk(5, 15)
    logits = logits_like(mask)
    one, other = (
        normals(logits.sigmoid(), smoothing=2)[0, 0].numpy(),
        normals_of_mask(mask)[0, 0].double().numpy(),
    )
    edge = outline_map(mask)[0, 0].numpy()
    cosine = np.sin(one) * np.sin(other) + np.cos(one) * np.cos(other)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1)) ** (2 if squared else 1)
    found = direction_loss(logits, mask, squared=squared)
    assert found.item() == pytest.approx(angle[edge].sum() / edge.size, rel=1e-4)


@pytest.mark.parametrize("loss", ALL)
def test_gradient(loss):
    mask = disk(3, 10).expand(2, 1, 10, 10)
    logits = logits_like(mask).requires_grad_()
    assert gradcheck(lambda z: loss(z, mask), logits)


def test_gradient_of_the_squared_angle():
    mask = disk(3, 10)
    assert gradcheck(lambda z: direction_loss(z, mask, squared=True), logits_like(mask).requires_grad_())


def test_a_thin_edge_costs_less_than_a_thick_one():
    assert nms_loss(crest(1.0), disk()) < nms_loss(crest(2.0), disk()) < nms_loss(crest(6.0), disk())


def test_an_edge_in_the_wrong_place_costs_more():
    for loss in (edge_bce_loss, nms_loss):
        assert loss(crest(1.0), disk()) < loss(crest(1.0, radius=11.0), disk())


def test_descending_thins_an_edge():
    logits = crest(3.0).requires_grad_()
    optimizer = torch.optim.Adam([logits], 0.05)
    before = float((logits.detach().sigmoid() > 0.5).sum())
    for _ in range(60):
        optimizer.zero_grad()
        (nms_loss(logits, disk()) * 10 + edge_bce_loss(logits, disk())).backward()
        optimizer.step()
    assert float((logits.detach().sigmoid() > 0.5).sum()) < 0.75 * before


def test_descending_turns_an_edge():
    """A straight ridge, turned by 20 degrees from the true edge, comes nearer to it."""
    way = torch.arange(25, dtype=torch.float64) - 12
    mask = (way[:, None].expand(25, 25) > 0)[None, None]
    turn = math.radians(20)
    away = way[:, None] * math.cos(turn) + way * math.sin(turn)
    logits = (2 - away**2 / 6)[None, None].clone().requires_grad_()
    before = direction_loss(logits, mask).item()
    optimizer = torch.optim.Adam([logits], 0.1)
    for _ in range(40):
        optimizer.zero_grad()
        direction_loss(logits, mask).backward()
        optimizer.step()
    assert direction_loss(logits, mask).item() < 0.5 * before


def test_a_longer_reach_hears_rivals_farther_away():
    mask = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    mask[..., 12:, :] = True  # its outermost pixels are row 12
    logits = torch.full((1, 1, 24, 24), -6.0)
    logits[..., 12, :] = 6.0
    rival = logits.clone()
    rival[..., 9, :] = 6.0  # 3 px off
    for reach, hears in ((2, False), (3, True)):
        more = nms_loss(rival, mask, reach=reach) - nms_loss(logits, mask, reach=reach)
        assert (more > 1e-3).item() == hears


def test_more_smoothing_hears_less_of_noise():
    mask = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    mask[..., 16:, :] = True
    rows = torch.arange(32.0)[:, None]
    ridge = (3 - (rows - 16) ** 2).clamp(min=-6).expand(1, 1, 32, 32)
    noisy = ridge + torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    angles = [direction_loss(noisy, mask, smoothing=radius).item() for radius in (1, 2, 4)]
    assert angles == sorted(angles, reverse=True)
    assert angles[-1] < 0.7 * angles[0]


def test_tau_is_divided_by():
    """Multiplying by it would make any map look flat: the cost of a fine crest would be that of none."""
    edge = outline_map(disk())
    flat = math.log(5) * float(edge.double().mean())
    assert nms_loss(torch.zeros(1, 1, 31, 31), disk()).item() == pytest.approx(flat, rel=1e-5)
    assert nms_loss(crest(1.0), disk()) < 0.7 * flat
    assert nms_loss(crest(1.0), disk(), tau=10.0).item() == pytest.approx(flat, rel=0.05)


@pytest.mark.parametrize("loss", ALL)
def test_only_the_true_edge_is_looked_at(loss):
    mask = disk()
    far = ~edge_map(mask, 8.0)
    assert far.any()
    logits = logits_like(mask).requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, mask), logits)
    assert bool(slope[far].any()) == (loss is edge_bce_loss)
    assert slope[edge_map(mask, 1.0)].any()


@pytest.mark.parametrize("loss", ALL)
@pytest.mark.parametrize("fill", [False, True])
def test_without_outline_there_is_nothing_to_learn(loss, fill):
    mask = torch.full((1, 1, 6, 7), fill)
    logits = logits_like(mask).requires_grad_()
    value = loss(logits, mask)
    value.backward()
    assert value.item() == 0
    assert not logits.grad.any()


def test_with_a_weight_of_its_own_an_empty_plane_teaches_that_it_is_empty():
    mask = torch.zeros(1, 1, 6, 7, dtype=torch.bool)
    assert edge_bce_loss(torch.ones(1, 1, 6, 7), mask, beta=0.9) > edge_bce_loss(
        -torch.ones(1, 1, 6, 7), mask, beta=0.9
    )


@pytest.mark.filterwarnings("ignore:direction_loss. expected an edge map that varies")
@pytest.mark.parametrize("loss", ALL)
@pytest.mark.parametrize("value", [0.0, 40.0, -40.0])
def test_a_constant_prediction_is_finite(loss, value):
    logits = torch.full((1, 1, 31, 31), value, requires_grad=True)
    found = loss(logits, disk())
    found.backward()
    assert found.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", ALL)
def test_an_object_cut_by_the_frame(loss):
    mask = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    mask[..., :4, :] = True
    logits = logits_like(mask)
    assert loss(logits, mask) != loss(logits, mask, border="background")


@pytest.mark.parametrize("loss", ALL)
def test_planes_and_unlabelled_ones(loss):
    masks = torch.cat([disk(4, 13), disk(3, 13), disk(5, 13)]).double()
    logits = logits_like(masks)
    each = loss(logits, masks, reduction="none")
    assert each.shape == (3, 1)
    assert loss(logits, masks).item() == pytest.approx(each.mean().item())
    masks[1, 0, 0, 0] = torch.nan
    assert loss(logits, masks).item() == pytest.approx(each[[0, 2]].mean().item())


def test_edges_and_directions_can_be_given():
    mask, logits = disk(5, 15), logits_like(disk(5, 15))
    near, ways = outline_map(mask), mask_directions(mask)
    for loss in (nms_loss, direction_loss):
        assert loss(logits, mask, edges=near, directions=ways) == loss(logits, mask)
        assert loss(logits, mask, edges=torch.zeros_like(near)) == 0
        assert loss(logits, mask, directions=-ways) != loss(logits, mask)
    assert edge_bce_loss(logits, mask, edges=edge_map(mask, 1.0)) == edge_bce_loss(logits, mask, radius=1.0)


def test_modules_remember_their_parameters():
    mask, logits = disk(5, 15), logits_like(disk(5, 15))
    assert EdgeBceLoss(3.0, 0.7, "background")(logits, mask) == edge_bce_loss(
        logits, mask, radius=3.0, beta=0.7, border="background"
    )
    assert NmsLoss(1, 0.3)(logits, mask) == nms_loss(logits, mask, reach=1, tau=0.3)
    assert DirectionLoss(squared=True, smoothing=3)(logits, mask) == direction_loss(
        logits, mask, squared=True, smoothing=3
    )


def test_the_microscope_shows_normals_where_there_are_edges():
    mask = disk(5, 15)[0, 0].numpy()
    for name in ("nms", "direction"):
        view = microscope(name, crest(1.0, 5, 15)[0, 0].numpy(), mask)
        marks = view.marks["normals"]
        edge = outline_map(disk(5, 15))[0, 0].numpy()
        assert marks.shape == (edge.sum(), 4)  # y, x, and the way across
        assert edge[tuple(marks[:, :2].astype(int).T)].all()
        assert np.allclose(np.hypot(marks[:, 2], marks[:, 3]), 1, atol=1e-5)
        outward = (marks[:, :2] - 7) / np.hypot(*(marks[:, :2] - 7).T)[:, None]
        assert (np.abs((outward * marks[:, 2:]).sum(1)) > 0.9).all()
        assert view.maps["cost"].mean() == pytest.approx(view.value, rel=1e-5)
    view = microscope("edge_bce", crest(1.0, 5, 15)[0, 0].numpy(), mask, beta=0.9)
    assert view.maps["cost"].mean() == pytest.approx(view.value, rel=1e-5)
    assert view.maps["edges"].sum() == edge_map(disk(5, 15), 2.0).sum()
    assert any(
        "empty" in each for each in microscope("nms", crest(1.0)[0, 0].numpy(), np.zeros((31, 31))).notices
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda z, m: edge_bce_loss(z, m, beta=1.5), "beta: expected a weight"),
        (lambda z, m: edge_bce_loss(z, m, radius=0.0), "radius: expected 1 px"),
        (lambda z, m: nms_loss(z, m, reach=0), "reach: expected 1 px"),
        (lambda z, m: nms_loss(z, m, tau=0.0), "tau: expected more than 0"),
        (lambda z, m: nms_loss(z, m, edges=m.float()), "edges: expected a boolean"),
        (lambda z, m: nms_loss(z, m, directions=z), "directions: expected"),
        (lambda z, m: direction_loss(z[0], m[0]), "logits: expected"),
        (lambda z, m: direction_loss(z, m[..., 1:]), "target: expected"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(torch.zeros(1, 1, 6, 6), disk(2, 6))
