"""How the training of a level-set network is set up from close-ups, without a project."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SegsizeError
from ..metrics import boundary_f, dice, iou, size_error
from ..models.levelset import Forces, LevelSetNet, evolve_levelset
from ..ops.points import extents_of
from ..ops.size import object_size
from .closeup import CloseUp, outline_points
from .contour_batch import ContourBatch, ContourSource
from .contour_runs import contour_score
from .device import launch
from .events import Event, Validating
from .levelset_config import LevelSetConfig
from .levelset_objective import levelset_objective
from .loop import Run

__all__ = ["levelset_entry", "levelset_training", "score_levelsets"]

_TOGETHER = 32
_VERTICES = 32  # of the start contours that the network is shown


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


def levelset_training(
    train: Sequence[CloseUp],
    validation: Sequence[CloseUp],
    network: LevelSetNet,
    config: LevelSetConfig,
    file: Path,
    *,
    entry: Mapping[str, Any],
    weights: Sequence[float] | None = None,
    start_model: int | None = None,
    look_first: bool = False,
) -> Run:
    """A run that trains `network` on close-ups; its state goes to `file`.

    Parameters
    ----------
    train : sequence of CloseUp
        With masks, or with extreme points or sizes alone.
    validation : sequence of CloseUp
    weights : sequence of float, optional
        How often each close-up is drawn.
    look_first : bool
        Whether the untrained network counts as the first candidate: a run that makes nothing better keeps it.

    Raises
    ------
    SegsizeError
        Without objects.
    """
    if not train:
        raise SegsizeError(
            "A level-set network needs at least one object among the training images: accept an outline, "
            "click four extreme points, or paint a mask."
        )
    fabric = launch(config.device, config.precision)
    network.train()
    source = ContourSource(
        train, batch_size=config.batch_size, vertices=_VERTICES, prompts=network.prompts,
        augment=config.augment, weights=weights, seed=config.seed,
    )  # fmt: skip

    def look(candidate: nn.Module) -> Generator[Event, None, dict[str, float]]:
        assert isinstance(candidate, LevelSetNet)
        return (yield from score_levelsets(candidate, validation, config, fabric.device))

    return Run(
        stage="levelset",
        config=config,
        fabric=fabric,
        network=network,
        source=source,
        objective=levelset_objective(config, network.dt),
        look=look,
        criterion=contour_score,
        file=file,
        entry=dict(entry),
        start_model=start_model,
        look_first=look_first,
    )


def score_levelsets(
    network: LevelSetNet, items: Sequence[CloseUp], config: LevelSetConfig, device: torch.device
) -> Generator[Event, None, dict[str, float]]:
    """How good the evolved level sets of `items` are, in pixels of the region.

    Mean IoU, Dice, BoundF and squared size error where masks are known, and the IoU of the starts; the mean
    distance of the level sets' extremes to the extreme points where those are. NaN for what nothing is known
    of.
    """
    names = ("iou", "dice", "size_error", "boundary_f", "start_iou", "points_error")
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    if items:
        source = ContourSource(
            items, batch_size=1, vertices=_VERTICES, prompts=network.prompts, augment=False
        )
        yield Validating(stage="levelset", done=0, total=len(items))
        for start in range(0, len(items), _TOGETHER):
            batch = source.batch(items[start : start + _TOGETHER], None)
            with torch.no_grad():
                forces = Forces.of(network(batch.inputs.to(device)).cpu().float())
                states = evolve_levelset(forces, steps=config.iterations, dt=network.dt)
            _score_batch(states[0] > 0, states[-1] > 0, batch, found)
            yield Validating(stage="levelset", done=min(start + _TOGETHER, len(items)), total=len(items))
    return {name: float(torch.cat(values).mean()) if values else math.nan for name, values in found.items()}


def _score_batch(first: Tensor, last: Tensor, batch: ContourBatch, found: dict[str, list[Tensor]]) -> None:
    known = batch.masked
    if known.any():
        masks, truth = last[known], batch.target[known] > 0.5
        found["iou"].append(iou(masks, truth).flatten())
        found["dice"].append(dice(masks, truth).flatten())
        found["size_error"].append(size_error(masks, object_size(truth)).flatten())
        found["boundary_f"].append(boundary_f(masks, truth).flatten())
        found["start_iou"].append(iou(first[known], truth).flatten())
    clicked = batch.points.isfinite().flatten(1).all(1)
    if clicked.any():
        wanted = extents_of(batch.points[clicked])
        ends = extents_of(outline_points(last[clicked])[:, 0].to(wanted))
        # a level set that has vanished ends nowhere: as far off as the region is wide
        error = (ends - wanted).abs().nan_to_num(float(last.shape[-1]))
        found["points_error"].append(error.mean(-1))
