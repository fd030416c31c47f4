"""Whether the sizes and the mask of one plane can both be true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_segsize.project.annotation import object_size_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.annotation import PlaneAnnotation, SizeStamp

__all__ = ["clashes", "mask_size"]

_TOLERANCE = 0.25  # of the larger size; the rule of `Project.contradictions`


def clashes(said: PlaneAnnotation) -> tuple[str, ...]:
    """Return a sentence for each size that the mask of the same plane does not confirm."""
    if said.mask is None:
        return ()
    found = []
    for stamp in said.stamps:
        painted = mask_size(said.mask, stamp)
        if painted is None:
            found.append(
                f"A size of {stamp.size:g} px lies where nothing is painted: paint the object, or delete it."
            )
        elif abs(painted - stamp.size) > max(2.0, _TOLERANCE * max(painted, stamp.size)):
            found.append(
                f"The size is {stamp.size:g} px but the mask's is {painted:g} px: delete one of the two."
            )
    return tuple(found)


def mask_size(mask: NDArray[np.int32], stamp: SizeStamp) -> float | None:
    """Size of the painted object that a stamp belongs to; None where nothing is painted."""
    from scipy.ndimage import label

    if stamp.centre is None:
        return object_size_of(mask != 0)
    y, x = (min(max(round(at), 0), side - 1) for at, side in zip(stamp.centre, mask.shape, strict=True))
    if mask[y, x] == 0:
        return None
    pieces, _ = label(mask == mask[y, x], structure=np.ones((3, 3)))
    return object_size_of(pieces == pieces[y, x])
