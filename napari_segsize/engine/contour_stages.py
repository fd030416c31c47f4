"""Teaching the contour network a project's own objects: from contours, masks, extreme points and sizes."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..errors import SegsizeError
from ..models.contour import ContourNet, build_contour_net
from ..project import Project, Split
from . import checkpoint
from .closeup import CloseUp
from .contour_config import ContourConfig
from .contour_items import contour_items, hold_out
from .contour_runs import contour_entry, contour_score, contour_training, score_contours
from .device import describe, resolve
from .events import Comparison, ComparisonRow, Ended, Event, Notice, Started
from .loop import Outcome, Run, fit
from .option import from_dict
from .run_files import record_model, state_file, stopped_state
from .starter import load_starter
from .turn import turn

__all__ = ["CONTOUR_ROWS", "evaluate_contours", "finetune_contour"]

CONTOUR_ROWS = ("contour network before", "contour network after")


def finetune_contour(
    project: Project, config: ContourConfig | None = None, *, resume: bool = False
) -> Generator[Event, None, None]:
    """Teach a contour network the objects of a project; closing the generator is Stop.

    It learns from accepted contours and painted masks, and, through the extreme-point and size losses, from
    objects of which only four points or a size are known. The network it starts from counts as its first
    candidate, so a run that finds nothing better changes nothing.

    Parameters
    ----------
    project : Project
    config : ContourConfig, optional
        With `resume`, the stopped run's own settings are used instead.
    resume : bool
        Go on with the stopped run.

    Raises
    ------
    SegsizeError
        Without objects in the training part; without a stopped run to resume; while another training of
        contours runs in the project.
    """
    config = config or ContourConfig()
    with turn(project.models_folder, "contour"):
        state = (
            stopped_state(project, "contour", ContourConfig, called="contour training") if resume else None
        )
        if state is not None:
            config = from_dict(ContourConfig, state["config"])
        network, entry, start_model = _start(project, config)
        train, validation, notices = yield from _items(project)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        run = contour_training(
            train, validation, network, config, state_file(project, "contour"),
            entry=entry, start_model=start_model, look_first=config.model == "starter",
        )  # fmt: skip
        if state is not None:
            run.restore(state)
        for notice in notices:
            yield Notice(notice)
        yield Started(
            stage="contour",
            device=describe(run.fabric.device),
            steps=config.steps,
            step=run.step,
            images=len({item.plane for item in train}),
            masks=sum(item.mask is not None for item in train),
            sizes=sum(item.mask is None for item in train),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
        )
        outcome = yield from fit(run)
        yield from _finish(project, run, outcome, before, validation)


def evaluate_contours(
    project: Project, *, split: Split = "test", device: str = "auto"
) -> Generator[Event, None, None]:
    """Compare the network that ships with the project's current contour network on held-out objects.

    Parameters
    ----------
    project : Project
    split : {"test", "validation", "train"}
        The images whose objects count; validation images where no test image has an outlined object.
    device : str

    Raises
    ------
    SegsizeError
        Without an outlined object on a held-out image.
    """
    items, notices = yield from contour_items(project, split)
    if split == "test" and not any(item.mask is not None for item in items):
        split = "validation"
        items, more = yield from contour_items(project, split)
        notices = (*notices, *more)
    items = [item for item in items if item.mask is not None]
    if not items:
        raise SegsizeError(
            f"No outlined object is in the part '{split}'. Accept contours or paint masks on held-out "
            "images, or assign parts on the Project page."
        )
    for notice in notices:
        yield Notice(notice)
    where = resolve(device)
    yield Started(stage="evaluate", device=describe(where), steps=2, masks=len(items))
    rows = []
    current = project.current_model("contours")
    candidates: list[tuple[str, ContourNet, Mapping[str, Any], int | None]] = []
    if _shipped_fits():
        candidates.append(("contour network that ships", *load_starter(), None))
    if current is not None:
        loaded = checkpoint.load_contour_network(project.models_folder / current.path)
        candidates.append((f"contour model {current.id}", *loaded, current.id))
    for name, network, entry, number in candidates:
        config = ContourConfig(
            vertices=entry["vertices"], iterations=entry["iterations"], circle=entry["circle"]
        )
        metrics = yield from score_contours(network.to(where), items, config, network.prompts, where)
        rows.append(_row(name, metrics, len(items), number))
    yield Ended(
        stage="evaluate",
        model=current.id if current is not None else None,
        comparison=Comparison(split=split, rows=tuple(rows), of="objects"),
    )


def _shipped_fits() -> bool:
    try:
        load_starter()
    except SegsizeError:
        return False
    return True


def _start(project: Project, config: ContourConfig) -> tuple[ContourNet, dict[str, Any], int | None]:
    """The network a training starts from, its entry, and its number if it is one of the project's."""
    if config.model != "starter":
        network = build_contour_net(config.model, prompts=2 if config.prompts else 0, seed=config.seed)
        return network, contour_entry(config, config.model, network), None
    current = project.current_model("contours")
    if current is None:
        network, entry = load_starter()
        return network, entry, None
    network, entry = checkpoint.load_contour_network(project.models_folder / current.path)
    return network, entry, current.id


