"""What a step of a level-set network minimises."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..losses.contour_size import contour_size_loss
from ..losses.levelset import motion_direction_loss, phi_bce_loss, phi_distance_loss, truncated_distance
from ..losses.projection import projection_loss
from ..models.levelset import Forces, evolve_levelset
from ..ops.levelset import heaviside
from ..ops.points import extents_of, extreme_points, outset
from ..ops.size import object_size
from .batch import generator_for
from .contour_batch import ContourBatch
from .levelset_config import LevelSetConfig

__all__ = ["LevelSetObjective", "agrees", "levelset_objective"]

LevelSetObjective = Callable[[Tensor, ContourBatch, int, Callable[[Tensor], Tensor]], dict[str, Tensor]]

_PAPER_SIDE = 256  # px: the distance weight is in the pixels of the paper's region
_SHIFT = 7  # of the random numbers that grow and shrink a start
_LEAST = 1e-4  # the share of a pixel is never wholly sure
_ENDS = 0.05  # of the extent: how far off an own level set may end, beside one pixel
_SIZE_STEP = 2.0  # image px: sizes are even


def levelset_objective(config: LevelSetConfig, dt: float) -> LevelSetObjective:
    """The losses of the paper in its two phases, and what points and sizes say of objects without a mask.

    First the true distance evolves, grown or shrunk at random, so that motion and modulation learn from an
    outline that is nearly right; then the network's own start evolves, by its own `dt`. An object without a
    mask always evolves from the network's start. Each term is a share of the whole batch's mean, so that the
    parts of a batch add up.
    """
    first = round(config.pretraining * config.steps)

    def objective(
        channels: Tensor, batch: ContourBatch, step: int, teacher: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        early = step <= first
        terms: dict[str, Tensor] = {}
        known, weak = batch.masked, ~batch.masked
        if known.any():
            generator = generator_for(config.seed, step, _SHIFT)
            side = int(channels.shape[-1])
            shift = (2 * torch.rand(batch.total, generator=generator) - 1) * config.shift * side
            shift = shift[: len(known)].to(channels)[known]
            terms |= _strong_terms(config, channels[known], batch.target[known], shift, dt, early=early)
        if weak.any():
            terms |= _weak_terms(config, channels[weak], batch, dt, teacher)
        return {name: value.sum() / max(batch.total, 1) for name, value in terms.items()}

    return objective


def _strong_terms(
    config: LevelSetConfig, channels: Tensor, target: Tensor, shift: Tensor, dt: float, *, early: bool
) -> dict[str, Tensor]:
    """The losses of the paper, of each object with a mask ``(M, 1)``."""
    forces, target = Forces.of(channels), target.clamp(0, 1)
    start = truncated_distance(target).to(channels) if early else forces.phi
    last = evolve_levelset(
        forces,
        phi=start + shift[:, None, None, None],
        steps=config.iterations,
        dt=config.pretraining_dt if early else dt,
    )[-1]
    terms = {"final": config.final_weight * phi_bce_loss(last, target, width=config.width, reduction="none")}
    share = 1.0 if early else config.kept
    if share:
        pixels = (_PAPER_SIDE / target.shape[-1]) ** 2
        distance = phi_distance_loss(forces.phi, target, reduction="none")
        terms["distance"] = share * config.distance_weight * pixels * distance
        direction = motion_direction_loss(forces.motion, target, reduction="none")
        terms["direction"] = share * config.direction_weight * direction
    return terms


def _weak_terms(
    config: LevelSetConfig,
    channels: Tensor,
    batch: ContourBatch,
    dt: float,
    teacher: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """What extreme points and sizes say of each object without a mask."""
    weak = ~batch.masked
    forces, points, size, pixel = Forces.of(channels), batch.points[weak], batch.size[weak], batch.pixel[weak]
    last = evolve_levelset(forces, steps=config.iterations, dt=dt)[-1]
    shape = (int(last.shape[2]), int(last.shape[3]))
    terms = {}
    if config.points_weight and not points.isnan().all():
        # Clicks lie on the outline; the outermost pixels of the region end there. The places of the clicks
        # themselves are left out: what asks for the object there has no counterpart, and moves it outwards.
        ends = extents_of(outset(points, -0.5)[:, None])
        inside = heaviside(last, width=config.width).clamp(_LEAST, 1 - _LEAST).logit()
        value = projection_loss(inside, ends, reduction="none")
        terms["extreme points"] = config.points_weight * value
    if config.size_weight and not size.isnan().all():
        # near its line phi is a distance: what of a pixel lies inside, as of a polygon
        masks = (last + 0.5).clamp(0, 1)
        value = contour_size_loss(
            batch.contours[weak], size, shape, pixel=pixel, masks=masks, reduction="none"
        )
        terms["size"] = config.size_weight * value
    if config.own_weight:
        with torch.no_grad():
            own = evolve_levelset(Forces.of(teacher(batch.inputs[weak])), steps=config.iterations, dt=dt)
            mask = own[-1] > 0
        right = agrees(mask, points, size, pixel)
        value = phi_bce_loss(last, mask, width=config.width, reduction="none")
        terms["own level sets"] = config.own_weight * config.final_weight * value * right[:, None]
    return terms


def agrees(masks: Tensor, points: Tensor, size: Tensor, pixel: Tensor) -> Tensor:
    """Which masks can be believed: they end where their objects do, and are as large.

    Points and sizes cannot replace a mask, but they tell a right one from a wrong one.

    Parameters
    ----------
    masks : (M, 1, S, S) bool Tensor
    points : (M, 4, 2) Tensor
        Extreme points of the outlines; NaN where unknown.
    size : (M, 1) Tensor
        NaN where unknown.
    pixel : (M,) Tensor
        Side of an image pixel; all in pixels of the region.

    Returns
    -------
    (M,) bool Tensor
        False where neither is known.
    """
    wanted = extents_of(outset(points, -0.5)[:, None])[:, 0]  # (M, 4): top, left, bottom, right
    found = extents_of(extreme_points(masks).to(wanted))[:, 0].nan_to_num(-torch.inf)
    extent = (wanted[:, 2:] - wanted[:, :2]).amax(-1, keepdim=True)
    # NaN, where something is unknown, is not far
    ends = ~((found - wanted).abs() > 1 + _ENDS * extent).any(-1)
    off = (object_size(masks).to(size) - size).abs()[:, 0]
    fits = ~(off > _SIZE_STEP * pixel.clamp(min=1))
    told = wanted.isfinite().all(-1) | size.isfinite()[:, 0]
    return ends & fits & told
