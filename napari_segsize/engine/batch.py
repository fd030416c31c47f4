"""Batches: crops with their known pixels and their objects' windows, repeatable from (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..ops.points import extents_of
from ..project import PlaneRef
from .augment import affine_matrices, relight, warp, warp_images, warp_masks
from .crop import Crop, cut_crop, flipped
from .dataset import Dataset, Item
from .recipe import epoch_length

__all__ = ["Batch", "BatchSource", "generator_for", "windows_of"]

_OBJECTS_PER_CROP = 16  # more stamps than this in one crop are drawn from at random


def generator_for(seed: int, step: int, purpose: int = 0) -> torch.Generator:
    """A generator that depends on nothing but its arguments, so that a resumed run draws the same numbers."""
    # odd multipliers spread neighbouring steps; Mersenne Twister mixes the rest
    state = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + purpose * 0x94D049BB133111EB) % (1 << 63)
    return torch.Generator().manual_seed(state)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """B crops, K objects seen through windows of equal shape, and S turned copies of crops with sizes.

    `known` is 1 where the target of a pixel is known. The `total_*` numbers count over the whole batch,
    also in a part of it, so that the parts' losses add up to the batch's.
    """

    images: Tensor  # (B, C, h, w) float
    target: Tensor  # (B, 1, h, w) float, 0 or 1
    known: Tensor  # (B, 1, h, w) bool
    owner: Tensor  # (K,) long: the crop an object lies in
    size: Tensor  # (K, 1) float, px; NaN when unknown
    centre: Tensor  # (K, 1, 2) float, px in the window; NaN when unknown
    points: Tensor  # (K, 1, 4, 2) float, px in the window: extreme points; NaN when unknown
    corner: Tensor  # (K, 2) long: the window's first pixel in the crop
    domain: Tensor  # (K, 1, wh, ww) bool: pixels of the window that belong to the object
    rows: Tensor  # (K,) long: number of the object in the whole batch
    planes: tuple[PlaneRef, ...]  # (B): where each crop was cut from
    total_crops: int
    total_masks: int
    total_sizes: int
    total_centres: int
    total_extents: int
    total_objects: int
    clean: Tensor  # (S, C, h, w): crops with sizes before they were re-lit, for the teacher
    turned: Tensor  # (S, C, h, w): the same crops turned, zoomed and re-lit, for the student
    matrices: Tensor  # (S, 2, 3): how they were turned
    origin: Tensor  # (S,) long: the crop each was made from
    total_turned: int

    @property
    def inputs(self) -> Tensor:
        """All that goes through the network: the crops, then the turned ones."""
        return torch.cat([self.images, self.turned]) if len(self.turned) else self.images

    def part(self, index: int, parts: int) -> Batch:
        """Every `parts`-th crop, beginning with `index`, and its objects."""
        if parts == 1:
            return self
        crops = torch.arange(index, len(self.images), parts)
        mine = self.owner % parts == index
        from_mine = self.origin % parts == index
        return replace(
            self,
            images=self.images[crops],
            target=self.target[crops],
            known=self.known[crops],
            owner=self.owner[mine] // parts,
            size=self.size[mine],
            centre=self.centre[mine],
            points=self.points[mine],
            corner=self.corner[mine],
            domain=self.domain[mine],
            rows=self.rows[mine],
            planes=self.planes[index::parts],
            clean=self.clean[from_mine],
            turned=self.turned[from_mine],
            matrices=self.matrices[from_mine],
            origin=self.origin[from_mine] // parts,
        )

    def to(self, device: torch.device) -> Batch:
        """The batch on another device; bookkeeping indices follow."""
        moved = {
            item.name: value.to(device)
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[arg-type]  # only tensor fields are in it

    def through_windows(self, logits: Tensor) -> Tensor:
        """Cut the objects' windows out of ``(B, 1, h, w)`` logits: ``(K, 1, wh, ww)``, differentiable."""
        height, width = self.domain.shape[2:]
        if (height, width) == tuple(logits.shape[2:]):
            return logits[self.owner]
        y = self.corner[:, 0, None] + torch.arange(height, device=logits.device)
        x = self.corner[:, 1, None] + torch.arange(width, device=logits.device)
        cut: Tensor = logits[self.owner[:, None, None], 0, y[:, :, None], x[:, None, :]]
        return cut[:, None]


