"""The level-set network learns a project's objects, stops, resumes, never gets worse, and is then used."""

import math

import pytest
import torch
from discs import CENTRES, annotate, clicks, discs, planes, project

from napari_segsize.engine.checkpoint import load_levelset_network
from napari_segsize.engine.closeup import SIDE, CloseUp, close_ups
from napari_segsize.engine.contour_batch import ContourSource
from napari_segsize.engine.contour_config import ContourConfig, EvolveConfig
from napari_segsize.engine.contour_stages import (
    evaluate_contours,
    evaluate_levelsets,
    finetune_contour,
    finetune_levelset,
)
from napari_segsize.engine.events import Ended, Started, StepDone, Validated
from napari_segsize.engine.evolve import Evolver
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.levelset_objective import agrees, levelset_objective
from napari_segsize.engine.levelset_runs import score_levelsets
from napari_segsize.engine.predict import model_file
from napari_segsize.engine.stages import Resumable, resumable
from napari_segsize.errors import SegsizeError
from napari_segsize.losses.levelset import truncated_distance
from napari_segsize.models.levelset import build_levelset_net
from napari_segsize.ops.size import object_size
from napari_segsize.project import Project

__all__ = ["project"]  # a fixture


def tiny(**changes) -> LevelSetConfig:
    return LevelSetConfig(**{"steps": 3, "batch_size": 4, "validate_every": 2, "device": "cpu", **changes})


def weights_of(project: Project, number: int) -> dict[str, torch.Tensor]:
    record = next(model for model in project.models() if model.id == number)
    return load_levelset_network(project.models_folder / record.path)[0].state_dict()


# -- the stage -------------------------------------------------------------------------------------------


def test_masks_points_and_sizes_teach_in_one_batch_and_the_better_network_is_used(project):
    annotate(project)
    events = list(finetune_levelset(project, tiny(learning_rate=1e-4)))
    started = next(event for event in events if isinstance(event, Started))
    assert (started.stage, started.masks, started.sizes) == ("levelset", 1, 2)
    losses = [set(event.losses) for event in events if isinstance(event, StepDone)]
    assert len(losses) == 3
    assert any({"final", "distance", "direction", "extreme points", "size"} <= each for each in losses)
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert not (project.models_folder / "levelset.resume.pt").exists()
    assert project.current_model("contours") is None
    if ended.promoted:
        before, after = ended.comparison.rows
        assert (before.name, after.name) == ("level-set network before", "level-set network after")
        assert after.iou > before.iou
        assert project.current_model("levelsets").id == ended.model
    else:
        assert "level-set network stays" in ended.message
        assert project.models() == ()


def test_a_step_that_ruins_the_network_is_not_kept(project):
    annotate(project)
    ended = list(finetune_levelset(project, tiny(learning_rate=0.5, warm_up=0, average=0.0)))[-1]
    assert not ended.promoted
    assert project.current_model("levelsets") is None


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(project):
    annotate(project)
    config = tiny(model="small", steps=4, pretraining=0.5)
    list(finetune_levelset(project, config))
    generator = finetune_levelset(project, config)
    for event in generator:
        if isinstance(event, StepDone) and event.step == 2:
            break
    generator.close()
    assert resumable(project) is None
    assert resumable(project, ["contour"]) is None
    assert resumable(project, ["levelset"]) == Resumable("levelset", 2, 4)
    with pytest.raises(SegsizeError, match="no stopped contour training"):
        list(finetune_contour(project, resume=True))
    list(finetune_levelset(project, resume=True))
    whole, resumed = weights_of(project, 1), weights_of(project, 2)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_new_network_is_used_only_once_it_is_better_and_then_by_the_engine_alone(project):
    annotate(project)
    ended = list(finetune_levelset(project, tiny(model="small")))[-1]
    before, after = ended.comparison.rows
    assert after.iou < before.iou  # three steps against the network that ships
    assert not ended.promoted
    shipped = Evolver(project, EvolveConfig(engine="levelset", device="cpu")).network.state_dict()
    project.promote(ended.model)
    used = Evolver(project, EvolveConfig(engine="levelset", device="cpu")).network.state_dict()
    mine = weights_of(project, ended.model)
    assert all(torch.equal(used[name], mine[name]) for name in mine)
    assert any(not torch.equal(used[name], shipped[name]) for name in mine)
    assert project.current_model("contours") is None
    with pytest.raises(SegsizeError, match="no contour model"):
        Evolver(project, EvolveConfig(model=ended.model, device="cpu"))
    with pytest.raises(SegsizeError, match="moves level sets"):
        model_file(project, ended.model)
    rows = list(evaluate_levelsets(project, device="cpu"))[-1].comparison.rows
    assert [row.name for row in rows] == ["level-set network that ships", f"level-set model {ended.model}"]
    assert rows[0].iou > rows[1].iou
    assert list(evaluate_contours(project, device="cpu"))[-1].comparison.rows[0].name.startswith("contour")


