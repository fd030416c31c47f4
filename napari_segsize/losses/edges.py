"""Learning thin edges: weighted cross-entropy, non-maximum suppression and direction, the losses of STEAL.

All three act on the logits of *edges*, not of objects, and take masks of objects as the target, whose edges
they mark themselves. Each is a sum over pixels divided by the number of pixels of the plane, so that the
published weights, 1, 10 and 1, are weights here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_segsize.losses._edges import angle_cost, nms_cost, spoiled, true_directions, true_edges
from napari_segsize.losses._masks import read_masks
from napari_segsize.losses._reduce import Reduction, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.losses.notices import look_for_flat
from napari_segsize.ops.distance import Border


def edge_bce_loss(
    logits: Tensor,
    target: Tensor,
    *,
    radius: float = 2.0,
    beta: float | None = None,
    border: Border = "ignore",
    edges: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of edges, in which edge pixels and the many others weigh the same [1]_.

    ``-beta log p`` on edge pixels, ``-(1 - beta) log(1 - p)`` on others, with beta the share of the others.

    Parameters
    ----------
    logits : (N, C, H, W) float Tensor
        Of edges, before the sigmoid.
    target : (N, C, H, W) Tensor
        Masks of objects (foreground above 0.5). A plane with NaN is unlabelled and has no term.
    radius : float
        How far from the outline a pixel counts as edge, in px, at least 1; 2 as published. See `edge_map`.
    beta : float, optional
        Weight of edge pixels, 0 to 1. None: ``|non-edge| / |all|`` of each plane. A plane without edge then
        has no term at all: say a number where empty planes must teach something.
    border : {"ignore", "background"}
        See `edge_map`.
    edges : (N, C, H, W) bool Tensor, optional
        Which pixels are edges, if that is known from elsewhere, such as objects that touch.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``.

    Returns
    -------
    () or (N, C) Tensor
        float64 for float64 logits, otherwise float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    References
    ----------
    .. [1] Acuna, Kar and Fidler, "Devil is in the edges: learning semantic boundaries from noisy
       annotations", CVPR, 2019; the weights: Xie and Tu, "Holistically-nested edge detection", ICCV, 2015.
    """
    exact, mask, known = read_masks(logits, target, axes=(2,))
    near = true_edges(edges, mask, radius, border)
    if beta is None:
        weight = 1 - near.flatten(2).to(exact).mean(-1)[..., None, None]  # (N, C, 1, 1)
    elif 0 <= beta <= 1:
        weight = torch.tensor(beta, dtype=exact.dtype, device=exact.device)
    else:
        raise ValueError(f"beta: expected a weight from 0 to 1, got {beta}.")
    each = functional.binary_cross_entropy_with_logits(exact, near.to(exact), reduction="none")
    values = (torch.where(near, weight, 1 - weight) * each).flatten(2).mean(-1)
    return reduce_planes(values, known, reduction)


def nms_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reach: int = 2,
    tau: float = 0.1,
    border: Border = "ignore",
    edges: Tensor | None = None,
    directions: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Every true edge pixel should be the highest along its normal: the loss that makes edges thin [1]_.

    ``-log softmax(p(t) / tau)`` at t = 0, over places t = -reach … reach on the true normal, at edge pixels.

    Parameters
    ----------
    logits, target
        As for `edge_bce_loss`.
    reach : int
        Places on each side of the pixel, 1 px apart, at least 1; 2 as published, thus 5 places. More thins
        wider edges, and reaches into the neighbours' of small objects.
    tau : float
        Temperature, above 0, that probabilities are *divided* by; 0.1 as published. Smaller asks for less
        difference, and hears only the highest rival.
    border, reduction
        As for `edge_bce_loss`.
    edges : (N, C, H, W) bool Tensor, optional
        The true edge pixels. None: the outermost pixels of the objects, a line 1 px wide. Of a wider band no
        pixel can be the highest without the others losing.
    directions : (N, C, 2, H, W) Tensor, optional
        The true normals, as `mask_directions` gives them.

    Returns
    -------
    () or (N, C) Tensor
        Where the map is flat, ``log(2 reach + 1)`` times the share of edge pixels; 0 in planes without edge.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Ports that multiply by tau make every map look flat, so that hardly anything is thinned.

    References
    ----------
    .. [1] Acuna, Kar and Fidler, CVPR, 2019, eq. 5 to 7.
    """
    if reach < 1:
        raise ValueError(f"reach: expected 1 px or more, got {reach}.")
    if not 0 < tau < math.inf:
        raise ValueError(f"tau: expected more than 0, got {tau}.")
    exact, mask, known = read_masks(logits, target, axes=(2,))
    near = true_edges(edges, mask, None, border)
    cost = nms_cost(exact.sigmoid(), true_directions(directions, mask), reach, tau)
    values = torch.where(near, cost, 0).flatten(2).mean(-1) + spoiled(exact)
    return reduce_planes(values, known, reduction)


def direction_loss(
    logits: Tensor,
    target: Tensor,
    *,
    squared: bool = False,
    smoothing: int = 2,
    border: Border = "ignore",
    edges: Tensor | None = None,
    directions: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Angle between the normal of the predicted edges and the true one, at true edge pixels [1]_.

    ``acos |<d, e>|``, in radians, 0 to pi / 2.

    Parameters
    ----------
    logits, target, border, edges, directions, reduction
        As for `nms_loss`.
    squared : bool
        Square the angle; sources differ. Large errors then weigh more, and there is no kink at 0.
    smoothing : int
        Radius in px of the triangle filter before the second derivatives of the prediction, whose leading
        eigenvector is its normal. More hears wider surroundings.

    Returns
    -------
    () or (N, C) Tensor
        Pixels where the prediction is flat have no normal, and no term.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Half the arctangent of the doubled angle's tangent is the same number as the arccosine, but has a gradient
    everywhere: that of the arccosine is infinite where the normals agree.

    References
    ----------
    .. [1] Acuna, Kar and Fidler, CVPR, 2019, eq. 8.
    """
    exact, mask, known = read_masks(logits, target, axes=(2,))
    look_for_flat(exact)
    near = true_edges(edges, mask, None, border)
    cost = angle_cost(exact.sigmoid(), true_directions(directions, mask), smoothing, squared=squared)
    values = torch.where(near, cost, 0).flatten(2).mean(-1) + spoiled(exact)
    return reduce_planes(values, known, reduction)


