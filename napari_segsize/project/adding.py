"""Image files that are about to be added: which there are, and which of them cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_segsize.errors import SegsizeError
from napari_segsize.project.gallery import Candidate
from napari_segsize.project.images import find_images, is_zarr
from napari_segsize.project.naming import listed

__all__ = ["candidates_of"]


def candidates_of(paths: Iterable[Path], *, some: bool) -> tuple[list[Candidate], dict[Path, str]]:
    """Read files, and the files of folders.

    Parameters
    ----------
    paths : iterable of Path
    some : bool
        Whether some of them are enough.

    Returns
    -------
    candidates : list of Candidate
    unreadable : dict of Path to str
        Files that cannot be read, and why not.

    Raises
    ------
    SegsizeError
        If one cannot be read, or none, where `some` are enough; it names the first.
    """
    files = [file for path in paths for file in _files(path)]
    candidates: list[Candidate] = []
    unreadable: dict[Path, str] = {}  # not the errors, which hold what was read
    for file in files:
        try:
            candidates.append(Candidate.of(file))
        except SegsizeError as error:
            unreadable[file] = str(error)
    if unreadable and not (some and candidates):
        raise _none_added(unreadable, len(candidates))
    return candidates, unreadable


def _files(path: Path) -> tuple[Path, ...]:
    """The image at a path, or the images in the folder there."""
    return find_images(path) if path.is_dir() and not is_zarr(path) else (path,)


def _none_added(unreadable: Mapping[Path, str], readable: int) -> SegsizeError:
    """Which files cannot be read, and why the first one cannot."""
    first = next(iter(unreadable.values()))
    if len(unreadable) == 1 and not readable:
        return SegsizeError(first)
    files = len(unreadable) + readable
    rest = " Or leave them out: segsize add --skip-unreadable adds the others." if readable else ""
    return SegsizeError(
        f"{len(unreadable)} of {files} files cannot be read, so none was added: {listed([*unreadable])}. "
        f"{'The first: ' if len(unreadable) > 1 else ''}{first}{rest}"
    )
