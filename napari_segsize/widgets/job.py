"""The only thread of the dock widget: it drains a generator, whose events are read on the GUI thread.

A worker of napari's waits for it. It is a thread of its own because on Linux it gives way to the window's
thread, and a thread never gets its priority back, while the pool's serve other plugins too.

Five things about napari's workers shape this file (measured on 0.9.2):

- a generator handed to ``thread_worker`` loses a ``RuntimeError`` (torch's usual one) and is not closed by
  ``quit()``; so a plain function drains it, and closes it in that thread;
- napari keeps what a worker's function holds until the viewer dies; so the function gets a `_Handle`, whose
  references are dropped when it ends;
- a signal for every step costs the window more than the step; so events wait in a deque that a timer empties;
- a worker that nobody stops outlives a program that ends without closing the window: Qt then waits for it for
  ever, or takes its signals away under it; so every job is stopped, and waited for, at the end;
- a worker takes all warnings of the program while it runs, and puts back what it found: of two at a time, the
  second puts back the first, deleted by then; so the last job to end puts back the program's own way.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QThreadPool, QTimer
from superqt.utils import create_worker as create_quiet_worker

from napari_segsize.engine.events import Event, Loading, Preview
from napari_segsize.project.stopping import Stopped, stoppable

__all__ = ["Job", "launch", "launch_quietly"]

logger = logging.getLogger(__name__)

PERIOD_MS = 50
_NICENESS = 10  # added to the window's; its gain: docs/benchmarks.md, "The window while a network trains"
_NICEST = 19  # of Linux
_FLEETING = (Preview, Loading)
_running: set[Job] = set()


class _Handle:
    """What both threads see. Everything in it is dropped, or is a plain value, when the job is over."""

    __slots__ = ("__weakref__", "begun", "done", "error", "events", "inbox", "stopping", "worker")

    def __init__(self, events: Generator[Event, None, None]) -> None:
        self.events: Generator[Event, None, None] | None = events
        self.inbox: deque[Event] = deque()
        self.worker: Callable[[], Any] = lambda: None  # a weak reference: napari's quit() goes to the worker
        self.error: BaseException | None = None
        self.begun = self.stopping = self.done = False

    def should_stop(self) -> bool:
        worker = self.worker()
        return self.stopping or (worker is not None and worker.abort_requested)


def _drain(handle: _Handle) -> None:
    """In a worker of napari's: wait for the thread that does the work."""
    try:
        # a daemon: `_stop_all` ends it, and the interpreter would wait for any other before it gets that far
        thread = threading.Thread(target=_work, args=(handle,), name="segsize", daemon=True)
        thread.start()
    except BaseException as error:  # noqa: BLE001  no thread to be had: told in Job._on_tick
        handle.error = error
        handle.done = True
        return
    thread.join()


def _give_way() -> None:
    """Let the window's thread go first wherever the two want the same core."""
    if sys.platform == "linux":  # elsewhere the call is about the whole process
        with suppress(OSError):
            thread = threading.get_native_id()
            # added: a program that was started with `nice` must not be made faster
            niceness = min(os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS, _NICEST)
            os.setpriority(os.PRIO_PROCESS, thread, niceness)


def _work(handle: _Handle) -> None:
    """Off the GUI thread: the only function that is."""
    handle.begun = True
    _give_way()
    try:
        assert handle.events is not None
        with closing(handle.events) as events:  # the engine's `finally` runs here, in this thread
            handle.events = None
            if not handle.should_stop():
                with suppress(Stopped), stoppable(handle.should_stop):
                    for event in events:
                        handle.inbox.append(event)
                        if handle.should_stop():
                            break
    except BaseException as error:  # noqa: BLE001  a thread has nobody to raise to: it is told in Job._on_tick
        traceback.clear_frames(error.__traceback__)  # the frames hold the network
        handle.error = error
    finally:
        handle.events = None
        handle.done = True


