"""ImageJ regions of interest: a ZIP of them for an image, positions from the corner of the first pixel."""

from __future__ import annotations

import math
import struct
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.contour_files.json_file import CORNER, line_of
from napari_segsize.project.contour_files.page import Outline, Page, Reading
from napari_segsize.project.rings import GRID
from napari_segsize.project.writing import told

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from roifile import ImagejRoi

    from napari_segsize.project.annotation import Contour

__all__ = ["read", "write"]

_MOVE, _LINE, _QUADRATIC, _CUBIC, _CLOSE = range(5)
_CURVE = np.linspace(0, 1, 17)[1:, None]  # steps of a curved edge


def write(pages: Sequence[Page], file: Path) -> list[str]:
    """Write the contours of an image: sub-pixel polygons, composites where an outline has several rings."""
    taken: Counter[str] = Counter()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for page in pages:
            for contour in page.contours:
                roi = _roi(contour, page)
                entry = "".join(letter if letter.isalnum() else "_" for letter in roi.name)
                taken[entry] += 1
                extra = f"-{taken[entry]}" if taken[entry] > 1 else ""
                archive.writestr(f"{entry}{extra}.roi", roi.tobytes())
    return []


def read(file: Path) -> Reading:
    """Read a ZIP of regions, or a single one; lines, points and texts have no area and are left out."""
    reading = Reading(what="regions", positions=True)
    left_out: Counter[str] = Counter()
    for entry, data in _entries(file):
        try:
            roi = _parsed(data)
            polygon = _polygon(roi)
        except (
            SegsizeError,
            ValueError,
            NotImplementedError,
            RuntimeError,
            struct.error,
            TypeError,
        ) as error:
            reading.bad.append(f"{entry}: it is damaged, or of a kind that is not known ({error}).")
            continue
        if not polygon:
            left_out[roi.roitype.name.lower()] += 1
            continue
        place = max(roi.z_position, roi.t_position) or roi.position
        reading.outlines.append(
            Outline(
                where=roi.name or entry,
                polygons=[polygon],
                object=roi.name or None,
                slice=place - 1 if place > 0 else None,
            )
        )
    reading.notices += [
        f"{file.name}: {n} region(s) without an area ({kind}) were left out." for kind, n in left_out.items()
    ]
    return reading


def _roi(contour: Contour, page: Page) -> ImagejRoi:
    from roifile import ROI_TYPE, ImagejRoi

    rings = [np.array(line_of(ring), np.float32) for ring in contour.rings]
    roi = ImagejRoi.frompoints(np.concatenate(rings))
    if len(rings) == 1:
        roi.roitype = ROI_TYPE.POLYGON
    else:  # a composite: the bounds of a rectangle, and a path
        roi.roitype, roi.n_coordinates = ROI_TYPE.RECT, 0
        roi.integer_coordinates = roi.subpixel_coordinates = None
        roi.options = type(roi.options)(0)
        roi.multi_coordinates = np.concatenate([_path(ring) for ring in rings])
        roi.shape_roi_size = len(roi.multi_coordinates)
    roi.name = "".join(letter if ord(letter) < 0x10000 else "_" for letter in contour.object)
    if page.record.planes > 1:
        roi.position = page.slice + 1
        if page.record.channels > 1:  # then positions count channels as well
            roi.z_position = page.slice + 1
    return roi


def _path(ring: NDArray[np.float32]) -> NDArray[np.float32]:
    steps = np.full((len(ring), 1), _LINE, np.float32)
    steps[0] = _MOVE
    path: NDArray[np.float32] = np.append(np.hstack((steps, ring)), np.float32(_CLOSE))
    return path


def _entries(file: Path) -> list[tuple[str, bytes]]:
    with told(file):
        if file.suffix.lower() == ".roi":
            return [(file.name, file.read_bytes())]
        try:
            with zipfile.ZipFile(file) as archive:
                entries = [(name, archive.read(name)) for name in archive.namelist() if name.endswith(".roi")]
        except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
            raise SegsizeError(f"{file.name} is not a ZIP of regions ({error}): save it again.") from error
    entries = [(name, data) for name, data in entries if not name.startswith("__MACOSX")]
    if not entries:
        raise SegsizeError(f"{file.name} holds no regions: expected files that end in .roi, as ImageJ saves.")
    return entries


def _parsed(data: bytes) -> ImagejRoi:
    from roifile import ImagejRoi

    return ImagejRoi.frombytes(data)


def _polygon(roi: ImagejRoi) -> list[NDArray[np.float64]]:
    """Rings (y, x) from the centre of the first pixel; none for what has no area."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE):
        return []
    if roi.composite:
        rings = _rings_of_path(roi.multi_coordinates)
    elif roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        rings = [_box(roi) if roi.roitype == ROI_TYPE.RECT else _oval(roi)]
    elif roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        rings = [np.asarray(roi.coordinates(), np.float64)]
    else:
        rings = []
    return [ring[:, ::-1] - CORNER for ring in rings]


def _sides(roi: ImagejRoi) -> tuple[float, float, float, float]:
    """Left, top, width, height."""
    if roi.subpixelrect:
        return roi.xd, roi.yd, roi.widthd, roi.heightd
    return roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top


def _box(roi: ImagejRoi) -> NDArray[np.float64]:
    left, top, width, height = _sides(roi)
    corners = [[0, 0], [0, height], [width, height], [width, 0]]
    box: NDArray[np.float64] = np.array([left, top]) + np.array(corners, np.float64)
    return box


def _oval(roi: ImagejRoi) -> NDArray[np.float64]:
    """As many vertices as keep every edge within the grid of a project."""
    left, top, width, height = _sides(roi)
    count = 4 * max(8, math.ceil(math.sqrt(max(width, height) * GRID) / 2))
    angles = 2 * np.pi * np.arange(count) / count
    circle = 1 + np.stack((np.cos(angles), np.sin(angles)), axis=1)
    oval: NDArray[np.float64] = np.array([left, top]) + circle * np.array([width, height]) / 2
    return oval


def _rings_of_path(path: Any) -> list[NDArray[np.float64]]:
    """Rings of a composite, curves as short lines."""
    numbers = [float(number) for number in ([] if path is None else path)]
    rings: list[list[NDArray[np.float64]]] = []
    at = 0
    while at < len(numbers):
        step = int(numbers[at])
        if step not in range(5) or (step != _MOVE and not rings):
            raise SegsizeError(f"its path has a step {numbers[at]:g}")
        count = 0 if step == _CLOSE else max(step, 1)
        points = np.array(numbers[at + 1 : at + 1 + 2 * count]).reshape(count, 2)
        at += 1 + 2 * count
        if step == _MOVE:
            rings.append([points[0]])
        elif step == _LINE:
            rings[-1].append(points[0])
        elif step in (_QUADRATIC, _CUBIC):
            rings[-1] += list(_curve([rings[-1][-1], *points]))
    return [np.array(ring) for ring in rings if len(ring) > 2]


def _curve(points: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Bézier's curve after its first point."""
    degree = len(points) - 1
    parts = [
        math.comb(degree, k) * _CURVE**k * (1 - _CURVE) ** (degree - k) * point
        for k, point in enumerate(points)
    ]
    curve: NDArray[np.float64] = np.sum(parts, axis=0)
    return curve
