"""Looks in the background whether image files are still those that were annotated. No Qt here."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segsize.project.project import Project

if TYPE_CHECKING:
    from napari_segsize.widgets.desk import Launch, RunningJob
    from napari_segsize.widgets.session import Session

__all__ = ["FileWatch"]


def _looking(folder: Path) -> Generator[frozenset[int], None, None]:
    """Read the files whose size or time is new, with a project of its own."""
    with Project.open(folder) as project:
        found = frozenset(record.id for record in project.changed())
    yield found


class FileWatch:
    """Says in ``state.changed`` which images have another file than was annotated.

    Asked when a project is opened, and whenever a file turned out to be another: a look costs no reading as
    long as sizes and times of the files are those that are known.
    """

    def __init__(self, launch: Launch, session: Session) -> None:
        self._launch, self._session = launch, session
        self._job: RunningJob | None = None
        self._look = 0  # its number: of two looks, only the later one is heard

    def look(self) -> None:
        """Look again, from the beginning."""
        self.stop()
        folder = self._session.state.folder
        if folder is not None:
            self._job = self._launch(_looking(folder), partial(self._on_found, self._look), _ignore)

    def stop(self) -> None:
        """Listen no longer: the project is being left."""
        self._look += 1
        job, self._job = self._job, None
        if job is not None:
            job.stop()

    def _on_found(self, look: int, changed: frozenset[int]) -> None:
        if look == self._look and changed != self._session.state.changed:
            self._session.update(changed=changed)


def _ignore(_error: BaseException | None) -> None:
    """A look that failed changes nothing: whoever needs the file says why."""
