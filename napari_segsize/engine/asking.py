"""Stop in the middle of a step: a large network takes longer for one than anybody waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..project.stopping import Stopped, check

__all__ = ["as_it_was", "asking_between_layers"]


@contextmanager
def asking_between_layers(*networks: nn.Module) -> Iterator[None]:
    """Have these networks ask, at every layer and on the way back, whether to go on.

    Whoever runs the job says how to ask (`project.stopping.stoppable`); the pass that is stopped raises
    `Stopped`. Gradients that a GPU computes are not asked about: another thread does that, and not for long.
    """
    handles = [
        handle
        for network in networks
        for layer in network.modules()
        if next(layer.children(), None) is None
        for handle in (layer.register_forward_pre_hook(_before), layer.register_forward_hook(_after))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def as_it_was(network: nn.Module) -> Iterator[None]:
    """Undo what a stopped step has left in a network: running means, and gradients.

    So that the step, taken again, gives the same numbers.
    """
    before = [buffer.clone() for buffer in network.buffers()]
    try:
        yield
    except Stopped:
        with torch.no_grad():
            for buffer, value in zip(network.buffers(), before, strict=True):
                buffer.copy_(value)
        for parameter in network.parameters():
            parameter.grad = None
        raise


def _before(_layer: nn.Module, _inputs: Any) -> None:
    check()


def _after(_layer: nn.Module, _inputs: Any, output: Any) -> None:
    check()
    if isinstance(output, Tensor) and output.requires_grad:
        output.register_hook(_on_the_way_back)  # type: ignore[no-untyped-call]


def _on_the_way_back(_gradient: Tensor) -> None:
    check()
