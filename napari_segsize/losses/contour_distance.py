"""Pulling the vertices of a contour to the outline from wherever they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_segsize.losses._contours import check_contours, check_object_masks, reduce_objects
from napari_segsize.losses._reduce import Reduction
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.signed_distance import signed_distance


def contour_distance_loss(contours: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean squared distance of the vertices to the outline of the true mask, relative to the image's side.

    The loss on covered areas moves a contour by the pixels along its border alone: one that starts beside the
    object gets no word of where it is. The distance to the outline has a slope everywhere.

    Parameters
    ----------
    contours : (N, K, 2) or (T, N, K, 2) float Tensor
        Closed, ``(y, x)`` in px.
    target : (N, 1, H, W) Tensor
        True masks, in [0, 1]; a pixel belongs to the object above 0.5. An object with NaN, or without an
        outline in the image, has no term.
    reduction : {"mean", "none"}
        Mean over the objects, summed over iterations; or one value for each contour, ``(N,)`` or ``(T, N)``,
        0 where nothing is known.

    Returns
    -------
    () or (N,) or (T, N) Tensor

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Alone it is blind in one eye: all vertices in one place of the outline satisfy it. Use it beside
    `contour_segmentation_loss`.
    """
    check_contours(contours)
    unfit = check_object_masks(target, contours)
    mask = target > 0.5
    known = ~target.isnan().flatten(1).any(1) & mask.flatten(1).any(1) & ~mask.flatten(1).all(1)
    distance = signed_distance(mask).to(contours)
    sides = contours.new_tensor(target.shape[2:])
    every = contours if contours.ndim == 4 else contours[None]
    place = ((2 * every + 1) / sides - 1).flip(-1)  # (T, N, K, 2)
    place = place.transpose(0, 1)  # (N, T, K, 2): iterations are the rows of the grid
    away = functional.grid_sample(distance, place, padding_mode="border", align_corners=False)[:, 0]
    away = away + 0 * place.sum(-1)  # looking up forgets that a vertex is not a number
    away = torch.where(known[:, None, None], away, 0.0)
    value = (away / sides.amax()).square().mean(-1).T + unfit  # (T, N)
    return reduce_objects(value if contours.ndim == 4 else value[0], known, reduction)


class ContourDistanceLoss(nn.Module):
    """Module form of `contour_distance_loss`."""

    def forward(self, contours: Tensor, target: Tensor) -> Tensor:
        """See `contour_distance_loss`."""
        return contour_distance_loss(contours, target)


CONTOUR_DISTANCE = LossInfo(
    function=contour_distance_loss,
    module=ContourDistanceLoss,
    needs=("mask",),
    acts_on="contour",
    looks_at="the distance of every vertex to the true outline",
    advice=(
        "Beside the segmentation loss, where contours start off the object: it pulls from anywhere. Weight "
        "about 1; more lets vertices crowd together."
    ),
    reference="Ours; the distance map is that of the boundary loss, Kervadec et al., MIDL 2019",
)
