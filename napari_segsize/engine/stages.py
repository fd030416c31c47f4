"""The two stages of learning: from masks, then from sizes.

Each is a generator of events over an open project. Closing it is Stop: the last finished step is on disk and
``resume=True`` goes on from there. A model becomes the project's current one only if it is at least as good
on the validation images as the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import SegsizeError
from ..project import ModelRecord, PlaneRef, Project
from . import checkpoint
from .batch import BatchSource
from .config import FineTuneConfig, PretrainConfig
from .dataset import Dataset, left_out, loading
from .device import describe
from .evaluate import compare, comparison_row, row_name, score, score_network
from .events import Comparison, ComparisonRow, Ended, Event, Notice, Preview, Started
from .loop import Outcome, Run, fit
from .option import from_dict, to_dict
from .predict import probabilities
from .run_files import record_model, state_file, stopped_state
from .runs import finetuning, pretraining
from .turn import turn

__all__ = ["Resumable", "finetune", "pretrain", "resumable"]

AskPlane = Callable[[], PlaneRef | None]


@dataclass(frozen=True, slots=True)
class Resumable:
    """A run that was stopped."""

    stage: str
    step: int
    steps: int
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The settings it goes on with, as plain values."""


def resumable(project: Project, stages: Sequence[str] = ("pretrain", "finetune")) -> Resumable | None:
    """The project's stopped run of one of the stages, the newest if several have one."""
    files = [file for stage in stages if (file := state_file(project, stage)).is_file()]
    if not files:
        return None
    try:
        state = checkpoint.load(max(files, key=lambda file: file.stat().st_mtime))
    except SegsizeError:
        return None  # a damaged state cannot be resumed; starting anew replaces it
    return Resumable(state["stage"], state["step"], state["config"]["steps"], state["config"])


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
        Without masks in the training part; without a stopped run to resume; while another process (or
        window) pre-trains in the project.
    """
    config = config or PretrainConfig()
    with turn(project.models_folder, "pretrain"):
        state = stopped_state(project, "pretrain", PretrainConfig, called="pretrain run") if resume else None
        if state is not None:
            config = from_dict(PretrainConfig, state["config"])
        train = yield from loading(project, "train", stage="pretrain", normalise=config.normalise)
        validation = yield from loading(project, "validation", stage="pretrain", normalise=config.normalise)
        run = pretraining(train, validation, config, state_file(project, "pretrain"))
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
    with turn(project.models_folder, "finetune"):
        state = stopped_state(project, "finetune", FineTuneConfig, called="finetune run") if resume else None
        if state is not None:
            config = from_dict(FineTuneConfig, state["config"])
        start = _start_model(project, state)
        network, entry = checkpoint.load_network(project.models_folder / start.path)
        train = yield from loading(project, "train", stage="finetune", normalise=entry["normalise"])
        validation = yield from loading(project, "validation", stage="finetune", normalise=entry["normalise"])
        file = state_file(project, "finetune")
        run = finetuning(train, validation, network, entry, config, file, start_model=start.id)
        yield from _run(project, run, state, train, validation, preview)


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
    yield Started(
        stage=run.stage,
        device=describe(run.fabric.device),
        steps=run.config.steps,
        step=run.step,
        images=len(train.items),
        masks=len(train.masks),
        sizes=sum(item.sized for item in train.items),
        extents=sum(item.bounded for item in train.items),
        parameters=sum(parameter.numel() for parameter in run.network.parameters()),
    )
    for notice in (*left_out(train, validation), *run.notices):
        yield Notice(notice)
    if not validation.items:
        yield Notice(
            "No annotated validation images: training cannot stop early, and the model cannot be compared. "
            "Assign some images to validation on the Project page."
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
    """Compare the model with the one before, then record it; promote it unless the one before is better.

    Nothing is recorded before the last place to stop: a run stopped in the comparison is still a stopped run.
    """
    run.network.load_state_dict(outcome.weights)
    run.network.eval()
    if not run.fabric.is_global_zero:
        run.fabric.barrier()  # the first process writes; a next stage finds the model on disk
        yield Ended(stage=run.stage, metrics=outcome.metrics)
        return
    before = project.current_model()
    rows = (yield from _rows(project, run, before, validation)) if validation.items else ()
    record = record_model(project, run, outcome.weights, outcome.metrics)
    rows = tuple(replace(row, model=record.id) if row.model is None else row for row in rows)
    promoted, message = _verdict(run, before, record, rows)
    if promoted:
        project.promote(record.id)
    run.file.unlink(missing_ok=True)
    run.fabric.barrier()
    yield Ended(
        stage=run.stage,
        promoted=promoted,
        model=record.id,
        metrics=record.metrics,
        comparison=Comparison(split="validation", rows=rows) if rows else None,
        message=message,
    )


def _rows(
    project: Project, run: Run, before: ModelRecord | None, validation: Dataset
) -> Generator[Event, None, tuple[ComparisonRow, ...]]:
    """The current model, the one this run started from, and the new one (still without a number)."""
    rivals = {model.id: model for model in project.models() if model.id == run.start_model}
    if before is not None:
        rivals = {before.id: before} | rivals
    assert isinstance(run.source, BatchSource)
    one_object = run.source.one_object
    context = run.source.context
    device = run.fabric.device
    table = yield from compare(
        project,
        list(rivals.values()),
        validation,
        "validation",
        device=device,
        stage=run.stage,
        one_object=one_object,
        context=context,
    )
    metrics = yield from score_network(
        run.network, validation, stage=run.stage, device=device, one_object=one_object, context=context
    )
    name = row_name(run.stage, to_dict(run.config))
    return (*table.rows, comparison_row(name, metrics, len(validation.items)))


def _verdict(
    run: Run, before: ModelRecord | None, new: ModelRecord, rows: tuple[ComparisonRow, ...]
) -> tuple[bool, str]:
    """Whether the new model replaces the current one, and the sentence if it does not."""
    values = {row.model: score({"iou": row.iou, "size_error": row.size_error}) for row in rows}
    if before is None:
        return True, ""
    if not values:
        if run.start_model == before.id:
            return True, ""  # the same model, taught further
        return False, (
            f"Model {before.id} stays in use: without annotated validation images the new one could not be "
            "compared with it. Hold some images out, or say `segsize use` to choose it all the same."
        )
    if before.id in values and values[new.id] < values[before.id]:
        return False, f"Model {before.id} stays in use: the new one is not better on the validation images."
    return True, ""
