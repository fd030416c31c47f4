"""How long a large network's training will take, measured before it starts."""

from __future__ import annotations

import copy
import time

import torch
from torch import nn

__all__ = ["pace_text", "seconds_a_pixel"]

_SIDE = 32  # px, of the crop that is tried
_WORTH_SAYING = 10.0  # s a step
_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def seconds_a_pixel(network: nn.Module, channels: int, device: torch.device) -> float:
    """Seconds a network takes for the way there and back, from one small crop; nothing in it changes.

    Parameters
    ----------
    network : nn.Module
        Takes (1, channels, H, W).
    channels : int
    device : torch.device
    """
    tried = copy.deepcopy(network).to(device).train()
    crop = torch.zeros(1, channels, _SIDE, _SIDE, device=device)
    taken = 0.0
    for _ in range(2):  # the first time, libraries prepare themselves
        begun = time.perf_counter()
        tried(crop).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken = time.perf_counter() - begun
    return taken / _SIDE**2


def pace_text(seconds: float, steps: int) -> str:
    """Say how long a step and all steps will take; nothing for quick steps."""
    if seconds < _WORTH_SAYING:
        return ""
    return (
        f"A step will take about {_rounded(seconds)} on this device, all {steps} about "
        f"{_rounded(seconds * steps)}: smaller crops (patch), fewer images a step, or the small U-Net, "
        "take less."
    )


def _rounded(seconds: float) -> str:
    """One number and one unit, as exact as a forecast is."""
    size, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"
