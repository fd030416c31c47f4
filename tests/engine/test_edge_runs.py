from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_segsize.engine.edge_alignment import align_items, aligned_labels
from napari_segsize.engine.edge_batch import EdgeSource
from napari_segsize.engine.edge_config import EdgeConfig
from napari_segsize.engine.edge_items import EdgeItem, hold_out_planes, item_from_labels, with_labels
from napari_segsize.engine.edge_runs import (
    edge_objective,
    edge_probabilities,
    edge_training,
    maximum_f,
    score_edges,
)
from napari_segsize.engine.events import StepDone, Validated, Validating
from napari_segsize.engine.loop import fit
from napari_segsize.errors import SegsizeError
from napari_segsize.models.edges import EDGE_MODELS, build_edge_net
from napari_segsize.ops.thinning import edge_map, outline_map, thin


def labels(side: int = 48) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    found = np.zeros((side, side), np.int32)
    found[np.hypot(y - 15, x - 15) <= 8] = 1
    found[(np.hypot(y - 15, x - 30) <= 8) & (found == 0)] = 2
    found[30:42, 10:38] = 3
    return found


def item(side: int = 48) -> EdgeItem:
    shade = torch.from_numpy((labels(side) > 0) + 0.3 * (labels(side) == 2)).float()
    noise = 0.05 * torch.randn(1, side, side, generator=torch.Generator().manual_seed(0))
    return item_from_labels(shade[None] * 2 - 0.5 + noise, labels(side))


@pytest.mark.parametrize("shape", [(1, 1), (17, 40), (64, 64)])
def test_the_network_takes_any_side_and_gives_logits_of_every_scale(shape):
    network = build_edge_net("small", channels=3, seed=0).eval()
    logits = network(torch.randn(2, 3, *shape))
    assert logits.shape == (2, 5, *shape)
    assert torch.equal(network.fused(torch.zeros(1, 3, *shape)), network(torch.zeros(1, 3, *shape))[:, :1])
    assert logits.min() < 0


def test_all_parameters_learn_and_kinds_differ():
    counts = []
    for kind in EDGE_MODELS:
        network = build_edge_net(kind, channels=1, seed=0)
        network(torch.randn(1, 1, 32, 32)).square().sum().backward()
        assert all(each.grad is not None for each in network.parameters())
        counts.append(sum(each.numel() for each in network.parameters()))
    assert 3e5 < counts[0] < 5e5 < counts[1]
    same = [build_edge_net(seed=3).state_dict() for _ in range(2)]
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])
    with pytest.raises(ValueError, match="kind: expected"):
        build_edge_net("tiny")


def test_outlines_of_objects_that_touch_are_all_there():
    found, numbers = item(), labels()
    for number in (1, 2, 3):
        mask = torch.from_numpy(numbers == number)[None, None]
        own = outline_map(mask)[0, 0]
        assert found.line[own].all()
        assert found.band[edge_map(mask, 2.0)[0, 0]].all()
        assert (found.directions.norm(dim=0)[own] - 1).abs().max() < 1e-4
    assert not found.directions[:, ~found.line].any()
    assert (found.line & torch.from_numpy(numbers == 1)).any()
    moved = with_labels(found, np.roll(numbers, 3, 0), 2.0)
    assert np.array_equal(moved.labels, numbers)
    assert torch.equal(moved.line[3:], found.line[:-3])


