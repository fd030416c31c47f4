"""The projects opened last, in a small file of the user's; losing it loses nothing."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import platformdirs

__all__ = ["recent_projects", "remember"]

logger = logging.getLogger(__name__)

_KEPT = 50


def _file() -> Path:
    return Path(platformdirs.user_config_dir("napari-segsize", appauthor=False)) / "recent.json"


def recent_projects(count: int = 8) -> tuple[Path, ...]:
    """Return the folders of projects that are still there, the newest first."""
    return tuple(folder for folder in _read() if (folder / "project.segsize").exists())[:count]


def remember(folder: Path) -> None:
    """Put a project in front; a home that cannot be written to is no reason to disturb anybody."""
    folders = [folder, *(other for other in _read() if other != folder)][:_KEPT]
    file = _file()
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps([str(each) for each in folders]), encoding="utf-8")
        new.replace(file)
    except OSError as error:
        logger.info("recent projects were not kept: %s", error)


def _read() -> list[Path]:
    try:
        names = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [Path(name) for name in names if isinstance(name, str)] if isinstance(names, list) else []
