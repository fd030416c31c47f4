"""The training loop: a generator of events that may be closed at any of them.

Every random number depends on (seed, step) alone, so a run that was stopped and resumed takes the same steps
as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..errors import SegsizeError
from ..losses.notices import silence
from . import checkpoint
from .asking import as_it_was, asking_between_layers
from .batch import Batch
from .device import is_out_of_memory, memory_mb
from .events import Event, Notice, Preview, Saved, StepDone, Validated
from .option import to_dict
from .suspects import odd_slopes, odd_values, planes_of, suspects_text
from .training_config import TrainingConfig

__all__ = ["Outcome", "Run", "fit"]

Score = Callable[[nn.Module], Generator[Event, None, dict[str, float]]]
_PREVIEW_SECONDS = 0.5
_PREVIEW_REST = 5.0  # durations of a preview until the next: a slow network must also learn


@runtime_checkable
class Keeps(Protocol):
    """A source of batches that a resumed run needs the state of: what it drew from changed meanwhile."""

    def state(self) -> Mapping[Any, Any]: ...

    def restore(self, state: Mapping[Any, Any]) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a finished run found: the weights of its best validation, or its last ones without any."""

    weights: dict[str, Tensor]
    metrics: Mapping[str, float]
    step: int


@dataclass(kw_only=True, eq=False)
class Run:
    """Everything one training run holds; `state` and `restore` are what Stop and Resume are made of."""

    stage: str
    config: TrainingConfig
    fabric: Fabric
    network: nn.Module  # plain module; `trained` is its Fabric wrapper
    source: Callable[[int], Any]  # the batch of a step
    objective: Callable[[Tensor, Any, int, Callable[[Tensor], Tensor]], dict[str, Tensor]]
    look: Score
    criterion: Callable[[Mapping[str, float]], float]  # of a validation's metrics; larger is better
    file: Path  # where the state is saved
    notices: tuple[str, ...] = ()  # for the user, before it begins
    name_of: Callable[[Any], str] = str  # how people call a plane of a batch
    entry: dict[str, Any]
    start_model: int | None = None  # number of the model a fine-tuning starts from
    look_first: bool = False  # whether what it starts from is validated, and kept if nothing is better
    step: int = 0
    validated: int = -1  # step of the last validation
    spoiled: bool = False  # a number that is none: the same step would fail again
    best: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_metrics: dict[str, float] = field(default_factory=dict)
    stale: int = 0  # validations since the best
    parts: int = 1  # forward passes a batch is cut into, raised when memory runs out

    def __post_init__(self) -> None:
        optimizer = torch.optim.Adam(self.network.parameters(), self.config.learning_rate)
        self.optimizer: Optimizer
        self.trained, self.optimizer = self.fabric.setup(self.network, optimizer)
        decay = self.config.average
        self.average = (
            AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
            if decay > 0
            else None
        )

    @property
    def candidate(self) -> nn.Module:
        """The network that is validated, shown and kept."""
        return self.average.module if self.average is not None else self.network

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, tensors and plain values only."""
        return {
            "stage": self.stage,
            "config": to_dict(self.config),
            "network": self.entry,
            "start_model": self.start_model,
            "weights": self.network.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "step": self.step,
            "validated": self.validated,
            "best": self.best,
            "best_weights": self.best_weights,
            "best_metrics": dict(self.best_metrics),
            "stale": self.stale,
            "source": self.source.state() if isinstance(self.source, Keeps) else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.network.load_state_dict(state["weights"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state.get("precision"):  # the scale of 16-mixed
            self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.step, self.validated, self.stale = state["step"], state["validated"], state["stale"]
        self.best, self.best_weights = state["best"], state["best_weights"]
        self.best_metrics = state["best_metrics"]
        source: object = self.source
        if isinstance(source, Keeps):
            source.restore(state.get("source") or {})  # none of older versions

    def save(self) -> None:
        """Write the state; in a run of several processes only the first one does."""
        if self.fabric.is_global_zero:
            checkpoint.save(self.file, self.state())


def fit(run: Run, preview: Callable[[Run], Preview | None] | None = None) -> Generator[Event, None, Outcome]:
    """Train until the last step, or until validation stops improving. Close the generator to stop.

    Whatever ends it, the last finished step is saved first. Inside of `project.stopping.stoppable` it also
    ends in the middle of a step, unless several processes train together: none may leave the others.

    Parameters
    ----------
    run : Run
    preview : callable, optional
        Makes a `Preview` of the run's candidate network, or None; asked at most twice a second, and less
        often when it takes long.

    Raises
    ------
    SegsizeError
        When the loss is no number, or when the memory cannot hold a single image.
    """
    alone = run.fabric.world_size == 1
    with asking_between_layers(*({run.network, run.candidate} if alone else ())):
        return (yield from _fit(run, preview))


def _fit(run: Run, preview: Callable[[Run], Preview | None] | None) -> Generator[Event, None, Outcome]:
    steps, every, patience = run.config.steps, run.config.validate_every, run.config.patience
    begun, first = time.monotonic(), run.step
    due_again = 0.0
    try:
        while True:
            due = run.step == steps or (run.step % every == 0 and (run.step > 0 or run.look_first))
            if due and run.validated != run.step:
                yield from _validate(run)
            if run.step >= steps or (patience and run.stale >= patience):
                break
            losses = yield from _step(run)
            taken = (time.monotonic() - begun) / (run.step - first)
            yield StepDone(
                stage=run.stage,
                step=run.step,
                steps=steps,
                losses=losses,
                seconds_left=taken * (steps - run.step),
                memory_mb=memory_mb(run.fabric.device),
            )
            if preview is not None and (asked := time.monotonic()) > due_again:
                picture = preview(run)
                due_again = asked + max(_PREVIEW_SECONDS, _PREVIEW_REST * (time.monotonic() - asked))
                if picture is not None:
                    yield picture
    finally:
        if run.spoiled:
            run.file.unlink(missing_ok=True)
        else:
            run.save()
    if not run.best_weights:
        run.best_weights = _copy_of(run.candidate)
    return Outcome(run.best_weights, run.best_metrics, run.step)


def _validate(run: Run) -> Generator[Event, None, None]:
    """Look at the held-out images, remember the best weights, save the state."""
    run.candidate.eval()
    try:
        metrics = yield from run.look(run.candidate)
    finally:
        run.candidate.train()
    value = run.criterion(metrics)
    better = value > run.best
    if better:
        run.best, run.best_weights, run.best_metrics, run.stale = value, _copy_of(run.candidate), metrics, 0
    elif not math.isnan(value):
        run.stale += 1
    run.validated = run.step
    run.save()
    yield Validated(stage=run.stage, step=run.step, metrics=metrics, best=better)
    yield Saved(path=str(run.file), step=run.step)


def _step(run: Run) -> Generator[Event, None, dict[str, float]]:
    """One optimizer step; when memory runs out, the same step again in smaller parts."""
    batch = run.source(run.step + 1)
    fabric = run.fabric
    if fabric.world_size > 1:
        batch = batch.part(fabric.global_rank, fabric.world_size)
    while True:
        try:
            with as_it_was(run.network):
                losses = _backward(run, batch)
            break
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            run.optimizer.zero_grad()
            if fabric.device.type == "cuda":
                torch.cuda.empty_cache()
            if run.parts >= len(batch.images) or fabric.world_size > 1:
                raise SegsizeError(
                    f"{fabric.device.type}: the memory does not hold a single crop of this network. "
                    "Train on the CPU (device: cpu), or with smaller crops (patch)."
                ) from error
            run.parts = min(run.parts * 2, len(batch.images))
            size = -(-len(batch.images) // run.parts)
            yield Notice(f"Out of memory: going on with {size} images at a time.")
    finite = all(bool(p.grad.isfinite().all()) for p in run.network.parameters() if p.grad is not None)
    if not finite and not _scaled(run):
        raise _spoiled(run, *_odd_gradient(run, batch))
    if run.config.clip:
        fabric.clip_gradients(run.trained, run.optimizer, max_norm=run.config.clip, error_if_nonfinite=False)
    for group in run.optimizer.param_groups:
        group["lr"] = run.config.learning_rate * min(1.0, (run.step + 1) / max(run.config.warm_up, 1))
    run.optimizer.step()
    run.optimizer.zero_grad()
    if run.average is not None:
        run.average.update_parameters(run.network)
    run.step += 1
    return losses


def _backward(run: Run, batch: Batch) -> dict[str, float]:
    """Add up the gradients of a batch's parts; every term is a mean over the whole batch."""
    losses: dict[str, float] = {}
    world = run.fabric.world_size
    for index in range(run.parts):
        part = batch.part(index, run.parts).to(run.fabric.device)
        output = run.trained(part.inputs)
        terms = _agreed(run, _terms(run, output, part), output)
        if not terms:
            continue  # a part may hold nothing that is known
        total = torch.stack(list(terms.values())).sum()
        for name, term in {**terms, "total": total}.items():
            losses[name] = losses.get(name, 0.0) + _summed(run, term)
        if not math.isfinite(losses["total"]):
            odd = ", ".join(
                name for name, value in losses.items() if not math.isfinite(value) and name != "total"
            )
            found = odd_values(run.objective, output, part, run.step + 1, run.candidate)
            raise _spoiled(run, f"loss ({odd})", suspects_text(found, part, run.name_of))
        # processes average their gradients; the terms are shares of the whole batch's mean
        run.fabric.backward(total * world)
    if not losses:
        raise SegsizeError(
            "The batch holds nothing to learn from. Add masks or sizes to the training images."
        )
    return losses


