"""The pictures behind the numbers: what each loss computes on its way, as maps, places and dots.

Every function takes probabilities and what the loss learns from, as ``(1, 1, *spatial)`` tensors, and the
settings of the loss; `napari_segsize.losses.microscope` calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_segsize.losses._edges import angle_cost, nms_cost
from napari_segsize.losses.active_contour import outline_length
from napari_segsize.losses.boundary import boundary_map
from napari_segsize.losses.hausdorff import outline_distance
from napari_segsize.losses.hausdorff_convolution import above_half
from napari_segsize.losses.hausdorff_erosion import residues
from napari_segsize.losses.picture import Dot, Picture
from napari_segsize.losses.pictures_box import paint_area, paint_projection
from napari_segsize.losses.topology import dots as topology_dots
from napari_segsize.ops.ball import ball_means
from napari_segsize.ops.centroid import centroid
from napari_segsize.ops.distance import chebyshev_distance
from napari_segsize.ops.skeleton import skeleton_iterations, soft_skeleton
from napari_segsize.ops.thinning import edge_map, mask_directions, outline_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Settings = Mapping[str, Any]
    Painter = Callable[[Tensor, Tensor, Settings], "Picture"]

__all__ = ["PICTURES", "Dot", "Picture"]

_LEAST = 1e-6  # costs below come from probabilities that are not quite 0 or 1


def paint_overlap(probs: Tensor, target: Tensor, _: Settings) -> Picture:
    """Errors pixel by pixel: invented and missed."""
    return Picture(maps={"ghosts": _plane(probs * (1 - target)), "misses": _plane((1 - probs) * target)})


def paint_entropy(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """What every pixel costs; with ``gamma``, less where it is well classified."""
    cost = functional.binary_cross_entropy(probs, target, reduction="none")
    agreed = probs * target + (1 - probs) * (1 - target)
    cost = cost * (1 - agreed) ** settings.get("gamma", 0.0)
    alpha = settings.get("alpha")
    if alpha is not None:
        cost = cost * (alpha * target + (1 - alpha) * (1 - target))
    return Picture(maps={"cost": _plane(cost)})


def paint_boundary(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """The signed distance map, negative inside, and what each pixel costs against the true mask."""
    distance = boundary_map(target, spacing=settings["spacing"], edge=settings["edge"])
    return Picture(
        maps={"signed distance": _plane(distance), "cost": _plane((probs - target) * distance)},
        notices=_without_outline(target),
    )


def paint_hausdorff(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """Distances to both outlines, and what each pixel costs."""
    far = {"distance to target": outline_distance(target, spacing=settings["spacing"])}
    far["distance to prediction"] = outline_distance(probs, spacing=settings["spacing"])
    weight = torch.stack([each.to(probs) ** settings["alpha"] for each in far.values()]).sum(0)
    maps = {name: _plane(each) for name, each in far.items()}
    return Picture(
        maps={**maps, "cost": _plane((probs - target) ** 2 * weight)}, notices=_without_outline(target)
    )


def paint_one_sided_hausdorff(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """Distance to the true outline, and what each pixel costs."""
    distance = outline_distance(target, spacing=settings["spacing"])
    cost = (probs - target) ** 2 * distance.to(probs) ** settings["alpha"]
    return Picture(
        maps={"distance to target": _plane(distance), "cost": _plane(cost)}, notices=_without_outline(target)
    )


def paint_erosion(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """The squared error, and what is left of it after each erosion."""
    error = (probs - target) ** 2
    left = [_plane(each) for each in residues(error, settings["erosions"], settings["erosion"])]
    notices: tuple[str, ...] = ()
    if not any(each.any() for each in left) and error.any():
        notices = ("Nothing is left after one erosion: all errors are thin or faint, and have no gradient.",)
    return Picture(maps={"non-overlap": _plane(error), "residues": torch.stack(left)}, notices=notices)


def paint_convolution(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """Share of each disk in both masks, what each pixel costs at each radius, and the costliest disks."""
    error, shares_target, shares_probs, costs, disks = (probs - target) ** 2, [], [], [], []
    radii = settings["radii"]
    means = zip(radii, ball_means(target, radii), ball_means(probs, radii), strict=True)
    for radius, near, near_probs in means:
        ghosts = (above_half(1 - near) + above_half(near_probs)) * error * probs
        misses = (above_half(near) + above_half(1 - near_probs)) * error * target
        cost = _plane(ghosts + misses) * radius ** settings["alpha"]
        shares_target.append(_plane(near))
        shares_probs.append(_plane(near_probs))
        costs.append(cost)
        if cost.max() > _LEAST:
            disks.append([*np.unravel_index(int(cost.argmax()), cost.shape), radius])
    maps = {
        "share of the disk in the target": torch.stack(shares_target),
        "share of the disk in the prediction": torch.stack(shares_probs),
        "cost": torch.stack(costs),
    }
    return Picture(maps=maps, marks={"disks": np.array(disks, float).reshape(-1, error.ndim - 1)})


def paint_active_contour(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """Length of outline in every pixel, and the area on the wrong side."""
    region = settings["inside"] * probs * (1 - target) ** 2
    region = region + settings["outside"] * (1 - probs) * target**2
    return Picture(
        maps={"length": _plane(outline_length(probs, settings["spacing"])), "region": _plane(region)}
    )


def paint_chan_vese(probs: Tensor, image: Tensor, settings: Settings) -> Picture:
    """Length of outline, unevenness inside and outside, and the two means."""
    dims = tuple(range(2, image.ndim))
    means = [
        (weight * image).sum(dims, keepdim=True) / weight.sum(dims, keepdim=True)
        for weight in (probs, 1 - probs)
    ]
    inside, outside = ((image - mean) ** 2 for mean in means)
    region = settings["inside"] * probs * inside + settings["outside"] * (1 - probs) * outside
    scale = image.var(dims, correction=0, keepdim=True).clamp(min=torch.finfo(image.dtype).tiny)
    said = [", ".join(f"{each:.4g}" for each in mean.flatten().tolist()) for mean in means]
    return Picture(
        maps={
            "length": _plane(outline_length(probs, settings["spacing"])),
            "region": _plane((region / scale).mean(1, keepdim=True)),
        },
        notices=(f"The mean is {said[0]} inside and {said[1]} outside.",),
    )


def paint_cldice(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """Both centre lines, and what of each lies outside the other mask."""
    needed = skeleton_iterations(target > 0.5)
    count = needed if settings["iterations"] is None else settings["iterations"]
    line, true_line = soft_skeleton(probs, count), soft_skeleton(target, count)
    notices = []
    if count < needed:
        notices.append(f"{count} iterations are too few: the target needs {needed}, and has no centre line.")
    if skeleton_iterations(probs > 0.5) > count:
        notices.append(
            f"The prediction is thicker than {count} iterations reach, and has no line or ghosts there."
        )
    if not true_line.any():
        notices.append("The target has no centre line: nothing can be missed.")
    maps = {
        "skeleton of the prediction": line,
        "skeleton of the target": true_line,
        "ghosts": line * (1 - target),
        "misses": true_line * (1 - probs),
    }
    return Picture(maps={name: _plane(each) for name, each in maps.items()}, notices=tuple(notices))


def paint_topology(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """The persistence diagram, with its pixels."""
    known = torch.ones(1, 1, dtype=torch.bool)
    options = {name: settings[name] for name in ("dimensions", "patch", "least")}
    found = topology_dots(probs, target > 0.5, known, **options)
    flat, shape = probs.flatten().tolist(), tuple(probs.shape[2:])

    def place(pixel: int) -> tuple[int, ...]:
        return tuple(int(each) for each in np.unravel_index(pixel, shape))

    dots = []
    rows = zip(*(each.tolist() for each in (*found.arrays[1:], found.dimension)), strict=True)
    for birth, death, wanted, dimension in rows:
        born, died = flat[birth], 0.0 if death < 0 else flat[death]
        dots.append(
            Dot(
                dimension=dimension,
                birth=born,
                death=died,
                birth_pixel=place(birth),
                death_pixel=None if death < 0 else place(death),
                wanted=wanted,
                cost=(1 - born) ** 2 + died**2 if wanted else (born - died) ** 2 / 2,
            )
        )
    missing = int(found.missing.sum())
    notices = (f"{missing} parts or holes have no dot, and no gradient.",) if missing else ()
    return Picture(dots=tuple(dots), notices=notices)


def paint_edge_bce(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """The true edges, and what every pixel costs."""
    edges = edge_map(target > 0.5, settings["radius"], border=settings["border"])
    beta = 1 - edges.double().mean() if settings["beta"] is None else settings["beta"]
    cost = functional.binary_cross_entropy(probs, edges.to(probs), reduction="none")
    cost = cost * torch.where(edges, beta, 1 - beta)
    return Picture(
        maps={"edges": _plane(edges.to(probs)), "cost": _plane(cost)}, notices=_without_outline(target)
    )


def paint_nms(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """What every true edge pixel costs, and the normals along which it should be the highest."""
    ways = mask_directions(target > 0.5)
    return _along_edges(nms_cost(probs, ways, settings["reach"], settings["tau"]), ways, target, settings)


def paint_direction(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """The angle between predicted and true normal at every true edge pixel, and the true normals."""
    ways = mask_directions(target > 0.5)
    cost = angle_cost(probs, ways, settings["smoothing"], squared=settings["squared"])
    return _along_edges(cost, ways, target, settings)


def _along_edges(cost: Tensor, ways: Tensor, target: Tensor, settings: Settings) -> Picture:
    edges = outline_map(target > 0.5, border=settings["border"])
    angle = torch.atan2(ways[0, 0, 1], ways[0, 0, 0]) / 2
    places = _plane(edges).nonzero()
    at = angle[_plane(edges)].to(torch.float64)
    marks = torch.cat((places, at.sin()[:, None], at.cos()[:, None]), 1)
    return Picture(
        maps={"edges": _plane(edges.to(cost)), "cost": _plane(torch.where(edges, cost, 0))},
        marks={"normals": marks.numpy()},
        notices=_without_outline(target),
    )


def paint_size(probs: Tensor, _: Tensor, settings: Settings) -> Picture:
    """Chessboard distance to the background: its largest value is half the size."""
    return Picture(
        maps={"chessboard distance": _plane(chebyshev_distance(probs > 0.5, border=settings["border"]))}
    )


def paint_centroid(probs: Tensor, target: Tensor, settings: Settings) -> Picture:
    """The soft centre of mass and the true one."""
    soft = centroid(probs ** settings["sharpness"])
    return Picture(marks={"soft centre": soft[0].numpy(), "true centre": target[0].numpy()})


PICTURES: dict[str, Painter] = {
    "bce": paint_entropy,
    "focal": paint_entropy,
    "dice": paint_overlap,
    "generalised_dice": paint_overlap,
    "tversky": paint_overlap,
    "boundary": paint_boundary,
    "hausdorff": paint_hausdorff,
    "one_sided_hausdorff": paint_one_sided_hausdorff,
    "hausdorff_erosion": paint_erosion,
    "hausdorff_convolution": paint_convolution,
    "active_contour": paint_active_contour,
    "chan_vese": paint_chan_vese,
    "cldice": paint_cldice,
    "topology": paint_topology,
    "edge_bce": paint_edge_bce,
    "nms": paint_nms,
    "direction": paint_direction,
    "size": paint_size,
    "centroid": paint_centroid,
    "area_bounds": paint_area,
    "projection": paint_projection,
}
"""By the name in the catalogue."""


def _plane(tensor: Tensor) -> Tensor:
    return tensor[0, 0]


def _without_outline(target: Tensor) -> tuple[str, ...]:
    mask = target > 0.5
    if mask.any() and not mask.all():
        return ()
    kind = "full" if mask.any() else "empty"
    return (f"The target is {kind}: it has no outline, and no pixel is near or far from it.",)