def windows_of(
    objects: Tensor, shape: tuple[int, int], side: tuple[int, int], context: float, chosen: Tensor
) -> tuple[Tensor, Tensor]:
    """Windows around the `chosen` stamps of one crop, split between neighbours.

    A pixel belongs to the stamp whose square is nearest (Chebyshev distance to the centre, less half the
    size), and to none beyond ``context * size`` from every centre.

    Parameters
    ----------
    objects : (K, 3) Tensor
        Size, y, x of every stamp of the crop.
    shape, side : (int, int)
        Of the crop, and of the windows; windows are moved to lie inside the crop.
    context : float
        Half side of a stamp's own region, in sizes.
    chosen : (k,) long Tensor

    Returns
    -------
    corner : (k, 2) long Tensor
    domain : (k, 1, *side) bool Tensor
    """
    centre, size = objects[:, 1:], objects[:, 0]
    wanted = centre[chosen]
    limit = torch.tensor(shape) - torch.tensor(side)
    corner = (wanted - (torch.tensor(side) - 1) / 2).round().long().clamp(min=0).minimum(limit)
    y = corner[:, 0, None] + torch.arange(side[0])
    x = corner[:, 1, None] + torch.arange(side[1])
    away = torch.maximum(
        (y[:, :, None, None] - centre[:, 0]).abs(), (x[:, None, :, None] - centre[:, 1]).abs()
    )  # (k, wh, ww, K)
    nearest = (away - size / 2).argmin(-1)
    own = away.gather(-1, chosen[:, None, None, None].expand(*away.shape[:3], 1))[..., 0]
    domain = (nearest == chosen[:, None, None]) & (own <= context * size[chosen, None, None].clamp(min=2))
    return corner, domain[:, None]


