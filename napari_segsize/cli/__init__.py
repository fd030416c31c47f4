"""`segsize …`: the engine without a window.

One file per group of commands; every setting of a config dataclass becomes an option (`command.py`), every
event of the engine a line or a step of the progress bar (`output.py`), and Ctrl-C is Stop (`drain.py`).
Only what a command needs is imported: `segsize --help` and `segsize new` load neither torch nor MONAI.
"""

from __future__ import annotations

from . import contours, exchange, losses, projects, refine, relinking, showcase, training
from .command import app

__all__ = [
    "app", "contours", "exchange", "losses", "main", "projects", "refine", "relinking", "showcase",
    "training",
]  # fmt: skip


def main() -> None:
    """Run the command line; the process ends with the command's exit code."""
    app()
