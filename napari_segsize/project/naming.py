"""Which image of a project a name in a file, or the name of a file, means."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segsize.errors import SegsizeError
from napari_segsize.project.images import plain_name

if TYPE_CHECKING:
    from napari_segsize.project.annotation import ImageRecord

__all__ = ["file_stem", "generated_name", "image_called", "image_of_file", "listed", "names_of_images"]

_ENDINGS = {
    ".gz", ".nii", ".ome", ".png", ".tif", ".tiff", ".zarr", ".geojson", ".json", ".zip", ".roi", ".csv",
}  # fmt: skip
_NAMED = 5
_NAMESPACE = uuid.UUID("7f0c9c0e-6d0c-4f0a-9a57-2f6f1f3f5c11")


def names_of_images(images: Sequence[ImageRecord]) -> dict[str, ImageRecord | None]:
    """What images may be called: their names, paths and file names. None: several are called so."""
    known: dict[str, ImageRecord | None] = {}
    for record in images:
        path = Path(record.path)
        for alias in {record.path, path.name, plain_name(path)}:
            known[alias] = None if alias in known else record
    known.update({record.name: record for record in images})
    return known


def image_called(name: str, known: Mapping[str, ImageRecord | None]) -> ImageRecord:
    """The image that a row of a table names."""
    if name not in known:
        raise SegsizeError(f"the project has no image {name!r}; expected a name of its list of images.")
    record = known[name]
    if record is None:
        raise SegsizeError(
            f"several images are called {name!r}; expected a name of the project's list of images."
        )
    return record


def image_of_file(file: Path, images: Sequence[ImageRecord]) -> ImageRecord:
    """The image a file belongs to: of its name, else of the longest name that its own begins with."""
    name = file_stem(file.name)
    named = [image for image in images if name in (image.name, file_stem(image.name))]
    if not named:
        starts = [image for image in images if name.startswith(file_stem(image.name))]
        longest = max((len(file_stem(image.name)) for image in starts), default=0)
        named = [image for image in starts if len(file_stem(image.name)) == longest]
    if len(named) != 1:
        found = "several images have" if named else "no image has"
        raise SegsizeError(
            f"{file.name}: expected the name of one image of the project, possibly with something behind it "
            f"(brain7_mask.tif for brain7.tif), but {found} such a name. Nothing was read; rename the file."
        )
    return named[0]


def file_stem(name: str) -> str:
    """A name for files of an image: ``a.nii.gz`` is ``a``, ``a.1.tif`` is ``a.1``, ``b/a`` is ``b_a``."""
    name = name.replace("/", "_").replace("\\", "_")
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name


def listed(names: Sequence[object]) -> str:
    """The first few of many, for a sentence, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(str, names[:_NAMED])) + more


def generated_name(*what: object) -> str:
    """A name for an object without one: the same whenever the same is read."""
    return uuid.uuid5(_NAMESPACE, "/".join(map(str, what))).hex
