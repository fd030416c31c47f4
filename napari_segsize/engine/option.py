"""What a setting is: a field of a frozen dataclass that carries its range, unit, choices and help text.

The dock widget's form and the command line's options are generated from such fields, and a checkpoint stores
them as plain JSON. This file imports neither torch nor MONAI.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping
from dataclasses import Field, asdict, field, fields
from typing import Any, TypeVar, get_type_hints

__all__ = ["check", "device_option", "from_dict", "option", "settings", "to_dict"]

ConfigT = TypeVar("ConfigT")


def option(
    default: Any,
    help: str,
    *,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    advanced: bool = False,
    title: str = "",
) -> Any:
    """Declare one setting: a dataclass field that carries its own range, unit and help text.

    `title` is what the dock widget calls it, where its name says too little.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "min": min,
            "max": max,
            "step": step,
            "unit": unit,
            "choices": choices,
            "advanced": advanced,
            "title": title,
        },
    )


def device_option() -> Any:
    """The setting that says where to compute."""
    return option(
        "auto",
        "where to compute: auto takes a GPU when there is one",
        choices=("auto", "cpu", "cuda", "mps"),
        advanced=True,
    )


def settings(config: Any) -> tuple[Field[Any], ...]:
    """The settings of a config in the order to show them: its own, then those that it only inherits."""
    kind = config if isinstance(config, type) else type(config)
    known = {item.name: item for item in fields(kind)}
    own = [name for name in inspect.get_annotations(kind) if name in known]
    return tuple(known[name] for name in dict.fromkeys([*own, *known]))


def check(config: Any) -> None:
    """Refuse values outside the declared range with a sentence that names the setting."""
    for item in fields(config):
        value, meta = getattr(config, item.name), item.metadata
        if meta["choices"] and value not in meta["choices"]:
            raise ValueError(f"{item.name}: expected one of {', '.join(meta['choices'])}, got {value!r}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{item.name}: expected a finite number, got {value}")
        if meta["min"] is not None and value < meta["min"]:
            raise ValueError(f"{item.name}: expected at least {meta['min']:g}, got {value:g}")
        if meta["max"] is not None and value > meta["max"]:
            raise ValueError(f"{item.name}: expected at most {meta['max']:g}, got {value:g}")


def to_dict(config: Any) -> dict[str, Any]:
    """Plain numbers, strings and booleans, ready for JSON."""
    return asdict(config)


def from_dict(cls: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build a config from JSON values; an unknown name is refused with its nearest neighbour.

    Raises
    ------
    ValueError
        For an unknown name, a value of another type, or one out of range.
    """
    hints = get_type_hints(cls)
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            raise ValueError(f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else ""))
        kind = hints[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"{name}: expected {kind.__name__}, got {value!r}")
        checked[name] = value
    return cls(**checked)
