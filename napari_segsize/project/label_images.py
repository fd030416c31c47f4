"""Masks to and from other programs, as images whose values number the objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import ImageRecord, PlaneRef
from napari_segsize.project.checks import checked_labels
from napari_segsize.project.formats import read_label_picture
from napari_segsize.project.images import open_image
from napari_segsize.project.packing import packed
from napari_segsize.project.sizes import PIXEL
from napari_segsize.project.writing import replacing, told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.project import Project

__all__ = ["export_labels", "import_label_files", "import_labels", "read_labels", "write_labels"]

_SHOWN = 5  # bad files named in one message


def write_labels(
    labels: NDArray[Any],
    file: str | Path,
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    unit: str = PIXEL,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write labels, (planes, H, W) or (H, W), as a compressed int32 TIFF; one plane is written as (H, W).

    Parameters
    ----------
    spacing : (z, y, x) floats
        Size of a pixel in `unit`; goes into the file.
    description : mapping, optional
        More to say about the image, as JSON in the file's description.
    """
    import tifffile

    file, labels = Path(file), np.asarray(labels)
    if labels.ndim not in (2, 3):
        raise ValueError(f"labels: expected (planes, H, W) or (H, W), got the shape {labels.shape}")
    if labels.ndim == 3 and len(labels) == 1:
        labels = labels[0]
    whole = labels.astype(np.int32)
    if not np.array_equal(whole, labels):
        raise SegsizeError(f"{file.name}: labels must be whole numbers up to 2147483647: number them anew.")
    with told(file), replacing(file) as new:
        tifffile.imwrite(
            new,
            whole,
            compression="zlib",
            photometric="minisblack",
            metadata={
                "axes": "ZYX"[-whole.ndim :],
                "spacing": [float(side) for side in spacing],
                "unit": unit,
                **(description or {}),
            },
        )


def read_labels(file: str | Path) -> NDArray[np.integer]:
    """Read a label image, (planes, H, W), from TIFF, PNG, NIfTI or zarr.

    The numbers of a palette count, not its colours; numbers stored as reals must be whole.
    """
    file = Path(file)
    source = open_image(file)
    if file.suffix.lower() == ".png":
        picture = read_label_picture(file)
        if picture.ndim == 2:
            return picture[None].astype(np.int64)
    if source.channels != 1:
        raise SegsizeError(
            f"{file.name} has {source.channels} channels, a label image has one: save labels, not colours."
        )
    labels = source.read()[:, 0]
    if labels.dtype.kind == "f":
        if not np.array_equal(labels, np.round(labels)):  # NaN is not equal either
            raise SegsizeError(f"{file.name} holds fractions; labels are whole numbers: save it as integers.")
        return labels.astype(np.int64)
    return labels


def export_labels(project: Project, image_id: int, file: str | Path) -> int:
    """Write the masks of an image with `write_labels`; planes without a mask are 0.

    Returns
    -------
    int
        Planes that have a mask.
    """
    record = project.image(image_id)
    labels = np.zeros((record.planes, *record.shape), np.int32)
    written = 0
    for k in range(record.planes):
        mask = project.annotation(PlaneRef(image_id, k)).mask
        if mask is not None:
            labels[k], written = mask, written + 1
    write_labels(labels, file, spacing=record.spacing, unit=record.unit)
    return written


def import_labels(
    project: Project, image_id: int, file: str | Path, *, empty: Literal["leave", "no_object"] = "leave"
) -> int:
    """Take the masks of an image from a label image of the same shape, in one step of undo.

    Parameters
    ----------
    file : path
        See `read_labels`; 0 = background.
    empty : {"leave", "no_object"}
        What a plane without any label means: nothing was said about it, or there is no object.

    Returns
    -------
    int
        Planes that got a mask.
    """
    return import_label_files(project, [(image_id, Path(file))], empty=empty)[0]


def import_label_files(
    project: Project,
    files: Sequence[tuple[int, Path]],
    *,
    empty: Literal["leave", "no_object"] = "leave",
) -> tuple[int, ...]:
    """Take the masks of several images from label images: all of them, in one step of undo, or none.

    A table of sizes is read so, and so are the outlines of a folder: whoever mends the file that was refused
    repeats the command as it was, and one undo takes it all back. The files are read, checked and packed
    before anything is written, for meanwhile no other program could write to the project.

    Parameters
    ----------
    files : sequence of (number of an image, path)
        See `import_labels`.

    Returns
    -------
    tuple of int
        Planes that got a mask, file by file.

    Raises
    ------
    SegsizeError
        Names the first files that cannot be used, and why.
    """
    read: list[_Masks] = []
    bad: list[str] = []
    for image_id, file in files:
        try:
            read.append(_masks_of(project.image(image_id), file))
        except SegsizeError as error:
            bad.append(str(error))
    if bad:
        raise _nothing_read(bad, len(files))
    name = files[0][1].name if len(files) == 1 else f"{len(files)} label images"
    with project.step(f"Read {name}"):
        return tuple(_put(project, masks, empty) for masks in read)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Masks:
    """What a label image says, plane by plane, packed; None where it has no label."""

    file: Path
    image: int
    planes: tuple[bytes | None, ...]


def _masks_of(record: ImageRecord, file: Path) -> _Masks:
    labels = read_labels(file)
    expected = (record.planes, *record.shape)
    if labels.shape != expected:
        raise SegsizeError(
            f"{file.name} does not fit {record.name}: expected labels of the shape {expected} (planes, rows, "
            f"columns), got {labels.shape}; choose the label image of this image."
        )
    planes = tuple(packed(checked_labels(plane, record)) if plane.any() else None for plane in labels)
    return _Masks(file=file, image=record.id, planes=planes)


def _put(project: Project, masks: _Masks, empty: Literal["leave", "no_object"]) -> int:
    """Store masks in the step that is open; the number of planes that have one."""
    try:
        for k, data in enumerate(masks.planes):
            if data is not None:
                project.put_packed_mask(PlaneRef(masks.image, k), data)
            elif empty == "no_object":
                project.put_no_object(PlaneRef(masks.image, k))
    except SegsizeError as error:  # what was said before contradicts it; the step is not written
        raise SegsizeError(f"{masks.file.name}: {error} Nothing was read.") from error
    return sum(data is not None for data in masks.planes)


def _nothing_read(bad: Sequence[str], files: int) -> SegsizeError:
    if files == 1:
        return SegsizeError(bad[0])
    more = f" And {len(bad) - _SHOWN} more." if len(bad) > _SHOWN else ""
    return SegsizeError(
        f"Nothing was read, because {len(bad)} of {files} label images cannot be used; mend them, or leave "
        f"them out, and repeat the command. {' '.join(bad[:_SHOWN])}{more}"
    )
