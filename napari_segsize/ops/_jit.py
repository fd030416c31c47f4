"""How functions are compiled for the CPU with numba.

A kernel releases the GIL and runs on one thread; `napari_segsize.ops._compiled` shares planes between
threads. Numba's own threads are not used: the layer that is present everywhere ends the process when two
Python threads enter it at once, and another ends it after a fork.

Numba's cache looks at the file of the function that is called, not at those of the kernels which it calls in
turn: who changes one that other files use, touches these files too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar, cast

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")

logger = logging.getLogger(__name__)


def kernel(function: _Function, *, fastmath: bool | set[str] = False) -> _Function:
    """Compile at the first call, and keep the machine code where numba finds a folder to write to.

    `fastmath`: rules of arithmetic that LLVM need not keep, by its names for them.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        return cast("_Function", njit(cache=True, **options)(function))
    except RuntimeError:  # neither beside the function's file nor in the user's folders
        logger.info("numba finds no folder for its cache; %s is compiled in every session", function.__name__)
        return cast("_Function", njit(**options)(function))
