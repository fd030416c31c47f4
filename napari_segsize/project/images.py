"""Image files of every kind as stacks of planes, read as lazily as the file allows.

Whatever the file, an image is (planes, channels, H, W): `open_image` says what is in it and hands out planes.
Readers of file formats are in `formats`; which axis is which is decided here, once for all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.sizes import PIXEL
from napari_segsize.project.stopping import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "SUFFIXES",
    "Array",
    "ImageSource",
    "Raw",
    "find_images",
    "is_zarr",
    "look_at",
    "open_image",
    "plain_name",
]

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz", ".zarr",
)  # fmt: skip
_WHOLE_BYTES = (
    64 << 20
)  # up to here a stack is decoded at once: one pass over a compressed file, not one a plane
_BLOCK_BYTES = 4 << 20  # of what is larger, decoded before the next look whether to stop
_LOOK_BYTES = 256 << 20  # up to here every plane is looked at when an image is added; beyond, three of them


class Array(Protocol):
    """What a format gives: something with a shape that reads only what is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        ...

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A file as its format describes it.

    Attributes
    ----------
    array : Array
        All of it, lazily where possible. With a method `held`, a context manager that gives the same array
        with its file open, parts are read one after the other through that.
    axes : str
        A letter an axis: Y, X, S (colour samples), C (channels), Z, T and others (planes).
    spacing : mapping from an axis letter to the size of a pixel
        Letters that are missing: 1.
    """

    array: Array
    axes: str
    spacing: dict[str, float] = field(default_factory=dict)
    unit: str = PIXEL
    rgb: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """An image as a stack of planes; nothing but its description is in memory."""

    path: Path
    planes: int
    channels: int
    height: int
    width: int
    dtype: str
    spacing: tuple[float, float, float]  # (z, y, x)
    unit: str
    rgb: bool
    notes: tuple[str, ...]
    chunk: int  # planes that are stored together
    _held: Callable[[], AbstractContextManager[Callable[[slice], NDArray[Any]]]]

    @property
    def nbytes(self) -> int:
        """Of all planes, decoded."""
        return self.planes * self.channels * self.height * self.width * np.dtype(self.dtype).itemsize

    @property
    def at_once(self) -> bool:
        """Whether the image is so small that all planes are best read together."""
        return self.nbytes <= _WHOLE_BYTES

    @property
    def step(self) -> int:
        """Planes of a block of a few megabytes; those that are stored together are decoded once."""
        most = max(_BLOCK_BYTES * self.planes // self.nbytes, 1)
        return max(most // self.chunk, 1) * self.chunk

    @property
    def packed(self) -> bool:
        """Whether a plane is found only by decompressing all that comes before it."""
        return self.path.name.lower().endswith(".gz")

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Planes `start` to `stop`, (planes, C, H, W), in the machine's byte order."""
        stop = self.planes if stop is None else stop
        pixels: NDArray[Any] | None = None
        for first, block in self.blocks(start, stop):
            if len(block) == stop - start:
                return block
            if pixels is None:
                pixels = np.empty((stop - start, *block.shape[1:]), block.dtype)
            pixels[first - start : first - start + len(block)] = block
        return np.empty((0, self.channels, self.height, self.width), self.dtype) if pixels is None else pixels

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """The same planes in blocks of a few megabytes, each with the number of its first plane.

        An image that is small enough is one block.
        Between them it is asked whether to stop (`napari_segsize.project.stopping`).
        """
        stop = self.planes if stop is None else stop
        step = self.planes if self.at_once else self.step
        with _told(self.path), self._held() as read:
            while start < stop:
                check()
                end = min(start - start % self.chunk + step, stop)
                yield start, np.ascontiguousarray(read(slice(start, end)), dtype=self.dtype)
                start = end


def open_image(path: Path) -> ImageSource:
    """Find out what is in an image file.

    Parameters
    ----------
    path : Path
        PNG, JPEG, BMP, TIFF (multi-page, ImageJ, OME), NIfTI, or a zarr folder (plain or OME-NGFF).

    Raises
    ------
    SegsizeError
        For files that are missing, broken, of another kind, or that have more than one axis of planes.
    """
    from napari_segsize.project import formats

    with _told(path):
        raw = formats.read(path)
        return _as_planes(path, raw)


def look_at(source: ImageSource) -> tuple[str, ...]:
    """Read the pixels once: proves that they can be read; says what is odd about them, a sentence each."""
    low, high, holes = math.inf, -math.inf, False
    for pixels in _looked_at(source):
        finite = pixels
        if np.issubdtype(pixels.dtype, np.floating):
            finite = pixels[np.isfinite(pixels)]
            holes = holes or finite.size < pixels.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    notes = list(source.notes)
    if holes:
        notes.append(
            "Some pixels are not numbers (NaN or infinite); training takes them as the darkest value."
        )
    if low == high:
        notes.append(f"All pixels have the same value ({low:g}); there is nothing to learn from here.")
    elif low > high:
        notes.append("No pixel is a number; there is nothing to learn from here.")
    return tuple(notes)


