"""Bring the training of a large network within the memory that is free, and say what was done.

The sentences come before the first step: what a step takes, crops made smaller, batches cut, whether another
network suits the objects better, and how long it will take if that is long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch

from ..models import kiunet
from ..models.segmentation import memory_estimate
from ..models.unet import SegmentationNet
from ..project.sizes import object_size_of
from . import memory
from .advice import advice, typical_size
from .config import FineTuneConfig, PretrainConfig
from .dataset import Dataset
from .device import resolve
from .memory import CROPS, Fit, fitting_crops, gib
from .pace import pace_text, seconds_a_pixel

__all__ = ["forecast", "sizes_of", "within_memory"]

ConfigT = TypeVar("ConfigT", PretrainConfig, FineTuneConfig)


def within_memory(
    config: ConfigT,
    network: SegmentationNet,
    kind: str,
    train: Dataset,
    crops: int,
    device: torch.device,
) -> tuple[ConfigT, int, tuple[str, ...]]:
    """Settings whose crops fit, passes that a batch is cut into, and sentences for the user.

    Nothing changes for a network without an estimate.

    Parameters
    ----------
    config
        Of the run; its `patch` may come back smaller.
    network, kind
        What is trained, and its name.
    train : Dataset
    crops : int
        In one step, on this process.
    device : torch.device

    Raises
    ------
    SegsizeError
        If not even one crop of the smallest side fits.
    """
    if network.estimate is None:
        return config, 1, ()
    shape = [max(item.shape[axis] for item in train.items) for axis in (0, 1)]
    fit = fitting_crops(network.estimate, config.patch, shape, crops, _free_everywhere(device))
    said = [_memory(config.patch, shape, crops, fit, train.channels)]
    if advised := advice(kind, typical_size(sizes_of(train))):
        said.append(advised)
    pixels = crops * min(fit.side, shape[0]) * min(fit.side, shape[1])
    if slow := pace_text(pixels * seconds_a_pixel(network, train.channels, device), config.steps):
        said.append(slow)
    return replace(config, patch=min(config.patch, fit.side)), fit.parts, tuple(said)


def _free_everywhere(device: torch.device) -> int:
    """Bytes free where least are: all processes of a run must cut the same crops in as many parts."""
    free = torch.tensor(memory.free_bytes(device), device=device)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(free, op=torch.distributed.ReduceOp.MIN)
    return int(free)


def forecast(config: PretrainConfig, shape: Sequence[int], channels: int) -> str:
    """What a step of pre-training will take on images of `shape`, before anything is built or read.

    Raises
    ------
    SegsizeError
        If not even one crop of the smallest side fits; if the device is not there.
    """
    free = memory.free_bytes(resolve(config.device))
    if config.model != "kiunet":
        sides = [min(config.patch, side) for side in shape]
        needed = memory_estimate(config.model, sides, config.batch_size, channels)
        return f"A step takes about {gib(needed)} of memory; {gib(free)} are free."
    estimate = partial(kiunet.memory_estimate, channels=channels, ki_levels=config.ki_levels)
    fit = fitting_crops(estimate, config.patch, shape, config.batch_size, free)
    return _memory(config.patch, list(shape), config.batch_size, fit, channels)


def sizes_of(data: Dataset) -> list[float]:
    """Sizes that were said, and the size of each mask's thickest object."""
    sizes = [float(size) for item in data.items for size in item.objects[:, 0]]
    return sizes + [
        object_size_of(item.mask.numpy())
        for item in data.items
        if item.mask is not None and not len(item.objects) and bool(item.mask.any())
    ]


def _memory(patch: int, shape: list[int], crops: int, fit: Fit, channels: int) -> str:
    """What a step takes, and what was changed so that it does."""
    unet = memory_estimate("small", [min(fit.side, side) for side in shape], -(-crops // fit.parts), channels)
    text = f"A training step takes about {gib(fit.bytes)} of memory; {gib(fit.free)} are free"
    text += f" (the small U-Net takes {gib(unet)})."
    widest = max(min(patch, side) for side in shape)
    if fit.side < widest:
        why = "With this network," if fit.side == CROPS[0] else "So that it fits,"
        text += f" {why} crops are {fit.side} px wide instead of {widest}."
    if fit.parts > 1:
        text += f" Each step is taken in {fit.parts} parts."
    return text
