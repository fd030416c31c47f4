"""Level sets from the prompt to the rings: what vanishes or leaves its region, and what a training is."""

import pickle

import numpy as np
import pytest
import torch

from napari_segsize.engine.closeup import SIDE, CloseUp, close_ups
from napari_segsize.engine.contour_batch import ContourSource
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.levelset_field import LevelSetEvolution, evolve_levelset_prompts
from napari_segsize.engine.levelset_objective import levelset_objective
from napari_segsize.engine.levelset_outlines import levelset_done
from napari_segsize.engine.levelset_runs import levelset_entry, levelset_training
from napari_segsize.engine.loop import fit
from napari_segsize.engine.prompt import Prompt
from napari_segsize.engine.starter import load_levelset_starter, save_starter
from napari_segsize.errors import SegsizeError
from napari_segsize.losses.levelset import truncated_distance
from napari_segsize.models.levelset import Forces, build_levelset_net
from napari_segsize.ops.outline import resample
from napari_segsize.ops.roi import Rois
from napari_segsize.project import PlaneRef
from napari_segsize.project.outlines import mask_of

PLANE = PlaneRef(1, 0)
CLICKS = ((20.0, 40.0), (40.0, 20.0), (60.0, 40.0), (40.0, 60.0))


def disc(radius: float, centre: tuple[float, float] = (31.5, 31.5), side: int = SIDE) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    return radius - ((y - centre[0]) ** 2 + (x - centre[1]) ** 2).sqrt()


def evolution(*states: torch.Tensor, scale: float = 2.0) -> LevelSetEvolution:
    """One object at (40, 40) of the image, whose level sets are given."""
    zeros = torch.zeros(1, 1, SIDE, SIDE)
    forces = Forces(zeros, torch.full((1, 2, SIDE, SIDE), 0.5), zeros + 0.25)
    starts = resample(torch.tensor(CLICKS)[None], 24)
    rois = Rois(torch.tensor([[40.0, 40.0]]), torch.tensor([scale]))
    return LevelSetEvolution(torch.stack(states)[:, None], forces, starts, rois, torch.tensor([1.25]))


def done(*states: torch.Tensor, points=CLICKS):
    prompt = Prompt(plane=PLANE, object="a", points=points, start=() if points else CLICKS)
    return levelset_done(prompt, evolution(*states), 0, vertices=24, seconds=0.5)


def test_a_disc_becomes_a_ring_in_image_pixels():
    found = done(disc(6.0), disc(9.0))
    assert found.contours.shape == (2, 24, 2)
    assert found.contours.dtype == np.float32
    away = np.hypot(*(found.contours[-1] - 40.0).T)
    assert away == pytest.approx(18.0, abs=0.3)
    assert np.hypot(*(found.contours[0] - 40.0).T) == pytest.approx(12.0, abs=0.3)
    (ring,) = found.rings
    assert mask_of([ring], (80, 80)).sum() == pytest.approx(np.pi * 18**2, rel=0.02)
    assert (found.engine, found.notice, found.scale, found.centre) == ("levelset", "", 2.0, (40.0, 40.0))
    assert found.phi.shape == (2, SIDE, SIDE)
    assert found.phi[-1, 31, 31] > 0 > found.phi[-1, 0, 0]
    assert (found.modulation == 0.25).all()
    assert found.field == pytest.approx(-0.5 * 1.25 * 2.0)  # against the motion, image px a step
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.rings[0], ring)


def test_holes_and_parts_come_out_and_specks_do_not():
    pierced = torch.minimum(disc(12.0), -disc(5.0))
    found = done(disc(6.0), torch.maximum(pierced, disc(0.8, (4.0, 50.0))))
    outer, _ = found.rings
    assert np.ptp(outer, axis=0) == pytest.approx([48, 48], abs=0.5)
    assert not mask_of(found.rings, (80, 80))[40, 40]
    assert mask_of(found.rings, (80, 80))[40, 22]
    small, large = disc(4.0, (31.5, 20.0)), disc(6.0, (31.5, 42.0))
    parts = done(disc(6.0), torch.maximum(small, large)).rings
    assert [round(float(ring[:, 1].mean())) for ring in parts] == [61, 17]  # the largest first
    apart = torch.maximum(pierced, disc(3.0, (31.5, 31.5)))  # an island in the lake
    assert len(done(apart).rings) == 3


