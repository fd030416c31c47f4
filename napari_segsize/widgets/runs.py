"""What runs in the background: generators of events that open their own project, in their own thread.

A run shares nothing with the window but a `Watch`. torch and MONAI are imported inside, by its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_segsize.engine.advice import typical_size
from napari_segsize.engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.events import Ended, Event, Notice, Preview, Started, Validating
from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import ModelRecord, PlaneRef, Split
from napari_segsize.project.images import find_images
from napari_segsize.project.naming import listed
from napari_segsize.project.project import Project
from napari_segsize.project.sizes import object_size_of
from napari_segsize.widgets.loading import importing, set_aside, sort_out
from napari_segsize.widgets.tally import ImageCounts, counted

if TYPE_CHECKING:
    from napari_segsize.engine.stages import Resumable

__all__ = [
    "GROUPINGS",
    "Group",
    "LayerImage",
    "Ready",
    "Resume",
    "Surveyed",
    "Watch",
    "What",
    "adding",
    "comparing",
    "looking",
    "segmenting",
    "segmenting_plane",
    "surveying",
    "training",
    "warming",
]

Run = Generator[Event, None, None]
Group = Callable[[Path], str] | None

GROUPINGS: dict[str, Group] = {
    "each file its own": None,
    "its folder": lambda path: path.parent.name,
    "name before the first _": lambda path: path.name.split(".")[0].split("_")[0],
    "name before the last _": lambda path: path.name.split(".")[0].rpartition("_")[0] or path.name,
}
"""How the subject of an image is read from its path, as the Project page offers it."""
What = Literal["both", "pretrain", "finetune"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerImage:
    """Pixels of an image layer, ready to be added to a project: a value without any layer in it."""

    name: str
    pixels: NDArray[Any]
    kind: Literal["image", "stack", "channels", "channel stack"] = "image"
    spacing: tuple[float, ...] = (1.0, 1.0)
    unit: str = "pixel"
    rgb: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A stopped training that can go on.

    Attributes
    ----------
    config : mapping
        The settings it goes on with, whatever the page shows; empty while they are not known.
    """

    stage: str
    step: int
    steps: int
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """torch is there: where it will compute, and which stopped trainings of the project can go on."""

    device: str
    resumable: Resume | None = None
    resumable_contours: Resume | None = None
    resumable_levelsets: Resume | None = None
    resumable_edges: Resume | None = None
    resumable_alignment: Resume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """All annotations looked through: what there is of each image, and sizes that a mask denies.

    `typical_size`: median of the sizes, and of the masks' where there are none, in px; 0 without any.
    """

    revision: int
    typical_size: float
    image_counts: Mapping[int, ImageCounts]
    contradictions: tuple[str, ...]


@dataclass(eq=False)
class Watch:
    """The plane on screen, which a training looks at for its previews. Reading an attribute is atomic."""

    plane: PlaneRef | None = None

    def __call__(self) -> PlaneRef | None:
        """Return the plane on screen."""
        return self.plane


def warming(threads: int = 0) -> Generator[Ready, None, None]:
    """Import torch and MONAI, and leave the window a core."""
    with importing():
        from napari_segsize.engine import device, stages  # noqa: F401  the import is the work

    device.leave_one_core(threads)
    sort_out()
    set_aside()
    yield Ready(device=device.describe())


def looking(folder: Path) -> Generator[Ready, None, None]:
    """Look which stopped trainings of the project can go on."""
    with importing():
        from napari_segsize.engine import device, stages

    with Project.open(folder) as project:
        pixels = _left(stages.resumable(project))
        contours, levelsets, edges, alignment = (
            _left(stages.resumable(project, [stage]))
            for stage in ("contour", "levelset", "edges", "alignment")
        )
    yield Ready(
        device=device.describe(), resumable=pixels, resumable_contours=contours,
        resumable_levelsets=levelsets, resumable_edges=edges,
        resumable_alignment=alignment,
    )  # fmt: skip


def _left(stopped: Resumable | None) -> Resume | None:
    """Return the value without torch in its module."""
    if stopped is None:
        return None
    return Resume(stage=stopped.stage, step=stopped.step, steps=stopped.steps, config=stopped.config)


def surveying(folder: Path) -> Generator[Surveyed, None, None]:
    """Look through all annotations; reading every mask takes seconds in a large project."""
    with Project.open(folder) as project:
        revision = project.revision()
        found: dict[int, ImageCounts] = {}
        sizes: list[float] = []
        for annotation in project.annotations():
            image = annotation.plane.image
            found[image] = counted(annotation, found.get(image, ImageCounts()))
            sizes += [stamp.size for stamp in annotation.stamps]
            if annotation.mask is not None and not annotation.stamps:
                sizes.append(object_size_of(annotation.mask > 0))
        yield Surveyed(
            revision=revision, image_counts=found, contradictions=project.contradictions(),
            typical_size=typical_size(sizes),
        )  # fmt: skip


