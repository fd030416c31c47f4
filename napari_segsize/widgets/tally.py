"""How much has been said about each image, kept up to date annotation by annotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_segsize.project.annotation import PlaneAnnotation

__all__ = ["ImageCounts", "counted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCounts:
    """What has been said about one image.

    Attributes
    ----------
    masks, no_object : int
        Planes.
    sizes : int
    contours, begun : int
        Objects with an accepted outline, and objects with extreme points but none yet.
    """

    masks: int = 0
    sizes: int = 0
    contours: int = 0
    begun: int = 0
    no_object: int = 0


def counted(annotation: PlaneAnnotation | None, so_far: ImageCounts, sign: int = 1) -> ImageCounts:
    """Add (or, with sign -1, take away) what is said about one plane."""
    if annotation is None:
        return so_far
    accepted = sum(contour.accepted for contour in annotation.contours)
    return ImageCounts(
        masks=so_far.masks + sign * int(annotation.mask is not None),
        sizes=so_far.sizes + sign * len(annotation.stamps),
        contours=so_far.contours + sign * accepted,
        begun=so_far.begun + sign * (len(annotation.contours) - accepted),
        no_object=so_far.no_object + sign * int(annotation.no_object),
    )