def _terms(run: Run, output: Tensor, part: Batch) -> dict[str, Tensor]:
    """The terms of a part; what cannot be computed of an output that is no number is said as such."""
    try:
        with silence():  # this loop looks at the values itself
            return run.objective(output, part, run.step + 1, run.candidate)
    except ValueError as error:
        odd = [row for row, each in enumerate(output) if not each.isfinite().all()]
        if not odd:
            raise
        raise _spoiled(
            run, "network's output", suspects_text({"": planes_of(part, odd)}, part, run.name_of)
        ) from error


def _scaled(run: Run) -> bool:
    """Whether gradients are scaled to fit 16 bits: the optimizer leaves out a step that does not fit."""
    scaler = getattr(run.fabric.strategy.precision, "scaler", None)
    return scaler is not None and scaler.get_scale() > 1  # halved by every such step


def _odd_gradient(run: Run, batch: Batch) -> tuple[str, str]:
    """Say which terms have a gradient that is none, and where; the gradient alone if it is the network's."""
    run.optimizer.zero_grad()
    for index in range(run.parts):
        part = batch.part(index, run.parts).to(run.fabric.device)
        with torch.no_grad():
            logits = run.trained(part.inputs)
        if found := odd_slopes(run.objective, logits, part, run.step + 1, run.candidate):
            return f"gradient ({', '.join(found)})", suspects_text(found, part, run.name_of)
    return "gradient", ""


def _spoiled(run: Run, what: str, where: str) -> SegsizeError:
    """End a run whose numbers are none, before they reach the weights."""
    run.optimizer.zero_grad()
    run.spoiled = True
    return SegsizeError(
        f"The {what} is not a number at step {run.step + 1}{where}. The project's model is as it was; "
        "start again with a smaller learning rate."
    )


def _agreed(run: Run, terms: Mapping[str, Tensor], output: Tensor) -> Mapping[str, Tensor]:
    """The terms of all processes: one whose part lacks a term adds 0 to it, but must not miss the sum."""
    if run.fabric.world_size == 1:
        return terms
    every: list[list[str]] = [[] for _ in range(run.fabric.world_size)]
    torch.distributed.all_gather_object(every, list(terms))
    return {name: terms.get(name, 0.0 * output.sum()) for name in dict.fromkeys(chain(*every))}


def _summed(run: Run, term: Tensor) -> float:
    """A term added up over all processes."""
    total = run.fabric.all_reduce(term.detach(), reduce_op="sum")
    assert isinstance(total, Tensor)
    return float(total)


def _copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
