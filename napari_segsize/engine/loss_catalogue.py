"""The catalogue of losses as a menu: titles, groups, what each has to be given, and its options.

Options are read from the function itself, its signature and its docstring, so that a new loss needs
nothing here; only its title is nicer when it is named. torch is imported inside, so that a page can import
the values.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..losses.info import LossInfo

__all__ = ["LossEntry", "LossOption", "catalogue"]

Acts = Literal["pixels", "edges", "contour", "phi", "field"]
OptionKind = Literal["switch", "whole", "number", "choice", "wholes"]

_PIXELS, _OUTLINE = "On every pixel", "Distance to the outline"
_LENGTH, _TOPOLOGY, _WEAK = "Length and region", "Topology", "Without masks"
_CONTOURS, _EDGES, _LEVELSETS, _OTHER = "On contours", "On edges", "On level sets", "Others"
_TITLES = {
    "bce": ("Cross-entropy", _PIXELS),
    "focal": ("Focal", _PIXELS),
    "dice": ("Dice", _PIXELS),
    "generalised_dice": ("Generalised Dice", _PIXELS),
    "tversky": ("Tversky", _PIXELS),
    "boundary": ("Boundary", _OUTLINE),
    "hausdorff": ("Hausdorff by distances", _OUTLINE),
    "one_sided_hausdorff": ("Hausdorff, one-sided", _OUTLINE),
    "hausdorff_erosion": ("Hausdorff by erosion", _OUTLINE),
    "hausdorff_convolution": ("Hausdorff by convolution", _OUTLINE),
    "active_contour": ("Active contour", _LENGTH),
    "chan_vese": ("Chan-Vese", _LENGTH),
    "cldice": ("clDice: centre lines", _TOPOLOGY),
    "topology": ("Parts and holes (persistence)", _TOPOLOGY),
    "size": ("Object size", _WEAK),
    "centroid": ("Centre", _WEAK),
    "area_bounds": ("Bounds of the area", _WEAK),
    "projection": ("Projections (box)", _WEAK),
    "edge_bce": ("Cross-entropy of edges", _EDGES),
    "nms": ("Thin edges (suppression)", _EDGES),
    "direction": ("Direction of edges", _EDGES),
    "phi_distance": ("Distance of a level set", _LEVELSETS),
    "motion_direction": ("Direction of its motion", _LEVELSETS),
    "phi_bce": ("Cross-entropy of a level set", _LEVELSETS),
    "contour_segmentation": ("Covered area", _CONTOURS),
    "contour_distance": ("Distance of the vertices", _CONTOURS),
    "balloon": ("Balloon", _CONTOURS),
    "curvature": ("Curvature", _CONTOURS),
    "extreme_points": ("Extreme points", _CONTOURS),
    "contour_size": ("Size of a contour", _CONTOURS),
}
_GROUPS = (_PIXELS, _OUTLINE, _LENGTH, _TOPOLOGY, _WEAK, _EDGES, _LEVELSETS, _OTHER, _CONTOURS)
_HIDDEN = {
    "reduction",
    "mask",
    "masks",
    "generator",
    "noise",
    "distance_map",
    "target_distance",
    "classes",
    "edges",
    "directions",
}
"""Options that are no matter for one plane, or are made for training."""
_RARE = {
    "pixel",
    "border",
    "smooth",
    "spacing",
    "temperature",
    "inside",
    "outside",
    "least",
    "offset",
    "dimensions",
}
_KNOWN_NEEDS = {"mask", "size", "centre", "area", "extents", "points", "image"}
_ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*)(?: : (?P<type>.+))?$")
_SAME = re.compile(r"^As for (\w+)\.$")
_MARKUP = (
    (re.compile(r"``?([^`]+)``?"), r"\1"),
    (re.compile(r"\*+"), ""),
    (re.compile(r"\[\d\]_"), "the paper"),
)
_START = {("size", "samples"): 16}
"""Where another start than the function's shows more: one sampled mask is a noisy picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOption:
    """One keyword parameter of a loss.

    Attributes
    ----------
    kind : {"switch", "whole", "number", "choice", "wholes"}
        What it is edited by; "wholes" are several whole numbers.
    default : Any
        None where the loss finds a value by itself.
    optional : bool
        Whether it may be None.
    choices : tuple of str
        Of a "choice".
    help : str
        The first sentences of what its docstring says.
    advanced : bool
        Whether it is rarely touched.
    """

    name: str
    kind: OptionKind
    default: Any
    optional: bool = False
    choices: tuple[str, ...] = ()
    help: str = ""
    advanced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LossEntry:
    """One loss in a menu.

    Attributes
    ----------
    needs : str
        "mask", "size", "centre", "area", "extents", "points" or "image"; "" for a term on the prediction
        alone.
    acts_on : {"pixels", "edges", "contour", "phi", "field"}
        What the prediction has to be.
    reason : str
        Why it cannot be looked at; "" if it can.
    """

    name: str
    title: str
    group: str
    advice: str
    looks_at: str
    reference: str
    needs: str = ""
    acts_on: Acts = "pixels"
    options: tuple[LossOption, ...] = ()
    reason: str = ""


