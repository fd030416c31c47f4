"""The progress bar of the command line; without a terminal, one line for each validation instead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ..engine.events import Loading, Started, StepDone, Validated

__all__ = ["Bar", "duration", "metrics_text"]


class _Board(Progress):
    """A progress bar with lines of text under it, which a narrow terminal would squeeze out of the bar."""

    losses = metrics = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for line in (self.losses, self.metrics):
            if line:
                yield Text(f"  {line}", no_wrap=True, overflow="ellipsis")


class Bar:
    """Steps, time left and memory of the running stage; below them losses and validation metrics."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board: _Board | None = None
        self._task = TaskID(0)

    def loading(self, event: Loading) -> None:
        """Show how many images are read."""
        if event.done == 0:
            self._begin(f"{event.stage}: {event.doing} images", event.total)
        elif self._board is not None:
            self._board.update(self._task, completed=event.done)

    def start(self, event: Started) -> None:
        """Show a new stage."""
        self._begin(event.stage, event.steps, event.step)

    def _begin(self, title: str, total: int, completed: int = 0) -> None:
        self.stop()
        self._board = _Board(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            expand=True,
            refresh_per_second=4,  # drawing costs time that the training needs
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._board.add_task(title, total=total, completed=completed, left="")
        self._board.start()

    def step(self, event: StepDone) -> None:
        """Move on by one step."""
        if self._board is not None:
            left = f"{duration(event.seconds_left)} left · {event.memory_mb:.0f} MB"
            self._board.losses = f"loss {losses_text(event.losses)}"
            self._board.update(self._task, completed=event.step, left=left)

    def advance(self) -> None:
        """Move on by one plane."""
        if self._board is not None:
            self._board.advance(self._task)

    def validated(self, event: Validated) -> None:
        """Show the metrics until the next validation."""
        text = metrics_text(event.metrics) + (" · best so far" if event.best else "")
        if self._board is not None:
            self._board.metrics = f"validation at step {event.step}: {text}"
        if not self._console.is_terminal:
            self._console.print(f"{event.stage} step {event.step}: {text}", markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away; may be called twice."""
        if self._board is not None:
            self._board.stop()
            self._board = None


def losses_text(losses: Mapping[str, float]) -> str:
    """The total first, then its terms."""
    names = sorted(losses, key=lambda name: (name not in ("total", "loss"), name))
    return " ".join(f"{name} {losses[name]:.3g}" for name in names)


def metrics_text(metrics: Mapping[str, float]) -> str:
    """Metrics with the digits that mean something; unknown ones are left out."""
    return " · ".join(
        f"{name.replace('_', ' ')} {value:.3f}" for name, value in metrics.items() if math.isfinite(value)
    )


def duration(seconds: float) -> str:
    """Minutes and seconds, or a question mark before anything was measured."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
