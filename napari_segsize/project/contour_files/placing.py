"""Where the outlines of a file belong in a project: their planes, objects and checked rings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import ImageRecord, PlaneRef, Ring
from napari_segsize.project.checks import checked_name, where
from napari_segsize.project.contour_files.page import Outline, Reading, as_one
from napari_segsize.project.csv_lines import refusal
from napari_segsize.project.images import plain_name
from napari_segsize.project.naming import generated_name, image_called, image_of_file, names_of_images
from napari_segsize.project.rings import checked_rings

__all__ = ["Placed", "placed"]

_Known = Mapping[str, ImageRecord | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An outline that can be stored; its object is "" until all of them are known."""

    plane: PlaneRef
    object: str
    rings: tuple[Ring, ...]
    raster: bool


def placed(reading: Reading, file: Path, images: Sequence[ImageRecord], *, chosen: bool) -> list[Placed]:
    """Outlines of a file that was read; every one with the name of an object.

    Parameters
    ----------
    images : sequence of ImageRecord
        All of the project, or the `chosen` one.

    Raises
    ------
    SegsizeError
        If any of them cannot be stored; the first ones are named.
    """
    known = names_of_images(images)
    found: list[Placed] = []
    unknown: Counter[str] = Counter()
    for outline in reading.outlines:
        elsewhere = outline.image is not None and not _is_known(outline.image, known)
        if outline.image is not None and elsewhere and (reading.partial or chosen):
            unknown[outline.image] += 1
            continue
        try:
            found.append(_placed(outline, reading, _image_of(outline, reading, file, images, known)))
        except SegsizeError as error:
            reading.bad.append(f"{outline.where}: {error}")
    if reading.bad:
        raise refusal(file, reading.bad, reading.what)
    if unknown and not found:
        raise SegsizeError(
            f"{file.name} is about {len(unknown)} image(s) that the project does not have, such as "
            f"{next(iter(unknown))!r}: add them first."
        )
    if unknown:
        reading.notices.append(
            f"{file.name}: {sum(unknown.values())} {reading.what} of {len(unknown)} image(s) that the "
            "project does not have were left out."
        )
    return _named(found, {record.id: record for record in images})


def _placed(outline: Outline, reading: Reading, record: ImageRecord) -> Placed:
    plane = _plane_of(outline, reading, record)
    place = where(record, plane)
    rings = checked_rings(as_one(outline.polygons, record.shape), place, record.shape)
    if not rings:
        raise SegsizeError("it has no vertices; expected an outline.")
    return Placed(plane=plane, object=_own_name(outline.object), rings=rings, raster=outline.raster)


def _plane_of(outline: Outline, reading: Reading, record: ImageRecord) -> PlaneRef:
    """The plane that an outline says it is of."""
    sides = (reading.planes or record.planes, *(outline.shape or record.shape))
    expected = (record.planes, *record.shape)
    if sides != expected:
        raise SegsizeError(
            f"it does not fit {record.name}: expected {expected} (planes, rows, columns), got {sides}; "
            "choose the file of this image."
        )
    number = outline.slice
    if record.planes == 1 and (number is None or reading.positions):
        number = 0
    if number is None or not 0 <= number < record.planes:
        got = "none" if number is None else number
        raise SegsizeError(
            f"{record.name} has {record.planes} plane(s): expected a plane from 0 to {record.planes - 1}, "
            f"got {got}."
        )
    return PlaneRef(record.id, number)


def _image_of(
    outline: Outline, reading: Reading, file: Path, images: Sequence[ImageRecord], known: _Known
) -> ImageRecord:
    """The image that an outline, its file, or the name of its file says."""
    if outline.image is not None:
        return _called(outline.image, known)
    if len(images) == 1:
        return images[0]
    if reading.image is not None and _is_known(reading.image, known):
        return _called(reading.image, known)
    return image_of_file(file, images)


def _aliases(name: str) -> tuple[str, ...]:
    path = Path(name.replace("\\", "/"))
    return name, path.name, plain_name(path)


def _is_known(name: str, known: _Known) -> bool:
    return any(alias in known for alias in _aliases(name))


def _called(name: str, known: _Known) -> ImageRecord:
    return image_called(next((alias for alias in _aliases(name) if alias in known), name), known)


def _own_name(name: str | None) -> str:
    try:
        return checked_name(name) if name else ""
    except SegsizeError:  # other programs may call it "mask": then it gets a name of its own
        return ""


def _named(found: Sequence[Placed], records: Mapping[int, ImageRecord]) -> list[Placed]:
    """Give names to outlines without one, or with one that others on the plane have too."""
    taken = Counter((each.plane, each.object) for each in found)
    again: Counter[object] = Counter()
    named = []
    for each in found:
        if not each.object or taken[each.plane, each.object] > 1:
            same = (each.plane, each.rings)
            sha256 = records[each.plane.image].sha256
            name = generated_name(sha256, each.plane.slice, each.rings, again[same])
            again[same] += 1
            each = replace(each, object=name)
        named.append(each)
    return named
