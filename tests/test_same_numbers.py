"""The button and the command line are the same loop: same project, seed and settings, same numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_segsize.cli import app
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.events import StepDone, Validated
from napari_segsize.project import Project
from napari_segsize.samples import synthetic_shapes
from napari_segsize.widgets.controller import Controller

SETTINGS = {"steps": 3, "batch_size": 3, "validate_every": 2, "seed": 5, "device": "cpu"}


class Keep:
    """A launch that drains a job at once and keeps its events."""

    def __init__(self) -> None:
        self.events = []

    def __call__(self, events, on_event, on_end):
        for event in events:
            self.events.append(event)
            on_event(event)
        on_end(None)
        return self

    def stop(self) -> None:
        """Do nothing: it has ended."""


@pytest.fixture
def annotated(shapes_project) -> Path:
    sample = synthetic_shapes(12, (32, 32))
    for number, plane in enumerate(shapes_project.planes()):
        if 4 <= number < 8:
            centre = tuple(axis.mean() for axis in np.nonzero(sample.masks[number]))
            shapes_project.put_stamp(plane, sample.sizes[number], centre=centre)
        else:
            shapes_project.put_mask(plane, sample.masks[number].astype(np.int32))
    return shapes_project.folder


def words(**settings: object) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.slow
def test_the_button_and_the_command_line_give_the_same_numbers(annotated, tmp_path):
    copy = shutil.copytree(annotated, tmp_path / "copy")

    keep = Keep()
    controller = Controller(keep, threads=1)
    controller.open_project(annotated)
    with Project.open(annotated) as project:
        controller.show(project.planes()[0])  # a live preview changes nothing
    controller.train(PretrainConfig(**SETTINGS), FineTuneConfig(**SETTINGS))
    pressed = [event for event in keep.events if isinstance(event, (StepDone, Validated))]
    controller.dispose()

    typed = []
    for stage in ("pretrain", "finetune"):
        done = CliRunner().invoke(app, [stage, str(copy), *words(**SETTINGS), "--json"])
        assert done.exit_code == 0, done.output
        typed += [json.loads(line) for line in done.stdout.splitlines()]

    assert [event.losses for event in pressed if isinstance(event, StepDone)] == [
        line["losses"] for line in typed if line["event"] == "StepDone"
    ]
    assert [event.metrics for event in pressed if isinstance(event, Validated)] == [
        line["metrics"] for line in typed if line["event"] == "Validated"
    ]
    assert len(pressed) > 8
