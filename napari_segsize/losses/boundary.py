"""Learning from painted masks, by distance to their outline: the boundary loss of Kervadec et al."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn

from napari_segsize.losses._masks import check_device, check_spacing, read_masks
from napari_segsize.losses._reduce import Reduction, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.signed_distance import has_edge, signed_distance

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

Edge = Literal["inner", "between"]
"""Where the map is 0: at the object's outermost pixels, or between them and the background."""


def boundary_loss(
    logits: Tensor,
    target: Tensor,
    *,
    spacing: Sequence[float] | None = None,
    classes: Sequence[int] | None = None,
    edge: Edge = "inner",
    offset: bool = False,
    distance_map: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean of the probabilities times the signed distance to the true outline [1]_.

    With the map negative inside, every pixel of the prediction costs its distance outside the true mask, and
    earns its depth inside. That is half the squared distance between the two outlines, up to a constant.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float (foreground above 0.5). A plane with NaN is unlabelled and
        has no term.
    spacing : sequence of float, optional
        Sides of a pixel, ``(y, x)`` or ``(z, y, x)``; distances and the loss are then in that unit.
    classes : sequence of int, optional
        Channels to learn from. None: all. Leave a background channel out, it would count everything twice.
    edge : {"inner", "between"}
        Where the map is 0. "inner", as published: on the outermost pixels of the object, which then have no
        gradient. "between": between these and the background; both sides have one.
    offset : bool
        Subtract the value of the true mask, which is constant: the loss is then 0 at the truth and positive
        elsewhere, instead of more negative the larger the object. The gradient is the same.
    distance_map : (N, C, *spatial) float Tensor, optional
        What `boundary_map` made of the target earlier, to save its computation; `spacing` and `edge` are then
        its own.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``, 0 where
        unlabelled or not among the `classes`.

    Returns
    -------
    () or (N, C) Tensor
        In pixels, or the unit of `spacing`; float64 for float64 logits, otherwise float32. A target that is
        empty or full has no outline: its loss and gradient are 0.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Alone it tends to collapse for small objects: add it to Dice or cross-entropy, with a `Schedule`.

    References
    ----------
    .. [1] Kervadec et al., "Boundary loss for highly unbalanced segmentation", MIDL 2019 and Medical Image
       Analysis, 2021, eq. 5.
    """
    exact, truth, known = read_masks(logits, target, axes=(2, 3))
    if distance_map is None:
        distance_map = boundary_map(truth, spacing=spacing, edge=edge)
    elif distance_map.shape != logits.shape:
        raise ValueError(
            f"distance_map: expected {tuple(logits.shape)} as logits, got {tuple(distance_map.shape)}."
        )
    check_device("distance_map", distance_map, logits)
    probs = exact.sigmoid()
    if offset:
        probs = probs - truth
    values = (probs * distance_map.to(exact)).flatten(2).mean(-1)  # (N, C)
    return reduce_planes(values, known & _chosen(classes, logits), reduction)


def boundary_map(target: Tensor, *, spacing: Sequence[float] | None = None, edge: Edge = "inner") -> Tensor:
    """Signed distance to the outline of every mask, **negative inside**, as the boundary loss wants it.

    Parameters
    ----------
    target : (N, C, *spatial) Tensor
        2-D or 3-D masks: boolean, integer or float (foreground above 0.5).
    spacing : sequence of float, optional
        Sides of a pixel.
    edge : {"inner", "between"}
        Where the map is 0.

    Returns
    -------
    (N, C, *spatial) float32 Tensor
        0 throughout for a plane that is empty or full.

    Notes
    -----
    `napari_segsize.ops.signed_distance` with the opposite sign; "inner" adds half the smallest side of a
    pixel. The published code subtracts 1 inside in whatever unit, so that its map changes shape with the
    unit; this one only scales.
    """
    if edge not in get_args(Edge):
        raise ValueError(f'edge: expected "inner" or "between", got {edge!r}.')
    sides = check_spacing(spacing, target)
    mask = target if target.dtype == torch.bool else target > 0.5
    found = -signed_distance(mask, spacing=sides)
    if edge == "inner":
        found += min(sides) / 2
    edges = has_edge(mask)
    return found * edges.reshape(*edges.shape, *[1] * len(sides))


class MapCache:
    """Boundary maps of masks that were seen before.

    A mask is known by its content, so that a cache never gives the map of another mask; or, where masks never
    change, by a name that comes with it, which saves looking at the content (and on a GPU, waiting for it).

    Parameters
    ----------
    megabytes : float
        How much to keep, in memory of the processor; the maps that were not asked for the longest go first.
        A plane of 256 x 256 pixels takes 0.26.
    """

    def __init__(self, megabytes: float = 512.0) -> None:
        if not megabytes >= 0:
            raise ValueError(f"megabytes: expected 0 or more, got {megabytes}.")
        self._room = megabytes * 1e6
        self._maps: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._taken = 0
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._maps)

    def maps(
        self,
        target: Tensor,
        names: Sequence[Hashable] | None = None,
        *,
        spacing: Sequence[float] | None = None,
        edge: Edge = "inner",
    ) -> Tensor:
        """`boundary_map` of `target` ``(N, C, *spatial)``, computing only what is new.

        `names`, one an image (N), stand for masks that never change; None looks at the content.
        """
        if names is not None and len(names) != len(target):
            raise ValueError(f"names: expected {len(target)}, one an image, got {len(names)}.")
        mask = target if target.dtype == torch.bool else target > 0.5
        contents = [_digest(image) for image in mask.cpu()] if names is None else list(names)
        how = (tuple(mask.shape[1:]), None if spacing is None else tuple(spacing), edge)
        keys = [(content, *how) for content in contents]
        fresh = [number for number, key in enumerate(keys) if key not in self._maps]
        self.hits += len(keys) - len(fresh)
        self.misses += len(fresh)
        found = {key: self._maps[key] for key in keys if key in self._maps}
        if fresh:
            made = boundary_map(mask[fresh], spacing=spacing, edge=edge).cpu()
            found |= {keys[number]: each for number, each in zip(fresh, made, strict=True)}
        for key in keys:
            self._keep(key, found[key])
        return torch.stack([found[key] for key in keys]).to(target.device)

    def _keep(self, key: Hashable, image: Tensor) -> None:
        if key in self._maps:
            self._maps.move_to_end(key)
            return
        self._maps[key] = image.clone()  # not a view that keeps its whole batch alive
        self._taken += image.nbytes
        while self._taken > self._room and self._maps:
            self._taken -= self._maps.popitem(last=False)[1].nbytes


class BoundaryLoss(nn.Module):
    """Module form of `boundary_loss`: same parameters, same shapes; it keeps the maps of masks it has seen.

    Parameters
    ----------
    cache : MapCache, optional
        Where maps are kept; None makes one. ``MapCache(0)`` keeps none.
    """

    def __init__(
        self,
        spacing: Sequence[float] | None = None,
        classes: Sequence[int] | None = None,
        edge: Edge = "inner",
        offset: bool = False,
        cache: MapCache | None = None,
    ) -> None:
        super().__init__()
        self.spacing, self.classes, self.offset = spacing, classes, offset
        self.edge: Edge = edge
        self.cache = MapCache() if cache is None else cache

    def forward(self, logits: Tensor, target: Tensor, names: Sequence[Hashable] | None = None) -> Tensor:
        """`boundary_loss` of `logits` against `target`, both ``(N, C, *spatial)``; see `MapCache.maps`."""
        read_masks(logits, target, axes=(2, 3))  # says what does not fit before anything is cached
        return boundary_loss(
            logits,
            target,
            classes=self.classes,
            offset=self.offset,
            distance_map=self.cache.maps(target, names, spacing=self.spacing, edge=self.edge),
        )


def _chosen(classes: Sequence[int] | None, logits: Tensor) -> Tensor:
    """Which channels are among `classes`, ``(C,)``."""
    count = logits.shape[1]
    if classes is None:
        return torch.ones(count, dtype=torch.bool, device=logits.device)
    if not classes or not all(0 <= each < count for each in classes):
        raise ValueError(f"classes: expected channels from 0 to {count - 1}, got {list(classes)}.")
    chosen = [number in set(classes) for number in range(count)]
    return torch.tensor(chosen, device=logits.device)


def _digest(image: Tensor) -> bytes:
    return blake2b(image.contiguous().view(torch.uint8).numpy().data, digest_size=16).digest()


BOUNDARY = LossInfo(
    function=boundary_loss,
    module=BoundaryLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="how far from the true outline every pixel lies",
    advice=(
        "For small objects and for outliers far away, beside Dice: weight 0.01, or rebalanced by epoch. Its "
        "value is negative and says little; watch its gradient or set `offset`."
    ),
    reference="Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019, MedIA 2021",
)
