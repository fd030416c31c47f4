from __future__ import annotations

import io
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from napari_segsize.cli import app, command
from napari_segsize.cli.command import EXIT_STOPPED, EXIT_USER
from napari_segsize.cli.drain import drain
from napari_segsize.cli.output import JsonLines, Silent, Terminal, plain
from napari_segsize.cli.progress import Bar, duration, losses_text, metrics_text
from napari_segsize.cli.training import fine_tuning
from napari_segsize.demo.config import DemoConfig
from napari_segsize.engine.config import (
    EvaluateConfig,
    FineTuneConfig,
    PredictConfig,
    PretrainConfig,
)
from napari_segsize.engine.contour_config import ContourConfig, EvolveConfig
from napari_segsize.engine.events import (
    Comparison,
    ComparisonRow,
    Ended,
    Loading,
    Notice,
    Preview,
    Saved,
    Started,
    StepDone,
    Validated,
    Validating,
)
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.option import to_dict
from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.stopping import check

CONFIGS = {
    "pretrain": PretrainConfig,
    "finetune": FineTuneConfig,
    "finetune-contours": ContourConfig,
    "finetune-levelsets": LevelSetConfig,
    "evolve": EvolveConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "demo": DemoConfig,
}


def started(stage="pretrain", **changes) -> Started:
    return Started(**{"stage": stage, "device": "CPU, 1 threads", "steps": 3, "masks": 2, **changes})


def step(number: int, steps: int = 3) -> StepDone:
    losses = {"total": 1.5, "dice": 0.5}
    return StepDone(
        stage="pretrain", step=number, steps=steps, losses=losses, seconds_left=70.0, memory_mb=512.0
    )


ALL_EVENTS = (
    Loading(stage="pretrain", done=0, total=2),
    Loading(stage="pretrain", done=2, total=2),
    started(),
    step(1),
    Validating(stage="pretrain", done=1, total=2),
    Validated(stage="pretrain", step=1, metrics={"iou": 0.5, "size_error": math.nan}, best=True),
    Preview(plane=PlaneRef(1, 2), probabilities=np.zeros((4, 5), np.float32)),
    Notice("Mind the [gap]."),
    Saved(path="somewhere", step=1),
    Ended(
        stage="pretrain",
        promoted=True,
        model=1,
        metrics={"iou": 0.5},
        comparison=Comparison(
            split="test",
            rows=(ComparisonRow(name="masks only", iou=0.5, dice=0.6, size_error=math.nan, images=3),),
        ),
    ),
)


@pytest.fixture
def segsize():
    """Run a command line in this process."""
    runner = CliRunner()

    def run(*words: object):
        return runner.invoke(app, [str(word) for word in words])

    return run


@pytest.fixture
def project(tmp_path) -> Path:
    folder = tmp_path / "project"
    with Project.create(folder) as made:
        for number in range(4):
            made.add_array(f"image {number}", np.random.default_rng(number).random((2, 20, 24)), kind="stack")
    return folder


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


# -- options from configs --------------------------------------------------------------------------------


def other_value(item, kind):
    """A valid value that is not the default."""
    meta = item.metadata
    if meta["choices"]:
        return next(choice for choice in meta["choices"] if choice != item.default)
    if kind is bool:
        return not item.default
    if kind is str:
        return "dice + 0.01*boundary" if item.name == "loss" else "other"
    change = 1 if kind is int else 0.25
    up, down = item.default + change, item.default - change
    if meta["max"] is None or up <= meta["max"]:
        return up
    return down if meta["min"] is None or down >= meta["min"] else (item.default + meta["max"]) / 2


def words(name: str, value) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]


def probe(config):
    """An application with one command that keeps the config it was given."""
    seen = []
    application = typer.Typer()
    kept, command.app = command.app, application
    try:

        @command.command("probe", config=config)
        def probed(out, config) -> None:
            seen.append(config)
    finally:
        command.app = kept
    return application, seen


