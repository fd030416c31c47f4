"""A prediction and a target for every loss of the catalogue, and how each is called."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import Tensor

from napari_segsize.losses import LOSSES

SHAPE = (12, 14)
WITH_TARGET = [name for name, info in LOSSES.items() if info.needs]
ON_MASKS = [name for name, info in LOSSES.items() if info.needs == ("mask",)]
ON_LESS = [name for name in WITH_TARGET if LOSSES[name].needs[0] not in ("mask", "image")]
PLANES = {"projection", "edge_bce", "nms", "direction"}
"""Losses that know images in two dimensions only."""


def square(*shape: int) -> Tensor:
    mask = torch.zeros(2, 1, *shape, dtype=torch.bool)
    mask[(..., *[slice(3, 9)] * len(shape))] = True
    return mask


def target(name: str) -> Tensor:
    return {
        "mask": square(*SHAPE),
        "size": torch.tensor([[6.0], [6.0]]),
        "area": torch.tensor([[[20.0, 40.0]]] * 2),
        "centre": torch.tensor([[[5.5, 6.5]]] * 2),
        "points": torch.tensor([[3.0, 5], [5, 3], [8, 5], [5, 8]]).repeat(2, 1, 1),
        "extents": torch.tensor([[[3.0, 4, 8, 9]]] * 2),
        "image": torch.rand(2, 1, *SHAPE),
    }[LOSSES[name].needs[0]]


def prediction(name: str) -> Tensor:
    if LOSSES[name].acts_on == "contour":
        turn = torch.arange(12) * math.pi / 6
        return torch.stack([6 + 4 * turn.sin(), 7 + 4 * turn.cos()], -1).repeat(2, 1, 1)
    return torch.randn(2, 2 if LOSSES[name].acts_on == "field" else 1, *SHAPE)


def call(name: str, guess: Tensor, *truth: Tensor, **said: Any) -> Tensor:
    function: Any = LOSSES[name].function
    options = {"shape": SHAPE} if "shape" in inspect.signature(function).parameters else {}
    found: Tensor = function(guess, *truth, **options, **said)
    return found


def given(name: str) -> list[Tensor]:
    return [target(name)] if LOSSES[name].needs else []
