"""The contours of a project out to a file or a folder, and in again."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import Contour, PlaneRef
from napari_segsize.project.contour_files import coco, geojson, imagej, json_file, label_image, table
from napari_segsize.project.contour_files.page import Page, Reading
from napari_segsize.project.contour_files.placing import Placed, placed
from napari_segsize.project.images import SUFFIXES
from napari_segsize.project.naming import file_stem
from napari_segsize.project.outlines import same_pixels
from napari_segsize.project.writing import replacing, told

if TYPE_CHECKING:
    from napari_segsize.project.project import Project

__all__ = ["FORMATS", "Exchanged", "Format", "export_contours", "import_contour_files", "import_contours"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One kind of file."""

    help: str
    write: Callable[[Sequence[Page], Path], list[str]]
    several: bool = False  # whether one file holds several images


FORMATS: Mapping[str, Format] = {
    ".tif": Format(help="label image, int32 TIFF", write=label_image.write),
    ".json": Format(help="COCO instances", write=coco.write, several=True),
    ".geojson": Format(help="GeoJSON for QuPath", write=geojson.write),
    ".zip": Format(help="ImageJ ROIs", write=imagej.write),
    ".csv": Format(help="table, a row a vertex", write=table.write, several=True),
}
"""What can be written, by the ending of the file."""
_SAME = {".tiff": ".tif"}
_READERS: Mapping[str, Callable[[Path], Reading]] = {
    **dict.fromkeys(SUFFIXES, label_image.read),
    ".csv": table.read, ".zip": imagej.read, ".roi": imagej.read,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What an export wrote or an import read.

    Attributes
    ----------
    contours : int
        How many outlines.
    files : tuple of Path
        Written, or read.
    notices : tuple of str
        What a format cannot say, or what was left out, a sentence each.
    """

    contours: int
    files: tuple[Path, ...]
    notices: tuple[str, ...] = ()


def export_contours(
    project: Project, file: str | Path, *, images: Iterable[int] | None = None, format: str = ""
) -> Exchanged:
    """Write the accepted contours of a project, in the format that the ending of the file says.

    Parameters
    ----------
    file : path
        ``.tif``, ``.geojson`` and ``.zip`` hold one image, with all its planes; ``.json`` and ``.csv`` any
        number. A folder gets one file for each image, called like it.
    images : iterable of int, optional
        Numbers of the images to write. None: all that have accepted contours.
    format : str
        For a folder: one of `FORMATS`, with or without the dot.

    Returns
    -------
    Exchanged
        Every format gives the same pixels again. Extreme points without an outline are not written.
    """
    file = Path(file)
    suffix, folder = _suffix(file, format)
    pages = _pages(project, images)
    if not pages:
        raise SegsizeError(
            "There are no accepted contours to write: accept some on the page Contours, or choose other "
            "images."
        )
    by_image = [list(group) for _, group in itertools.groupby(pages, key=lambda page: page.record.id)]
    if not folder and not FORMATS[suffix].several and len(by_image) > 1:
        raise SegsizeError(
            f"{file.name} holds one image, but {len(by_image)} images have contours: expected a folder, or "
            "one image to be chosen."
        )
    if folder:
        with told(file):
            file.mkdir(parents=True, exist_ok=True)
        targets = [
            (file / name, group) for name, group in zip(_names(by_image, suffix), by_image, strict=True)
        ]
    else:
        targets = [(file, pages)]
    notices = []
    for target, group in targets:
        with told(target), replacing(target) as new:
            notices += FORMATS[suffix].write(group, new)
    return Exchanged(
        contours=sum(len(page.contours) for page in pages), notices=tuple(notices),
        files=tuple(target for target, _ in targets),
    )  # fmt: skip


def import_contours(project: Project, file: str | Path, *, image: int | None = None) -> Exchanged:
    """Put the outlines of a file into a project: all of them, in one step of undo, or none.

    An object with a name that the plane has gets the new outline and keeps its points; without one, the same
    outline read twice is one object. Label images do not replace an outline that has the same pixels.

    Parameters
    ----------
    file : path
        Of the endings in `FORMATS`, ``.roi``, or a label image of any kind; or a folder of such files.
    image : int, optional
        Number of the image that the outlines of one file are of. None: what the file, or its name, says.

    Raises
    ------
    SegsizeError
        Names the first bad outlines by line or number, and what was expected there.
    """
    return import_contour_files(project, [file], image=image)[0]


def import_contour_files(
    project: Project, files: Sequence[str | Path], *, image: int | None = None
) -> tuple[Exchanged, ...]:
    """Put the outlines of several files or folders into a project: all, in one step of undo, or none.

    Parameters
    ----------
    files : sequence of paths
        See `import_contours`. They are read before anything is written.

    Returns
    -------
    tuple of Exchanged
        File by file.
    """
    paths = [Path(file) for file in files]
    name = paths[0].name if len(paths) == 1 else f"{len(paths)} files of contours"
    try:
        read = [_read(project, path, image) for path in paths]
        with project.step(f"Read {name}"):
            for outlines, _ in read:
                for plane, drawn in outlines.items():
                    _put(project, plane, drawn)
    except SegsizeError as error:
        if len(paths) == 1:
            raise
        raise SegsizeError(f"{error} Nothing was read of the other files either.") from error
    return tuple(exchanged for _, exchanged in read)


def _read(project: Project, file: Path, image: int | None) -> tuple[dict[PlaneRef, list[Placed]], Exchanged]:
    """What a file or a folder says, checked; nothing is written."""
    files = _files(file)
    if image is not None and len(files) > 1:
        raise SegsizeError(
            f"{file} has {len(files)} files, which cannot all be of one image: read the one that is."
        )
    images = [project.image(image)] if image is not None else list(project.images())
    notices: list[str] = []
    outlines: dict[PlaneRef, list[Placed]] = {}
    for each in files:
        reading = _reading(each)
        for outline in placed(reading, each, images, chosen=image is not None):
            outlines.setdefault(outline.plane, []).append(outline)
        notices += reading.notices
    count = sum(map(len, outlines.values()))
    return outlines, Exchanged(contours=count, files=tuple(files), notices=tuple(notices))


def _suffix(file: Path, format: str) -> tuple[str, bool]:
    """Ending of the format, and whether `file` is a folder."""
    own = _SAME.get(file.suffix.lower(), file.suffix.lower())
    wanted = f".{format.lower().lstrip('.')}" if format else own
    wanted = _SAME.get(wanted, wanted)
    if file.is_dir() and not format:
        raise SegsizeError(f"{file} is a folder: say which format its files shall have, such as geojson.")
    if wanted not in FORMATS:
        kinds = ", ".join(f"{suffix} ({each.help})" for suffix, each in FORMATS.items())
        given = repr(format) if format else f"the name {file.name}"
        raise SegsizeError(
            f"Contours cannot be written in a format of {given}: expected a file that ends in one of "
            f"{kinds}, or a folder and one of these as its format."
        )
    folder = file.is_dir() or own not in FORMATS
    if not folder and own != wanted:
        raise SegsizeError(f"{file.name} ends in {own}, but the format is {wanted}: expected them to agree.")
    return wanted, folder


def _pages(project: Project, images: Iterable[int] | None) -> list[Page]:
    records = {record.id: record for record in project.images()}
    wanted = set(records) if images is None else {project.image(number).id for number in images}
    pages = []
    for said in project.annotations():
        accepted = tuple(contour for contour in said.contours if contour.accepted)
        if accepted and said.plane.image in wanted:
            record = records[said.plane.image]
            pages.append(Page(record=record, slice=said.plane.slice, contours=accepted))
    return pages


def _names(groups: Sequence[Sequence[Page]], suffix: str) -> list[str]:
    """Names of files, called like their images; a number more where several would be the same."""
    stems = [file_stem(group[0].record.name) for group in groups]
    known = Counter(stems)
    return [
        f"{stem}{suffix}" if known[stem] == 1 else f"{stem}-{group[0].record.id}{suffix}"
        for stem, group in zip(stems, groups, strict=True)
    ]


def _files(file: Path) -> list[Path]:
    if not file.is_dir() or file.suffix.lower() == ".zarr":
        return [file]
    with told(file):
        found = sorted(path for path in file.iterdir() if not path.name.startswith(".") and _reader(path))
    if not found:
        raise SegsizeError(
            f"{file} holds no file of contours: expected some that end in {', '.join(FORMATS)}."
        )
    return found


def _reader(file: Path) -> Callable[[Path], Reading] | None:
    name = file.name.lower()
    if name.endswith((".json", ".geojson")):
        return _read_json
    return next((read for suffix, read in _READERS.items() if name.endswith(suffix)), None)


def _read_json(file: Path) -> Reading:
    data = json_file.load(file)
    return geojson.parsed(data, file) if geojson.is_geojson(data) else coco.parsed(data, file)


def _reading(file: Path) -> Reading:
    read = _reader(file)
    if read is None:
        raise SegsizeError(
            f"{file.name} is no file of contours: expected one that ends in {', '.join(FORMATS)} or .roi."
        )
    return read(file)


def _put(project: Project, plane: PlaneRef, outlines: Sequence[Placed]) -> None:
    """Store what differs from what is there."""
    stored = {contour.object: contour for contour in project.annotation(plane).contours}
    shape = project.image(plane.image).shape
    changed = {
        outline.object: outline.rings
        for outline in outlines
        if outline.object not in stored or not _says_the_same(stored[outline.object], outline, shape)
    }
    if changed:
        project.put_contours(plane, changed, source="import")


def _says_the_same(stored: Contour, outline: Placed, shape: tuple[int, int]) -> bool:
    if not (outline.raster and stored.accepted):
        return stored.rings == outline.rings
    return same_pixels(stored.rings, outline.rings, shape)
