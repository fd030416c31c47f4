"""What a project's annotations become for a network: normalised planes with masks and sized objects."""

from __future__ import annotations

import logging
import math
from collections import Counter, OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import SegsizeError
from ..project import PlaneRef, Project, Split
from ..project.annotation import ImageRecord
from ..project.checks import where
from ..project.stopping import check
from .events import Loading
from .item import Item, item_of
from .scaling import Scaling, normalised

__all__ = ["Dataset", "Item", "Pixels", "check_channels", "left_out", "load_dataset", "loading", "normalised"]

logger = logging.getLogger(__name__)

_CACHE_BYTES = 2 << 30  # normalised planes kept in memory
_NAMED = 3  # images named in a message
_ONCE_BYTES = 256 << 20  # up to here a volume is read once and held, beyond twice, a block at a time


class Pixels:
    """Normalised planes of a project, read when asked for, with a bounded cache.

    Parameters
    ----------
    project : Project
    normalise : {"volume", "image"}
        Whether mean and deviation are those of the whole volume or of each plane.
    """

    def __init__(self, project: Project, normalise: str = "volume") -> None:
        self.project, self.normalise = project, normalise
        self._cache: OrderedDict[PlaneRef, Tensor] = OrderedDict()
        self._bytes = 0
        self._scalings: dict[int, Scaling] = {}

    def __call__(self, plane: PlaneRef) -> Tensor:
        """``(C, H, W)`` float32."""
        if plane in self._cache:
            self._cache.move_to_end(plane)
            return self._cache[plane]
        if self.normalise != "volume":
            return self._keep(plane, normalised(self.project.pixels(plane)))
        if plane.image not in self._scalings:
            self._read(plane.image)
            if plane in self._cache:
                return self._cache[plane]
        return self._keep(plane, self._scalings[plane.image].apply(self.project.pixels(plane)))

    def _read(self, image: int) -> None:
        """Find the scaling of a volume, and keep its planes if there is room for all of them."""
        record = self.project.image(image)
        values = record.planes * record.channels * math.prod(record.shape[-2:])
        blocks = self.project.blocks(image)
        held = list(blocks) if values * np.dtype(record.dtype).itemsize <= _ONCE_BYTES else None
        scaling = self._scalings[image] = Scaling.of(blocks if held is None else held)
        if 4 * values > _CACHE_BYTES:
            return
        planes = (plane for block in held or self.project.blocks(image) for plane in block)
        for index, pixels in enumerate(planes):
            check()
            self._keep(PlaneRef(image, index), scaling.apply(pixels))

    def name_of(self, plane: PlaneRef) -> str:
        """How people call a plane: its image, and its number where there are several."""
        return where(self.project.image(plane.image), plane)

    def __contains__(self, plane: PlaneRef) -> bool:
        """Whether a plane is at hand without reading a file."""
        return plane in self._cache

    def _keep(self, plane: PlaneRef, values: NDArray[np.float32]) -> Tensor:
        pixels = torch.from_numpy(values)
        if plane in self._cache:
            return self._cache[plane]
        self._cache[plane] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > _CACHE_BYTES and len(self._cache) > 1:
            self._bytes -= self._cache.popitem(last=False)[1].nbytes
        return pixels


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The annotated planes of one split, and where their pixels come from."""

    items: tuple[Item, ...]
    pixels: Pixels
    notices: tuple[str, ...] = ()
    skipped: int = 0  # planes with a mask or sizes that are left out because the user skipped them

    @property
    def masks(self) -> tuple[Item, ...]:
        """Planes whose every pixel is known."""
        return tuple(item for item in self.items if item.mask is not None)

    @property
    def sizes(self) -> tuple[Item, ...]:
        """Planes with at least one object of known size, or with extreme points."""
        return tuple(item for item in self.items if len(item.objects))

    def normalised_as(self, normalise: str) -> Dataset:
        """The same annotations over pixels brought to another scale."""
        if normalise == self.pixels.normalise:
            return self
        return replace(self, pixels=Pixels(self.pixels.project, normalise))

    @property
    def channels(self) -> int:
        """Image channels, the same for all planes."""
        return int(self.pixels(self.items[0].plane).shape[0])


def left_out(*datasets: Dataset) -> tuple[str, ...]:
    """Say what of the annotations is not used: images that cannot be read, and planes that were skipped."""
    skipped = sum(dataset.skipped for dataset in datasets)
    notices = tuple(notice for dataset in datasets for notice in dataset.notices)
    if not skipped:
        return notices
    planes, are = ("1 skipped plane has", "is") if skipped == 1 else (f"{skipped} skipped planes have", "are")
    way_out = "take Skip back on the Annotate page to use them."
    return (*notices, f"{planes} a mask or sizes and {are} left out: {way_out}")


def loading(
    project: Project, split: Split, *, stage: str, normalise: str = "volume"
) -> Generator[Loading, None, Dataset]:
    """Read all annotated planes of `split`, an event for each file; close the generator to stop.

    Images that cannot be read are left out with a notice.

    Raises
    ------
    SegsizeError
        If the images have different numbers of channels.
    """
    records = {record.id: record for record in project.images() if record.split == split}
    places = {image: place for place, image in enumerate(sorted(records), start=1)}
    pixels = Pixels(project, normalise)
    items: list[Item] = []
    skipped = 0
    refused: dict[int, str] = {}
    yield Loading(stage=stage, done=0, total=len(records))
    for annotation in project.annotations(split):
        image = annotation.plane.image
        item = item_of(annotation, records[image].shape)
        if item is None or image in refused:
            continue
        if annotation.skipped:
            skipped += 1
            continue
        at_hand = item.plane in pixels
        try:
            pixels(item.plane)
            items.append(item)
        except SegsizeError as error:
            refused[image] = f"{error} Going on without it."
        if not at_hand:
            yield Loading(stage=stage, done=places[image], total=len(records))
    _check_channels([records[image] for image in sorted({item.plane.image for item in items})])
    return Dataset(tuple(items), pixels, tuple(refused.values()), skipped)


def load_dataset(project: Project, split: Split, *, normalise: str = "volume") -> Dataset:
    """Read all annotated planes of `split` at once: `loading` without its events."""
    events = loading(project, split, stage="", normalise=normalise)
    while True:
        try:
            next(events)
        except StopIteration as end:
            dataset: Dataset = end.value
            return dataset


def check_channels(train: Dataset, validation: Dataset) -> None:
    """Raise a `SegsizeError` unless one network can take the images of both parts.

    Arrays that stand for a project's planes have no names, and are their maker's to check.
    """
    project = getattr(train.pixels, "project", None)
    if project is None:
        return
    shown = {item.plane.image for item in (*train.items, *validation.items)}
    _check_channels([record for record in project.images() if record.id in shown])


def _check_channels(records: Sequence[ImageRecord]) -> None:
    """Raise a `SegsizeError` that names the images with other numbers of channels than most."""
    counts = Counter(record.channels for record in records)
    if len(counts) > 1:
        most = counts.most_common(1)[0][0]
        odd = [f"{record.name} ({record.channels})" for record in records if record.channels != most]
        named = ", ".join(odd[:_NAMED]) + (f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else "")
        raise SegsizeError(
            f"All images of a project need the same number of channels, here {most}; others have {named}. "
            "Remove these, or convert them."
        )
