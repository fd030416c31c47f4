"""Which file is an image's: found again where it has moved to, or taken as it is after it has changed.

A file is the same image if its content is. Each is read as seldom as that allows: once for the hash, and once
more for its pixels only if the content is new; none of it is ever in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_segsize.errors import SegsizeError
from napari_segsize.project.fingerprint import Glance, content_hash, glance
from napari_segsize.project.gallery import Candidate
from napari_segsize.project.images import ImageSource, look_at, open_image
from napari_segsize.project.searching import named

if TYPE_CHECKING:
    from pathlib import Path

    from napari_segsize.project.annotation import ImageRecord
    from napari_segsize.project.gallery import Gallery
    from napari_segsize.project.history import History

__all__ = ["Links"]

_NEW_FILE = "put the old file back, or save the new one under another name and add that"


@dataclass(frozen=True, slots=True)
class _Print:
    """Content of a file, and what was seen of it before it was read."""

    seen: Glance
    sha256: str

    @classmethod
    def of(cls, path: Path) -> _Print:
        seen = glance(path)
        return cls(seen, content_hash(path))


class Links:
    """From the images of a project to their files. What is said about the images is never touched."""

    def __init__(self, gallery: Gallery, history: History) -> None:
        self._gallery, self._history = gallery, history

    def relink(self, record: ImageRecord, path: Path, *, force: bool = False) -> None:
        """Let an image be the file at `path`; with `force` also if its content is another."""
        source = self._opened(record, path, "add it as a new image")
        found = _Print.of(path)
        if found.sha256 != record.sha256 and not force:
            raise SegsizeError(
                f"{path} is not the file that was annotated as {record.name} (its content differs): choose "
                "another file, or say that the changed file is to be used as it is."
            )
        self._link(record, source, found)

    def accept(self, record: ImageRecord) -> None:
        """Let an image be its own file as it now is; nothing happens if that has not changed."""
        path = self._gallery.file(record)
        source = self._opened(record, path, _NEW_FILE)
        found = _Print.of(path)
        if found.sha256 != record.sha256:
            self._link(record, source, found)

    def search(self, folder: Path) -> Iterator[ImageRecord | None]:
        """Look for missing images; each that was linked when it comes, None if it is not there."""
        lost = [(record, self._gallery.file(record).name) for record in self.missing()]
        places = named(folder, {name for _, name in lost})
        for record, name in lost:
            for path in places[name]:
                found = self._same(record, path)
                if found is not None:
                    self._link(record, self._opened(record, path, "add it as a new image"), found)
                    yield record
                    break
            else:
                yield None

    def missing(self) -> tuple[ImageRecord, ...]:
        """Images whose file is gone."""
        return tuple(record for record in self._gallery.all() if self._gallery.is_missing(record))

    def changed(self) -> tuple[ImageRecord, ...]:
        """Images whose file is there and is another one; reads those whose size or time is new."""
        return tuple(record for record in self._gallery.all() if self._has_changed(record))

    def _has_changed(self, record: ImageRecord) -> bool:
        path, known = self._gallery.file(record), self._gallery.seen(record.id)
        try:
            if not path.exists():
                return False
            seen = glance(path)
            if seen == known:
                return False
            if _other_size(seen, known) or content_hash(path) != record.sha256:
                return True
        except OSError:
            return True
        with suppress(
            SegsizeError
        ):  # only touched: not to be read again; no harm where nothing can be written
            self._gallery.remember(record, seen)
        return False

    def _same(self, record: ImageRecord, path: Path) -> _Print | None:
        """The content of a file if it is that of an image; a file of another size need not be read."""
        try:
            if _other_size(glance(path), self._gallery.seen(record.id)):
                return None
            found = _Print.of(path)
        except OSError:
            return None
        return found if found.sha256 == record.sha256 else None

    def _opened(self, record: ImageRecord, path: Path, way_out: str) -> ImageSource:
        """The file, if it is of the shape that was annotated."""
        source = open_image(path)
        shape = (source.planes, source.channels, source.height, source.width)
        expected = (record.planes, record.channels, record.height, record.width)
        if shape != expected:
            raise SegsizeError(
                f"{path} does not fit {record.name}: expected {expected} (planes, channels, rows, columns), "
                f"got {shape}; {way_out}."
            )
        return source

    def _link(self, record: ImageRecord, source: ImageSource, found: _Print) -> None:
        same = found.sha256 == record.sha256
        warnings = record.warnings if same else (*look_at(source), *_other_pixels(record, source))
        candidate = Candidate(
            path=source.path, source=source, sha256=found.sha256, seen=found.seen, warnings=warnings
        )
        label = f"Re-linked {record.name}"
        if not same:  # the row keeps only the new content: the old one is told here
            label = (
                f"Took the changed file of {record.name} as it is: content {found.sha256}, before "
                f"{record.sha256}"
            )
        with self._history.step(label, kind="project") as step:
            step.touch()
            self._gallery.link(step.connection, record.id, candidate)


def _other_size(seen: Glance, known: Glance) -> bool:
    """Whether a file cannot have the content that is known; projects of the first version know no size."""
    return known.bytes >= 0 and seen.bytes != known.bytes


def _other_pixels(record: ImageRecord, source: ImageSource) -> tuple[str, ...]:
    """What a user should know who entered sizes in millimetres."""
    if (source.spacing, source.unit) == (record.spacing, record.unit):
        return ()
    now, before = (
        f"{' x '.join(f'{side:g}' for side in spacing)} {unit}"
        for spacing, unit in ((source.spacing, source.unit), (record.spacing, record.unit))
    )
    return (f"The changed file says that a pixel is {now}; sizes go on with {before}, as they were entered.",)
