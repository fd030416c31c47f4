"""What the user has set in napari's Preferences under Segsize (napari 0.9 and later; defaults before)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Preferences", "read_preferences"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Settings of the plugin, with their defaults."""

    device: str = "auto"
    threads: int = 0  # 0 leaves one core to the window
    folder: str = ""  # where new projects start; "" is the home folder
    recent: int = 8  # how many recent projects are listed

    @property
    def start_folder(self) -> Path:
        """Return a folder that exists."""
        folder = Path(self.folder).expanduser() if self.folder else Path.home()
        return folder if folder.is_dir() else Path.home()


def read_preferences() -> Preferences:
    """Read the Preferences page; anything that is not there, or not readable, keeps its default."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # napari before 0.9
        return Preferences()
    try:
        settings = get_plugin_settings("napari-segsize")
    except KeyError:  # the package runs from a checkout: napari does not know its manifest
        return Preferences()
    default = Preferences()
    return Preferences(
        device=_value(settings, "train", "device", default.device),
        threads=_value(settings, "train", "threads", default.threads),
        folder=_value(settings, "project", "folder", default.folder),
        recent=_value(settings, "project", "recent", default.recent),
    )


def _value(settings: Any, section: str, name: str, default: Any) -> Any:
    value = getattr(getattr(settings, section, None), name, default)
    kind = type(default)
    if isinstance(value, kind):
        return value
    try:
        return kind(getattr(value, "value", value))  # napari makes an Enum of a list of choices
    except (TypeError, ValueError):
        logger.warning("Preferences %s.%s: expected %s, got %r", section, name, kind.__name__, value)
        return default
