"""What runs in the background for the page Contours; as in `runs`, each opens its own project."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segsize.engine.contour_config import ContourConfig, EvolveConfig
from napari_segsize.engine.events import Event
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.prompt import Prompt
from napari_segsize.project.project import Project
from napari_segsize.widgets.loading import importing, set_aside, sort_out

if TYPE_CHECKING:
    from napari_segsize.widgets.contour_queue import Answer, Inbox

__all__ = ["Unfinished", "evolving", "finetuning", "getting_ready", "unfinished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Objects that have all four points and no outline."""

    prompts: tuple[Prompt, ...]


def getting_ready() -> Generator[None, None, None]:
    """Import and compile what makes contours, so that the first one does not wait for it."""
    with importing():
        from napari_segsize.engine import evolve  # noqa: F401  the import is the work
        from napari_segsize.engine.readiness import compile_rendering

    compile_rendering()
    sort_out()
    set_aside()
    yield from ()


def unfinished(folder: Path) -> Generator[Unfinished, None, None]:
    """Look for objects whose contour was waited for, or not accepted, when the project was left."""
    with Project.open(folder) as project:
        if not project.counts().points:
            return
        for said in project.annotations():
            found = tuple(
                Prompt(plane=said.plane, object=contour.object, points=contour.points)
                for contour in said.contours
                if len(contour.points) == 4 and not contour.accepted
            )
            if found:
                yield Unfinished(prompts=found)


def evolving(folder: Path, inbox: Inbox, config: EvolveConfig) -> Generator[Answer | None, None, None]:
    """Turn prompts into contours until the inbox says that there will be no more."""
    with importing():
        from napari_segsize.engine.evolve import evolving as evolve

    with Project.open(folder) as project:
        yield from evolve(project, inbox, config)


def finetuning(
    folder: Path, config: ContourConfig | LevelSetConfig, *, resume: bool = False, threads: int = 0
) -> Generator[Event, None, None]:
    """Adapt the network that the settings are of to what was accepted, painted and clicked in the project."""
    with importing():
        from napari_segsize.engine import device
        from napari_segsize.engine.contour_stages import finetune_contour, finetune_levelset

    device.leave_one_core(threads)
    with Project.open(folder) as project:
        if isinstance(config, LevelSetConfig):
            yield from finetune_levelset(project, config, resume=resume)
        else:
            yield from finetune_contour(project, config, resume=resume)