@pytest.mark.parametrize("config", CONFIGS.values())
def test_every_setting_survives_the_command_line(config):
    application, seen = probe(config)
    hints = get_type_hints(config)
    runner = CliRunner()
    for item in fields(config):
        assert item.default is not MISSING
        value = other_value(item, hints[item.name])
        done = runner.invoke(application, words(item.name, value))
        assert done.exit_code == 0, done.output
        assert seen[-1] == config(**{item.name: value})
        assert type(getattr(seen[-1], item.name)) is hints[item.name]
    everything = {item.name: other_value(item, hints[item.name]) for item in fields(config)}
    said = [word for name, value in everything.items() for word in words(name, value)]
    assert runner.invoke(application, said).exit_code == 0
    assert to_dict(seen[-1]) == everything
    assert runner.invoke(application, []).exit_code == 0
    assert seen[-1] == config()


@pytest.mark.parametrize("name", CONFIGS)
def test_help_shows_every_setting_with_default_and_help(segsize, name):
    done = segsize(name, "--help")
    assert done.exit_code == 0
    text = " ".join(done.output.split())
    for item in fields(CONFIGS[name]):
        assert f"--{item.name.replace('_', '-')}" in text
        assert item.metadata["help"].split(";")[0].split()[0] in text
    assert "--json" in text


def test_the_papers_recipe_brings_its_own_defaults():
    assert fine_tuning(recipe="paper") == FineTuneConfig.paper()
    assert fine_tuning(recipe="paper", learning_rate=0.5).learning_rate == 0.5
    assert fine_tuning(samples=8) == FineTuneConfig(samples=8)


