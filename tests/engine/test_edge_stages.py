from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, gaussian_filter

from napari_segsize.engine import checkpoint, edge_batch, edge_stages
from napari_segsize.engine.edge_config import EdgeConfig
from napari_segsize.engine.edge_items import edge_items, item_from_labels, labels_of_plane
from napari_segsize.engine.edge_stages import (
    current_edge_network,
    edges_of_plane,
    train_edges,
)
from napari_segsize.engine.events import Ended, Loading, Notice, Started, StepDone
from napari_segsize.engine.predict import model_file
from napari_segsize.engine.stages import resumable
from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import rings_of

TINY = EdgeConfig(steps=3, validate_every=2, batch_size=1, patch=32, warm_up=0, device="cpu")


def disk(centre: tuple[int, int], radius: float = 8, side: int = 48) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def two() -> np.ndarray:
    return disk((15, 15)) + 2 * disk((33, 30)).astype(np.int32)


@pytest.fixture
def project(tmp_path: Path):
    with Project.create(tmp_path / "cells") as opened:
        rng = np.random.default_rng(0)
        for number in range(3):
            pixels = gaussian_filter((two() > 0) * 100.0, 1) + rng.normal(0, 2, (48, 48))
            plane = PlaneRef(opened.add_array(f"cell{number}", pixels.astype(np.float32)).id, 0)
            if number < 2:
                opened.put_mask(plane, two())
            opened.set_split(plane.image, "validation" if number == 1 else "train")
        yield opened


def drained(events):
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def test_a_model_is_recorded_used_and_found_again(project):
    events = list(train_edges(project, TINY))
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.promoted
    assert "mf" in ended.metrics
    started = next(event for event in events if isinstance(event, Started))
    assert (started.stage, started.images, started.steps) == ("edges", 1, 3)
    assert sum(isinstance(event, StepDone) for event in events) == 3
    model = project.current_model("edges")
    assert model is not None
    assert (model.id, model.stage) == (ended.model, "edges")
    assert project.current_model() is None
    assert project.current_model("contours") is None
    network = current_edge_network(project, "cpu")
    plane = PlaneRef(project.images()[2].id, 0)
    raw, thinned = (edges_of_plane(project, plane, network, thinned=each) for each in (False, True))
    assert raw.shape == thinned.shape == (48, 48)
    assert raw.dtype == np.float32
    assert (raw > 0).all()
    assert (thinned == 0).mean() > 0.3


def test_a_worse_model_is_kept_but_not_used(project, monkeypatch):
    list(train_edges(project, TINY))
    first = project.current_model("edges")
    monkeypatch.setattr(edge_stages, "_score_of", lambda *_: iter_of(2.0))
    ended = list(train_edges(project, TINY))[-1]
    assert not ended.promoted
    assert "stays in use" in ended.message
    assert project.current_model("edges").id == first.id
    assert ended.model != first.id
    monkeypatch.setattr(edge_stages, "_score_of", lambda *_: iter_of(-1.0))
    better = list(train_edges(project, TINY))[-1]
    assert better.promoted
    assert project.current_model("edges").id == better.model


def iter_of(value):
    yield Notice("looked")
    return value


def test_stopped_and_resumed(project):
    events = train_edges(project, TINY)
    for event in events:
        if isinstance(event, StepDone) and event.step == 2:
            break
    events.close()
    found = resumable(project, ["edges"])
    assert (found.stage, found.step, found.steps) == ("edges", 2, 3)
    resumed = list(train_edges(project, resume=True))
    assert [event.step for event in resumed if isinstance(event, StepDone)] == [3]
    assert resumed[-1].promoted
    with pytest.raises(SegsizeError, match="no stopped training of edges"):
        list(train_edges(project, resume=True))


def stopped_at(project, config, step):
    events = train_edges(project, config)
    for event in events:
        if isinstance(event, StepDone) and event.step == step:
            break
    events.close()


def losses(events) -> list[dict[str, float]]:
    return [dict(event.losses) for event in events if isinstance(event, StepDone)]


def test_a_run_that_aligns_takes_the_same_steps_when_it_is_stopped_between_two_alignments(
    project, monkeypatch
):
    rough = np.roll(two(), 2, 1)
    project.put_mask(PlaneRef(project.images()[0].id, 0), rough)
    see = "napari_segsize.engine.edge_runs.edge_probabilities"
    edges = torch.from_numpy(gaussian_filter((two() > 0) ^ binary_erosion(two() > 0), 1.0, output=np.float32))
    monkeypatch.setattr(see, lambda network, image: edges)
    config = replace(TINY, steps=6, validate_every=2, align_from=2, align_reach=3)
    whole = losses(train_edges(project, config))
    stopped_at(project, config, 3)
    assert losses(train_edges(project, resume=True)) == whole[3:]
    stopped_at(project, config, 3)
    project.put_mask(PlaneRef(project.images()[0].id, 0), np.roll(two(), 3, 0))  # drawn anew
    assert losses(train_edges(project, resume=True)) != whole[3:]
    project.put_mask(PlaneRef(project.images()[0].id, 0), rough)
    stopped_at(project, config, 3)
    monkeypatch.setattr(edge_batch.EdgeSource, "restore", lambda self, state: None)
    assert losses(train_edges(project, resume=True)) != whole[3:]


