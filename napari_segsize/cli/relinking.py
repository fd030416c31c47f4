"""The command for images whose files have moved or changed."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SegsizeError
from .command import ProjectPath, command

if TYPE_CHECKING:
    from ..project import ImageRecord, Project
    from .output import Output

__all__ = ["relink"]


@command()
def relink(
    out: "Output",
    project: ProjectPath,
    where: Annotated[
        Path | None,
        typer.Argument(
            metavar="WHERE", help="folder to look in for all that are missing, or the file of --image"
        ),
    ] = None,
    image: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="this image; with --as-is it can be repeated")
    ] = None,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="use the file of --image as it is now, though it has changed; what was said of it stays",
        ),
    ] = False,
) -> None:
    """Show where moved images are, or use changed ones as they are."""
    from ..project import Project
    from ..project.images import is_zarr

    with Project.open(project) as opened:
        records = [_called(opened, name) for name in image or []]
        if as_is and where is None:
            _accept(out, opened, records)
        elif where is None:
            raise SegsizeError(f"relink: expected a folder to look in, or --as-is. {_state_of(opened)}")
        elif len(records) == 1:
            linked = opened.relink(records[0].id, where, force=as_is)
            _tell(out, linked, f"{linked.name}: its file is {where} from now on.")
        elif as_is or records or not where.is_dir() or is_zarr(where):
            raise SegsizeError(
                f"relink: {where} can be the file of one image, got {len(records)}: name it with --image."
            )
        else:
            _search(out, opened, where)


def _accept(out: "Output", project: "Project", records: "list[ImageRecord]") -> None:
    if not records:
        raise SegsizeError(
            f"--as-is: expected --image NAME, so that none is taken unseen. {_state_of(project)}"
        )
    for record in records:
        linked = project.accept_changed(record.id)
        if linked.sha256 == record.sha256:
            _tell(out, linked, f"{linked.name}: its file has not changed; nothing was done.")
        else:
            said = f"{linked.name}: its changed file is used as it is. Look whether what was said still fits."
            _tell(out, linked, "\n".join((said, *linked.warnings)))


def _search(out: "Output", project: "Project", folder: Path) -> None:
    lost = project.missing()
    if not lost:
        raise SegsizeError("relink: no image file is missing, so there is nothing to look for.")
    for linked in project.relink_folder(folder):
        _tell(out, linked, f"{linked.name}: found again.")
    left = project.missing()
    if left:
        names = ", ".join(record.name for record in left)
        raise SegsizeError(
            f"{len(lost) - len(left)} of {len(lost)} found again. No file in {folder} has the name and the "
            f"content of {names}: look in another folder, or give the file with --image."
        )


def _called(project: "Project", name: str) -> "ImageRecord":
    from ..project.naming import image_called, names_of_images

    try:
        return image_called(name, names_of_images(project.images()))
    except SegsizeError as error:
        raise SegsizeError(f"--image: {error}") from error


def _state_of(project: "Project") -> str:
    """Which files are not as they were."""
    found = (("Missing", project.missing()), ("Changed", project.changed()))
    said = [f"{word}: {', '.join(record.name for record in records)}." for word, records in found if records]
    return " ".join(said) or "No image file is missing or has changed."


def _tell(out: "Output", record: "ImageRecord", text: str) -> None:
    out.result("relink", {"image": record.name, "path": record.path, "warnings": record.warnings}, text)
