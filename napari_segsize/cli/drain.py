"""Run a generator of events to its end, or until Ctrl-C: closing it is Stop, and Stop keeps everything."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from types import FrameType

from ..engine.events import Ended, Event
from ..project.stopping import Stopped, stoppable
from .output import Output

__all__ = ["drain"]

_SENTENCE = b"\nStopping, and keeping the last finished step; press Ctrl-C again to abort at once.\n"


def drain(events: Generator[Event, None, None], out: Output) -> bool:
    """Report every event; on the first Ctrl-C close the generator, so that the last finished step is saved.

    Returns
    -------
    bool
        Whether the user stopped it before its end.
    """
    with _stop_requests() as requests, closing(events):
        try:
            with stoppable(lambda: bool(requests)):
                for event in events:
                    out.event(event)
                    if requests and not isinstance(event, Ended):  # what has just ended needs no stopping
                        return True
        except Stopped:  # while a large file was being read, or in the middle of a step
            return True
    return False


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """A list that the first SIGINT or SIGTERM fills; the second one aborts.

    Raising in the middle of a step would leave a half-updated network, so the first one only leaves a note.
    """
    requests: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        requests.append(number)
        if len(requests) > 1:
            raise KeyboardInterrupt
        os.write(2, _SENTENCE)  # a handler may interrupt a print: only the raw descriptor is safe

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
