"""Options of a loss, as a recipe gives them: names from the function's signature, values tried on it."""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import torch
from torch import Tensor

from napari_segsize.losses import LOSSES
from napari_segsize.losses._recipe_text import Value, value_text

if TYPE_CHECKING:
    Options = tuple[tuple[str, Value], ...]
else:
    Options = tuple

_GIVEN = {"reduction", "generator", "noise", "mask", "masks"}  # by whoever calls the loss
_OTHER_NAMES = {"tversky": {"alpha": "ghosts", "beta": "misses"}}
"""What papers call options of ours."""


def checked_options(name: str, function: Callable[..., Tensor], options: Options) -> Options:
    """The options in the order of the signature, with values of its types.

    Raises
    ------
    ValueError
        If there is no such option, or the loss does not take its value.
    """
    if not options:
        return ()
    known = option_kinds(function)
    other = _OTHER_NAMES.get(name, {})
    found: dict[str, Value] = {}
    for written, value in options:
        option = other.get(written, written)
        if option not in known:
            near = get_close_matches(option, known, 1)
            has = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}."
            raise ValueError(f'{name} has no option "{written}"; {has}')
        if option in found:
            raise ValueError(f"{name}: {option} is given twice.")
        try:
            found[option] = _as_kind(value, known[option])
        except ValueError as error:
            raise ValueError(
                f"{name}: {option}: expected {_kind_text(known[option])}, got {value_text(value)}."
            ) from error
    _try(name, found)
    return tuple((option, found[option]) for option in known if option in found)


@cache
def option_kinds(function: Callable[..., Tensor]) -> dict[str, Any]:
    """Names and types of the options that can be written; tensors and generators cannot."""
    local = {"Sequence": Sequence, "Border": str, "Dimension": Literal[0, 1], "Tensor": Tensor}
    try:
        parameters = inspect.signature(function, eval_str=True, locals=local).parameters
    except NameError:  # a type that is imported for the checker alone
        parameters = inspect.signature(function).parameters
    return {
        name: each.annotation
        for name, each in parameters.items()
        if each.kind is each.KEYWORD_ONLY and name not in _GIVEN and not _has_tensor(each.annotation)
    }


def _has_tensor(kind: Any) -> bool:
    return kind in (Tensor, torch.Generator) or any(_has_tensor(each) for each in get_args(kind))


def _as_kind(value: Value, kind: Any) -> Value:
    """`value` as a type of a signature; a ValueError if it is none."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        for each in parts:
            try:
                return _as_kind(value, each)
            except ValueError:
                continue
    elif kind is type(None):
        if value is None:
            return None
    elif origin is Literal:
        if any(value == each and type(value) is type(each) for each in parts):
            return value
    elif origin is Sequence:
        if isinstance(value, tuple):
            return tuple(_as_kind(each, parts[0]) for each in value)
    elif kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif kind in (bool, int, str):
        if type(value) is kind:
            return value
    elif isinstance(kind, str):  # a type that could not be looked up: the trial decides
        return value
    raise ValueError


def _kind_text(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_kind_text(each) for each in parts)
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin is Sequence:
        return f"several in brackets, each {_kind_text(parts[0])}"
    names = {float: "a number", int: "a whole number", bool: "true or false", type(None): "none"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def _try(name: str, options: dict[str, Value]) -> None:
    """Let the loss itself judge the values, on a tiny image."""
    info = LOSSES[name]
    if info.acts_on != "logits" or info.needs not in (("mask",), ("image",)):
        return
    logits = torch.zeros(1, 1, 8, 8)
    target = torch.zeros(1, 1, 8, 8)
    target[..., 3:5, 3:5] = 1
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            typing.cast("Any", info.function)(logits, target, **options)
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        said = str(error).rstrip(".")
        raise ValueError(f"{name}: {said}.") from error