def _looked_at(source: ImageSource) -> Iterator[NDArray[Any]]:
    """All planes, or of what is large the first, the middle and the last."""
    count = source.planes
    if source.nbytes <= _LOOK_BYTES:
        for _, block in source.blocks():
            yield block
    else:
        for k in sorted({0, count // 2, count - 1}):
            yield source.read(k, k + 1)


def find_images(folder: Path) -> tuple[Path, ...]:
    """Image files directly in a folder, in the order a person would sort them (2 before 10)."""
    with _told(folder):
        found = [path for path in folder.iterdir() if not path.name.startswith(".") and _is_image(path)]
    if not found:
        raise SegsizeError(
            f"{folder} holds no image: expected files ending in {', '.join(SUFFIXES)} directly in it "
            "(folders inside it are not searched)."
        )
    return tuple(sorted(found, key=_as_people_sort))


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr array or group, whatever its name."""
    return path.is_dir() and any(
        (path / part).exists() for part in (".zattrs", ".zarray", ".zgroup", "zarr.json")
    )


def plain_name(path: Path) -> str:
    """File name without what says its format: ``brain.nii.gz`` -> ``brain``."""
    name = path.name
    for suffix in (".ome.tif", ".ome.tiff", ".ome.zarr", *SUFFIXES):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return path.stem or name


def _is_image(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(SUFFIXES) and (path.is_dir() == name.endswith(".zarr"))


def _as_people_sort(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _as_planes(path: Path, raw: Raw) -> ImageSource:
    """Decide which axis is which."""
    shape, axes = tuple(raw.array.shape), raw.axes
    if len(shape) != len(axes):
        raise SegsizeError(
            f"{path.name}: {len(shape)} axes but {len(axes)} names for them ({axes}); save it again."
        )
    if 0 in shape:
        raise SegsizeError(f"{path.name}: the image is empty ({_product(shape)} pixels); remove it.")
    dtype = np.dtype(raw.array.dtype)
    if dtype.kind not in "buif":
        raise SegsizeError(
            f"{path.name}: pixels are {dtype}; expected whole or real numbers, so convert it first."
        )
    where = {letter: axes.index(letter) for letter in ("Y", "X")}
    channel = [
        axis for axis, letter in enumerate(axes) if letter in "CS" and (shape[axis] > 1 or letter == "S")
    ]
    if len(channel) > 1:
        wide = [axis for axis in channel if shape[axis] > 1]
        if len(wide) > 1:
            raise SegsizeError(f"{path.name}: has colours and channels ({axes} {shape}); save one of them.")
        channel = wide or channel[:1]
    stack = [axis for axis, letter in enumerate(axes) if letter not in "YXCS" and shape[axis] > 1]
    if len(stack) > 1:
        named = ", ".join(f"{axes[axis]}: {shape[axis]}" for axis in stack)
        raise SegsizeError(
            f"{path.name}: more than one axis of planes ({named}), expected an image, a stack or a volume: "
            "save each time point (or position) as a file of its own."
        )
    order = (*stack, *channel, where["Y"], where["X"])
    planes, channels = shape[stack[0]] if stack else 1, shape[channel[0]] if channel else 1
    height, width = shape[where["Y"]], shape[where["X"]]

    def planes_of(array: Array, wanted: slice) -> NDArray[Any]:
        index = tuple(
            wanted if axis in stack else slice(None) if axis in order else 0 for axis in range(len(shape))
        )
        kept = [axis for axis in range(len(shape)) if axis in order]
        pixels = np.asarray(array[index]).transpose([kept.index(axis) for axis in order])
        return pixels.reshape(-1, channels, height, width)

    @contextmanager
    def held() -> Iterator[Callable[[slice], NDArray[Any]]]:
        opened = getattr(raw.array, "held", None)
        with nullcontext(raw.array) if opened is None else opened() as array:
            yield lambda wanted: planes_of(array, wanted)

    chunks = getattr(raw.array, "chunks", None)
    spacing = tuple(
        _positive(raw.spacing.get(letter)) for letter in (axes[stack[0]] if stack else "Z", "Y", "X")
    )
    return ImageSource(
        path=path, planes=planes, channels=channels, height=height, width=width,
        dtype=dtype.newbyteorder("=").name, spacing=(spacing[0], spacing[1], spacing[2]), unit=raw.unit,
        rgb=raw.rgb and channels == 3, notes=raw.notes, chunk=chunks[stack[0]] if chunks and stack else 1,
        _held=held,
    )  # fmt: skip


def _positive(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) and value > 0 else 1.0


def _product(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


class _told:  # noqa: N801  # reads as a verb at the `with`
    """Turn what a decoder raises into a sentence that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object
    ) -> None:
        path = self._path
        if (
            error is None
            or isinstance(error, (SegsizeError, MemoryError))
            or not isinstance(error, Exception)
        ):
            return
        if isinstance(error, FileNotFoundError):
            raise SegsizeError(
                f"{path} is not there: check the path, put the file back, or show where it is now."
            ) from error
        if isinstance(error, PermissionError):
            raise SegsizeError(f"{path} may not be read: change its permissions.") from error
        if isinstance(error, IsADirectoryError):
            raise SegsizeError(f"{path} is a folder; of folders only zarr images can be opened.") from error
        if "imagecodecs" in str(error):
            raise SegsizeError(
                f"{path} is compressed in a way that needs another package: `pip install imagecodecs`, "
                "or save it without compression."
            ) from error
        raise SegsizeError(
            f"{path} could not be read as an image ({type(error).__name__}: {error}): it is damaged or of "
            "another kind than its name says; open it in another program and save it again."
        ) from error
