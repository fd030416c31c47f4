from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_segsize.engine import alignment_runs, alignment_stages, checkpoint
from napari_segsize.engine.alignment import align_labels
from napari_segsize.engine.alignment_runs import (
    AlignmentSource,
    Seen,
    alignment_objective,
    held_windows,
    score_alignment,
)
from napari_segsize.engine.alignment_stages import (
    alignment_network,
    hold_out_objects,
    train_alignment,
)
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


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A small network that knows nothing: whatever it learns is better; few windows to judge by."""
    monkeypatch.setattr(
        alignment_stages, "load_alignment_starter", lambda: (build_alignment_net(8, seed=0), {"features": 8})
    )
    monkeypatch.setattr(alignment_runs, "_HELD_WINDOWS", 24)


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
    assert sum(len(each.inputs) for each in held) == 24
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
    events = list(train_alignment(project, replace(TINY, steps=40, validate_every=20, batch_size=4)))
    started = next(event for event in events if isinstance(event, Started))
    assert (started.stage, started.images, started.objects, started.steps) == ("alignment", 2, 8, 40)
    first = next(event for event in events if isinstance(event, Validated))
    assert first.step == 0
    assert first.metrics["back"] == 0
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.promoted
    assert ended.metrics["back"] > 0.1
    assert "(before: more was spoiled than mended)" in ended.message
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
    config = replace(TINY, steps=16, validate_every=16)
    first = list(train_alignment(project, config))[-1]
    events = list(train_alignment(project, replace(config, seed=3)))
    begun = next(event for event in events if isinstance(event, Validated))
    assert begun.metrics["back"] > 0.3 * first.metrics["back"] > 0


def stopped_at(project, config, step) -> None:
    events = train_alignment(project, config)
    for event in events:
        if isinstance(event, StepDone) and event.step == step:
            break
    events.close()


def test_stopped_and_resumed_takes_the_same_steps_to_the_same_weights(project, monkeypatch):
    config = replace(TINY, steps=24, validate_every=8, batch_size=4, drawn=0.5, average=0.8, warm_up=4)
    events = list(train_alignment(project, config))
    whole = losses(events)
    weights = alignment_network(project)[0].state_dict()
    project.retire_models("alignment")
    stopped_at(project, config, 10)
    found = resumable(project, ["alignment"])
    assert (found.stage, found.step, found.steps) == ("alignment", 10, 24)
    again = list(train_alignment(project, resume=True))
    assert losses(again) == whole[10:]
    assert (again[-1].metrics, again[-1].promoted) == (events[-1].metrics, True)
    for name, value in alignment_network(project)[0].state_dict().items():
        assert torch.equal(value, weights[name])
    with pytest.raises(SegsizeError, match="no stopped training of alignment"):
        list(train_alignment(project, resume=True))


def test_a_run_is_resumed_with_its_own_network_though_another_is_used_meanwhile(project, monkeypatch):
    stopped_at(project, TINY, 2)
    larger = build_alignment_net(16, seed=0), {"features": 16}  # as another version may bring
    monkeypatch.setattr(alignment_stages, "load_alignment_starter", lambda: larger)
    resumed = list(train_alignment(project, resume=True))
    assert [event.step for event in resumed if isinstance(event, StepDone)] == [3]
    assert isinstance(resumed[-1], Ended)


@pytest.mark.parametrize("junk", [None, b"junk", b""])
def test_a_network_whose_file_is_gone_or_damaged_is_told_of_and_left(project, monkeypatch, junk):
    config = replace(TINY, steps=16, validate_every=16)
    assert list(train_alignment(project, config))[-1].promoted
    file = project.models_folder / project.current_model("alignment").path
    if junk is None:
        file.unlink()
    else:
        file.write_bytes(junk)
    with pytest.raises(SegsizeError, match="model file"):
        alignment_network(project)
    events = list(train_alignment(project, config))
    assert any(
        "Going on from the network that ships" in each.text for each in events if isinstance(each, Notice)
    )
    assert events[-1].promoted
    assert alignment_network(project)[2].id == events[-1].model


def test_the_network_that_ships_can_be_used_again(project, monkeypatch):
    list(train_alignment(project, replace(TINY, steps=16, validate_every=16)))
    taught = project.current_model("alignment")
    project.retire_models("alignment")
    assert project.current_model("alignment") is None
    assert [model.id for model in project.models()] == [taught.id]
    project.promote(taught.id)
    assert project.current_model("alignment").id == taught.id


def test_every_channel_counts_in_refining_as_it_did_in_teaching():
    truth, rough = disk((36, 36), 14), disk((38, 35), 14).astype(np.int32)
    dim = picture(truth.astype(np.int32))
    bright = 300 * picture(np.roll(truth, 17, 0).astype(np.int32), 1)
    config = AlignConfig(method="learned", reach=5)
    found = [
        next(align_labels(rough, image=np.stack(image), config=config)).masks[-1]
        for image in ((bright, dim), (bright / 300, dim), (bright + 5e4, dim))
    ]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_contours_teach_as_well_as_masks(project):
    plane = PlaneRef(project.images()[3].id, 0)
    project.put_contour(plane, object="a", rings=rings_of(disk((20, 20), 11)), source="drawn")
    started = next(event for event in train_alignment(project, TINY) if isinstance(event, Started))
    assert (started.images, started.objects) == (3, 9)


def test_without_validation_images_objects_are_held_out(project):
    for record in project.images():
        project.set_split(record.id, "train")
    events = list(train_alignment(project, TINY))
    said = [event.text for event in events if isinstance(event, Notice)]
    assert len(said) == 1
    started = next(event for event in events if isinstance(event, Started))
    assert 8 <= started.objects < 12
    assert f"{12 - started.objects} of the objects are held out" in said[0]


def many(planes: int, images: int, each: int = 1) -> list[Seen]:
    one = seen(1)[0].object
    rng = np.random.default_rng(0)
    return [
        Seen(replace(one, mask=rng.random(one.mask.shape) > 0.5), PlaneRef(1 + number % images, number))
        for number in range(planes)
        for _ in range(each)
    ]


@pytest.mark.parametrize(("planes", "images", "each"), [(40, 40, 2), (40, 2, 2), (3, 2, 20)])
def test_what_is_held_out_does_not_depend_on_what_else_there_is(planes, images, each):
    every = many(planes, images, each)
    rest, held, what = hold_out_objects(every)
    assert len(rest) + len(held) == len(every)
    assert 0.02 < len(held) / len(every) < 0.4
    named = {"image": images >= 5, "plane": images < 5 <= planes}
    assert [word for word in ("image", "plane") if word in what] == [
        key for key, is_so in named.items() if is_so
    ]
    if named["image"]:
        assert not {each.plane.image for each in rest} & {each.plane.image for each in held}
    fewer = hold_out_objects(every[: -each if planes > 5 else -1])
    assert not {id(each) for each in fewer[1]} - {id(each) for each in held}
    assert not {id(each) for each in fewer[0]} - {id(each) for each in rest}


def test_few_objects_leave_one_aside_at_least():
    for count in range(5, 12):
        rest, held, _ = hold_out_objects(many(count, 1))
        assert 1 <= len(held) <= count / 2
        assert rest


def test_of_many_held_out_objects_windows_show_all_planes_and_are_not_those_that_choose():
    few = seen(4)
    every = [Seen(few[0].object, PlaneRef(1, number // 100)) for number in range(300)]
    held = held_windows(every, 0)
    counts = Counter(plane.slice for batch in held for plane in batch.planes)
    assert sum(counts.values()) == 24
    assert min(counts[number] for number in range(3)) >= 3
    own = Counter(id(each) for each in _shown(few))
    assert set(own.values()) == {6}
    again, fresh = held_windows(few, 0), held_windows(few, 0, fresh=True)
    assert torch.equal(held_windows(few, 0)[0].inputs, again[0].inputs)
    assert not torch.equal(again[0].inputs, fresh[0].inputs)


def _shown(few):
    """The objects that the held-out windows show."""
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        real = alignment_runs.displaced_window
        patch.setattr(
            alignment_runs, "displaced_window", lambda one, rng: drawn.append(one) or real(one, rng)
        )
        held_windows(few, 0)
    return drawn


def test_objects_in_validation_images_alone_are_a_sentence(project):
    for record in project.images():
        project.set_split(record.id, "validation")
    with pytest.raises(SegsizeError, match="All 12 objects with an outline are in validation images"):
        list(train_alignment(project, TINY))


def test_what_spoils_more_than_it_mends_is_not_praised():
    said = alignment_stages._said
    assert "prefer the method" in said(-0.2, -0.05)
    assert said(-0.2, 0.3).endswith("30 % is brought back (before: more was spoiled than mended).")
    assert said(0.1, 0.3).endswith("(before: 10 %).")


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
        checkpoint.load_alignment_network(tmp_path / "odd.pt")


def test_a_network_that_is_no_number_names_the_image(project, monkeypatch):
    network = build_alignment_net(8, seed=0)
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    monkeypatch.setattr(alignment_stages, "load_alignment_starter", lambda: (network, {"features": 8}))
    with pytest.raises(SegsizeError, match=r"is not a number at step 1, in cell\d"):
        list(train_alignment(project, TINY))
