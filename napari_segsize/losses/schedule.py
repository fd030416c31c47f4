"""How much a term counts beside the others as training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

ScheduleKind = Literal["constant", "increase", "rebalance"]


class Weights(NamedTuple):
    """Factors for one epoch."""

    others: float
    """Of the terms beside it, Dice or cross-entropy."""
    term: float
    """Of the term that is scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Weight of a term, epoch by epoch.

    Attributes
    ----------
    kind : {"constant", "increase", "rebalance"}
        "constant": always `start`. "increase": `start`, and `step` more each epoch; the other terms keep
        their weight. "rebalance": ``alpha`` for the other terms and ``1 - alpha`` for this one; ``alpha``
        falls from 1 by `step` each epoch down to `least`, as published for the boundary loss [1]_.
    start : float
        First weight; "rebalance" begins at 0 whatever it is.
    step : float
        Change an epoch; 0.01 in [1]_.
    least : float
        What "rebalance" leaves of the other terms; 0.01 in [1]_.
    delay : int
        Epochs before the term counts at all. The topological loss wants a network that already finds the
        regions [2]_.

    Raises
    ------
    ValueError
        If an option does not fit.

    References
    ----------
    .. [1] Kervadec et al., "Boundary loss for highly unbalanced segmentation", Medical Image Analysis, 2021.
    .. [2] Hu et al., "Topology-preserving deep image segmentation", NeurIPS, 2019.
    """

    kind: ScheduleKind = "constant"
    start: float = 0.01
    step: float = 0.01
    least: float = 0.01
    delay: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            raise ValueError(f'kind: expected "constant", "increase" or "rebalance", got {self.kind!r}.')
        for name in ("start", "step", "least"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name}: expected a number of 0 or more, got {value}.")
        if self.least > 1:
            raise ValueError(f"least: expected at most 1, got {self.least}.")
        if self.delay < 0:
            raise ValueError(f"delay: expected 0 or more epochs, got {self.delay}.")

    def at(self, epoch: int) -> Weights:
        """Weights in `epoch`, counted from 0."""
        if epoch < 0:
            raise ValueError(f"epoch: expected 0 or more, got {epoch}.")
        if epoch < self.delay:
            return Weights(1.0, 0.0)
        passed = epoch - self.delay
        if self.kind == "constant":
            return Weights(1.0, self.start)
        if self.kind == "increase":
            return Weights(1.0, self.start + self.step * passed)
        alpha = max(self.least, 1.0 - self.step * passed)
        return Weights(alpha, 1.0 - alpha)
