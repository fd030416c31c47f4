"""Learning where a contour's vertices belong from four extreme points."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_segsize.losses._contours import check_contours, check_pixel, reduce_objects
from napari_segsize.losses._masks import check_numbers
from napari_segsize.losses._reduce import Reduction, check_tensor
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.points import outset


def extreme_points_loss(
    contours: Tensor, points: Tensor, *, pixel: float | Tensor = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """How far a contour is from passing through its object's extreme points, and from ending there.

    For each point, two squared lengths relative to the object's extent: from the point to the nearest place
    on the contour; and, along the point's direction, from the point to the contour's outermost vertex.

    Parameters
    ----------
    contours : (N, K, 2) or (T, N, K, 2) float Tensor
        Closed, ``(y, x)`` in px.
    points : (N, 4, 2) float Tensor
        Top, left, bottom, right, as `napari_segsize.ops.points.extreme_points` and `ordered` give them. A
        point with NaN is unknown and has no term.
    pixel : float or (N,) Tensor
        Side of an image pixel in px of the contours: 1, or ``1 / scale`` for contours in a resampled region.
        Points are centres of the outermost pixels, and the outline runs half a pixel beyond; 0 for points on
        the outline itself.
    reduction : {"mean", "none"}
        Mean over the objects with at least one known point, summed over iterations; or one value for each
        contour, 0 where all points are unknown.

    Returns
    -------
    () or (N,) or (T, N) Tensor
        Mean over the known points. 0 exactly for contours that touch all four points and reach no farther.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    The nearest place on an edge moves both of its vertices by their share. Asking instead that the outermost
    *vertex* comes to the point would tear at flat sides, whose outermost vertices are corners. A soft minimum
    over the vertices would end too far inside, by more the more vertices there are. The plain one pulls a
    contour that reaches too far back vertex by vertex.
    """
    check_contours(contours)
    check_tensor("points", points)
    if points.shape != (contours.shape[-3], 4, 2):
        raise ValueError(
            f"points: expected {(contours.shape[-3], 4, 2)} for contours {tuple(contours.shape)}, "
            f"got {tuple(points.shape)}."
        )
    check_pixel(pixel)
    unfit = check_numbers("points", points, contours, "contours", least=-torch.inf)
    points = points.to(contours)
    outward = points.new_tensor([[-1, 0], [0, -1], [1, 0], [0, 1]])
    half = torch.as_tensor(pixel, device=points.device, dtype=points.dtype) / 2
    known = ~points.isnan().any(-1)  # (N, 4)
    extent = _extent(points, known) + 2 * half
    goal = outset(torch.where(known[..., None], points, 0), half.reshape(-1, 1, 1))
    reach = (contours @ outward.T).amax(-2) - (goal * outward).sum(-1)  # (..., N, 4)
    square = reach.square() + _distance_squared(goal, contours)
    square = torch.where(known, square, 0) / extent.clamp(min=1)[:, None] ** 2
    return reduce_objects(square.sum(-1) / known.sum(-1).clamp(min=1) + unfit, known.any(-1), reduction)


def _extent(points: Tensor, known: Tensor) -> Tensor:
    """The larger extent ``(N,)`` of the known points, in px."""
    far = torch.where(known[..., None], points, -torch.inf).amax(1)
    near = torch.where(known[..., None], points, torch.inf).amin(1)
    return (far - near).amax(-1).clamp(min=0)


def _distance_squared(points: Tensor, contours: Tensor) -> Tensor:
    """From points ``(N, P, 2)`` to the nearest place on contours ``(..., N, K, 2)``: ``(..., N, P)``."""
    start = contours[..., None, :, :]  # (..., N, 1, K, 2)
    along = contours.roll(-1, -2)[..., None, :, :] - start
    offset = points[:, :, None] - start  # (..., N, P, K, 2)
    length = along.square().sum(-1)
    share = (offset * along).sum(-1) / length.clamp(min=torch.finfo(contours.dtype).tiny)
    # The nearest place does not slide along its edge to first order: its share is a constant.
    rest = offset - share.detach().clamp(0, 1)[..., None] * along
    return rest.square().sum(-1).amin(-1)


class ExtremePointsLoss(nn.Module):
    """Module form of `extreme_points_loss`: same parameters, same shapes."""

    def __init__(self, pixel: float = 1.0) -> None:
        super().__init__()
        self.pixel = pixel

    def forward(self, contours: Tensor, points: Tensor) -> Tensor:
        """`extreme_points_loss` of `contours` against `points` ``(N, 4, 2)``."""
        return extreme_points_loss(contours, points, pixel=self.pixel)


EXTREME_POINTS = LossInfo(
    function=extreme_points_loss,
    module=ExtremePointsLoss,
    needs=("points",),
    acts_on="contour",
    looks_at="where the contour passes the four points, and how far it reaches",
    advice=(
        "Instead of masks, for objects with four clicks. It fixes the contour at four places and leaves it "
        "free between them: keep some masks, sizes or the curvature term beside it."
    ),
    reference="Points as in Maninis et al., Deep extreme cut, CVPR 2018; the loss is ours",
)
