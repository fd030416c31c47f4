from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_segsize.engine import alignment_stages, checkpoint
from napari_segsize.engine.alignment_runs import (
    AlignmentSource,
    Seen,
    alignment_objective,
    held_windows,
    score_alignment,
)
from napari_segsize.engine.alignment_stages import alignment_network, load_alignment_network, train_alignment
from napari_segsize.engine.displaced import outlined_objects
from napari_segsize.engine.edge_config import AlignConfig, AlignmentConfig
from napari_segsize.engine.edge_stages import current_edge_network
from napari_segsize.engine.events import Ended, Notice, Started, StepDone, Validated
from napari_segsize.engine.predict import model_file
from napari_segsize.engine.refine import refine_plane, rough_planes
from napari_segsize.engine.stages import resumable
from napari_segsize.errors import SegsizeError
from napari_segsize.models.alignment import build_alignment_net
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import rings_of

TINY = AlignmentConfig(
    steps=3, validate_every=2, batch_size=2, warm_up=0, farthest=4.0, drawn=0.0, learning_rate=1e-2,
    average=0.0, device="cpu",
)  # fmt: skip


def disk(centre: tuple[int, int], radius: float = 9, side: int = 72) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def four() -> np.ndarray:
    labels = np.zeros((72, 72), np.int32)
    for number, centre in enumerate([(16, 16), (16, 52), (54, 16), (54, 54)], start=1):
        labels[disk(centre)] = number
    return labels


def picture(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 2, labels.shape)
    return (gaussian_filter((labels > 0) * 100.0, 1) + noise).astype(np.float32)


@pytest.fixture
def project(tmp_path: Path):
    with Project.create(tmp_path / "cells") as opened:
        for number in range(4):
            plane = PlaneRef(opened.add_array(f"cell{number}", picture(four(), number)).id, 0)
            if number < 3:
                opened.put_mask(plane, four())
            opened.set_split(plane.image, "validation" if number == 2 else "train")
        yield opened


def seen(count: int = 2) -> list[Seen]:
    image = torch.from_numpy(picture(four()))[None].repeat(3, 1, 1)
    found = outlined_objects((image - image.mean()) / image.std(), four(), 5.0)
    return [Seen(each, PlaneRef(1, 0)) for each in found[:count]]


def drained(events):
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def losses(events) -> list[dict[str, float]]:
    return [dict(event.losses) for event in events if isinstance(event, StepDone)]


