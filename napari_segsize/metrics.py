"""How good a mask is: one convention for all, empty masks included.

Masks are ``(N, C, *spatial)`` bool; every (n, c) plane is one mask, every metric returns ``(N, C)``
(`betti_error` one number for each dimension). When both masks are empty the score is 1 (the error 0); when
one is, the score is 0 (a distance is the image diagonal).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .ops.centroid import centroid
from .ops.signed_distance import edge_distance
from .ops.size import object_size
from .ops.topology import betti_numbers

__all__ = [
    "betti_error",
    "boundary_f",
    "boundary_matches",
    "centre_error",
    "cldice",
    "dice",
    "f1",
    "hausdorff95",
    "iou",
    "mean_iou",
    "pooled_boundary_f",
    "size_error",
    "weighted_coverage",
]

_RADII = (1, 2, 3, 4, 5)  # px: within which outlines count as met


def _check(mask: Tensor, target: Tensor) -> None:
    if mask.shape != target.shape or mask.ndim < 4:
        raise ValueError(
            "mask and target: expected equal shapes (N, C, *spatial), "
            f"got {tuple(mask.shape)} and {tuple(target.shape)}"
        )
    if mask.dtype != torch.bool or target.dtype != torch.bool:
        raise ValueError(f"mask and target: expected bool, got {mask.dtype} and {target.dtype}")


def _check_per_plane(name: str, given: Tensor, mask: Tensor, *last: int) -> None:
    expected = (*mask.shape[:2], *last)
    if given.shape != expected:  # (N,) would be taken for C, and every mask compared with every size
        raise ValueError(
            f"{name}: expected {expected} for masks {tuple(mask.shape)}, got {tuple(given.shape)}"
        )


def _overlap(mask: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of the intersection, and of both masks together."""
    _check(mask, target)
    both = (mask & target).flatten(2).sum(-1, dtype=torch.float64)
    total = mask.flatten(2).sum(-1, dtype=torch.float64) + target.flatten(2).sum(-1, dtype=torch.float64)
    return both, total


def iou(mask: Tensor, target: Tensor) -> Tensor:
    """Intersection over union, (N, C); 1 when both masks are empty."""
    both, total = _overlap(mask, target)
    union = total - both
    return torch.where(union > 0, both / union.clamp(min=1), torch.ones_like(union))


def dice(mask: Tensor, target: Tensor) -> Tensor:
    """Twice the intersection over the sum of areas, (N, C); 1 when both masks are empty."""
    both, total = _overlap(mask, target)
    return torch.where(total > 0, 2 * both / total.clamp(min=1), torch.ones_like(total))


f1 = dice
"""Dice under its other name: the harmonic mean of precision and recall of an image's pixels."""


def mean_iou(mask: Tensor, target: Tensor) -> Tensor:
    """Mean of `iou` over all planes, (): the mIoU of papers on single objects."""
    return iou(mask, target).mean()


def size_error(mask: Tensor, size: Tensor) -> Tensor:
    """Squared difference between a mask's object size and the true one in px², (N, C); NaN sizes stay NaN.

    `size` is (N, C). Eq. 22 of Baručić and Kybic, "Learning to segment from object sizes", ITAT 2022.
    """
    _check_per_plane("size", size, mask)
    return (object_size(mask).to(torch.float64) - size.to(torch.float64)) ** 2


def centre_error(mask: Tensor, centre: Tensor) -> Tensor:
    """Distance in px between a mask's centroid and `centre` (N, C, D); an empty mask counts the diagonal."""
    _check_per_plane("centre", centre, mask, mask.ndim - 2)
    found = centroid(mask.to(torch.float64))
    distance = ((found - centre.to(torch.float64)) ** 2).sum(-1).sqrt()
    diagonal = sum(float(side) ** 2 for side in mask.shape[2:]) ** 0.5
    return torch.where(mask.flatten(2).any(-1), distance, torch.full_like(distance, diagonal))


def hausdorff95(mask: Tensor, target: Tensor, *, spacing: tuple[float, ...] | None = None) -> Tensor:
    """95th percentile of the distances between two outlines, in `spacing` units, (N, C); computed by MONAI.

    An empty mask against one that is not counts as the image diagonal; two empty ones as 0.
    """
    from monai.metrics import compute_hausdorff_distance

    _check(mask, target)
    lengths = spacing or (1.0,) * (mask.ndim - 2)
    diagonal = sum((side * length) ** 2 for side, length in zip(mask.shape[2:], lengths, strict=True)) ** 0.5
    here, there = mask.flatten(2).any(-1), target.flatten(2).any(-1)
    result = torch.zeros(mask.shape[:2], dtype=torch.float64)
    result[(here != there).cpu()] = diagonal
    for n, c in (here & there).nonzero().tolist():
        one, other = mask[n : n + 1, c : c + 1], target[n : n + 1, c : c + 1]
        result[n, c] = compute_hausdorff_distance(one, other, percentile=95, spacing=list(lengths)).item()
    return result


