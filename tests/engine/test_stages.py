"""The stages over real projects: what they ask for, what they keep, what they never replace."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_segsize.engine.checkpoint import load_network
from napari_segsize.engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.dataset import Pixels, load_dataset, normalised
from napari_segsize.engine.evaluate import evaluate
from napari_segsize.engine.events import Ended, Loading, Notice, Preview, Started, StepDone
from napari_segsize.engine.mirrored import mirrored_logits
from napari_segsize.engine.predict import predict, predict_pixels
from napari_segsize.engine.stages import finetune, pretrain, resumable
from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project, Split
from napari_segsize.project.stopping import Stopped, stoppable

PRETRAIN = PretrainConfig(steps=4, batch_size=4, validate_every=2, device="cpu")
FINETUNE = FineTuneConfig(steps=3, batch_size=3, mask_batch_size=2, validate_every=3, device="cpu")
PAPER = FineTuneConfig.paper(steps=2, batch_size=3, validate_every=2, device="cpu")


def square(index: int) -> tuple[np.ndarray, np.ndarray, int, tuple[float, float]]:
    """One image with one square, its mask, size and centre."""
    random = np.random.default_rng(index)
    side = 2 * int(random.integers(3, 6))
    top, left = (int(random.integers(1, extent - side)) for extent in (24, 20))
    mask = np.zeros((24, 20), bool)
    mask[top : top + side, left : left + side] = True
    image = (100 * mask + 30 * random.standard_normal((24, 20)) + 200).astype(np.uint16)
    return image, mask, side, (top + (side - 1) / 2, left + (side - 1) / 2)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Nine images with a square: 3 masks and 3 sizes to train, 3 masks to validate."""
    with Project.create(tmp_path / "squares") as made:
        for index in range(9):
            image, mask, side, centre = square(index)
            split = "train" if index < 6 else "validation"
            record = made.add_array(f"square_{index}", image, kind="image", split=split)
            plane = PlaneRef(record.id)
            if 3 <= index < 6:
                made.put_stamp(plane, side, centre=centre)
            else:
                made.put_mask(plane, mask.astype(np.int32))
        yield made


def last(events: Iterator[object]) -> Ended:
    *_, end = events
    assert isinstance(end, Ended)
    return end


def test_both_stages_leave_models_and_a_comparison(project: Project) -> None:
    first = list(pretrain(project, PRETRAIN))
    begun = next(event for event in first if isinstance(event, Started))
    assert (begun.masks, begun.images) == (3, 6)
    assert first[-1].promoted
    assert project.current_model().id == first[-1].model
    end = last(finetune(project, FINETUNE))
    assert [row.name for row in end.comparison.rows] == ["masks only", "+ sizes and centres"]
    assert {row.images for row in end.comparison.rows} == {3}
    assert resumable(project) is None
    for model in project.models():
        assert (project.models_folder / Path(model.path).name).is_file()
    assert pickle.loads(pickle.dumps(begun)) == begun


@pytest.mark.parametrize("stage", [pretrain, finetune, evaluate])
def test_stop_is_heard_while_images_are_read(project: Project, stage, monkeypatch) -> None:
    if stage is not pretrain:
        last(pretrain(project, PRETRAIN))
    read = []
    blocks = Project.blocks
    monkeypatch.setattr(Project, "blocks", lambda self, image: (read.append(image), blocks(self, image))[1])
    events = stage(project)
    for event in events:
        if isinstance(event, Loading) and event.done == 2:
            break
    events.close()
    assert len(read) == 2
    assert resumable(project) is None


@pytest.mark.parametrize("asked", [0, 7])
def test_stop_is_heard_inside_a_file(project: Project, asked: int) -> None:
    left = [asked]

    def stopping() -> bool:
        left[0] -= 1
        return left[0] < 0

    with pytest.raises(Stopped), stoppable(stopping):
        last(pretrain(project, PRETRAIN))
    assert resumable(project) is None
    assert last(pretrain(project, PRETRAIN)).promoted  # nothing is locked or left behind


