"""Doing something once, a little later."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QTimer

__all__ = ["Later"]


class Later:
    """Call `slot` some milliseconds after it was asked for.

    Parameters
    ----------
    restart : bool
        Whether asking again begins the wait anew ("when it has come to rest") or not ("at most so often").
    """

    def __init__(self, milliseconds: int, slot: Callable[[], object], *, restart: bool = False) -> None:
        self._timer: QTimer | None = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(milliseconds)
        self._timer.timeout.connect(slot)
        self._restart = restart

    def ask(self) -> None:
        """Begin to wait."""
        if self._timer is not None and (self._restart or not self._timer.isActive()):
            self._timer.start()

    def stop(self) -> None:
        """Do not do it."""
        if self._timer is not None:
            self._timer.stop()

    def close(self) -> None:
        """Never do it again. Qt may have deleted the timer already when the program ends."""
        timer, self._timer = self._timer, None
        if timer is not None:
            try:
                timer.stop()
                timer.deleteLater()
            except RuntimeError:
                return