def training(
    folder: Path,
    pretrain: PretrainConfig,
    finetune: FineTuneConfig,
    watch: Watch,
    *,
    what: What = "both",
    resume: bool = False,
    threads: int = 0,
) -> Run:
    """Learn from the masks, then from the sizes."""
    from napari_segsize.engine import device, stages

    device.leave_one_core(threads)
    with Project.open(folder) as project:
        left = stages.resumable(project) if resume else None
        stopped = None if left is None else left.stage  # goes on first, whatever else is asked for
        if stopped == "pretrain" or (stopped is None and what != "finetune"):
            yield from stages.pretrain(project, pretrain, resume=stopped == "pretrain", preview=watch)
        if what == "pretrain" and stopped != "finetune":
            return
        if what == "both" and not _has_sizes(project):
            yield Notice("Learned from the masks. Stamp some sizes and train again to see what they add.")
            return
        yield from stages.finetune(project, finetune, resume=stopped == "finetune", preview=watch)


def _has_sizes(project: Project) -> bool:
    counts = project.counts()
    return (counts.by_split["train"].sizes if "train" in counts.by_split else counts.sizes) > 0


def adding(folder: Path, sources: Sequence[Path | LayerImage], *, group: Group, split: Split | None) -> Run:
    """Add files, folders and layers, one after the other: each is hashed, a layer is written to the project.

    Raises
    ------
    SegsizeError
        At the end, when some could not be added; it names them.
    """
    refused: dict[Path | LayerImage, str] = {}
    added = 0
    sources = [each for source in sources for each in _single(source)]
    with Project.open(folder) as project:
        yield Started(stage="add", device="", steps=len(sources))
        for done, source in enumerate(sources, start=1):
            try:
                added += _add(project, source, group=group, split=split)
            except SegsizeError as error:
                refused[source] = str(error)
            yield Validating(stage="add", done=done, total=len(sources))
    if refused:
        names = f"{listed([source.name for source in refused])}. The first: " if len(refused) > 1 else ""
        reason = next(iter(refused.values()))
        raise SegsizeError(f"{_images(added)} added; {len(refused)} not: {names}{reason}")
    yield Ended(stage="add", message=f"{_images(added)} added.")


def _single(source: Path | LayerImage) -> Sequence[Path | LayerImage]:
    """Return the images of a folder, so that one unreadable file does not keep out the others."""
    if isinstance(source, Path) and source.is_dir() and source.suffix.lower() != ".zarr":
        return find_images(source) or (source,)
    return (source,)


def _add(project: Project, source: Path | LayerImage, *, group: Group, split: Split | None) -> int:
    if isinstance(source, Path):
        return len(project.add_files([source], group=group, split=split))
    project.add_array(
        source.name, np.asarray(source.pixels), kind=source.kind, spacing=source.spacing, unit=source.unit,
        group=source.name, rgb=source.rgb, split=split,
    )  # fmt: skip
    return 1


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def segmenting_plane(folder: Path, plane: PlaneRef, *, mirrored: bool = False) -> Run:
    """Segment one plane with the current model."""
    from napari_segsize.engine import device
    from napari_segsize.engine.predict import model_file

    with Project.open(folder) as project:
        record = model_file(project)
        yield Started(stage="predict", device=device.describe(), steps=1)
        said: list[str] = []
        found = _segmented(project, record, plane, mirrored=mirrored, say=said.append)
    yield from map(Notice, said)
    yield found
    yield Ended(stage="predict", model=record.id)


def segmenting(folder: Path, config: PredictConfig, watch: Watch) -> Run:
    """Segment many images with the current model; of the pictures, only the plane on screen is handed out."""
    from napari_segsize.engine.predict import model_file, predict

    steps = 0
    done: set[PlaneRef] = set()
    shown: PlaneRef | None = None
    with Project.open(folder) as project, closing(predict(project, config)) as events:
        for event in events:
            if isinstance(event, Preview):
                done.add(event.plane)
                if event.plane == watch():
                    shown = event.plane
                    yield event
                yield Validating(stage="predict", done=len(done), total=steps)
                continue
            if isinstance(event, Started):
                steps = event.steps
            plane = watch()
            if isinstance(event, Ended) and plane is not None and plane != shown and plane in done:
                # the user has gone elsewhere meanwhile
                record = model_file(project, config.model)
                yield _segmented(project, record, plane, device=config.device, mirrored=config.mirrored)
            yield event


def _segmented(
    project: Project,
    record: ModelRecord,
    plane: PlaneRef,
    *,
    device: str = "auto",
    mirrored: bool = False,
    say: Callable[[str], object] | None = None,
) -> Preview:
    from napari_segsize.engine.predict import predict_pixels

    several = project.image(plane.image).planes > 1
    found = predict_pixels(
        project.models_folder / record.path,
        project.pixels(plane),
        device=device,
        reference=project.blocks(plane.image) if several else None,
        mirrored=mirrored,
        say=say,
    )
    return Preview(plane=plane, probabilities=found)


def comparing(folder: Path, config: EvaluateConfig) -> Run:
    """Compare models on held-out images."""
    from napari_segsize.engine.evaluate import evaluate

    with Project.open(folder) as project:
        yield from evaluate(project, config)
