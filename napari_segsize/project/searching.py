"""Where files may have gone: one walk through a folder, however many are looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segsize.project.stopping import check

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["named"]


def named(folder: Path, names: Collection[str]) -> Mapping[str, tuple[Path, ...]]:
    """Files, and folders such as those of zarr, that have one of the names, in order.

    Parameters
    ----------
    folder : Path
        Searched with all folders in it; what may not be looked into is passed over. Between two folders it is
        asked whether to stop.
    names : collection of str
        Upper and lower case count where the system tells them apart.
    """
    found: dict[str, list[Path]] = {name: [] for name in names}
    wanted: dict[str, list[str]] = {}
    for name in names:
        wanted.setdefault(os.path.normcase(name), []).append(name)
    for place, folders, files in os.walk(folder):
        check()
        for each in (*folders, *files):
            for name in wanted.get(os.path.normcase(each), ()):
                found[name].append(Path(place, each))
    return {name: tuple(sorted(paths)) for name, paths in found.items()}