class BatchSource:
    """Draws batches from a data set; the same (seed, step) always gives the same batch.

    Parameters
    ----------
    dataset : Dataset
    masks, sizes : int
        Crops with masks, and crops with sizes, in each batch. Items are taken in shuffled epochs.
    patch : int
        Largest crop side.
    augment : bool
        Masks are flipped, turned, zoomed and re-lit; sizes only flipped and re-lit, because the biggest
        square that fits changes when an object turns. With `turned`, sizes are not flipped either.
    turned : bool
        Hand out a second, turned view of every crop with sizes, to learn the network's own masks on.
    one_object : bool
        A size speaks of the whole image instead of a window around its stamp.
    context : float
        Half side of a stamp's window, in object sizes.
    seed : int

    Attributes
    ----------
    left_out : int
        Planes whose sizes cannot be used: without a place they speak of the whole plane, which a window or a
        crop does not show.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        masks: int = 0,
        sizes: int = 0,
        patch: int = 256,
        augment: bool = True,
        turned: bool = False,
        one_object: bool = True,
        context: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.dataset = dataset
        self.with_mask = dataset.masks if masks else ()
        self.with_size = tuple(
            item
            for item in (dataset.sizes if sizes else ())
            if item.located or (one_object and max(item.shape) <= patch)
        )
        self.left_out = len(dataset.sizes) - len(self.with_size) if sizes else 0
        self.masks, self.sizes = masks if self.with_mask else 0, sizes if self.with_size else 0
        self.augment, self.turned, self.seed = augment, turned, seed
        self.one_object, self.context = one_object, context
        used = (*self.with_mask, *self.with_size)
        height, width = (max((item.shape[axis] for item in used), default=1) for axis in (0, 1))
        self.side = min(patch, height), min(patch, width)
        largest = max((float(item.places[:, 0].max()) for item in self.with_size), default=0.0)
        window = 2 * math.ceil(context * max(largest, 2)) + 1
        self.window = self.side if one_object else (min(self.side[0], window), min(self.side[1], window))

    @property
    def epoch(self) -> int:
        """Steps of an epoch: a pass over the planes with masks, or with sizes if masks are not used."""
        items, count = (self.with_mask, self.masks) if self.masks else (self.with_size, self.sizes)
        return epoch_length(len(items), count)

    def __call__(self, step: int) -> Batch:
        """The batch of one step, counted from 1."""
        generator = generator_for(self.seed, step)
        chosen = [(item, False) for item in self._take(self.with_mask, self.masks, step, 1)]
        chosen += [(item, True) for item in self._take(self.with_size, self.sizes, step, 2)]
        one_object = self.one_object
        crops = [
            cut_crop(self.dataset, item, self.side, weak=weak, one_object=one_object, generator=generator)
            for item, weak in chosen
        ]
        images, target, known, inside = (
            torch.stack([getattr(crop, name) for crop in crops])
            for name in ("image", "target", "known", "inside")
        )
        weak = torch.tensor([weak for _, weak in chosen])
        if self.augment:
            matrices, flips = affine_matrices(weak, images.shape[2:], generator)
            if self.turned:  # the teacher looks at these crops: leave them as the images lie
                matrices = torch.where(weak[:, None, None], torch.eye(2, 3), matrices)
                flips = flips & ~weak[:, None]
            images, target, known = warp(images, target, known, matrices)
            if not inside.all():
                inside = warp_masks(inside.float(), inside, matrices)[1]
            shape = images.shape[2:]
            crops = [flipped(crop, flip, shape) for crop, flip in zip(crops, flips, strict=True)]
        clean = images
        if self.augment:
            images = relight(images, generator)
        planes = tuple(item.plane for item, _ in chosen)
        batch = self._assemble(images, target, known, inside, crops, planes, generator)
        return self._with_turned(batch, clean, weak, generator) if self.turned else batch

    def _with_turned(self, batch: Batch, clean: Tensor, weak: Tensor, generator: torch.Generator) -> Batch:
        """Add a second view of the crops that carry sizes, turned and re-lit like crops with masks."""
        origin = weak.nonzero()[:, 0]
        clean = clean[origin]
        matrices, _ = affine_matrices(torch.zeros(len(origin), dtype=torch.bool), clean.shape[2:], generator)
        turned = relight(warp_images(clean, matrices), generator)
        return replace(
            batch, clean=clean, turned=turned, matrices=matrices, origin=origin, total_turned=len(origin)
        )

    def _take(self, items: Sequence[Item], count: int, step: int, purpose: int) -> list[Item]:
        """`count` items of this step: shuffled epochs, joined end to end."""
        taken: list[Item] = []
        position = (step - 1) * count
        while len(taken) < count:
            epoch, offset = divmod(position, len(items))
            order = torch.randperm(len(items), generator=generator_for(self.seed, epoch, purpose))
            indices = order[offset : offset + count - len(taken)].tolist()
            taken += [items[index] for index in indices]
            position += len(indices)
        return taken

    def _assemble(
        self,
        images: Tensor,
        target: Tensor,
        known: Tensor,
        inside: Tensor,
        crops: Sequence[Crop],
        planes: tuple[PlaneRef, ...],
        generator: torch.Generator,
    ) -> Batch:
        """Gather the objects of all crops behind windows of one shape."""
        owners, sizes, centres, points, corners, domains = [], [], [], [], [], []
        side = (self.window[0], self.window[1])
        shape = (images.shape[2], images.shape[3])
        for index, crop in enumerate(crops):
            found = crop.objects
            if not len(found):
                continue
            if self.one_object:
                corner = torch.zeros(1, 2, dtype=torch.long)
                domain = inside[index][None]
                picked = torch.zeros(1, dtype=torch.long)
            else:
                picked = torch.randperm(len(found), generator=generator)[:_OBJECTS_PER_CROP]
                corner, domain = windows_of(crop.places, shape, side, self.context, picked)
                for k, (y, x) in enumerate(corner.tolist()):
                    domain[k] &= inside[index, :, y : y + side[0], x : x + side[1]]
                own = domain.flatten(1).any(1)  # a stamp within a larger one's square may own no pixel
                picked, corner, domain = picked[own], corner[own], domain[own]
            centre = found[picked, 1:3] - corner
            owners.append(torch.full((len(picked),), index))
            sizes.append(found[picked, 0])
            centres.append(torch.where(found[picked, 3:] > 0, centre, torch.nan))
            points.append(crop.points[picked] - corner[:, None])
            corners.append(corner)
            domains.append(domain)
        count = sum(len(owner) for owner in owners)
        size = torch.cat([*sizes, torch.empty(0)])[:, None]
        centre = torch.cat([*centres, torch.empty(0, 2)])[:, None]
        extreme = torch.cat([*points, torch.empty(0, 4, 2)])[:, None]
        return Batch(
            images=images,
            target=target,
            known=known,
            owner=torch.cat([*owners, torch.empty(0, dtype=torch.long)]),
            size=size,
            centre=centre,
            points=extreme,
            corner=torch.cat([*corners, torch.empty(0, 2, dtype=torch.long)]),
            domain=torch.cat([*domains, torch.empty(0, 1, *side, dtype=torch.bool)]),
            rows=torch.arange(count),
            planes=planes,
            total_crops=len(images),
            total_masks=int(known.flatten(1).any(1).sum()),
            total_sizes=int((~size.isnan()).sum()),
            total_centres=int((~centre.isnan().any(-1)).sum()),
            total_extents=int((~extents_of(extreme).isnan().all(-1)).sum()),
            total_objects=count,
            clean=images[:0],
            turned=images[:0],
            matrices=torch.empty(0, 2, 3),
            origin=torch.empty(0, dtype=torch.long),
            total_turned=0,
        )
