"""The two stages of learning: from masks, then from sizes.

Each is a generator of events over an open project. Closing it is Stop: the last finished step is on disk and
``resume=True`` goes on from there. A model becomes the project's current one only if it is at least as good
on the validation images as the one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SegsizeError
from ..project import ModelRecord, PlaneRef, Project
from . import checkpoint
from .config import FineTuneConfig, PretrainConfig, from_dict, to_dict
from .dataset import Dataset, load_dataset
from .device import describe
from .evaluate import compare, score
from .events import Comparison, Ended, Event, Notice, Preview, Started
from .loop import Outcome, Run, fit
from .predict import probabilities
from .runs import finetuning, pretraining

__all__ = ["Resumable", "finetune", "pretrain", "resumable"]

AskPlane = Callable[[], PlaneRef | None]


@dataclass(frozen=True, slots=True)
class Resumable:
    """A run that was stopped."""

    stage: str
    step: int
    steps: int


def _state_file(project: Project, stage: str) -> Path:
    return project.models_folder / f"{stage}.resume.pt"


def resumable(project: Project) -> Resumable | None:
    """The project's stopped run, the newest if both stages have one."""
    files = [file for stage in ("pretrain", "finetune") if (file := _state_file(project, stage)).is_file()]
    if not files:
        return None
    try:
        state = checkpoint.load(max(files, key=lambda file: file.stat().st_mtime))
    except SegsizeError:
        return None  # a damaged state cannot be resumed; starting anew replaces it
    return Resumable(state["stage"], state["step"], state["config"]["steps"])


def pretrain(
    project: Project,
    config: PretrainConfig | None = None,
    *,
    resume: bool = False,
    preview: AskPlane | None = None,
) -> Generator[Event, None, None]:
    """Learn from the project's masks.

    Parameters
    ----------
    project : Project
    config : PretrainConfig, optional
        With `resume`, the stopped run's own settings are used instead.
    resume : bool
        Go on with the stopped run.
    preview : callable, optional
        Names the plane to show; asked at most twice a second.

    Raises
    ------
    SegsizeError
        Without masks in the training part; without a stopped run to resume.
    """
    config = config or PretrainConfig()
    state = _load_state(project, "pretrain") if resume else None
    if state is not None:
        config = from_dict(PretrainConfig, state["config"])
    train = load_dataset(project, "train", normalise=config.normalise)
    validation = load_dataset(project, "validation", normalise=config.normalise)
    run = pretraining(train, validation, config, _state_file(project, "pretrain"))
    yield from _run(project, run, state, train, validation, preview)


def finetune(
    project: Project,
    config: FineTuneConfig | None = None,
    *,
    resume: bool = False,
    preview: AskPlane | None = None,
) -> Generator[Event, None, None]:
    """Learn from the project's sizes, starting from its newest pre-trained model.

    The recipe ``segsize`` uses sizes, centres and the masks together; ``paper`` sizes alone, for which masks
    count as their size. With several stamps in some image, each acts on its own window.

    Parameters, errors and events as `pretrain`; needs sizes (or centres) in the training part.

    References
    ----------
    .. [1] Baručić and Kybic, "Learning to segment from object sizes", ITAT, 2022.
    """
    config = config or FineTuneConfig()
    state = _load_state(project, "finetune") if resume else None
    if state is not None:
        config = from_dict(FineTuneConfig, state["config"])
    start = _start_model(project, state)
    network, entry = checkpoint.load_network(project.models_folder / start.path)
    train = load_dataset(project, "train", normalise=entry["normalise"])
    validation = load_dataset(project, "validation", normalise=entry["normalise"])
    file = _state_file(project, "finetune")
    run = finetuning(train, validation, network, entry, config, file, start_model=start.id)
    yield from _run(project, run, state, train, validation, preview)


def _load_state(project: Project, stage: str) -> Mapping[str, Any]:
    file = _state_file(project, stage)
    if not file.is_file():
        raise SegsizeError(f"There is no stopped {stage} run to resume in this project. Start a new one.")
    return checkpoint.load(file)