class EdgeBceLoss(nn.Module):
    """Module form of `edge_bce_loss`: same parameters, same shapes."""

    def __init__(self, radius: float = 2.0, beta: float | None = None, border: Border = "ignore") -> None:
        super().__init__()
        self.radius, self.beta = radius, beta
        self.border: Border = border

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`edge_bce_loss` of `logits` against masks, both ``(N, C, H, W)``."""
        return edge_bce_loss(logits, target, radius=self.radius, beta=self.beta, border=self.border)


class NmsLoss(nn.Module):
    """Module form of `nms_loss`: same parameters, same shapes."""

    def __init__(self, reach: int = 2, tau: float = 0.1, border: Border = "ignore") -> None:
        super().__init__()
        self.reach, self.tau = reach, tau
        self.border: Border = border

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`nms_loss` of `logits` against masks, both ``(N, C, H, W)``."""
        return nms_loss(logits, target, reach=self.reach, tau=self.tau, border=self.border)


class DirectionLoss(nn.Module):
    """Module form of `direction_loss`: same parameters, same shapes."""

    def __init__(self, squared: bool = False, smoothing: int = 2, border: Border = "ignore") -> None:
        super().__init__()
        self.squared, self.smoothing = squared, smoothing
        self.border: Border = border

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`direction_loss` of `logits` against masks, both ``(N, C, H, W)``."""
        return direction_loss(
            logits, target, squared=self.squared, smoothing=self.smoothing,
            border=self.border,
        )  # fmt: skip


EDGE_BCE = LossInfo(
    function=edge_bce_loss,
    module=EdgeBceLoss,
    needs=("mask",),
    acts_on="edges",
    looks_at="every pixel on its own: is an outline within `radius`?",
    advice=(
        "For networks that predict edges instead of objects. Edges come out as thick as the band it is "
        "shown; add `nms` and `direction`."
    ),
    reference="Acuna, Kar and Fidler, Devil is in the edges (STEAL), CVPR 2019; Xie and Tu, ICCV 2015",
)
NMS = LossInfo(
    function=nms_loss,
    module=NmsLoss,
    needs=("mask",),
    acts_on="edges",
    looks_at="five places across every true edge: is the middle one the highest?",
    advice=(
        "Thin edges, beside `edge_bce`, weight 10. Alone it is content with any map that has a faint crest "
        "on the outline. Useless where the masks are off by more than `reach`: align them first."
    ),
    reference="Acuna, Kar and Fidler, Devil is in the edges (STEAL), CVPR 2019",
)
DIRECTION = LossInfo(
    function=direction_loss,
    module=DirectionLoss,
    needs=("mask",),
    acts_on="edges",
    looks_at="the angle across the predicted edge at every true edge pixel",
    advice="Edges that run along the outline, beside `edge_bce` and `nms`, weight 1.",
    reference="Acuna, Kar and Fidler, Devil is in the edges (STEAL), CVPR 2019",
)
