"""Crops of planes: a fixed side, around what was annotated, with what is known of every pixel and object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from .augment import flip_centres, flip_points
from .dataset import Dataset, Item

__all__ = ["Crop", "cut_crop", "flipped"]

_ON_OBJECT = 0.75  # share of crops with masks that are cut around the object, where there is a choice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """One plane, cut or padded to the batch's side."""

    image: Tensor  # (C, h, w) float
    target: Tensor  # (1, h, w) float, 0 or 1
    known: Tensor  # (1, h, w) bool: where the target is known
    inside: Tensor  # (1, h, w) bool: pixels of the plane; the others are padding
    objects: Tensor  # (K, 4): size, y, x, and 1 where the centre counts; NaN where unknown
    points: Tensor  # (K, 4, 2): extreme points; NaN where unknown
    places: Tensor  # (K, 3): size, y, x of where the object is looked for


def cut_crop(
    dataset: Dataset,
    item: Item,
    side: tuple[int, int],
    *,
    weak: bool,
    one_object: bool,
    generator: torch.Generator,
) -> Crop:
    """Cut one plane to `side`; a `weak` crop hands out sizes, any other the mask.

    An object is left out if its place lies outside the crop. If only its square is cut by the border, the
    size still counts (what lies outside is unknown, as at the border of an image), the centre does not.
    Extreme points may then lie outside the crop.
    """
    start = _start(item, side, weak, generator)
    inside = _cut(torch.ones(1, *item.shape), start, side, mode="constant") > 0
    target, known = torch.zeros(1, *side), torch.zeros_like(inside)
    if item.mask is not None and not weak:
        target, known = _cut(item.mask[None].float(), start, side, mode="constant"), inside
    objects, points, places = _carried(item, start, side, one_object) if weak else _NOTHING
    return Crop(
        image=_cut(dataset.pixels(item.plane), start, side, mode="replicate"),
        target=target,
        known=known,
        inside=inside,
        objects=objects,
        points=points,
        places=places,
    )


_NOTHING = (torch.empty(0, 4), torch.empty(0, 4, 2), torch.empty(0, 3))


def _carried(
    item: Item, start: tuple[int, int], side: tuple[int, int], one_object: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Objects in the crop's coordinates, with the flag that their centre counts; their points and places."""
    offset = torch.tensor([0.0, *start])
    moved, points, places = item.objects - offset, item.points - offset[1:], item.places - offset
    if not one_object:
        here = ((places[:, 1:] >= 0) & (places[:, 1:] <= torch.tensor(side) - 1)).all(-1)
        moved, points, places = moved[here], points[here], places[here]
    elif len(moved) > 1:
        # the image's size is its largest object's; centre and points of one of several are not the image's
        largest = moved[moved[:, 0].nan_to_num(-1.0).argmax()]
        moved = torch.stack([largest[0], *torch.full((2,), torch.nan)])[None]
        points, places = torch.full_like(points[:1], torch.nan), moved
    whole = torch.ones(len(moved), dtype=torch.bool)
    for axis in (0, 1):
        low, high = (moved[:, 1 + axis] + sign * moved[:, 0] / 2 for sign in (-1, 1))
        if start[axis] > 0:
            whole &= ~(low < -0.5)
        if start[axis] + side[axis] < item.shape[axis]:
            whole &= ~(high > side[axis] - 0.5)
    return torch.cat([moved, whole[:, None].to(moved.dtype)], 1), points, places


def _start(item: Item, side: tuple[int, int], weak: bool, generator: torch.Generator) -> tuple[int, int]:
    """First pixel of the crop; where a choice is left, an annotated object lies inside."""
    room = [max(item.shape[axis] - side[axis], 0) for axis in (0, 1)]
    if not any(room):
        return 0, 0
    focus: Tensor | None = None
    if weak and item.located:
        focus = item.places[int(torch.randint(len(item.objects), (), generator=generator)), 1:]
    elif item.mask is not None and item.mask.any() and torch.rand((), generator=generator) < _ON_OBJECT:
        points = item.mask.nonzero()
        focus = points[int(torch.randint(len(points), (), generator=generator))].float()
    start = []
    for axis in (0, 1):
        low, high = 0, room[axis]
        if focus is not None:
            middle = float(focus[axis]) - side[axis] / 2
            low = max(low, math.ceil(middle - side[axis] / 4))
            high = min(high, math.floor(middle + side[axis] / 4))
            low, high = min(low, room[axis]), max(high, 0)
        start.append(int(torch.randint(low, max(high, low) + 1, (), generator=generator)))
    return start[0], start[1]


def _cut(planes: Tensor, start: tuple[int, int], side: tuple[int, int], *, mode: str) -> Tensor:
    """A ``(C, *side)`` crop of ``(C, H, W)``; what lies beyond the image is padded."""
    height, width = side
    cut = planes[:, start[0] : start[0] + height, start[1] : start[1] + width]
    missing = height - cut.shape[1], width - cut.shape[2]
    if not any(missing):
        return cut
    padded: Tensor = functional.pad(cut[None], (0, missing[1], 0, missing[0]), mode=mode)[0]
    return padded


def flipped(crop: Crop, flip: Tensor, shape: Sequence[int]) -> Crop:
    """The crop's objects carried along when its pixels are turned round."""
    return replace(
        crop,
        objects=flip_centres(crop.objects, flip, shape),
        points=flip_points(crop.points, flip, shape),
        places=flip_centres(crop.places, flip, shape),
    )
