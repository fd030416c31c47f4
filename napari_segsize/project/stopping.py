"""Long readings, and long steps of a training, look whether anybody still waits for them.

A file of several gigabytes is read, or hashed, for many seconds inside one step of a job, a step of a large
network takes minutes, and jobs end between steps. So whoever runs a job says here how to ask it
(`stoppable`), and whoever reads a file or computes asks, a few times a second (`check`). Where nobody said
anything, nothing is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Stopped", "check", "stoppable"]


class Stopped(GeneratorExit):
    """What is being done is no longer wanted. To the generators on its way it is as if they were closed."""


_asked: ContextVar[Callable[[], bool] | None] = ContextVar("asked", default=None)


@contextmanager
def stoppable(stopping: Callable[[], bool]) -> Iterator[None]:
    """Inside, in this thread, readings and steps raise `Stopped` once `stopping` is true, and only once.

    What cleans up afterwards may read again.
    """
    before = _asked.set(stopping)
    try:
        yield
    finally:
        _asked.reset(before)


def check() -> None:
    """Ask whether to go on.

    Raises
    ------
    Stopped
        If not.
    """
    stopping = _asked.get()
    if stopping is not None and stopping():
        _asked.set(None)
        raise Stopped
