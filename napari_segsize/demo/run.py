"""The main job on real data, without a window: few masks, many sizes, one network, three models side by side.

The bundled MRI slices stand in for a user's images, and their masks for what an annotator would say.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.config import EvaluateConfig, FineTuneConfig, PretrainConfig
from ..engine.events import Comparison, Ended, Event, Notice
from ..project import ImageRecord, PlaneRef, Project, object_size_of
from ..samples import sample_masks, write_sample_project
from .config import DemoConfig

if TYPE_CHECKING:
    from ..engine.figure import Picture
    from ..engine.report import Report, StageLog

__all__ = ["annotate", "demo", "free_folder"]

Masks = Mapping[PlaneRef, NDArray[np.bool_]]


def free_folder(wanted: Path) -> Path:
    """`wanted`, or the first of ``wanted-2``, ``wanted-3``, … that does not exist or is empty."""
    folder, number = wanted, 1
    while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def demo(folder: Path, config: DemoConfig | None = None) -> Generator[Event, None, None]:
    """Make a project of the bundled sample, train on it in three ways, compare, write a report.

    Parameters
    ----------
    folder : Path
        Gets ``project/`` and ``report/``; when it is not empty, a new folder beside it does.
    config : DemoConfig, optional

    Yields
    ------
    Event
        Those of the stages; the last one is an `Ended` with the comparison on subjects that took no part.

    Notes
    -----
    Close the generator to stop; the project stays, and ``segsize pretrain --resume`` goes on in it.
    """
    config, begun = config or DemoConfig(), time.monotonic()
    place = free_folder(folder)
    if place != folder:
        yield Notice(f"{folder} is not empty and stays as it is: this demo goes to {place}.")
    yield Notice(f"1 of 5 · A project of real MRI slices, with few masks and many sizes: {place / 'project'}")
    with write_sample_project(place / "project") as project:
        truth = sample_masks(project)
        annotate(project, truth, masks=config.masks, seed=config.seed)
        yield Notice(_said(project))
        logs, models = yield from _train(project, config)
        yield Notice("5 of 5 · The three models on subjects that took no part")
        comparison = yield from _compare(project, models, config)
        report = _report(project, config, comparison, logs, truth, seconds=time.monotonic() - begun)
        page = _written(report, place / "report")
    yield Ended(stage="demo", model=models[-1], comparison=comparison, message=f"Report: {page}")


def annotate(project: Project, truth: Masks, *, masks: int, seed: int) -> None:
    """Say what an annotator would: `masks` masks, a size and a centre on every other training slice.

    The slices held out get masks too; those of the validation subjects decide when a training stops, those of
    the test subjects are only compared with.
    """
    train = project.planes("train")
    chosen = np.random.default_rng(seed).choice(len(train), min(masks, len(train)), replace=False)
    outlined = {train[index] for index in chosen} | {*project.planes("validation"), *project.planes("test")}
    with project.step("Annotated the sample"):
        for plane, mask in truth.items():
            if plane in outlined:
                project.put_mask(plane, mask.astype(np.int32))
            elif mask.any():
                rows, columns = np.nonzero(mask)
                centre = (float(rows.mean()), float(columns.mean()))
                project.put_stamp(plane, object_size_of(mask), centre=centre)


def _said(project: Project) -> str:
    parts = project.counts().by_split
    people = {split: len({i.group for i in project.images() if i.split == split}) for split in parts}
    train = parts["train"]
    return (
        f"Training: {train.masks} masks, {train.sizes} sizes with centres ({people['train']} subjects). "
        f"Validation: {parts['validation'].masks} masks ({people['validation']} subjects). "
        f"Test: {parts['test'].masks} masks ({people['test']} subjects)."
    )


def _train(
    project: Project, config: DemoConfig
) -> Generator[Event, None, tuple[tuple[StageLog, ...], tuple[int, ...]]]:
    """Pre-train once, then fine-tune twice from the same model."""
    from ..engine.stages import finetune, pretrain

    common: dict[str, Any] = {"device": config.device, "seed": config.seed}
    if config.short:  # so few steps need a shorter memory
        common |= {"validate_every": 20, "average": 0.9}
    masks = PretrainConfig(steps=config.most_steps, **common)
    half = (config.most_steps + 1) // 2
    paper, ours = FineTuneConfig.paper(steps=half, **common), FineTuneConfig(steps=half, **common)
    runs = (
        ("2 of 5 · Pre-training from the masks", pretrain(project, masks)),
        ("3 of 5 · Fine-tuning from sizes, as in the paper", finetune(project, paper)),
        ("4 of 5 · Fine-tuning from sizes, centres and masks", finetune(project, ours)),
    )
    logs, models = [], []
    for title, events in runs:
        yield Notice(title)
        log, ended = yield from _recorded(events, title.split(" · ")[1])
        logs.append(log)
        models.append(ended.model or 0)
    return tuple(logs), tuple(models)


def _recorded(
    events: Generator[Event, None, None], title: str
) -> Generator[Event, None, tuple[StageLog, Ended]]:
    """Pass a stage's events on while its curves are kept; the tables come at the end, on other subjects."""
    from ..engine.report import Recorder

    recorder, ended = Recorder(), Ended(stage=title)
    try:
        for event in events:
            recorder.add(event)
            if isinstance(event, Ended):
                ended = event
                event = replace(event, comparison=None, message="")
            yield event
    finally:
        events.close()  # this generator's close is the stage's Stop
    return recorder.log(title), ended


