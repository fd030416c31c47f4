"""Learning from area bounds: the size constraint of Kervadec et al., a baseline to compare sizes with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_segsize.losses._masks import check_device, read_logits
from napari_segsize.losses._reduce import Reduction, check_domain, check_per_plane, reduce_planes
from napari_segsize.losses.notices import at_hand, odd


def area_bounds_loss(
    logits: Tensor,
    bounds: Tensor,
    *,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared distance of the soft area to an interval, over the number of pixels.

    The soft area is the sum of probabilities; there is no penalty between the bounds.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; any number of spatial axes, any float type.
    bounds : (N, C, 2) float Tensor
        Smallest and largest area (volume in 3-D) in pixels; 0 and infinity leave a side open. ``(1, inf)``
        says only that there is an object. NaN: unknown, no term. `area_bounds` makes them from an area.
    mask : (N, C, *spatial) bool Tensor, optional
        Pixels that belong to this object; all others add no area and get no gradient.
    reduction : {"mean", "none"}
        Mean over the planes of known bounds (0 if there are none), or one value a plane ``(N, C)``, 0 where
        unknown.

    Returns
    -------
    () or (N, C) Tensor
        In pixels; float64 for float64 logits, otherwise float32. In [1]_ it weighs 0.05 beside the
        cross-entropy.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    References
    ----------
    .. [1] Kervadec et al., "Constrained-CNN losses for weakly supervised segmentation", Medical Image
       Analysis, 2019.
    """
    check_per_plane("bounds", bounds, logits, 2)
    check_domain(mask, logits)
    probs = read_logits(logits).sigmoid()
    unfit = _check_order(bounds, logits)
    if mask is not None:
        probs = torch.where(mask, probs, 0)
    area = probs.flatten(2).sum(-1)  # (N, C)
    bounds = bounds.to(area)
    known = ~bounds.isnan().any(-1)
    low, high = bounds.nan_to_num(nan=0.0, posinf=torch.inf, neginf=-torch.inf).unbind(-1)
    square = (low - area).relu() ** 2 + (area - high).relu() ** 2
    return reduce_planes(square / logits.shape[2:].numel() + unfit, known, reduction)


def _check_order(bounds: Tensor, logits: Tensor) -> Tensor | float:
    """Raise a `ValueError` for bounds on another device, or with nothing between them; else 0.

    On a GPU, where looking would be a wait, NaN ``(N, C)`` where nothing is between.
    """
    check_device("bounds", bounds, logits)
    low, high = bounds.unbind(-1)
    wrong = (low > high) | (low == torch.inf) | (high < 0)
    if not at_hand(bounds):
        return odd(wrong, logits)
    if wrong.any():
        raise ValueError(
            "bounds: expected the least and the most pixels, a positive area between them, "
            f"got {low[wrong][0]:g} and {high[wrong][0]:g}."
        )
    return 0.0


def area_bounds(area: Tensor, *, tolerance: float = 0.1) -> Tensor:
    """Bounds ``(N, C, 2)``: `area` ``(N, C)`` plus and minus the fraction `tolerance`, 0.1 in the paper."""
    if tolerance < 0:
        raise ValueError(f"tolerance: expected 0 or more, got {tolerance}.")
    return torch.stack([area * (1 - tolerance), area * (1 + tolerance)], -1)


class AreaBoundsLoss(nn.Module):
    """Module form of `area_bounds_loss`: same shapes."""

    def forward(self, logits: Tensor, bounds: Tensor) -> Tensor:
        """`area_bounds_loss` of `logits` ``(N, C, *spatial)`` against `bounds` ``(N, C, 2)``."""
        return area_bounds_loss(logits, bounds)