@pytest.mark.parametrize(
    "said",
    [
        ["--stepz", "3"],
        ["--steps", "0"],
        ["--steps", "many"],
        ["--recipe", "cake"],
        ["--loss", "dice + bondary"],
        ["--loss", "-1*dice"],
        ["--loss", ""],
        ["--preset", "thin"],
        ["--preset", "standard", "--loss", "dice"],
        ["--learning-rate", "nan"],
        ["--size-weight", "0", "--centre-weight", "0", "--mask-batch-size", "0", "--extent-weight", "0"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(segsize, project, said):
    done = segsize("finetune", project, *said)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert "Usage" in done.output


def test_an_unknown_command_is_exit_code_2(segsize):
    assert segsize("pretrian").exit_code == 2


# -- what is imported ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [["--help"], ["pretrain", "--help"], ["new", "somewhere"], ["info", "somewhere"]]
)
def test_torch_is_not_imported_without_need(tmp_path, said):
    code = (
        "import sys; from napari_segsize.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'monai', 'napari', 'qtpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code, *said], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0


# -- a project without a window --------------------------------------------------------------------------


def test_from_nothing_to_a_split_project(segsize, tmp_path):
    import tifffile

    folder, images = tmp_path / "project", tmp_path / "images"
    images.mkdir()
    for subject in (1, 2, 3):
        for side in "ab":
            tifffile.imwrite(
                images / f"s{subject}{side}.tif", np.full((8, 9), subject * 10 + ord(side), np.uint8)
            )

    made = segsize("new", folder, "--name", "Brains", "--json")
    assert made.exit_code == 0
    assert lines(made.stdout)[0]["name"] == "Brains"
    added = segsize("add", folder, images, "--group-pattern", r"(s\d)[ab]\.tif$", "--json")
    assert [line["group"] for line in lines(added.stdout)] == ["s1", "s1", "s2", "s2", "s3", "s3"]
    assert segsize("split", folder, "--validation", "0.3", "--test", "0.3").exit_code == 0
    info = segsize("info", folder, "--json")
    parts = {line["part"]: line["images"] for line in lines(info.stdout) if line["result"] == "part"}
    assert parts == {"train": 2, "validation": 2, "test": 2, "all": 6}


def test_a_project_to_try_is_dealt_out_and_has_something_to_check_with(segsize, tmp_path):
    made = segsize("new", tmp_path / "p", "--sample", "--json")
    assert made.exit_code == 0
    with Project.open(tmp_path / "p") as project:
        parts = project.counts().by_split
        assert lines(made.stdout)[0]["masks"] == sum(part.masks for part in parts.values())
        held = [parts["validation"], parts["test"]]
        assert all(part.masks == part.planes > 0 for part in held)
        volumes = [image for image in project.images() if image.split == "train"]
        assert parts["train"].masks == len(volumes) < parts["train"].planes
    assert "dealt out" in segsize("new", "--help").stdout.replace("\n", " ")


def test_a_split_by_image_says_that_it_flatters(segsize, tmp_path):
    import tifffile

    for number in range(4):
        tifffile.imwrite(tmp_path / f"{number}.tif", np.full((8, 9), number, np.uint8))
    segsize("new", tmp_path / "p")
    segsize("add", tmp_path / "p", *sorted(tmp_path.glob("*.tif")), "--group", "one")
    done = segsize("split", tmp_path / "p", "--by", "image", "--validation", "0.5", "--json")
    assert {"result": "mixed group", "group": "one"}.items() <= lines(done.stdout)[-1].items()


def test_one_unreadable_file_of_a_folder(segsize, tmp_path):
    import tifffile

    folder, images = tmp_path / "p", tmp_path / "images"
    images.mkdir()
    tifffile.imwrite(images / "good.tif", np.eye(8, dtype=np.uint8))
    (images / "bad [1].tif").write_bytes(b"nonsense")
    segsize("new", folder)
    done = segsize("add", folder, images)
    assert done.exit_code == EXIT_USER
    assert "bad [1].tif" in done.stderr
    assert "--skip-unreadable" in done.stderr
    assert lines(segsize("info", folder, "--json").stdout)[0]["counts"]["images"] == 0
    done = segsize("add", folder, images, "--skip-unreadable", "--json")
    assert done.exit_code == 0, done.output
    left, added = lines(done.stdout)
    assert (left["result"], left["file"]) == ("left out", str(images / "bad [1].tif"))
    assert (added["result"], added["name"]) == ("add", "good")
    assert "Left out: " in segsize("add", folder, images, "--skip-unreadable").stdout


def test_sizes_go_out_and_in(segsize, project, tmp_path):
    with Project.open(project) as opened:
        plane = opened.planes()[0]
        opened.put_stamp(plane, 6, centre=(5.0, 6.0))
        opened.put_stamp(opened.planes()[1], 4)
    table = tmp_path / "sizes.csv"
    out = segsize("export-sizes", project, table, "--json")
    assert lines(out.stdout)[0]["rows"] == 2
    with Project.open(project) as opened:
        for annotation in list(opened.annotations()):
            for stamp in annotation.stamps:
                opened.delete(annotation.plane, stamp.object)
        assert opened.counts().sizes == 0
    done = segsize("import-sizes", project, table, "--json")
    assert done.exit_code == 0
    assert {"rows": 2, "sizes": 2, "centres": 1}.items() <= lines(done.stdout)[0].items()


def test_sizes_come_from_a_spreadsheet(segsize, project, tmp_path):
    text = "image;slice;object;y;x;size;unit\r\nimage_0;0;größer;5,5;6;4,0;px\r\n"
    (tmp_path / "sizes.csv").write_bytes(text.encode("cp1252"))
    done = segsize("import-sizes", project, tmp_path / "sizes.csv", "--json")
    assert {"rows": 1, "sizes": 1, "centres": 1}.items() <= lines(done.stdout)[0].items()


def test_masks_go_in_by_name_and_out(segsize, tmp_path):
    import tifffile

    for name in ("a.tif", "a1.tif"):
        tifffile.imwrite(tmp_path / name, np.arange(2 * 8 * 9, dtype=np.uint8).reshape(2, 8, 9) + len(name))
    labels = np.zeros((2, 8, 9), np.uint8)
    labels[0, 2:5, 3:6] = 7
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "a1_mask.tif", labels)
    folder = tmp_path / "p"
    segsize("new", folder)
    segsize("add", folder, tmp_path / "a.tif", tmp_path / "a1.tif")
    empty = segsize("export-masks", folder, tmp_path / "out")
    assert empty.exit_code == 1
    assert "There are no masks to write" in empty.output
    done = segsize("import-masks", folder, tmp_path / "labels", "--empty", "no_object", "--json")
    assert {"image": "a1", "planes": 1}.items() <= lines(done.stdout)[0].items(), done.output
    counts = lines(segsize("info", folder, "--json").stdout)[0]["counts"]
    assert (counts["masks"], counts["no_object"]) == (1, 1)
    segsize("export-masks", folder, tmp_path / "out")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "a1.tif"), labels)
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_masks_go_in_all_or_none(segsize, tmp_path):
    import tifffile

    folder, labels = tmp_path / "p", tmp_path / "labels"
    labels.mkdir()
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", np.arange(72, dtype=np.uint8).reshape(8, 9) + ord(name))
        tifffile.imwrite(labels / f"{name}.tif", np.eye(8, 9, dtype=np.uint8))
    (labels / "b.tif").write_bytes(b"nonsense")
    segsize("new", folder)
    segsize("add", folder, tmp_path / "a.tif", tmp_path / "b.tif")
    done = segsize("import-masks", folder, labels)
    assert done.exit_code == EXIT_USER
    assert done.stdout == ""
    assert "Nothing was read, because 1 of 2" in done.stderr
    assert lines(segsize("info", folder, "--json").stdout)[0]["counts"]["masks"] == 0
    tifffile.imwrite(labels / "b.tif", np.eye(8, 9, dtype=np.uint8))
    done = segsize("import-masks", folder, labels, "--json")
    assert [line["image"] for line in lines(done.stdout)] == ["a", "b"]


