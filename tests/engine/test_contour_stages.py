"""The contour network learns a project's objects, stops, resumes, and never gets worse."""

import json
import os
import queue
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from discs import CENTRES, RADIUS, annotate, circle, clicks, discs, planes, project

from napari_segsize.engine.checkpoint import load_contour_network
from napari_segsize.engine.contour_config import ContourConfig, EvolveConfig
from napari_segsize.engine.contour_items import contour_items, hold_out
from napari_segsize.engine.contour_stages import evaluate_contours, finetune_contour
from napari_segsize.engine.events import (
    ContourDone,
    ContourFailed,
    ContourStep,
    Ended,
    Notice,
    Started,
    StepDone,
)
from napari_segsize.engine.evolve import Evolver, evolve, evolving
from napari_segsize.engine.predict import model_file
from napari_segsize.engine.prompt import Prompt
from napari_segsize.engine.stages import Resumable, resumable
from napari_segsize.engine.starter import load_starter, save_starter, starter_file
from napari_segsize.errors import SegsizeError
from napari_segsize.models.contour import build_contour_net
from napari_segsize.project import Project

__all__ = ["project"]  # a fixture


def drained(generator):
    events = []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as end:
            return events, end.value


def tiny(**changes) -> ContourConfig:
    return ContourConfig(**{"steps": 3, "batch_size": 4, "validate_every": 2, "device": "cpu", **changes})


def test_everything_that_is_known_of_an_object_becomes_a_close_up(project):
    annotate(project)
    _, (items, notices) = drained(contour_items(project, "train"))
    known = {
        item.object: (item.mask is not None, bool(item.points.isfinite().all()), item.size > 0)
        for item in items
    }
    assert known == {"a": (True, True, False), "b": (False, True, True), "c": (False, False, True)}
    assert notices == ()


def test_labels_of_a_mask_are_objects_unless_a_contour_covers_them(project):
    train, _ = planes(project)
    project.put_mask(train, discs()[1])
    project.put_contour(train, object="a", rings=(circle(CENTRES[0]),), source="drawn")
    _, (items, _) = drained(contour_items(project, "train"))
    assert len(items) == 4
    assert [item.object for item in items] == ["a", "", "", ""]


def test_a_skipped_plane_teaches_nothing(project):
    annotate(project)
    project.put_skip(planes(project)[0])
    assert drained(contour_items(project, "train"))[1] == ([], ())


def test_an_image_that_is_gone_is_left_out_with_a_sentence(project):
    annotate(project)
    record = project.images()[0]
    (project.folder / record.path).unlink()
    _, (items, notices) = drained(contour_items(project, "train"))
    assert items == []
    assert len(notices) == 1
    assert record.name in notices[0]


def test_every_fifth_outlined_object_is_held_out(project):
    train, _ = planes(project)
    project.put_mask(train, discs()[1])
    _, (items, _) = drained(contour_items(project, "train"))
    assert hold_out(items) == (items, [])  # four are too few
    more = [*items, *(replace(item) for item in items[:2])]
    kept, held = hold_out(more)
    assert (len(kept), len(held)) == (5, 1)
    assert all(item is not held[0] for item in kept)


def test_fine_tuning_goes_on_from_the_network_that_ships(project):
    annotate(project)
    events = list(finetune_contour(project, tiny(learning_rate=1e-4)))
    started = next(event for event in events if isinstance(event, Started))
    assert (started.masks, started.sizes) == (1, 2)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert len(steps) == 3
    assert any({"segmentation", "extreme points", "size"} <= set(event.losses) for event in steps)
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert not (project.models_folder / "contour.resume.pt").exists()
    if ended.promoted:
        before, after = ended.comparison.rows
        assert after.iou > before.iou
        assert project.current_model("contours").id == ended.model
        load_contour_network(project.models_folder / project.current_model("contours").path)
    else:
        assert "stays" in ended.message
        assert project.models() == ()


def test_a_step_that_ruins_the_network_is_not_kept(project):
    annotate(project)
    events = list(finetune_contour(project, tiny(learning_rate=0.5, warm_up=0, average=0.0)))
    assert not events[-1].promoted
    assert project.current_model("contours") is None


def test_a_contour_model_never_replaces_the_one_that_segments_pixels(project):
    annotate(project)
    list(finetune_contour(project, tiny(model="small")))
    project.promote(project.models()[0].id)
    assert project.current_model("contours") is not None
    assert project.current_model() is None
    with pytest.raises(SegsizeError, match="moves contours"):
        model_file(project, 1)
    with pytest.raises(SegsizeError, match="no model yet"):
        model_file(project)


