"""The engine is imported late and in background threads; one of them at a time.

Two threads that import modules of one package in different orders can see one of them half made: Python gives
up its locks rather than wait for ever, and the import fails.
"""

from __future__ import annotations

import threading

__all__ = ["ONE_AT_A_TIME"]

ONE_AT_A_TIME = threading.RLock()
"""Held while the engine is imported for the first time."""
