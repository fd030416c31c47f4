"""How the network for rough outlines is taught by objects with outlines, without a project."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SegsizeError
from ..models.alignment import AlignmentNet
from ..project import PlaneRef
from .device import launch
from .displaced import FARTHEST, Outlined, displaced_window, drawn_outlined
from .edge_config import AlignmentConfig
from .events import Event, Validating
from .loop import Run

__all__ = [
    "AlignmentBatch",
    "AlignmentSource",
    "Seen",
    "alignment_objective",
    "alignment_training",
    "held_windows",
    "score_alignment",
]

_WINDOWS, _HELD, _FRESH = 41, 42, 43  # purposes of random numbers
_HELD_WINDOWS = 96  # drawn once of the held-out objects
_AT_A_TIME = 16

Terms = dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An object to learn from, and the plane it lies in; None: a drawn one."""

    object: Outlined
    plane: PlaneRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignmentBatch:
    """B windows on displaced outlines."""

    inputs: Tensor  # (B, 6, S, S)
    target: Tensor  # (B, 1, S, S), 0 or 1
    counts: Tensor  # (B, 1, S, S), 0 or 1
    total: float  # pixels of the whole batch that count
    planes: tuple[Any, ...] = ()

    @property
    def images(self) -> Tensor:
        """What the loop counts."""
        return self.inputs

    def part(self, index: int, parts: int) -> AlignmentBatch:
        """Every `parts`-th window, beginning with `index`."""
        return replace(
            self,
            inputs=self.inputs[index::parts],
            target=self.target[index::parts],
            counts=self.counts[index::parts],
            planes=self.planes[index::parts],
        )

    def to(self, device: torch.device) -> AlignmentBatch:
        """The batch on another device."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            target=self.target.to(device),
            counts=self.counts.to(device),
        )


class AlignmentSource:
    """Makes the batch of a step; what is drawn depends on seed and step alone.

    Parameters
    ----------
    seen : sequence of Seen
        Each is shown as often.
    batch_size : int
    drawn : float
        Share of the windows that show drawn shapes.
    farthest : float
        Most that outlines of drawn shapes are displaced, in px.
    seed : int
    """

    def __init__(
        self,
        seen: Sequence[Seen],
        *,
        batch_size: int,
        drawn: float = 0.0,
        farthest: float = FARTHEST,
        seed: int = 0,
    ) -> None:
        self._seen, self._batch_size, self._seed = seen, batch_size, seed
        self._drawn, self._farthest = drawn, farthest

    def __call__(self, step: int) -> AlignmentBatch:
        """Windows of a step."""
        rng = np.random.default_rng([self._seed, step, _WINDOWS])
        return _batch([self._one(rng) for _ in range(self._batch_size)], rng)

    def _one(self, rng: np.random.Generator) -> Seen:
        if rng.random() < self._drawn:
            return Seen(drawn_outlined(rng, self._farthest))
        return self._seen[int(rng.integers(len(self._seen)))]


def _batch(chosen: Sequence[Seen], rng: np.random.Generator) -> AlignmentBatch:
    drawn = [displaced_window(each.object, rng) for each in chosen]
    inputs, target, counts = (torch.stack(each) for each in zip(*drawn, strict=True))
    return AlignmentBatch(
        inputs=inputs,
        target=target,
        counts=counts,
        total=float(counts.sum().clamp(min=1)),
        planes=tuple(each.plane for each in chosen),
    )


def alignment_objective(
    logits: Tensor, batch: AlignmentBatch, _step: int, _teacher: Callable[[Tensor], Tensor]
) -> Terms:
    """Cross-entropy with the outline that was there, where the displaced one may have come from."""
    value = functional.binary_cross_entropy_with_logits(logits, batch.target, reduction="none")
    return {"outline": (value * batch.counts).sum() / batch.total}


def alignment_training(
    train: Sequence[Seen],
    validation: Sequence[Seen],
    network: AlignmentNet,
    config: AlignmentConfig,
    file: Path,
    *,
    entry: Mapping[str, Any],
) -> Run:
    """A run that teaches `network`; its state goes to `file`.

    What it starts from is validated first, and kept if nothing is better.

    Raises
    ------
    SegsizeError
        Without an object to learn from.
    """
    if not train:
        raise SegsizeError(
            "There is no outline to learn from: expected objects of 30 px of area or more among the training "
            "images. Paint masks, accept contours, or import a label image."
        )
    network.train()
    held = held_windows(validation, config.seed)

    def look(candidate: nn.Module) -> Generator[Event, None, dict[str, float]]:
        return (yield from score_alignment(candidate, held))

    return Run(
        stage="alignment",
        config=config,
        fabric=launch(config.device, config.precision),
        network=network,
        source=AlignmentSource(
            train,
            batch_size=config.batch_size,
            drawn=config.drawn,
            farthest=config.farthest,
            seed=config.seed,
        ),
        objective=alignment_objective,
        look=look,
        criterion=lambda metrics: metrics["back"],
        file=file,
        entry=dict(entry),
        look_first=True,
    )


def held_windows(validation: Sequence[Seen], seed: int, *, fresh: bool = False) -> list[AlignmentBatch]:
    """Windows on held-out objects, each object about as often; of more objects than windows, some at random.

    The same at every validation; `fresh` ones judge what was chosen by those.
    """
    if not validation:
        return []
    rng = np.random.default_rng([seed, 0, _FRESH if fresh else _HELD])
    order = rng.permutation(len(validation))
    chosen = [validation[order[number % len(order)]] for number in range(_HELD_WINDOWS)]
    return [_batch(chosen[first : first + _AT_A_TIME], rng) for first in range(0, len(chosen), _AT_A_TIME)]


def score_alignment(
    network: nn.Module, held: Sequence[AlignmentBatch]
) -> Generator[Event, None, dict[str, float]]:
    """How much of what displacement did to held-out outlines a network undoes.

    Returns
    -------
    dict
        "back": the share of the pixels on the wrong side that are on the right one again, less those that
        went wrong; 0 if nothing moves, 1 if all is as it was, NaN without windows. Outlines that are off by
        chance themselves cannot be met: no network reaches 1 on them, and the better one is still higher.
    """
    was = network.training
    device = next(network.parameters()).device
    before = after = 0.0
    yield Validating(stage="alignment", done=0, total=len(held))
    nn.Module.eval(network)
    try:
        for done, batch in enumerate(held, start=1):
            with torch.inference_mode():
                found = network(batch.inputs.to(device)).cpu() > 0
            true, counts = batch.target > 0, batch.counts > 0
            before += float((((batch.inputs[:, 3:4] > 0) ^ true) & counts).sum())
            after += float(((found ^ true) & counts).sum())
            yield Validating(stage="alignment", done=done, total=len(held))
    finally:
        network.train(was)
    return {"back": 1 - after / before if before else float("nan")}
