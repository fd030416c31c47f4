"""Whether a file is still the one that was annotated."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segsize.project.stopping import check

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Glance", "content_hash", "glance"]

_BLOCK_BYTES = 1 << 20  # hashed before the next look whether to stop


@dataclass(frozen=True, slots=True)
class Glance:
    """What is seen of a file without reading it: same size and time, same content, as for `make`."""

    bytes: int
    time: int  # nanoseconds; of a folder, the latest in it


def glance(path: Path) -> Glance:
    """Size and time of a file, or of everything in a folder."""
    if not path.is_dir():
        status = path.stat()
        return Glance(status.st_size, status.st_mtime_ns)
    states = [part.stat() for part in _parts(path)]
    return Glance(sum(s.st_size for s in states), max((s.st_mtime_ns for s in states), default=0))


def content_hash(path: Path) -> str:
    """SHA-256 of a file; of a folder (zarr), of the names and contents of all files in it."""
    if not path.is_dir():
        with path.open("rb") as stream:
            return _hashed(stream).hex()
    whole = hashlib.sha256()
    for part in _parts(path):
        with part.open("rb") as stream:
            own = _hashed(stream)
        whole.update(part.relative_to(path).as_posix().encode() + b"\0" + own)
    return whole.hexdigest()


def _hashed(stream: BinaryIO) -> bytes:
    found, block = hashlib.sha256(), bytearray(_BLOCK_BYTES)
    while count := stream.readinto(block):  # type: ignore[attr-defined]
        found.update(memoryview(block)[:count])
        check()
    return found.digest()


def _parts(folder: Path) -> list[Path]:
    return sorted(part for part in folder.rglob("*") if part.is_file())
