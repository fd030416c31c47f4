"""Commands for outlines: align rough ones, teach the networks for that and for thin edges, write edges."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..engine.edge_config import AlignConfig, AlignmentConfig, EdgeConfig
from ..errors import SegsizeError
from .command import EXIT_STOPPED, ProjectPath, command
from .training import Resume, train

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..engine.alignment import Alignment
    from ..engine.events import Event
    from ..engine.refine import Rough
    from ..models.alignment import AlignmentNet
    from ..models.edges import EdgeNet
    from ..project import ImageRecord, PlaneRef, Project, Split
    from .output import Output

__all__ = ["edges", "refine", "train_alignment", "train_edges"]

SplitName = Literal["all", "train", "validation", "test"]
_TO = "the image's own edges, or those of the project's edge network (segsize train-edges)"
_ACCEPT = "put the aligned outlines in the project, in place of the rough ones; napari can undo each"
_OUT = "gets an int32 label image (TIFF) for each plane"
_LABELS = "a label image with rough masks, instead of those of a project; needs --image"
_IMAGE = "the image of --labels"
_THICK = "the edges as the network sees them, not thinned to lines"


@command(config=AlignConfig)
def refine(
    out: "Output",
    config: AlignConfig,
    project: ProjectPath = Path(),
    to: Annotated[Literal["image", "edges"], typer.Option(help=_TO)] = "image",
    accept: Annotated[bool, typer.Option("--accept/--no-accept", help=_ACCEPT)] = False,
    folder: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help=_OUT)] = None,
    split: Annotated[SplitName, typer.Option(help="whose outlines to align")] = "all",
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help=_LABELS)] = None,
    image: Annotated[Path | None, typer.Option(metavar="FILE", help=_IMAGE)] = None,
) -> None:
    """Align rough masks and accepted contours to the edges around them.

    Every object moves on its own, from where it was drawn, by at most --reach pixels. Objects without an edge
    nearby stay as they are.
    """
    from .drain import drain

    if (labels is None) != (image is None):
        raise typer.BadParameter("--labels and --image belong together: give both, or none.")
    if labels is not None and image is not None:
        if accept or to == "edges":
            raise typer.BadParameter("--accept and --to edges need a project: leave them out with --labels.")
        work: _Files | _Planes = _Files(labels, image, config, folder)
        stopped = drain(work.events(), out)
    else:
        from ..project import Project

        with Project.open(project) as opened:
            work = _Planes(opened, config, to=to, accept=accept, folder=folder, split=split)
            stopped = drain(work.events(), out)
    out.result(
        "stopped" if stopped else "refine", work.values(), ("Stopped. " if stopped else "") + work.said()
    )
    if stopped:
        raise typer.Exit(EXIT_STOPPED)


@command(config=AlignmentConfig)
def train_alignment(
    out: "Output", config: AlignmentConfig, project: ProjectPath = Path(), resume: Resume = False
) -> None:
    """Teach the network behind `refine --method learned` the outlines of a project, also rough ones.

    It goes on from the one in use and is used only if it brings held-out outlines back better.
    """
    from ..engine.alignment_stages import train_alignment as taught
    from ..project import Project

    with Project.open(project) as opened:
        train(out, opened, taught(opened, config, resume=resume), "alignment")


@command(config=EdgeConfig)
def train_edges(
    out: "Output", config: EdgeConfig, project: ProjectPath = Path(), resume: Resume = False
) -> None:
    """Train the network that finds thin edges, on painted masks and accepted contours."""
    from ..engine.edge_stages import train_edges as trained
    from ..project import Project

    with Project.open(project) as opened:
        train(out, opened, trained(opened, config, resume=resume), "edges")


@command()
def edges(
    out: "Output",
    project: ProjectPath,
    folder: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="gets a float32 TIFF for each plane")
    ],
    split: Annotated[SplitName, typer.Option(help="of which images")] = "all",
    thick: Annotated[bool, typer.Option("--thick", help=_THICK)] = False,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="where to compute")] = "auto",
) -> None:
    """Write the thin edges that the project's edge network finds in every image."""
    from ..project import Project
    from .training import run

    with Project.open(project) as opened:
        run(out, _edges(opened, folder, split, device, thinned=not thick))