class Truth(torch.nn.Module):
    """Sees where the bright object is."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = torch.nn.Parameter(torch.tensor(sign))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        seen = inputs[:, :1]
        return self.sign * (seen - (seen.amax((2, 3), keepdim=True) + seen.amin((2, 3), keepdim=True)) / 2)


class Stays(Truth):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.sign * inputs[:, 3:4]


def test_what_comes_back_is_1_for_the_truth_0_for_who_stays_and_below_for_who_spoils() -> None:
    held = held_windows(seen(4), 0)
    assert sum(len(each.inputs) for each in held) == 96
    back = [drained(score_alignment(network, held))["back"] for network in (Truth(), Stays(), Truth(-1.0))]
    assert back[0] > 0.85
    assert back[1] == 0
    assert back[2] < 0
    assert math.isnan(drained(score_alignment(Stays(), []))["back"])


def test_a_batch_depends_on_seed_and_step_and_its_parts_add_up() -> None:
    source = AlignmentSource(seen(), batch_size=4, seed=1)
    batch, again, other = source(5), AlignmentSource(seen(), batch_size=4, seed=1)(5), source(6)
    assert torch.equal(batch.inputs, again.inputs)
    assert not torch.equal(batch.inputs, other.inputs)
    assert len(batch.planes) == 4
    logits = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(0))
    whole = alignment_objective(logits, batch, 1, Truth())["outline"]
    parts = [
        alignment_objective(logits[k::2], batch.part(k, 2).to(torch.device("cpu")), 1, Truth())["outline"]
        for k in (0, 1)
    ]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)
    perfect = alignment_objective(40 * (batch.target - 0.5), batch, 1, Truth())["outline"]
    assert float(perfect) < 1e-6


def test_drawn_shapes_are_mixed_in_and_say_what_they_are(project, monkeypatch) -> None:
    planes = [
        plane for step in range(20) for plane in AlignmentSource(seen(), batch_size=4, drawn=0.5)(step).planes
    ]
    assert 0.3 < np.mean([plane is None for plane in planes]) < 0.7
    network = build_alignment_net(8, seed=0)
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    monkeypatch.setattr(alignment_stages, "load_alignment_starter", lambda: (network, {"features": 8}))
    with pytest.raises(SegsizeError, match="is not a number at step 1, in a drawn shape"):
        list(train_alignment(project, replace(TINY, drawn=0.9, batch_size=1, seed=1)))


def test_what_is_taught_is_used_by_the_method_learned(project, monkeypatch):
    fresh = build_alignment_net(8, seed=0), {"features": 8}  # knows nothing: whatever is learned is better
    monkeypatch.setattr(alignment_stages, "load_alignment_starter", lambda: fresh)
    events = list(train_alignment(project, replace(TINY, steps=40, validate_every=20, batch_size=4)))
    started = next(event for event in events if isinstance(event, Started))
    assert (started.stage, started.images, started.masks, started.steps) == ("alignment", 2, 8, 40)
    first = next(event for event in events if isinstance(event, Validated))
    assert first.step == 0
    assert first.metrics["back"] == 0
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.promoted
    assert ended.metrics["back"] > 0.1
    assert "(before: 0 %)" in ended.message
    model = project.current_model("alignment")
    assert (model.id, model.stage) == (ended.model, "alignment")
    assert project.current_model() is None
    network, entry, record = alignment_network(project)
    assert (entry, record.id) == ({"features": 8}, model.id)
    rough = rough_planes(project)[0]
    config = AlignConfig(method="learned", reach=4)
    shipped = list(refine_plane(project, rough, config))
    mine = list(refine_plane(project, rough, config, aligner=network))
    assert any(not np.array_equal(a.masks[-1], b.masks[-1]) for a, b in zip(shipped, mine, strict=True))
    with pytest.raises(SegsizeError, match="moves rough outlines"):
        model_file(project, model.id)
    with pytest.raises(SegsizeError, match="no edge network yet"):
        current_edge_network(project)


def test_what_is_not_better_is_not_kept(project, monkeypatch):
    monkeypatch.setattr(
        "napari_segsize.engine.alignment_runs.AlignmentSource.__call__",
        lambda self, step: replace(good(self, step), target=1 - good(self, step).target),
    )  # it learns the contrary of the truth
    ended = list(train_alignment(project, TINY))[-1]
    assert not ended.promoted
    assert ended.model is None
    assert "stays as it was" in ended.message
    assert project.models() == ()
    assert alignment_network(project)[2] is None
    assert not (project.models_folder / "alignment.resume.pt").exists()


good = AlignmentSource.__call__


def test_a_second_training_goes_on_from_the_first(project, monkeypatch):
    fresh = build_alignment_net(8, seed=0), {"features": 8}
    monkeypatch.setattr(alignment_stages, "load_alignment_starter", lambda: fresh)
    config = replace(TINY, steps=20, validate_every=20, batch_size=4)
    first = list(train_alignment(project, config))[-1]
    events = list(train_alignment(project, replace(config, seed=3)))
    begun = next(event for event in events if isinstance(event, Validated))
    assert begun.metrics["back"] > 0.3 * first.metrics["back"] > 0


def test_stopped_and_resumed_takes_the_same_steps(project):
    whole = losses(train_alignment(project, TINY))
    assert len(whole) == 3
    events = train_alignment(project, TINY)
    for event in events:
        if isinstance(event, StepDone) and event.step == 2:
            break
    events.close()
    found = resumable(project, ["alignment"])
    assert (found.stage, found.step, found.steps) == ("alignment", 2, 3)
    assert losses(train_alignment(project, resume=True)) == whole[2:]
    with pytest.raises(SegsizeError, match="no stopped training of alignment"):
        list(train_alignment(project, resume=True))


def test_contours_teach_as_well_as_masks(project):
    plane = PlaneRef(project.images()[3].id, 0)
    project.put_contour(plane, object="a", rings=rings_of(disk((20, 20), 11)), source="drawn")
    started = next(event for event in train_alignment(project, TINY) if isinstance(event, Started))
    assert (started.images, started.masks) == (3, 9)


def test_without_validation_images_objects_are_held_out(project):
    for record in project.images():
        project.set_split(record.id, "train")
    events = list(train_alignment(project, TINY))
    said = [event.text for event in events if isinstance(event, Notice)]
    assert len(said) == 1
    assert "2 objects of the training images are held out" in said[0]
    started = next(event for event in events if isinstance(event, Started))
    assert started.masks == 10
    for number in range(4):
        plane = PlaneRef(project.add_array(f"more{number}", picture(four(), number)).id, 0)
        project.put_mask(plane, four())
        project.set_split(plane.image, "train")
    events = list(train_alignment(project, TINY))
    said = [event.text for event in events if isinstance(event, Notice)]
    assert "4 objects of 1 training images" in said[0]


def test_too_few_outlines_are_a_sentence(project):
    for record in project.images()[1:]:
        project.set_split(record.id, "test")
    with pytest.raises(SegsizeError, match=r"takes 10 objects .* there are 4 in training"):
        list(train_alignment(project, TINY))


def test_an_image_that_is_gone_is_left_out(project, tmp_path):
    import tifffile

    file = tmp_path / "gone.tif"
    tifffile.imwrite(file, picture(four()))
    (record,) = project.add_files([file])
    project.put_mask(PlaneRef(record.id, 0), four())
    project.set_split(record.id, "train")
    file.unlink()
    events = list(train_alignment(project, TINY))
    assert any("Going on without it" in event.text for event in events if isinstance(event, Notice))


def test_a_file_that_holds_something_else(project, tmp_path):
    checkpoint.save(tmp_path / "odd.pt", {"network": {"features": 16}, "weights": {}})
    with pytest.raises(SegsizeError, match="does not hold the network for rough outlines"):
        load_alignment_network(tmp_path / "odd.pt")


def test_a_network_that_is_no_number_names_the_image(project, monkeypatch):
    network = build_alignment_net(8, seed=0)
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    monkeypatch.setattr(alignment_stages, "load_alignment_starter", lambda: (network, {"features": 8}))
    with pytest.raises(SegsizeError, match=r"is not a number at step 1, in cell\d"):
        list(train_alignment(project, TINY))
