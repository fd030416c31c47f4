"""The classical engine: a geodesic active contour that needs no training, one step at a time.

Márquez-Neila, Baumela and Alvarez, "A morphological approach to curvature-based evolution of curves and
surfaces", TPAMI 2014, as scikit-image implements it; Caselles, Kimmel and Sapiro, "Geodesic active
contours", IJCV 1997.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.segmentation import inverse_gaussian_gradient, morphological_geodesic_active_contour
from torch import Tensor

from ..ops.polygon import polygon_mask
from ..ops.roi import Rois, cut_rois
from ..ops.starts import mask_contour
from .closeup import SIDE, in_three_channels
from .contour_field import regions, start_contours
from .prompt import Prompt

__all__ = ["SNAKE_SIDE", "snake"]

SNAKE_SIDE = 96
"""Side of the region in which the contour moves: a pixel there is a step."""

_EDGE_ALPHA, _EDGE_SIGMA = 200.0, 1.5
_NO_EDGE = 0.01  # probabilities that differ less show no edge
_CYCLE = 2  # scikit-image alternates two smoothing operators; a whole cycle keeps it even


def snake(
    image: Tensor,
    prompt: Prompt,
    *,
    steps: int = 40,
    smoothing: int = 1,
    vertices: int = 32,
    edges: Tensor | None = None,
) -> Iterator[Tensor]:
    """Let a contour shrink and bend onto the edges around it.

    Parameters
    ----------
    image : (C, H, W) float Tensor
    prompt : Prompt
        Extreme points also bound the contour: it never leaves their box.
    steps : int
        Each moves the contour by at most one pixel of a region of `SNAKE_SIDE` px.
    smoothing : int
        How often each step is smoothed: more gives rounder contours, 0 none. 0 to 4.
    vertices : int
        Of the contours that come out.
    edges : (H, W) float Tensor, optional
        Probabilities of edges, to follow instead of the image's gradient; an edge network sees fewer false
        ones. Where there is none near the object, the image is followed.

    Yields
    ------
    (vertices, 2) Tensor
        The start first; in image px. Ends early when the contour no longer moves; a contour that vanishes is
        replaced by the last one that was there.
    """
    near = regions([prompt])
    rois = Rois(near.centre, near.scale * SIDE / SNAKE_SIDE)
    start = start_contours([prompt], vertices)
    yield start[0]
    inside = rois.inside(start, SNAKE_SIDE)
    mask = (polygon_mask(inside, (SNAKE_SIDE, SNAKE_SIDE))[0, 0] > 0.5).numpy()
    speed = None if edges is None else _speed_on_edges(cut_rois(edges[None].float(), rois, SNAKE_SIDE)[0, 0])
    if speed is None:
        speed = _edges(cut_rois(in_three_channels(image), rois, SNAKE_SIDE)[0])
    box = _box(prompt, rois)
    for _ in range(steps):
        moved = morphological_geodesic_active_contour(  # type: ignore[no-untyped-call]
            speed, _CYCLE, init_level_set=mask, smoothing=smoothing, threshold="auto", balloon=0
        ).astype(bool)
        moved &= box
        if not moved.any():
            return
        settled = np.array_equal(moved, mask)
        mask = moved
        outline = mask_contour(torch.from_numpy(mask), vertices).to(start.dtype)
        yield rois.outside(outline[None], SNAKE_SIDE)[0]
        if settled:
            return


def _edges(region: Tensor) -> NDArray[np.float64]:
    """Small where the picture changes, near 1 where it is even."""
    grey = region.mean(0).to(torch.float64).numpy()
    spread = float(np.ptp(grey))
    grey = (grey - grey.min()) / spread if spread > 0 else np.zeros_like(grey)
    edges: NDArray[np.float64] = inverse_gaussian_gradient(  # type: ignore[no-untyped-call]
        grey, alpha=_EDGE_ALPHA, sigma=_EDGE_SIGMA
    )
    return edges


def _speed_on_edges(region: Tensor) -> NDArray[np.float64] | None:
    """Small on the edges of a map, which are blurred so that they are felt from afar; None without any."""
    found: NDArray[np.float64] = gaussian_filter(region.to(torch.float64).numpy(), _EDGE_SIGMA)
    most = float(found.max())
    if not most - float(found.min()) > _NO_EDGE:
        return None
    return np.asarray(1 / np.sqrt(1 + _EDGE_ALPHA * np.clip(found / most, 0, 1)))


def _box(prompt: Prompt, rois: Rois) -> NDArray[np.bool_]:
    """Pixels of the region within the extreme points' box; all of them without points."""
    box = np.ones((SNAKE_SIDE, SNAKE_SIDE), dtype=bool)
    if not prompt.points:
        return box
    points = rois.inside(torch.tensor(prompt.points, dtype=torch.float32)[None], SNAKE_SIDE)[0]
    low, high = points.amin(0) - 0.5, points.amax(0) + 0.5
    place = np.arange(SNAKE_SIDE)
    rows = (place >= float(low[0])) & (place <= float(high[0]))
    columns = (place >= float(low[1])) & (place <= float(high[1]))
    return box & rows[:, None] & columns[None]
