"""Prompts on their way to the engine and contours on their way back; nobody waits for either. No Qt here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.events import ContourDone, ContourFailed, ContourStep
from napari_segsize.engine.prompt import Prompt
from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import PlaneRef
from napari_segsize.widgets import contour_runs

if TYPE_CHECKING:
    from napari_segsize.widgets.desk import Launch, RunningJob

__all__ = ["Answer", "ContourQueue", "Inbox", "Key"]

Answer = ContourStep | ContourDone | ContourFailed
Key = tuple[PlaneRef, str]
"""One object of a project."""

LINGER_S = 20.0  # a network that is at hand answers the next click sooner


class Inbox:
    """What the engine takes prompts from; it is told to end when nothing has come for a while.

    Parameters
    ----------
    linger : float
        Seconds to wait for another prompt.
    """

    def __init__(self, linger: float = LINGER_S) -> None:
        self._queue: SimpleQueue[Prompt | None] = SimpleQueue()
        self._linger, self._closed = linger, False
        self._since = time.monotonic()

    def put(self, prompt: Prompt | None) -> None:
        """Hand a prompt over; None ends the work."""
        self._queue.put(prompt)

    def get(self, block: bool = True, timeout: float | None = None) -> Prompt | None:
        """Return the next prompt, or None when there will be none.

        Raises
        ------
        queue.Empty
            When there is none now, and may be one later.
        """
        try:
            prompt = None if self._closed else self._queue.get(block, timeout)
        except Empty:
            if block and time.monotonic() - self._since >= self._linger:
                return None
            raise
        self._since = time.monotonic()
        return prompt

    def close(self) -> None:
        """Let nobody wait any longer, whatever is in it."""
        self._closed = True
        self.put(None)


class _Run:
    """One generator of the engine, with the settings that it was started with."""

    def __init__(self, folder: Path, config: EvolveConfig, linger: float) -> None:
        self.folder, self.config = folder, config
        self.inbox = Inbox(linger)
        self.sent: dict[Key, Prompt] = {}
        self.handle: RunningJob | None = None
        self.last = self.detached = False  # last: it gets no further prompts

    def close(self) -> None:
        self.detached = True
        self.inbox.close()
        if self.handle is not None:
            self.handle.stop()


class ContourQueue:
    """Hands prompts to a background generator, which goes on as long as there are some.

    An object is asked for once at a time: a newer prompt waits until the older one is answered, and that
    answer is dropped.

    Parameters
    ----------
    launch : Launch
        Runs a generator in the background.
    answer : callable
        Gets each `Answer` to a prompt that still counts.
    failed : callable
        Gets prompts that were not answered, and the exception.
    """

    def __init__(
        self,
        launch: Launch,
        answer: Callable[[Prompt, Answer], None],
        failed: Callable[[tuple[Prompt, ...], BaseException], None],
        *,
        linger: float = LINGER_S,
    ) -> None:
        self._launch, self._answer, self._failed = launch, answer, failed
        self._linger = linger
        self._waiting: dict[Key, tuple[Path, Prompt, EvolveConfig]] = {}
        self._forgotten: set[Key] = set()
        self._again: set[Key] = set()  # handed on twice: a third time would not help
        self._run: _Run | None = None
        self._pumping = False

    @property
    def pending(self) -> int:
        """How many contours are waited for."""
        sent = set() if self._run is None else self._run.sent.keys() - self._forgotten
        return len(self._waiting.keys() | sent)

    def ask(self, folder: Path, prompts: Iterable[Prompt], config: EvolveConfig) -> None:
        """Wait for a contour of each; `pump` hands them on."""
        for prompt in prompts:
            key = (prompt.plane, prompt.object)
            self._waiting[key] = (folder, prompt, config)
            if self._run is not None and key in self._run.sent:
                self._forgotten.add(key)

    def forget(self, key: Key) -> None:
        """Wait no longer: the object was taken back."""
        self._waiting.pop(key, None)
        if self._run is not None and key in self._run.sent:
            self._forgotten.add(key)

    def renew(self) -> None:
        """Answer what is asked from now on with the engine as it will be then: there is another model."""
        if self._run is not None and not self._run.last:
            self._run.last = True
            self._run.inbox.put(None)

    def clear(self) -> None:
        """Forget everything: the project is left. What is being computed is dropped."""
        self._waiting.clear()
        self._forgotten.clear()
        self._again.clear()
        run, self._run = self._run, None
        if run is not None:
            run.close()

    def pump(self) -> None:
        """Hand on what can be handed on, and begin if nothing is going on."""
        if self._pumping:  # a test's launch answers at once
            return
        self._pumping = True
        try:
            while self._send():
                pass
        finally:
            self._pumping = False

    def _send(self) -> bool:
        """Return whether a run was begun that has ended already."""
        if self._run is None and self._waiting:
            folder, _, config = next(iter(self._waiting.values()))
            self._run = _Run(folder, config, self._linger)
            self._fill(self._run)
            self._begin(self._run)
            return self._run is None
        if self._run is not None:
            self._fill(self._run)
        return False

    def _fill(self, run: _Run) -> None:
        for key, (folder, prompt, config) in list(self._waiting.items()):
            if run.last or key in run.sent:
                continue
            if (folder, config) != (run.folder, run.config):
                run.last = True  # other settings: it ends, and the next one has them
                run.inbox.put(None)
                return
            del self._waiting[key]
            run.sent[key] = prompt
            run.inbox.put(prompt)

    def _begin(self, run: _Run) -> None:
        events = contour_runs.evolving(run.folder, run.inbox, run.config)
        run.handle = self._launch(events, partial(self._on_event, run), partial(self._on_end, run))
        if run.detached:  # the project was left while it was launched
            run.close()

    def _on_event(self, run: _Run, event: Any) -> None:
        if run.detached or not isinstance(event, Answer):
            return
        key = (event.plane, event.object)
        prompt = run.sent.get(key)
        if prompt is None:
            return
        last = not isinstance(event, ContourStep)
        if last:
            del run.sent[key]
            self._again.discard(key)
        if key not in self._forgotten:
            self._answer(prompt, event)
        elif last:
            self._forgotten.discard(key)
        self.pump()

    def _on_end(self, run: _Run, error: BaseException | None) -> None:
        if run.detached:
            return
        self._run = None
        left = tuple(prompt for key, prompt in run.sent.items() if key not in self._forgotten)
        self._forgotten.clear()
        if error is not None:
            self._failed(left, error)
        else:
            self._retry(run, left)
        self.pump()

    def _retry(self, run: _Run, left: tuple[Prompt, ...]) -> None:
        """Ask again what came just when the engine had stopped waiting; but only once."""
        lost = tuple(prompt for prompt in left if (prompt.plane, prompt.object) in self._again)
        for prompt in left:
            key = (prompt.plane, prompt.object)
            if prompt not in lost:
                self._again.add(key)
                self._waiting.setdefault(key, (run.folder, prompt, run.config))
            else:
                self._again.discard(key)
        if lost:
            self._failed(lost, SegsizeError("The engine gave no contour: press Again."))
