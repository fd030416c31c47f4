"""One function a file format: what is in the file, and an array that reads it lazily."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.images import SUFFIXES, Array, Raw, is_zarr
from napari_segsize.project.nifti import read_nifti
from napari_segsize.project.sizes import PIXEL, unit_name
from napari_segsize.project.stopping import check

if TYPE_CHECKING:
    import tifffile
    import zarr
    from numpy.typing import NDArray

__all__ = ["read", "read_label_picture"]


def read(path: Path) -> Raw:
    """Describe an image file by the function of its format."""
    name = path.name.lower()
    if not path.exists():
        raise FileNotFoundError(path)
    for suffixes, reader in _READERS.items():
        if name.endswith(suffixes):
            return reader(path)
    if is_zarr(path):
        return _read_zarr(path)
    raise SegsizeError(f"{path} is of a kind that cannot be read: expected one of {', '.join(SUFFIXES)}.")


def _read_picture(path: Path) -> Raw:
    """PNG, JPEG and others that Pillow reads."""
    from PIL import Image

    with Image.open(path) as file:
        notes = []
        picture: Image.Image = file
        mode = picture.mode
        if path.suffix.lower() == ".png" and mode in ("RGB", "RGBA") and _png_depth(path) == 16:
            notes.append("A colour PNG of 16 bits is read with 8 bits a channel; a TIFF keeps them all.")
        if "A" in mode or (mode == "P" and "transparency" in picture.info):
            notes.append("Transparency is left out.")
        if mode in ("P", "PA"):
            picture = picture.convert("RGB" if _has_colours(picture) else "L")
        elif mode == "LA":
            picture = picture.convert("L")
        elif mode not in ("1", "L", "F", "I", "RGB") and not mode.startswith("I;16"):
            picture = picture.convert("RGB")
        pixels = np.asarray(picture)
    if pixels.ndim == 3:
        return Raw(array=pixels, axes="YXS", rgb=True, notes=tuple(notes))
    return Raw(array=pixels, axes="YX", notes=tuple(notes))


def _has_colours(picture: Any) -> bool:
    """Whether the palette of a picture is more than greys."""
    rgb = np.asarray(picture.convert("RGB"))
    return bool((rgb[..., :1] != rgb).any())


def _png_depth(path: Path) -> int:
    with path.open("rb") as stream:
        return stream.read(25)[24]


def read_label_picture(path: Path) -> NDArray[Any]:
    """A picture whose numbers matter, not its colours: palette indices stay what they are."""
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture)


def _read_tiff(path: Path) -> Raw:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        page = series.keyframe
        axes = series.axes.upper()
        spacing, unit = _tiff_scale(tiff)
        notes = []
        if len(tiff.series) > 1 and not (tiff.is_ome or tiff.is_imagej):
            notes.append(f"The file holds {len(tiff.series)} images of different kinds; the first is used.")
        colour = page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR) and "S" in axes
        array: Array = _LazyTiff(path, series.shape, np.dtype(series.dtype))
    if colour and array.shape[axes.index("S")] == 4:
        notes.append("Transparency is left out.")
        array = _Without4th(array, axes.index("S"))
    return Raw(array=array, axes=axes, spacing=spacing, unit=unit, rgb=colour, notes=tuple(notes))


class _LazyTiff:
    """The first series of a TIFF file; opened for each reading, so that nobody is kept from moving it."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path, self.shape, self.dtype = path, shape, dtype

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        with self.held() as opened:
            pixels: NDArray[Any] = opened[index]
            return pixels

    @contextmanager
    def held(self) -> Iterator[Array]:
        """The series with its file open."""
        import tifffile

        with tifffile.TiffFile(self._path) as tiff:
            yield _OpenTiff(self._path, tiff.series[0])


class _OpenTiff:
    """A series of an open TIFF file: whole if it is small, else the pages that are asked for."""

    def __init__(self, path: Path, series: tifffile.TiffPageSeries) -> None:
        self._path, self._series = path, series
        self.shape, self.dtype = tuple(series.shape), np.dtype(series.dtype)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        sides = zip(index, self.shape, strict=True)
        whole = all(part in (slice(None), slice(0, side)) for part, side in sides)
        try:
            if whole or math.prod(self.shape) * self.dtype.itemsize < 1 << 20:
                part: NDArray[Any] = self._series.asarray()[index]
                return part
            import zarr

            with self._series.aszarr(level=0) as store:
                array = zarr.open(store, mode="r")
                assert isinstance(array, zarr.Array)
                return np.asarray(array[index])
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return _pillow_pages(self._path, self.shape, index, error)


class _Without4th:
    """An array without the fourth colour sample (alpha)."""

    def __init__(self, array: Array, axis: int) -> None:
        self._array, self._axis, self.dtype = array, axis, array.dtype
        self.shape = tuple(3 if k == axis else side for k, side in enumerate(array.shape))

    @contextmanager
    def held(self) -> Iterator[Array]:
        """The array with its file open."""
        opened = getattr(self._array, "held", None)
        with nullcontext(self._array) if opened is None else opened() as array:
            yield _Without4th(array, self._axis)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        # Integers in the index take axes away before this one.
        axis = self._axis - sum(isinstance(part, int) for part in index[: self._axis])
        pixels = np.asarray(self._array[index])
        return np.take(pixels, (0, 1, 2), axis)