@pytest.mark.parametrize("stage", [pretrain, finetune])
def test_two_trainings_of_a_stage_exclude_each_other(project: Project, stage) -> None:
    if stage is finetune:
        last(pretrain(project, PRETRAIN))
    config = PRETRAIN if stage is pretrain else FINETUNE
    first = stage(project, config)
    next(first)
    with Project.open(project.folder) as again, pytest.raises(SegsizeError, match="already running"):
        next(stage(again, config))
    first.close()
    assert last(stage(project, config)).stage == stage.__name__
    assert not list(project.models_folder.glob("*.running"))


def test_loading_tells_how_many_images_are_read(project: Project) -> None:
    read = [event for event in pretrain(project, PRETRAIN) if isinstance(event, Loading)]
    assert [(event.done, event.total) for event in read] == [
        *((done, 6) for done in range(7)),
        *((done, 3) for done in range(4)),
    ]
    assert {event.stage for event in read} == {"pretrain"}


def test_a_worse_model_is_recorded_but_does_not_replace_the_current_one(project: Project) -> None:
    last(pretrain(project, PretrainConfig(steps=60, validate_every=20, batch_size=4, device="cpu")))
    before = project.current_model()
    end = last(pretrain(project, PretrainConfig(steps=1, batch_size=1, learning_rate=0.0, device="cpu")))
    assert not end.promoted
    assert "stays in use" in end.message
    assert project.current_model() == before
    assert len(project.models()) == 2


@pytest.mark.parametrize("stage", [pretrain, finetune])
def test_a_stopped_run_changes_no_model_and_can_be_resumed(project: Project, stage) -> None:
    config = PRETRAIN if stage is pretrain else FINETUNE
    if stage is finetune:
        last(pretrain(project, PRETRAIN))
    before = project.models()
    events = stage(project, config)
    for event in events:
        if isinstance(event, StepDone) and event.step == 1:
            break
    events.close()
    assert project.models() == before
    found = resumable(project)
    assert (found.stage, found.step, found.steps) == (stage.__name__, 1, config.steps)
    late = list(stage(project, resume=True))
    started = next(event for event in late if isinstance(event, Started))
    assert started.step == 1
    assert [event.step for event in late if isinstance(event, StepDone)] == list(range(2, config.steps + 1))
    assert resumable(project) is None


def test_what_is_missing_is_said(project: Project, tmp_path: Path) -> None:
    with pytest.raises(SegsizeError, match="Pre-train from masks first"):
        last(finetune(project, FINETUNE))
    with pytest.raises(SegsizeError, match="no stopped pretrain run"):
        last(pretrain(project, resume=True))
    with Project.create(tmp_path / "empty") as empty:
        with pytest.raises(SegsizeError, match="at least one painted mask"):
            last(pretrain(empty, PRETRAIN))
        with pytest.raises(SegsizeError, match="no model yet"):
            last(predict(empty))
    last(pretrain(project, PRETRAIN))
    for plane in project.planes("train"):
        for stamp in project.annotation(plane).stamps:
            project.delete(plane, stamp.object)
    with pytest.raises(SegsizeError, match="at least one object size"):
        last(finetune(project, FINETUNE))


def test_the_paper_recipe_takes_the_size_of_masks(project: Project) -> None:
    last(pretrain(project, PRETRAIN))
    for plane in project.planes("train"):
        for stamp in project.annotation(plane).stamps:
            project.delete(plane, stamp.object)
    events = list(finetune(project, PAPER))
    steps = [event for event in events if isinstance(event, StepDone)]
    assert set(steps[0].losses) == {"size", "total"}


def test_without_validation_images_a_model_is_kept_only_when_there_is_none(project: Project) -> None:
    for image in project.images():
        project.set_split(image.id, "train")
    events = list(pretrain(project, PRETRAIN))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert any("No annotated validation images" in text for text in notices)
    assert events[-1].promoted
    assert not last(pretrain(project, PRETRAIN)).promoted


def test_an_image_that_vanished_is_named_and_left_out(project: Project) -> None:
    lost = project.images()[0]
    project.file_of(lost.id).unlink()
    with Project.open(project.folder) as fresh:
        events = list(pretrain(fresh, PRETRAIN))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert any(lost.name in text and "Going on without it" in text for text in notices)
    started = next(event for event in events if isinstance(event, Started))
    assert started.images == 5


