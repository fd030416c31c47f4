"""What the page Project does in the background besides adding: images that have moved, or have changed.

A file counts as the same image by its content, which has to be read: seconds for a large one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from napari_segsize.engine.events import Ended, Event, Started, Validating
from napari_segsize.errors import SegsizeError
from napari_segsize.project.project import Project

__all__ = ["accepting", "relinking", "searching"]

Run = Generator[Event, None, None]


def relinking(folder: Path, image_id: int, path: Path, *, force: bool = False) -> Run:
    """Say where one image of the project in `folder` is now.

    Raises
    ------
    SegsizeError
        If the file cannot be read, or is another image; with `force` only if its shape is another.
    """
    with Project.open(folder) as project:
        yield Started(stage="relink", device="", steps=1)
        project.relink(image_id, path, force=force)
        yield Validating(stage="relink", done=1, total=1)
    yield Ended(stage="relink", message=f"Found again: {path.name}.")


def accepting(folder: Path, ids: Sequence[int]) -> Run:
    """Use the changed files of images as they are now, one after the other.

    Raises
    ------
    SegsizeError
        At the end, when some could not be taken: their shape is another, or they cannot be read.
    """
    refused: list[str] = []
    with Project.open(folder) as project:
        yield Started(stage="accept", device="", steps=len(ids))
        for done, image_id in enumerate(ids, start=1):
            try:
                name = project.accept_changed(image_id).name
            except SegsizeError as error:
                refused.append(str(error))
            yield Validating(stage="accept", done=done, total=len(ids))
    taken = len(ids) - len(refused)
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        before = f"{taken} of {len(ids)} changed files are used as they are; " if taken else ""
        raise SegsizeError(f"{before}{refused[0]}{more}")
    which = f"The changed file of {name} is" if taken == 1 else f"{taken} changed files are"
    yield Ended(stage="accept", message=f"{which} used now: look whether what was said still fits.")


def searching(folder: Path, where: Path) -> Run:
    """Look for all missing images in `where` and the folders in it, by name and content."""
    found = 0
    with Project.open(folder) as project:
        total = len(project.missing())
        yield Started(stage="relink", device="", steps=total)
        for done, record in enumerate(project.relinking(where), start=1):
            found += record is not None
            yield Validating(stage="relink", done=done, total=total)
    of = "The missing image is" if total == 1 else f"{found} of {total} missing images are"
    if found:
        yield Ended(stage="relink", message=f"{of} found again.")
    else:
        lost = "it" if total == 1 else "them"
        yield Ended(stage="relink", message=f"No file in {where} has the name and the content of {lost}.")
