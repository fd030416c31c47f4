"""Commands that run the engine: pre-train, fine-tune, evaluate, predict. torch is imported when one runs."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

import shlex
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from .command import EXIT_STOPPED, ProjectPath, command

if TYPE_CHECKING:
    from ..engine.events import Event
    from ..project import Project
    from .output import Output

__all__ = ["evaluate", "fine_tuning", "finetune", "predict", "pretrain"]

Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="go on with the stopped run, with its own settings; other options do not count"
    ),
]


def fine_tuning(given: dict[str, Any]) -> FineTuneConfig:
    """The settings of a command line; `--recipe paper` brings the published values of what is not given."""
    return FineTuneConfig.paper(**given) if given.get("recipe") == "paper" else FineTuneConfig(**given)


@command(config=PretrainConfig)
def pretrain(
    out: "Output", config: PretrainConfig, project: ProjectPath = Path(), resume: Resume = False
) -> None:
    """Train a network from the painted masks."""
    from ..engine import stages
    from ..project import Project

    with Project.open(project) as opened:
        _train(out, opened, stages.pretrain(opened, config, resume=resume), "pretrain")


@command(config=FineTuneConfig, build=fine_tuning)
def finetune(
    out: "Output", config: FineTuneConfig, project: ProjectPath = Path(), resume: Resume = False
) -> None:
    """Go on training the pre-trained network from object sizes."""
    from ..engine import stages
    from ..project import Project

    with Project.open(project) as opened:
        _train(out, opened, stages.finetune(opened, config, resume=resume), "finetune")


@command(config=EvaluateConfig)
def evaluate(out: "Output", config: EvaluateConfig, project: ProjectPath = Path()) -> None:
    """Compare models on held-out images."""
    from ..engine.evaluate import evaluate as compared
    from ..project import Project

    with Project.open(project) as opened:
        _run(out, compared(opened, config))


@command(config=PredictConfig)
def predict(out: "Output", config: PredictConfig, project: ProjectPath = Path()) -> None:
    """Segment images and write label images."""
    from ..engine.predict import predict as segmented
    from ..project import Project

    with Project.open(project) as opened:
        _run(out, segmented(opened, config))


def _train(out: "Output", project: "Project", events: "Generator[Event, None, None]", stage: str) -> None:
    """Run a stage; when it is stopped, say how to go on."""
    from ..engine.stages import resumable
    from .drain import drain

    if not drain(events, out):
        return
    state = resumable(project)
    if state is None or state.stage != stage:
        out.result("stopped", {"stage": stage}, "Stopped before the first step; there is nothing to resume.")
        raise typer.Exit(EXIT_STOPPED)
    resume = f"segsize {state.stage} {shlex.quote(str(project.folder))} --resume"
    values = {"stage": state.stage, "step": state.step, "steps": state.steps, "resume": resume}
    text = f"Stopped after step {state.step} of {state.steps}; everything is saved. Go on with: {resume}"
    out.result("stopped", values, text)
    raise typer.Exit(EXIT_STOPPED)


def _run(out: "Output", events: "Generator[Event, None, None]") -> None:
    from .drain import drain

    if drain(events, out):
        out.result("stopped", {}, "Stopped; what was written so far is complete.")
        raise typer.Exit(EXIT_STOPPED)
