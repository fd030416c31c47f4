"""Commands that bring sizes, masks and contours in and out, as files of other programs."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import SegsizeError
from .command import ProjectPath, command

if TYPE_CHECKING:
    from ..project import Project
    from .output import Output

__all__ = [
    "export_contours", "export_masks", "export_sizes", "import_contours", "import_masks", "import_sizes",
]  # fmt: skip

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
    """Read masks from label images (TIFF, PNG, NIfTI, zarr): all of them, or none."""
    from ..project import Project
    from ..project.exchange import import_label_files
    from ..project.naming import image_of_file

    with Project.open(project) as opened:
        images = opened.images()
        pairs = [(file, image_of_file(file, images)) for file in _files(files)]
        read = import_label_files(opened, [(image.id, file) for file, image in pairs], empty=empty)
        for (file, image), planes in zip(pairs, read, strict=True):
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
    from ..project.naming import file_stem

    with Project.open(project) as opened:
        painted = {said.plane.image for said in opened.annotations() if said.mask is not None}
        if not painted:
            raise SegsizeError(
                "There are no masks to write: paint some on the page Annotate, or import label images."
            )
        for image in opened.images():
            if image.id in painted:
                folder.mkdir(parents=True, exist_ok=True)
                file = folder / f"{file_stem(image.name)}.tif"
                planes = export_labels(opened, image.id, file)
                values = {"file": file, "image": image.name, "planes": planes}
                out.result("export-masks", values, f"{file}: {planes} masks")


@command()
def import_contours(
    out: "Output",
    project: ProjectPath,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="label images, COCO (.json), GeoJSON, ImageJ ROIs (.zip, .roi), tables (.csv), or folders",
        ),
    ],
    image: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="image they are of [default: the one each file, or its name, says]"
        ),
    ] = "",
) -> None:
    """Read outlines of objects, in the format that the ending of each file says: all of them, or none."""
    from ..project import Project
    from ..project.contour_files import import_contour_files

    with Project.open(project) as opened:
        number = _number(opened, image) if image else None
        for file, read in zip(files, import_contour_files(opened, files, image=number), strict=True):
            values = {"file": file, "contours": read.contours, "notices": read.notices}
            text = f"{file}: {read.contours} contours; the project now has {opened.counts().contours}."
            out.result("import-contours", values, "\n".join((text, *read.notices)))


@command()
def export_contours(
    out: "Output",
    project: ProjectPath,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="ends in .tif (labels), .json (COCO), .geojson (QuPath), .zip (ImageJ ROIs) or .csv; "
            "or a folder, which gets one file for each image with contours",
        ),
    ],
    format: Annotated[
        str, typer.Option(metavar="ENDING", help="for a folder: tif, json, geojson, zip or csv")
    ] = "",
    image: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="only this one; can be repeated")
    ] = None,
) -> None:
    """Write the accepted outlines of objects, in the format that the ending of the file says."""
    from ..project import Project
    from ..project.contour_files import export_contours

    with Project.open(project) as opened:
        numbers = [_number(opened, name) for name in image] if image else None
        written = export_contours(opened, file, images=numbers, format=format)
        values = {"files": written.files, "contours": written.contours, "notices": written.notices}
        files = file if written.files == (file,) else f"{file}, {len(written.files)} files"
        text = f"{files}: {written.contours} contours."
        out.result("export-contours", values, "\n".join((text, *written.notices)))


def _number(project: "Project", name: str) -> int:
    """Number of the image of a name, path or file name."""
    from ..project.naming import image_called, names_of_images

    try:
        return image_called(name, names_of_images(project.images())).id
    except SegsizeError as error:
        raise SegsizeError(f"--image: {error}") from error


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and what folders hold; a zarr folder is one image."""
    for path in paths:
        if path.is_dir() and path.suffix != ".zarr":
            yield from sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        else:
            yield path