class _Work:
    """What the two ways of refining share: counting, writing, and saying what was done."""

    def __init__(self, config: AlignConfig, folder: Path | None) -> None:
        self._config, self._folder = config, folder
        self.objects = self.moved = self.accepted = 0
        self.files: list[Path] = []

    def values(self) -> dict[str, Any]:
        """What was done, for programs."""
        return {
            "objects": self.objects, "moved": self.moved, "accepted": self.accepted, "files": self.files,
        }  # fmt: skip

    def said(self) -> str:
        """What was done, for people."""
        parts = [f"{self.moved} of {self.objects} outlines moved"]
        if self.accepted:
            parts.append(f"{self.accepted} are in the project")
        if self.files:
            parts.append(f"{len(self.files)} label images in {self._folder}")
        if not self.accepted and not self.files:
            parts.append("nothing is kept: --accept or --out keeps them")
        return "; ".join(parts) + "."

    def _aligned(self, found: "Iterator[Alignment]", where: str) -> "Generator[Event, None, list[Alignment]]":
        """Report every object; return them all."""
        from ..engine.events import Aligned, Notice
        from ..engine.refine import tendency

        kept = []
        for each in found:
            kept.append(each)
            self.objects += 1
            self.moved += each.sound
            yield Aligned(number=each.number, steps=len(each.masks) - 1, moved=each.moved, notice=each.notice)
            if each.notice:
                yield Notice(f"{where}, object {each.number} stays as it was. {each.notice}")
        if said := tendency(kept):
            yield Notice(f"{where}: {said}")
        return kept

    def _write(self, labels: "NDArray[Any]", name: str, **more: Any) -> None:
        from ..project.label_images import write_labels

        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{name}-aligned.tif"
        write_labels(labels, file, **more)
        self.files.append(file)


class _Planes(_Work):
    """The outlines of a project; what is accepted stays accepted, wherever it is stopped."""

    def __init__(
        self,
        project: "Project",
        config: AlignConfig,
        *,
        to: str,
        accept: bool,
        folder: Path | None,
        split: SplitName,
    ) -> None:
        super().__init__(config, folder)
        self._project, self._accept, self._to = project, accept, to
        self._split: Split | None = None if split == "all" else split

    def events(self) -> "Generator[Event, None, None]":
        """Align plane by plane; what is done is stored before the next plane begins."""
        from ..engine.events import Ended, Started
        from ..engine.refine import refine_plane, rough_planes

        network: EdgeNet | None = None
        if self._to == "edges":
            from ..engine.edge_stages import current_edge_network

            network = current_edge_network(self._project)
        aligner: AlignmentNet | None = None
        if self._config.method == "learned":
            from ..engine.alignment_stages import alignment_network

            aligner = alignment_network(self._project)[0]
        planes = rough_planes(self._project, self._split)
        total = sum(len(rough.objects) + len(rough.painted) for rough in planes)
        yield Started(stage="refine", device="CPU", steps=total, images=len(planes))
        for rough in planes:
            record = self._project.image(rough.plane.image)
            moving = refine_plane(self._project, rough, self._config, network=network, aligner=aligner)
            found = yield from self._aligned(moving, _where(record, rough.plane))
            yield from self._keep(rough, found, record)
        yield Ended(stage="refine")

    def _keep(
        self, rough: "Rough", found: "list[Alignment]", record: "ImageRecord"
    ) -> "Generator[Event, None, None]":
        from ..engine.alignment import merged
        from ..engine.events import Notice
        from ..engine.refine import accept, as_they_were

        found = [each for each in found if each.sound]  # the others stay, as was said
        if self._accept:
            same = as_they_were(self._project, rough, found)
            if len(same) < len(found):
                yield Notice(f"{_where(record, rough.plane)}: what was drawn anew in the meantime stays.")
            found = same
            labels = accept(self._project, rough, found)
            self.accepted += len(found)
        else:
            labels = merged(rough.labels, found)
        if self._folder is not None:
            self._write(labels, _file_name(record, rough.plane), spacing=record.spacing, unit=record.unit)


