"""Batches for contour networks: regions, prompts, starts and targets, repeatable from (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..ops.points import heat_map, jitter, ordered, outset
from ..ops.polygon import polygon_mask
from ..ops.roi import Rois, rois_of_points
from ..ops.starts import circle_contour, extreme_points_contour, stamp_contour
from .augment import relight
from .batch import generator_for
from .closeup import MARGIN, PATCH, SIDE, CloseUp, normalised_rois, outline_points
from .contour_random import outlines_near, stamps_on

__all__ = ["HEAT_SIGMA", "ContourBatch", "ContourSource", "prompted"]

HEAT_SIGMA = 2.0
"""Width of the spots that mark the extreme points, in pixels of the region."""

_ZOOM, _STRETCH = 0.25, 0.2
_NO_CLICKS_ZOOM = 0.3  # the paper rescales by 0.75 to 1.5
_STAMP_SHARE, _NEAR_SHARE, _BARE_SHARE = 0.15, 0.15, 0.05
_JITTER = 0.03  # of the extent: how far off a click is
_INSET = 0.5  # image px: some click on the outermost pixels' centres, some on the outline beyond them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContourBatch:
    """B regions, the contours they start from, and what is known of the objects in them."""

    inputs: Tensor  # (B, channels + prompts, S, S)
    contours: Tensor  # (B, K, 2): the start, ROI px
    target: Tensor  # (B, 1, S, S): share of each pixel, 0 to 1; 0 where no mask is known
    masked: Tensor  # (B,) bool: whether the target is known
    points: Tensor  # (B, 4, 2): NaN where unknown
    size: Tensor  # (B, 1): ROI px, NaN where unknown
    pixel: Tensor  # (B,): side of an image pixel in ROI px
    total: int  # regions of the whole batch
    planes: tuple[Any, ...] = ()  # where each region is from, if that is known

    @property
    def images(self) -> Tensor:
        """What the loop counts."""
        return self.inputs

    def part(self, index: int, parts: int) -> ContourBatch:
        """Every `parts`-th region, beginning with `index`."""
        if parts == 1:
            return self
        changes: dict[str, Any] = {
            item.name: value[index::parts]
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **changes, planes=self.planes[index::parts])

    def to(self, device: torch.device) -> ContourBatch:
        """The batch on another device."""
        changes = {
            item.name: value.to(device)
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **changes)  # type: ignore[arg-type]  # only tensor fields are in it


def prompted(images: Tensor, points: Tensor, contours: Tensor, prompts: int) -> Tensor:
    """Regions with their prompts: heat map of the extreme points, mask of the start contour.

    Parameters
    ----------
    images : (B, C, S, S) Tensor
        Normalised, see `normalised_rois`.
    points : (B, 4, 2) Tensor
        ROI px; a row of NaN has an empty heat map.
    contours : (B, K, 2) Tensor
        The start, ROI px.
    prompts : {0, 2}
        0: the images alone, as in the paper.
    """
    if prompts == 0:
        return images
    shape = (int(images.shape[2]), int(images.shape[3]))
    known = points.isfinite().flatten(1).all(1)
    heat = heat_map(points.nan_to_num(-1e4), shape, sigma=HEAT_SIGMA * shape[0] / SIDE)
    heat = heat * known[:, None, None, None]
    start = polygon_mask(contours.detach(), shape)
    return torch.cat([images, heat.to(images.dtype), start.to(images.dtype)], 1)


class ContourSource:
    """Draw batches of close-ups: turned, zoomed, re-lit, with clicks that are a little off.

    Parameters
    ----------
    items : sequence of CloseUp
        Those with masks are turned by any angle; those with points or a size alone only by right angles,
        which keep extreme points and sizes what they are.
    batch_size : int
        Regions in one step.
    vertices : int
        Of the start contours.
    prompts : {0, 2}
        See `prompted`. With 0 every start is the paper's circle.
    circle : float
        Radius of a circle in the middle of the close-up to start from, whatever the object (the paper's
        protocol), in pixels of the region; 0 starts from the clicks.
    side : int
        Of the regions, in pixels.
    turn : float
        The largest turn of a close-up with a mask, either way, in degrees; below 180 nothing is mirrored
        either, for objects that always lie the same way.
    """

    def __init__(
        self,
        items: Sequence[CloseUp],
        *,
        batch_size: int,
        vertices: int,
        prompts: int = 2,
        augment: bool = True,
        circle: float = 0.0,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        side: int = SIDE,
        turn: float = 180.0,
    ) -> None:
        self.items, self.batch_size, self.vertices, self.side = list(items), batch_size, vertices, side
        self.turn = turn
        self.prompts, self.augment, self.circle, self.seed = prompts, augment, circle, seed
        self._weights = torch.tensor(weights if weights is not None else [1.0] * len(self.items))

    def __call__(self, step: int) -> ContourBatch:
        """Draw the batch of one step."""
        generator = generator_for(self.seed, step)
        chosen = torch.multinomial(
            self._weights, self.batch_size, replacement=self.batch_size > len(self.items), generator=generator
        )
        return self.batch([self.items[index] for index in chosen.tolist()], generator)

    def batch(self, items: Sequence[CloseUp], generator: torch.Generator | None) -> ContourBatch:
        """Make a batch of these close-ups; without a generator nothing is changed at random."""
        masked = torch.tensor([item.mask is not None for item in items])
        images = torch.stack([item.image for item in items])
        empty = torch.zeros(1, *images.shape[2:])
        masks = torch.stack([item.mask if item.mask is not None else empty for item in items])
        points = torch.stack([item.points for item in items])
        size = torch.tensor([item.size for item in items], dtype=torch.float32)
        random = generator if self.augment else None
        linear = _linear_maps(masked, random, self.turn)
        points = ordered(points) if random is None else _carried(points, masks, masked, linear)
        patch, side = images.shape[-1], self.side
        rois = _middle_rois(len(items), patch, random) if self.circle else _rois(points, random)
        images = _through(images, linear, rois, side, "border")
        masks = _through(masks, linear, rois, side, "zeros")
        points, size = rois.inside(points, side), (size / rois.scale)[:, None]
        scale = torch.tensor([item.scale for item in items], dtype=torch.float32)
        images = normalised_rois(images)
        if random is not None:
            images = relight(images, random)
        centre = rois.inside(torch.full((len(items), 1, 2), (patch - 1) / 2), side)[:, 0]
        clicked = self._clicked(points, 1 / (scale * rois.scale), generator)
        clicked, starts = self._starts(clicked, masks, masked, (centre, size), generator)
        planes = tuple(item.plane for item in items)
        planes = () if None in planes else planes
        return ContourBatch(
            inputs=prompted(images, clicked, starts, self.prompts),
            contours=starts, target=masks * masked[:, None, None, None], masked=masked,
            points=points, size=size, pixel=1 / (scale * rois.scale), total=len(items), planes=planes,
        )  # fmt: skip

    def _clicked(self, points: Tensor, pixel: Tensor, generator: torch.Generator | None) -> Tensor:
        """Where somebody clicks who means these points; `pixel` is the side of an image pixel in ROI px."""
        if generator is None or self.circle:
            return points
        inset = _INSET * torch.rand(len(points), generator=generator) * pixel if self.augment else 0 * pixel
        extent = (points.amax(1) - points.amin(1)).mean(-1)
        return jitter(outset(points, -inset[:, None, None]), _JITTER * extent[:, None, None], generator)

    def _starts(
        self,
        points: Tensor,
        masks: Tensor,
        masked: Tensor,
        stamp: tuple[Tensor, Tensor],
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """What was clicked, and the contour to start from, of each region."""
        count = len(points)
        if self.circle:
            middle = torch.full((count, 2), (self.side - 1) / 2)
            starts = circle_contour(middle, torch.full((count,), self.circle), self.vertices)
            return torch.full_like(points, torch.nan), starts
        clicked, known = points, points.isfinite().flatten(1).all(1)
        square = stamp_contour(stamp[0], stamp[1][:, 0].nan_to_num(self.side / 4), self.vertices)
        arcs = extreme_points_contour(torch.where(known[:, None, None], clicked, 0.0), self.vertices)
        starts = torch.where(known[:, None, None], arcs, square)
        if generator is None or not self.augment:
            return clicked, starts
        draw = torch.rand(count, generator=generator)
        stamped = (draw < _STAMP_SHARE) & masked
        seen = masked & (masks > 0.5).flatten(1).any(1)  # a speck has no outline
        near = (draw >= _STAMP_SHARE) & (draw < _STAMP_SHARE + _NEAR_SHARE) & seen
        bare = near & (torch.rand(count, generator=generator) < 0.3)
        if stamped.any():
            starts[stamped] = stamps_on(masks[stamped], self.vertices, generator)
        if near.any():
            starts[near] = outlines_near(masks[near], self.vertices, generator)
        clicked = torch.where((stamped | bare)[:, None, None], torch.nan, clicked)
        return clicked, starts


def _linear_maps(masked: Tensor, generator: torch.Generator | None, turn: float) -> Tensor:
    """Random maps ``(B, 2, 2)`` from the new close-up to the old one, both about the middle, (y, x)."""
    count = len(masked)
    if generator is None:
        return torch.eye(2).expand(count, 2, 2)
    turns = torch.randint(4, (count,), generator=generator) * (math.pi / 2)
    whole = turn >= 180
    free = torch.rand(count, generator=generator) * 2 * math.pi
    free = free if whole else (free - math.pi) * (turn / 180)
    angle = torch.where(masked, free, turns)
    flip = 1.0 - 2.0 * (torch.rand(count, generator=generator) < 0.5).float()
    flip = flip if whole else torch.where(masked, 1.0, flip)
    stretch = 1 + (torch.rand(count, generator=generator) * 2 - 1) * _STRETCH * masked
    cos, sin = angle.cos(), angle.sin()
    cos, sin = (torch.where(masked, value, value.round()) for value in (cos, sin))
    turned = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], 1)
    return turned @ torch.diag_embed(torch.stack([flip * stretch, 1 / stretch], -1))


def _carried(points: Tensor, masks: Tensor, masked: Tensor, linear: Tensor) -> Tensor:
    """The extreme points after the map: of the turned mask, or the same points turned by right angles."""
    patch = masks.shape[-1]
    middle = (patch - 1) / 2
    inverse = torch.linalg.inv(linear)
    moved = (points - middle) @ inverse.transpose(1, 2) + middle
    if masked.any():
        whole = Rois(torch.full((len(masks), 2), middle), torch.ones(len(masks)))
        turned = _through(masks, linear, whole, patch, "zeros")
        found = outline_points(turned > 0.5)[:, 0].to(points.dtype)
        lost = found.isnan().flatten(1).any(1)  # a speck that fell between the pixels
        use = (masked & ~lost)[:, None, None]
        moved = torch.where(use, found, moved)
    return ordered(moved)


def _middle_rois(count: int, patch: int, generator: torch.Generator | None) -> Rois:
    """Regions in the middle of close-ups, at their scale; a little off in scale when drawn at random."""
    scale = torch.ones(count)
    if generator is not None:
        draw = torch.rand(count, generator=generator) * 2 - 1
        scale = torch.exp(draw * math.log(1 + _NO_CLICKS_ZOOM))
    return Rois(torch.full((count, 2), (patch - 1) / 2), scale)


def _rois(points: Tensor, generator: torch.Generator | None) -> Rois:
    """Regions around the points, a little off in place and scale when drawn at random.

    An object without points is in the middle of its close-up, at the right scale.
    """
    known = points.isfinite().flatten(1).all(1)
    found = rois_of_points(torch.where(known[:, None, None], points, 0.0), SIDE, margin=MARGIN)
    rois = Rois(
        torch.where(known[:, None], found.centre, (PATCH - 1) / 2), torch.where(known, found.scale, 1.0)
    )
    if generator is None:
        return rois
    zoom = torch.exp((torch.rand(len(points), generator=generator) * 2 - 1) * math.log(1 + _ZOOM))
    shift = (torch.rand(len(points), 2, generator=generator) * 2 - 1) * 0.06 * SIDE
    return Rois(rois.centre + shift * rois.scale[:, None], rois.scale * zoom)


def _through(images: Tensor, linear: Tensor, rois: Rois, side: int, outside: str) -> Tensor:
    """Resample square close-ups ``(B, C, P, P)`` through regions of the mapped close-ups."""
    patch = images.shape[-1]
    steps = (torch.arange(side, dtype=torch.float32) - (side - 1) / 2)[None, :, None]
    y = (rois.centre[:, 0, None, None] + steps * rois.scale[:, None, None]).expand(-1, side, side)
    x = rois.centre[:, 1, None, None] + steps.transpose(1, 2) * rois.scale[:, None, None]
    place = torch.stack([y, x.expand(-1, side, side)], -1) - (patch - 1) / 2
    place = torch.einsum("bij,bhwj->bhwi", linear, place) + (patch - 1) / 2
    grid = (2 * place + 1) / patch - 1
    return functional.grid_sample(images, grid.flip(-1), padding_mode=outside, align_corners=False)
