"""Teaching a network that outlines objects a project's own: from contours, masks, extreme points and sizes.

One code for both networks, that of polygons and that of level sets; what differs is in `outline_networks`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..errors import SegsizeError
from ..project import Project, Split
from ..project.checks import where as place_of
from .closeup import CloseUp
from .contour_config import ContourConfig
from .contour_items import contour_items, hold_out
from .contour_runs import contour_score
from .device import describe, resolve
from .events import Comparison, ComparisonRow, Ended, Event, Notice, Started
from .levelset_config import LevelSetConfig
from .loop import Outcome, Run, fit
from .option import from_dict
from .outline_networks import LEVELSET, POLYGON, OutlineNetwork
from .run_files import concluded, record_model, state_file, stopped_state
from .turn import turn

__all__ = ["evaluate_contours", "evaluate_levelsets", "finetune_contour", "finetune_levelset"]


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
    yield from _finetune(project, POLYGON, config or ContourConfig(), resume=resume)


def finetune_levelset(
    project: Project, config: LevelSetConfig | None = None, *, resume: bool = False
) -> Generator[Event, None, None]:
    """Teach a level-set network the objects of a project; parameters, errors, events as `finetune_contour`.

    Objects with points or a size alone teach through the projection loss on the evolved level set, through
    the size of its inside, and through the network's own level sets where these agree with both.
    """
    yield from _finetune(project, LEVELSET, config or LevelSetConfig(), resume=resume)


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
    yield from _evaluate(project, POLYGON, split, device)


def evaluate_levelsets(
    project: Project, *, split: Split = "test", device: str = "auto"
) -> Generator[Event, None, None]:
    """Compare the level-set network that ships with the project's current one, as `evaluate_contours`."""
    yield from _evaluate(project, LEVELSET, split, device)


def _finetune(
    project: Project, taught: OutlineNetwork, config: Any, *, resume: bool
) -> Generator[Event, None, None]:
    stage = taught.stage
    with turn(project.models_folder, stage):
        state = (
            stopped_state(project, stage, taught.config, called=taught.training_called) if resume else None
        )
        if state is not None:
            config = from_dict(taught.config, state["config"])
        network, entry, start_model = _start(project, taught, config)
        train, validation, notices = yield from _items(project, stage)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        run = taught.training(
            train, validation, network, config, state_file(project, stage),
            entry=entry, start_model=start_model, look_first=config.model == "starter",
        )  # fmt: skip
        run.name_of = lambda plane: place_of(project.image(plane.image), plane)
        if state is not None:
            run.restore(state)
        for notice in notices:
            yield Notice(notice)
        yield Started(
            stage=stage,
            device=describe(run.fabric.device),
            steps=config.steps,
            step=run.step,
            images=len({item.plane for item in train}),
            masks=sum(item.mask is not None for item in train),
            sizes=sum(item.mask is None for item in train),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
        )
        outcome = yield from fit(run)
        yield from concluded(run, outcome, _conclude(project, taught, run, outcome, before, validation))


def _evaluate(
    project: Project, taught: OutlineNetwork, split: Split, device: str
) -> Generator[Event, None, None]:
    items, notices = yield from contour_items(project, split, stage=taught.stage)
    if split == "test" and not any(item.mask is not None for item in items):
        split = "validation"
        items, more = yield from contour_items(project, split, stage=taught.stage)
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
    current = project.current_model(taught.kind)
    candidates: list[tuple[str, nn.Module, Mapping[str, Any], int | None]] = []
    if _shipped_fits(taught):
        candidates.append((f"{taught.network} that ships", *taught.ships(), None))
    if current is not None:
        loaded = taught.load(project.models_folder / current.path)
        candidates.append((f"{taught.called} {current.id}", *loaded, current.id))
    for name, network, entry, number in candidates:
        metrics = yield from taught.score(network.to(where), items, taught.settings(entry), where)
        rows.append(_row(name, metrics, len(items), number))
    yield Ended(
        stage="evaluate",
        model=current.id if current is not None else None,
        comparison=Comparison(split=split, rows=tuple(rows), of="objects"),
    )


def _shipped_fits(taught: OutlineNetwork) -> bool:
    try:
        taught.ships()
    except SegsizeError:
        return False
    return True


def _start(
    project: Project, taught: OutlineNetwork, config: Any
) -> tuple[nn.Module, dict[str, Any], int | None]:
    """The network a training starts from, its entry, and its number if it is one of the project's."""
    if config.model != "starter":
        return (*taught.new(config), None)
    network, entry, record = taught.current(project)
    return network, entry, None if record is None else record.id


def _items(
    project: Project, stage: str
) -> Generator[Event, None, tuple[list[CloseUp], list[CloseUp], tuple[str, ...]]]:
    train, notices = yield from contour_items(project, "train", stage=stage)
    validation, more = yield from contour_items(project, "validation", stage=stage)
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


def _conclude(
    project: Project,
    taught: OutlineNetwork,
    run: Run,
    outcome: Outcome,
    before: Mapping[str, torch.Tensor],
    validation: Sequence[CloseUp],
) -> Generator[Event, None, Ended]:
    """Compare with the network before, record and promote the new one unless it is not better."""
    network, config, device = run.network, run.config, run.fabric.device
    nn.Module.eval(network)
    network.load_state_dict(dict(before))
    old = yield from taught.score(network, validation, config, device)
    network.load_state_dict(outcome.weights)
    new = yield from taught.score(network, validation, config, device)
    fresh = not run.look_first
    known = not math.isnan(contour_score(new))
    if not fresh and known and contour_score(new) <= contour_score(old):
        return Ended(
            stage=run.stage, metrics=old,
            message=f"The {taught.network} stays as it was: nothing better was found for the held-out "
            "objects.",
        )  # fmt: skip
    if fresh:
        old, rival = yield from _rival(project, taught, validation, device)
        better = known and contour_score(new) >= contour_score(old)
    else:
        rival, better = run.start_model, True
    record = record_model(project, run, outcome.weights, new).id
    if better:
        project.promote(record)
    rows = (
        _row(f"{taught.network} before", old, len(validation), rival),
        _row(f"{taught.network} after", new, len(validation), record),
    )
    return Ended(
        stage=run.stage, promoted=better, model=record, metrics=new,
        comparison=Comparison(split="validation", rows=rows, of="objects") if known else None,
        message="" if better
        else f"The {taught.network} in use stays: the new one was not shown to be better.",
    )  # fmt: skip


def _rival(
    project: Project, taught: OutlineNetwork, validation: Sequence[CloseUp], device: torch.device
) -> Generator[Event, None, tuple[dict[str, float], int | None]]:
    """How good the network in use is on the same objects, and its number; None for the one that ships."""
    network, entry, record = taught.current(project)
    metrics = yield from taught.score(network.to(device), validation, taught.settings(entry), device)
    return metrics, None if record is None else record.id


def _row(name: str, metrics: Mapping[str, float], objects: int, model: int | None) -> ComparisonRow:
    return ComparisonRow(
        name=name, iou=metrics["iou"], dice=metrics["dice"], size_error=metrics["size_error"],
        images=objects, model=model,
    )  # fmt: skip
