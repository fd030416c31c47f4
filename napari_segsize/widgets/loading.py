"""The engine is imported late and in background threads; one of them at a time.

Two threads that import modules of one package in different orders can see one of them half made: Python gives
up its locks rather than wait for ever, and the import fails.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from napari_segsize.widgets.own_llvm import import_triton

__all__ = ["ONE_AT_A_TIME", "importing", "load_engine", "set_aside", "sort_out", "take_back"]

ONE_AT_A_TIME = threading.RLock()
"""Held while the engine is imported for the first time."""


@contextmanager
def importing() -> Iterator[None]:
    """Import the engine in here, for the first time or not."""
    with ONE_AT_A_TIME:
        import_triton()
        yield


def load_engine() -> None:
    """Import what trains and looks, or wait for the thread that does; quick from then on."""
    with importing():
        from napari_segsize.engine import device, stages  # noqa: F401  the import is the work


def sort_out() -> None:
    """Let Python go through what the imports brought now, rather than between two clicks.

    They bring so many objects that its next look at all of them is due soon, and that takes 0.4 s, during
    which no other thread runs. After it, the next is far away.
    """
    gc.collect()


def set_aside() -> None:
    """Let searches for garbage pass over all that is here now, until `take_back`.

    napari searches whenever a layer is removed, on the window's thread. Among what the imports brought that
    takes 0.36 s a layer, and without it no time.
    """
    gc.freeze()


def take_back() -> None:
    """Let them go through everything again: the dock widget ends, and nothing of it is to stay."""
    gc.unfreeze()
