"""How the training of an edge network is set up from planes with outlines, without a project."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SegsizeError
from ..losses.edges import direction_loss, edge_bce_loss, nms_loss
from ..models.edges import EdgeNet
from ..ops.signed_distance import edge_distance
from ..ops.thinning import thin
from .device import launch
from .edge_batch import EdgeBatch, EdgeSource
from .edge_config import EdgeConfig
from .edge_items import EdgeItem
from .events import Event, Validating
from .loop import Run
from .predict import logits_of

__all__ = ["THRESHOLDS", "edge_objective", "edge_probabilities", "edge_training", "maximum_f", "score_edges"]

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
_TOLERANCE = 2.0  # px
_NO = -30.0  # a logit that costs nothing where there is no edge

Objective = Callable[[Tensor, EdgeBatch, int, Callable[[Tensor], Tensor]], dict[str, Tensor]]


def edge_objective(config: EdgeConfig) -> Objective:
    """The losses of STEAL: cross-entropy at every scale, suppression and direction on the fused edges."""

    def objective(
        logits: Tensor, batch: EdgeBatch, _step: int, _teacher: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        share = len(batch.inputs) / max(batch.total, 1)
        target = batch.band.to(logits.dtype)
        looked_at = torch.where(batch.known, logits, _NO)
        each = [
            edge_bce_loss(looked_at[:, place, None], target, edges=batch.band, beta=batch.beta)
            for place in range(logits.shape[1])
        ]
        terms = {"fused": each[0], "sides": torch.stack(each[1:]).mean()}
        if config.nms_weight:
            terms["nms"] = config.nms_weight * nms_loss(
                logits[:, :1], target, edges=batch.line, directions=batch.directions
            )
        if config.direction_weight:
            terms["direction"] = config.direction_weight * direction_loss(
                logits[:, :1], target, edges=batch.line, directions=batch.directions
            )
        return {name: value * share for name, value in terms.items()}

    return objective


def edge_training(
    train: Sequence[EdgeItem],
    validation: Sequence[EdgeItem],
    network: EdgeNet,
    config: EdgeConfig,
    file: Path,
    *,
    entry: Mapping[str, Any],
    start_model: int | None = None,
) -> Run:
    """A run that trains `network`; its state goes to `file`.

    Raises
    ------
    SegsizeError
        Without an outline to learn from.
    """
    if not any(bool(item.line.any()) for item in train):
        raise SegsizeError(
            "An edge network needs outlines among the training images: paint masks, accept contours, or "
            "import a label image."
        )
    fabric = launch(config.device, config.precision)
    network.train()
    source = EdgeSource(
        train, batch_size=config.batch_size, side=config.patch, augment=config.augment, radius=config.radius,
        seed=config.seed,
    )  # fmt: skip

    def look(candidate: nn.Module) -> Generator[Event, None, dict[str, float]]:
        if config.align_from and config.align_from <= run.step < config.steps:
            yield from source.align(lambda image: edge_probabilities(candidate, image), config.align_reach)
        return (yield from score_edges(candidate, validation))

    run = Run(
        stage="edges",
        config=config,
        fabric=fabric,
        network=network,
        source=source,
        objective=edge_objective(config),
        look=look,
        criterion=lambda metrics: metrics["mf"],
        file=file,
        entry=dict(entry),
        start_model=start_model,
    )
    return run


def edge_probabilities(network: nn.Module, image: Tensor) -> Tensor:
    """What a network sees of an image ``(3, H, W)``: probabilities ``(H, W)``, not thinned, on the CPU."""
    assert isinstance(network, EdgeNet)
    was = network.training
    nn.Module.eval(network)
    try:
        where = next(network.parameters()).device
        logits = logits_of(network.fused, image[None].to(where))
    finally:
        network.train(was)
    return logits[0, 0].sigmoid().cpu().clone()


def score_edges(network: nn.Module, items: Sequence[EdgeItem]) -> Generator[Event, None, dict[str, float]]:
    """Maximum F of the thinned edges on held-out planes, "mf", and at which threshold it is reached."""
    found = []
    yield Validating(stage="edges", done=0, total=len(items))
    for done, item in enumerate(items, start=1):
        edges = thin(edge_probabilities(network, item.image)[None, None])[0, 0]
        found.append((torch.where(item.known, edges, 0), item.line & item.known))
        yield Validating(stage="edges", done=done, total=len(items))
    return maximum_f(found)


def maximum_f(
    found: Sequence[tuple[Tensor, Tensor]],
    *,
    tolerance: float = _TOLERANCE,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, float]:
    """MF: the best F-measure that one threshold reaches on all images together.

    Parameters
    ----------
    found : sequence of pairs of (H, W) Tensor
        Thinned edge probabilities, and the true outline (bool).
    tolerance : float
        How far apart pixels may be and still meet, in px.
    thresholds : sequence of float

    Returns
    -------
    dict
        "mf", and the "threshold", "precision" and "recall" it is reached with; all NaN without images or
        without any true outline. Pixels are counted by distance, not matched one to one.
    """
    counts = torch.zeros(len(thresholds), 4, dtype=torch.float64)
    for edges, truth in found:
        near_truth = _within(truth, tolerance)
        for row, threshold in enumerate(thresholds):
            seen = edges > threshold
            met = truth & _within(seen, tolerance)
            counts[row] += torch.stack([(seen & near_truth).sum(), seen.sum(), met.sum(), truth.sum()])
    if not counts[:, 3].any():
        return dict.fromkeys(("mf", "threshold", "precision", "recall"), float("nan"))
    precision = counts[:, 0] / counts[:, 1].clamp(min=1)
    recall = counts[:, 2] / counts[:, 3]
    score = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    best = int(score.argmax())
    return {
        "mf": float(score[best]),
        "threshold": float(thresholds[best]),
        "precision": float(precision[best]),
        "recall": float(recall[best]),
    }


def _within(mask: Tensor, tolerance: float) -> Tensor:
    if not mask.any():
        return mask
    return mask | (edge_distance(mask[None, None])[0, 0] <= tolerance)
