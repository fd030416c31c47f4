"""Aligning rough masks to the edges around them, shown one step at a time.

Two ways: the most likely outline in the band around the rough one (`outline_search`), and the active
alignment of STEAL (`geodesic`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .edge_config import AlignConfig
from .geodesic import NO_EDGES, VANISHED, geodesic_outlines
from .outline_evidence import edge_evidence, image_evidence
from .outline_search import best_outline, signed_distances

__all__ = ["Alignment", "align", "align_labels", "merged"]

Mask = NDArray[np.bool_]

_MARGIN = 4  # px beyond the reach: what the widest operators look at
_EVEN = 1e-6  # of the values around an object: edges that differ less are none
_STAY = 0.2  # the setting's default: what is expected, see `best_outline`
_LITTLE = 0.25  # px: an outline that moves less has not moved
_NO_OUTLINE = "The object has no outline: it is empty, or fills its surroundings."


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How one object was aligned.

    Attributes
    ----------
    number : int
        Its label.
    corner : tuple of int
        (y, x) of the crop's first pixel in the image.
    masks : (T + 1, h, w) bool array
        On the crop: the rough mask first, then every step. None is empty.
    notice : str
        What a person should know.
    """

    number: int
    corner: tuple[int, int]
    masks: Mask
    notice: str = ""

    @property
    def sound(self) -> bool:
        """Whether it moved, and without anything that a person should look at first."""
        return self.moved > 0 and not self.notice

    @property
    def moved(self) -> int:
        """Pixels that changed sides."""
        return int((self.masks[0] ^ self.masks[-1]).sum())

    def mask(self, shape: tuple[int, int], step: int = -1) -> Mask:
        """One step (the last) on the whole image, (H, W)."""
        whole = np.zeros(shape, bool)
        height, width = self.masks.shape[1:]
        whole[self.corner[0] : self.corner[0] + height, self.corner[1] : self.corner[1] + width] = self.masks[
            step
        ]
        return whole


def align(
    mask: Mask,
    *,
    image: NDArray[Any] | None = None,
    edges: NDArray[Any] | None = None,
    config: AlignConfig | None = None,
) -> Generator[Mask, None, str]:
    """Move a rough mask onto the edges around it.

    Parameters
    ----------
    mask : (H, W) bool array
        May have holes and several parts, and touch the frame, beyond which it is taken to go on.
    image : (H, W) or (C, H, W) array, optional
        Its gradient, the largest of all channels, is the edges.
    edges : (H, W) array, optional
        Edges as a network sees them, at least 0. Either this or `image`.
    config : AlignConfig, optional

    Yields
    ------
    (H, W) bool array
        The rough mask first, then every step, an array of its own each. Ends early when nothing moves any
        more; alone when there are no edges; never empty unless `mask` is.

    Returns
    -------
    str
        What a person should know: that there were no edges, or that the outline was about to vanish.

    Raises
    ------
    ValueError
        If a shape does not fit, or not exactly one of `image` and `edges` is given.
    """
    config = config or AlignConfig()
    mask, planes, smooth = _checked(mask, image, edges)
    yield mask.copy()
    if not mask.any() or mask.all():
        return _NO_OUTLINE
    moving = geodesic_outlines if config.method == "geodesic" else likely_outlines
    return (yield from moving(mask, planes, smooth, config))


def align_labels(
    labels: NDArray[Any],
    *,
    image: NDArray[Any] | None = None,
    edges: NDArray[Any] | None = None,
    config: AlignConfig | None = None,
    numbers: Iterable[int] | None = None,
) -> Generator[Alignment, None, None]:
    """Align the objects of a label image, each on its own crop and as if it were alone.

    Parameters
    ----------
    labels : (H, W) integer array
        0 is background.
    image, edges, config
        As for `align`.
    numbers : iterable of int, optional
        Which objects. None: all.

    Yields
    ------
    Alignment
        One an object, by number. They may overlap; `merged` puts them together.
    """
    config = config or AlignConfig()
    labels = np.asarray(labels)
    if labels.ndim != 2:
        raise ValueError(f"labels: expected (H, W), got {labels.shape}.")
    chosen = np.unique(labels[labels != 0]).tolist() if numbers is None else list(numbers)
    source = np.asarray(image if image is not None else edges)
    if source.shape[-2:] != labels.shape:
        raise ValueError(f"image or edges: expected {labels.shape} as the labels, got {source.shape}.")
    for number in chosen:
        rows, columns = np.nonzero(labels == number)
        if not len(rows):
            raise ValueError(f"numbers: there is no object {number}.")
        wide = max(config.reach + _MARGIN + int(2 * config.blur), 2 * config.reach + 2 * _MARGIN)
        top, left = max(rows.min() - wide, 0), max(columns.min() - wide, 0)
        crop = (..., slice(top, rows.max() + wide + 1), slice(left, columns.max() + wide + 1))
        part = labels[crop] == number
        moving = align(
            part,
            image=None if image is None else np.asarray(image)[crop],
            edges=None if edges is None else np.asarray(edges)[crop],
            config=config,
        )
        steps, notice = _drained(moving)
        yield Alignment(int(number), (int(top), int(left)), np.stack(steps), notice)


