"""Commands that bring sizes and masks in and out, as tables and label images."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import SegsizeError
from .command import ProjectPath, command

if TYPE_CHECKING:
    from ..project import ImageRecord
    from .output import Output

__all__ = ["export_masks", "export_sizes", "import_masks", "import_sizes"]

_ENDINGS = {".gz", ".nii", ".ome", ".png", ".tif", ".tiff", ".zarr"}
Table = Annotated[Path, typer.Argument(metavar="CSV", help="table image,slice,object,y,x,size,unit")]
Labels = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE…",
        help="label images (0 = background) or folders of them, each named as its image or beginning so",
    ),
]


@command()
def import_sizes(out: "Output", project: ProjectPath, table: Table) -> None:
    """Read object sizes from a table (CSV)."""
    from ..project import Project
    from ..project.exchange import read_sizes_csv

    with Project.open(project) as opened:
        rows = read_sizes_csv(opened, table)
        counts = opened.counts()
        values = {"file": table, "rows": rows, "sizes": counts.sizes, "centres": counts.centres}
        out.result("import-sizes", values, f"{table}: {rows} rows; the project now has {counts.sizes} sizes.")
        for sentence in opened.contradictions():
            out.result("contradiction", {"text": sentence}, sentence)


@command()
def export_sizes(out: "Output", project: ProjectPath, table: Table) -> None:
    """Write all object sizes to a table (CSV)."""
    from ..project import Project
    from ..project.exchange import write_sizes_csv

    with Project.open(project) as opened:
        rows = write_sizes_csv(opened, table)
        out.result("export-sizes", {"file": table, "rows": rows}, f"{table}: {rows} rows.")


@command()
def import_masks(
    out: "Output",
    project: ProjectPath,
    files: Labels,
    empty: Annotated[
        Literal["leave", "no_object"],
        typer.Option(help="what a plane without labels says: nothing, or no object"),
    ] = "leave",
) -> None:
    """Read masks from label images (TIFF, PNG, NIfTI, zarr)."""
    from ..project import Project
    from ..project.exchange import import_labels

    with Project.open(project) as opened:
        images = opened.images()
        pairs = [(file, _image_of(file, images)) for file in _files(files)]
        for file, image in pairs:
            planes = import_labels(opened, image.id, file, empty=empty)
            values = {"file": file, "image": image.name, "planes": planes}
            out.result("import-masks", values, f"{file.name}: {planes} masks for {image.name}")


@command()
def export_masks(
    out: "Output",
    project: ProjectPath,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="gets one label image for every image with masks")
    ],
) -> None:
    """Write all masks as label images (TIFF)."""
    from ..project import Project
    from ..project.exchange import export_labels

    with Project.open(project) as opened:
        painted = {said.plane.image for said in opened.annotations() if said.mask is not None}
        for image in opened.images():
            if image.id in painted:
                folder.mkdir(parents=True, exist_ok=True)
                file = folder / f"{_stem(image.name)}.tif"
                planes = export_labels(opened, image.id, file)
                values = {"file": file, "image": image.name, "planes": planes}
                out.result("export-masks", values, f"{file}: {planes} masks")


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and what folders hold; a zarr folder is one image."""
    for path in paths:
        if path.is_dir() and path.suffix != ".zarr":
            yield from sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        else:
            yield path


def _image_of(file: Path, images: "Sequence[ImageRecord]") -> "ImageRecord":
    """The image a label image belongs to: of its name, else of the longest name that its own begins with."""
    name = _stem(file.name)
    named = [image for image in images if name in (image.name, _stem(image.name))]
    if not named:
        starts = [image for image in images if name.startswith(_stem(image.name))]
        longest = max((len(_stem(image.name)) for image in starts), default=0)
        named = [image for image in starts if len(_stem(image.name)) == longest]
    if len(named) != 1:
        found = "several images have" if named else "no image has"
        raise SegsizeError(
            f"{file.name}: expected the name of one image of the project, possibly with something behind it "
            f"(brain7_mask.tif for brain7.tif), but {found} such a name. Nothing was read; rename the file."
        )
    return named[0]


def _stem(name: str) -> str:
    """The name without the endings of image files: ``a.nii.gz`` is ``a``, and ``a.1.tif`` is ``a.1``."""
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name
