"""Learning from painted masks, by the number of their parts and holes: persistence diagrams."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from napari_segsize.losses._masks import read_masks
from napari_segsize.losses._reduce import Reduction, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops import _compiled
from napari_segsize.ops.topology import betti_numbers, downwards, persistence_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_segsize.ops.topology import Dimension, Pairs

_SHARE = 2**15  # pixels a thread from which sharing is worth while
_MISSING = 0.5  # cost of a wanted part or hole that has no dot: from (1, 0) to the diagonal


def topology_loss(
    logits: Tensor,
    target: Tensor,
    *,
    dimensions: Sequence[Dimension] = (0, 1),
    patch: int | None = None,
    least: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Distance of the persistence diagram of the probabilities to that of the true mask [1]_.

    While a threshold falls from 1 to 0, parts and holes of the prediction are born and die: dots (birth,
    death); in a volume parts, handles and cavities. A mask with n of them has n dots at (1, 0). The n most
    persistent dots of the prediction should go there and cost ``(1 - birth)^2 + death^2``; all others should
    vanish and cost ``(birth - death)^2 / 2``. The gradient sits on the pixels where dots are born and die.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float (foreground above 0.5). A plane with NaN is unlabelled and
        has no term.
    dimensions : sequence of {0, 1, 2}
        What is counted: 0 parts; 1 holes of a plane, handles (tunnels) of a volume; 2 cavities of a volume,
        which only count when they are asked for.
    patch : int, optional
        Side of the squares or cubes that the image is cut into, each with a diagram of its own; usually 32
        to 128, in volumes 16 to 48. None: the whole image. Smaller patches say more precisely where a part is
        missing, and know nothing of what is larger. The last patches along an axis are smaller when the side
        does not divide.
    least : float
        Unwanted dots of no more persistence are left alone: usually 0 to 0.1. More spares a noisy start.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``, 0 where
        unlabelled.

    Returns
    -------
    () or (N, C) Tensor
        Sum over dots, mean over the patches of a plane; float64 for float64 logits, otherwise float32. NaN
        for a plane with NaN logits.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Foreground pixels touch at corners too, background pixels at sides only. What lies outside an image or a
    patch is background: a ring that is cut by the edge has no hole, and a tunnel from one side of a volume to
    another is a handle. A wanted part or hole for which the
    prediction has no dot at all costs 1/2 and has no gradient. The part that never dies counts as dying at 0.

    The diagrams are computed on the CPU. Only a few pixels have a gradient: start with cross-entropy or Dice,
    and add this term later with a small weight (`Schedule` with `delay`).

    References
    ----------
    .. [1] Hu et al., "Topology-preserving deep image segmentation", NeurIPS, 2019.
    """
    exact, truth, known = read_masks(logits, target, axes=(2, 3))
    wanted_dimensions = _check(dimensions, patch, least, logits.ndim - 2)
    probs = exact.sigmoid()
    found = dots(probs.detach(), truth > 0.5, known, dimensions=wanted_dimensions, patch=patch, least=least)
    flat = probs.flatten()
    plane, birth, death, wanted = (torch.from_numpy(each).to(flat.device) for each in found.arrays)
    born = flat[birth]
    died = torch.where(death < 0, 0, flat[death.clamp(min=0)])
    cost = torch.where(wanted, (1 - born) ** 2 + died**2, (born - died) ** 2 / 2)
    values = torch.from_numpy(found.missing).to(flat) * _MISSING
    values = values.index_add(0, plane, cost).reshape(known.shape) / found.patches
    return reduce_planes(values + 0 * probs.flatten(2).sum(-1), known, reduction)  # NaN logits are not hidden


class Dots(NamedTuple):
    """The persistence diagrams of a batch, against what is wanted.

    Attributes
    ----------
    plane, birth, death : (M,) int64 arrays
        Number of the plane (or volume), and flat indices into all probabilities; -1 for a death that never
        comes.
    wanted : (M,) bool array
        Whether the dot should become a part or hole of the mask, or vanish.
    dimension : (M,) int64 array
        0 for parts, 1 for holes or handles, 2 for cavities.
    missing : (planes,) int64 array
        Wanted parts and holes that have no dot.
    patches : int
        Patches of a plane.
    """

    plane: NDArray[np.int64]
    birth: NDArray[np.int64]
    death: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    dimension: NDArray[np.int64]
    missing: NDArray[np.int64]
    patches: int

    @property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """What the value and the gradient need."""
        return self.plane, self.birth, self.death, self.wanted