def merged(labels: NDArray[Any], found: Iterable[Alignment]) -> NDArray[Any]:
    """Labels with aligned objects put in place of the rough ones, without overlaps.

    Parameters
    ----------
    labels : (H, W) integer array
        The rough ones.
    found : iterable of Alignment
        The objects to replace; the others stay as they are, and keep their pixels.

    Returns
    -------
    (H, W) array
        Of the type of `labels`. A pixel that several objects want stays with the one that had it, else goes
        to the one with the smaller number. No object vanishes: one that would be covered whole keeps its
        rough pixels.
    """
    labels = np.asarray(labels)
    ways = sorted(found, key=lambda each: each.number)
    moving = {each.number for each in ways}
    result = np.where(np.isin(labels, list(moving)), 0, labels)
    masks = {each.number: each.mask(labels.shape) for each in ways}
    for number, mask in masks.items():  # who had a pixel keeps it
        result[mask & (labels == number)] = number
    for number, mask in masks.items():
        result[mask & (result == 0)] = number
    for _ in masks:  # to put one back may cover another one
        gone = [number for number in masks if not (result == number).any()]
        for number in gone:
            result[labels == number] = number
        if not gone:
            break
    return result


def _drained(moving: Generator[Mask, None, str]) -> tuple[list[Mask], str]:
    """All masks, and the sentence at the end."""
    steps: list[Mask] = []
    while True:
        try:
            steps.append(next(moving))
        except StopIteration as end:
            return steps, str(end.value)


def likely_outlines(
    mask: Mask, planes: NDArray[np.float64], smooth: bool, config: AlignConfig
) -> Generator[Mask, None, str]:
    """Move a mask onto the most likely outline, pixel by pixel: `align` with the method "likely"."""
    wide = config.reach + _MARGIN
    rough = np.pad(mask, wide)  # an outline along the frame may lie beyond it
    shown = np.pad(planes, ((0, 0), (wide, wide), (wide, wide)), mode="edge")
    distance = signed_distances(rough)
    near = shown[:, np.abs(distance) <= config.reach]
    if not np.ptp(near, axis=1).max() > _EVEN * max(float(np.abs(planes).max()), _EVEN):
        return NO_EDGES
    evidence = (
        edge_evidence(shown[0], margin=wide)
        if smooth
        else image_evidence(shown, distance, config.reach, margin=wide)
    )
    found = best_outline(rough, evidence, reach=config.reach, stay=config.stay / _STAY)
    if found.farthest < _LITTLE:
        return ""
    steps = min(config.steps, int(np.ceil(found.farthest)))
    before = mask
    for step in range(1, steps + 1):
        moved = found.mask(found.farthest * step / steps)[wide:-wide, wide:-wide]
        if not moved.any():
            return VANISHED
        if not np.array_equal(moved, before):
            yield moved.copy()
            before = moved
    return ""


def _checked(
    mask: Mask, image: NDArray[Any] | None, edges: NDArray[Any] | None
) -> tuple[Mask, NDArray[np.float64], bool]:
    """Mask, edges or channels (C, H, W), and whether they are edges."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != bool:
        raise ValueError(f"mask: expected a boolean (H, W), got {mask.shape} of {mask.dtype}.")
    if (image is None) == (edges is None):
        raise ValueError("image, edges: expected exactly one of the two.")
    planes = np.asarray(image if edges is None else edges, np.float64)
    planes = planes[None] if planes.ndim == 2 else planes
    if planes.ndim != 3 or planes.shape[1:] != mask.shape or (edges is not None and len(planes) != 1):
        raise ValueError(f"image or edges: expected {mask.shape} as the mask, got {planes.shape}.")
    return mask, np.nan_to_num(planes, nan=0.0, posinf=0.0, neginf=0.0), edges is not None
