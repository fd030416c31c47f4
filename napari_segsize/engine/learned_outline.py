"""Where a network that has learned from displaced outlines believes that a rough one belongs.

It was shown true outlines that had been displaced at random, and asked for the true ones: it knows that
outlines of objects are smooth or straight where nothing is to be seen, and which of several edges are those
of objects. What it says counts within the reach of the rough outline alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import label
from torch import Tensor
from torch.nn import functional

from ..models.alignment import AlignmentNet
from .closeup import in_three_channels
from .outline_search import signed_distances
from .predict import logits_of
from .starter import load_alignment_starter

__all__ = ["alignment_inputs", "learned_outline"]

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

_FRAME = 8  # px around the crop, as if the image ended there
_FARTHEST = 2.0  # reaches: what is farther from the outline is said to be this far
_LONG = 12.0  # px: it has learned with a shorter reach; images are made smaller for a longer one
_UNIT = 8.0  # px of reach are told to the network as 1
_QUARTERS = 4  # looks, each turned by a quarter
_EVEN = 1e-6


def learned_outline(mask: Mask, planes: Values, reach: int, network: AlignmentNet | None = None) -> Mask:
    """The mask whose outline the network believes in, (H, W).

    Parameters
    ----------
    mask : (H, W) bool array
        The rough one, neither empty nor full.
    planes : (C, H, W) array
    reach : int
        Farthest that the outline may move, in px.
    network : AlignmentNet, optional
        None: the one that ships.
    """
    network = network or _shipped()
    rough = np.pad(mask, _FRAME)
    colours = torch.from_numpy(np.pad(planes, ((0, 0), (_FRAME,) * 2, (_FRAME,) * 2), mode="edge"))
    inside = torch.zeros(rough.shape)
    inside[_FRAME:-_FRAME, _FRAME:-_FRAME] = 1
    distance = signed_distances(rough)
    odds = _log_odds(network, colours, torch.from_numpy(distance).float(), inside, float(reach))
    found = np.where(np.abs(distance) <= reach, odds.numpy() > 0, rough)[_FRAME:-_FRAME, _FRAME:-_FRAME]
    return _as_many(found, mask)


def alignment_inputs(colours: Tensor, distance: Tensor, inside: Tensor, reach: float) -> Tensor:
    """What the network sees, (6, H, W).

    Parameters
    ----------
    colours : (C, H, W) Tensor
    distance : (H, W) Tensor
        To the rough outline in px, positive inside.
    inside : (H, W) Tensor
        1 where the image is, 0 beyond its frame.
    reach : float
        How wrong the rough outline may be, in px.
    """
    shown = in_three_channels(colours)
    shown = (shown - shown.mean()) / (shown.std() + _EVEN)
    shown = shown.to(distance.dtype)  # after it, lest a large value hides small differences
    away = (distance / reach).clamp(-_FARTHEST, _FARTHEST)
    told = torch.full_like(away, reach / _UNIT)
    return torch.cat([shown, torch.stack([away, told, inside])])


def _log_odds(
    network: Callable[[Tensor], Tensor], colours: Tensor, distance: Tensor, inside: Tensor, reach: float
) -> Tensor:
    """Mean log odds (H, W) of four looks, each turned."""
    smaller = max(reach / _LONG, 1.0)
    whole = tuple(distance.shape)
    sides = [math.ceil(side / smaller) for side in whole]
    if smaller > 1:
        colours, distance, inside = (
            functional.interpolate(each[None], sides, mode="area")[0]
            for each in (colours, distance[None] / smaller, inside[None])
        )
        distance, inside = distance[0], inside[0]
    inputs = alignment_inputs(colours, distance, inside, reach / smaller)[None]
    looks = [
        torch.rot90(logits_of(network, torch.rot90(inputs, k, (2, 3))), -k, (2, 3)) for k in range(_QUARTERS)
    ]
    mean = torch.stack(looks).mean(0)
    if smaller > 1:
        mean = functional.interpolate(mean, whole, mode="bilinear")
    return mean[0, 0]


def _as_many(found: Mask, rough: Mask) -> Mask:
    """Without the small parts and holes that the rough mask did not have."""
    return ~_largest(~_largest(found, _count(rough)), _count(~rough))


def _count(mask: Mask) -> int:
    return int(label(mask)[1])


def _largest(mask: Mask, count: int) -> Mask:
    """Its largest parts, `count` at most."""
    parts, there = label(mask)
    if there <= count:
        return mask
    areas = np.bincount(parts.ravel())[1:]
    kept = 1 + np.argsort(-areas, kind="stable")[:count]
    return np.asarray(np.isin(parts, kept))


@cache
def _shipped() -> AlignmentNet:
    network: Any = load_alignment_starter()[0]
    assert isinstance(network, AlignmentNet)
    return network