def dots(
    probs: Tensor,
    target: Tensor,
    known: Tensor,
    *,
    dimensions: Sequence[Dimension] = (0, 1),
    patch: int | None = None,
    least: float = 0.0,
) -> Dots:
    """Diagrams of `probs` ``(N, C, *spatial)`` matched to masks, for planes that are `known` ``(N, C)``."""
    sides = tuple(probs.shape[2:])
    values = probs.cpu().numpy().reshape(-1, *sides)
    truths = target.cpu().reshape(-1, 1, *sides)
    todo = [number for number, here in enumerate(known.flatten().tolist()) if here]
    boxes = list(_boxes(sides, patch))
    found: list[list[tuple[NDArray[np.int64], ...]]] = [[] for _ in range(len(values))]
    missing = np.zeros(len(values), np.int64)

    def run(part: slice) -> None:
        for number in todo[part]:
            for box in boxes:
                image = np.ascontiguousarray(values[number][box])
                if np.isnan(image).any():
                    continue
                counts = betti_numbers(truths[number, 0][box][None, None])[0, 0].tolist()
                order = downwards(image)
                for dimension in dimensions:
                    pairs = persistence_pairs(image, dimension, order=order)
                    matched, without = _matched(pairs, counts[dimension], least)
                    found[number].append(_placed(matched, box, sides, number, dimension))
                    missing[number] += without

    _compiled.share(run, len(todo), probs.numel() // _SHARE)
    parts = [each for plane in found for each in plane] or [(np.empty(0, np.int64),) * 5]
    plane, birth, death, wanted, which = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Dots(plane, birth, death, wanted.astype(bool), which, missing, len(boxes))


def _matched(
    pairs: Pairs, count: int, least: float
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]], int]:
    """Births, deaths and whether they are wanted, in one patch; and how many wanted have no dot."""
    wanted = np.arange(len(pairs.births)) < count
    heard = wanted | (pairs.persistence > least)
    return (pairs.births[heard], pairs.deaths[heard], wanted[heard]), max(count - len(pairs.births), 0)


def _placed(
    matched: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]],
    box: tuple[slice, ...],
    sides: tuple[int, ...],
    number: int,
    dimension: Dimension,
) -> tuple[NDArray[np.int64], ...]:
    """Plane, birth, death, wanted and dimension, with places in the patch turned to places in the batch."""
    births, deaths, wanted = matched
    places = []
    for pixels in (births, np.maximum(deaths, 0)):
        within = np.unravel_index(pixels, [part.stop - part.start for part in box])
        whole = [place + part.start for place, part in zip(within, box, strict=True)]
        places.append(np.ravel_multi_index(whole, sides) + number * math.prod(sides))
    death = np.where(deaths < 0, -1, places[1])
    every = np.ones_like(births)
    return number * every, places[0], death, wanted.astype(np.int64), dimension * every


def _boxes(sides: tuple[int, ...], patch: int | None) -> Iterator[tuple[slice, ...]]:
    step = int(patch or max(sides))
    axes = [[slice(at, min(at + step, side)) for at in range(0, side, step)] for side in sides]
    return product(*axes)


def _check(
    dimensions: Sequence[Dimension], patch: int | None, least: float, axes: int
) -> tuple[Dimension, ...]:
    chosen = tuple(dimensions)
    if not chosen or not set(chosen) <= set(range(axes)) or len(set(chosen)) < len(chosen):
        known = (
            "0 (parts), 1 (holes) or both" if axes == 2 else "some of 0 (parts), 1 (handles), 2 (cavities)"
        )
        raise ValueError(f"dimensions: expected {known}, got {chosen}.")
    if patch is not None and not (float(patch).is_integer() and patch >= 2):
        raise ValueError(f"patch: expected a side of 2 pixels or more, or None, got {patch}.")
    if not 0 <= least < 1:
        raise ValueError(f"least: expected a persistence from 0 to 1, got {least}.")
    return chosen


class TopologyLoss(nn.Module):
    """Module form of `topology_loss`: same parameters, same shapes."""

    def __init__(
        self, dimensions: Sequence[Dimension] = (0, 1), patch: int | None = None, least: float = 0.0
    ) -> None:
        super().__init__()
        self.dimensions, self.patch, self.least = dimensions, patch, least

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`topology_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return topology_loss(logits, target, dimensions=self.dimensions, patch=self.patch, least=self.least)


TOPOLOGY = LossInfo(
    function=topology_loss,
    module=TopologyLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="the pixels where parts and holes are born and die",
    advice=(
        "When the number of parts and holes matters: membranes, vessels, cells in contact. Late, beside "
        "Dice, with a small weight; remove small parts of the result afterwards."
    ),
    reference="Hu et al., Topology-preserving deep image segmentation, NeurIPS 2019",
)
