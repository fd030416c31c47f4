"""Commands about a project: make one, put images in, divide them, look."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import SegsizeError
from .command import ProjectPath, command

if TYPE_CHECKING:
    from ..project import Counts, ModelRecord, Project
    from .output import Output

__all__ = ["add", "info", "new", "split"]

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="image files, zarr folders or folders of images")
]
SplitName = Literal["train", "validation", "test"]
_KINDS = {"levelsets": "level sets"}  # of models, where people write them otherwise


@command()
def new(
    out: "Output",
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="where the project goes")],
    name: Annotated[str, typer.Option(help="for people; default: the folder's name")] = "",
    sample: Annotated[
        bool, typer.Option("--sample", help="321 MRI slices of 26 people to try, dealt out, some with masks")
    ] = False,
) -> None:
    """Make an empty project, or one to try."""
    from ..project import Project

    if sample:
        _new_sample(out, folder, name)
        return
    with Project.create(folder, name=name) as project:
        values = {"name": project.name, "file": project.file}
        said = f"{project.file}: a new, empty project. Next: segsize add {shlex.quote(str(folder))} IMAGES"
        out.result("new", values, said)


def _new_sample(out: "Output", folder: Path, name: str) -> None:
    from ..samples import outline_sample, write_sample_project

    with write_sample_project(folder, name=name) as project:
        masks = outline_sample(project)
        values = {"name": project.name, "file": project.file, "masks": masks}
        images = len(project.images())
        said = f"{project.file}: {images} stacks of MRI slices to try, {masks} slices with a mask. "
        out.result("new", values, f"{said}Next: segsize run {shlex.quote(str(folder))}")


@command()
def add(
    out: "Output",
    project: ProjectPath,
    files: Files,
    group: Annotated[str, typer.Option(help="subject of all these images; default: each file its own")] = "",
    group_pattern: Annotated[
        str,
        typer.Option(metavar="REGEX", help="find the subject in the path: the first (bracket) is its name"),
    ] = "",
    split: Annotated[
        SplitName | None, typer.Option(help="default: the rest of its group's, or train")
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="add the others; default: none if one cannot be read")
    ] = False,
) -> None:
    """Add images; they stay where they are."""
    from ..project import Project

    def left_out(path: Path, reason: str) -> None:
        out.result("left out", {"file": path, "text": reason}, f"Left out: {reason}")

    with Project.open(project) as opened:
        added = opened.add_files(
            files, group=_grouping(group, group_pattern), split=split,
            leaving_out=left_out if skip_unreadable else None,
        )  # fmt: skip
        for record in added:
            planes = f"{record.planes} planes of " if record.planes > 1 else ""
            text = f"{record.name}: {planes}{record.height} x {record.width}, {record.group}, {record.split}"
            out.result("add", _record(record), "\n".join((text, *record.warnings)))
        _warn_of_mixed(out, opened)


@command()
def split(
    out: "Output",
    project: ProjectPath,
    validation: Annotated[float, typer.Option(min=0, max=1, help="part that training is judged on")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="part that training never sees")] = 0.0,
    by: Annotated[
        Literal["group", "image"], typer.Option(help="group keeps all images of a subject on one side")
    ] = "group",
    seed: Annotated[int, typer.Option(min=0, help="the same seed draws the same parts")] = 0,
) -> None:
    """Divide the images into training, validation and test."""
    from ..project import Project

    with Project.open(project) as opened:
        opened.assign_splits(validation=validation, test=test, by=by, seed=seed)
        counts = opened.counts()
        out.table("split", "Parts", _parts(counts))
        _warn_of_mixed(out, opened)


@command()
def info(out: "Output", project: ProjectPath = Path()) -> None:
    """Say what a project holds: images, annotations, models, and what does not fit together."""
    from ..project import Project

    with Project.open(project) as opened:
        counts, current = opened.counts(), opened.current_model("contours")
        levelset, aligner = opened.current_model("levelsets"), opened.current_model("alignment")
        values = {"name": opened.name, "folder": opened.folder, "counts": counts.as_dict()}
        values["contour_model"] = current.id if current else None
        values["levelset_model"] = levelset.id if levelset else None
        values["alignment_model"] = aligner.id if aligner else None
        text = f"{opened.name} ({opened.folder})\nContours are moved by {_mover(current)}."
        if levelset is not None:
            text += f"\nLevel sets are moved by {_mover(levelset)}."
        if aligner is not None:
            text += f"\nRough outlines are moved by {_mover(aligner)} (refine --method learned)."
        out.result("info", values, text)
        out.table("part", "Images and annotations", [*_parts(counts), _part("all", counts)])
        out.table("model", "Models (* is in use)", _models(opened))
        _tell_of_files(out, opened, shlex.quote(str(project)))
        for sentence in opened.contradictions():
            out.result("contradiction", {"text": sentence}, sentence)
        _warn_of_mixed(out, opened)


@command()
def use(
    out: "Output",
    project: ProjectPath,
    model: Annotated[
        int | None, typer.Argument(metavar="[MODEL]", help="number of a model, see segsize info")
    ] = None,
    shipped: Annotated[
        Literal["contours", "levelsets", "alignment"] | None,
        typer.Option(help="instead of a model: go back to the network that ships"),
    ] = None,
) -> None:
    """Make a model the one in use, whatever the validation images say of it."""
    if (model is None) == (shipped is None):
        raise typer.BadParameter("give the number of a model, or --shipped and what for.")
    from ..project import Project
    from ..project.trained import kind_of

    with Project.open(project) as opened:
        if shipped is not None:
            opened.retire_models(shipped)
            text = f"The network that ships is now in use for {_KINDS.get(shipped, shipped)}."
            out.result("use", {"model": None, "kind": shipped}, text)
            return
        known = {record.id: record for record in opened.models()}
        if model not in known:
            numbers = ", ".join(map(str, known)) or "none"
            raise SegsizeError(f"model {model}: not in this project, which has {numbers}.")
        opened.promote(model)
        kind = kind_of(known[model].stage)
        text = f"Model {model} is now in use for {_KINDS.get(kind, kind)}."
        out.result("use", {"model": model, "kind": kind}, text)


def _tell_of_files(out: "Output", opened: "Project", project: str) -> None:
    """Name the files that are not as they were, and the command that mends it."""
    for record in opened.missing():
        text = (
            f"{record.name}: the file is gone ({record.path}). Find it with: segsize relink {project} FOLDER"
        )
        out.result("missing", {"image": record.name, "path": record.path}, text)
    for record in opened.changed():
        mend = f"segsize relink {project} --as-is --image {shlex.quote(record.name)}"
        text = f"{record.name}: the file has changed since it was added ({record.path}). Put it back, or "
        out.result("changed", {"image": record.name, "path": record.path}, f"{text}use it as it is: {mend}")


def _mover(model: "ModelRecord | None") -> str:
    return "the network that ships" if model is None else f"model {model.id}"


def _grouping(group: str, pattern: str) -> str | Callable[[Path], str] | None:
    """What names the subject of a file."""
    if not pattern:
        return group or None
    if group:
        raise typer.BadParameter("--group and --group-pattern exclude each other: give one.")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise typer.BadParameter(f"--group-pattern: {error}") from error
    if not expression.groups:
        raise typer.BadParameter("--group-pattern: expected a (bracket) around the subject's name.")

    def subject(path: Path) -> str:
        found = expression.search(path.as_posix())
        if found is None or not found[1]:
            raise SegsizeError(
                f"{path}: --group-pattern {pattern!r} does not match. Change it or use --group."
            )
        return found[1]

    return subject


def _warn_of_mixed(out: "Output", project: "Project") -> None:
    for group in project.mixed_groups():
        sentence = (
            f"{group}: its images are in more than one part, so held-out results flatter. Use segsize split."
        )
        out.result("mixed group", {"group": group, "text": sentence}, sentence)


def _record(record: Any) -> dict[str, Any]:
    names = ("id", "name", "path", "planes", "channels", "height", "width", "group", "split", "warnings")
    return {name: getattr(record, name) for name in names}


def _parts(counts: "Counts") -> list[dict[str, Any]]:
    return [_part(name, part) for name, part in counts.by_split.items()]


def _part(name: str, counts: "Counts") -> dict[str, Any]:
    return {
        "part": name,
        "images": counts.images,
        "planes": counts.planes,
        "masks": counts.masks,
        "sizes": counts.sizes,
        "centres": counts.centres,
        "points": counts.points,
        "contours": counts.contours,
        "no_object": counts.no_object,
    }


def _models(project: "Project") -> list[dict[str, Any]]:
    return [
        {
            "model": model.id,
            "in_use": "*" if model.promoted else "",
            "stage": model.stage,
            "recipe": str(model.config.get("recipe", "")),
            "iou": model.metrics.get("iou", float("nan")),
            "size_error": model.metrics.get("size_error", float("nan")),
            "file": model.path.name,
        }
        for model in project.models()
    ]
