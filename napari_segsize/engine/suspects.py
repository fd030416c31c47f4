"""Which term and which image of a batch made a number that is none: looked for once a step has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..losses.notices import silence

__all__ = ["Suspects", "odd_slopes", "odd_values", "planes_of", "suspects_text"]

Suspects = dict[str, tuple[Any, ...]]
"""Planes on which a term fails, by term; none when it fails on no image by itself."""
_NAMED = 3  # images; of more it is said how many


def odd_values(
    objective: Callable[[Tensor, Any, int, Any], Mapping[str, Tensor]],
    logits: Tensor,
    batch: Any,
    step: int,
    teacher: Any,
) -> Suspects:
    """Terms that are not finite, crop by crop, for the logits of a batch's inputs."""
    found: dict[str, list[Any]] = {}
    with torch.no_grad(), silence():
        for plane, rows, alone in _each(batch):
            terms = objective(logits[rows], alone, step, teacher)
            _note(found, plane, (name for name, term in terms.items() if not term.isfinite().all()))
    return {name: tuple(planes) for name, planes in found.items()}


def odd_slopes(
    objective: Callable[[Tensor, Any, int, Any], Mapping[str, Tensor]],
    logits: Tensor,
    batch: Any,
    step: int,
    teacher: Any,
) -> Suspects:
    """Terms whose gradient on the logits is not finite, crop by crop."""
    found: dict[str, list[Any]] = {}
    for plane, rows, alone in _each(batch):
        own = logits.detach()[rows].requires_grad_()
        with silence():
            terms = objective(own, alone, step, teacher)
        odd = []
        for name, term in terms.items():
            (slope,) = torch.autograd.grad(term, own, retain_graph=True, allow_unused=True)
            if slope is not None and not slope.isfinite().all():
                odd.append(name)
        _note(found, plane, odd)
    return {name: tuple(planes) for name, planes in found.items()}


def planes_of(batch: Any, rows: Iterable[int]) -> tuple[Any, ...]:
    """Planes of these rows of a batch's inputs, as far as it knows them."""
    planes = getattr(batch, "planes", ())
    origin = [*range(len(planes)), *getattr(batch, "origin", torch.empty(0, dtype=torch.long)).tolist()]
    return tuple(planes[origin[row]] for row in rows) if planes else ()


def suspects_text(found: Suspects, batch: Any, name_of: Callable[[Any], str]) -> str:
    """Where it happened, to be put behind a comma; "" if no image can be named."""
    planes = tuple(dict.fromkeys(plane for each in found.values() for plane in each))
    if not planes:
        return ""
    if len(planes) > 1 and len(planes) == len(set(batch.planes)):
        return ", in every image of the batch"
    if len(planes) > _NAMED:
        return f", in {len(planes)} images, {name_of(planes[0])} the first"
    return f", in {' and '.join(map(name_of, planes))}"


def _each(batch: Any) -> Iterable[tuple[Any, list[int], Any]]:
    """Plane, rows of the inputs and batch of each crop by itself; nothing if a batch does not know planes."""
    planes = getattr(batch, "planes", ())
    count = len(planes)
    origin = getattr(batch, "origin", torch.empty(0))  # of turned crops, which stand behind the others
    for index, plane in enumerate(planes):
        turned = (origin == index).nonzero()[:, 0].tolist()
        yield plane, [index, *(count + row for row in turned)], batch.part(index, count)


def _note(found: dict[str, list[Any]], plane: Any, names: Iterable[str]) -> None:
    for name in names:
        found.setdefault(name, []).append(plane)