def _pillow_pages(path: Path, shape: tuple[int, ...], index: Any, error: Exception) -> NDArray[Any]:
    """LZW and JPEG inside TIFF, which tifffile reads only with a package that not everybody has."""
    from PIL import Image

    with Image.open(path) as picture:
        wanted = index[0] if isinstance(index[0], slice) else slice(None)
        if getattr(picture, "n_frames", 1) != shape[0]:  # not a page for each step along the first axis
            wanted = slice(None)
        pages = []
        for number in range(getattr(picture, "n_frames", 1))[wanted]:
            check()
            picture.seek(number)
            pages.append(np.asarray(picture))
    stacked = np.stack(pages)
    found = shape if wanted == slice(None) else (len(pages), *shape[1:])
    if stacked.size != math.prod(found):
        raise error
    pixels: NDArray[Any] = stacked.reshape(found)[
        index if wanted == slice(None) else (slice(None), *index[1:])
    ]
    return pixels


def _tiff_scale(tiff: tifffile.TiffFile) -> tuple[dict[str, float], str]:
    """Pixel size as OME, ImageJ or tifffile wrote it; a scanner's dots per inch are not one."""
    if tiff.is_ome and tiff.ome_metadata:
        return _ome_scale(tiff.ome_metadata)
    if tiff.is_imagej and tiff.imagej_metadata is not None:
        meta = tiff.imagej_metadata
        unit = unit_name(str(meta.get("unit", "")))
        if unit == PIXEL:
            return {}, PIXEL
        tags = tiff.pages.first.tags
        scale = {"Z": float(meta.get("spacing", 1.0))}
        for letter, tag in (("Y", "YResolution"), ("X", "XResolution")):
            if tag in tags and tags[tag].value[0]:
                scale[letter] = tags[tag].value[1] / tags[tag].value[0]
        return scale, unit
    for meta in tiff.shaped_metadata or ():
        spacing, unit = meta.get("spacing"), unit_name(str(meta.get("unit", "")))
        if isinstance(spacing, list) and unit != PIXEL:
            return dict(zip("ZYX", map(float, spacing), strict=False)), unit
    return {}, PIXEL


def _ome_scale(xml: str) -> tuple[dict[str, float], str]:
    found = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", xml)
    attributes = dict(re.findall(r'(\w+)="([^"]*)"', found[1])) if found else {}
    unit = unit_name(html.unescape(attributes.get("PhysicalSizeXUnit", "µm")))
    scale = {}
    for letter in "ZYX":
        size = attributes.get(f"PhysicalSize{letter}")
        own = unit_name(html.unescape(attributes.get(f"PhysicalSize{letter}Unit", unit)))
        if size is not None and own == unit:
            scale[letter] = float(size)
    return (scale, unit) if "X" in scale else ({}, PIXEL)


def _read_zarr(path: Path) -> Raw:
    import zarr

    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        return _zarr_array(node)
    attributes: Mapping[str, Any] = node.attrs.asdict()
    scales = attributes.get("ome", attributes).get("multiscales")
    if scales:
        return _ngff(path, node, scales[0])
    arrays = list(node.arrays())
    if len(arrays) != 1:
        raise SegsizeError(
            f"{path.name}: a zarr group of {len(arrays)} arrays without OME-NGFF metadata; "
            "choose one array in it."
        )
    return _zarr_array(arrays[0][1])


def _zarr_array(array: zarr.Array[Any]) -> Raw:
    """A plain array: names of its axes if it has them, else the usual order."""
    names: Any = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.asdict().get("_ARRAY_DIMENSIONS") or ()
    letters = "".join(str(name or "")[:1].upper() for name in names)
    colour = array.ndim > 2 and array.shape[-1] == 3 and array.dtype == np.uint8
    if len(letters) != array.ndim or not {"Y", "X"} <= set(letters):
        letters = "TZYXS"[-array.ndim :] if colour else "TCZYX"[-array.ndim :]
        if array.ndim < 2 or array.ndim > 5:
            raise SegsizeError(
                f"A zarr array of {array.ndim} dimensions; expected an image, a stack or a volume."
            )
    return Raw(array=array, axes=letters, rgb=colour and letters.endswith("S"))


def _ngff(path: Path, group: zarr.Group, scale: Mapping[str, Any]) -> Raw:
    import zarr

    dataset = scale["datasets"][0]  # the finest level
    array = group[dataset["path"]]
    if not isinstance(array, zarr.Array):
        raise SegsizeError(
            f"{path.name}: {dataset['path']} should be an image and is a group; the file is damaged."
        )
    axes = scale.get("axes") or "tczyx"[-len(array.shape) :]
    names = [axis if isinstance(axis, str) else str(axis["name"]) for axis in axes]
    sizes = [1.0] * len(names)
    for transform in (
        *dataset.get("coordinateTransformations", ()), *scale.get("coordinateTransformations", ())
    ):  # fmt: skip
        if transform.get("type") == "scale":
            sizes = [a * float(b) for a, b in zip(sizes, transform["scale"], strict=True)]
    letters = "".join(name[:1].upper() for name in names)
    units = {
        letter: unit_name(axis.get("unit") if isinstance(axis, Mapping) else None)
        for letter, axis in zip(letters, axes, strict=True)
    }
    unit = units.get("X", PIXEL)
    spacing = {
        letter: size for letter, size in zip(letters, sizes, strict=True) if units[letter] == unit != PIXEL
    }
    colour = letters.endswith("C") and array.shape[-1] == 3 and array.dtype == np.uint8
    return Raw(array=array, axes=letters, spacing=spacing, unit=unit, rgb=colour)


_READERS: Mapping[tuple[str, ...], Callable[[Path], Raw]] = {
    (".png", ".jpg", ".jpeg", ".bmp"): _read_picture,
    (".tif", ".tiff"): _read_tiff,
    (".nii", ".nii.gz"): read_nifti,
    (".zarr",): _read_zarr,
}