@pytest.mark.parametrize(
    "said",
    [
        ["info", "nowhere"],
        ["add", "{project}", "nowhere.png"],
        ["add", "{project}", "{project}", "--group-pattern", "(never)"],
        ["import-sizes", "{project}", "nowhere.csv"],
        ["import-masks", "{project}", "strange.tif"],
        ["new", "{project}"],
        ["split", "{project}", "--validation", "0.9", "--test", "0.9"],
        ["pretrain", "{project}"],
        ["finetune", "{project}"],
        ["evaluate", "{project}"],
        ["predict", "{project}"],
        ["pretrain", "{project}", "--resume"],
        ["run", "nowhere"],
    ],
)
def test_what_a_user_can_mend_is_a_sentence_and_exit_code_1(segsize, project, said):
    done = segsize(*(word.format(project=project) for word in said))
    assert done.exit_code == EXIT_USER, done.output
    assert "Traceback" not in done.output
    assert len(done.stderr.split()) > 4
    assert done.stdout == ""


def test_an_error_is_a_line_of_json_too(segsize):
    done = segsize("info", "nowhere", "--json")
    assert done.exit_code == EXIT_USER
    assert "not a project" in lines(done.stdout)[0]["error"]
    assert "not a project" in done.stderr


@pytest.mark.parametrize(
    "said", [["--group", "a", "--group-pattern", "(b)"], ["--group-pattern", "("], ["--group-pattern", "b"]]
)
def test_a_wrong_group_pattern_is_exit_code_2(segsize, project, said):
    assert segsize("add", project, project, *said).exit_code == 2


# -- events out ------------------------------------------------------------------------------------------


