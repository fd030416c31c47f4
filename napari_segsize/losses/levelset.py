"""Learning to evolve a level set: its distance, the direction it is drawn in, and where it ends (DELSE)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_segsize.losses._masks import check_device, check_range, read_masks
from napari_segsize.losses._reduce import Reduction, check_tensor, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.losses.notices import odd
from napari_segsize.ops.levelset import gradient, heaviside
from napari_segsize.ops.signed_distance import has_edge, signed_distance

_TRUNCATION = 30 / 256  # of the larger side, as published for regions of 256 px
_COSINE = 1 - 1e-4  # acos has no slope at 1
_LEAST = 1e-6  # the share of a pixel never reaches 0 or 1 in the logarithm


def truncated_distance(target: Tensor, *, truncation: float | None = None) -> Tensor:
    """Signed distance to the outline of every mask, positive inside, cut off at `truncation`.

    Parameters
    ----------
    target : (N, C, *spatial) Tensor
        2-D or 3-D: boolean, integer or float (foreground above 0.5).
    truncation : float, optional
        In pixels. None: 30 for a side of 256 px and in proportion for others.

    Returns
    -------
    (N, C, *spatial) float32 Tensor
        An empty or full plane has minus or plus `truncation` throughout.

    Raises
    ------
    ValueError
        If `truncation` is not positive.
    """
    reach = max(target.shape[2:]) * _TRUNCATION if truncation is None else truncation
    if not reach > 0:
        raise ValueError(f"truncation: expected more than 0 px, got {truncation}.")
    mask = target if target.dtype == torch.bool else target > 0.5
    return signed_distance(mask).clamp(-reach, reach)


def phi_distance_loss(
    phi: Tensor, target: Tensor, *, truncation: float | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Mean squared difference between a level set and the truncated signed distance of the truth [1]_.

    Parameters
    ----------
    phi : (N, C, *spatial) float Tensor
        Positive inside; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask. A plane with NaN is unlabelled and has no term.
    truncation : float, optional
        See `truncated_distance`. Smaller lets the network spend itself on what is near the outline.
    reduction : {"mean", "none"}
        Mean over the labelled planes, or one value a plane ``(N, C)``.

    Returns
    -------
    () or (N, C) Tensor
        In square pixels.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    References
    ----------
    .. [1] Wang et al., "Object instance annotation with deep extreme level set evolution", CVPR 2019. There
       phi is negative inside.
    """
    exact, truth, known = read_masks(phi, target, axes=(2, 3), name="phi")
    wanted = truncated_distance(truth, truncation=truncation).to(exact)
    return reduce_planes((exact - wanted).square().flatten(2).mean(-1), known, reduction)


def motion_target(target: Tensor) -> Tensor:
    """Unit vectors that point away from the outline of every mask, on both of its sides.

    The gradient of the *unsigned*, untruncated distance, normalised: with the signed distance a contour that
    starts inside would shrink.

    Parameters
    ----------
    target : (N, 1, *spatial) Tensor
        Boolean, integer or float (foreground above 0.5).

    Returns
    -------
    (N, D, *spatial) float32 Tensor
        0 where there is no direction: in the middle of an object, and in planes without an outline.
    """
    mask = target if target.dtype == torch.bool else target > 0.5
    distance = signed_distance(mask)
    # The signed distance has no fold at the outline: the sign is taken afterwards.
    slope = gradient(distance) * distance.sign()
    length = torch.linalg.vector_norm(slope, dim=1, keepdim=True)
    return torch.where(length > 1e-3, slope / length.clamp(min=1e-3), 0.0)


