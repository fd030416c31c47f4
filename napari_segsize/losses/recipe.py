"""What a network learns from, in one line: a weighted sum of losses, each with options and a schedule.

``dice + 0.01*boundary`` · ``cross-entropy + 0.5*cldice@delay=5`` · ``tversky(ghosts=0.3, misses=0.7)`` ·
``dice + boundary@rebalance`` · ``dice + 0.01*boundary@increase(step=0.01, delay=5)``

    recipe   = term { "+" term }
    term     = [ number "*" ] loss [ "(" option "=" value { "," option "=" value } ")" ] [ "@" schedule ]
    schedule = "delay" "=" epochs | kind [ "(" "step" | "least" | "delay" "=" number { "," … } ")" ]
    kind     = "constant" | "increase" | "rebalance"
    value    = number | "true" | "false" | "none" | word | "(" value { "," value } ")"
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from napari_segsize.losses import LOSSES
from napari_segsize.losses._recipe_options import Options, checked_options
from napari_segsize.losses._recipe_text import RawTerm, Value, number_text, parsed, value_text
from napari_segsize.losses.schedule import Schedule, ScheduleKind, Weights

__all__ = ["PRESETS", "Preset", "Recipe", "Term", "loss_title", "parse_recipe"]

ALIASES = {"ce": "bce", "cross_entropy": "bce", "binary_cross_entropy": "bce"}
_WRITTEN = {"bce": "cross-entropy"}
_USED: dict[ScheduleKind, tuple[str, ...]] = {
    "constant": (),
    "increase": ("step",),
    "rebalance": ("step", "least"),
}
"""What of a `Schedule`, beside its delay, each kind looks at."""
_ALWAYS = Schedule()


@dataclass(frozen=True, slots=True)
class Term:
    """One loss of a recipe.

    Attributes
    ----------
    name : str
        A key of `LOSSES`, or one of its other names: "cross-entropy" and "ce" are "bce".
    weight : float
        0 or more. What a schedule starts from; "rebalance" scales its share by it.
    schedule : Schedule
        `Schedule.start` becomes the weight, and what the kind does not look at its default, so that equal
        terms are equal.
    options : tuple of (str, value)
        Parameters of the loss, in the order of its signature; one that is left out has its default.

    Raises
    ------
    ValueError
        If the name is unknown (the nearest is suggested), or a weight or an option does not fit.
    """

    name: str
    weight: float = 1.0
    schedule: Schedule = _ALWAYS
    options: Options = ()

    def __post_init__(self) -> None:
        name = loss_name(self.name)
        weight = _checked_weight(name, self.weight)
        used = {each: getattr(self.schedule, each) for each in _USED[self.schedule.kind]}
        kind, delay = self.schedule.kind, self.schedule.delay
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "schedule", Schedule(kind=kind, start=weight, delay=delay, **used))
        object.__setattr__(self, "options", checked_options(name, LOSSES[name].function, self.options))
        if weight == 0 and kind != "increase":
            raise ValueError(f"{name}: a weight of 0 says nothing. Leave the term out, or let it increase.")

    def at(self, epoch: int) -> Weights:
        """Its own weight in `epoch`, counted from 0, and the factor it leaves to the terms beside it."""
        found = self.schedule.at(epoch)
        return found._replace(term=found.term * self.weight) if self.schedule.kind == "rebalance" else found

    @property
    def text(self) -> str:
        """The term as `parse_recipe` reads it."""
        times = "" if self.weight == 1 else f"{number_text(self.weight)}*"
        options = ", ".join(f"{name}={value_text(value)}" for name, value in self.options)
        plan = schedule_text(self.schedule)
        written = _WRITTEN.get(self.name, self.name)
        return f"{times}{written}{f'({options})' if options else ''}{f'@{plan}' if plan else ''}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A weighted sum of losses.

    Attributes
    ----------
    terms : tuple of Term
        At least one, each loss at most once.

    Raises
    ------
    ValueError
        If there is no term, a loss stands twice, two terms are rebalanced, or nothing counts at the start.
    """

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError('Expected a recipe such as "dice + 0.01*boundary", got nothing.')
        names = [term.name for term in self.terms]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{loss_title(name)} stands in the recipe twice: write it once.")
        if sum(term.schedule.kind == "rebalance" for term in self.terms) > 1:
            raise ValueError("Two terms are rebalanced against each other: let one of them rebalance.")
        if not any(self.weights(0)):
            raise ValueError(
                f'"{self.text}": nothing counts in the first epoch. Add a term without delay, such as dice.'
            )

    def __iter__(self) -> Iterator[Term]:
        """Its terms."""
        return iter(self.terms)

    def __str__(self) -> str:
        """Return the recipe as `parse_recipe` reads it."""
        return self.text

    @property
    def text(self) -> str:
        """The recipe as `parse_recipe` reads it."""
        return " + ".join(term.text for term in self.terms)

    @property
    def scheduled(self) -> bool:
        """Whether a weight changes as training goes on."""
        return any(term.schedule.kind != "constant" or term.schedule.delay for term in self.terms)

    def weights(self, epoch: int) -> tuple[float, ...]:
        """Weight of each term in `epoch`, counted from 0; 0 while it waits."""
        found = [term.at(epoch) for term in self.terms]
        shares = []
        for number, own in enumerate(found):
            weight = own.term
            for other, beside in enumerate(found):
                weight *= beside.others if other != number else 1.0
            shares.append(weight)
        return tuple(shares)