def test_every_event_is_one_line_of_json(capsys):
    out = JsonLines(sys.stdout)
    for event in ALL_EVENTS:
        out.event(event)
    found = lines(capsys.readouterr().out)
    assert [line["event"] for line in found] == [type(event).__name__ for event in ALL_EVENTS]
    assert found[3]["losses"] == {"total": 1.5, "dice": 0.5}
    assert found[5]["metrics"] == {"iou": 0.5, "size_error": None}
    assert found[6] == {
        "event": "Preview",
        "plane": {"image": 1, "slice": 2},
        "probabilities": {"shape": [4, 5], "dtype": "float32"},
    }
    assert found[-1]["comparison"]["rows"][0]["size_error"] is None
    assert "stopped" not in found[-1]  # a stopped job has no such event


def test_plain_values():
    assert plain({"a": np.float32(0.5), 2: Path("x"), "c": (np.int64(3), math.inf)}) == {
        "a": 0.5,
        "2": "x",
        "c": [3, None],
    }


def test_the_terminal_shows_progress_on_stderr_and_the_table_on_stdout(capsys):
    out = Terminal()
    for event in ALL_EVENTS:
        out.event(event)
    out.result("x", {"a": 1})
    out.close()
    shown = capsys.readouterr()
    assert "masks only" in shown.out
    assert "0.500" in shown.out
    assert "a: 1" in shown.out
    assert "pretrain on CPU, 1 threads: 2 masks" in shown.err
    assert "pretrain step 1: iou 0.500 · best so far" in shown.err
    assert "Mind the [gap]." in shown.err


def test_the_bar_shows_losses_metrics_and_time_left_in_a_narrow_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=70, legacy_windows=False)
    bar = Bar(console)
    bar.loading(Loading(stage="pretrain", done=0, total=7))
    bar.loading(Loading(stage="pretrain", done=5, total=7))
    bar.start(started())
    bar.validated(Validated(stage="pretrain", step=1, metrics={"iou": 0.5}, best=True))
    bar.step(step(2))
    bar.stop()
    bar.stop()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    for wanted in (
        "reading images",
        "5/7",
        "2/3",
        "1:10 left · 512 MB",
        "loss total 1.5 dice 0.5",
        "validation at step 1: iou 0.500",
    ):
        assert wanted in text


def test_other_processes_of_a_distributed_run_say_nothing(capsys, segsize, monkeypatch):
    out = Silent()
    for event in ALL_EVENTS:
        out.event(event)
    out.close()
    monkeypatch.setenv("RANK", "1")
    done = segsize("info", "nowhere", "--json")
    assert (done.exit_code, done.output) == (EXIT_USER, "")
    assert capsys.readouterr() == ("", "")


def test_numbers_for_people():
    assert duration(math.nan) == "?"
    assert duration(75) == "1:15"
    assert duration(3700) == "1:01:40"
    assert metrics_text({"iou": 0.51234, "size_error": math.nan}) == "iou 0.512"
    assert losses_text({"dice": 0.25, "total": 1.0}) == "total 1 dice 0.25"


# -- stop ------------------------------------------------------------------------------------------------


class Steps:
    """A stage that counts its steps, and whether it was closed."""

    def __init__(self, interrupt_at: int, *, steps: int = 5, times: int = 1) -> None:
        self.done, self.closed, self.saved = 0, False, False
        self.interrupt_at, self.steps, self.times = interrupt_at, steps, times

    def __call__(self):
        try:
            for number in range(1, self.steps + 1):
                if number == self.interrupt_at:
                    for _ in range(self.times):
                        signal.raise_signal(signal.SIGINT)
                self.done = number
                yield step(number, self.steps)
            yield Ended(stage="pretrain")
        finally:
            self.closed = True


