"""Which images are learnt from and which are only looked at afterwards."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

from napari_segsize.errors import SegsizeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_segsize.project.annotation import ImageRecord, Split

__all__ = ["divided", "mixed_groups"]


def divided(
    images: Sequence[ImageRecord], *, validation: float, test: float, by: Literal["group", "image"], seed: int
) -> dict[int, Split]:
    """Draw a split: image number -> split. See `Project.assign_splits`."""
    if by not in ("group", "image"):
        raise ValueError(f'by: expected "group" or "image", got {by!r}')
    if validation < 0 or test < 0 or validation + test > 1:
        raise SegsizeError(
            f"The parts for validation ({validation:g}) and test ({test:g}) must be at least 0 and together "
            "at most 1."
        )
    units: dict[str | int, list[int]] = {}
    for image in images:
        units.setdefault(image.group if by == "group" else image.id, []).append(image.id)
    order = list(units)
    random.Random(seed).shuffle(order)
    held_out = {"validation": _share(validation, len(order)), "test": _share(test, len(order))}
    while order and sum(held_out.values()) >= len(order) and validation + test < 1:
        # So few that rounding up would leave nothing to learn from.
        largest = max(held_out, key=lambda part: held_out[part])
        held_out[largest] -= 1
    parts: list[Split] = ["validation"] * held_out["validation"]
    parts += ["test"] * held_out["test"]
    parts += ["train"] * (len(order) - len(parts))
    return {image_id: part for unit, part in zip(order, parts, strict=True) for image_id in units[unit]}


def mixed_groups(images: Sequence[ImageRecord]) -> tuple[str, ...]:
    """Groups with images in more than one split: what was learnt from them flatters the validation."""
    seen: dict[str, set[str]] = {}
    for image in images:
        seen.setdefault(image.group, set()).add(image.split)
    return tuple(group for group, splits in seen.items() if len(splits) > 1)


def _share(part: float, count: int) -> int:
    """How many of `count`; at least one when a part was asked for."""
    return max(round(part * count), 1) if part > 0 and count > 0 else 0
