"""Commands for a first look: the demo on real images, and napari on a project."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..demo.config import DemoConfig
from ..errors import SegsizeError
from .command import EXIT_STOPPED, ProjectPath, command

if TYPE_CHECKING:
    from .output import Output

__all__ = ["demo", "run"]

_FOLDER_HELP = "gets the project and the report; when it is not empty, a new folder beside it does"


@command(config=DemoConfig)
def demo(
    out: "Output",
    config: DemoConfig,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help=_FOLDER_HELP)] = Path("segsize-demo"),
    elsewhere: Annotated[Path | None, typer.Option("--folder", help="the same as FOLDER")] = None,
) -> None:
    """Run the main job on bundled MRI slices: few masks, many sizes, three models, a report."""
    from ..demo.run import demo as shown
    from .drain import drain

    if drain(shown(elsewhere or folder, config), out):
        out.result(
            "stopped", {}, "Stopped; what was done so far stays in its folder. A new demo takes a new one."
        )
        raise typer.Exit(EXIT_STOPPED)


@command()
def run(out: "Output", project: ProjectPath = Path()) -> None:
    """Open napari on a project."""
    from ..project import Project

    with Project.open(project) as opened:  # a wrong folder is better said here than in a window
        folder = opened.folder
    done = subprocess.run([sys.executable, "-m", "napari_segsize.widgets", str(folder)], check=False)  # noqa: S603
    if done.returncode:
        raise SegsizeError(
            f"napari ended with exit code {done.returncode}. If no window opened, Qt may be missing: "
            'pip install "napari-segsize[all]".'
        )
    out.result("run", {"project": folder}, "napari was closed; every annotation is on disk.")