def boundary_f(mask: Tensor, target: Tensor, *, radii: Sequence[float] = _RADII) -> Tensor:
    """How well two outlines meet, (N, C): BoundF, each image on its own.

    Parameters
    ----------
    mask, target : (N, C, H, W) bool Tensor
    radii : sequence of float
        In px; the score is the mean over them. Larger ones forgive more. The papers' are 1 to 5.

    Returns
    -------
    (N, C) float64 Tensor
        Mean over `radii` of the harmonic mean of precision (share of the mask's outline within the radius of
        the target's) and recall (the reverse). Where neither mask has an outline within the image: 1 if they
        are equal, else 0.

    Notes
    -----
    An outline is what DARNet's and ACDRNet's evaluations mark: the pixels that differ from their right, lower
    or lower right neighbour. An object has none along the image's border.

    References
    ----------
    .. [1] Cheng et al., "DARNet: Deep active ray network for building segmentation", CVPR, 2019.
    """
    score = _harmonic(boundary_matches(mask, target, radii=radii)).mean(-1)
    unseen = ~(_outline(mask) | _outline(target)).flatten(2).any(-1)
    return torch.where(unseen, (mask == target).flatten(2).all(-1).to(score), score)


def boundary_matches(mask: Tensor, target: Tensor, *, radii: Sequence[float] = _RADII) -> Tensor:
    """What `boundary_f` counts, (N, C, R, 4), to be pooled over a data set by `pooled_boundary_f`.

    The last axis holds: outline pixels of the mask within the radius of the target's outline, outline pixels
    of the mask, the same of the target near the mask's, outline pixels of the target.
    """
    _check(mask, target)
    if mask.ndim != 4:
        raise ValueError(f"mask and target: expected (N, C, H, W), got {tuple(mask.shape)}")
    here, there = _outline(mask), _outline(target)
    counts = []
    for one, other in ((here, there), (there, here)):
        distance = torch.where(other, 0, edge_distance(other))
        distance = torch.where(other.flatten(2).any(-1)[..., None, None], distance, torch.inf)
        met = torch.stack([(one & (distance <= radius)).flatten(2).sum(-1) for radius in radii], -1)
        counts += [met, one.flatten(2).sum(-1)[..., None].expand_as(met)]
    return torch.stack(counts, -1).double()  # (N, C, R, 4)


def pooled_boundary_f(matches: Tensor) -> Tensor:
    """BoundF of a whole data set, (): precision and recall over all its outline pixels, as DARNet has it.

    Parameters
    ----------
    matches : (..., R, 4) Tensor
        `boundary_matches` of all images, those of unequal shapes put together by `torch.cat`.

    Returns
    -------
    () Tensor
        Large outlines weigh more than in the mean of `boundary_f`. 1 where there is no outline at all.
    """
    if matches.ndim < 2 or matches.shape[-1] != 4:
        raise ValueError(f"matches: expected (..., R, 4), got {tuple(matches.shape)}")
    total = matches.reshape(-1, *matches.shape[-2:]).sum(0)
    return _harmonic(total).mean() if total[..., [1, 3]].any() else total.new_ones(())


def _harmonic(matches: Tensor) -> Tensor:
    """F of the counts ``(..., 4)``; 0 where one outline is missing."""
    precision, recall = (matches[..., k] / matches[..., k + 1].clamp(min=1) for k in (0, 2))
    return 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(matches.dtype).tiny)


def _outline(mask: Tensor) -> Tensor:
    """Pixels that differ from their right, lower or lower right neighbour, as far as they have one."""
    found = torch.zeros_like(mask)
    found[..., :-1] |= mask[..., :-1] ^ mask[..., 1:]
    found[..., :-1, :] |= mask[..., :-1, :] ^ mask[..., 1:, :]
    found[..., :-1, :-1] |= mask[..., :-1, :-1] ^ mask[..., 1:, 1:]
    return found