def test_the_first_interrupt_finishes_the_step_and_closes_the_stage():
    stage = Steps(interrupt_at=3)
    before = signal.getsignal(signal.SIGINT)
    assert drain(stage(), Silent()) is True
    assert (stage.done, stage.closed) == (3, True)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_interrupt_aborts_in_the_step():
    stage = Steps(interrupt_at=3, times=2)
    with pytest.raises(KeyboardInterrupt):
        drain(stage(), Silent())
    assert (stage.done, stage.closed) == (2, True)


def test_an_interrupt_is_heard_while_a_large_file_is_read():
    closed = []

    def stage():
        try:
            signal.raise_signal(signal.SIGINT)
            while True:
                check()
                time.sleep(0.001)
        finally:
            closed.append(True)
        yield Ended(stage="pretrain")

    assert drain(stage(), Silent()) is True
    assert closed


def test_without_interrupt_the_stage_ends():
    stage = Steps(interrupt_at=0)
    assert drain(stage(), Silent()) is False
    assert (stage.done, stage.closed) == (5, True)


def test_an_interrupt_after_the_end_stops_nothing():
    def stage():
        yield step(1)
        signal.raise_signal(signal.SIGINT)
        yield Ended(stage="pretrain")

    assert drain(stage(), Silent()) is False


def test_the_stages_error_reaches_the_caller():
    def stage():
        yield step(1)
        raise SegsizeError("The loss is not a number.")

    with pytest.raises(SegsizeError, match="not a number"):
        drain(stage(), Silent())


class Program:
    """A command in a process of its own, whose JSON lines are read as they come."""

    def __init__(self, *words: object) -> None:
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "napari_segsize.cli", *map(str, words), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # tiny steps: threads would only wait for each other
            **group,
        )

    def read_until(self, wanted) -> list[dict]:
        found = []
        for line in self.process.stdout:
            found.append(json.loads(line))
            if wanted(found[-1]):
                break
        return found

    def interrupt(self) -> None:
        self.process.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)

    def rest(self) -> tuple[int, list[dict], str]:
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, lines(out), err


@pytest.fixture
def painted(shapes_project) -> Path:
    """The shapes with their masks."""
    from napari_segsize.samples import synthetic_shapes

    for plane, mask in zip(shapes_project.planes(), synthetic_shapes(12, (32, 32)).masks, strict=True):
        shapes_project.put_mask(plane, mask.astype(np.int32))
    return shapes_project.folder


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_saves_and_resume_continues(painted):
    said = ("--steps", 80, "--batch-size", 2, "--validate-every", 100, "--patience", 0, "--device", "cpu")
    program = Program("pretrain", painted, *said)
    found = program.read_until(lambda line: line.get("event") == "StepDone" and line["step"] >= 3)
    program.interrupt()
    code, rest, err = program.rest()
    assert code == EXIT_STOPPED
    assert "Ctrl-C again" in err
    assert "Traceback" not in err
    last_step = [line["step"] for line in found + rest if line.get("event") == "StepDone"][-1]
    assert {"result": "stopped", "stage": "pretrain", "step": last_step, "steps": 80}.items() <= rest[
        -1
    ].items()
    assert last_step < 80
    with Project.open(painted) as opened:
        assert opened.models() == ()

    code, found, err = Program("pretrain", painted, "--resume").rest()
    assert code == 0, err
    begun = next(line for line in found if line["event"] == "Started")
    steps = [line["step"] for line in found if line["event"] == "StepDone"]
    assert begun["step"] == last_step
    assert steps == list(range(last_step + 1, 81))
    assert found[-1]["event"] == "Ended"
    assert found[-1]["promoted"] is True
    with Project.open(painted) as opened:
        assert opened.current_model() is not None


