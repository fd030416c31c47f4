"""Teaching the network for rough outlines the outlines of a project, and finding the one that is in use."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import SegsizeError
from ..models.alignment import AlignmentNet, build_alignment_net
from ..project import ModelRecord, PlaneAnnotation, PlaneRef, Project
from ..project.checks import where as place_of
from . import checkpoint
from .alignment_runs import Seen, alignment_training, held_windows, score_alignment
from .closeup import in_three_channels
from .device import describe
from .displaced import outlined_objects
from .edge_config import AlignmentConfig
from .edge_items import planes_with_outlines
from .events import Ended, Event, Notice, Started
from .loop import Outcome, Run, fit
from .option import from_dict
from .run_files import record_model, state_file, stopped_state
from .starter import load_alignment_starter
from .turn import turn

__all__ = ["alignment_network", "load_alignment_network", "train_alignment"]

_STAGE = "alignment"
_CALLED = "training of alignment"
_EVERY = 5  # without validation images, every fifth plane or object is held out
_LEAST_OBJECTS = 10


def train_alignment(
    project: Project, config: AlignmentConfig | None = None, *, resume: bool = False
) -> Generator[Event, None, None]:
    """Teach the network for rough outlines those of a project; closing the generator is Stop.

    It goes on from the network in use, the one that ships at first. Painted masks and accepted contours are
    displaced at random, and it learns to bring them back. They may be rough themselves: what no image tells
    averages out. Its model is used, by the method "learned", only if it brings held-out outlines back better.

    Parameters
    ----------
    project : Project
    config : AlignmentConfig, optional
        With `resume`, the stopped run's own settings are used instead.
    resume : bool
        Go on with the stopped run.

    Raises
    ------
    SegsizeError
        With fewer than 10 objects of 30 px; without a stopped run to resume; while another training of
        alignment runs in the project.
    """
    config = config or AlignmentConfig()
    with turn(project.models_folder, _STAGE):
        state = stopped_state(project, _STAGE, AlignmentConfig, called=_CALLED) if resume else None
        if state is not None:
            config = from_dict(AlignmentConfig, state["config"])
        train, validation, notices = yield from _objects(project, config)
        network, entry, used = alignment_network(project)
        run = alignment_training(train, validation, network, config, state_file(project, _STAGE), entry=entry)
        run.start_model = None if used is None else used.id
        run.name_of = partial(_name_of, project)
        before = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        if state is not None:
            run.restore(state)
        for notice in notices:
            yield Notice(notice)
        yield Started(
            stage=_STAGE,
            device=describe(run.fabric.device),
            steps=config.steps,
            step=run.step,
            images=len({each.plane for each in train}),
            masks=len(train),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
        )
        outcome = yield from fit(run)
        yield from _finish(project, run, outcome, before, validation)


def load_alignment_network(path: Path) -> tuple[AlignmentNet, dict[str, Any]]:
    """The network for rough outlines of a model file, in evaluation mode, and its entry.

    Raises
    ------
    SegsizeError
        If the file is missing, damaged, or holds another network.
    """
    content = checkpoint.load(path)
    try:
        entry = content["network"]
        network = build_alignment_net(entry["features"])
        network.load_state_dict(content["weights"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise SegsizeError(
            f"{path.name}: the file does not hold the network for rough outlines that it names. Delete it "
            "and train again."
        ) from error
    nn.Module.eval(network)
    return network, entry


def alignment_network(project: Project) -> tuple[AlignmentNet, dict[str, Any], ModelRecord | None]:
    """The network for rough outlines that a project uses, its entry and record; None: the one that ships."""
    record = project.current_model("alignment")
    if record is None:
        return (*load_alignment_starter(), None)
    return (*load_alignment_network(project.models_folder / record.path), record)


def _name_of(project: Project, plane: PlaneRef | None) -> str:
    return "a drawn shape" if plane is None else place_of(project.image(plane.image), plane)


def _objects(
    project: Project, config: AlignmentConfig
) -> Generator[Event, None, tuple[list[Seen], list[Seen], list[str]]]:
    """Objects to learn from and held-out ones, and what to tell the user."""
    make = partial(_seen, farthest=config.farthest)
    planes, notices = yield from planes_with_outlines(project, "train", _STAGE, make)
    held, more = yield from planes_with_outlines(project, "validation", _STAGE, make)
    said = [*notices, *more]
    train, validation = _flat(planes), _flat(held)
    if len(train) + len(validation) < _LEAST_OBJECTS or not train:
        raise SegsizeError(
            f"To learn how outlines run takes {_LEAST_OBJECTS} objects of 30 px of area or more with an "
            f"outline, there are {len(train) + len(validation)} in training and validation images: paint "
            "masks, accept contours, or import a label image. Rough ones will do."
        )
    if not validation:
        train, validation, what = _hold_out(planes)
        said.append(
            f"No validation image has an outline: {len(validation)} objects {what} are held out to tell "
            "whether the network gets better."
        )
    return train, validation, said


def _seen(
    annotation: PlaneAnnotation, image: torch.Tensor, labels: NDArray[Any], *, farthest: float
) -> list[Seen]:
    image = image.float()
    shown = image.expand(3, -1, -1) if len(image) == 1 else in_three_channels(image)  # grey is not copied
    found = outlined_objects(shown, labels, farthest)
    return [Seen(each, annotation.plane) for each in found]


def _flat(planes: Sequence[Sequence[Seen]]) -> list[Seen]:
    return [each for plane in planes for each in plane]


def _hold_out(planes: Sequence[Sequence[Seen]]) -> tuple[list[Seen], list[Seen], str]:
    """Objects of every fifth plane; of few planes every fifth object."""
    planes = [plane for plane in planes if plane]
    if len(planes) >= _EVERY:
        held = planes[_EVERY - 1 :: _EVERY]
        rest = [plane for place, plane in enumerate(planes) if place % _EVERY != _EVERY - 1]
        return _flat(rest), _flat(held), f"of {len(held)} training images"
    every = _flat(planes)
    left = [each for place, each in enumerate(every) if place % _EVERY != _EVERY - 1]
    return left, every[_EVERY - 1 :: _EVERY], "of the training images"


def _finish(
    project: Project,
    run: Run,
    outcome: Outcome,
    before: dict[str, torch.Tensor],
    validation: Sequence[Seen],
) -> Generator[Event, None, None]:
    """Record the network in one process; under torchrun the others wait until it has written."""
    if not run.fabric.is_global_zero:
        run.fabric.barrier()
        yield Ended(stage=_STAGE, metrics=outcome.metrics)
        return
    ended = yield from _conclude(project, run, outcome, before, validation)
    run.file.unlink(missing_ok=True)
    run.fabric.barrier()
    yield ended


def _conclude(
    project: Project,
    run: Run,
    outcome: Outcome,
    before: dict[str, torch.Tensor],
    validation: Sequence[Seen],
) -> Generator[Event, None, Ended]:
    """Compare with the network before; record and use the new one if it is better."""
    held = held_windows(validation, run.config.seed)
    run.network.load_state_dict(before)
    old = yield from score_alignment(run.network, held)
    run.network.load_state_dict(outcome.weights)
    new = yield from score_alignment(run.network, held)
    if not new["back"] > old["back"]:
        return Ended(
            stage=_STAGE, metrics=old,
            message="The network for rough outlines stays as it was: nothing better was found for the "
            "held-out outlines.",
        )  # fmt: skip
    record = record_model(project, run, outcome.weights, new).id
    project.promote(record)
    return Ended(
        stage=_STAGE, promoted=True, model=record, metrics=new,
        message=f"Of what displacement does to held-out outlines, {100 * new['back']:.0f} % is brought back "
        f"(before: {100 * old['back']:.0f} %). Method \"learned\" uses it from now on.",
    )  # fmt: skip
