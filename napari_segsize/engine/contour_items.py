"""What a project's annotations become for a contour network: close-ups of its objects."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import SegsizeError
from ..ops.points import ordered
from ..ops.roi import Rois, cut_rois
from ..project import Contour, PlaneAnnotation, PlaneRef, Project, SizeStamp, Split
from ..project.outlines import mask_of
from .closeup import PATCH, CloseUp, close_ups, in_three_channels
from .contour_field import regions
from .dataset import normalised
from .events import Event, Loading
from .prompt import Prompt

__all__ = ["contour_items", "hold_out"]

logger = logging.getLogger(__name__)

_LEAST = 4  # px: smaller objects have no outline to speak of
_EVERY = 5  # without validation images every fifth object is held out


def contour_items(
    project: Project, split: Split, *, stage: str = "contour"
) -> Generator[Event, None, tuple[list[CloseUp], tuple[str, ...]]]:
    """Cut a close-up of every object of `split` that something is known of; yields while it reads.

    Accepted contours and labels of masks are known whole; objects with four extreme points or a located size
    alone are known as far as that goes. Planes marked "skip" are left out.

    Returns
    -------
    items : list of CloseUp
    notices : tuple of str
        A sentence for every image that could not be read.
    """
    said = [each for each in project.annotations(split) if each.labelled and not each.skipped]
    items: list[CloseUp] = []
    refused: dict[int, str] = {}
    for done, annotation in enumerate(said):
        yield Loading(stage=stage, done=done, total=len(said))
        if annotation.plane.image in refused or annotation.no_object:
            continue
        try:
            pixels = project.pixels(annotation.plane)
        except SegsizeError as error:
            refused[annotation.plane.image] = f"{error} Going on without it."
            continue
        items += _objects(torch.from_numpy(normalised(pixels)), annotation)
    return items, tuple(refused.values())


def hold_out(items: list[CloseUp]) -> tuple[list[CloseUp], list[CloseUp]]:
    """Every fifth object with an outline, for a project without validation images: (train, validation)."""
    whole = [item for item in items if item.mask is not None]
    if len(whole) < _EVERY:
        return items, []
    held = whole[_EVERY - 1 :: _EVERY]
    return [item for item in items if all(item is not each for each in held)], held


def _objects(image: Tensor, annotation: PlaneAnnotation) -> list[CloseUp]:
    """Close-ups of all objects of one plane, those that are known whole first."""
    shape = (int(image.shape[1]), int(image.shape[2]))
    sizes = {stamp.object: stamp for stamp in annotation.stamps if stamp.centre is not None}
    masks, names = _whole(annotation, shape)
    items = close_ups(image, masks, plane=annotation.plane, objects=names)
    known = {name for name in names if name}
    for contour in annotation.contours:
        if contour.object not in known and len(contour.points) == 4:
            items.append(_weak(image, annotation.plane, contour.object, contour, sizes.get(contour.object)))
            known.add(contour.object)
    covered = _covered(masks, shape)
    for stamp in sizes.values():
        assert stamp.centre is not None
        y, x = (round(value) for value in stamp.centre)
        inside = 0 <= y < shape[0] and 0 <= x < shape[1]
        if stamp.object not in known and not (inside and covered[y, x]):
            items.append(_weak(image, annotation.plane, stamp.object, None, stamp))
    return items


def _whole(annotation: PlaneAnnotation, shape: tuple[int, int]) -> tuple[list[Tensor], list[str]]:
    """Masks of accepted contours, and of the labels that no contour covers."""
    masks, names = [], []
    for contour in annotation.contours:
        if contour.accepted:
            masks.append(torch.from_numpy(mask_of(contour.rings, shape)))
            names.append(contour.object)
    covered = _covered(masks, shape)
    labels = annotation.mask if annotation.mask is not None else np.zeros(shape, np.int32)
    for number in np.unique(labels[labels > 0]):
        mask = labels == number
        if mask.sum() >= _LEAST and (mask & covered).sum() < 0.5 * mask.sum():
            masks.append(torch.from_numpy(mask))
            names.append("")
    return masks, names


def _covered(masks: list[Tensor], shape: tuple[int, int]) -> NDArray[np.bool_]:
    covered = np.zeros(shape, dtype=bool)
    for mask in masks:
        covered |= mask.numpy()
    return covered


def _weak(
    image: Tensor, plane: PlaneRef, name: str, contour: Contour | None, stamp: SizeStamp | None
) -> CloseUp:
    """A close-up of an object of which only points, only a size, or both are known."""
    points = contour.points if contour is not None else ()
    place = None
    if stamp is not None and stamp.centre is not None:
        place = (*stamp.centre, stamp.size)
    near = regions([Prompt(plane=plane, object=name, points=points, stamp=place)])
    rois = Rois(near.centre, near.scale)
    item = CloseUp(
        image=cut_rois(in_three_channels(image), rois, PATCH)[0],
        size=stamp.size / float(rois.scale[0]) if stamp is not None else torch.nan,
        scale=float(rois.scale[0]),
        plane=plane,
        object=name,
    )
    if points:
        clicked = ordered(torch.tensor(points, dtype=torch.float32)[None])
        item = replace(item, points=rois.inside(clicked, PATCH)[0])
    return item
