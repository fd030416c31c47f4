"""Triton brings an LLVM of its own, and so do Mesa's drivers, which draw the window of many a Linux machine.

Torch's build for GPUs imports Triton wherever Lightning Fabric is imported. When Mesa's LLVM is loaded by
then, as it is once napari has drawn, Triton's library finds that one's functions instead of its own and takes
the process down (seen with Triton 3.7.1 and LLVM 15). So it is imported before, and looks into itself first.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from importlib.util import find_spec

__all__ = ["import_triton"]

logger = logging.getLogger(__name__)


def import_triton() -> None:
    """Import Triton, where it is installed, so that it uses its own LLVM; quick from then on."""
    if sys.platform != "linux" or "triton" in sys.modules or find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        importlib.import_module("triton")
    except Exception:  # torch does without, and nothing here needs it
        logger.warning("Triton is installed and cannot be imported", exc_info=True)
    finally:
        sys.setdlopenflags(flags)