class _Files(_Work):
    """A label image and its image, without a project."""

    def __init__(self, labels: Path, image: Path, config: AlignConfig, folder: Path | None) -> None:
        super().__init__(config, folder)
        self._labels, self._image = labels, image

    def events(self) -> "Generator[Event, None, None]":
        """Align plane by plane; the file is written at the end."""
        import numpy as np

        from ..engine.alignment import align_labels, merged
        from ..engine.events import Ended, Started
        from ..project.images import open_image
        from ..project.label_images import read_labels

        labels, source = read_labels(self._labels), open_image(self._image)
        if labels.shape != (source.planes, source.height, source.width):
            raise SegsizeError(
                f"{self._labels.name} does not fit {self._image.name}: expected labels of the shape "
                f"{(source.planes, source.height, source.width)}, got {labels.shape}."
            )
        total = sum(len(np.unique(plane[plane != 0])) for plane in labels)
        if not total:
            raise SegsizeError(f"{self._labels.name} holds no object: all of it is 0.")
        yield Started(stage="refine", device="CPU", steps=total, images=1)
        result = []
        for number, plane in enumerate(labels):
            pixels = source.read(number, number + 1)[0]
            place = self._labels.name
            if len(labels) > 1:
                place += f", slice {number + 1} of {len(labels)}"
            found = yield from self._aligned(align_labels(plane, image=pixels, config=self._config), place)
            result.append(merged(plane, [each for each in found if each.sound]))
        if self._folder is not None:
            self._write(np.stack(result), self._labels.stem, spacing=source.spacing, unit=source.unit)
        yield Ended(stage="refine")


def _edges(
    project: "Project", folder: Path, split: SplitName, device: str, *, thinned: bool
) -> "Generator[Event, None, None]":
    """Write the edges of every plane as float32 TIFF; yields an event a plane."""
    import tifffile

    from ..engine.device import describe, resolve
    from ..engine.edge_stages import current_edge_network, edges_of_plane
    from ..engine.events import Ended, Preview, Started
    from ..project import PlaneRef
    from ..project.writing import replacing, told

    network = current_edge_network(project, device)
    records = [record for record in project.images() if split in ("all", record.split)]
    planes = [(record, PlaneRef(record.id, place)) for record in records for place in range(record.planes)]
    folder.mkdir(parents=True, exist_ok=True)
    yield Started(stage="edges", device=describe(resolve(device)), steps=len(planes), images=len(records))
    for record, plane in planes:
        found = edges_of_plane(project, plane, network, thinned=thinned)
        file = folder / f"{_file_name(record, plane)}-edges.tif"
        with told(file), replacing(file) as new:
            tifffile.imwrite(
                new, found, compression="zlib", photometric="minisblack",
                metadata={"axes": "YX", "spacing": list(record.spacing), "unit": record.unit},
            )  # fmt: skip
        yield Preview(plane=plane, probabilities=found)
    yield Ended(stage="edges", message=f"{len(planes)} edge maps in {folder}.")


def _file_name(record: "ImageRecord", plane: "PlaneRef") -> str:
    number = f"-{plane.slice:04d}" if record.planes > 1 else ""
    return f"{record.id:04d}-{Path(record.name).stem}{number}"


def _where(record: "ImageRecord", plane: "PlaneRef") -> str:
    from ..project.checks import where

    return where(record, plane)
