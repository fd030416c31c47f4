"""How the training of a level-set network is set up from close-ups, without a project."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SegsizeError
from ..losses.levelset import motion_direction_loss, phi_bce_loss, phi_distance_loss, truncated_distance
from ..metrics import boundary_f, dice, iou
from ..models.levelset import Forces, LevelSetNet, evolve_levelset
from .batch import generator_for
from .closeup import CloseUp
from .contour_batch import ContourBatch, ContourSource
from .contour_runs import contour_score
from .device import launch
from .events import Event, Validating
from .levelset_config import LevelSetConfig
from .loop import Run

__all__ = ["levelset_entry", "levelset_objective", "levelset_training", "score_levelsets"]

_TOGETHER = 32
_VERTICES = 32  # of the start contours that the network is shown
_PAPER_SIDE = 256  # px: the distance weight is in the pixels of the paper's region
_SHIFT = 7  # of the random numbers that grow and shrink a start

Objective = Callable[[Tensor, ContourBatch, int, Callable[[Tensor], Tensor]], dict[str, Tensor]]


def levelset_entry(kind: str, network: LevelSetNet, **more: Any) -> dict[str, Any]:
    """What must be known to build a level-set network again and to feed it."""
    return {
        "kind": kind,
        "engine": "levelset",
        "channels": network.channels,
        "prompts": network.prompts,
        "steps": network.steps,
        "dt": network.dt,
        **more,
    }


def levelset_objective(config: LevelSetConfig, dt: float) -> Objective:
    """The losses of the paper in its two phases.

    First the true distance evolves, grown or shrunk at random, so that motion and modulation learn from an
    outline that is nearly right; then the network's own start evolves.
    """
    first = round(config.pretraining * config.steps)

    def objective(
        channels: Tensor, batch: ContourBatch, step: int, _teacher: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        forces, target = Forces.of(channels), batch.target.clamp(0, 1)
        side = int(target.shape[-1])
        early = step <= first
        length = config.pretraining_dt if early else dt
        start = truncated_distance(target).to(channels) if early else forces.phi
        generator = generator_for(config.seed, step, _SHIFT)
        shift = (2 * torch.rand(len(target), 1, 1, 1, generator=generator) - 1) * config.shift * side
        last = evolve_levelset(forces, phi=start + shift.to(channels), steps=config.iterations, dt=length)[-1]
        share = 1.0 if early else config.kept
        pixels = (_PAPER_SIDE / side) ** 2
        values = {
            "final": config.final_weight * phi_bce_loss(last, target, width=config.width, reduction="none"),
        }
        if share:
            distance = phi_distance_loss(forces.phi, target, reduction="none")
            values["distance"] = share * config.distance_weight * pixels * distance
            direction = motion_direction_loss(forces.motion, target, reduction="none")
            values["direction"] = share * config.direction_weight * direction
        known = batch.masked.to(channels)
        return {name: (value[:, 0] * known).sum() / max(batch.total, 1) for name, value in values.items()}

    return objective


def levelset_training(
    train: Sequence[CloseUp],
    validation: Sequence[CloseUp],
    network: LevelSetNet,
    config: LevelSetConfig,
    file: Path,
    *,
    entry: Mapping[str, Any],
    weights: Sequence[float] | None = None,
) -> Run:
    """A run that trains `network` on close-ups with masks; its state goes to `file`.

    Parameters
    ----------
    train, validation : sequence of CloseUp
    weights : sequence of float, optional
        How often each close-up is drawn.

    Raises
    ------
    SegsizeError
        Without objects, or with objects that have no mask.
    """
    if not train or any(item.mask is None for item in train):
        raise SegsizeError(
            "A level-set network learns from masks, expected at least one object and a mask of each: accept "
            "outlines, or paint masks."
        )
    fabric = launch(config.device, config.precision)
    network.train()
    source = ContourSource(
        train, batch_size=config.batch_size, vertices=_VERTICES, prompts=network.prompts,
        augment=config.augment, weights=weights, seed=config.seed,
    )  # fmt: skip

    def look(candidate: nn.Module) -> Generator[Event, None, dict[str, float]]:
        return (yield from score_levelsets(candidate, validation, config, network, fabric.device))

    return Run(
        stage="contour",
        config=config,
        fabric=fabric,
        network=network,
        source=source,
        objective=levelset_objective(config, network.dt),
        look=look,
        criterion=contour_score,
        file=file,
        entry=dict(entry),
    )


def score_levelsets(
    candidate: nn.Module,
    items: Sequence[CloseUp],
    config: LevelSetConfig,
    network: LevelSetNet,
    device: torch.device,
) -> Generator[Event, None, dict[str, float]]:
    """Mean IoU, Dice and BoundF of the evolved level sets, and the IoU of their starts, in region pixels."""
    found: dict[str, list[Tensor]] = {name: [] for name in ("iou", "dice", "boundary_f", "start_iou")}
    if items:
        source = ContourSource(
            items, batch_size=1, vertices=_VERTICES, prompts=network.prompts, augment=False
        )
        yield Validating(stage="contour", done=0, total=len(items))
        for start in range(0, len(items), _TOGETHER):
            batch = source.batch(items[start : start + _TOGETHER], None)
            with torch.no_grad():
                forces = Forces.of(candidate(batch.inputs.to(device)).cpu().float())
                states = evolve_levelset(forces, steps=config.iterations, dt=network.dt)
            truth, last = batch.target > 0.5, states[-1] > 0
            found["iou"].append(iou(last, truth).flatten())
            found["dice"].append(dice(last, truth).flatten())
            found["boundary_f"].append(boundary_f(last, truth).flatten())
            found["start_iou"].append(iou(states[0] > 0, truth).flatten())
            yield Validating(stage="contour", done=min(start + _TOGETHER, len(items)), total=len(items))
    return {name: float(torch.cat(values).mean()) if values else math.nan for name, values in found.items()}
