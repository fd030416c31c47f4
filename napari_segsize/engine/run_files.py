"""What a training leaves in its project: the state of a stopped run, and the model of a finished one."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from ..errors import SegsizeError
from ..project import ModelRecord, Project
from . import checkpoint
from .events import Ended, Event
from .loop import Outcome, Run
from .option import from_dict, to_dict

__all__ = ["concluded", "record_model", "state_file", "stopped_state"]


def state_file(project: Project, stage: str) -> Path:
    """Where a stopped run of a stage is kept."""
    return project.models_folder / f"{stage}.resume.pt"


def stopped_state(project: Project, stage: str, config: type[Any], *, called: str) -> Mapping[str, Any]:
    """State of the stopped run of a stage.

    Parameters
    ----------
    project : Project
    stage : str
    config : dataclass
        What the run's settings must be.
    called : str
        The run as people call it, for the sentences: "training of edges".

    Raises
    ------
    SegsizeError
        If there is none, it is damaged, or another version left it.
    """
    file = state_file(project, stage)
    if not file.is_file():
        raise SegsizeError(f"There is no stopped {called} to resume in this project. Start a new one.")
    state = checkpoint.load(file)
    try:
        from_dict(config, state["config"])
    except (KeyError, ValueError) as error:
        raise SegsizeError(
            f"The stopped {called} was left by another version of napari-segsize. Start a new one."
        ) from error
    return state


def record_model(
    project: Project, run: Run, weights: Mapping[str, Any], metrics: Mapping[str, float]
) -> ModelRecord:
    """Write a model under a number of its own and enter it in the project, without putting it to use."""
    number = max((model.id for model in project.models()), default=0) + 1
    file: Path
    while (file := project.models_folder / f"{number:04d}-{run.stage}.pt").exists():
        number += 1  # another process may have just written one
    config = to_dict(run.config)
    known = {name: value for name, value in metrics.items() if not math.isnan(value)}
    content = {"stage": run.stage, "config": config, "network": run.entry, "metrics": known}
    checkpoint.save(file, {**content, "weights": weights})
    return project.add_model(file, stage=run.stage, metrics=known, config=config)


def concluded(
    run: Run, outcome: Outcome, conclude: Generator[Event, None, Ended]
) -> Generator[Event, None, None]:
    """Conclude in one process, which then forgets the stopped run; under torchrun the others wait for it.

    Parameters
    ----------
    run, outcome
        What has just ended.
    conclude : generator
        Compares, records and promotes; not begun in the other processes.
    """
    if not run.fabric.is_global_zero:
        run.fabric.barrier()
        yield Ended(stage=run.stage, metrics=outcome.metrics)
        return
    ended = yield from conclude
    run.file.unlink(missing_ok=True)
    run.fabric.barrier()
    yield ended
