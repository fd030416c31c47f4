"""The images of a project: their rows, their files, and the planes read last."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, bindparam, insert, select, update

from napari_segsize.errors import SegsizeError
from napari_segsize.project import tables
from napari_segsize.project.annotation import SPLITS, ImageRecord, Split
from napari_segsize.project.fingerprint import Glance, content_hash, glance
from napari_segsize.project.images import ImageSource, look_at, open_image, plain_name
from napari_segsize.project.stopping import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_segsize.project.store import Store

__all__ = ["Candidate", "Gallery"]

_CACHE_BYTES = 256 << 20
_ROWS = 500  # numbers in one statement; SQLite has a limit
_SELECT_IMAGE = select(tables.image).where(
    tables.image.c.id == bindparam("id"), tables.image.c.removed.is_(False)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file that was read and may become an image of the project, or an image's new file."""

    path: Path
    source: ImageSource
    sha256: str
    seen: Glance
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> Candidate:
        """Read a file: its content once for the hash, its pixels once to see that they can be read."""
        source = open_image(path)
        seen = glance(path)
        return cls(path=path, source=source, sha256=content_hash(path), seen=seen, warnings=look_at(source))


class Gallery:
    """Rows of the image table, and pixels. Writes only inside transactions that the project opens."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._lock = threading.RLock()
        self._cache: OrderedDict[tuple[int, str, int], NDArray[Any]] = OrderedDict()
        self._cached_bytes = 0
        self._sources: dict[tuple[int, str, str], ImageSource] = {}
        self._checked: dict[int, Glance] = {}

    def all(self) -> tuple[ImageRecord, ...]:
        """Every image, in the order they were added."""
        query = select(tables.image).where(tables.image.c.removed.is_(False)).order_by(tables.image.c.id)
        with self._store.reading() as connection:
            return tuple(_record(row) for row in connection.execute(query).mappings())

    def get(self, image_id: int) -> ImageRecord:
        """One image."""
        with self._store.reading() as connection:
            row = connection.execute(_SELECT_IMAGE, {"id": image_id}).mappings().one_or_none()
        if row is None:
            raise SegsizeError(
                f"The project has no image number {image_id}: it was taken out of the project."
            )
        return _record(row)

    def add(
        self, connection: Connection, candidate: Candidate, *, group: str | None, split: Split | None
    ) -> int:
        """A row for a file; one that was taken out before comes back with its annotations."""
        path = self.stored_path(candidate.path)
        known = connection.execute(select(tables.image).where(tables.image.c.path == path)).mappings().all()
        for row in known:
            if not row["removed"]:
                return int(row["id"])
        row_values = self._values(connection, candidate, path, group, split)
        for row in known:
            same_shape = all(
                row[name] == row_values[name] for name in ("planes", "channels", "height", "width")
            )
            if same_shape and row["sha256"] == candidate.sha256:
                back = {**row_values, "name": row["name"], "removed": False}
                connection.execute(update(tables.image).where(tables.image.c.id == row["id"]).values(back))
                return int(row["id"])
        key = connection.execute(insert(tables.image).values(row_values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def update(self, connection: Connection, image_ids: Iterable[int], values: Mapping[str, Any]) -> None:
        """Change rows, all to the same."""
        ids = list(image_ids)
        for start in range(0, len(ids), _ROWS):
            where = tables.image.c.id.in_(ids[start : start + _ROWS])
            connection.execute(update(tables.image).where(where).values(dict(values)))

    def link(self, connection: Connection, image_id: int, candidate: Candidate) -> None:
        """Let an image be another file (moved, or accepted as changed)."""
        path, source = self.stored_path(candidate.path), candidate.source
        self.forget(image_id)
        self.update(connection, [image_id], {
            "path": path, "sha256": candidate.sha256, "file_bytes": candidate.seen.bytes,
            "file_time": candidate.seen.time, "dtype": source.dtype, "rgb": source.rgb,
            "warnings": json.dumps(candidate.warnings),
        })  # fmt: skip

    def stored_path(self, path: Path) -> str:
        """As it is kept: relative inside the project's folder, so that the folder can be moved."""
        absolute = Path(os.path.normpath(path.absolute()))  # not `resolve`: links stay links
        try:
            return absolute.relative_to(self._folder).as_posix()
        except ValueError:
            return absolute.as_posix()

    def file(self, record: ImageRecord) -> Path:
        """Where the file of an image is."""
        return self._folder / record.path

    def is_missing(self, record: ImageRecord) -> bool:
        """Whether the file is gone."""
        return not self.file(record).exists()

    def seen(self, image_id: int) -> Glance:
        """What was seen of the file of an image when it was linked; -1 where a project knows nothing."""
        query = select(tables.image.c.file_bytes, tables.image.c.file_time).where(
            tables.image.c.id == image_id
        )
        with self._store.reading() as connection:
            row = connection.execute(query).one()
        return Glance(row[0], row[1])

    def remember(self, record: ImageRecord, seen: Glance) -> None:
        """Note that a file has its known content though it was touched: it is not read for that again."""
        with self._store.writing() as connection:
            table = tables.image
            same = (table.c.id == record.id) & (table.c.sha256 == record.sha256)
            values = {"file_bytes": seen.bytes, "file_time": seen.time}
            connection.execute(update(table).where(same).values(values))

    def planes(self, record: ImageRecord, start: int, stop: int) -> NDArray[Any]:
        """Planes of an image, (planes, C, H, W); a copy."""
        with self._lock:
            self._check(record)
            found = [self._cached(record, k) for k in range(start, stop)]
            held = [plane for plane in found if plane is not None]
            if len(held) == len(found):
                return np.stack(held)
            source = self._source(record)
            if source.at_once:
                pixels = source.read()
                self._keep(record, 0, pixels)
                return pixels[start:stop].copy()
            pixels = source.read(start, stop)
            if stop - start == 1:
                self._keep(record, start, pixels)
            return pixels

    def source(self, record: ImageRecord) -> ImageSource:
        """The file of an image, opened after the same checks as for its pixels."""
        with self._lock:
            self._check(record)
            return self._source(record)

    def blocks(self, record: ImageRecord) -> Iterator[NDArray[Any]]:
        """All planes of an image, some megabytes at a time, with a look between them whether to stop."""
        source = self.source(record)
        if source.at_once:
            pixels = self.planes(record, 0, record.planes)
            for start in range(0, record.planes, source.step):
                check()
                yield pixels[start : start + source.step]
        else:
            for _, block in source.blocks():
                yield block

    def forget(self, image_id: int) -> None:
        """Drop what is in memory of an image."""
        with self._lock:
            self._checked.pop(image_id, None)
            for source_key in [key for key in self._sources if key[0] == image_id]:
                del self._sources[source_key]
            for plane_key in [key for key in self._cache if key[0] == image_id]:
                self._cached_bytes -= self._cache.pop(plane_key).nbytes

    def _check(self, record: ImageRecord) -> None:
        """Before pixels are handed out: the file is there, and is what was annotated."""
        path = self.file(record)
        where = f"{record.name}: the image file {path}"
        try:
            # A zarr folder may hold many thousand files: it is looked through once, when it is first read.
            if path.is_dir() and record.id in self._checked:
                return
            seen = glance(path)
        except FileNotFoundError as error:
            self.forget(record.id)
            raise SegsizeError(
                f"{where} is not there any more: put it back, or re-link it to where it is now."
            ) from error
        except OSError as error:
            raise SegsizeError(
                f"{where} cannot be read ({error.strerror}): check the drive and its permissions."
            ) from error
        if seen == self._checked.get(record.id):
            return
        if seen != self.seen(record.id) and _is_another(record, path):
            self.forget(record.id)
            raise SegsizeError(
                f"{where} has changed since it was added, so the annotations may no longer fit: put the old "
                "file back, or use the changed file as it is (page Project, or segsize relink --as-is)."
            )
        self._checked[record.id] = seen

    def _source(self, record: ImageRecord) -> ImageSource:
        key = (record.id, record.path, record.sha256)  # another process may re-link it
        if key not in self._sources:
            source = open_image(self.file(record))
            shape = (source.planes, source.channels, source.height, source.width)
            if shape != (record.planes, record.channels, record.height, record.width):
                raise SegsizeError(
                    f"{record.name}: the file now has the shape {shape}; put the old file back."
                )
            self._sources[key] = source
        return self._sources[key]

    def _keep(self, record: ImageRecord, start: int, pixels: NDArray[Any]) -> None:
        for k, plane in enumerate(pixels):
            key = (record.id, record.sha256, start + k)
            if key not in self._cache:
                self._cache[key] = plane.copy()  # not a view, which would keep all planes alive
                self._cached_bytes += plane.nbytes
        while self._cached_bytes > _CACHE_BYTES:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes

    def _cached(self, record: ImageRecord, k: int) -> NDArray[Any] | None:
        key = (record.id, record.sha256, k)
        plane = self._cache.get(key)
        if plane is not None:
            self._cache.move_to_end(key)
        return plane

    def _values(
        self, connection: Connection, candidate: Candidate, path: str, group: str | None, split: Split | None
    ) -> dict[str, Any]:
        source, warnings = candidate.source, list(candidate.warnings)
        table = tables.image
        present = table.c.removed.is_(False)
        twin = connection.execute(
            select(table.c.name, table.c.group).where(present, table.c.sha256 == candidate.sha256)
        ).first()
        if twin is not None:
            warnings.append(f"The same pixels are in the project as {twin[0]}; keep both in one group.")
        if group is None:
            group = plain_name(candidate.path) if twin is None else twin[1]
        used = set(
            connection.scalars(select(table.c.split).where(present, table.c.group == group).distinct())
        )
        if split is None:  # a newcomer goes where its group is
            split = next(each for each in SPLITS if each in used) if used else "train"
        return {
            "name": _free_name(connection, plain_name(candidate.path), candidate.path.parent.name),
            "path": path, "sha256": candidate.sha256, "planes": source.planes, "channels": source.channels,
            "height": source.height, "width": source.width, "dtype": source.dtype,
            "spacing_z": source.spacing[0], "spacing_y": source.spacing[1], "spacing_x": source.spacing[2],
            "unit": source.unit, "group": group, "split": split, "rgb": source.rgb,
            "removed": False, "warnings": json.dumps(warnings), "file_bytes": candidate.seen.bytes,
            "file_time": candidate.seen.time,
        }  # fmt: skip


def _is_another(record: ImageRecord, path: Path) -> bool:
    """Whether a file is not what was annotated; reads all of it."""
    try:
        return content_hash(path) != record.sha256
    except OSError:
        return True


def _free_name(connection: Connection, name: str, folder: str) -> str:
    """A name no other image of the project has: sizes.csv and messages name images by it."""
    taken = set(connection.scalars(select(tables.image.c.name)))
    options = [name, f"{folder}/{name}", *(f"{name} ({k})" for k in range(2, len(taken) + 3))]
    return next(option for option in options if option not in taken)


def _record(row: Mapping[Any, Any]) -> ImageRecord:
    return ImageRecord(
        id=row["id"], name=row["name"], path=row["path"], sha256=row["sha256"], planes=row["planes"],
        channels=row["channels"], height=row["height"], width=row["width"], dtype=row["dtype"],
        spacing=(row["spacing_z"], row["spacing_y"], row["spacing_x"]), unit=row["unit"], group=row["group"],
        split=row["split"], rgb=bool(row["rgb"]), warnings=tuple(json.loads(row["warnings"])),
    )  # fmt: skip
