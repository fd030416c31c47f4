"""An image is read in the background before it is shown; a small one at once, as nobody would notice.

What is read here is what has to be read before the first look: all planes of an image that fits into memory
or is compressed as a whole, a few planes of any other; and its hash, if the file was touched.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import ImageRecord, PlaneRef
from napari_segsize.project.fingerprint import Glance, glance
from napari_segsize.project.project import Project
from napari_segsize.widgets.desk import Launch, RunningJob
from napari_segsize.widgets.large_volume import LargeVolume, volume_of
from napari_segsize.widgets.pictures import contrasts

__all__ = ["Opening", "Picture"]

_QUICK_BYTES = 4 << 20  # up to here, decoded and on the disk, an image is read at once: some 50 ms
_HELD_BYTES = 256 << 20  # of images that were shown last; the newest is held whatever its size


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image, ready to be shown.

    Attributes
    ----------
    volume : array or LargeVolume
        (planes, C, H, W)
    limits : tuple of (darkest, brightest)
        Of each channel; empty for colours.
    """

    volume: NDArray[Any] | LargeVolume
    limits: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, project: Project, plane: PlaneRef) -> Picture:
        """Read what the first look at a plane needs."""
        record, volume = project.image(plane.image), volume_of(project, plane.image)
        limits = contrasts(record, volume)
        if isinstance(volume, LargeVolume):
            volume.look_at(plane.slice)
        return cls(volume, limits)

    @property
    def nbytes(self) -> int:
        """In memory."""
        return self.volume.held_bytes if isinstance(self.volume, LargeVolume) else self.volume.nbytes


def _reading(folder: Path, plane: PlaneRef) -> Generator[Picture, None, None]:
    """In the background, with a project of its own."""
    with Project.open(folder) as project:
        picture = Picture.of(project, plane)
    yield picture


class Opening:
    """Reads the image that is to be shown next, and holds those that were shown last.

    Parameters
    ----------
    on_ready : callable
        Called when the image is at hand that `picture` could not give at once.
    on_failed : callable
        Called with a sentence when it cannot be read.
    launch : Launch, optional
        Reads in the background. None: everything is read at once.
    on_words : callable, optional
        Called with `words` when they change: with "" once nothing is being read, however that came about.
    """

    def __init__(
        self,
        on_ready: Callable[[], object],
        on_failed: Callable[[str], object],
        launch: Launch | None = None,
        on_words: Callable[[str], object] | None = None,
    ) -> None:
        self._on_ready, self._on_failed, self._launch = on_ready, on_failed, launch
        self._on_words = on_words
        self._held: OrderedDict[Hashable, tuple[Glance | None, Picture]] = OrderedDict()
        self._wanted: Hashable = None
        self._job: RunningJob | None = None
        self.words = ""
        """What is being read, for the status line; "" when nothing is."""

    def picture(self, project: Project, plane: PlaneRef) -> Picture | None:
        """Return the image of a plane, or None and begin to read it.

        Raises
        ------
        SegsizeError
            When it has vanished; and, if it is read at once, has changed or cannot be read.
        """
        record = project.image(plane.image)
        file = project.file_of(record.id)
        key = (project.file, record.id, record.path, record.sha256)
        seen = _seen(file)
        if key in self._held and self._held[key][0] == seen:
            self.cancel()
            self._held.move_to_end(key)
            return self._held[key][1]
        if self._launch is None or not file.exists() or _is_quick(record, seen):
            self.cancel()
            return Picture.of(project, plane)
        if self._wanted != key:
            self.cancel()
            self._wanted = key
            self._say(f"Reading {record.name}…")
            self._job = self._launch(
                _reading(project.folder, plane),
                partial(self._on_read, key, seen),
                partial(self._on_end, key, record.name),
            )
        return None

    def cancel(self) -> None:
        """Let go of what is being read."""
        job = self._job
        self._forget()
        if job is not None:
            job.stop()

    def close(self) -> None:
        """Let go of everything: the window is closing."""
        self.cancel()
        self._held.clear()

    def _on_read(self, key: Hashable, seen: Glance | None, picture: Picture) -> None:
        if key != self._wanted:
            return  # another image, or none, is wanted by now
        self._forget()
        self._held[key] = (seen, picture)
        self._held.move_to_end(key)
        while len(self._held) > 1 and sum(each.nbytes for _, each in self._held.values()) > _HELD_BYTES:
            self._held.popitem(last=False)
        self._on_ready()

    def _on_end(self, key: Hashable, name: str, error: BaseException | None) -> None:
        if error is None or key != self._wanted:
            return
        self._forget()
        if isinstance(error, SegsizeError):
            self._on_failed(str(error))
        elif isinstance(error, MemoryError):
            self._on_failed(f"{name} does not fit into memory: close other programs, or cut it into parts.")
        else:
            self._on_failed(f"{name} could not be read ({type(error).__name__}: {error}).")

    def _forget(self) -> None:
        self._wanted = self._job = None
        self._say("")

    def _say(self, words: str) -> None:
        if words != self.words:
            self.words = words
            if self._on_words is not None:
                self._on_words(words)


def _seen(file: Path) -> Glance | None:
    """Size and time of a file; None for a folder, which may hold too many, and for what is not there."""
    try:
        return None if file.is_dir() else glance(file)
    except OSError:
        return None


def _is_quick(record: ImageRecord, seen: Glance | None) -> bool:
    values = record.planes * record.channels * math.prod(record.shape)
    decoded = values * np.dtype(record.dtype).itemsize
    return seen is not None and max(decoded, seen.bytes) <= _QUICK_BYTES
