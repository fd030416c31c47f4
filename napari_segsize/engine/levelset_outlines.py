"""From an evolved level set to the outline of one object: rings in the image, and what went wrong."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..ops.outline import resample
from ..ops.roi import Rois
from ..ops.zero_line import main_part, touches_frame, zero_rings
from ..project.outlines import pieces_of
from .events import ContourDone
from .levelset_field import LevelSetEvolution
from .prompt import Prompt

__all__ = ["levelset_done"]

_TOLERANCE = 0.1  # px of the region: what a ring may be off to do with fewer vertices
_BEYOND = 3.0  # px of the region: parts of an object do not lie farther beyond its extreme points

Rings = list[NDArray[np.float64]]


def levelset_done(
    prompt: Prompt, found: LevelSetEvolution, index: int, *, vertices: int, seconds: float
) -> ContourDone:
    """What became of one object; a level set that vanished or left its region stops at its last good step.

    Parameters
    ----------
    index : int
        Which object of the evolution.
    vertices : int
        Of the contour of each step; the rings at the end have as many as they need.
    """
    rois = Rois(found.rois.centre[index : index + 1], found.rois.scale[index : index + 1])
    states = found.states[:, index].numpy()
    start = found.starts[index].numpy().astype(np.float32)
    cleaned = [main_part(state, box=_box(prompt, rois, states.shape[-1])) for state in states]
    outlines = [_rings(phi, rois) for phi in cleaned]
    last, notice = _last_good(cleaned)
    contours, before = [], start
    for step, rings in enumerate(outlines):
        if step <= last and rings:
            before = _even(rings[0], vertices)
        contours.append(before if last >= 0 else start)
    scale = float(rois.scale[0])
    centre = rois.centre[0].tolist()
    return ContourDone(
        plane=prompt.plane,
        object=prompt.object,
        contours=np.stack(contours),
        engine="levelset",
        seconds=seconds,
        # the line moves against the motion, by one step's length where that is 1
        field=(-found.forces.motion[index] * (float(found.dt[index]) * scale)).numpy(),
        centre=(centre[0], centre[1]),
        scale=scale,
        notice=notice,
        phi=states.astype(np.float32),
        modulation=found.forces.modulation[index, 0].numpy(),
        rings=_sorted(outlines[last]) if last >= 0 else (),
    )


def _last_good(states: list[NDArray[np.float64]]) -> tuple[int, str]:
    """Number of the last step with an object within its region, -1 without any; and what to say."""
    good = [bool((phi > 0).any()) and not touches_frame(phi) for phi in states]
    end = len(states) - 1
    if good[end]:
        return end, ""
    what = "reached the edge of its region" if (states[end] > 0).any() else "vanished"
    if not any(good):
        return -1, f"The level set {what}; the start is shown instead."
    last = max(step for step, fine in enumerate(good) if fine)
    first = next(step for step in range(last + 1, end + 1) if not good[step])
    return last, f"The level set {what} in step {first} of {end}; step {last} is kept."


def _box(prompt: Prompt, rois: Rois, side: int) -> tuple[float, float, float, float] | None:
    """Where the parts of an object lie, in region pixels; None where no points say so."""
    if not prompt.points:
        return None
    points = rois.inside(torch.tensor(prompt.points, dtype=torch.float32)[None], side)[0]
    low, high = points.amin(0) - _BEYOND, points.amax(0) + _BEYOND
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _rings(phi: NDArray[np.float64], rois: Rois) -> Rings:
    """Rings in image pixels, the largest first."""
    found = []
    for ring in zero_rings(phi, tolerance=_TOLERANCE):
        vertices = torch.from_numpy(ring)[None]
        found.append(rois.outside(vertices, phi.shape[0])[0].numpy())
    return found


def _even(ring: NDArray[np.float64], vertices: int) -> NDArray[np.float32]:
    """A ring of so many vertices at equal steps, from its topmost on, turning as start contours do."""
    y, x = (ring - ring[0]).T
    if (y * np.roll(x, -1) - x * np.roll(y, -1)).sum() < 0:
        ring = ring[::-1]
    ring = np.roll(ring, -int(ring[:, 0].argmin()), 0)
    even: NDArray[np.float32] = resample(torch.from_numpy(ring.copy())[None], vertices)[0].numpy()
    return even.astype(np.float32)


def _sorted(rings: Rings) -> tuple[NDArray[np.float32], ...]:
    """Parts from the largest to the smallest, each an outer ring and its holes."""
    plain = [tuple((y, x) for y, x in ring.tolist()) for ring in rings]
    order = {ring: number for number, ring in enumerate(plain)}  # they come from the largest on
    pieces = sorted(pieces_of(plain), key=lambda piece: order[piece[0]])
    return tuple(np.asarray(ring, np.float32) for piece in pieces for ring in piece)
