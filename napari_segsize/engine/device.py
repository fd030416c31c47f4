"""Where to compute, on how many cores, and how much memory that takes."""

from __future__ import annotations

import os

import psutil
import torch
from lightning_fabric import Fabric

from ..errors import SegsizeError

__all__ = ["describe", "is_out_of_memory", "launch", "leave_one_core", "memory_mb", "resolve"]


def resolve(device: str = "auto") -> torch.device:
    """The torch device a setting means.

    Raises
    ------
    SegsizeError
        If the device is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available.get(device, False):
        there = ", ".join(name for name, usable in available.items() if usable)
        raise SegsizeError(f"device: {device} was asked for, but only {there} can be used here. Choose auto.")
    return torch.device(device)


def describe(device: str | torch.device = "auto") -> str:
    """A short name for people, such as ``CPU, 2 threads`` or the GPU's name."""
    where = resolve(device) if isinstance(device, str) else device
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    if where.type == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def memory_mb(device: torch.device | None = None) -> float:
    """Memory in use, in MiB: of the GPU if `device` is one, else of this process."""
    if device is not None and device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    return float(psutil.Process().memory_info().rss) / 2**20


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory; only CUDA has an exception of its own for it."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in text for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def leave_one_core(threads: int = 0) -> int:
    """Let torch use `threads` threads; by default one less than there are cores, so a window stays fluid."""
    wanted = threads or max(1, (os.cpu_count() or 2) - 1)
    torch.set_num_threads(wanted)
    return wanted


def launch(device: str, precision: str) -> Fabric:
    """Start Lightning Fabric: one process, or all those that ``torchrun`` started."""
    where = resolve(device)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    accelerator = {"cuda": "cuda", "mps": "mps"}.get(where.type, "cpu")
    if world > 1:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        fabric = Fabric(
            accelerator=accelerator,
            devices=local,
            num_nodes=max(world // local, 1),
            strategy="ddp",
            precision=precision,  # type: ignore[arg-type]  # the config allows three of Fabric's literals
        )
    else:
        fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    return fabric