def motion_direction_loss(motion: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean squared angle between a motion field and the way off the true outline [1]_.

    Parameters
    ----------
    motion : (N, D, *spatial) float Tensor
        V: the contour moves along -V. Its length does not count.
    target : (N, 1, *spatial) Tensor
        The true mask. A plane with NaN, or without an outline, has no term.
    reduction : {"mean", "none"}
        Mean over the planes with an outline, or one value each ``(N, 1)``.

    Returns
    -------
    () or (N, 1) Tensor
        In square radians, 0 to 9.8; where two sides of an outline are equally near, no pixel counts.

    Raises
    ------
    ValueError
        If a shape does not fit.

    References
    ----------
    .. [1] Wang et al., "Object instance annotation with deep extreme level set evolution", CVPR 2019; after
       Bai and Urtasun, "Deep watershed transform for instance segmentation", CVPR 2017, eq. 2.
    """
    check_tensor("motion", motion)
    check_tensor("target", target)
    dims = motion.ndim - 2
    expected = (len(motion), 1, *motion.shape[2:])
    if dims not in (2, 3) or motion.shape[1] != dims or not motion.is_floating_point():
        raise ValueError(
            f"motion: expected a floating-point (N, D, *spatial) with D spatial axes, "
            f"got {motion.dtype} {tuple(motion.shape)}."
        )
    if tuple(target.shape) != expected:
        raise ValueError(f"target: expected {expected} of this motion, got {tuple(target.shape)}.")
    check_device("target", target, motion, "motion")
    wrong = check_range(target)
    exact = motion if motion.dtype == torch.float64 else motion.float()
    wanted = motion_target(target).to(exact)
    unit = exact / (exact.square().sum(1, keepdim=True) + 1e-12).sqrt()
    angle = torch.acos(_COSINE * (unit * wanted).sum(1, keepdim=True).clamp(-1, 1))
    counts = (wanted != 0).any(1, keepdim=True)
    value = (angle.square() * counts).flatten(2).sum(-1) / counts.flatten(2).sum(-1).clamp(min=1)
    value = value if wrong is None else value + odd(wrong, value)
    known = ~target.isnan().flatten(2).any(-1) if target.is_floating_point() else torch.ones_like(value) > 0
    mask = target if target.dtype == torch.bool else target > 0.5
    return reduce_planes(value, known & has_edge(mask), reduction)


def phi_bce_loss(
    phi: Tensor, target: Tensor, *, width: float = 1.0, balanced: bool = True, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy of the `heaviside` of a level set, object and background weighing the same [1]_.

    Parameters
    ----------
    phi : (N, C, *spatial) float Tensor
        Positive inside; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask, or shares of pixels. A plane with NaN is unlabelled and has no term.
    width : float
        Of the `heaviside`, in pixels; wider listens to pixels farther from the line.
    balanced : bool
        Weight the pixels of the object by the share of the background and the other way round. Off, all
        pixels weigh 1.
    reduction : {"mean", "none"}
        Mean over the labelled planes, or one value a plane ``(N, C)``.

    Returns
    -------
    () or (N, C) Tensor
        Mean over pixels; published with a weight of 100. An empty or full mask has a balanced loss of 0.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    References
    ----------
    .. [1] Wang et al., "Object instance annotation with deep extreme level set evolution", CVPR 2019; the
       balance is that of Xie and Tu, "Holistically-nested edge detection", ICCV 2015, eq. 2.
    """
    exact, truth, known = read_masks(phi, target, axes=(2, 3), name="phi")
    inside = heaviside(exact, width=width).clamp(_LEAST, 1 - _LEAST)
    share = truth.flatten(2).mean(-1).reshape(*truth.shape[:2], *[1] * (truth.ndim - 2))
    object_weight, ground_weight = (1 - share, share) if balanced else (1.0, 1.0)
    terms = object_weight * truth * inside.log() + ground_weight * (1 - truth) * (1 - inside).log()
    return reduce_planes(-terms.flatten(2).mean(-1), known, reduction)


class PhiDistanceLoss(nn.Module):
    """Module form of `phi_distance_loss`: same parameters, same shapes."""

    def __init__(self, truncation: float | None = None) -> None:
        super().__init__()
        self.truncation = truncation

    def forward(self, phi: Tensor, target: Tensor) -> Tensor:
        """See `phi_distance_loss`."""
        return phi_distance_loss(phi, target, truncation=self.truncation)


class MotionDirectionLoss(nn.Module):
    """Module form of `motion_direction_loss`."""

    def forward(self, motion: Tensor, target: Tensor) -> Tensor:
        """See `motion_direction_loss`."""
        return motion_direction_loss(motion, target)


class PhiBceLoss(nn.Module):
    """Module form of `phi_bce_loss`: same parameters, same shapes."""

    def __init__(self, width: float = 1.0, balanced: bool = True) -> None:
        super().__init__()
        self.width, self.balanced = width, balanced

    def forward(self, phi: Tensor, target: Tensor) -> Tensor:
        """See `phi_bce_loss`."""
        return phi_bce_loss(phi, target, width=self.width, balanced=self.balanced)


_PAPER = "Wang et al., Object instance annotation with deep extreme level set evolution, CVPR 2019"

PHI_DISTANCE = LossInfo(
    function=phi_distance_loss,
    module=PhiDistanceLoss,
    needs=("mask",),
    acts_on="phi",
    looks_at="how far every pixel's value is from its distance to the true outline",
    advice="For the level set that an evolution starts from, and at first only: it knows no image edges.",
    reference=_PAPER,
)
MOTION_DIRECTION = LossInfo(
    function=motion_direction_loss,
    module=MotionDirectionLoss,
    needs=("mask",),
    acts_on="field",
    looks_at="the angle between the motion field and the way off the true outline",
    advice="At first, beside the loss on the evolved level set. How long the vectors are does not count.",
    reference=f"{_PAPER}; Bai and Urtasun, Deep watershed transform, CVPR 2017",
)
PHI_BCE = LossInfo(
    function=phi_bce_loss,
    module=PhiBceLoss,
    needs=("mask",),
    acts_on="phi",
    looks_at="every pixel on its own, those near the zero line most",
    advice="For the level set at the end of an evolution. Weight about 100 beside the distance in pixels.",
    reference=_PAPER,
)