@cache
def catalogue() -> tuple[LossEntry, ...]:
    """Every loss, by group."""
    from ..losses import LOSSES

    entries = [_entry(name, info) for name, info in LOSSES.items()]
    order = {name: number for number, name in enumerate(_TITLES)}
    last = len(order)
    return tuple(sorted(entries, key=lambda each: (_GROUPS.index(each.group), order.get(each.name, last))))


def _entry(name: str, info: LossInfo) -> LossEntry:
    title, group = _TITLES.get(name, (name.replace("_", " ").capitalize(), _OTHER))
    if info.acts_on == "contour":
        group = _CONTOURS
    acts_on: Acts = "pixels" if info.acts_on in ("logits", "probabilities") else cast("Acts", info.acts_on)
    return LossEntry(
        name=name,
        title=title,
        group=group,
        advice=_plain(info.advice),
        looks_at=info.looks_at,
        reference=info.reference,
        needs=info.needs[0] if info.needs else "",
        acts_on=acts_on,
        options=_options(name, info.function),
        reason=_reason(info),
    )


def _reason(info: LossInfo) -> str:
    unknown = set(info.needs) - _KNOWN_NEEDS
    return f"It needs the {', '.join(sorted(unknown))}, which no layer has." if unknown else ""


def _options(loss: str, function: Callable[..., Any]) -> tuple[LossOption, ...]:
    from .. import losses

    said = _documented(inspect.getdoc(function) or "")
    found = []
    for name, each in inspect.signature(function).parameters.items():
        if each.kind is not each.KEYWORD_ONLY or name in _HIDDEN:
            continue
        written, text = said.get(name, ("", ""))
        while (other := _SAME.match(text)) is not None:
            there = inspect.getdoc(getattr(losses, other[1], None)) or ""
            written, text = _documented(there).get(name, ("", ""))
        default = _START.get((loss, name), each.default)
        option = _option(name, default, str(each.annotation), written, text)
        if option is not None:
            found.append(option)
    return tuple(found)


def _option(name: str, default: Any, annotation: str, written: str, text: str) -> LossOption | None:
    """None for what no editor can edit."""
    choices: tuple[str, ...] = ()
    kind: OptionKind
    if name == "spacing":
        kind, text = "switch", "Measure in the unit of the layer instead of in pixels."
        return LossOption(name=name, kind=kind, default=False, help=text, advanced=True)
    if isinstance(default, bool):
        kind = "switch"
    elif isinstance(default, str):
        kind, choices = "choice", tuple(re.findall(r'"([^"]+)"', written))
    elif isinstance(default, (tuple, list)):
        kind = "wholes"
    elif isinstance(default, int) or "int" in annotation:
        kind = "whole"
    elif isinstance(default, float) or "float" in annotation:
        kind = "number"
    else:
        return None
    return LossOption(
        name=name,
        kind=kind,
        default=default,
        optional=default is None,
        choices=choices,
        help=text,
        advanced=name in _RARE,
    )


def _documented(docstring: str) -> dict[str, tuple[str, str]]:
    """Type and text of every parameter of a numpydoc docstring."""
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n\w[\w ]*\n-+\n|\Z)", docstring, re.DOTALL)
    found: dict[str, tuple[str, list[str]]] = {}
    lines: list[str] = []
    for line in (section.group(1) if section else "").splitlines():
        entry = _ENTRY.match(line)
        if entry:
            lines = []
            for name in entry["names"].split(","):
                found[name.strip()] = (entry["type"] or "", lines)
        elif line.strip():
            lines.append(line.strip())
    return {name: (kind, _plain(" ".join(text))) for name, (kind, text) in found.items()}


def _plain(text: str) -> str:
    for pattern, instead in _MARKUP:
        text = pattern.sub(instead, text)
    return text