def _items(project: Project) -> Generator[Event, None, tuple[list[CloseUp], list[CloseUp], tuple[str, ...]]]:
    train, notices = yield from contour_items(project, "train")
    validation, more = yield from contour_items(project, "validation")
    notices = (*notices, *more)
    if not any(item.mask is not None for item in validation):
        points_only = validation
        train, validation = hold_out(train)
        validation = validation or points_only
        held = (
            f"No validation image has an outlined object: {len(validation)} objects of the training images "
            "are held out to tell whether the network gets better."
            if validation and validation is not points_only
            else "Too few outlined objects to hold some out: the network cannot be compared with the old one."
        )
        notices = (*notices, held)
    return train, validation, notices


def _finish(
    project: Project,
    run: Run,
    outcome: Outcome,
    before: Mapping[str, torch.Tensor],
    validation: Sequence[CloseUp],
) -> Generator[Event, None, None]:
    """Conclude in one process; under torchrun the others wait until it has written."""
    if not run.fabric.is_global_zero:
        run.fabric.barrier()
        yield Ended(stage="contour", metrics=outcome.metrics)
        return
    ended = yield from _conclude(project, run, outcome, before, validation)
    run.file.unlink(missing_ok=True)
    run.fabric.barrier()
    yield ended


def _conclude(
    project: Project,
    run: Run,
    outcome: Outcome,
    before: Mapping[str, torch.Tensor],
    validation: Sequence[CloseUp],
) -> Generator[Event, None, Ended]:
    """Compare with the network before, record and promote the new one unless it is not better."""
    network = run.network
    nn.Module.eval(network)
    assert isinstance(network, ContourNet)
    assert isinstance(run.config, ContourConfig)
    device = run.fabric.device
    network.load_state_dict(dict(before))
    old = yield from score_contours(network, validation, run.config, network.prompts, device)
    network.load_state_dict(outcome.weights)
    new = yield from score_contours(network, validation, run.config, network.prompts, device)
    fresh = run.config.model != "starter"
    known = not math.isnan(contour_score(new))
    if not fresh and known and contour_score(new) <= contour_score(old):
        return Ended(
            stage="contour", metrics=old,
            message="The contour network stays as it was: nothing better was found for the held-out objects.",
        )  # fmt: skip
    if fresh:
        old, rival = yield from _rival(project, validation, device)
        better = known and contour_score(new) >= contour_score(old)
    else:
        rival, better = run.start_model, True
    record = record_model(project, run, outcome.weights, new).id
    if better:
        project.promote(record)
    rows = (
        _row(CONTOUR_ROWS[0], old, len(validation), rival),
        _row(CONTOUR_ROWS[1], new, len(validation), record),
    )
    return Ended(
        stage="contour", promoted=better, model=record, metrics=new,
        comparison=Comparison(split="validation", rows=rows, of="objects") if known else None,
        message="" if better else "The contour network in use stays: the new one was not shown to be better.",
    )  # fmt: skip


def _rival(
    project: Project, validation: Sequence[CloseUp], device: torch.device
) -> Generator[Event, None, tuple[dict[str, float], int | None]]:
    """How good the network in use is on the same objects, and its number; None for the one that ships."""
    current = project.current_model("contours")
    network, entry = (
        load_starter()
        if current is None
        else checkpoint.load_contour_network(project.models_folder / current.path)
    )
    config = ContourConfig(vertices=entry["vertices"], iterations=entry["iterations"], circle=entry["circle"])
    metrics = yield from score_contours(network.to(device), validation, config, network.prompts, device)
    return metrics, None if current is None else current.id


def _row(name: str, metrics: Mapping[str, float], objects: int, model: int | None) -> ComparisonRow:
    return ComparisonRow(
        name=name, iou=metrics["iou"], dice=metrics["dice"], size_error=metrics["size_error"],
        images=objects, model=model,
    )  # fmt: skip
