"""The command that outlines objects: from four clicks or a size to contours, annotations and label images."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from ..engine.contour_config import EvolveConfig
from ..errors import SegsizeError
from .command import EXIT_STOPPED, ProjectPath, command

if TYPE_CHECKING:
    from ..engine.events import ContourDone, ContourFailed, Event
    from ..engine.prompt import Prompt
    from ..project import Contour, PlaneRef, Project
    from .output import Output

__all__ = ["evolve"]

SplitName = Literal["all", "train", "validation", "test"]
_ACCEPT = (
    "keep each contour as an annotation as soon as it is there; each is a transaction and a step of undo of "
    "its own"
)
_OUT = "gets an int32 label image (TIFF) for each plane with new contours; accepted ones are in it too"
_REDO = "also objects that have an accepted contour; --accept then replaces it, even one drawn by hand"


@command(config=EvolveConfig)
def evolve(
    out: "Output",
    config: EvolveConfig,
    project: ProjectPath = Path(),
    accept: Annotated[bool, typer.Option("--accept/--no-accept", help=_ACCEPT)] = False,
    split: Annotated[SplitName, typer.Option(help="whose objects to outline")] = "all",
    folder: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help=_OUT)] = None,
    redo: Annotated[bool, typer.Option("--redo", help=_REDO)] = False,
) -> None:
    """Outline objects from four extreme points, or from a size with a place.

    Objects that have an accepted contour, and planes marked "Skip", are left as they are.
    """
    from ..project import Project
    from .drain import drain

    with Project.open(project) as opened:
        prompts = _prompts(opened, split, redo=redo)
        if folder is not None and prompts:
            folder.mkdir(parents=True, exist_ok=True)
        outlining = _Outlining(opened, prompts, config, accept=accept, folder=folder)
        if prompts and drain(outlining.events(), out):
            out.result("stopped", outlining.values(), f"Stopped. So far: {outlining.said()}")
            raise typer.Exit(EXIT_STOPPED)
        out.result("evolve", outlining.values(), outlining.said())
        if outlining.failed and not outlining.contours:
            raise SegsizeError("No object could be outlined; the sentences above say why.")


def _prompts(project: "Project", split: SplitName, *, redo: bool) -> "tuple[Prompt, ...]":
    """What there is to outline; () if all of it has been."""
    from ..engine.prompt import prompts_of

    found: list[Prompt] = []
    done = False
    for said in project.annotations(None if split == "all" else split):
        found += prompts_of(said, redo=redo)
        done = done or any(contour.accepted for contour in said.contours)
    if not found and (redo or not done):
        part = "this project" if split == "all" else f"the part '{split}'"
        raise SegsizeError(
            f"No object in {part} has four extreme points, or a size with a place. Click some in the window "
            "(segsize run), or import sizes."
        )
    return tuple(found)


class _Outlining:
    """One run over the objects of a project; what is done stays done, wherever it is stopped.

    Parameters
    ----------
    project : Project
    prompts : sequence of Prompt
    config : EvolveConfig
    accept : bool
        Whether contours become annotations.
    folder : Path, optional
        Where label images go.
    """

    def __init__(
        self,
        project: "Project",
        prompts: "Sequence[Prompt]",
        config: EvolveConfig,
        *,
        accept: bool,
        folder: Path | None,
    ) -> None:
        self._project, self._config, self._accept, self._folder = project, config, accept, folder
        self._prompts = {(prompt.plane, prompt.object): prompt for prompt in prompts}
        self._plane: PlaneRef | None = None
        self._found: list[Contour] = []  # new ones on that plane
        self.contours = self.failed = 0
        self.files: list[Path] = []

    def events(self) -> "Generator[Event, None, None]":
        """Yield the engine's events; before a contour comes out it is stored."""
        from ..engine.device import describe, resolve
        from ..engine.events import ContourDone, ContourFailed, Ended, Notice, Started
        from ..engine.evolve import evolve as evolved

        where = resolve(self._config.device if self._config.engine != "snake" else "cpu")
        images = len({plane.image for plane, _ in self._prompts})
        yield Started(stage="evolve", device=describe(where), steps=len(self._prompts), images=images)
        try:
            for event in evolved(self._project, self._prompts.values(), self._config):
                if isinstance(event, ContourDone):
                    event = self._keep(event)
                self.failed += isinstance(event, ContourFailed)
                yield event
                if isinstance(event, ContourFailed):
                    yield Notice(self._about(event, event.reason))
                elif isinstance(event, ContourDone) and event.notice:
                    yield Notice(self._about(event, event.notice))
        finally:
            self._write()
        yield Ended(stage="evolve")

    def values(self) -> dict[str, Any]:
        """What was done, for programs."""
        return {
            "objects": len(self._prompts),
            "contours": self.contours,
            "failed": self.failed,
            "accepted": self.contours if self._accept else 0,
            "files": self.files,
        }

    def said(self) -> str:
        """What was done, for people."""
        if not self._prompts:
            return "Every object has a contour already; --redo outlines them again."
        parts = [f"{self.contours} of {_several(len(self._prompts), 'object')} outlined"]
        if self._accept:
            parts.append(f"the project has {_several(self._project.counts().contours, 'contour')} now")
        if self.files:
            parts.append(f"{_several(len(self.files), 'label image')} in {self._folder}")
        if not self._accept and self._folder is None:
            parts.append("nothing is kept: --accept or --out keeps contours")
        return "; ".join(parts) + "."

    def _keep(self, event: "ContourDone") -> "ContourDone | ContourFailed":
        """Store a contour where it was asked for; what a project refuses has failed."""
        from ..engine.events import ContourFailed
        from ..project import Contour

        if event.plane != self._plane:
            self._write()
            self._plane = event.plane
        outline = event.rings or (event.contours[-1],)
        rings = tuple(tuple((y, x) for y, x in np.asarray(ring, float).tolist()) for ring in outline)
        if self._accept:
            try:
                stored = self._project.put_contour(
                    event.plane, object=event.object, rings=rings, source=event.engine
                )
            except SegsizeError as error:
                return ContourFailed(plane=event.plane, object=event.object, reason=str(error))
        else:
            stored = Contour(object=event.object, rings=rings)
        self._found.append(stored)
        self.contours += 1
        return event

    def _write(self) -> None:
        """Write the label image of the plane that is done: what was accepted before, then what is new."""
        from ..project.label_images import write_labels
        from ..project.outlines import labels_of

        found, self._found = self._found, []
        if self._folder is None or self._plane is None or not found:
            return
        record = self._project.image(self._plane.image)
        said = self._project.annotation(self._plane)
        outlined = {each.object: each for each in (*said.contours, *found) if each.accepted}
        number = f"-{self._plane.slice:04d}" if record.planes > 1 else ""
        file = self._folder / f"{record.id:04d}-{Path(record.name).stem}{number}-labels.tif"
        labels = labels_of(list(outlined.values()), record.shape)
        write_labels(labels, file, spacing=record.spacing, unit=record.unit)
        self.files.append(file)

    def _about(self, event: "ContourDone | ContourFailed", sentence: str) -> str:
        """A sentence about an object, whose name means nothing to people: where it is does."""
        from ..project.checks import where

        y, x = self._prompts[event.plane, event.object].place
        place = where(self._project.image(event.plane.image), event.plane)
        return f"{place}, the object at ({y:.0f}, {x:.0f}): {sentence}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