def test_masks_are_aligned_before_anything_is_learned_and_stay_in_the_project(project, monkeypatch):
    plane = PlaneRef(project.images()[0].id, 0)
    rough = np.roll(two(), 2, 1)
    project.put_mask(plane, rough)
    given = []
    training = edge_stages.edge_training
    monkeypatch.setattr(
        edge_stages, "edge_training",
        lambda train, validation, *rest, **more: given.append((train, validation))
        or training(train, validation, *rest, **more),
    )  # fmt: skip
    as_drawn = losses(train_edges(project, replace(TINY, align_first=False)))
    events = list(train_edges(project, replace(TINY, align_first=True, align_reach=3)))
    assert losses(events) != as_drawn
    assert any(isinstance(each, Loading) and each.doing == "aligning" for each in events)
    assert np.array_equal(project.annotation(plane).mask, rough)
    (drawn, held), (aligned, held_again) = given
    truth = item_from_labels(drawn[0].image, two()).line
    assert (aligned[0].line & ~truth).sum() < 0.8 * (drawn[0].line & ~truth).sum()
    assert torch.equal(held[0].line, held_again[0].line)  # what is compared stays as drawn


def test_contours_count_before_masks_and_are_known_around_them(project):
    plane = PlaneRef(project.images()[2].id, 0)
    project.put_contour(plane, object="a", rings=rings_of(disk((20, 20))), source="drawn")
    items, notices = drained(edge_items(project, "train", 2.0))
    assert not notices
    assert len(items) == 2
    whole, part = sorted(items, key=lambda item: float(item.known.float().mean()), reverse=True)
    assert whole.known.all()
    assert not part.known.all()
    assert part.known[12:28, 12:28].all()
    assert not part.known[40:, 40:].any()
    masked = PlaneRef(project.images()[0].id, 0)
    project.put_contour(masked, object="b", rings=rings_of(disk((16, 15))), source="drawn")
    labels = labels_of_plane(project.annotation(masked), (48, 48))
    assert set(np.unique(labels)) == {0, 1, 2}
    assert np.array_equal(labels == 1, disk((16, 15)))  # the mask's first label is covered by the contour


def test_without_outlines_and_without_a_model_there_is_a_sentence(tmp_path):
    with Project.create(tmp_path / "empty") as opened:
        opened.add_array("x", np.zeros((32, 32), np.float32))
        with pytest.raises(SegsizeError, match="needs outlines"):
            list(train_edges(opened, TINY))
        with pytest.raises(SegsizeError, match="no edge network yet"):
            current_edge_network(opened)


def test_a_file_that_holds_something_else(project, tmp_path):
    list(train_edges(project, TINY))
    file = project.models_folder / project.current_model("edges").path
    content = checkpoint.load(file)
    checkpoint.save(tmp_path / "odd.pt", {**content, "network": {"kind": "large", "channels": 3}})
    with pytest.raises(SegsizeError, match="does not hold the edge network"):
        checkpoint.load_edge_network(tmp_path / "odd.pt")
    number = project.current_model("edges").id
    with pytest.raises(SegsizeError, match="finds edges"):
        model_file(project, number)


def test_too_few_planes_to_compare_says_so(project):
    for record in project.images():
        project.set_split(record.id, "train")
    events = list(train_edges(project, TINY))
    assert any("cannot be compared" in event.text for event in events if isinstance(event, Notice))
    assert events[-1].promoted
    again = list(train_edges(project, TINY))[-1]
    assert not again.promoted


_PROCESSES = """
import sys
from napari_segsize.engine.edge_config import EdgeConfig
from napari_segsize.engine.edge_stages import train_edges
from napari_segsize.project import Project
config = EdgeConfig(steps=2, validate_every=1, batch_size=2, patch=32, device="cpu")
with Project.open(sys.argv[1]) as project:
    list(train_edges(project, config))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun's gloo start-up differs on Windows")
def test_two_processes_record_one_model(project, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(_PROCESSES)
    runner = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    folder = project.folder
    project.close()
    subprocess.run(
        [*runner, str(script), str(folder)],
        check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240, capture_output=True,
    )  # fmt: skip
    with Project.open(folder) as again:
        assert [model.stage for model in again.models()] == ["edges"]
        assert {file.name for file in again.models_folder.iterdir()} == {"0001-edges.pt"}


def test_a_network_that_is_no_number_names_the_image(project, monkeypatch):
    build = edge_stages.build_edge_net

    def spoiled(*arguments, **options):
        network = build(*arguments, **options)
        with torch.no_grad():
            next(network.parameters()).fill_(torch.nan)
        return network

    monkeypatch.setattr(edge_stages, "build_edge_net", spoiled)
    with pytest.raises(SegsizeError, match=r"is not a number at step 1, in cell0\. The project's"):
        list(train_edges(project, TINY))
