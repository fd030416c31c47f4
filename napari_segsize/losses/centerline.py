"""Learning from painted masks, by their centre lines: soft clDice."""

from __future__ import annotations

import warnings

from torch import Tensor, nn

from napari_segsize.losses._masks import read_masks
from napari_segsize.losses._reduce import Reduction, reduce_planes
from napari_segsize.losses.info import LossInfo
from napari_segsize.ops.skeleton import skeleton_iterations, soft_skeleton


def cldice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    iterations: int | None = None,
    smooth: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """One minus soft clDice: how much of each centre line lies in the other mask [1]_.

    ``1 - 2 P S / (P + S)``, the harmonic mean of the precision ``P = sum(skel(p) y) / sum(skel(p))``, which
    hears ghosts, and the sensitivity ``S = sum(skel(y) p) / sum(skel(y))``, which hears misses.

    Parameters
    ----------
    logits : (N, C, *spatial) float Tensor
        Before the sigmoid; 2-D or 3-D.
    target : (N, C, *spatial) Tensor
        The true mask: boolean, integer or float (a centre line is taken from the values as they are). A plane
        with NaN is unlabelled and has no term.
    iterations : int, optional
        Erosions of the skeleton. None: as many as the thickest target needs (`skeleton_iterations` of
        ``target > 0.5``). Time grows with them. With too few, the skeleton of a thick object is **empty** and
        the loss is 0 wherever the prediction goes; that is warned of.
    smooth : float
        Added above and below both fractions, usually 1. Larger values make faint and short lines count less.
    reduction : {"mean", "none"}
        Mean over the labelled planes (0 if there are none), or one value a plane ``(N, C)``, 0 where
        unlabelled.

    Returns
    -------
    () or (N, C) Tensor
        Between 0 and 1; float64 for float64 logits, otherwise float32.

    Raises
    ------
    ValueError
        If a shape or an option does not fit.

    Warns
    -----
    UserWarning
        If `iterations` are too few for a target.

    Notes
    -----
    Not to be used alone: a mask far too thick has no ghosts on its centre line. The paper adds it to Dice,
    ``(1 - a) Dice + a clDice`` with ``a`` at most 0.5.

    References
    ----------
    .. [1] Shit et al., "clDice, a novel topology-preserving loss function for tubular structure
       segmentation", CVPR, 2021.
    """
    if iterations is not None and not (float(iterations).is_integer() and iterations >= 0):
        raise ValueError(f"iterations: expected a whole number, 0 or more, or None, got {iterations}.")
    if not smooth > 0:
        raise ValueError(f"smooth: expected more than 0, got {smooth}.")
    exact, truth, known = read_masks(logits, target, axes=(2, 3))
    needed = skeleton_iterations(truth > 0.5)
    if iterations is not None and iterations < needed:
        warnings.warn(
            f"clDice: the thickest target needs {needed} iterations, got {iterations}: it has no centre line "
            "and is not learned from. Leave `iterations` out.",
            stacklevel=2,
        )
    count = needed if iterations is None else int(iterations)
    probs = exact.sigmoid()
    line, true_line = soft_skeleton(probs, count), soft_skeleton(truth, count)
    precision = _share(line, truth, smooth)
    sensitivity = _share(true_line, probs, smooth)
    values = 1 - 2 * precision * sensitivity / (precision + sensitivity)
    return reduce_planes(values, known, reduction)


class ClDiceLoss(nn.Module):
    """Module form of `cldice_loss`: same parameters, same shapes."""

    def __init__(self, iterations: int | None = None, smooth: float = 1.0) -> None:
        super().__init__()
        self.iterations, self.smooth = iterations, smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """`cldice_loss` of `logits` against `target`, both ``(N, C, *spatial)``."""
        return cldice_loss(logits, target, iterations=self.iterations, smooth=self.smooth)


def _share(line: Tensor, mask: Tensor, smooth: float) -> Tensor:
    """Part of `line` that lies in `mask`, ``(N, C)``."""
    within, whole = (line * mask).flatten(2).sum(-1), line.flatten(2).sum(-1)
    return (within + smooth) / (whole + smooth)


CLDICE = LossInfo(
    function=cldice_loss,
    module=ClDiceLoss,
    needs=("mask",),
    acts_on="logits",
    looks_at="the centre lines of both masks",
    advice=(
        "For vessels, fibres and roads, beside Dice with a weight of at most 0.5. Alone it collapses; thick "
        "objects make it slow."
    ),
    reference="Shit et al., clDice, CVPR 2021",
)