def test_skipped_planes_are_left_out_and_no_object_is_an_empty_mask(project: Project) -> None:
    first, second = project.planes("train")[:2]
    project.delete(first, "mask")
    project.put_no_object(first)
    project.delete(second, "mask")
    project.put_skip(second)
    items = {item.plane: item for item in load_dataset(project, "train").items}
    assert not items[first].mask.any()
    assert second not in items


def test_skipped_planes_that_say_something_are_counted_once(project: Project) -> None:
    for plane in (*project.planes("train")[:2], project.planes("validation")[0]):
        project.put_skip(plane)
    empty = project.add_array("empty", square(9)[0], split="train")
    project.put_skip(PlaneRef(empty.id))  # nothing is lost with this one
    events = list(pretrain(project, PRETRAIN))
    said = [event.text for event in events if isinstance(event, Notice)]
    kinds = [type(event) for event in events]
    assert kinds.index(Started) < kinds.index(Notice)  # a window shows the newest sentence
    (sentence,) = (text for text in said if "skipped" in text)
    assert sentence.startswith("3 skipped planes have a mask or sizes and are left out: take Skip back")
    compared = [event.text for event in evaluate(project) if isinstance(event, Notice)]
    assert any(text.startswith("1 skipped plane has a mask or sizes and is left out") for text in compared)


def test_planes_with_several_sizes_but_no_place_count_as_their_largest(project: Project) -> None:
    plane = project.planes("train")[0]
    project.delete(plane, "mask")
    for size in (4, 8, 6):
        project.put_stamp(plane, size)
    item = next(item for item in load_dataset(project, "train").items if item.plane == plane)
    assert item.objects[:, 0].tolist() == [8.0]
    assert item.located == 0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_images_of_different_channels_are_refused(project: Project, split: Split) -> None:
    rgb = project.add_array("colour", np.zeros((24, 20, 3), np.uint8), kind="image", rgb=True)
    project.set_split(rgb.id, split)
    project.put_mask(PlaneRef(rgb.id), np.ones((24, 20), np.int32))
    with pytest.raises(SegsizeError, match=r"same number of channels, here 1; others have colour \(3\)"):
        last(pretrain(project, PRETRAIN))


def test_a_preview_shows_the_plane_that_is_asked_for(project: Project) -> None:
    plane = project.planes("validation")[1]
    events = list(pretrain(project, PRETRAIN, preview=lambda: plane))
    pictures = [event for event in events if isinstance(event, Preview)]
    assert pictures
    assert pictures[0].plane == plane
    assert pictures[0].probabilities.shape == (24, 20)
    assert 0 <= pictures[0].probabilities.min() <= pictures[0].probabilities.max() <= 1


def test_predict_writes_labels_and_leaves_out_what_does_not_fit(project: Project, tmp_path: Path) -> None:
    last(pretrain(project, PRETRAIN))
    project.add_array("colour", np.zeros((24, 20, 3), np.uint8), kind="image", rgb=True)
    events = list(predict(project, PredictConfig(folder=str(tmp_path / "labels"), device="cpu")))
    files = sorted((tmp_path / "labels").glob("*.tif"))
    assert len(files) == 9
    assert tifffile.imread(files[0]).dtype == np.int32
    assert any(isinstance(event, Notice) and "3" in event.text for event in events)
    whole = events[1].probabilities
    file = project.models_folder / Path(project.current_model().path).name
    alone = predict_pixels(file, project.pixels(events[1].plane), device="cpu")
    np.testing.assert_allclose(whole, alone, atol=1e-5)


def test_predictions_and_comparisons_can_look_four_times(project: Project) -> None:
    last(pretrain(project, PRETRAIN))
    record = project.current_model()
    network, _ = load_network(project.models_folder / record.path)
    shown = [
        event
        for event in predict(project, PredictConfig(mirrored=True, device="cpu"))
        if isinstance(event, Preview)
    ]
    pixels = Pixels(project, "volume")
    scores = []
    for event in shown:
        with torch.inference_mode():
            wanted = mirrored_logits(network, pixels(event.plane)[None])[0, 0].sigmoid().numpy()
        np.testing.assert_allclose(event.probabilities, wanted, atol=1e-5)
        if project.image(event.plane.image).split == "validation":
            truth = square(int(project.image(event.plane.image).name.split("_")[1]))[1]
            scores.append((truth & (wanted > 0.5)).sum() / (truth | (wanted > 0.5)).sum())
    once, four = (
        last(
            evaluate(project, EvaluateConfig(split="validation", device="cpu", mirrored=mirrored))
        ).comparison
        for mirrored in (False, True)
    )
    assert four.rows[0].iou == pytest.approx(np.mean(scores), abs=1e-5)
    assert four.rows[0].iou != once.rows[0].iou