def test_what_vanishes_stops_at_its_last_step_and_says_so():
    found = done(disc(6.0), disc(8.0), disc(-1.0), disc(-2.0))
    assert found.notice == "The level set vanished in step 2 of 3; step 1 is kept."
    assert np.hypot(*(found.contours[-1] - 40.0).T) == pytest.approx(16.0, abs=0.3)
    assert np.array_equal(found.contours[1], found.contours[3])
    assert mask_of(found.rings, (80, 80)).sum() == pytest.approx(np.pi * 16**2, rel=0.02)
    assert len(found.phi) == 4


def test_what_leaves_its_region_stops_before():
    found = done(disc(6.0), disc(9.0), disc(40.0))
    assert found.notice == "The level set reached the edge of its region in step 2 of 2; step 1 is kept."
    assert np.hypot(*(found.contours[-1] - 40.0).T) == pytest.approx(18.0, abs=0.3)
    gone = done(disc(-1.0), disc(-1.0))
    assert gone.notice == "The level set vanished; the start is shown instead."
    assert gone.rings == ()
    assert np.array_equal(gone.contours[1], evolution(disc(1.0)).starts[0].numpy())
    back = done(disc(-1.0), disc(9.0))  # a start that nobody sees is no fault
    assert back.notice == ""
    assert len(back.rings) == 1


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    mask = disc(14.0, (40.0, 40.0), 80) > 0
    noise = torch.randn(1, 80, 80, generator=torch.Generator().manual_seed(0))
    return 3 * mask.float()[None] + 0.1 * noise, mask


@pytest.fixture(scope="module")
def network():
    return load_levelset_starter()[0]


def overlap(rings, mask: torch.Tensor) -> float:
    found = mask_of(rings, (80, 80))
    return float((found & mask.numpy()).sum() / (found | mask.numpy()).sum())


def prompts(*kinds: str) -> list[Prompt]:
    clicks = ((25.5, 40.0), (40.0, 25.5), (54.5, 40.0), (40.0, 54.5))
    given = {
        "points": {"points": clicks},
        "stamp": {"stamp": (40.0, 40.0, 20.0)},
        "start": {"start": tuple((40 + 16 * np.cos(a), 41 + 13 * np.sin(a)) for a in np.arange(0, 6.2, 0.3))},
    }
    return [Prompt(plane=PLANE, object=kind, **given[kind]) for kind in kinds]


def test_points_stamps_and_drawn_contours_find_the_object(network):
    image, mask = scene()
    asked = prompts("points", "stamp", "start")
    found = evolve_levelset_prompts(network, image, asked)
    assert found.states.shape == (network.steps + 1, 3, SIDE, SIDE)
    for index, prompt in enumerate(asked):
        each = levelset_done(prompt, found, index, vertices=32, seconds=0.0)
        assert each.notice == ""
        assert overlap(each.rings, mask) > 0.85, prompt.object


def test_a_drawn_contour_is_where_the_level_set_starts(network):
    image, _ = scene()
    found = evolve_levelset_prompts(network, image, prompts("points", "start"), steps=2, dt=0.01)
    assert found.states.shape[0] == 3
    assert found.dt.tolist() == pytest.approx([0.64, 1.25])  # a drawn start may be pixels off
    inside = found.rois.inside(found.starts, SIDE)[1]
    assert (found.states[0, 1] > 0).sum() == pytest.approx(
        float(mask_of([inside.numpy()], (SIDE, SIDE)).sum()), abs=3
    )
    assert torch.equal(found.states[0, 0], found.forces.phi[0, 0])