@pytest.mark.slow
def test_the_whole_way_on_the_command_line(segsize, painted, tmp_path):
    with Project.open(painted) as opened:
        for plane in opened.planes("train")[4:]:
            opened.delete(plane, "mask")
            opened.put_stamp(plane, 10, centre=(15.0, 15.0))
    few = ("--steps", 4, "--batch-size", 2, "--validate-every", 2, "--seed", 3, "--device", "cpu", "--json")
    first = segsize("pretrain", painted, *few)
    assert first.exit_code == 0, first.output
    again = segsize("pretrain", painted, *few)

    def losses(done):
        return [line["losses"] for line in lines(done.stdout) if line["event"] == "StepDone"]

    assert losses(first) == losses(again)  # the same seed
    assert losses(first) != losses(segsize("pretrain", painted, *few, "--seed", 4))
    assert segsize("finetune", painted, *few).exit_code == 0
    compared = segsize("evaluate", painted, "--json")
    rows = lines(compared.stdout)[-1]["comparison"]["rows"]
    assert [row["name"] for row in rows] == ["masks only", "+ sizes and centres"]
    assert segsize("predict", painted, "--folder", tmp_path / "labels").exit_code == 0
    assert len(list((tmp_path / "labels").iterdir())) == 12
    assert "pretrain" in segsize("info", painted).stdout


def test_use_puts_a_model_in_use_and_names_those_there_are(segsize, project) -> None:
    with Project.open(project) as opened:
        for stage in ("pretrain", "finetune"):
            file = opened.models_folder / f"{stage}.pt"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"weights")
            opened.add_model(file, stage=stage, metrics={}, config={})
    assert segsize("use", project, 2).exit_code == 0
    with Project.open(project) as opened:
        assert opened.current_model().id == 2
    refused = segsize("use", project, 7)
    assert refused.exit_code != 0


def test_the_list_of_commands_is_whole_and_in_the_order_of_a_project(segsize):
    text = segsize("--help").output.partition("Commands:")[2]
    assert "..." not in text
    assert "Outline objects from four extreme points, or from a size with a place." in " ".join(text.split())
    listed = [line.split()[0] for line in text.splitlines() if line[:3].strip()]
    for before, after in (
        ("new", "add"),
        ("add", "pretrain"),
        ("pretrain", "finetune"),
        ("evolve", "refine"),
    ):
        assert listed.index(before) < listed.index(after)


# -- settings from a file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.toml", 'loss = "dice + 0.01*boundary"\nlearning-rate = 1\nsteps = 7\naugment = false\n'),
        (
            "run.json",
            '{"loss": "dice + 0.01*boundary", "learning_rate": 1, "steps": 7, "augment": false}',
        ),
    ],
)
def test_settings_come_from_a_file_and_the_command_line_wins(tmp_path, name, text):
    application, seen = probe(PretrainConfig)
    (tmp_path / name).write_text(text)
    done = CliRunner().invoke(application, ["--config", str(tmp_path / name), "--steps", "9"])
    assert done.exit_code == 0, done.output
    assert seen == [PretrainConfig(loss="dice + 0.01*boundary", learning_rate=1.0, steps=9, augment=False)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("step = 7", "step: no such setting; did you mean steps?"),
        ('steps = "7"', "steps: expected int, got '7'"),
        ("steps = 0", "steps: expected at least 1, got 0"),
        ("steps 7", "expected settings as `name = value` lines"),
        (None, "does not exist: check the path of the settings"),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence(tmp_path, text, sentence):
    application, seen = probe(PretrainConfig)
    file = tmp_path / "run.toml"
    if text is not None:
        file.write_text(text)
    done = CliRunner().invoke(application, ["--config", str(file)])
    assert done.exit_code == 1
    assert not seen
    said = " ".join(done.stderr.split())
    assert sentence in said.replace(str(tmp_path), "")
    assert "run.toml" in said


def test_the_next_command_can_be_pasted_though_a_folder_has_blanks(segsize, tmp_path):
    made = segsize("new", tmp_path / "Projekt Ü 1")
    _, command = "".join(made.stdout.splitlines()).split("Next: segsize ")
    assert shlex.split(command) == ["add", str(tmp_path / "Projekt Ü 1"), "IMAGES"]
