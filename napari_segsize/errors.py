"""What can go wrong that the user can put right."""

from __future__ import annotations

__all__ = ["SegsizeError"]


class SegsizeError(Exception):
    """Something the user can fix.

    The message is one sentence that says what was expected, what came, and the way out; widgets and the
    command line show it as it is, without a traceback.
    """
