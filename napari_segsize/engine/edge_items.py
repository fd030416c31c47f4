"""What an edge network learns from: planes with numbered objects, and what their outlines are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects
from torch import Tensor

from ..errors import SegsizeError
from ..ops.thinning import edge_map, mask_directions, outline_map
from ..project import PlaneAnnotation, PlaneRef, Project, Split
from ..project.outlines import mask_of
from .closeup import in_three_channels
from .dataset import normalised
from .events import Event, Loading

__all__ = [
    "EdgeItem",
    "edge_items",
    "hold_out_planes",
    "item_from_labels",
    "labels_of_plane",
    "planes_with_outlines",
    "with_labels",
]

ItemT = TypeVar("ItemT")

_LEAST = 4  # px: smaller objects have no outline to speak of
_AROUND = 8  # px: how far around an accepted contour the image is known, where no mask tells
_MARGIN = 8  # px around an object: what its directions look at
_EVERY = 5  # without validation images every fifth plane is held out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EdgeItem:
    """One plane and the outlines in it.

    Attributes
    ----------
    image : (3, H, W) float Tensor
    labels : (H, W) int32 array
        Objects as they were drawn, 0 is background.
    known : (H, W) bool Tensor
        Where it is known whether there is an object.
    band, line : (H, W) bool Tensor
        Pixels near an outline; the objects' outermost pixels.
    directions : (2, H, W) float Tensor
        Across the outline, doubled, on the line; 0 elsewhere.
    """

    image: Tensor
    labels: NDArray[np.int32]
    known: Tensor
    band: Tensor
    line: Tensor
    directions: Tensor
    plane: PlaneRef | None = None


def item_from_labels(
    image: Tensor,
    labels: NDArray[np.int32],
    *,
    known: NDArray[np.bool_] | None = None,
    radius: float = 2.0,
    plane: PlaneRef | None = None,
) -> EdgeItem:
    """Find the outlines of every object of a label image, also where two of them touch.

    Parameters
    ----------
    image : (C, H, W) float Tensor
        Normalised.
    labels : (H, W) int array
    known : (H, W) bool array, optional
        None: everywhere.
    radius : float
        See `edge_map`.
    """
    shape = labels.shape
    seen = np.ones(shape, bool) if known is None else known
    empty = torch.zeros(shape, dtype=torch.bool)
    item = EdgeItem(
        image=in_three_channels(image).float(), labels=labels, known=torch.from_numpy(seen.copy()),
        band=empty, line=empty, directions=torch.zeros(2, *shape), plane=plane,
    )  # fmt: skip
    return with_labels(item, labels, radius)


def with_labels(item: EdgeItem, labels: NDArray[np.int32], radius: float) -> EdgeItem:
    """The same plane with the outlines of other labels, such as aligned ones; `item.labels` stays."""
    shape = labels.shape
    band, line = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    directions = torch.zeros(2, *shape)
    for number, place in enumerate(find_objects(labels), start=1):
        if place is None:
            continue
        crop = tuple(slice(max(side.start - _MARGIN, 0), side.stop + _MARGIN) for side in place)
        mask = torch.from_numpy(labels[crop] == number)[None, None]
        own = outline_map(mask)[0, 0]
        band[crop] |= edge_map(mask, radius)[0, 0]
        line[crop] |= own
        directions[(slice(None), *crop)] += mask_directions(mask)[0, 0] * own
    return replace(item, band=band, line=line, directions=directions)


def edge_items(
    project: Project, split: Split, radius: float
) -> Generator[Event, None, tuple[list[EdgeItem], tuple[str, ...]]]:
    """Read every plane of `split` with a mask or an accepted contour; yields while it reads.

    With a mask, or where somebody said that there is no object, the whole plane is known; with contours
    alone only what lies near them. Planes marked "skip" are left out.

    Returns
    -------
    items : list of EdgeItem
    notices : tuple of str
        A sentence for every image that could not be read.
    """

    def make(annotation: PlaneAnnotation, image: Tensor, labels: NDArray[np.int32]) -> EdgeItem:
        known = _known(annotation, labels)
        return item_from_labels(image, labels, known=known, radius=radius, plane=annotation.plane)

    return (yield from planes_with_outlines(project, split, "edges", make))


def planes_with_outlines(
    project: Project,
    split: Split,
    stage: str,
    make: Callable[[PlaneAnnotation, Tensor, NDArray[np.int32]], ItemT],
) -> Generator[Event, None, tuple[list[ItemT], tuple[str, ...]]]:
    """What `make` says of every plane of `split` on which outlines are known; yields while it reads.

    Parameters
    ----------
    project : Project
    split : str
    stage : str
        Of the training that reads.
    make : callable
        Is given a plane's annotation, its normalised image (C, H, W) and its objects, see `labels_of_plane`.

    Returns
    -------
    made : list
    notices : tuple of str
        A sentence for every image that could not be read.
    """
    said = [each for each in project.annotations(split) if each.labelled and not each.skipped]
    made: list[ItemT] = []
    refused: dict[int, str] = {}
    for done, annotation in enumerate(said):
        yield Loading(stage=stage, done=done, total=len(said))
        if annotation.plane.image in refused:
            continue
        try:
            pixels = project.pixels(annotation.plane)
        except SegsizeError as error:
            refused[annotation.plane.image] = f"{error} Going on without it."
            continue
        labels = labels_of_plane(annotation, (int(pixels.shape[1]), int(pixels.shape[2])))
        if labels.any() or annotation.no_object:
            made.append(make(annotation, torch.from_numpy(normalised(pixels)), labels))
    return made, tuple(refused.values())


def labels_of_plane(annotation: PlaneAnnotation, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Objects of a plane: accepted contours, then the labels of the mask that no contour covers."""
    labels = np.zeros(shape, np.int32)
    number = 0
    for contour in annotation.contours:
        if contour.accepted:
            number += 1
            labels[mask_of(contour.rings, shape) & (labels == 0)] = number
    painted = annotation.mask if annotation.mask is not None else np.zeros(shape, np.int32)
    covered = labels > 0
    for each in np.unique(painted[painted > 0]):
        mask = painted == each
        if mask.sum() >= _LEAST and (mask & covered).sum() < 0.5 * mask.sum():
            number += 1
            labels[mask & (labels == 0)] = number
    return labels


def hold_out_planes(items: list[EdgeItem]) -> tuple[list[EdgeItem], list[EdgeItem]]:
    """Every fifth plane, for a project without validation images: (train, validation)."""
    if len(items) < _EVERY:
        return items, []
    held = items[_EVERY - 1 :: _EVERY]
    return [item for item in items if all(item is not each for each in held)], held


def _known(annotation: PlaneAnnotation, labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    if annotation.mask is not None or annotation.no_object:
        return np.ones(labels.shape, bool)
    return np.asarray(distance_transform_edt(labels == 0) <= _AROUND)
