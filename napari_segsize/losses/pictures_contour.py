"""The pictures behind the losses on contours: what is covered, what each vertex costs, squares and gaps.

Every function takes one contour ``(1, K, 2)``, what the loss learns from as it takes it, and the settings of
the loss; `napari_segsize.losses.microscope` calls them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from napari_segsize.losses._contours import rendered
from napari_segsize.losses.contour_size import largest_square
from napari_segsize.losses.picture import Picture
from napari_segsize.ops.points import outset
from napari_segsize.ops.signed_distance import has_edge, signed_distance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Settings = Mapping[str, Any]
    Painter = Callable[[Tensor, Tensor | None, Settings], Picture]

__all__ = ["CONTOUR_PICTURES"]


def paint_covered(contours: Tensor, target: Tensor | None, _: Settings) -> Picture:
    """Share of each pixel that the polygon covers, and where that is too much or too little."""
    assert target is not None
    mask, truth = rendered(contours, (target.shape[2], target.shape[3])), target.to(contours)
    maps = {
        "rendered mask": mask,
        "ghosts": (mask - truth).clamp(min=0),
        "misses": (truth - mask).clamp(min=0),
        "cost": (mask - truth).square(),
    }
    notices: tuple[str, ...] = ()
    if not (mask * truth).any():
        notices = ("The contour does not touch the object: this loss can only shrink it.",)
    return Picture(maps={name: each[0, 0] for name, each in maps.items()}, notices=notices)


def paint_balloon(contours: Tensor, _: Tensor | None, settings: Settings) -> Picture:
    """Share of each pixel that the polygon covers, and the rest, which is the loss."""
    mask = rendered(contours, settings["shape"])[0, 0]
    return Picture(maps={"rendered mask": mask, "outside": 1 - mask})


def paint_curvature(contours: Tensor, _: Tensor | None, settings: Settings) -> Picture:
    """What each vertex adds: how far it lies from the middle of its neighbours."""
    unit = contours[0] * (2 / max(settings["shape"]))
    bend = unit.roll(1, 0) - 2 * unit + unit.roll(-1, 0)
    if settings["invariant"]:
        bend = bend / (2 - 2 * math.cos(2 * math.pi / len(unit)))
    length = torch.linalg.vector_norm(bend, dim=-1)
    return _of_vertices(contours, length.square() if settings["squared"] else length)


def paint_distance(contours: Tensor, target: Tensor | None, _: Settings) -> Picture:
    """The distance to the true outline, and what each vertex finds there."""
    assert target is not None
    distance = signed_distance(target > 0.5).to(contours)
    if not has_edge(target > 0.5).all():
        kind = "full" if (target > 0.5).all() else "empty"
        return Picture(notices=(f"The target is {kind}: it has no outline to be near.",))
    sides = contours.new_tensor(target.shape[2:])
    place = ((2 * contours[None] + 1) / sides - 1).flip(-1)
    away = functional.grid_sample(distance, place, padding_mode="border", align_corners=False)[0, 0, 0]
    seen = _of_vertices(contours, (away / sides.amax()).square())
    return Picture(maps={"distance to target": distance[0, 0].abs()}, marks=seen.marks)


def paint_extreme_points(contours: Tensor, points: Tensor | None, settings: Settings) -> Picture:
    """From each point to the nearest place on the contour, and as far as the contour reaches beyond it."""
    assert points is not None
    goal = outset(points, settings["pixel"] / 2)[0]  # (4, 2)
    start, along = contours[0], contours[0].roll(-1, 0) - contours[0]
    offset = goal[:, None] - start  # (4, K, 2)
    share = (offset * along).sum(-1) / along.square().sum(-1).clamp(min=torch.finfo(start.dtype).tiny)
    way = share.clamp(0, 1)[..., None] * along - offset  # from the point to each edge
    gap = way[torch.arange(len(goal)), way.square().sum(-1).argmin(-1)]
    outward = goal.new_tensor([[-1, 0], [0, -1], [1, 0], [0, 1]])
    reach = (start @ outward.T).amax(0) - (goal * outward).sum(-1)
    return Picture(
        marks={
            "true points": points[0].numpy(),
            "gaps": torch.cat((goal, gap), 1).numpy(),
            "reach": torch.cat((goal, reach[:, None] * outward), 1).numpy(),
        }
    )


def paint_contour_size(contours: Tensor, size: Tensor | None, settings: Settings) -> Picture:
    """The largest square in the rendered mask, and one of the size to learn around the same centre."""
    assert size is not None
    mask = rendered(contours, settings["shape"])
    centre, side = largest_square(mask)
    goal = (size[:, 0] - settings["pixel"] / 2).clamp(min=0).to(side)
    squares = torch.cat((torch.cat((centre, side[:, None]), 1), torch.cat((centre, goal[:, None]), 1)))
    said = f"The largest square inside is {side.item():.4g} px wide; wanted are {goal.item():.4g} px."
    maps, marks = {"rendered mask": mask[0, 0]}, {"squares": squares.double().numpy()}
    return Picture(maps=maps, marks=marks, notices=(said,))


def _of_vertices(contours: Tensor, cost: Tensor) -> Picture:
    return Picture(marks={"vertices": torch.cat((contours[0], cost[:, None]), 1).double().numpy()})


CONTOUR_PICTURES: dict[str, Painter] = {
    "contour_segmentation": paint_covered,
    "balloon": paint_balloon,
    "curvature": paint_curvature,
    "contour_distance": paint_distance,
    "extreme_points": paint_extreme_points,
    "contour_size": paint_contour_size,
}
"""By the name in the catalogue."""
