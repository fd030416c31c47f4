"""The terms of a recipe on a batch of crops, whole or in parts, with what is not known of their masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional

from ..losses import LOSSES, MapCache
from ..losses.recipe import Recipe, Term, loss_title
from .batch import Batch

__all__ = ["Objective", "against_masks", "recipe_objective"]

# logits of a batch's inputs, the batch, the step, and the running mean of the network, which teaches
Objective = Callable[[Tensor, Batch, int, Callable[[Tensor], Tensor]], dict[str, Tensor]]

_SURE = -100.0  # logit of a background that nobody doubts
_LEFT_OUT = frozenset({"focal", "tversky", "generalised_dice"})
"""Terms that add up over pixels: those that are not known are left out. The others look at shapes."""
_ONE_BY_ONE = frozenset({"cldice"})
"""Terms whose value for a crop depends on the crops beside it: they take as many erosions as the thickest."""


def recipe_objective(recipe: Recipe, *, epoch: int = 1, cache: MapCache | None = None) -> Objective:
    """What a step minimises of a batch's masks and images.

    Parameters
    ----------
    recipe : Recipe
        Terms that need a mask or the image, see `engine.recipe.pixel_recipe`.
    epoch : int
        Steps after which the weights move on.
    cache : MapCache, optional
        Keeps distance maps of crops that come again unchanged; None computes them anew.

    Returns
    -------
    Objective
        Weighted terms by title. Terms on masks are means over the crops with a mask, those on images over all
        crops; in a part of a batch, the part's share of that mean. A term that does not count in this epoch
        is not computed.

    Notes
    -----
    Of a crop that is known in part, pixel by pixel losses and overlaps hear the known pixels alone. Losses on
    shapes need a whole mask: unknown pixels are believed to be as the network has them, and get no gradient.
    """

    def objective(
        logits: Tensor, batch: Batch, step: int, _teacher: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        logits = logits[: len(batch.images)]
        logits = logits if logits.dtype == torch.float64 else logits.float()
        terms: dict[str, Tensor] = {}
        whole = logits, batch.target, batch.known
        chosen: tuple[Tensor, Tensor, Tensor] | None = None  # looked for when a term wants it
        for term, weight in zip(recipe, recipe.weights((step - 1) // epoch), strict=True):
            if not weight:
                continue
            if "mask" not in LOSSES[term.name].needs:
                value = _against_images(term, logits, batch)
            elif not batch.total_masks:
                continue
            elif term.name in _OWN_FORM:
                value = _OWN_FORM[term.name](*whole) / batch.total_masks
            else:
                chosen = chosen or _with_mask(*whole)
                value = _against_targets(term, *chosen, cache) / batch.total_masks
            terms[loss_title(term.name)] = value if weight == 1 else weight * value
        return terms

    return objective


def against_masks(logits: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and soft Dice over the known pixels of each crop, summed over the crops.

    A crop without known pixels has Dice loss 0: nothing over nothing, smoothed.
    """
    return _cross_entropy(logits, target, known), _dice(logits, target, known)


def _cross_entropy(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    weight = known.to(logits.dtype)
    count = weight.flatten(1).sum(1).clamp(min=1)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return ((entropy * weight).flatten(1).sum(1) / count).sum()


def _dice(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    weight = known.to(logits.dtype)
    overlap = DiceLoss(reduction="none", smooth_nr=1.0, smooth_dr=1.0)(
        logits.sigmoid() * weight, target * weight
    )
    total: Tensor = overlap.sum()
    return total


_OWN_FORM: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"bce": _cross_entropy, "dice": _dice}
"""Terms that know about known pixels."""


def _with_mask(logits: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The crops of which something is known."""
    some = known.flatten(1).any(1)
    return (logits, target, known) if some.all() else (logits[some], target[some], known[some])


def _against_images(term: Term, logits: Tensor, batch: Batch) -> Tensor:
    values = LOSSES[term.name].function(logits, batch.images, reduction="none", **dict(term.options))
    return values.sum() / max(batch.total_crops, 1)


def _against_targets(
    term: Term, logits: Tensor, target: Tensor, known: Tensor, cache: MapCache | None
) -> Tensor:
    """One term, summed over the crops ``(n, 1, h, w)``."""
    if not len(logits):
        return logits.sum()
    whole = bool(known.all())
    scale: Tensor | float = 1.0
    options: dict[str, Any] = dict(term.options)
    if term.name in _LEFT_OUT:
        logits, target = torch.where(known, logits, _SURE), torch.where(known, target, 0)
        if term.name == "focal":  # a mean over pixels: over the known ones
            scale = known[0].numel() / known.flatten(1).sum(1, keepdim=True)
    elif not whole:
        logits, target = _believed(logits, target, known)
    elif cache is not None:
        options |= _kept_maps(term, target, cache)
    function = LOSSES[term.name].function
    if term.name in _ONE_BY_ONE:
        pairs = [(logits[[i]], target[[i]]) for i in range(len(logits))]
        values = torch.cat([function(*pair, reduction="none", **options) for pair in pairs])
    else:
        values = function(logits, target, reduction="none", **options)
    return (values * scale).sum()


def _believed(logits: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """What is not known is as the network has it, and is not learned."""
    own = logits.detach()
    return torch.where(known, logits, own), torch.where(known, target.to(own.dtype), own.sigmoid())


def _kept_maps(term: Term, target: Tensor, cache: MapCache) -> dict[str, Tensor]:
    """Distance maps of masks that were seen before, as the options of the losses that take them."""
    spacing: Any = dict(term.options).get("spacing")
    if term.name == "boundary":
        edge: Any = dict(term.options).get("edge", "inner")
        return {"distance_map": cache.maps(target, spacing=spacing, edge=edge)}
    if term.name in ("hausdorff", "one_sided_hausdorff"):
        found = cache.maps(target, spacing=spacing, edge="between")
        half = min(spacing or (1.0,)) / 2  # from the edge between pixels to the centre beyond it
        return {"target_distance": found.abs() + half * (found != 0)}
    return {}
