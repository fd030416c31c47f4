"""How the training of a contour network is set up from close-ups, without a project."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SegsizeError
from ..metrics import boundary_f, dice, iou, size_error
from ..models.contour import ContourNet, evolve_contours
from ..ops.polygon import polygon_mask
from ..ops.size import object_size
from .closeup import CloseUp
from .contour_batch import ContourBatch, ContourSource
from .contour_config import ContourConfig
from .contour_objective import contour_objective
from .device import launch
from .events import Event, Validating
from .loop import Run

__all__ = ["contour_entry", "contour_score", "contour_training", "score_contours"]

_TOGETHER = 32


def contour_entry(config: ContourConfig, kind: str, network: ContourNet, **more: Any) -> dict[str, Any]:
    """What must be known to build a contour network again and to feed it."""
    return {
        "kind": kind,
        "channels": network.channels,
        "prompts": network.prompts,
        "vertices": config.vertices,
        "iterations": config.iterations,
        "circle": config.circle,
        **more,
    }


def contour_training(
    train: Sequence[CloseUp],
    validation: Sequence[CloseUp],
    network: ContourNet,
    config: ContourConfig,
    file: Path,
    *,
    entry: Mapping[str, Any],
    weights: Sequence[float] | None = None,
    start_model: int | None = None,
    look_first: bool = True,
) -> Run:
    """A run that trains `network` on close-ups; its state goes to `file`.

    Parameters
    ----------
    train : sequence of CloseUp
        With masks, or with extreme points or sizes alone.
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
            "A contour network needs at least one object among the training images: accept a contour, click "
            "four extreme points, or paint a mask."
        )
    fabric = launch(config.device, config.precision)
    network.train()
    source = ContourSource(
        train,
        batch_size=config.batch_size,
        vertices=config.vertices,
        prompts=network.prompts,
        augment=config.augment,
        circle=config.circle,
        weights=weights,
        seed=config.seed,
    )

    def look(candidate: nn.Module) -> Generator[Event, None, dict[str, float]]:
        return (yield from score_contours(candidate, validation, config, network.prompts, fabric.device))

    return Run(
        stage="contour",
        config=config,
        fabric=fabric,
        network=network,
        source=source,
        objective=contour_objective(config),
        look=look,
        criterion=contour_score,
        file=file,
        entry=dict(entry),
        start_model=start_model,
        look_first=look_first,
    )


def contour_score(metrics: Mapping[str, float]) -> float:
    """Larger is better: IoU where outlines are known, else minus the distance to the extreme points."""
    value = metrics.get("iou", math.nan)
    if not math.isnan(value):
        return value
    return -metrics.get("points_error", math.nan)


def score_contours(
    network: nn.Module,
    items: Sequence[CloseUp],
    config: ContourConfig,
    prompts: int,
    device: torch.device,
) -> Generator[Event, None, dict[str, float]]:
    """How good the contours of `items` are, in pixels of the region.

    Mean IoU, Dice, BoundF and squared size error where masks are known, and the mean distance of the
    contours' extremes to the extreme points where those are; NaN for what nothing is known of.
    """
    source = ContourSource(
        items or [_nothing()], batch_size=1, vertices=config.vertices, prompts=prompts, augment=False,
        circle=config.circle,
    )  # fmt: skip
    found: dict[str, list[Tensor]] = {
        name: [] for name in ("iou", "dice", "size_error", "boundary_f", "points_error")
    }
    yield Validating(stage="contour", done=0, total=len(items))
    for start in range(0, len(items), _TOGETHER):
        batch = source.batch(items[start : start + _TOGETHER], None)
        with torch.no_grad():
            displacement = network(batch.inputs.to(device)).cpu()
            contours = evolve_contours(displacement, batch.contours, config.iterations)[-1]
        _score_batch(contours, batch, found)
        yield Validating(stage="contour", done=min(start + _TOGETHER, len(items)), total=len(items))
    return {name: float(torch.cat(values).mean()) if values else math.nan for name, values in found.items()}


def _nothing() -> CloseUp:
    return CloseUp(image=torch.zeros(3, 1, 1))


def _score_batch(contours: Tensor, batch: ContourBatch, found: dict[str, list[Tensor]]) -> None:
    shape = (int(batch.target.shape[2]), int(batch.target.shape[3]))
    masked = batch.masked.nonzero()[:, 0]
    if len(masked):
        masks = polygon_mask(contours[masked], shape) > 0.5
        truth = batch.target[masked] > 0.5
        found["iou"].append(iou(masks, truth).flatten())
        found["dice"].append(dice(masks, truth).flatten())
        found["size_error"].append(size_error(masks, object_size(truth)).flatten())
        found["boundary_f"].append(boundary_f(masks, truth).flatten())
    known = batch.points.isfinite().flatten(1).all(1)
    if known.any():
        low, high = contours[known].amin(1), contours[known].amax(1)
        points = batch.points[known]
        error = (low - points.amin(1)).abs() + (high - points.amax(1)).abs()
        found["points_error"].append(error.mean(-1) / 2)