def test_a_model_of_polygons_is_no_level_set(project):
    annotate(project)
    config = ContourConfig(steps=1, batch_size=2, validate_every=1, model="small", device="cpu")
    ended = list(finetune_contour(project, config))[-1]
    with pytest.raises(SegsizeError, match="no level-set model of this project: fine-tune one first"):
        Evolver(project, EvolveConfig(engine="levelset", model=ended.model, device="cpu"))


def test_points_and_sizes_alone_are_enough_to_learn_from(project):
    train, _ = planes(project)
    for number, centre in enumerate(CENTRES):
        project.put_contour(train, object=str(number), points=clicks(centre))
        project.put_stamp(train, 14, centre=centre, object=str(number))
    events = list(finetune_levelset(project, tiny()))
    assert all(
        {"extreme points", "size"} <= set(each.losses) for each in events if isinstance(each, StepDone)
    )
    looked = next(each for each in events if isinstance(each, Validated))
    assert math.isnan(looked.metrics["iou"])


def test_without_objects_there_is_nothing_to_learn(project):
    with pytest.raises(SegsizeError, match="at least one object"):
        list(finetune_levelset(project, tiny()))


# -- what it minimises -----------------------------------------------------------------------------------


def items() -> tuple[CloseUp, CloseUp]:
    """One object, known whole; and the same, known by its points and size alone."""
    image, labels = discs()
    whole = close_ups(torch.from_numpy(image)[None], [torch.from_numpy(labels == 1)])[0]
    size = float(object_size(whole.mask[None] > 0.5)[0, 0])
    return whole, CloseUp(image=whole.image, points=whole.points, size=size, scale=whole.scale)


def channels_of(mask: torch.Tensor) -> torch.Tensor:
    """What a network says that sees this mask and moves nothing."""
    return torch.cat([truncated_distance(mask), torch.zeros(len(mask), 3, SIDE, SIDE)], 1)


def nothing(inputs: torch.Tensor) -> torch.Tensor:
    return torch.full((len(inputs), 4, SIDE, SIDE), -1.0)


def test_an_object_without_a_mask_is_told_where_it_ends_and_how_large_it_is():
    whole, weak = items()
    source = ContourSource([weak], batch_size=1, vertices=32, augment=False)
    batch = source.batch([weak], None)
    mask = source.batch([whole], None).target > 0.5
    objective = levelset_objective(LevelSetConfig(own_weight=0.0), 0.005)
    right = objective(channels_of(mask), batch, 1, nothing)
    assert set(right) == {"extreme points", "size"}
    shrunk = channels_of(mask)
    shrunk[:, :1] -= 4
    shrunk.requires_grad_()
    wrong = objective(shrunk, batch, 1, nothing)
    for name in ("extreme points", "size"):
        assert bool(wrong[name] > 2 * right[name]), name
        (slope,) = torch.autograd.grad(wrong[name], shrunk, retain_graph=True)
        assert float(slope[:, 0].sum()) < 0, name  # a larger phi is better
        assert bool(slope.isfinite().all())


def test_extreme_points_want_the_level_set_neither_larger_nor_smaller():
    whole, weak = items()
    source = ContourSource([weak], batch_size=1, vertices=32, augment=False)
    batch, mask = source.batch([weak], None), source.batch([whole], None).target > 0.5
    objective = levelset_objective(LevelSetConfig(own_weight=0.0, size_weight=0.0, iterations=1), 0.005)
    found = {}
    for shift in (-1.0, -0.5, 0.0, 0.5, 1.0):
        channels = channels_of(mask)
        channels[:, :1] += shift
        found[shift] = float(objective(channels, batch, 1, nothing)["extreme points"])
    assert min(found, key=lambda shift: found[shift]) == 0.0


