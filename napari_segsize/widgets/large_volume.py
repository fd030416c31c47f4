"""A volume that is too large to be read before it is shown: only the planes that are looked at are."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.project import Project
from napari_segsize.project.images import ImageSource

__all__ = ["LargeVolume", "volume_of"]

_HELD = 4  # planes that were looked at last


def volume_of(project: Project, image_id: int) -> NDArray[Any] | LargeVolume:
    """All planes of an image, (planes, C, H, W): in memory if they are few, or single ones slow to find."""
    source = project.source(image_id)
    if source.at_once or source.planes == 1 or source.packed:
        return project.volume(image_id)
    return LargeVolume(source)


class LargeVolume:
    """The planes of an image file, as an array that napari slices.

    Parameters
    ----------
    source : ImageSource
        Nothing of it is read before it is asked for.
    channel : int, optional
        Only this channel: (planes, H, W). None: all of them, as colours, (planes, H, W, C).
    """

    def __init__(
        self,
        source: ImageSource,
        channel: int | None = None,
        held: OrderedDict[int, NDArray[Any]] | None = None,
    ) -> None:
        self.source, self._channel = source, channel
        self._held = OrderedDict() if held is None else held  # (C, H, W) each, shared by the channels
        colours = () if channel is not None else (source.channels,)
        self.shape = (source.planes, source.height, source.width, *colours)
        self.dtype = np.dtype(source.dtype)
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))

    def of_channel(self, channel: int) -> LargeVolume:
        """One channel of it."""
        return LargeVolume(self.source, channel, self._held)

    def sample(self) -> NDArray[Any]:
        """The first, the middle and the last plane."""
        return self[[0, self.source.planes // 2, self.source.planes - 1]]

    @property
    def held_bytes(self) -> int:
        """Of the planes that are in memory."""
        return sum(plane.nbytes for plane in list(self._held.values()))

    def look_at(self, number: int) -> None:
        """Read a plane, so that it is there when it is asked for."""
        self._plane(number)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        first, *others = (index or (slice(None),)) if isinstance(index, tuple) else (index,)
        if first is Ellipsis:  # nobody asks for the last axes alone: all planes will do
            whole: NDArray[Any] = np.asarray(self)[index]
            return whole
        wanted = np.arange(self.source.planes)[first]
        if wanted.ndim == 0:
            plane: NDArray[Any] = self._plane(int(wanted))[tuple(others)]
            return plane
        planes = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for place, number in enumerate(wanted):
            planes[place] = self._plane(int(number))
        return planes[(slice(None), *others)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All planes, as for the view in three dimensions."""
        return self[:].astype(dtype or self.dtype, copy=False)

    def __len__(self) -> int:
        return self.source.planes

    def _plane(self, number: int) -> NDArray[Any]:
        pixels = self._held.get(number)
        if pixels is None:
            pixels = self._held[number] = self.source.read(number, number + 1)[0]
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        return np.moveaxis(pixels, 0, -1) if self._channel is None else pixels[self._channel]