def test_evaluate_compares_the_newest_of_every_kind(project: Project) -> None:
    last(pretrain(project, PRETRAIN))
    last(finetune(project, PAPER))
    last(finetune(project, FINETUNE))
    events = list(evaluate(project, EvaluateConfig(device="cpu")))
    assert any(isinstance(event, Notice) and "validation images instead" in event.text for event in events)
    names = [row.name for row in events[-1].comparison.rows]
    assert names[0] == "masks only"
    assert len(names) == 3
    with pytest.raises(SegsizeError, match="numbers separated by commas"):
        last(evaluate(project, EvaluateConfig(models="one")))
    with pytest.raises(SegsizeError, match="model 99: not in this project"):
        last(evaluate(project, EvaluateConfig(models="99")))


def test_several_stamps_train_in_windows(project: Project) -> None:
    image = np.random.default_rng(0).standard_normal((40, 60)).astype(np.float32)
    record = project.add_array("pair", image, kind="image", split="train")
    project.put_stamp(PlaneRef(record.id), 6, centre=(10, 10))
    project.put_stamp(PlaneRef(record.id), 8, centre=(25, 40))
    last(pretrain(project, PRETRAIN))
    events = list(finetune(project, FINETUNE))
    steps = [event for event in events if isinstance(event, StepDone)]
    assert {"size", "centre", "own masks"} <= set(steps[-1].losses)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, bool])
def test_any_number_type_is_brought_to_mean_0_and_deviation_1(dtype: type) -> None:
    pixels = np.random.default_rng(0).random((3, 2, 8, 7))
    pixels = pixels > 0.5 if dtype is bool else (pixels * 200).astype(dtype)
    result = normalised(pixels)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std((0, 2, 3)), 1, atol=1e-5)


def test_constant_and_not_finite_pixels_become_0() -> None:
    assert not normalised(np.full((1, 5, 5), 1e9)).any()
    pixels = np.random.default_rng(0).random((1, 5, 5))
    pixels[0, 2, 2] = np.nan
    pixels[0, 3, 3] = np.inf
    result = normalised(pixels)
    assert np.isfinite(result).all()
    assert result[0, 2, 2] == result[0, 3, 3] == 0
    assert not normalised(np.full((1, 1, 1), np.nan)).any()


_PROCESSES = """
import json, sys
from pathlib import Path
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.events import StepDone
from napari_segsize.engine.stages import finetune, pretrain
from napari_segsize.project import Project
with Project.open(sys.argv[1]) as project:
    common = dict(validate_every=2, steps=3, batch_size=4, device="cpu")
    losses = []
    for events in (lambda: pretrain(project, PretrainConfig(**common)),
                   lambda: finetune(project, FineTuneConfig(mask_batch_size=2, **common))):
        losses += [event.losses for event in events() if isinstance(event, StepDone)]
import os
if os.environ.get("RANK", "0") == "0":
    Path(sys.argv[2]).write_text(json.dumps(losses))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun's gloo start-up differs on Windows")
def test_two_processes_give_the_losses_of_one(project: Project, tmp_path: Path) -> None:
    import json

    script = tmp_path / "train.py"
    script.write_text(_PROCESSES)
    results = []
    for count in (1, 2):
        copy = tmp_path / f"copy{count}"
        subprocess.run([sys.executable, "-c", _COPY, str(project.folder), str(copy)], check=True)
        out = tmp_path / f"losses{count}.json"
        runner = [sys.executable]
        if count > 1:
            runner += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [*runner, str(script), str(copy), str(out)]
        subprocess.run(command, check=True, env=environment, timeout=240, capture_output=True)
        results.append(json.loads(out.read_text()))
    assert len(results[0]) == len(results[1]) == 6
    for one, two in zip(*results, strict=True):
        assert one == pytest.approx(two, rel=2e-3, abs=1e-5)


_COPY = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"
