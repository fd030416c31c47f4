"""NIfTI volumes, plain and compressed, read plane by plane and never for long without a look up."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.images import Array, Raw
from napari_segsize.project.sizes import PIXEL, unit_name
from napari_segsize.project.stopping import check

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_nifti"]

_STEP_BYTES = 1 << 20  # read before the next look whether to stop


def read_nifti(path: Path) -> Raw:
    """Describe a NIfTI file."""
    import nibabel

    image: Any = nibabel.load(path)
    proxy, shape = image.dataobj, tuple(image.shape)
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    unit = unit_name(image.header.get_xyzt_units()[0].replace("meter", "m").replace("micron", "um"))
    axes = "XYZTCUVW"[: len(shape)]  # stored x fastest; read as (z, y, x) by the axes' letters
    if proxy.dtype.fields:  # RGB24, RGBA32
        raise SegsizeError(f"{path.name}: a colour NIfTI; save it as a TIFF stack instead.")
    spacing = dict(zip("XYZ", zooms, strict=False))
    unit = "mm" if unit == PIXEL else unit  # few programs fill it in, and NIfTI means millimetres
    return Raw(array=_LazyNifti(path, shape, proxy), axes=axes, spacing=spacing, unit=unit)


class _LazyNifti:
    """Reads through nibabel's proxy: scaled values where the header scales, stored ones where it does not."""

    def __init__(self, path: Path, shape: tuple[int, ...], proxy: Any) -> None:
        self._path, self.shape, self._order = path, shape, proxy.order
        self._stored = (shape, proxy.dtype, proxy.offset, proxy.slope, proxy.inter)
        scaled = (proxy.slope, proxy.inter) != (1.0, 0.0)
        self.dtype = np.dtype(np.float64) if scaled else np.dtype(proxy.dtype)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        with self.held() as opened:
            return np.asarray(opened[index])

    @contextmanager
    def held(self) -> Iterator[Array]:
        """The pixels of the open file: if it is compressed, later ones are found without starting over."""
        from nibabel.arrayproxy import ArrayProxy

        packed = self._path.name.lower().endswith(".gz")
        with gzip.open(self._path) if packed else self._path.open("rb") as file:
            stream = _Patient(cast("BinaryIO", file), walks=packed)
            array: Array = ArrayProxy(stream, self._stored, mmap=False, order=self._order)  # type: ignore[no-untyped-call]
            yield array


class _Patient(io.BufferedIOBase):
    """A file that is read in blocks, with a look between them whether to stop; `walks` if it cannot jump.

    A compressed file is decompressed up to where pixels are wanted, which may take longer than reading them.
    """

    def __init__(self, file: BinaryIO, *, walks: bool) -> None:
        self._file, self._walks = file, walks

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = sys.maxsize
        parts = []
        while size > 0 and (part := self._file.read(min(size, _STEP_BYTES))):
            parts.append(part)
            size -= len(part)
            check()
        return b"".join(parts)

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        if self._walks and whence == io.SEEK_SET:
            if position < self._file.tell():
                self._file.seek(0)
            while self._file.tell() < position:
                if not self._file.read(min(position - self._file.tell(), _STEP_BYTES)):
                    break
                check()
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