class _Warnings:
    """How the program shows warnings when none of superqt's workers has taken them."""

    def __init__(self) -> None:
        self._show = warnings.showwarning

    def remember(self) -> None:
        if not self._taken():
            self._show = warnings.showwarning

    def restore(self) -> None:
        if self._taken():
            warnings.showwarning = self._show

    @staticmethod
    def _taken() -> bool:
        return getattr(warnings.showwarning, "__module__", "").startswith("superqt.")


_warnings = _Warnings()


class Job(QObject):
    """Drain a generator of events in a background thread; report on the GUI thread.

    Parameters
    ----------
    events : generator of Event
        Advanced, and closed, in the background thread only.
    on_event : callable
        Gets the events, in order; of previews, and of words about loading, that wait, only the newest.
    on_end : callable
        Gets None, or the exception that ended the job; called once, after the last event.
    asks : bool
        Whether napari asks before it closes its window while the job goes on.
    """

    def __init__(
        self,
        events: Generator[Event, None, None],
        on_event: Callable[[Event], None],
        on_end: Callable[[BaseException | None], None],
        *,
        asks: bool = True,
    ) -> None:
        super().__init__()
        self._on_event, self._on_end = on_event, on_end
        self._handle = _Handle(events)
        make = create_worker if asks else create_quiet_worker
        self._worker = make(_drain, self._handle, _ignore_errors=True)
        self._handle.worker = weakref.ref(self._worker)
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self._on_tick)

    def start(self) -> None:
        """Begin in the background; the job lives until it has ended, whoever else forgets it."""
        _warnings.remember()
        _running.add(self)
        self._timer.start()
        self._worker.start()

    def stop(self) -> None:
        """End after the event that is being made, or within a long reading or step; it still cleans up."""
        self._handle.stopping = True

    @property
    def is_working(self) -> bool:
        """Whether its thread has begun and not yet ended."""
        return self._handle.begun and not self._handle.done

    def _on_tick(self) -> None:
        # read first: what was put in before is in the inbox now
        done = self._handle.done and not self._worker.is_running
        for event in _without_outdated(self._handle.inbox):
            self._on_event(event)
        if done:
            self._end()

    def _end(self) -> None:
        self._timer.stop()
        _running.discard(self)
        if not _running:
            _warnings.restore()
        error, self._handle.error = self._handle.error, None
        on_end = self._on_end
        del self._worker, self._on_event, self._on_end
        self._handle = _Handle(_nothing())
        on_end(error)


def _stop_all() -> None:
    """Let every job save and end, before the program does; Qt would wait for their threads in any case."""
    jobs = list(_running)
    for job in jobs:
        job.stop()
    while any(job.is_working for job in jobs):
        time.sleep(0.01)
    pool = QThreadPool.globalInstance()
    if jobs and pool is not None:
        pool.waitForDone(1000)  # for the workers' last signals, not for workers of others
    _warnings.restore()


atexit.register(_stop_all)  # before Qt's own end, which was registered when it was imported


def _nothing() -> Generator[Event, None, None]:
    yield from ()


def _without_outdated(inbox: deque[Event]) -> list[Event]:
    """Take out what waits; of the kinds that only the newest of counts, no other."""
    events = [inbox.popleft() for _ in range(len(inbox))]
    newest = {type(event): event for event in events}
    return [event for event in events if type(event) not in _FLEETING or event is newest[type(event)]]


def launch(
    events: Generator[Event, None, None],
    on_event: Callable[[Event], None],
    on_end: Callable[[BaseException | None], None],
) -> Job:
    """Start a `Job`: what the dock widget's controller is given."""
    job = Job(events, on_event, on_end)
    job.start()
    return job


def launch_quietly(
    events: Generator[Event, None, None],
    on_event: Callable[[Event], None],
    on_end: Callable[[BaseException | None], None],
) -> Job:
    """Start a `Job` that can be ended at any time without a loss: whoever closes the window is not asked."""
    job = Job(events, on_event, on_end, asks=False)
    job.start()
    return job
