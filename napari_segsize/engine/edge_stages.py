"""Training an edge network on a project's masks and contours, and finding thin edges with it."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import SegsizeError
from ..models.edges import EdgeNet, build_edge_net
from ..ops.thinning import thin
from ..project import ModelRecord, PlaneRef, Project
from ..project.checks import where as place_of
from .checkpoint import load_edge_network
from .closeup import in_three_channels
from .dataset import normalised
from .device import describe, resolve
from .edge_alignment import align_items
from .edge_config import EdgeConfig
from .edge_items import EdgeItem, edge_items, hold_out_planes
from .edge_runs import edge_probabilities, edge_training, score_edges
from .events import Ended, Event, Notice, Started
from .loop import Outcome, Run, fit
from .option import from_dict
from .run_files import concluded, record_model, state_file, stopped_state
from .turn import turn

__all__ = ["current_edge_network", "edges_of_plane", "train_edges"]


def train_edges(
    project: Project, config: EdgeConfig | None = None, *, resume: bool = False
) -> Generator[Event, None, None]:
    """Teach an edge network the outlines of a project; closing the generator is Stop.

    It learns from painted masks and accepted contours, also rough ones. Its model replaces the edge model in
    use only if its thinned edges meet the held-out outlines better.

    Parameters
    ----------
    project : Project
    config : EdgeConfig, optional
        With `resume`, the stopped run's own settings are used instead.
    resume : bool
        Go on with the stopped run, from the outlines that it had aligned; those drawn anew since are taken as
        they are.

    Raises
    ------
    SegsizeError
        Without outlines in the training part; without a stopped run to resume; while another training of
        edges runs in the project.
    """
    config = config or EdgeConfig()
    with turn(project.models_folder, "edges"):
        state = stopped_state(project, "edges", EdgeConfig, called="training of edges") if resume else None
        if state is not None:
            config = from_dict(EdgeConfig, state["config"])
        train, notices = yield from edge_items(project, "train", config.radius)
        validation, more = yield from edge_items(project, "validation", config.radius)
        notices = (*notices, *more)
        if not any(bool(item.line.any()) for item in validation):
            train, validation = hold_out_planes(train)
            notices = (*notices, _held_out(validation))
        if config.align_first:
            train = yield from align_items(train, reach=config.align_reach, radius=config.radius)
        network = build_edge_net(config.model, seed=config.seed)
        run = edge_training(
            train, validation, network, config, state_file(project, "edges"),
            entry={"kind": config.model, "channels": network.channels},
        )  # fmt: skip
        run.name_of = lambda plane: place_of(project.image(plane.image), plane)
        if state is not None:
            run.restore(state)
        for notice in notices:
            yield Notice(notice)
        yield Started(
            stage="edges",
            device=describe(run.fabric.device),
            steps=config.steps,
            step=run.step,
            images=len(train),
            masks=len(train),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
        )
        outcome = yield from fit(run)
        yield from concluded(run, outcome, _conclude(project, run, outcome, validation))


def current_edge_network(project: Project, device: str = "auto") -> EdgeNet:
    """The edge network that a project uses.

    Raises
    ------
    SegsizeError
        If none was trained.
    """
    current = project.current_model("edges")
    if current is None:
        raise SegsizeError(
            "This project has no edge network yet: train one first (Train edges, or segsize train-edges)."
        )
    return load_edge_network(project.models_folder / current.path)[0].to(resolve(device))


def edges_of_plane(
    project: Project, plane: PlaneRef, network: EdgeNet, *, thinned: bool = True
) -> NDArray[np.float32]:
    """Edges of one plane, (H, W): probabilities, on lines 1 or 2 px wide if `thinned`."""
    image = in_three_channels(torch.from_numpy(normalised(project.pixels(plane)))).float()
    edges = edge_probabilities(network, image)
    if thinned:
        edges = thin(edges[None, None])[0, 0]
    return np.asarray(edges.numpy(), np.float32)


def _held_out(validation: list[EdgeItem]) -> str:
    if validation:
        return (
            f"No validation image has an outline: {len(validation)} of the training images are held out to "
            "tell whether the network gets better."
        )
    return (
        "No validation image has an outline, and there are too few images to hold some out: the network "
        "cannot be compared with an older one."
    )


def _conclude(
    project: Project, run: Run, outcome: Outcome, validation: list[EdgeItem]
) -> Generator[Event, None, Ended]:
    """Record the network; use it unless the one in use is better on the same held-out planes."""
    run.network.load_state_dict(outcome.weights)
    nn.Module.eval(run.network)
    new = dict(outcome.metrics) or (yield from score_edges(run.network, validation))
    before = project.current_model("edges")
    better, message = True, ""
    if before is not None:
        old = yield from _score_of(project, before, validation, run)
        better = not math.isnan(new["mf"]) and not new["mf"] < old
        message = (
            f"Edge model {before.id} had MF {old:.3f} on the same images."
            if better
            else f"Edge model {before.id} stays in use: the new one was not shown to be better."
        )
    record = record_model(project, run, outcome.weights, new).id
    if better:
        project.promote(record)
    return Ended(stage="edges", promoted=better, model=record, metrics=new, message=message)


def _score_of(
    project: Project, model: ModelRecord, validation: list[EdgeItem], run: Run
) -> Generator[Event, None, float]:
    """MF of the network in use; minus infinity if its file is gone."""
    try:
        network = load_edge_network(project.models_folder / model.path)[0]
    except SegsizeError as error:
        yield Notice(str(error))
        return -math.inf
    metrics = yield from score_edges(network.to(run.fabric.device), validation)
    return metrics["mf"]
