"""Settings of a command from a file: TOML or JSON, with the names of the options."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from ..engine.option import from_dict
from ..errors import SegsizeError

__all__ = ["read_settings"]


def read_settings(file: Path, config: type[Any]) -> dict[str, Any]:
    """Read what a file says of a config's settings.

    Parameters
    ----------
    file : Path
        ``name = value`` lines (TOML), or a JSON object if its name ends in ``.json``. Names are those of the
        options, with dashes or underscores.
    config : dataclass
        What the settings are for.

    Returns
    -------
    dict
        The settings that stand in the file, checked one by one and together.

    Raises
    ------
    SegsizeError
        In one sentence that names the file, if it is not there, cannot be read, or says what does not fit.
    """
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except FileNotFoundError as error:
        raise SegsizeError(f"{file} does not exist: check the path of the settings.") from error
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SegsizeError(
            f"{file}: expected settings as `name = value` lines (TOML) or as a JSON object; {error}."
        ) from error
    if not isinstance(found, dict):
        raise SegsizeError(f"{file}: expected a JSON object with settings, got {type(found).__name__}.")
    named = {name.replace("-", "_"): value for name, value in found.items()}
    try:
        checked = from_dict(config, named)
    except ValueError as error:
        raise SegsizeError(f"{file}: {error}") from error
    return {name: getattr(checked, name) for name in named}