def _start_model(project: Project, state: Mapping[str, Any] | None) -> ModelRecord:
    """The pre-trained model a fine-tuning starts from: the newest, or the stopped run's own."""
    models = [model for model in project.models() if model.stage == "pretrain"]
    if state is not None:
        models = [model for model in models if model.id == state["start_model"]]
    if not models:
        raise SegsizeError(
            "Fine-tuning starts from a pre-trained model, and this project has none. "
            "Pre-train from masks first."
        )
    return max(models, key=lambda model: model.id)


def _run(
    project: Project,
    run: Run,
    state: Mapping[str, Any] | None,
    train: Dataset,
    validation: Dataset,
    preview: AskPlane | None,
) -> Generator[Event, None, None]:
    """Announce, train, record the model, compare it with the one before."""
    if state is not None:
        run.restore(state)
    for notice in (*train.notices, *validation.notices):
        yield Notice(notice)
    if not validation.items:
        yield Notice(
            "No annotated validation images: training cannot stop early, and the model cannot be compared. "
            "Assign some images to validation on the Project page."
        )
    yield Started(
        stage=run.stage,
        device=describe(run.fabric.device),
        steps=run.config.steps,
        step=run.step,
        images=len(train.items),
        masks=len(train.masks),
        sizes=sum(len(item.objects) for item in train.items),
        parameters=sum(parameter.numel() for parameter in run.network.parameters()),
    )
    outcome = yield from fit(run, _painter(train, preview) if preview is not None else None)
    yield from _finish(project, run, outcome, validation)


def _painter(train: Dataset, preview: AskPlane) -> Callable[[Run], Preview | None]:
    """Turns the plane the user looks at into its current prediction."""

    def paint(current: Run) -> Preview | None:
        plane = preview()
        if plane is None:
            return None
        candidate = current.candidate
        candidate.eval()
        try:
            pixels = train.pixels(plane)
            if pixels.shape[0] != current.entry["channels"]:
                return None
            return Preview(plane=plane, probabilities=probabilities(candidate, pixels, current.fabric.device))
        except SegsizeError:
            return None  # the image cannot be read; the page that shows it says so
        finally:
            candidate.train()

    return paint


def _finish(
    project: Project, run: Run, outcome: Outcome, validation: Dataset
) -> Generator[Event, None, None]:
    """Write and record the model; promote it unless the current one is better."""
    run.network.load_state_dict(outcome.weights)
    run.network.eval()
    if not run.fabric.is_global_zero:
        run.fabric.barrier()  # the first process writes; a next stage finds the model on disk
        yield Ended(stage=run.stage, metrics=outcome.metrics)
        return
    number = max((model.id for model in project.models()), default=0) + 1
    file = project.models_folder / f"{number:04d}-{run.stage}.pt"
    checkpoint.save(
        file,
        {
            "stage": run.stage,
            "config": to_dict(run.config),
            "network": run.entry,
            "weights": outcome.weights,
            "metrics": dict(outcome.metrics),
        },
    )
    metrics = {name: value for name, value in outcome.metrics.items() if not math.isnan(value)}
    record = project.add_model(file, stage=run.stage, metrics=metrics, config=to_dict(run.config))
    before = project.current_model()
    table: Comparison | None = None
    if validation.items:
        rivals = {before.id: before} if before is not None else {}
        if run.start_model is not None:
            rivals |= {model.id: model for model in project.models() if model.id == run.start_model}
        table = yield from compare(
            project,
            [*rivals.values(), record],
            validation,
            "validation",
            device=run.fabric.device,
            stage=run.stage,
        )
    promoted = _at_least_as_good(before, record, table)
    if promoted:
        project.promote(record.id)
    run.file.unlink(missing_ok=True)
    run.fabric.barrier()
    yield Ended(
        stage=run.stage,
        promoted=promoted,
        model=record.id,
        metrics=metrics,
        comparison=table,
        message="" if promoted else "The model before stays in use: the new one is not better.",
    )


def _at_least_as_good(before: ModelRecord | None, new: ModelRecord, table: Comparison | None) -> bool:
    """Whether the new model may replace the current one, on the same validation images."""
    if before is None:
        return True
    if table is None:
        return False
    values = {row.model: score({"iou": row.iou, "size_error": row.size_error}) for row in table.rows}
    return not values[new.id] < values[before.id]
