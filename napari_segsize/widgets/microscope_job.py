"""The newest inspection that was asked for, computed in the background; older requests give way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.engine.microscope import Inspection, inspect_steps
from napari_segsize.widgets.loading import load_engine
from napari_segsize.widgets.newest import Flag, Newest

__all__ = ["Looked", "Microscope", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """One plane to look at: labels or probabilities, copied, with the options of `inspect_steps`."""

    plane: NDArray[Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    prediction: NDArray[np.float32] | None = None
    where: object = None  # whatever the page needs to draw the answer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """An answer, maybe not the last one: gradients follow one by one."""

    request: Request
    seen: Inspection
    predicted: Mapping[int, float]


class Microscope(Newest[Request, Looked]):
    """The size microscope's job: the last request wins.

    Parameters
    ----------
    answer : callable
        Gets each `Looked`, on the GUI thread.
    failed : callable
        Gets an exception nobody foresaw.
    """

    def __init__(self, answer: Callable[[Looked], None], failed: Callable[[BaseException], None]) -> None:
        super().__init__(_looking, answer, failed, quick=lambda looked: not looked.seen.gradients)


def _looking(request: Request, stopped: Flag) -> Generator[Looked, None, None]:
    load_engine()
    predicted: dict[int, float] | None = None
    for seen in inspect_steps(request.plane, stopped=stopped, **request.options):
        if predicted is None:
            predicted = _predicted(seen, request.prediction)
        yield Looked(request=request, seen=seen, predicted=predicted)


def _predicted(seen: Inspection, probabilities: NDArray[np.float32] | None) -> dict[int, float]:
    """Size of the predicted part that covers most of each object; 0 where none does."""
    if probabilities is None or probabilities.shape != seen.labels.shape:
        return {}
    parts = next(iter(inspect_steps(probabilities)))
    sizes = {each.label: each.size for each in parts.objects}
    found = {}
    for each in seen.objects:
        under = parts.labels[seen.labels == each.label]
        under = under[under > 0]
        found[each.label] = sizes[int(np.bincount(under).argmax())] if under.size else 0.0
    return found
