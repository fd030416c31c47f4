"""Whether the sizes and the mask of one plane can both be true, in sentences for the Annotate page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_segsize.project import survey

if TYPE_CHECKING:
    from napari_segsize.project.annotation import PlaneAnnotation

__all__ = ["clashes"]


def clashes(said: PlaneAnnotation) -> tuple[str, ...]:
    """Return a sentence for each size that the mask of the same plane does not confirm."""
    return tuple(
        f"A size of {stamp.size:g} px lies where nothing is painted: paint the object, or delete it."
        if painted is None
        else f"The size is {stamp.size:g} px but the mask's is {painted:g} px: delete one of the two."
        for stamp, painted in survey.clashes(said)
    )
