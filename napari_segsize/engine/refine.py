"""Refining what a project says of outlines: its masks and accepted contours, aligned and put back."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SegsizeError
from ..project import PlaneAnnotation, PlaneRef, Project, Split
from ..project.outlines import mask_of, rings_of
from .alignment import Alignment, align_labels, merged
from .edge_config import AlignConfig

if TYPE_CHECKING:
    from ..models.alignment import AlignmentNet
    from ..models.edges import EdgeNet

__all__ = [
    "Rough",
    "Target",
    "accept",
    "as_they_were",
    "refine_plane",
    "rough_objects",
    "rough_planes",
    "tendency",
]

Target = Literal["image", "edges"]
"""What outlines are aligned to: the image's own edges, or what the project's edge network sees."""

_SOURCE = "refined"
_SEVERAL = 5  # outlines, of which it can be said that most do the same
_ALL_ALIKE = 0.15  # change of the typical area: random errors of drawing leave it as it was


@dataclass(frozen=True, slots=True, eq=False)
class Rough:
    """The outlines of a plane as they are stored.

    Attributes
    ----------
    labels : (H, W) int32 array
        Accepted contours first, then the labels of the mask that no contour covers.
    objects : dict of int to str
        Which numbers are contours, and of which object.
    painted : dict of int to int
        Which numbers are labels of the mask, and of which value.
    """

    plane: PlaneRef
    labels: NDArray[np.int32]
    objects: dict[int, str]
    painted: dict[int, int]


def rough_objects(said: PlaneAnnotation, shape: tuple[int, int]) -> Rough:
    """What there is to refine on one plane."""
    labels = np.zeros(shape, np.int32)
    objects: dict[int, str] = {}
    painted: dict[int, int] = {}
    for contour in said.contours:
        if contour.accepted:
            number = len(objects) + 1
            labels[mask_of(contour.rings, shape) & (labels == 0)] = number
            objects[number] = contour.object
    covered = labels > 0
    mask = said.mask if said.mask is not None else np.zeros(shape, np.int32)
    for value in np.unique(mask[mask > 0]).tolist():
        own = mask == value
        if (own & covered).sum() < 0.5 * own.sum():
            number = len(objects) + len(painted) + 1
            labels[own & (labels == 0)] = number
            painted[number] = value
    return Rough(said.plane, labels, objects, painted)


def rough_planes(project: Project, split: Split | None = None) -> list[Rough]:
    """Every plane with an outline to refine; planes marked "skip" are left as they are.

    Raises
    ------
    SegsizeError
        If there is none.
    """
    found = [
        rough_objects(said, project.image(said.plane.image).shape)
        for said in project.annotations(split)
        if not said.skipped and (said.mask is not None or any(each.accepted for each in said.contours))
    ]
    found = [rough for rough in found if rough.labels.any()]
    if not found:
        raise SegsizeError(
            "There is no outline to refine: paint masks, accept contours, or import a label image first."
        )
    return found


def refine_plane(
    project: Project,
    rough: Rough,
    config: AlignConfig | None = None,
    *,
    network: EdgeNet | None = None,
    aligner: AlignmentNet | None = None,
    numbers: Iterable[int] | None = None,
) -> Generator[Alignment, None, None]:
    """Align the objects of one plane, each as if it were alone.

    Parameters
    ----------
    network : EdgeNet, optional
        Whose edges are followed. None: those of the image.
    aligner : AlignmentNet, optional
        Which one believes, with the method "learned". None: the one that ships.
    numbers : iterable of int, optional
        Which objects, see `Rough`. None: all.

    Raises
    ------
    SegsizeError
        If the image cannot be read, or for edges of a network with a method that does not look at them.
    """
    source: dict[str, Any]
    if network is None:
        source = {"image": project.pixels(rough.plane)}
    elif config is not None and config.method == "learned":
        raise SegsizeError(
            'The method "learned" looks at the image itself, not at the edges of a network. Align to the '
            "image, or choose another method."
        )
    else:
        from .edge_stages import edges_of_plane

        source = {"edges": edges_of_plane(project, rough.plane, network, thinned=False)}
    yield from align_labels(rough.labels, config=config, numbers=numbers, network=aligner, **source)


def tendency(found: Iterable[Alignment]) -> str:
    """A sentence where most outlines shrink or most grow: a habit of drawing, rather than mistakes.

    Some draw around the faint rim of an object, where the image says that it ends further in. Alignment would
    undo that, so a person should look first.
    """
    shares = [each.masks[-1].sum() / max(each.masks[0].sum(), 1) for each in found if each.sound]
    share = float(np.median(shares)) if len(shares) >= _SEVERAL else 1.0
    if abs(share - 1) <= _ALL_ALIKE:
        return ""
    does = "shrink" if share < 1 else "grow"
    return (
        f"Most {does}, the typical one by {100 * abs(share - 1):.0f} % of its area: if they were drawn so on "
        "purpose, reject them, or align again with less reach or more stay."
    )


def as_they_were(project: Project, rough: Rough, found: Iterable[Alignment]) -> list[Alignment]:
    """Those of `found` whose outline is still the one that was aligned: nobody has drawn it anew since."""
    now = rough_objects(project.annotation(rough.plane), (rough.labels.shape[0], rough.labels.shape[1]))
    numbers = {("contour", name): number for number, name in now.objects.items()}
    numbers |= {("painted", str(value)): number for number, value in now.painted.items()}

    def same(number: int) -> bool:
        contour = number in rough.objects
        key = ("contour", rough.objects[number]) if contour else ("painted", str(rough.painted[number]))
        return key in numbers and np.array_equal(now.labels == numbers[key], rough.labels == number)

    return [each for each in found if same(each.number)]


def accept(project: Project, rough: Rough, found: Sequence[Alignment]) -> NDArray[np.int32]:
    """Put aligned outlines in the project, without overlaps: one transaction a contour, one for the mask.

    Parameters
    ----------
    rough : Rough
        As it was when they were aligned.
    found : sequence of Alignment
        Those that are accepted; objects that did not move, or that somebody has drawn anew or rejected
        since, are left as they are.

    Returns
    -------
    (H, W) int32 array
        All objects of `rough`, with the accepted ones as they are now.
    """
    found = as_they_were(project, rough, found)
    labels = merged(rough.labels, found).astype(np.int32)
    numbers = [each.number for each in found]
    changed = [number for number in numbers if ((labels == number) != (rough.labels == number)).any()]
    for number in changed:
        if number in rough.objects:
            rings = rings_of(labels == number)
            project.put_contour(rough.plane, object=rough.objects[number], rings=rings, source=_SOURCE)
    painted = [number for number in changed if number in rough.painted]
    if painted:
        before = project.annotation(rough.plane).mask
        mask = np.zeros(labels.shape, np.int32) if before is None else before.copy()
        for number in painted:
            mask[(rough.labels == number) & (mask == rough.painted[number])] = 0
        for number in painted:
            mask[(labels == number) & (mask == 0)] = rough.painted[number]
        project.put_mask(rough.plane, mask)
    return labels
