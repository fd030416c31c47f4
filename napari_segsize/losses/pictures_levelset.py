"""The pictures behind the losses on level sets and motion fields: distances, zero lines, directions.

Every function takes phi ``(1, 1, *spatial)`` or a field ``(1, D, *spatial)``, the target ``(1, 1, *spatial)``
and the settings of the loss; `napari_segsize.losses.microscope` calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_segsize.losses.levelset import motion_target, truncated_distance
from napari_segsize.losses.picture import Picture
from napari_segsize.ops.levelset import heaviside
from napari_segsize.ops.signed_distance import has_edge
from napari_segsize.ops.zero_line import zero_rings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Settings = Mapping[str, Any]
    Painter = Callable[[Tensor, Tensor, Settings], Picture]

__all__ = ["LEVELSET_PICTURES"]

_COSINE, _LEAST = 1 - 1e-4, 1e-6  # as the losses keep their arguments from the ends


def paint_phi_distance(phi: Tensor, target: Tensor, settings: Settings) -> Picture:
    """The level set, the distance that it should be, both zero lines, and what each pixel costs."""
    wanted = truncated_distance(target, truncation=settings["truncation"]).to(phi)
    maps = {"level set": phi, "wanted distance": wanted, "cost": (phi - wanted).square()}
    return Picture(maps=_planes(maps), marks=_zero_lines(phi, target), notices=_without_line(phi, target))


def paint_phi_bce(phi: Tensor, target: Tensor, settings: Settings) -> Picture:
    """The level set and the share that counts as inside, both zero lines, and what each pixel costs."""
    inside = heaviside(phi, width=settings["width"])
    shown = inside.clamp(_LEAST, 1 - _LEAST)
    share = target.mean() if settings["balanced"] else target.new_tensor(0.5)
    weight = 1.0 if settings["balanced"] else 2.0  # unbalanced, either side weighs 1
    cost = -weight * ((1 - share) * target * shown.log() + share * (1 - target) * (1 - shown).log())
    maps = {"level set": phi, "inside": inside, "cost": cost}
    return Picture(maps=_planes(maps), marks=_zero_lines(phi, target), notices=_without_line(phi, target))


def paint_motion(motion: Tensor, target: Tensor, _: Settings) -> Picture:
    """The squared angle between the field and the way off the true outline, and both directions."""
    wanted = motion_target(target > 0.5).to(motion)
    length = torch.linalg.vector_norm(motion, dim=1, keepdim=True)
    unit = motion / length.clamp(min=1e-6)
    counts = (wanted != 0).any(1, keepdim=True)
    cost = torch.acos(_COSINE * (unit * wanted).sum(1, keepdim=True).clamp(-1, 1)).square() * counts
    marks = {}
    if motion.ndim == 4:
        marks = {"motion": _arrows(unit * (length > 1e-6)), "wanted motion": _arrows(wanted)}
        marks["true outline"] = _segments((target > 0.5)[0, 0].numpy() - 0.5)
    return Picture(maps=_planes({"squared angle": cost}), marks=marks, notices=_without_line(None, target))


def _planes(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: each[0, 0] for name, each in maps.items()}


def _zero_lines(phi: Tensor, target: Tensor) -> dict[str, NDArray[np.float64]]:
    if phi.ndim != 4:
        return {}
    truth = (target > 0.5)[0, 0].numpy() - 0.5
    return {"zero line": _segments(phi[0, 0].numpy()), "true outline": _segments(truth)}


def _segments(phi: NDArray[Any]) -> NDArray[np.float64]:
    """Places and ways ``(M, 4)`` along the zero line."""
    rings = zero_rings(phi)
    parts = [np.concatenate((ring, np.roll(ring, -1, 0) - ring), 1) for ring in rings]
    return np.concatenate(parts) if parts else np.zeros((0, 4))


def _arrows(field: Tensor) -> NDArray[np.float64]:
    """A place and a direction ``(M, 4)`` for every pixel that has one."""
    plane = field[0]
    places = plane.ne(0).any(0).nonzero()
    ways = plane[:, places[:, 0], places[:, 1]].T
    return torch.cat((places.to(ways), ways), 1).double().numpy()


def _without_line(phi: Tensor | None, target: Tensor) -> tuple[str, ...]:
    said = []
    mask = target > 0.5
    if not has_edge(mask).all():
        kind = "full" if mask.all() else "empty"
        said.append(f"The target is {kind}: it has no outline.")
    if phi is not None and not ((phi > 0).any() and (phi <= 0).any()):
        side = "inside" if (phi > 0).any() else "outside"
        said.append(f"The level set has no zero line: all of it is {side}.")
    return tuple(said)


LEVELSET_PICTURES: dict[str, Painter] = {
    "phi_distance": paint_phi_distance,
    "phi_bce": paint_phi_bce,
    "motion_direction": paint_motion,
}
"""By the name in the catalogue."""
