"""Aligning rough masks to the edges around them, shown one step at a time.

Three ways: the most likely outline in the band around the rough one (`outline_search`), the outline that a
network believes in which has learned from displaced ones (`learned_outline`), and the active alignment of
STEAL (`geodesic`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .edge_config import AlignConfig
from .geodesic import NO_EDGES, VANISHED, geodesic_outlines
from .outline_evidence import edge_evidence, image_evidence
from .outline_search import best_outline, signed_distances

if TYPE_CHECKING:
    from ..models.alignment import AlignmentNet

__all__ = ["Alignment", "align", "align_labels", "merged"]

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

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
    network: AlignmentNet | None = None,
) -> Generator[Mask, None, str]:
    """Move a rough mask onto the edges around it.

    Parameters
    ----------
    mask : (H, W) bool array
        May have holes and several parts, and touch the frame, beyond which it is taken to go on.
    image : (H, W) or (C, H, W) array, optional
    edges : (H, W) array, optional
        Edges as a network sees them, at least 0. Either this or `image`; both where the method is "likely",
        which then weighs what either says; "learned" looks at an image alone.
    config : AlignConfig, optional
    network : AlignmentNet, optional
        Which one believes, with the method "learned". None: the one that ships.

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
        If a shape does not fit, or neither or too many of `image` and `edges` are given.
    """
    config = config or AlignConfig()
    mask, planes, seen = _checked(mask, image, edges, config)
    yield mask.copy()
    if not mask.any() or mask.all():
        return _NO_OUTLINE
    if config.method == "likely":
        return (yield from likely_outlines(mask, planes, seen, config))
    if seen is not None:
        return (yield from geodesic_outlines(mask, seen, True, config))
    assert planes is not None
    if config.method == "learned":
        return (yield from believed_outlines(mask, planes, config, network))
    return (yield from geodesic_outlines(mask, planes, False, config))


def align_labels(
    labels: NDArray[Any],
    *,
    image: NDArray[Any] | None = None,
    edges: NDArray[Any] | None = None,
    config: AlignConfig | None = None,
    numbers: Iterable[int] | None = None,
    network: AlignmentNet | None = None,
) -> Generator[Alignment, None, None]:
    """Align the objects of a label image, each on its own crop and as if it were alone.

    Parameters
    ----------
    labels : (H, W) integer array
        0 is background.
    image, edges, config, network
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
    if image is not None and config.method == "learned":
        image = _as_taught(np.asarray(image))
    for source in (image, edges):
        if source is not None and np.shape(source)[-2:] != labels.shape:
            raise ValueError(
                f"image or edges: expected {labels.shape} as the labels, got {np.shape(source)}."
            )
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
            network=network,
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


def _as_taught(image: NDArray[Any]) -> NDArray[Any]:
    """The image as the network has learned to see it: channels of equal weight, lest one hide all."""
    from .scaling import normalised

    return normalised(image[None] if image.ndim == 2 else image)


def _drained(moving: Generator[Mask, None, str]) -> tuple[list[Mask], str]:
    """All masks, and the sentence at the end."""
    steps: list[Mask] = []
    while True:
        try:
            steps.append(next(moving))
        except StopIteration as end:
            return steps, str(end.value)


def likely_outlines(
    mask: Mask, image: Values | None, edges: Values | None, config: AlignConfig
) -> Generator[Mask, None, str]:
    """Move a mask onto the most likely outline, pixel by pixel: `align` with the method "likely"."""
    wide = config.reach + _MARGIN
    rough = np.pad(mask, wide)  # an outline along the frame may lie beyond it
    distance = signed_distances(rough)
    shown, seen = (
        None if source is None else np.pad(source, ((0, 0), (wide, wide), (wide, wide)), mode="edge")
        for source in (image, edges)
    )
    near = np.abs(distance) <= config.reach
    if not any(_uneven(source, near) for source in (shown, seen) if source is not None):
        return NO_EDGES
    if shown is not None:
        found_edges = None if seen is None else seen[0]
        evidence = image_evidence(shown, distance, config.reach, edges=found_edges, margin=wide)
    else:
        assert seen is not None
        evidence = edge_evidence(seen[0], margin=wide)
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


def believed_outlines(
    mask: Mask, planes: Values, config: AlignConfig, network: AlignmentNet | None = None
) -> Generator[Mask, None, str]:
    """Move a mask to where a network believes that it belongs: `align` with the method "learned"."""
    from .learned_outline import learned_outline

    rough = signed_distances(np.pad(mask, 1))[1:-1, 1:-1]
    if not _uneven(planes, np.abs(rough) <= config.reach):
        return NO_EDGES
    found = learned_outline(mask, planes, config.reach, network)
    if not found.any():
        return VANISHED
    if np.array_equal(found, mask):
        return ""
    wanted = signed_distances(np.pad(found, 1))[1:-1, 1:-1]
    steps = min(config.steps, int(np.ceil(np.abs(rough[found ^ mask]).max())))
    before = mask
    for step in range(1, steps + 1):
        moved = found if step == steps else rough + (wanted - rough) * step / steps > 0
        if moved.any() and not np.array_equal(moved, before):
            yield moved.copy()
            before = moved
    return ""


def _uneven(planes: Values, near: Mask) -> bool:
    """Whether any of the planes (C, H, W) changes near the outline, where it may move."""
    least = _EVEN * max(float(np.abs(planes).max()), _EVEN)
    return bool(np.ptp(planes[:, near], axis=1).max() > least)


def _checked(
    mask: Mask, image: NDArray[Any] | None, edges: NDArray[Any] | None, config: AlignConfig
) -> tuple[Mask, Values | None, Values | None]:
    """Mask, channels (C, H, W) of the image, and edges (1, H, W)."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != bool:
        raise ValueError(f"mask: expected a boolean (H, W), got {mask.shape} of {mask.dtype}.")
    if image is None and edges is None:
        raise ValueError("image, edges: expected one of the two, got neither.")
    if image is not None and edges is not None and config.method == "geodesic":
        raise ValueError('image, edges: expected one of the two with the method "geodesic", got both.')
    if edges is not None and config.method == "learned":
        raise ValueError('edges: expected an image alone with the method "learned", got edges.')
    return mask, _planes(image, mask), _planes(edges, mask, most=1)


def _planes(source: NDArray[Any] | None, mask: Mask, most: int | None = None) -> Values | None:
    if source is None:
        return None
    planes = np.asarray(source, np.float64)
    planes = planes[None] if planes.ndim == 2 else planes
    if planes.ndim != 3 or planes.shape[1:] != mask.shape or len(planes) > (most or len(planes)):
        raise ValueError(f"image or edges: expected {mask.shape} as the mask, got {planes.shape}.")
    return np.nan_to_num(planes, nan=0.0, posinf=0.0, neginf=0.0)
