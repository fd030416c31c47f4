"""KiU-Net through the stages: chosen, fitted to the memory, rebuilt from its file, taught from sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_segsize.engine import fitting, memory
from napari_segsize.engine.advice import THICK
from napari_segsize.engine.checkpoint import load_network
from napari_segsize.engine.config import FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.events import Ended, Notice, Preview, StepDone
from napari_segsize.engine.pace import pace_text, seconds_a_pixel
from napari_segsize.engine.predict import predict, predict_pixels
from napari_segsize.engine.stages import finetune, pretrain
from napari_segsize.errors import SegsizeError
from napari_segsize.models.kiunet import build_kiunet
from napari_segsize.project import PlaneRef, Project

PRETRAIN = PretrainConfig(
    model="kiunet", ki_levels=1, steps=2, batch_size=2, validate_every=2, warm_up=0, device="cpu"
)
FINETUNE = FineTuneConfig(steps=2, batch_size=2, mask_batch_size=1, validate_every=2, device="cpu")


def made(folder: Path, *, side: int = 6, shape: tuple[int, int] = (40, 36)) -> Project:
    """Two masks and two stamps to train, one mask to validate: squares of one size."""
    project = Project.create(folder)
    for index in range(5):
        random = np.random.default_rng(index)
        top, left = (int(random.integers(1, extent - side)) for extent in shape)
        mask = np.zeros(shape, bool)
        mask[top : top + side, left : left + side] = True
        image = (100 * mask + 20 * random.standard_normal(shape) + 200).astype(np.uint16)
        split = "train" if index < 4 else "validation"
        plane = PlaneRef(project.add_array(f"square_{index}", image, kind="image", split=split).id)
        if index in (2, 3):
            project.put_stamp(plane, side, centre=(top + (side - 1) / 2, left + (side - 1) / 2))
        else:
            project.put_mask(plane, mask.astype(np.int32))
    return project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with made(tmp_path / "squares") as found:
        yield found


def sentences(events: list[object]) -> str:
    return " ".join(event.text for event in events if isinstance(event, Notice))


def test_from_masks_to_sizes_to_label_images(project: Project) -> None:
    first = list(pretrain(project, PRETRAIN))
    assert "A training step takes about" in sentences(first)
    assert "better choice" not in sentences(first)
    assert next(i for i, event in enumerate(first) if isinstance(event, Notice)) < next(
        i for i, event in enumerate(first) if isinstance(event, StepDone)
    )
    network, entry = load_network(project.models_folder / project.current_model().path)
    assert (entry["kind"], entry["ki_levels"], network.network.ki_levels) == ("kiunet", 1, 1)
    second = list(finetune(project, FINETUNE))
    assert isinstance(second[-1], Ended)
    assert {"size", "centre"} <= set(next(e for e in second if isinstance(e, StepDone)).losses)
    assert "A training step takes about" in sentences(second)
    shown = [event for event in predict(project, PredictConfig(device="cpu")) if isinstance(event, Preview)]
    assert [event.probabilities.shape for event in shown] == [(40, 36)] * 5


def test_a_stopped_run_goes_on_with_the_same_network_and_crops(project: Project) -> None:
    events = pretrain(project, PRETRAIN)
    for event in events:
        if isinstance(event, StepDone):
            break
    events.close()
    late = list(pretrain(project, resume=True))
    assert [event.step for event in late if isinstance(event, StepDone)] == [2]
    assert load_network(project.models_folder / project.current_model().path)[1]["kind"] == "kiunet"


def test_crops_and_tiles_become_small_where_memory_is_short_and_it_is_said(tmp_path, monkeypatch) -> None:
    with made(tmp_path / "large", shape=(150, 90)) as project:
        network_takes = 3_500  # values a pixel, see models.kiunet
        monkeypatch.setattr(memory, "free_bytes", lambda _=None: 2 * 2 * 4 * network_takes * 66**2)
        first = list(pretrain(project, PRETRAIN))
        assert "crops are 64 px wide instead of 150" in sentences(first)
        record = project.current_model()
        assert record.config["patch"] == 64
        monkeypatch.setattr(memory, "free_bytes", lambda _=None: 4 * 4 * 1100 * 64**2)
        found = list(predict(project, PredictConfig(device="cpu", split="validation")))
        assert "150 x 90 px are segmented in overlapping tiles of 64 px" in sentences(found)
        said: list[str] = []
        file = project.models_folder / record.path
        pixels = project.pixels(PlaneRef(5))
        again = predict_pixels(file, pixels, device="cpu", say=said.append)
        assert "tiles of 64 px" in said[0]
        assert again.shape == (150, 90)
        monkeypatch.setattr(memory, "free_bytes", lambda _=None: 2**20)
        with pytest.raises(SegsizeError, match="Lower ki_levels"):
            list(pretrain(project, PRETRAIN))
        assert "Close other programs" in sentences(
            list(predict(project, PredictConfig(device="cpu", split="validation")))
        )


def test_processes_agree_on_the_least_memory(project: Project, monkeypatch, tmp_path) -> None:
    from napari_segsize.engine.dataset import loading
    from napari_segsize.engine.runs import pretraining

    def elsewhere_less(free: torch.Tensor, op: object) -> None:
        assert op == torch.distributed.ReduceOp.MIN
        free.clamp_(max=2 * 2 * 4 * 3_500 * 34**2)

    loaded = loading(project, "train", stage="pretrain")
    while True:
        try:
            next(loaded)
        except StopIteration as end:
            data = end.value
            break
    config = replace(PRETRAIN, batch_size=8)
    alone = pretraining(data, data, config, tmp_path / "a.pt")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", elsewhere_less)
    together = pretraining(data, data, config, tmp_path / "b.pt")
    assert alone.parts == 1 < together.parts


def test_u_net_is_advised_for_thick_objects(tmp_path: Path) -> None:
    with made(tmp_path / "thick", side=THICK + 3, shape=(64, 64)) as project:
        assert "U-Net (model: small) is the better choice here" in sentences(
            list(pretrain(project, PRETRAIN))
        )


def test_a_training_that_takes_long_says_so_before_it_starts(project: Project, monkeypatch) -> None:
    monkeypatch.setattr(fitting, "seconds_a_pixel", lambda *_: 400 / (2 * 40 * 36))
    said = sentences(list(pretrain(project, PRETRAIN)))
    assert "A step will take about 7 minutes on this device, all 2 about 13 minutes" in said


def test_a_quick_one_says_nothing_of_time(project: Project) -> None:
    assert "A step will take" not in sentences(list(pretrain(project, PRETRAIN)))


@pytest.mark.parametrize(
    ("seconds", "steps", "said"),
    [
        (9, 1000, ""),
        (12, 10, "about 12 seconds on this device, all 10 about 2 minutes"),
        (330, 1500, "about 6 minutes on this device, all 1500 about 6 days"),
        (3600, 20, "about 60 minutes on this device, all 20 about 20 hours"),
    ],
)
def test_times_are_said_with_one_number_and_one_unit(seconds: float, steps: int, said: str) -> None:
    text = pace_text(seconds, steps)
    assert said in text
    assert bool(text) == bool(said)


def test_pace_is_measured_and_leaves_the_network_alone() -> None:
    network = build_kiunet(channels=2, ki_levels=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    quick = seconds_a_pixel(network, 2, torch.device("cpu"))
    slow = seconds_a_pixel(build_kiunet(channels=2, ki_levels=3), 2, torch.device("cpu"))
    assert 0 < quick < slow
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_u_nets_are_left_as_they_are(project: Project, monkeypatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _=None: 0)
    events = list(pretrain(project, PretrainConfig(steps=1, batch_size=2, device="cpu")))
    assert "memory" not in sentences(events)
    network, entry = load_network(project.models_folder / project.current_model().path)
    assert "ki_levels" not in entry
    assert torch.isfinite(network(torch.zeros(1, 1, 5, 5))).all()