def parse_recipe(text: str) -> Recipe:
    """Read a recipe; `Recipe.text` writes it.

    Parameters
    ----------
    text : str
        A weighted sum of losses of the catalogue, see the top of this file. Capital letters and spaces do not
        matter; ``-`` in a name is ``_``.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        In one sentence, if the text cannot be read, or names what there is not.

    Examples
    --------
    >>> parse_recipe("ce + Dice + .010*boundary @ increase").text
    'cross-entropy + dice + 0.01*boundary@increase'
    """
    return Recipe(tuple(_term(raw) for raw in parsed(text)))


def loss_name(name: str) -> str:
    """Key of `LOSSES` for a name as people write it; a ValueError suggests the nearest."""
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    plain = ALIASES.get(plain, plain)
    if plain in LOSSES:
        return plain
    near = get_close_matches(plain, [*LOSSES, *ALIASES], 1)
    known = _WRITTEN.get(near[0], near[0]).replace("cross_entropy", "cross-entropy") if near else ""
    hint = f"did you mean {known}?" if near else f"there are {', '.join(sorted(LOSSES))}."
    raise ValueError(f'No loss is called "{name}"; {hint}')


def loss_title(name: str) -> str:
    """Name of a loss as curves and messages write it: "cross-entropy", "chan vese"."""
    return _WRITTEN.get(name, name.replace("_", " "))


def schedule_text(schedule: Schedule) -> str:
    """What stands behind the ``@``; "" for a weight that never changes."""
    if schedule.kind == "constant":
        return f"delay={schedule.delay}" if schedule.delay else ""
    said = [
        name for name in (*_USED[schedule.kind], "delay") if getattr(schedule, name) != getattr(_ALWAYS, name)
    ]
    options = ", ".join(f"{name}={number_text(getattr(schedule, name))}" for name in said)
    return f"{schedule.kind}({options})" if options else schedule.kind


def _term(raw: RawTerm) -> Term:
    name = loss_name(raw.name)
    if raw.kind not in _USED:
        near = get_close_matches(raw.kind, (*_USED, "delay"), 1)
        hint = (
            f"did you mean @{'delay=5' if near[0] == 'delay' else near[0]}?"
            if near
            else "there are @constant, @increase, @rebalance and @delay=5."
        )
        raise ValueError(f"{loss_title(name)}: no schedule is called @{raw.kind}; {hint}")
    kind = next(each for each in _USED if each == raw.kind)
    allowed = (*_USED[kind], "delay")
    said: dict[str, float] = {}
    for option, value in raw.schedule:
        if option not in allowed:
            near = get_close_matches(option, allowed, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(allowed)}."
            raise ValueError(f"{loss_title(name)}: @{kind} has no {option}; {hint}")
        said[option] = _number(f"{loss_title(name)}: {option}", value)
    delay = said.pop("delay", 0.0)
    if not delay.is_integer():
        raise ValueError(f"{loss_title(name)}: delay: expected whole epochs, got {number_text(delay)}.")
    weight = _checked_weight(name, raw.weight)
    try:
        schedule = Schedule(kind=kind, start=weight, delay=int(delay), **said)
    except ValueError as error:
        raise ValueError(f"{loss_title(name)}: {error}") from error
    return Term(name, weight, schedule, raw.options)


def _number(what: str, value: Value) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{what}: expected a number, got {value_text(value)}.")


def _checked_weight(name: str, weight: object) -> float:
    number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not isinstance(weight, (int, float)) or not number or not 0 <= weight < math.inf:
        shown = number_text(weight) if number and isinstance(weight, (int, float)) else weight
        raise ValueError(f"{loss_title(name)}: expected a finite weight of 0 or more, got {shown}.")
    return abs(float(weight))  # -0.0 is 0


class Preset(NamedTuple):
    """A recipe for a known trouble."""

    text: str
    advice: str


PRESETS: dict[str, Preset] = {
    "standard": Preset("cross-entropy + dice", "Where to begin: right for most objects."),
    "unbalanced": Preset(
        "cross-entropy + dice + 0.01*boundary@increase",
        "Objects that are small beside their background: every pixel also costs its distance to the outline, "
        "a little more each epoch.",
    ),
    "thin structures": Preset(
        "cross-entropy + dice + 0.5*cldice@delay=5",
        "Vessels, fibres, roads: gaps in a centre line count, however thin it is.",
    ),
    "noisy masks": Preset(
        "cross-entropy + active_contour(length=0.05)",
        "Ragged or hasty masks: short outlines are preferred, so single pixels are not followed.",
    ),
    "topology matters": Preset(
        "cross-entropy + dice + 0.1*topology(patch=64, least=0.05)@delay=5",
        "When the numbers of parts and holes must be right: comes late, weighs little, takes its time.",
    ),
    "few masks + sizes": Preset(
        "cross-entropy + dice",
        "The masks teach the shape; stamp sizes, and the second stage corrects with these. Its weights are "
        "size_weight and centre_weight.",
    ),
}
