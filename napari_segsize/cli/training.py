"""Commands that run the engine: pre-train, fine-tune, evaluate, predict. torch is imported when one runs.

Those that train or compare networks do so for both kinds, see `--model`.
"""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

import shlex
from collections.abc import Generator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from ..engine.contour_config import ContourConfig
from ..engine.levelset_config import LevelSetConfig
from .command import EXIT_STOPPED, ProjectPath, command, configured

if TYPE_CHECKING:
    from ..engine.events import Event
    from ..project import Project
    from .output import Output

__all__ = [
    "Resume", "evaluate", "fine_tuning", "finetune", "finetune_contours", "finetune_levelsets", "predict",
    "pretrain", "run", "train",
]  # fmt: skip

Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="go on with the stopped run, with its own settings; other options do not count"
    ),
]

Kind = Annotated[
    Literal["pixels", "contour", "levelset"],
    typer.Option("--model", help="the network that segments pixels, moves contours, or moves level sets"),
]
Preset = Annotated[
    str,
    typer.Option("--preset", metavar="NAME", help="a recipe for --loss; `segsize losses` lists them"),
]
_COMMANDS = {
    "contour": "finetune-contours",
    "levelset": "finetune-levelsets",
    "edges": "train-edges",
    "alignment": "train-alignment",
}
"""What trains a stage, where the command is not called like it."""
_MOVED = {"contour": "contours", "levelset": "level sets"}


def fine_tuning(**given: Any) -> FineTuneConfig:
    """The settings of a command line; `--recipe paper` brings the published values of what is not given."""
    return FineTuneConfig.paper(**given) if given.get("recipe") == "paper" else FineTuneConfig(**given)


@command(config=PretrainConfig)
def pretrain(
    out: "Output",
    given: dict[str, Any],
    project: ProjectPath = Path(),
    preset: Preset = "",
    resume: Resume = False,
) -> None:
    """Train a network from the painted masks."""
    from ..engine import stages
    from ..project import Project

    config = configured(PretrainConfig, _with_preset(given, preset))
    with Project.open(project) as opened:
        train(out, opened, stages.pretrain(opened, config, resume=resume), "pretrain")


@command(config=FineTuneConfig)
def finetune(
    out: "Output",
    given: dict[str, Any],
    project: ProjectPath = Path(),
    model: Kind = "pixels",
    preset: Preset = "",
    resume: Resume = False,
) -> None:
    """Go on training the pre-trained network from object sizes.

    --model contour and --model levelset teach the network that moves contours, or level sets, instead, with
    the options it shares; all of their own are in: segsize finetune-contours --help, finetune-levelsets
    --help
    """
    if model != "pixels":
        if preset and not resume:
            _left_out(out, model, "preset", f"segsize {_COMMANDS[model]} --help lists what does")
        if model == "contour":
            contours = configured(ContourConfig, _shared(out, model, given, ContourConfig, resume=resume))
            finetune_contours(out, contours, project, resume)
        else:
            levelsets = configured(LevelSetConfig, _shared(out, model, given, LevelSetConfig, resume=resume))
            finetune_levelsets(out, levelsets, project, resume)
        return
    from ..engine import stages
    from ..project import Project

    settings = configured(fine_tuning, _with_preset(given, preset))
    with Project.open(project) as opened:
        train(out, opened, stages.finetune(opened, settings, resume=resume), "finetune")


@command(config=ContourConfig)
def finetune_contours(
    out: "Output", config: ContourConfig, project: ProjectPath = Path(), resume: Resume = False
) -> None:
    """Teach the network that moves contours this project's objects."""
    from ..engine.contour_stages import finetune_contour
    from ..project import Project

    with Project.open(project) as opened:
        train(out, opened, finetune_contour(opened, config, resume=resume), "contour")


@command(config=LevelSetConfig)
def finetune_levelsets(
    out: "Output", config: LevelSetConfig, project: ProjectPath = Path(), resume: Resume = False
) -> None:
    """Teach the network that moves level sets this project's objects."""
    from ..engine.contour_stages import finetune_levelset
    from ..project import Project

    with Project.open(project) as opened:
        train(out, opened, finetune_levelset(opened, config, resume=resume), "levelset")


@command(config=EvaluateConfig)
def evaluate(
    out: "Output", config: EvaluateConfig, project: ProjectPath = Path(), model: Kind = "pixels"
) -> None:
    """Compare models on held-out images."""
    from ..project import SPLITS, Project

    with Project.open(project) as opened:
        if model != "pixels":
            if config.models:
                _left_out(out, model, "models", "the network that ships is compared with the one in use")
            if config.mirrored:
                _left_out(out, model, "mirrored", "it is for networks that segment pixels")
            from ..engine.contour_stages import evaluate_contours, evaluate_levelsets

            compare = evaluate_contours if model == "contour" else evaluate_levelsets
            split = next(each for each in SPLITS if each == config.split)
            run(out, compare(opened, split=split, device=config.device))
            return
        from ..engine.evaluate import evaluate as compared

        run(out, compared(opened, config))


@command(config=PredictConfig)
def predict(out: "Output", config: PredictConfig, project: ProjectPath = Path()) -> None:
    """Segment images and write label images."""
    from ..engine.predict import predict as segmented
    from ..project import Project

    with Project.open(project) as opened:
        run(out, segmented(opened, config))


def _with_preset(given: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """Put the recipe of a preset where `--loss` would put it."""
    if not preset:
        return dict(given)
    from ..engine.recipe import preset_text

    if "loss" in given:
        raise typer.BadParameter("--loss and --preset both say what to learn from: give one of them.")
    try:
        return {**given, "loss": preset_text(preset)}
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def train(out: "Output", project: "Project", events: "Generator[Event, None, None]", stage: str) -> None:
    """Run a stage; when it is stopped, say how to go on."""
    from ..engine.stages import resumable
    from .drain import drain

    if not drain(events, out):
        return
    state = resumable(project, [stage])
    if state is None:
        out.result("stopped", {"stage": stage}, "Stopped before the first step; there is nothing to resume.")
        raise typer.Exit(EXIT_STOPPED)
    resume = f"segsize {_COMMANDS.get(stage, stage)} {shlex.quote(str(project.folder))} --resume"
    values = {"stage": state.stage, "step": state.step, "steps": state.steps, "resume": resume}
    text = f"Stopped after step {state.step} of {state.steps}; everything is saved. Go on with: {resume}"
    out.result("stopped", values, text)
    raise typer.Exit(EXIT_STOPPED)


def run(out: "Output", events: "Generator[Event, None, None]") -> None:
    """Run what can be stopped but not resumed."""
    from .drain import drain

    if drain(events, out):
        out.result("stopped", {}, "Stopped; what was written so far is complete.")
        raise typer.Exit(EXIT_STOPPED)


def _shared(
    out: "Output", model: str, given: Mapping[str, Any], config: type[Any], *, resume: bool
) -> dict[str, Any]:
    """The options that a config has too; a sentence about each of the others."""
    known = {item.name for item in fields(config)}
    for name in given:
        if name not in known and not resume:
            _left_out(out, model, name, f"segsize {_COMMANDS[model]} --help lists what does")
    return {name: value for name, value in given.items() if name in known}


def _left_out(out: "Output", model: str, name: str, why: str) -> None:
    from ..engine.events import Notice

    option = name.replace("_", "-")
    out.event(Notice(f"--{option} means nothing for {_MOVED[model]} and is left out: {why}."))