def test_a_new_network_replaces_the_one_in_use_only_if_it_is_better_on_the_same_objects(project):
    annotate(project)
    ended = list(finetune_contour(project, tiny(model="small")))[-1]
    before, after = ended.comparison.rows
    assert after.iou < before.iou  # three steps against the network that ships
    assert before.model is None
    assert not ended.promoted
    assert project.current_model("contours") is None
    project.promote(ended.model)
    again = list(finetune_contour(project, tiny(model="small")))[-1]
    assert again.comparison.rows[0].model == ended.model
    assert again.promoted  # the same seed and settings: as good


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(project):
    annotate(project)
    config = tiny(model="small", steps=4)
    list(finetune_contour(project, config))
    whole = load_contour_network(project.models_folder / project.models()[0].path)[0].state_dict()
    generator = finetune_contour(project, config)
    for event in generator:
        if isinstance(event, StepDone) and event.step == 2:
            break
    generator.close()
    assert resumable(project) is None  # of the stages of pixel networks
    assert resumable(project, ["contour"]) == Resumable("contour", 2, 4)
    list(finetune_contour(project, resume=True))
    resumed = load_contour_network(project.models_folder / project.models()[1].path)[0].state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


_PROCESSES = """
import json, os, sys
from pathlib import Path
from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.contour_stages import finetune_contour
from napari_segsize.engine.events import StepDone
from napari_segsize.project import Project
config = ContourConfig(
    model="small", steps=3, batch_size=4, validate_every=2, device="cpu", augment=False
)
with Project.open(sys.argv[1]) as project:
    losses = [event.losses for event in finetune_contour(project, config) if isinstance(event, StepDone)]
if os.environ.get("RANK", "0") == "0":
    Path(sys.argv[2]).write_text(json.dumps(losses))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun's gloo start-up differs on Windows")
def test_two_processes_record_one_model(project, tmp_path):
    annotate(project)
    script = tmp_path / "train.py"
    script.write_text(_PROCESSES)
    folder = shutil.copytree(project.folder, tmp_path / "copy")
    runner = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*runner, str(script), str(folder), str(tmp_path / "losses.json")],
        check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240, capture_output=True,
    )  # fmt: skip
    assert len(json.loads((tmp_path / "losses.json").read_text())) == 3
    with Project.open(folder) as copy:
        assert [model.stage for model in copy.models()] == ["contour"]
        assert resumable(copy, ["contour"]) is None
        files = {file.name for file in copy.models_folder.iterdir()}
    assert files == {"0001-contour.pt"}


def test_without_a_stopped_run_there_is_nothing_to_resume(project):
    with pytest.raises(SegsizeError, match="no stopped contour training"):
        list(finetune_contour(project, resume=True))


def test_without_objects_there_is_nothing_to_learn(project):
    with pytest.raises(SegsizeError, match="at least one object"):
        list(finetune_contour(project, tiny()))


def test_without_validation_images_it_says_what_it_compares_on(project):
    train, validation = planes(project)
    project.set_split(validation.image, "train")
    for plane in (train, validation):
        project.put_mask(plane, discs()[1])
    events = list(finetune_contour(project, tiny()))
    texts = [event.text for event in events if isinstance(event, Notice)]
    assert any("1 objects of the training images are held out" in text for text in texts)


def test_evaluation_compares_on_held_out_outlines(project):
    annotate(project)
    events = list(evaluate_contours(project, device="cpu"))
    rows = events[-1].comparison.rows
    assert [row.name for row in rows] == ["contour network that ships"]
    assert 0.8 < rows[0].iou <= 1
    assert rows[0].images == 1
    assert events[-1].comparison.of == "objects"
    assert list(evaluate_contours(project, split="train", device="cpu"))[-1].comparison.split == "train"
    project.delete_contour(planes(project)[1], "a")
    with pytest.raises(SegsizeError, match="held-out"):
        list(evaluate_contours(project))


def prompt(project: Project, number: int = 0, **changes) -> Prompt:
    values = {
        "plane": planes(project)[0],
        "object": str(number),
        "points": clicks(CENTRES[number]),
        **changes,
    }
    return Prompt(**values)


def overlap(contour: np.ndarray, number: int) -> float:
    from napari_segsize.project.outlines import mask_of

    found, truth = mask_of((contour,), (90, 100)), discs()[1] == number + 1
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("engine", ["network", "snake"])
def test_four_points_become_the_outline(project, engine):
    config = EvolveConfig(engine=engine, device="cpu")
    found = list(Evolver(project, config).many([prompt(project, number) for number in range(4)]))
    assert [each.object for each in found] == ["0", "1", "2", "3"]
    for number, each in enumerate(found):
        assert isinstance(each, ContourDone)
        assert each.contours.shape[1:] == (32, 2)
        assert overlap(each.contours[-1], number) > 0.85


def test_stamps_and_drawn_contours_start_an_evolution_too(project):
    y, x = CENTRES[0]
    asked = [
        prompt(project, points=(), stamp=(y, x, 15.0)),
        prompt(project, points=(), start=tuple((py + 1.5, px) for py, px in circle(CENTRES[0]))),
    ]
    config = EvolveConfig(vertices=24, iterations=2, device="cpu")
    for each in Evolver(project, config).many(asked):
        assert each.contours.shape == (3, 24, 2)
        assert overlap(each.contours[-1], 0) > 0.75


def test_every_iteration_comes_out(project):
    events = list(evolve(project, [prompt(project)], EvolveConfig(iterations=4, device="cpu")))
    steps = [event for event in events if isinstance(event, ContourStep)]
    assert [event.step for event in steps] == [0, 1, 2, 3, 4]
    assert np.array_equal(steps[-1].vertices, events[-1].contours[-1])


def test_the_field_lies_where_it_was_looked_at(project):
    done = next(iter(Evolver(project, EvolveConfig(device="cpu")).many([prompt(project)])))
    assert done.centre == pytest.approx(CENTRES[0], abs=0.01)
    assert done.scale * 64 == pytest.approx((2 * RADIUS + 1) * 1.6, rel=1e-3)
    assert done.field.shape == (2, 64, 64)


def test_an_image_that_cannot_be_read_fails_its_own_objects_only(project):
    train, validation = planes(project)
    (project.folder / project.images()[0].path).unlink()
    asked = [prompt(project), prompt(project, plane=validation)]
    failed, done = Evolver(project, EvolveConfig(device="cpu")).many(asked)
    assert isinstance(failed, ContourFailed)
    assert failed.plane == train
    assert isinstance(done, ContourDone)


def test_the_queue_takes_all_that_waits_and_the_newest_of_each_object(project):
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    moved = tuple((y + 0.5, x) for y, x in clicks(CENTRES[0]))
    for each in (prompt(project), prompt(project, 1), prompt(project, points=moved), None):
        inbox.put(each)
    found = [each for each in evolving(project, inbox, EvolveConfig(device="cpu")) if each is not None]
    assert sorted(each.object for each in found) == ["0", "1"]
    first = next(each for each in found if each.object == "0")
    assert first.contours[0][:, 0].max() == pytest.approx(CENTRES[0][0] + RADIUS + 0.5, abs=0.01)


def test_an_empty_queue_lets_go_of_the_thread(project):
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    generator = evolving(project, inbox, patience=0.001)
    assert next(generator) is None  # stoppable here, and nothing was loaded
    inbox.put(None)
    assert list(generator) == []


def test_a_model_that_is_none_of_contours_is_refused(project):
    with pytest.raises(SegsizeError, match="no contour model"):
        Evolver(project, EvolveConfig(model=7))


@pytest.mark.parametrize(
    "values", [{"points": ((1.0, 2.0),)}, {"points": ()}, {"points": (), "start": ((1.0, 1.0),)}]
)
def test_a_prompt_says_where_the_object_is(project, values):
    with pytest.raises(ValueError, match=r"expected|needs"):
        prompt(project, **values)


def test_the_network_that_ships_is_small_and_whole():
    assert starter_file().stat().st_size <= 8e6
    network, entry = load_starter()
    assert entry["prompts"] == network.prompts == 2


def test_a_damaged_or_foreign_network_is_refused(tmp_path):
    network = build_contour_net("small", seed=0)
    file = tmp_path / "network.safetensors"
    entry = {"kind": "small", "channels": 3, "prompts": 2}
    save_starter(file, network, entry)
    load_starter(file)
    save_starter(file, network, {**entry, "channels": 1})
    with pytest.raises(SegsizeError, match="does not hold"):
        load_starter(file)
    save_starter(file, network, entry, {"format": "99"})
    with pytest.raises(SegsizeError, match="another version"):
        load_starter(file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SegsizeError, match="cannot be read"):
        load_starter(file)


def test_a_network_whose_output_is_no_number_ends_with_a_sentence(project, monkeypatch):
    annotate(project)

    def spoiled(*arguments, **options):
        network = build_contour_net(*arguments, **options)
        with torch.no_grad():
            next(network.parameters()).fill_(torch.nan)
        return network

    monkeypatch.setattr("napari_segsize.engine.outline_networks.build_contour_net", spoiled)
    with pytest.raises(SegsizeError, match=r"network's output is not a number at step 1, in image.0\. The"):
        list(finetune_contour(project, tiny(model="small")))
