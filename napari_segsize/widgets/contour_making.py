"""Making layers before they are needed, without anybody waiting for it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_segsize.widgets.later import Later

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_segsize.widgets.shelf import Shelf

__all__ = ["Making"]

_APART_MS = 60  # time for a click, and for drawing the layer that was made before


class Making:
    """Makes layers that have nothing to show yet, one at a time: each costs napari some 100 ms.

    A layer is added hidden, and shown in the next turn: to draw it the first time costs as much again.

    Parameters
    ----------
    ways : callable
        Returns how to make each layer that may be there, by role.
    made : callable
        Called after each.
    waits : roles
        Layers that are left out until `may` is told that what they need has been compiled elsewhere.
    """

    def __init__(
        self,
        shelf: Shelf,
        ways: Callable[[], Mapping[str, Callable[[], object]]],
        made: Callable[[], None],
        waits: Iterable[str] = (),
    ) -> None:
        self._shelf, self._ways, self._made = shelf, ways, made
        self._waits = set(waits)
        self._hidden: Layer | None = None
        self._later = Later(_APART_MS, self._next)

    def ask(self) -> None:
        """Make what is missing, soon."""
        self._later.ask()

    def may(self, role: str) -> None:
        """Make this layer, too, from now on."""
        self._waits.discard(role)
        self.ask()

    def close(self) -> None:
        """Make no more; what was made is shown."""
        self._later.close()
        self._unhide()

    def _next(self) -> None:
        ways = self._ways()
        missing = [role for role in ways if self._shelf.get(role) is None and role not in self._waits]
        if self._hidden is not None:
            self._unhide()
        elif missing:
            with self._shelf.hiding(), _nothing_collected():
                ways[missing[0]]()
            self._hidden = self._shelf.get(missing[0])
            self._made()
        if missing or self._hidden is not None:
            self._later.ask()

    def _unhide(self) -> None:
        layer, self._hidden = self._hidden, None
        if layer is not None and not layer.visible:  # taken up meanwhile: napari would drop its tool
            layer.visible = True


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Let Python look for garbage later: it would, several times, among the thousands of parts of a layer."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
