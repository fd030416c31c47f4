"""One annotated plane as tensors: its mask, and what is known of its objects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..ops.centroid import centroid
from ..ops.points import extents_of, extreme_points, ordered
from ..ops.size import object_size
from ..project import Contour, PlaneAnnotation, PlaneRef
from ..project.outlines import mask_of

__all__ = ["Item", "item_of"]

_NOTHING = (np.nan, np.nan, np.nan)
_NO_POINTS = torch.full((4, 2), torch.nan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Item:
    """One annotated plane."""

    plane: PlaneRef
    shape: tuple[int, int]
    mask: Tensor | None = None  # (H, W) bool: every pixel known
    objects: Tensor = field(
        default_factory=lambda: torch.empty(0, 3)
    )  # (K, 3): size, y, x; NaN where unknown
    points: Tensor = field(
        default_factory=lambda: torch.empty(0, 4, 2)
    )  # (K, 4, 2): extreme points, top, left, bottom, right; NaN where unknown; none: unknown for all

    def __post_init__(self) -> None:
        count = len(self.objects)
        if len(self.points) == 0:
            object.__setattr__(self, "points", torch.full((count, 4, 2), torch.nan))
        elif self.points.shape != (count, 4, 2):
            raise ValueError(f"points: expected {(count, 4, 2)}, got {tuple(self.points.shape)}")

    @property
    def extents(self) -> Tensor:
        """Outermost rows and columns of each object, (K, 4): top, left, bottom, right; NaN where unknown."""
        return extents_of(self.points)

    @property
    def places(self) -> Tensor:
        """Size, y and x of where each object is looked for, (K, 3): its box, if known, else its stamp."""
        low, high = self.extents[:, :2], self.extents[:, 2:]
        box = torch.cat([(high - low).amax(-1, keepdim=True) + 1, (low + high) / 2], -1)
        return torch.where(box.isnan().any(-1, keepdim=True), self.objects, box)

    @property
    def located(self) -> int:
        """How many objects have a place: a centre, or extents."""
        return int((~self.places[:, 1].isnan()).sum())

    @property
    def sized(self) -> int:
        """How many objects have a size."""
        return int((~self.objects[:, 0].isnan()).sum())

    @property
    def bounded(self) -> int:
        """How many objects have extents."""
        return int((~self.extents.isnan().any(1)).sum())

    def without_points(self) -> Item:
        """The item with its sizes alone."""
        if not self.bounded:
            return self
        return Item(
            plane=self.plane,
            shape=self.shape,
            mask=self.mask,
            objects=self.objects[~self.objects[:, 0].isnan()],
        )

    def with_size_of_mask(self) -> Item:
        """The item with the size its mask tells, when no size was entered."""
        if self.mask is None or len(self.objects):
            return self
        size = object_size(self.mask[None, None]).item()
        return Item(
            plane=self.plane,
            shape=self.shape,
            mask=self.mask,
            objects=torch.tensor([[size, torch.nan, torch.nan]]),
        )


def item_of(annotation: PlaneAnnotation, shape: tuple[int, int]) -> Item | None:
    """Turn one plane's annotation into an item; None when it says nothing a network could learn."""
    mask: Tensor | None = None
    if annotation.mask is not None:
        mask = torch.from_numpy(annotation.mask > 0)
    elif annotation.no_object:
        mask = torch.zeros(shape, dtype=torch.bool)
    outlined = {each.object: _outlined(each, shape) for each in annotation.contours if each.labelled}
    rows = []
    for stamp in annotation.stamps:
        points = outlined.pop(stamp.object, (_NOTHING, _NO_POINTS))[1]
        rows.append(((stamp.size, *(stamp.centre or (np.nan, np.nan))), points))
    rows += [said for said in outlined.values() if not said[1].isnan().all()]
    located = [row for row in rows if not (np.isnan(row[0][1]) and row[1].isnan().all())]
    if not located and len(rows) > 1:
        # without locations only the largest can be told from the image: its size is the image's size
        rows = [max(rows, key=lambda row: row[0][0])]
    elif located:
        rows = located
    if mask is None and not rows:
        return None
    return Item(
        plane=annotation.plane,
        shape=shape,
        mask=mask,
        objects=torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 3),
        points=torch.stack([row[1] for row in rows]) if rows else torch.empty(0, 4, 2),
    )


def _outlined(contour: Contour, shape: tuple[int, int]) -> tuple[tuple[float, float, float], Tensor]:
    """Size, y, x and extreme points of an object: of its accepted outline, else of its four clicks alone."""
    mask = torch.from_numpy(mask_of(contour.rings, shape))[None, None] if contour.accepted else None
    if mask is not None and mask.any():
        y, x = centroid(mask.float())[0, 0].tolist()
        return (object_size(mask).item(), y, x), extreme_points(mask)[0, 0]
    if len(contour.points) == 4:
        return _NOTHING, ordered(torch.tensor([contour.points], dtype=torch.float32))[0]
    return _NOTHING, _NO_POINTS
