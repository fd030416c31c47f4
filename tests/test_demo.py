from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_segsize.cli import app
from napari_segsize.demo.config import DemoConfig
from napari_segsize.demo.run import annotate, demo, free_folder
from napari_segsize.engine.events import ROWS, Ended, Notice, StepDone
from napari_segsize.project import Project, object_size_of
from napari_segsize.samples import sample_masks, write_sample_project

TINY = DemoConfig(short=True, steps=2, masks=8, device="cpu")


def test_a_folder_that_is_in_use_is_left_alone(tmp_path):
    wanted = tmp_path / "demo"
    assert free_folder(wanted) == wanted
    wanted.mkdir()
    assert free_folder(wanted) == wanted
    (wanted / "mine.txt").write_text("")
    assert free_folder(wanted) == tmp_path / "demo-2"
    (tmp_path / "demo-2").write_text("a file")
    assert free_folder(wanted) == tmp_path / "demo-3"


def test_the_steps_and_the_command_follow_the_settings():
    assert DemoConfig(short=True).most_steps < DemoConfig().most_steps
    assert DemoConfig(short=True, steps=7).most_steps == 7
    assert DemoConfig().command == "segsize demo"
    assert DemoConfig(short=True, masks=8, seed=2).command == "segsize demo --short --masks 8 --seed 2"


def test_few_masks_and_many_sizes_are_said(tmp_path):
    with write_sample_project(tmp_path / "project") as project:
        truth = sample_masks(project)
        annotate(project, truth, masks=8, seed=1)
        parts = project.counts().by_split
        train = parts["train"]
        assert (train.masks, train.masks + train.sizes) == (8, train.planes)
        assert train.centres == train.sizes
        for held_out in ("validation", "test"):
            assert (parts[held_out].masks, parts[held_out].sizes) == (parts[held_out].planes, 0)
        for annotation in project.annotations("train"):
            mask = truth[annotation.plane]
            if annotation.mask is not None:
                np.testing.assert_array_equal(annotation.mask > 0, mask)
            else:
                (stamp,) = annotation.stamps
                assert stamp.size == object_size_of(mask)
                assert stamp.centre == pytest.approx([axis.mean() for axis in np.nonzero(mask)], abs=0.01)
        assert project.contradictions() == ()


def test_the_seed_chooses_other_slices(tmp_path):
    def outlined(seed: int) -> set:
        with write_sample_project(tmp_path / str(len(list(tmp_path.iterdir())))) as project:
            annotate(project, sample_masks(project), masks=8, seed=seed)
            return {said.plane for said in project.annotations("train") if said.mask is not None}

    assert outlined(0) == outlined(0)
    assert outlined(0) != outlined(1)


@pytest.mark.slow
def test_the_demo_compares_three_models_and_writes_a_report(tmp_path):
    events = list(demo(tmp_path / "demo", TINY))
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.comparison is not None
    assert tuple(row.name for row in ended.comparison.rows) == ROWS
    assert ended.comparison.split == "test"
    assert len({row.model for row in ended.comparison.rows}) == 3
    page = (tmp_path / "demo" / "report" / "index.html").read_text("utf-8")
    assert len(re.findall(r'<div class="row">', page)) == 6  # one slice of each test subject
    assert page.count("<h2>") >= 6
    assert "segsize demo --short --masks 8 --steps 2 --device cpu" in page
    with Project.open(tmp_path / "demo" / "project") as project:
        assert len(project.models()) == 3


@pytest.mark.slow
def test_closing_the_demo_keeps_the_step(tmp_path):
    from napari_segsize.engine.stages import resumable

    events = demo(tmp_path / "demo", TINY)
    next(event for event in events if isinstance(event, StepDone))
    events.close()
    with Project.open(tmp_path / "demo" / "project") as project:
        stopped = resumable(project)
    assert stopped is not None
    assert (stopped.stage, stopped.step) == ("pretrain", 1)


@pytest.mark.slow
def test_a_second_demo_takes_a_folder_of_its_own(tmp_path):
    mine = tmp_path / "demo" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("keep")
    said = ["demo", "--short", "--steps", "1", "--masks", "4", "--folder", str(tmp_path / "demo"), "--json"]
    done = CliRunner().invoke(app, said)
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert "demo-2" in found[0]["text"]
    assert [row["name"] for row in found[-1]["comparison"]["rows"]] == list(ROWS)
    assert mine.read_text() == "keep"
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]
    page = Path(found[-1]["message"].removeprefix("Report: "))
    assert page == tmp_path / "demo-2" / "report" / "index.html"
    assert page.is_file()


def test_the_first_news_is_where_it_goes(tmp_path):
    events = demo(tmp_path / "demo", TINY)
    first = next(events)
    events.close()
    assert isinstance(first, Notice)
    assert str(tmp_path / "demo" / "project") in first.text
    assert not (tmp_path / "demo").exists()
