"""COCO instances: polygons, a ring each; run lengths for outlines with holes, which polygons cannot have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.contour_files.json_file import line_of, load, vertices_of
from napari_segsize.project.contour_files.page import Outline, Page, Reading, crossing_notice, valid_pieces
from napari_segsize.project.contour_files.rle import decoded, lengths_of, mask_of_lengths
from napari_segsize.project.outlines import mask_of, rings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.annotation import Contour, Ring

__all__ = ["parsed", "read", "write"]

_CATEGORY = {"id": 1, "name": "object", "supercategory": "object"}


def write(pages: Sequence[Page], file: Path) -> list[str]:
    """Write all pages to one file; planes of a stack are images with a ``slice``.

    ``area`` and ``bbox`` are those of the polygons, or of the pixels; positions count from the corner of the
    first pixel. The keys ``slice`` and ``object`` are our own; other programs pass over them.
    """
    names = _file_names(pages)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    notices: list[str] = []
    for number, page in enumerate(pages, start=1):
        height, width = page.record.shape
        entry = {"id": number, "file_name": names[page.record.id], "width": width, "height": height}
        images.append(entry if page.record.planes == 1 else {**entry, "slice": page.slice})
        crossing = 0
        for contour in page.contours:
            pieces, same = valid_pieces(contour.rings, page.record.shape)
            crossing += not same
            holes = any(len(piece) > 1 for piece in pieces)
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                "object": contour.object,
                **(_runs(contour, page.record.shape) if holes else _polygons([ring for ring, in pieces])),
            })  # fmt: skip
        if crossing:
            notices.append(crossing_notice(page.where, crossing))
    whole = {"images": images, "categories": [_CATEGORY], "annotations": annotations}
    file.write_text(json.dumps(whole), encoding="utf-8")
    return notices


def read(file: Path) -> Reading:
    """Read a COCO file."""
    return parsed(load(file), file)


def parsed(data: Any, file: Path) -> Reading:
    """Outlines in a COCO file that was loaded."""
    if not (isinstance(data, dict) and isinstance(data.get("annotations"), list)):
        raise SegsizeError(
            f'{file.name} is not COCO: expected an object with lists "images" and "annotations".'
        )
    reading = Reading(what="annotations", partial=True)
    images = {entry.get("id"): entry for entry in data.get("images") or [] if isinstance(entry, dict)}
    left_out: Counter[str] = Counter()
    for k, entry in enumerate(data["annotations"], start=1):
        if not isinstance(entry, dict):
            reading.bad.append(f"Annotation {k}: expected an object with a segmentation, got {entry!r}.")
            continue
        where = f"Annotation {entry.get('id', k)}"
        try:
            if entry.get("iscrowd"):
                left_out["of crowds"] += 1
            elif not entry.get("segmentation"):
                left_out["without an outline"] += 1
            else:
                reading.outlines.append(_outline(entry, images, where))
        except SegsizeError as error:
            reading.bad.append(f"{where}: {error}")
    reading.notices += [
        f"{file.name}: {n} annotation(s) {what} were left out." for what, n in left_out.items()
    ]
    return reading


def _polygons(rings: Sequence[Ring]) -> dict[str, Any]:
    lines = [np.array(line_of(ring)) for ring in rings]
    (left, top), (right, bottom) = (each(np.concatenate(lines), axis=0) for each in (np.min, np.max))
    return {
        "segmentation": [line.ravel().tolist() for line in lines],
        "area": sum(_area(line - line[0]) for line in lines),
        "bbox": [float(value) for value in (left, top, right - left, bottom - top)],
    }


def _area(line: NDArray[np.float64]) -> float:
    x, y = line.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _runs(contour: Contour, shape: tuple[int, int]) -> dict[str, Any]:
    mask = mask_of(contour.rings, shape)
    places = np.argwhere(mask)
    box = [0, 0, 0, 0]
    if len(places):
        (top, left), (bottom, right) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
        box = [left, top, right - left + 1, bottom - top + 1]
    runs = {"size": list(shape), "counts": lengths_of(mask)}
    return {"segmentation": runs, "area": len(places), "bbox": box}


def _outline(entry: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]], where: str) -> Outline:
    image = images.get(entry.get("image_id"))
    if image is None or not isinstance(image.get("file_name"), str):
        raise SegsizeError(f"the file lists no image {entry.get('image_id')!r} with a file_name.")
    height, width = image.get("height"), image.get("width")
    shape = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    segmentation = entry["segmentation"]
    runs = isinstance(segmentation, dict)
    place, name = image.get("slice"), entry.get("object")
    return Outline(
        where=where, polygons=_of_runs(segmentation) if runs else _of_polygons(segmentation),
        image=image["file_name"], slice=place if isinstance(place, int) else None,
        object=name if isinstance(name, str) else None, shape=shape, raster=runs,
    )  # fmt: skip


def _of_polygons(segmentation: Any) -> list[list[Any]]:
    if not isinstance(segmentation, list):
        raise SegsizeError("its segmentation is neither polygons nor run lengths.")
    flat = not isinstance(segmentation[0], list)
    return [[vertices_of(polygon)] for polygon in ([segmentation] if flat else segmentation)]


def _of_runs(segmentation: Mapping[str, Any]) -> list[list[Any]]:
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        lengths = decoded(counts) if isinstance(counts, str) else counts
        mask = mask_of_lengths(lengths, (height, width))
    except (KeyError, TypeError, ValueError) as error:
        raise SegsizeError(f"its run lengths are not COCO's ({error}).") from error
    return [list(rings_of(mask))]


def _file_names(pages: Iterable[Page]) -> dict[int, str]:
    """Names of the image files; with folders where several have the same."""
    paths = {page.record.id: page.record.path for page in pages}
    known = Counter(Path(path).name for path in paths.values())
    return {number: path if known[Path(path).name] > 1 else Path(path).name for number, path in paths.items()}
