"""Learning from object centres."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_segsize.losses._masks import check_numbers, read_logits
from napari_segsize.losses._reduce import Reduction, check_domain, check_per_plane, reduce_planes
from napari_segsize.ops.centroid import centroid


def centroid_loss(
    logits: Tensor,
    target: Tensor,
    *,
    sharpness: float = 1.0,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Squared distance between the soft centre of mass and `target`, over the image's squared diagonal.

    The weight of a pixel is ``sigmoid(logit) ** sharpness``.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; any number of spatial axes, any float type.
    target : (N, C, D) float Tensor
        True centres in pixels, ``(y, x)`` or ``(z, y, x)``, pixel centres at integers. NaN: unknown, no term.
    sharpness : float
        Usually 1 to 4. Larger values listen less to faint background, which pulls the centre towards the
        middle of the image: a probability of 0.01 over 256 x 256 pixels weighs as much as 655 pixels of the
        object.
    mask : (N, C, *spatial) bool Tensor, optional
        Pixels that belong to this object; all others weigh nothing and get no gradient.
    reduction : {"mean", "none"}
        Mean over the planes of known centre (0 if there is none), or one value a plane ``(N, C)``, 0 where
        unknown.

    Returns
    -------
    () or (N, C) Tensor
        Between 0 and 1 for a target inside the image; float64 for float64 logits, otherwise float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    A centre does not change when all weights are scaled, so the largest is scaled to 1 before summing: logits
    of -100 everywhere still have a centre and a gradient.
    """
    check_per_plane("target", target, logits, logits.ndim - 2)
    check_domain(mask, logits)
    if not sharpness > 0:
        raise ValueError(f"sharpness: expected more than 0, got {sharpness}.")
    exact = read_logits(logits)
    unfit = check_numbers("target", target, logits, least=-torch.inf)
    log_weights = sharpness * nn.functional.logsigmoid(exact)
    if mask is not None:
        log_weights = log_weights.masked_fill(~mask, -torch.inf)
    top = log_weights.detach().flatten(2).amax(-1).nan_to_num(nan=0.0, neginf=0.0)
    centre = centroid((log_weights - top.reshape(*top.shape, *[1] * (logits.ndim - 2))).exp())  # (N, C, D)
    target = target.to(centre)
    known = ~target.isnan().any(-1)
    square = ((centre - target.nan_to_num(0.0)) ** 2).sum(-1)
    return reduce_planes(square / sum(side**2 for side in logits.shape[2:]) + unfit, known, reduction)


class CentroidLoss(nn.Module):
    """Module form of `centroid_loss`: same parameters, same shapes."""

    def __init__(self, sharpness: float = 1.0) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`centroid_loss` of `logits` ``(N, C, *spatial)`` against `target` ``(N, C, D)``."""
        return centroid_loss(logits, target, sharpness=self.sharpness)
