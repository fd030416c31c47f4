"""Learning from where an object ends: its extents, or its four extreme points."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_segsize.losses._masks import check_numbers
from napari_segsize.losses._reduce import Reduction, check_domain, check_tensor, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.losses.notices import look_for_probabilities
from napari_segsize.ops.points import extents_of


def projection_loss(
    logits: Tensor,
    points: Tensor,
    *,
    reach: float = 1.0,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of the mask's projections on both axes, and of the places where the object ends.

    A row between the topmost and the bottommost one holds foreground: its largest logit, between the leftmost
    and the rightmost column, is told to rise. A row above or below holds none: its largest logit is told to
    fall. The same for columns. Near each extreme point, the largest logit is told to rise.

    Parameters
    ----------
    logits : (N, C, H, W) float Tensor
        Before the sigmoid; any float type.
    points : (N, C, 4, 2) or (N, C, 4) float Tensor
        Extreme points ``(y, x)`` in the order top, left, bottom, right, in px, as
        `napari_segsize.ops.points.extreme_points` gives them; or extents alone: the outermost rows and
        columns ``(top, left, bottom, right)``. A NaN coordinate is unknown; a plane without known extents has
        no term. An object that reaches beyond the image may have fewer visible rows or columns than its
        extents say: these are then not told to rise.
    reach : float
        In px: how far a point may be off along and across the edge. Larger values forgive clicks that miss,
        and say less exactly where the object is touched. Ignored for extents.
    mask : (N, C, H, W) bool Tensor, optional
        Pixels that belong to this object; all others count as background and get no gradient. A row or column
        is told to rise only if the object owns all of it between the extents.
    reduction : {"mean", "none"}
        Mean over the planes with known extents (0 if there is none), or one value a plane ``(N, C)``, 0 where
        unknown.

    Returns
    -------
    () or (N, C) Tensor
        Mean over rows plus mean over columns plus mean over points; float64 for float64 logits, otherwise
        float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Only the largest logit of a row or column has a gradient: that is all a projection sees. What lies between
    the extents, beside one pixel in each row and column, is left to the masks that are trained with it.

    References
    ----------
    .. [1] Tian et al., "BoxInst: High-performance instance segmentation with box annotations", CVPR, 2021.
    .. [2] Kervadec et al., "Bounding boxes for weakly supervised segmentation: global constraints get close
       to full supervision", MIDL, 2020.
    """
    _check(logits, points)
    check_domain(mask, logits)
    if not reach >= 0:
        raise ValueError(f"reach: expected 0 or more, got {reach}.")
    exact = logits if logits.dtype == torch.float64 else logits.float()
    own = torch.ones_like(exact, dtype=torch.bool) if mask is None else mask
    unfit = check_numbers("points", points, logits, least=-torch.inf)
    points = points.to(exact)
    extents = points if points.ndim == 3 else extents_of(points)
    value = _lines(exact, own, extents) + _lines(exact.mT, own.mT, extents[..., [1, 0, 3, 2]])
    if points.ndim == 4:
        value = value + _touched(exact, own, points, reach)
    value = value + unfit + 0 * exact.flatten(2).sum(-1)  # NaN logits are not hidden
    return reduce_planes(value, ~extents.isnan().all(-1), reduction)


def _lines(logits: Tensor, own: Tensor, extents: Tensor) -> Tensor:
    """Mean cross-entropy ``(N, C)`` of the rows: which hold foreground, and which do not."""
    top, left, bottom, right = extents[..., None].round().unbind(-2)  # (N, C, 1)
    rows, columns = (
        torch.arange(side, device=logits.device, dtype=logits.dtype) for side in logits.shape[2:]
    )
    empty = (rows < top) | (rows > bottom)  # comparisons with NaN are false: nothing is claimed
    filled = (rows >= top) & (rows <= bottom)
    between = ~((columns < left) | (columns > right))[..., None, :]
    cut = (left < 0) | (right > len(columns) - 1)
    whole = ~(between & ~own).any(-1) & (between & own).any(-1) & ~cut
    highest = _highest(logits, own)
    lowest = _highest(logits, own & between)
    falls = empty & own.any(-1)
    rises = filled & whole
    value = torch.where(falls, functional.softplus(highest), 0) + torch.where(
        rises, functional.softplus(-lowest), 0
    )
    return value.sum(-1) / (falls | rises).sum(-1).clamp(min=1)


def _highest(logits: Tensor, own: Tensor) -> Tensor:
    """The largest of each row's own logits ``(N, C, H)``; 0 in rows that own none."""
    found = logits.masked_fill(~own, -torch.inf).amax(-1)
    return torch.where(own.any(-1), found, 0)


def _touched(logits: Tensor, own: Tensor, points: Tensor, reach: float) -> Tensor:
    """Mean cross-entropy ``(N, C)`` of the largest logits near the points."""
    terms, known = [], []
    for place in points.unbind(2):
        near = own
        for axis, side in enumerate(logits.shape[2:]):
            line = torch.arange(side, device=logits.device, dtype=logits.dtype)
            close = (line - place[..., axis, None].round()).abs() <= reach
            near = near & (close[..., None] if axis == 0 else close[..., None, :])
        terms.append(functional.softplus(-_highest(logits.flatten(2), near.flatten(2))))
        known.append(near.flatten(2).any(-1))
    seen = torch.stack(known, -1)
    return torch.where(seen, torch.stack(terms, -1), 0).sum(-1) / seen.sum(-1).clamp(min=1)


def _check(logits: Tensor, points: Tensor) -> None:
    check_tensor("logits", logits)
    check_tensor("points", points)
    if logits.ndim != 4 or not logits.is_floating_point():
        raise ValueError(
            f"logits: expected (N, C, H, W) floats, got {tuple(logits.shape)} of {logits.dtype}. "
            "Cut volumes into planes."
        )
    expected = (*logits.shape[:2], 4)
    if points.shape not in (expected, (*expected, 2)):
        raise ValueError(
            f"points: expected {expected} or {(*expected, 2)} for logits {tuple(logits.shape)}, "
            f"got {tuple(points.shape)}."
        )
    look_for_probabilities(logits)


class ProjectionLoss(nn.Module):
    """Module form of `projection_loss`: same parameters, same shapes."""

    def __init__(self, reach: float = 1.0) -> None:
        super().__init__()
        self.reach = reach

    def forward(self, logits: Tensor, points: Tensor) -> Tensor:
        """`projection_loss` of `logits` ``(N, C, H, W)`` against points or extents."""
        return projection_loss(logits, points, reach=self.reach)


PROJECTION = LossInfo(
    function=projection_loss,
    module=ProjectionLoss,
    needs=("extents",),
    acts_on="logits",
    looks_at="the most probable pixel of every row and column, and the places where the object ends",
    advice=(
        "For objects with four extreme points or a box, beside some masks: it says where an object ends on "
        "either axis, and little about its shape between."
    ),
    reference="Tian et al., BoxInst, CVPR 2021; Kervadec et al., Bounding boxes, MIDL 2020",
)