def test_every_weight_of_points_sizes_and_own_level_sets_weighs_its_term():
    whole, weak = items()
    source = ContourSource([weak], batch_size=1, vertices=32, augment=False)
    batch, mask = source.batch([weak], None), source.batch([whole], None).target > 0.5
    channels = channels_of(mask)
    channels[:, :1] -= 1
    names = {"points_weight": "extreme points", "size_weight": "size", "own_weight": "own level sets"}

    def teacher(_inputs: torch.Tensor) -> torch.Tensor:
        return channels_of(mask)

    plain = levelset_objective(LevelSetConfig(), 0.005)(channels, batch, 1, teacher)
    assert all(float(plain[name]) > 0 for name in names.values())
    for option, name in names.items():
        half = LevelSetConfig(**{option: getattr(LevelSetConfig(), option) / 2})
        found = levelset_objective(half, 0.005)(channels, batch, 1, teacher)
        assert float(found[name]) == pytest.approx(float(plain[name]) / 2, rel=1e-5)
        none = levelset_objective(LevelSetConfig(**{option: 0.0}), 0.005)(channels, batch, 1, teacher)
        assert name not in none


def test_a_mixed_batch_is_the_sum_of_its_parts():
    whole, weak = items()
    source = ContourSource([whole, weak], batch_size=2, vertices=32, augment=False)
    batch = source.batch([whole, weak], None)
    network = build_levelset_net(seed=0)
    config = LevelSetConfig(shift=0.0)
    objective = levelset_objective(config, 0.005)
    with torch.no_grad():
        channels = network(batch.inputs)
        together = objective(channels, batch, 1, network)
        first = objective(channels[:1], batch.part(0, 2), 1, network)
        second = objective(channels[1:], batch.part(1, 2), 1, network)
    assert set(first) == {"final", "distance", "direction"}
    assert set(together) == {*first, *second}
    for name, value in together.items():
        parts = float(first.get(name, 0.0)) + float(second.get(name, 0.0))
        assert float(value) == pytest.approx(parts, rel=1e-4)


def test_own_level_sets_are_believed_where_they_fit_points_and_size():
    whole, weak = items()
    source = ContourSource([weak], batch_size=1, vertices=32, augment=False)
    batch, mask = source.batch([weak], None), source.batch([whole], None).target > 0.5

    def believed(phi: torch.Tensor, points: torch.Tensor, size: torch.Tensor) -> bool:
        return bool(agrees(phi > 0, points, size, batch.pixel)[0])

    phi, unknown = truncated_distance(mask), torch.full_like(batch.points, torch.nan)
    no_size = torch.full_like(batch.size, torch.nan)
    assert believed(phi, batch.points, batch.size)
    assert believed(phi, unknown, batch.size)
    assert believed(phi, batch.points, no_size)
    assert not believed(phi, unknown, no_size)
    assert not believed(phi - 5, batch.points, no_size)
    assert not believed(phi - 5, unknown, batch.size)
    assert not believed(phi - 100, batch.points, no_size)  # nothing is left


def test_objects_without_a_mask_are_scored_by_their_points():
    whole, weak = items()
    network = build_levelset_net(seed=0, dt=0.005).eval()
    mask = ContourSource([whole], batch_size=1, vertices=32, augment=False).batch([whole], None).target > 0.5

    def score(shift: float) -> dict[str, float]:
        channels = channels_of(mask)
        channels[:, :1] -= shift
        network.forward = lambda inputs: channels.expand(len(inputs), -1, -1, -1)
        generator = score_levelsets(network, [weak], LevelSetConfig(), torch.device("cpu"))
        while True:
            try:
                next(generator)
            except StopIteration as end:
                return end.value

    assert math.isnan(score(0.0)["iou"])
    assert score(0.0)["points_error"] < 0.75
    assert 3 < score(4.0)["points_error"] < 6  # and what the evolution itself takes away
    assert score(100.0)["points_error"] == SIDE
