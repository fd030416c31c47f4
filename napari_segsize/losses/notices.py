"""What a loss says of numbers that it can compute but that are hardly meant, and when it may look at them.

A loss looks at numbers only where that is cheap: on a GPU it would have to wait for all that was asked of it
before. There what does not fit makes the value of its plane NaN, for nothing, and the value is looked at by
whoever reads it. While a network trains, `silence` keeps the losses from looking for what its loop looks for
itself.
"""

from __future__ import annotations

import inspect
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEAR = frozenset({"cpu"})  # kinds of devices on which looking is cheap
_FEW = 64  # of so few numbers nothing is concluded
_EDGE = 0.1  # probabilities come as near to 0 and to 1 as this
_SAID = 3  # planes that are named
_OWN = ("napari_segsize.losses.", "torch.nn.modules.", "torch.utils.")

_silent: ContextVar[bool] = ContextVar("silent", default=False)
_said: set[tuple[str, int, str]] = set()  # file, line and kind of every warning


@contextmanager
def silence() -> Iterator[None]:
    """Let the losses say nothing: for logits that come from a network, and values that are looked at."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def silenced() -> bool:
    """Whether somebody else looks."""
    return _silent.get()


def at_hand(tensor: Tensor) -> bool:
    """Whether the numbers of a tensor can be looked at without a wait."""
    return tensor.device.type in _NEAR


def look_for_probabilities(logits: Tensor, name: str = "logits") -> None:
    """Warn when what should be positive inside and negative outside looks like probabilities or a mask.

    That is, all numbers lie from 0 to 1, and some near either end: a network that is not sure of anything yet
    has neither. A few numbers here and there are looked at first: hardly any logits survive that.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
    name : {"logits", "phi"}
        What they are called.
    """
    if silenced() or not at_hand(logits) or logits.numel() < _FEW:
        return
    numbers = logits.detach()
    some = numbers[tuple(slice(None, None, max(1, side // 4)) for side in numbers.shape)]
    if not _within(*some.aminmax(), edge=1.0) or not _within(*numbers.aminmax(), edge=_EDGE):
        return
    wanted, way = (
        ("logits, before the sigmoid", "Of probabilities take `torch.logit(probabilities, eps=1e-6)`.")
        if name == "logits"
        else ("a level set in pixels, negative outside", "Of a mask take `ops.signed_distance(mask)`.")
    )
    _say(
        name,
        f"{name}: expected {wanted}, got values that all lie from 0 to 1, as probabilities and masks do. "
        f"{way}",
    )


def look_for_flat(logits: Tensor) -> None:
    """Warn when planes of an edge map ``(N, C, *spatial)`` hold one number throughout; name those."""
    if silenced() or not at_hand(logits) or logits.numel() == 0:
        return
    numbers = logits.detach().flatten(2)
    flat = (numbers.amax(-1) == numbers.amin(-1)).nonzero().tolist()
    if flat:
        named = " and ".join(str(tuple(place)) for place in flat[:_SAID])
        more = f" and {len(flat) - _SAID} more" if len(flat) > _SAID else ""
        _say(
            "flat",
            f"expected an edge map that varies, got one number throughout in {named}{more} of the batch "
            "(image, class). It has no direction there, so the value is 0 and teaches nothing: begin with "
            "edge_bce.",
        )


def look_for_odd(values: Tensor) -> None:
    """Warn when values ``(N, C)``, ``(N,)`` or ``(T, N)`` of planes or objects are not finite; name those."""
    if silenced() or not at_hand(values) or values.isfinite().all():
        return
    places = (~values.detach().isfinite()).nonzero().tolist()
    named = " and ".join(str(place[0] if len(place) == 1 else tuple(place)) for place in places[:_SAID])
    more = f" and {len(places) - _SAID} more" if len(places) > _SAID else ""
    first = float(values.detach()[tuple(places[0])])
    axes = "" if values.ndim == 1 else " (image, class)"
    _say(
        "odd",
        f"expected a finite value, got {first} of number {named}{more} of the batch{axes}. The prediction "
        "holds NaN or Inf there, or grew too large: look at it, or learn more slowly.",
    )


def odd(wrong: Tensor, like: Tensor) -> Tensor:
    """NaN where something is wrong, 0 elsewhere: to be added to values nobody may look at."""
    return torch.zeros_like(wrong, dtype=like.dtype if like.is_floating_point() else None).masked_fill(
        wrong, torch.nan
    )


def _within(low: Tensor, high: Tensor, *, edge: float) -> bool:
    """Whether the least and the largest number lie in 0..1, and no farther from its ends than `edge`."""
    return 0 <= float(low) <= edge and 1 - edge <= float(high) <= 1


def _say(kind: str, text: str) -> None:
    """Warn of it where the loss was called, with the loss's name; once a place and kind.

    Python would count too, but forgets whenever somebody changes its filters, as compiling does.
    """
    frame, level, name = inspect.currentframe(), 0, ""
    while frame is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(_OWN):
        if frame.f_code.co_name.endswith("_loss"):
            name = f"{frame.f_code.co_name.lstrip('_')}: "
        frame, level = frame.f_back, level + 1
    place = ("", 0, kind) if frame is None else (frame.f_code.co_filename, frame.f_lineno, kind)
    if place not in _said:
        _said.add(place)
        warnings.warn(name + text, UserWarning, stacklevel=level + 1)