def _compare(
    project: Project, models: tuple[int, ...], config: DemoConfig
) -> Generator[Event, None, Comparison]:
    from ..engine.evaluate import evaluate

    numbers = ",".join(str(model) for model in models)
    comparison = Comparison(split="test", rows=())
    for event in evaluate(project, EvaluateConfig(split="test", models=numbers, device=config.device)):
        if not isinstance(event, Ended):
            yield event
        elif event.comparison is not None:
            comparison = event.comparison
    return comparison


def _report(
    project: Project,
    config: DemoConfig,
    comparison: Comparison,
    logs: tuple[StageLog, ...],
    truth: Masks,
    *,
    seconds: float,
) -> Report:
    from ..engine.device import describe
    from ..engine.report import Report, environment

    summary = (
        f"A network learned to outline the hippocampus in MRI slices. {_said(project)} "
        "The table and the pictures show the test subjects; the pictures are the middle slice of each."
    )
    facts = {
        "command": config.command,
        "seed": str(config.seed),
        "steps": f"at most {config.most_steps} of pre-training, half as many of each fine-tuning",
        "time": f"{seconds:.0f} s",
        "device": describe(config.device),
        **environment(),
        "images": "Medical Segmentation Decathlon, Task04 Hippocampus, CC BY-SA 4.0",
    }
    return Report(
        title="Learning to segment from object sizes" + (" (short demo)" if config.short else ""),
        summary=summary,
        comparison=comparison,
        pictures=_pictures(project, comparison, truth, config.device),
        stages=logs,
        facts=facts,
    )


def _written(report: Report, folder: Path) -> Path:
    from ..engine.report import write_report

    return write_report(report, folder)


def _pictures(project: Project, comparison: Comparison, truth: Masks, device: str) -> list[Picture]:
    """The middle slice of every test subject's first volume: chosen beforehand, not for its looks."""
    first = {image.group: image for image in reversed(project.images()) if image.split == "test"}
    images = sorted(first.values(), key=lambda image: image.id)
    return [_picture(project, comparison, image, truth, device) for image in images]


def _picture(
    project: Project, comparison: Comparison, image: ImageRecord, truth: Masks, device: str
) -> Picture:
    from ..engine.figure import Picture
    from ..engine.predict import predict_pixels

    plane = PlaneRef(image.id, image.planes // 2)
    volume = project.volume(image.id)
    files = {model.id: model.path for model in project.models()}
    predictions = {
        row.name: predict_pixels(files[row.model], volume[plane.slice], device=device, reference=volume) > 0.5
        for row in comparison.rows
        if row.model is not None
    }
    return Picture(
        caption=f"{image.group}, slice {plane.slice + 1} of {image.planes}",
        image=volume[plane.slice, 0],
        truth=truth[plane],
        predictions=predictions,
    )
