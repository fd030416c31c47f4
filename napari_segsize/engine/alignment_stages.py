"""Teaching the network for rough outlines the outlines of a project, and finding the one that is in use."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

import torch
from numpy.typing import NDArray

from ..errors import SegsizeError
from ..models.alignment import AlignmentNet, build_alignment_net
from ..project import ModelRecord, PlaneAnnotation, PlaneRef, Project
from ..project.checks import where as place_of
from .alignment_runs import Seen, alignment_training, held_windows, score_alignment
from .checkpoint import load_alignment_network
from .closeup import in_three_channels
from .device import describe
from .displaced import outlined_objects
from .edge_config import AlignmentConfig
from .edge_items import planes_with_outlines
from .events import Ended, Event, Notice, Started
from .loop import Outcome, Run, fit
from .option import from_dict
from .run_files import concluded, record_model, state_file, stopped_state
from .starter import load_alignment_starter
from .turn import turn

__all__ = ["alignment_network", "hold_out_objects", "train_alignment"]

_STAGE = "alignment"
_CALLED = "training of alignment"
_EVERY = 5  # without validation images, about a fifth is held out
_LEAST_OBJECTS = 10
_BETTER = 0.005  # share of the pixels by which a network must be better to take the other's place


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
        Go on with the stopped run, with the outlines as they are now.

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
        used = _in_use(project)
        notices += [used.notice] if used.notice else []
        entry = used.entry if state is None else state["network"]
        network = build_alignment_net(entry["features"])
        if state is None:
            network.load_state_dict(used.network.state_dict())
        run = alignment_training(train, validation, network, config, state_file(project, _STAGE), entry=entry)
        run.start_model = used.number if state is None else state["start_model"]
        run.name_of = partial(_name_of, project)
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
            objects=len(train),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
        )
        outcome = yield from fit(run)
        yield from concluded(run, outcome, _conclude(project, run, outcome, used, validation))


def alignment_network(project: Project) -> tuple[AlignmentNet, dict[str, Any], ModelRecord | None]:
    """The network for rough outlines that a project uses, its entry and record; None: the one that ships."""
    record = project.current_model("alignment")
    if record is None:
        return (*load_alignment_starter(), None)
    return (*load_alignment_network(project.models_folder / record.path), record)


@dataclass(frozen=True, slots=True, eq=False)
class _Used:
    """The network that a project uses, and what to say of it."""

    network: AlignmentNet
    entry: dict[str, Any]
    number: int | None = None
    notice: str = ""


def _in_use(project: Project) -> _Used:
    """The network in use; the one that ships, and a sentence, if its file is gone or damaged."""
    try:
        network, entry, record = alignment_network(project)
    except SegsizeError as error:
        return _Used(*load_alignment_starter(), notice=f"{error} Going on from the network that ships.")
    return _Used(network, entry, None if record is None else record.id)


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
    if len(train) + len(validation) < _LEAST_OBJECTS:
        raise SegsizeError(
            f"To learn how outlines run takes {_LEAST_OBJECTS} objects of 30 px of area or more with an "
            f"outline, there are {len(train) + len(validation)} in training and validation images: paint "
            "masks, accept contours, or import a label image. Rough ones will do."
        )
    if not train:
        raise SegsizeError(
            f"All {len(validation)} objects with an outline are in validation images, none is in a training "
            "image to learn from: deal the images out anew (page Project, or segsize split)."
        )
    if not validation:
        train, validation, what = hold_out_objects(train)
        said.append(
            f"No validation image has an outline: {len(validation)} of the objects{what} are held out to "
            "tell whether the network gets better."
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


def hold_out_objects(every: Sequence[Seen]) -> tuple[list[Seen], list[Seen], str]:
    """About a fifth: of the images; of the planes of few images; of the objects of few planes.

    What is held out depends on its own number or outline alone, not on what else there is: a training that is
    resumed after something was drawn is not judged by what it has learned from.

    Returns
    -------
    rest, held : list of Seen
    what : str
        ", in 2 images," for a sentence.
    """
    for name in ("image", "plane", "object"):
        keys = [_key(each, name) for each in every]
        if len(set(keys)) >= _EVERY:
            break
    ranked = sorted(set(keys))
    chosen = [key for key in ranked if key % _EVERY == 0][: len(ranked) // 3] or ranked[:1]
    held = [each for each, key in zip(every, keys, strict=True) if key in chosen]
    rest = [each for each, key in zip(every, keys, strict=True) if key not in chosen]
    count = len(chosen)
    return rest, held, "" if name == "object" else f", in {count} {name}{'s' if count > 1 else ''},"


def _key(each: Seen, name: str) -> int:
    """A number of an object's image, plane or outline that depends on nothing else."""
    image, place = (0, 0) if each.plane is None else (each.plane.image, each.plane.slice)
    text = {"image": f"{image}", "plane": f"{image} {place}"}.get(name)
    return crc32(text.encode() if text else f"{image} {place} ".encode() + each.object.mask.tobytes())


def _conclude(
    project: Project, run: Run, outcome: Outcome, used: _Used, validation: Sequence[Seen]
) -> Generator[Event, None, Ended]:
    """Compare with the network in use, on windows that chose no step; use the new one if it is better."""
    held = held_windows(validation, run.config.seed, fresh=True)
    old = yield from score_alignment(used.network.to(run.fabric.device), held)
    run.network.load_state_dict(outcome.weights)
    new = yield from score_alignment(run.network, held)
    if not new["back"] >= old["back"] + _BETTER:
        return Ended(
            stage=_STAGE, metrics=old,
            message="The network for rough outlines stays as it was: nothing better was found for the "
            "held-out outlines.",
        )  # fmt: skip
    record = record_model(project, run, outcome.weights, new).id
    project.promote(record)
    return Ended(
        stage=_STAGE, promoted=True, model=record, metrics=new,
        message=f"{_said(old['back'], new['back'])} Method \"learned\" uses it from now on.",
    )  # fmt: skip


def _said(old: float, new: float) -> str:
    """How good the new network is."""
    if new <= 0:
        return (
            "The network spoils less of the held-out outlines than the one before, but still more than it "
            'mends: prefer the method "likely".'
        )
    before = f"{100 * old:.0f} %" if old > 0 else "more was spoiled than mended"
    said = f"Of what displacement does to held-out outlines, {100 * new:.0f} % is brought back"
    return f"{said} (before: {before})."