def test_a_drawn_contour_has_the_holes_that_the_network_sees_inside(network, monkeypatch):
    image, _ = scene()
    asked = prompts("start")
    drawn = evolve_levelset_prompts(network, image, asked, steps=0).states[0, 0]
    hole, beyond = disc(4.0, (31.5, 31.5)), disc(5.0, (31.5, 31.5 + 17.0))
    pierced = torch.minimum(torch.minimum(disc(24.0), -hole), -beyond)

    def heads(inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([pierced[None, None], torch.zeros(1, 3, SIDE, SIDE)], 1)

    monkeypatch.setattr(network, "forward", heads)
    found = evolve_levelset_prompts(network, image, asked, steps=0).states[0, 0]
    assert found[31, 31] < 0 < drawn[31, 31]
    assert torch.equal(found > 0, (drawn > 0) & (hole < 0))


@pytest.fixture
def items() -> list[CloseUp]:
    image, mask = scene()
    return close_ups(image, [mask]) * 4


def test_first_the_true_distance_evolves_then_the_networks_own_start(items):
    config = LevelSetConfig(steps=10, pretraining=0.5, kept=0.0, batch_size=2, device="cpu")
    batch = ContourSource(items, batch_size=2, vertices=32)(1)
    network = build_levelset_net(seed=0)
    objective = levelset_objective(config, network.dt)
    lost = network(batch.inputs).detach()
    lost[:, :1] = -5.0  # a start that has lost the object
    early, late = objective(lost, batch, 5, torch.sigmoid), objective(lost, batch, 6, torch.sigmoid)
    assert set(early) == {"final", "distance", "direction"}
    assert set(late) == {"final"}
    assert late["final"] > 2 * early["final"]
    again = objective(lost, batch, 5, torch.sigmoid)
    assert torch.equal(again["final"], early["final"])  # repeatable


def test_the_true_distance_evolves_by_the_published_step_and_the_networks_own_by_a_shorter(items):
    batch = ContourSource(items, batch_size=2, vertices=32)(1)
    channels = build_levelset_net(seed=0)(batch.inputs).detach()

    def final(step: int, length: float, dt: float) -> float:
        config = LevelSetConfig(steps=10, pretraining=0.5, pretraining_dt=length)
        return float(levelset_objective(config, dt)(channels, batch, step, torch.sigmoid)["final"])

    assert final(5, 0.02, 0.005) == final(5, 0.02, 0.01) != final(5, 0.01, 0.005)
    assert final(6, 0.02, 0.005) == final(6, 0.01, 0.005) != final(6, 0.02, 0.01)


def test_every_weight_weighs_its_term(items):
    batch = ContourSource(items, batch_size=2, vertices=32)(1)
    channels = build_levelset_net(seed=0)(batch.inputs).detach()
    names = {"final_weight": "final", "distance_weight": "distance", "direction_weight": "direction"}
    plain = levelset_objective(LevelSetConfig(pretraining=0.4), 5 / 256)(channels, batch, 1, torch.sigmoid)
    for option, name in names.items():
        half = LevelSetConfig(pretraining=0.4, **{option: getattr(LevelSetConfig(), option) / 2})
        found = levelset_objective(half, 5 / 256)(channels, batch, 1, torch.sigmoid)
        assert float(found[name]) == pytest.approx(float(plain[name]) / 2, rel=1e-5)
    kept = levelset_objective(LevelSetConfig(steps=10, pretraining=0.0, kept=0.5), 5 / 256)
    assert float(kept(channels, batch, 1, torch.sigmoid)["direction"]) == pytest.approx(
        float(plain["direction"]) / 2, rel=1e-5
    )
    still = levelset_objective(LevelSetConfig(shift=0.0, iterations=1), 5 / 256)
    target = (batch.target > 0.5).float()
    right = torch.cat([truncated_distance(target), torch.zeros(2, 3, SIDE, SIDE)], 1)
    assert still(right, batch, 1, torch.sigmoid)["distance"] == 0


def test_a_few_steps_lower_the_loss_and_the_file_comes_back(items, tmp_path):
    network = build_levelset_net(seed=0)
    config = LevelSetConfig(
        steps=12, batch_size=4, validate_every=12, device="cpu", warm_up=1, learning_rate=5e-3
    )
    run = levelset_training(
        items, items[:1], network, config, tmp_path / "run.pt", entry=levelset_entry("small", network)
    )
    events = list(fit(run))
    losses = [event.losses["total"] for event in events if hasattr(event, "losses")]
    assert losses[-1] < 0.8 * losses[0]
    assert {"iou", "boundary_f", "start_iou"} <= set(run.best_metrics)
    file = tmp_path / "network.safetensors"
    save_starter(file, network, levelset_entry("small", network))
    loaded, entry = load_levelset_starter(file)
    assert (loaded.steps, loaded.dt, entry["engine"]) == (network.steps, network.dt, "levelset")
    inputs = torch.randn(1, 5, SIDE, SIDE)
    with torch.no_grad():
        assert torch.allclose(loaded(inputs), network.eval()(inputs), atol=0.1)


def test_without_objects_there_is_nothing_to_learn(tmp_path):
    network = build_levelset_net(seed=0)
    with pytest.raises(SegsizeError, match="at least one object"):
        levelset_training([], [], network, LevelSetConfig(), tmp_path / "run.pt", entry={})


def test_a_file_of_the_other_kind_is_named():
    from napari_segsize.engine.starter import starter_file

    with pytest.raises(SegsizeError, match="does not hold the network"):
        load_levelset_starter(starter_file())