def test_batches_depend_on_seed_and_step_alone():
    source = EdgeSource([item()], batch_size=3, side=32, augment=True, radius=2.0, seed=1)
    one, again, other = source(5), source(5), source(6)
    assert torch.equal(one.inputs, again.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert one.inputs.shape == (3, 3, 32, 32)
    assert one.directions.shape == (3, 1, 2, 32, 32)
    assert one.line.any()
    assert one.beta == pytest.approx(1 - float((one.band & one.known).sum() / one.known.sum()))
    assert len(one.part(1, 2).inputs) == 1
    assert len(one.part(1, 2).planes) == 1


def test_what_lies_beyond_a_small_image_is_not_known():
    batch = EdgeSource([item(48)], batch_size=2, side=64, augment=False, radius=2.0)(1)
    assert batch.known[:, 0, :48, :48].all()
    assert batch.known.sum() == 2 * 48 * 48
    assert not batch.band[:, 0, 48:].any()


def test_directions_turn_with_the_crops():
    """After every flip and turn, the directions are those of the turned masks."""
    source = EdgeSource([item()], batch_size=24, side=48, augment=True, radius=2.0)
    batch = source(1)
    for number in range(24):
        line = batch.line[number, 0]
        angle = torch.atan2(batch.directions[number, 0, 1], batch.directions[number, 0, 0])[line] / 2
        places = line.nonzero().float()
        # one px along the normal leaves the line, one px across it does not leave its neighbourhood
        across = torch.stack((angle.sin(), angle.cos()), 1)
        along = torch.stack((angle.cos(), -angle.sin()), 1)
        far = [
            torch.cdist(places + 3 * way, places).amin(1).mean()
            + torch.cdist(places - 3 * way, places).amin(1).mean()
            for way in (across, along)
        ]
        assert far[0] > far[1] + 1


def test_every_term_and_weight_counts():
    batch = EdgeSource([item()], batch_size=2, side=48, augment=False, radius=2.0)(1)
    logits = torch.randn(2, 5, 48, 48, generator=torch.Generator().manual_seed(0))
    terms = edge_objective(EdgeConfig())(logits, batch, 1, lambda x: x)
    assert set(terms) == {"fused", "sides", "nms", "direction"}
    twice = edge_objective(EdgeConfig(nms_weight=2.0, direction_weight=2.0))(logits, batch, 1, lambda x: x)
    assert twice["nms"] == pytest.approx(2 * float(terms["nms"]))
    assert twice["direction"] == pytest.approx(2 * float(terms["direction"]))
    plain = edge_objective(EdgeConfig(nms_weight=0.0, direction_weight=0.0))(logits, batch, 1, lambda x: x)
    assert set(plain) == {"fused", "sides"}
    both = edge_objective(EdgeConfig())
    halves = [both(logits[k::2], batch.part(k, 2), 1, lambda x: x) for k in (0, 1)]
    for name, value in terms.items():
        assert halves[0][name] + halves[1][name] == pytest.approx(float(value), rel=1e-4)


def test_what_is_not_known_teaches_nothing():
    seen = np.zeros((48, 48), bool)
    seen[:, :24] = True
    part = item_from_labels(item().image, labels(), known=seen)
    batch = EdgeSource([part], batch_size=1, side=48, augment=False, radius=2.0)(1)
    logits = torch.randn(1, 5, 48, 48, requires_grad=True)
    sum(
        edge_objective(EdgeConfig(nms_weight=0.0, direction_weight=0.0))(logits, batch, 1, None).values()
    ).backward()
    assert not logits.grad[..., 24:].any()
    assert logits.grad[..., :24].any()


def test_a_few_steps_find_edges(tmp_path: Path):
    config = EdgeConfig(
        steps=40,
        validate_every=20,
        batch_size=2,
        patch=48,
        learning_rate=1e-2,
        average=0.8,
        warm_up=5,
        device="cpu",
    )
    network = build_edge_net(seed=0)
    before = drained(score_edges(network, [item()]))["mf"]
    run = edge_training([item()], [item()], network, config, tmp_path / "state.pt", entry={})
    events = list(fit(run))
    assert sum(isinstance(event, StepDone) for event in events) == 40
    looked = [event.metrics["mf"] for event in events if isinstance(event, Validated)]
    assert looked[-1] > max(0.7, before)
    edges = thin(edge_probabilities(run.candidate, item().image)[None, None])[0, 0]
    assert edges.shape == (48, 48)


def test_outlines_are_aligned_to_what_the_network_sees():
    truth = item()
    rough = item_from_labels(truth.image, np.roll(labels(), 3, 1))
    source = EdgeSource([rough], batch_size=1, side=48, augment=False, radius=2.0)
    told = list(source.align(lambda image: truth.line.float(), 5))
    assert told == [Validating(stage="edges", done=0, total=1, doing="aligning")]
    assert source.moved > 0
    assert np.array_equal(source.items[0].labels, rough.labels)

    def apart(line: torch.Tensor) -> float:
        return float(torch.cdist(line.nonzero().float(), truth.line.nonzero().float()).amin(1).mean())

    assert apart(source.items[0].line) < 0.6 * apart(rough.line)


def test_a_network_without_edges_leaves_the_word_to_the_image():
    truth = item()
    rough = item_from_labels(truth.image, np.roll(labels(), 3, 1))
    source = EdgeSource([rough], batch_size=1, side=48, augment=False, radius=2.0)
    list(source.align(lambda image: torch.zeros(image.shape[1:]), 5))
    assert 0 < (source.items[0].line & ~truth.line).sum() < (rough.line & ~truth.line).sum()


def test_items_are_aligned_to_their_images_and_remember_what_was_drawn():
    truth, empty = item(), item_from_labels(torch.zeros(1, 20, 20), np.zeros((20, 20), np.int32))
    rough = item_from_labels(truth.image, np.roll(labels(), 3, 1))
    work, told = align_items([rough, empty], reach=5, radius=2.0), []
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            moved, still = end.value
            break
    assert [(each.done, each.total, each.doing) for each in told] == [(0, 2, "aligning"), (1, 2, "aligning")]
    assert still is empty
    assert np.array_equal(moved.labels, rough.labels)
    assert 0 < (moved.line & ~truth.line).sum() < (rough.line & ~truth.line).sum()
    assert not torch.equal(moved.band, rough.band)
    assert moved.directions[:, moved.line].any()
    short, far = (aligned_labels(rough, reach) for reach in (2, 5))
    assert (far != labels()).sum() < 0.6 * (rough.labels != labels()).sum()
    assert 0 < (short != rough.labels).sum() < (far != rough.labels).sum()


def test_a_run_aligns_from_the_step_that_was_asked_for(tmp_path: Path, monkeypatch):
    asked = []

    def align(self, edges, reach):
        asked.append((run.step, reach))
        yield from ()

    monkeypatch.setattr(EdgeSource, "align", align)
    config = EdgeConfig(
        steps=4, validate_every=1, batch_size=1, patch=32, align_from=2, align_reach=7, device="cpu"
    )
    run = edge_training([item()], [item()], build_edge_net(seed=0), config, tmp_path / "s.pt", entry={})
    list(fit(run))
    assert asked == [(2, 7), (3, 7)]  # not after the last step


def test_the_best_threshold_wins():
    truth = torch.zeros(9, 20, dtype=torch.bool)
    truth[4] = True
    edges = torch.zeros(9, 20)
    edges[5] = 0.6  # one px off
    edges[0, :10] = 0.3
    found = maximum_f([(edges, truth)])
    assert found == {"mf": 1.0, "threshold": 0.3, "precision": 1.0, "recall": 1.0}
    found = maximum_f([(edges, truth)], thresholds=(0.1,))
    assert found["precision"] == pytest.approx(2 / 3)
    assert maximum_f([(edges, truth)], tolerance=0.5)["mf"] == 0
    half = maximum_f([(edges, truth), (torch.zeros(9, 20), truth)])
    assert half["recall"] == 0.5
    assert math.isnan(maximum_f([])["mf"])
    assert math.isnan(maximum_f([(edges, torch.zeros_like(truth))])["mf"])


def test_without_outlines_nothing_can_be_learned(tmp_path: Path):
    empty = item_from_labels(torch.zeros(1, 20, 20), np.zeros((20, 20), np.int32))
    with pytest.raises(SegsizeError, match="needs outlines"):
        edge_training([empty], [], build_edge_net(), EdgeConfig(device="cpu"), tmp_path / "s.pt", entry={})


def test_every_fifth_plane_is_held_out():
    planes = [item(16) for _ in range(6)]
    train, held = hold_out_planes(planes)
    assert len(train) == 5
    assert held == [planes[4]]
    assert hold_out_planes(planes[:4]) == (planes[:4], [])


def drained(events):
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def test_a_number_that_is_none_ends_the_training_with_a_sentence(tmp_path):
    file = tmp_path / "state.pt"
    network = build_edge_net("small", seed=0)
    with torch.no_grad():
        network.fuse.bias.fill_(torch.nan)
    config = EdgeConfig(steps=2, batch_size=2, patch=32, device="cpu")
    run = edge_training([item()], [], network, config, file, entry={"kind": "small", "channels": 3})
    with pytest.raises(SegsizeError, match=r"loss \(fused.* is not a number at step 1"):
        list(fit(run))
    assert not file.exists()