def cldice(mask: Tensor, target: Tensor) -> Tensor:
    """How well centre lines are covered, (N, C): vessels count by their length, not by their width.

    Parameters
    ----------
    mask, target : (N, C, H, W) bool Tensor

    Returns
    -------
    (N, C) float64 Tensor
        Harmonic mean of the share of the mask's skeleton inside the target and that of the target's skeleton
        inside the mask. 1 when both masks are empty, 0 when one is.

    Notes
    -----
    Skeletons are hard, one pixel wide, by scikit-image; the loss of this name has soft ones.

    References
    ----------
    .. [1] Shit et al., "clDice: a novel topology-preserving loss function for tubular structure
       segmentation", CVPR, 2021.
    """
    _check(mask, target)
    if mask.ndim != 4:
        raise ValueError(f"mask and target: expected (N, C, H, W), got {tuple(mask.shape)}")
    counts = []
    for one, other in ((mask, target), (target, mask)):
        line = _skeleton(one)
        counts += [(line & other).flatten(2).sum(-1), line.flatten(2).sum(-1)]
    score = _harmonic(torch.stack(counts, -1).double())
    nothing = ~(mask | target).flatten(2).any(-1)
    return torch.where(nothing, torch.ones_like(score), score)


def _skeleton(mask: Tensor) -> Tensor:
    from skimage.morphology import skeletonize

    planes = mask.flatten(0, 1).cpu().numpy()
    lines = np.zeros_like(planes)
    for line, plane in zip(lines, planes, strict=True):
        line[:] = skeletonize(plane)  # type: ignore[no-untyped-call]
    return torch.from_numpy(lines).reshape(mask.shape).to(mask.device)


def betti_error(mask: Tensor, target: Tensor) -> Tensor:
    """Differences between the numbers of parts and of holes, (N, C, 2); in 3-D parts, handles and cavities.

    Parameters
    ----------
    mask, target : (N, C, *spatial) bool Tensor
        2-D or 3-D.

    Returns
    -------
    (N, C, D) float64 Tensor
        ``|b_k(mask) - b_k(target)|``; an empty mask has no parts and no holes. Where they are does not count:
        a wrong part and a missing one make no error.

    See Also
    --------
    napari_segsize.ops.topology.betti_numbers : which pixels touch.
    """
    _check(mask, target)
    return (betti_numbers(mask) - betti_numbers(target)).abs().double()


def weighted_coverage(labels: Tensor, truth: Tensor) -> Tensor:
    """How well instances are found, (N, C): the mean over true ones of the best IoU, weighted by their areas.

    Parameters
    ----------
    labels, truth : (N, C, *spatial) integer or bool Tensor
        0 is background, every other number one instance. The numbers of the two need not agree.

    Returns
    -------
    (N, C) float64 Tensor
        ``sum_g |g| max_s IoU(g, s) / sum_g |g|``; without true instances 1 if none was found either, else 0.
        Instances found in excess cost nothing.

    Notes
    -----
    ACDRNet's published code compares areas instead of overlaps: a mask moved by 3 px scores 1 there.

    References
    ----------
    .. [1] Silberman, Sontag and Fergus, "Instance segmentation of indoor scenes using a coverage loss", ECCV,
       2014.
    """
    if (
        labels.shape != truth.shape
        or labels.ndim < 4
        or labels.is_floating_point()
        or truth.is_floating_point()
    ):
        raise ValueError(
            "labels and truth: expected integers of equal shapes (N, C, *spatial), "
            f"got {tuple(labels.shape)} of {labels.dtype} and {tuple(truth.shape)} of {truth.dtype}"
        )
    planes = zip(labels.flatten(0, 1).flatten(1), truth.flatten(0, 1).flatten(1), strict=True)
    scores = [_coverage(found, real) for found, real in planes]
    return torch.tensor(scores, dtype=torch.float64, device=labels.device).reshape(labels.shape[:2])


def _coverage(labels: Tensor, truth: Tensor) -> float:
    """`weighted_coverage` of one plane of pixels."""
    found, row = labels.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    real, column = truth.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    shared = (row * len(real) + column).bincount(minlength=len(found) * len(real)).double()
    shared = shared.reshape(len(found), len(real))
    area, true_area = shared.sum(1, keepdim=True), shared.sum(0)
    overlap = (shared / (area + true_area - shared))[found != 0][:, real != 0]  # IoU of every pair
    weight = true_area[real != 0]
    if not len(weight):
        return float(not len(overlap))
    best = overlap.amax(0) if len(overlap) else torch.zeros_like(weight)
    return float((weight * best).sum() / weight.sum())
