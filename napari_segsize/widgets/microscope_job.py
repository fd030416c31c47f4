"""The newest inspection that was asked for, computed in the background; older requests give way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_segsize.engine.microscope import Inspection, inspect_steps
from napari_segsize.widgets.job import Job, launch

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


class Microscope:
    """One background job at a time; the last request wins.

    Parameters
    ----------
    answer : callable
        Gets each `Looked`, on the GUI thread.
    failed : callable
        Gets an exception nobody foresaw.
    """

    def __init__(self, answer: Callable[[Looked], None], failed: Callable[[BaseException], None]) -> None:
        self._answer, self._failed = answer, failed
        self._job: Job | None = None
        self._flag = _Flag()
        self._next: Request | None = None

    @property
    def waiting(self) -> bool:
        """Whether a newer request waits, so that what comes now is already old."""
        return self._next is not None

    @property
    def busy(self) -> bool:
        """Whether something is being computed."""
        return self._job is not None

    def look(self, request: Request) -> None:
        """Compute this as soon as possible."""
        self._next = request
        if self._job is None:
            self._begin()
        else:
            self._flag.up = True

    def stop(self) -> None:
        """Forget all requests."""
        self._next = None
        self._flag.up = True

    def _begin(self) -> None:
        request, self._next = self._next, None
        if request is not None:
            self._flag = _Flag()
            events = cast("Generator[Any, None, None]", _looking(request, self._flag))
            self._job = launch(events, cast("Callable[[Any], None]", self._on_looked), self._on_end)

    def _on_looked(self, looked: Looked) -> None:
        # After stop() nothing is drawn any more; with a newer request waiting, only what is quick to draw.
        if not self._flag.up or (self.waiting and not looked.seen.gradients):
            self._answer(looked)

    def _on_end(self, error: BaseException | None) -> None:
        self._job = None
        if error is not None:
            self._failed(error)
        self._begin()


@dataclass
class _Flag:
    """Raised on the GUI thread, read in the background."""

    up: bool = False

    def __call__(self) -> bool:
        return self.up


def _looking(request: Request, stopped: _Flag) -> Generator[Looked, None, None]:
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
