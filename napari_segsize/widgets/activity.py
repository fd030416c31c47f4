"""The job of the moment in napari's activity dock."""

from __future__ import annotations

import time

from napari.utils import progress

from napari_segsize.widgets.state import STAGES, State

__all__ = ["Activity"]


PERIOD_S = 0.5


class Activity:
    """One progress bar of napari's, alive as long as a job is. Used on the GUI thread only.

    napari handles events while it draws such a bar, so anything may happen inside `show`, another `show` too;
    and that takes its time, so the bar moves twice a second at most.
    """

    def __init__(self) -> None:
        self._bar: progress | None = None
        self._showing = False
        self._moved = 0.0

    def show(self, state: State) -> None:
        """Follow a state."""
        if self._showing:
            return
        self._showing = True
        try:
            self._show(state)
        finally:
            self._showing = False

    @property
    def is_shown(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def close(self) -> None:
        """Take the bar away."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()

    def _show(self, state: State) -> None:
        if not state.busy:
            self.close()
            return
        text = f"Segsize: {STAGES.get(state.stage, state.stage).lower()}"
        bar = self._bar
        if bar is None:
            bar = self._bar = progress(total=state.steps, desc=text)
        if bar.total != state.steps:
            bar.total = state.steps
        if bar.desc.rstrip(": ") != text:
            bar.set_description(text)
        now = time.monotonic()
        if now - self._moved >= PERIOD_S and bar.n != state.step:
            self._moved = now
            bar.update(state.step - bar.n)
