"""Instance images: pixels of the k-th object of a plane are k. Never narrower than int32."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.contour_files.page import Outline, Page, Reading
from napari_segsize.project.label_images import read_labels, write_labels
from napari_segsize.project.outlines import crop_of, labels_of, rings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read", "write"]

_KEY = "segsize"  # of the names of image and objects in the file's description


def write(pages: Sequence[Page], file: Path) -> list[str]:
    """Write the contours of an image with `write_labels`; planes without any are 0.

    Returns
    -------
    list of str
        What a label image cannot say, a sentence each: objects that overlap.
    """
    record = pages[0].record
    labels = np.zeros((record.planes, *record.shape), np.int32)
    names: dict[str, list[str]] = {}
    notices: list[str] = []
    for page in pages:
        labels[page.slice] = labels_of(page.contours, record.shape)
        names[str(page.slice)] = [contour.object for contour in page.contours]
        notices += _overlaps(page, labels[page.slice])
    own = {_KEY: {"image": record.name, "objects": names}}
    write_labels(labels, file, spacing=record.spacing, unit=record.unit, description=own)
    return notices


def read(file: Path) -> Reading:
    """Read a label image; each label of a plane is an object, with all its pieces."""
    labels = read_labels(file)
    if labels.size and int(labels.min()) < 0:
        raise SegsizeError(
            f"{file.name}: labels are 0 (background) and positive numbers, got {labels.min()}: number them "
            "anew."
        )
    own = _description(file)
    names = own.get("objects", {})
    reading = Reading(what="labels", image=own.get("image"), planes=len(labels))
    for k, plane in enumerate(labels):
        called = dict(enumerate(names.get(str(k), []), start=1))
        for number, rings in _objects(plane):
            reading.outlines.append(
                Outline(
                    where=f"Label {number} of slice {k + 1}" if len(labels) > 1 else f"Label {number}",
                    polygons=[rings],
                    slice=k,
                    raster=True,
                    object=called.get(number),
                    shape=plane.shape,
                )
            )
    return reading


def _objects(labels: NDArray[np.integer]) -> Iterator[tuple[int, list[NDArray[np.float64]]]]:
    from scipy.ndimage import find_objects

    numbers, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + (0 if numbers[0] == 0 else 1)
    numbers = numbers[numbers != 0]
    for k, (number, box) in enumerate(zip(numbers.tolist(), find_objects(dense), strict=True), start=1):
        corner = [side.start for side in box]
        yield number, [np.array(ring) + corner for ring in rings_of(dense[box] == k)]


def _overlaps(page: Page, labels: NDArray[np.int32]) -> list[str]:
    """What objects that lie over each other lose."""
    counts = np.bincount(labels.ravel(), minlength=len(page.contours) + 1)[1:]
    whole = [int(crop_of(contour.rings, page.record.shape)[2].sum()) for contour in page.contours]
    notices = []
    lost = sum(whole) - int(counts.sum())
    if lost:
        notices.append(
            f"{page.where}: {lost} px belong to several objects; in the label image, to the first of them."
        )
    gone = int((counts == 0).sum())
    if gone:
        notices.append(
            f"{page.where}: {gone} object(s) have no pixel of their own and are not in the label image."
        )
    return notices


def _description(file: Path) -> dict[str, Any]:
    """What `write` said about the objects; nothing for files of other programs."""
    import tifffile

    if file.suffix.lower() not in (".tif", ".tiff"):
        return {}
    try:
        with tifffile.TiffFile(file) as opened:
            found = json.loads(opened.pages.first.description)
    except (ValueError, AttributeError):
        return {}
    own = found.get(_KEY) if isinstance(found, dict) else None
    return own if isinstance(own, dict) else {}
