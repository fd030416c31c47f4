"""Recipes of losses for networks that segment pixels: which terms there are, and what an epoch is."""

from __future__ import annotations

import math
from difflib import get_close_matches
from functools import lru_cache

from ..losses import LOSSES
from ..losses.recipe import PRESETS, Recipe, loss_title, parse_recipe

__all__ = ["LEAST_EPOCH", "epoch_length", "obstacle", "pixel_recipe", "preset_text", "schedule_notices"]

LEAST_EPOCH = 10
"""Steps of the shortest epoch: a schedule is not to be over before the network has learned anything."""

_WEIGHED_APART = {
    "size": "size_weight",
    "centroid": "centre_weight",
    "projection": "extent_weight",
}


def obstacle(name: str) -> str:
    """Why a loss of the catalogue cannot be a term for pixels, in a sentence; "" if it can.

    Sizes, centres and extents are learned in the second stage and have weights of their own: they look
    through a window at each object, and have settings that are no parameters of a loss.
    """
    info = LOSSES[name]
    if info.acts_on == "contour":
        return "It acts on contours, which another network moves (page Contours)."
    if info.acts_on != "logits":
        of = {"phi": "level sets", "field": "the motion of level sets"}.get(info.acts_on, info.acts_on)
        return f"It acts on {of}, not on the pixels of a mask."
    if name in _WEIGHED_APART:
        return f"It is part of learning from sizes, where {_WEIGHED_APART[name]} is its weight."
    if info.needs not in (("mask",), ("image",)):
        return f"It needs the {' and the '.join(info.needs) or 'prediction alone'}, which no crop carries."
    return ""


@lru_cache(maxsize=256)
def pixel_recipe(text: str) -> Recipe:
    """Read a recipe for a network that segments pixels.

    Raises
    ------
    ValueError
        If it cannot be read, or a term cannot teach pixels, or none says where the objects are.
    """
    recipe = parse_recipe(text)
    for term in recipe:
        if why := obstacle(term.name):
            raise ValueError(f"{loss_title(term.name)}: {why}")
    weights = recipe.weights(0)
    if not any(w and "mask" in LOSSES[term.name].needs for term, w in zip(recipe, weights, strict=True)):
        raise ValueError(
            f'"{text}" does not say which side is the object. Add a term that needs masks, such as dice, '
            "from the first epoch on."
        )
    return recipe


def preset_text(name: str) -> str:
    """Return the recipe of a preset; a ValueError suggests the nearest."""
    plain = {key.replace(" ", "-").replace("-+-", "-"): key for key in PRESETS}
    asked = name.strip().lower().replace(" ", "-").replace("_", "-").replace("-+-", "-")
    if asked in plain:
        return PRESETS[plain[asked]].text
    near = [key for key in plain if asked and key.startswith(asked)] or get_close_matches(asked, plain, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(plain)}."
    raise ValueError(f'No preset is called "{name}"; {hint}')


def epoch_length(images: int, batch: int) -> int:
    """Steps of an epoch: one pass over the training images with masks, but at least `LEAST_EPOCH`."""
    return max(math.ceil(images / max(batch, 1)), LEAST_EPOCH)


def schedule_notices(recipe: Recipe, epoch: int, steps: int) -> tuple[str, ...]:
    """Say how long an epoch is where that matters, and which terms come too late to count."""
    if not recipe.scheduled:
        return ()
    epochs = math.ceil(steps / epoch)
    said = [f"Weights change by epoch: an epoch is {epoch} steps here, {epochs} in all."]
    late = [loss_title(term.name) for term in recipe if term.schedule.delay >= epochs]
    if late:
        said.append(
            f"{' and '.join(late)} would begin after the last step: take a shorter delay or more steps."
        )
    return tuple(said)
