from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from napari_segsize.engine.alignment import align, align_labels
from napari_segsize.engine.edge_config import AlignConfig
from napari_segsize.engine.outline_evidence import colour_odds, edge_evidence, image_evidence
from napari_segsize.engine.outline_search import _cheapest, best_outline, signed_distances


def disk(radius: float = 14.0, side: int = 71, centre: tuple[float, float] | None = None) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    at = (side // 2, side // 2) if centre is None else centre
    return np.hypot(y - at[0], x - at[1]) <= radius


def noisy(values: np.ndarray, noise: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(0)
    return gaussian_filter(values.astype(float), 1.0) + noise * rng.standard_normal(values.shape)


def wavy(mask: np.ndarray, px: float, seed: int = 0) -> np.ndarray:
    """The outline displaced by smooth noise with a deviation of `px`."""
    field = gaussian_filter(np.random.default_rng(seed).standard_normal(mask.shape), 6)
    return signed_distances(mask) + px * field / field.std() > 0


def off(mask: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance in px of pixels on the wrong side to the outline."""
    away = np.maximum(distance_transform_edt(truth), distance_transform_edt(~truth))
    return float(away[mask ^ truth].sum() / truth.sum() ** 0.5)


def aligned(mask: np.ndarray, image: np.ndarray, **options) -> np.ndarray:
    return list(align(mask, image=image, config=AlignConfig(**options)))[-1]


@pytest.mark.parametrize("seed", range(6))
def test_no_other_closed_way_costs_less(seed):
    rng = np.random.default_rng(seed)
    own, steps = rng.random((5, 3)), rng.random((3, 3))

    def cost(way) -> float:
        pairs = zip(way, np.roll(way, 1), strict=True)
        return float(sum(own[k, place] for k, place in enumerate(way)) + sum(steps[a, b] for a, b in pairs))

    least = min(cost(way) for way in product(range(3), repeat=5))
    assert cost(_cheapest(own, steps)) == pytest.approx(least)


@pytest.mark.parametrize(("px", "share"), [(1.0, 0.65), (2.0, 0.4), (4.0, 0.4)])
def test_wavy_outlines_come_back(px, share):
    before, after = [], []
    for seed in range(3):
        rough = wavy(disk(), px, seed)
        before.append(off(rough, disk()))
        after.append(off(aligned(rough, noisy(disk()), reach=int(2 * px)), disk()))
    assert np.mean(after) < share * np.mean(before)


def test_an_outline_stays_where_nothing_speaks_for_another_one():
    rough = wavy(disk(), 2.0)
    image = np.random.default_rng(0).random(rough.shape)
    moved = aligned(rough, image, reach=4)
    assert (moved ^ rough).sum() < 0.15 * rough.sum()


def test_more_pull_moves_less():
    rough, image = wavy(disk(), 2.0), noisy(disk(), 0.3)
    moved = [(aligned(rough, image, stay=stay) ^ rough).sum() for stay in (0.05, 0.2, 10.0)]
    assert moved[0] >= moved[1] > 2 * moved[2]


def test_a_ridge_is_no_end_of_an_object():
    """An edge inside an object, stronger than its outline, has the object's colours on both sides."""
    y, x = np.mgrid[:71, :71]
    truth = (abs(y - 35) <= 16) & (abs(x - 35) <= 16)
    stripes = truth & (x % 8 < 4)  # of two colours, neither of them around the object
    image = np.stack([noisy(2.0 * stripes), noisy(1.0 * truth)])
    rough = wavy(truth, 2.0)
    both = aligned(rough, image, reach=6)
    distance = signed_distances(rough)
    shown = np.stack([np.asarray(plane) for plane in image])
    edges_only = best_outline(
        rough,
        edge_evidence(np.hypot(*np.gradient(shown[0])) + np.hypot(*np.gradient(shown[1]))),
        reach=6,
        stay=1,
    )
    assert off(both, truth) < 0.6 * off(rough, truth)
    assert off(both, truth) < off(edges_only.mask(6.0), truth)
    odds = colour_odds(shown, distance, 6)
    assert odds[truth & (distance > 3)].mean() > 0.5
    assert odds[~truth & (distance > -10) & (distance < -3)].mean() < -0.5


def test_an_outline_along_the_frame_goes_back_to_it():
    truth = np.zeros((60, 60), bool)
    truth[:30, 15:45] = True
    rough = truth.copy()
    rough[:2, 22:36] = False  # drawn too short of the frame
    found = aligned(rough, noisy(truth), reach=4)
    assert found[0, 24:34].all()
    assert off(found, truth) < 0.5 * off(rough, truth)


def test_steps_go_one_pixel_at_a_time_as_far_as_there_are_steps():
    rough, image = disk(9.0), noisy(disk())
    for most, expected in ((25, 1.5), (2, 3.5)):
        steps = list(align(rough, image=image, config=AlignConfig(steps=most, stay=0.02)))
        assert 2 <= len(steps) <= most + 1
        for one, other in pairwise(steps):
            away = np.maximum(distance_transform_edt(one), distance_transform_edt(~one))
            assert away[one ^ other].max() <= expected + 1


def test_parts_too_small_for_an_outline_stay():
    rough = disk(12.0)
    rough[3, 3] = True
    found = aligned(rough, noisy(disk()), reach=2)
    assert found[3, 3]
    dot = np.zeros((40, 40), bool)
    dot[20, 20] = True
    (one,) = align_labels(dot.astype(int), image=noisy(disk(8, 40)))
    assert one.masks.any((1, 2)).all()


@pytest.mark.parametrize("colours", [1, 2, 3, 500])
def test_any_number_of_colours_is_learned(colours):
    rng = np.random.default_rng(0)
    image = disk() * 1.0 + rng.integers(0, colours, disk().shape) / 1000
    odds = colour_odds(image[None], signed_distances(disk(13.0)), 4)
    assert odds[35, 35] > 0.5
    assert odds[35, 35 + 18] < -0.5
    assert not odds[0].any()  # far away
    flat = colour_odds(np.ones((2, 71, 71)), signed_distances(disk(13.0)), 4)
    assert not flat.any()


def test_evidence_falls_off_beside_an_edge_and_is_even_beyond_the_frame():
    truth = disk()
    evidence = image_evidence(noisy(truth, 0.0)[None], signed_distances(truth), 4)
    places = np.array([[[35.0, 35.0 + radius] for radius in (8, 14.5, 20)]])
    inner, on, outer = evidence(places, np.array([[0.0, 1.0]]))[0]
    assert on > 5 * max(inner, outer)
    (turned,) = evidence(places[:, 1:2], np.array([[0.0, -1.0]]))[0]
    assert turned < on  # the object would lie on the other side
    beyond = evidence(np.array([[[-3.0, 5.0], [35.0, 90.0]]]), np.array([[0.0, 1.0]]))[0]
    assert beyond[0] == beyond[1] > inner
