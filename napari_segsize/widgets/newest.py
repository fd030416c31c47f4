"""The newest request, answered in the background; older requests give way."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from napari_segsize.widgets.job import Job, launch_quietly

__all__ = ["Flag", "Newest"]

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


@dataclass
class Flag:
    """Raised on the GUI thread, read in the background."""

    up: bool = False

    def __call__(self) -> bool:
        """Whether it is up."""
        return self.up


class Newest(Generic[RequestT, AnswerT]):
    """One background job at a time; the last request wins.

    Parameters
    ----------
    make : callable
        Of a request and a flag that says when nobody waits any more; the generator of its answers. It runs in
        the background.
    answer : callable
        Gets each answer, on the GUI thread; none after `stop`.
    failed : callable
        Gets an exception nobody foresaw.
    quick : callable
        Whether an answer is worth showing although a newer request waits.
    """

    def __init__(
        self,
        make: Callable[[RequestT, Flag], Generator[AnswerT, None, None]],
        answer: Callable[[AnswerT], None],
        failed: Callable[[BaseException], None],
        *,
        quick: Callable[[AnswerT], bool] = lambda _: True,
    ) -> None:
        self._make, self._answer, self._failed, self._quick = make, answer, failed, quick
        self._job: Job | None = None
        self._flag = Flag()
        self._next: RequestT | None = None

    @property
    def waiting(self) -> bool:
        """Whether a newer request waits, so that what comes now is already old."""
        return self._next is not None

    @property
    def busy(self) -> bool:
        """Whether something is being computed."""
        return self._job is not None

    def look(self, request: RequestT) -> None:
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
            self._flag = Flag()
            events = cast("Generator[Any, None, None]", self._make(request, self._flag))
            self._job = launch_quietly(events, cast("Callable[[Any], None]", self._on_answer), self._on_end)

    def _on_answer(self, answer: AnswerT) -> None:
        # After stop() nothing is drawn any more; with a newer request waiting, only what is quick to draw.
        if not self._flag.up or (self.waiting and self._quick(answer)):
            self._answer(answer)

    def _on_end(self, error: BaseException | None) -> None:
        self._job = None
        if error is not None:
            self._failed(error)
        self._begin()
