"""Contours without a window: `evolve`, the training of the network behind it, and what others say of it."""

from __future__ import annotations

import json
import math
import shlex
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_segsize.cli import app
from napari_segsize.cli.command import EXIT_STOPPED, EXIT_USER
from napari_segsize.engine.config import FineTuneConfig
from napari_segsize.engine.contour_config import ContourConfig, EvolveConfig
from napari_segsize.engine.events import ContourDone, Ended, StepDone, Validated
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.prompt import prompts_of
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import mask_of
from napari_segsize.project.rings import on_grid

SHAPE = (60, 70)
RADIUS = 9.0
PLACES = {"drawn": (14.0, 16.0), "clicked": (16.0, 50.0), "stamped": (42.0, 20.0)}
TRAINING = {
    "steps": 3, "batch_size": 3, "validate_every": 2, "model": "small", "seed": 5, "device": "cpu",
}  # fmt: skip


def disc(name: str, grow: float = 0.0) -> np.ndarray:
    y, x = np.indices(SHAPE)
    cy, cx = PLACES[name]
    return (y - cy) ** 2 + (x - cx) ** 2 <= (RADIUS + grow) ** 2


def picture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(scale=10, size=SHAPE)
    return (200.0 * np.any([disc(name) for name in PLACES], axis=0) + noise).astype(np.float32)


def ring(name: str) -> tuple[tuple[float, float], ...]:
    angle = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    y, x = PLACES[name]
    return tuple((y + RADIUS * math.sin(a), x + RADIUS * math.cos(a)) for a in angle)


def clicks(name: str) -> tuple[tuple[float, float], ...]:
    y, x = PLACES[name]
    return ((y, x - RADIUS), (y - RADIUS, x), (y, x + RADIUS), (y + RADIUS, x))


def annotate(project: Project, plane: PlaneRef) -> None:
    project.put_contour(plane, object="drawn", rings=(ring("drawn"),), points=clicks("drawn"), source="drawn")
    project.put_contour(plane, object="clicked", points=clicks("clicked"))
    project.put_contour(plane, object="stamped", points=clicks("stamped")[:2])
    project.put_stamp(plane, 12, centre=PLACES["stamped"], object="stamped")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two images of three discs, of which one is outlined, one clicked and one stamped."""
    with Project.create(tmp_path / "discs") as made:
        for seed, split in enumerate(("train", "validation")):
            image = made.add_array(f"image_{seed}", picture(seed), split=split)
            annotate(made, PlaneRef(image.id))
    return tmp_path / "discs"


@pytest.fixture
def segsize():
    def run(*words: object):
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def lines(done, **wanted: object) -> list[dict]:
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in found if wanted.items() <= line.items()]


def options(**settings: object) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def contours(folder: Path) -> dict[tuple[int, str], object]:
    with Project.open(folder) as project:
        return {
            (said.plane.image, each.object): each for said in project.annotations() for each in said.contours
        }


def overlap(mask: np.ndarray, name: str) -> float:
    return float((mask & disc(name)).sum() / (mask | disc(name)).sum())


# -- outlining -------------------------------------------------------------------------------------------


def test_evolve_accepts_what_the_engine_gives_and_leaves_what_was_accepted(segsize, folder):
    from napari_segsize.engine.evolve import evolve

    before = contours(folder)
    with Project.open(folder) as project:
        prompts = [prompt for said in project.annotations() for prompt in prompts_of(said)]
        config = EvolveConfig(vertices=20, iterations=2, device="cpu")
        called = {
            (event.plane.image, event.object): event.contours[-1]
            for event in evolve(project, prompts, config)
            if isinstance(event, ContourDone)
        }
    said = options(vertices=20, iterations=2, device="cpu")
    done = segsize("evolve", folder, *said, "--accept", "--json")
    assert done.exit_code == 0, done.output
    typed = {
        (line["plane"]["image"], line["object"]): line["vertices"]
        for line in lines(done, event="ContourDone")
    }
    assert typed == {key: vertices.tolist() for key, vertices in called.items()}
    assert len(typed) == 4
    assert lines(done)[-1] == {
        "result": "evolve", "objects": 4, "contours": 4, "failed": 0, "accepted": 4, "files": [],
    }  # fmt: skip
    after = contours(folder)
    for key, contour in after.items():
        if contour.object == "drawn":
            assert contour == before[key]
            continue
        assert contour.source == "network"
        assert contour.points == before[key].points
        assert np.array_equal(contour.vertices, on_grid(called[key]))
        assert overlap(mask_of(contour.rings, SHAPE), contour.object) > 0.75

    again = segsize("evolve", folder, "--accept")
    assert again.exit_code == 0
    assert "already" in again.stdout


def test_no_line_of_json_holds_a_field_or_all_iterations(segsize, folder):
    done = segsize("evolve", folder, "--split", "train", *options(device="cpu"), "--json")
    assert [line["step"] for line in lines(done, event="ContourStep")] == [0, 1, 2] * 2
    assert lines(done, event="ContourStep")[0]["vertices"] == {"shape": [32, 2], "dtype": "float32"}
    outlined = lines(done, event="ContourDone")
    assert outlined[0]["contours"] == {"shape": [3, 32, 2], "dtype": "float32"}
    assert outlined[0]["field"]["shape"] == [2, 64, 64]
    assert max(map(len, done.stdout.splitlines())) < 4000
    assert len(lines(done, event="Ended")) == 1


def test_the_classical_contour_is_named_as_the_source(segsize, folder):
    done = segsize("evolve", folder, "--engine", "snake", "--snake-steps", 3, "--accept", "--split", "train")
    assert done.exit_code == 0, done.output
    assert "2 of 2 objects outlined; the project has 4 contours now." in done.stdout
    assert sorted(contour.source for contour in contours(folder).values()) == [
        "", "", "drawn", "drawn", "snake", "snake",
    ]  # fmt: skip


def snake(folder: Path, *words: object) -> list[object]:
    """The quickest engine, for tests of what is around it."""
    return ["evolve", folder, "--engine", "snake", "--snake-steps", 2, "--vertices", 16, *words]


def test_without_accept_nothing_is_kept_and_it_says_so(segsize, folder):
    before = contours(folder)
    done = segsize(*snake(folder))
    assert done.exit_code == 0
    assert "4 of 4 objects outlined; nothing is kept" in done.stdout
    assert contours(folder) == before


def test_out_gets_a_label_image_of_each_plane_with_what_was_accepted_before(segsize, folder, tmp_path):
    before = contours(folder)
    done = segsize(*snake(folder, "--out", tmp_path / "labels", "--json"))
    files = sorted((tmp_path / "labels").iterdir())
    assert lines(done)[-1]["files"] == [str(file) for file in files]
    assert [file.name for file in files] == ["0001-image_0-labels.tif", "0002-image_1-labels.tif"]
    labels = tifffile.imread(files[0])
    assert (labels.dtype, labels.shape) == (np.int32, SHAPE)
    assert sorted(np.unique(labels)) == [0, 1, 2, 3]
    for number, name in enumerate(("drawn", "clicked", "stamped"), start=1):
        assert overlap(labels == number, name) > 0.5, name
    assert contours(folder) == before


def test_planes_of_a_stack_get_a_file_each(segsize, tmp_path):
    with Project.create(tmp_path / "stack") as made:
        image = made.add_array("a", np.stack([picture(seed) for seed in range(3)]), kind="stack")
        for k in (0, 2):
            made.put_contour(PlaneRef(image.id, k), object="clicked", points=clicks("clicked"))
    segsize(*snake(tmp_path / "stack", "--out", tmp_path / "labels"))
    names = sorted(file.name for file in (tmp_path / "labels").iterdir())
    assert names == ["0001-a-0000-labels.tif", "0001-a-0002-labels.tif"]


def test_redo_outlines_accepted_objects_too(segsize, folder, tmp_path):
    done = segsize(*snake(folder, "--redo", "--accept", "--split", "train", "--out", tmp_path, "--json"))
    assert lines(done)[-1]["contours"] == 3
    redone = contours(folder)[1, "drawn"]
    assert (redone.source, len(redone.vertices)) == ("snake", 16)
    assert overlap(tifffile.imread(next(tmp_path.glob("*.tif"))) == 1, "drawn") > 0.5


def test_an_object_that_fails_is_a_sentence_and_the_others_go_on(segsize, folder):
    with Project.open(folder) as project:
        project.file_of(1).unlink()
    done = segsize(*snake(folder, "--accept"))
    assert done.exit_code == 0
    said = " ".join(done.stderr.split())
    assert said.count("image_0, the object at (16, 50): ") == 1
    assert said.count("image_0, the object at (42, 20): ") == 1
    assert "2 of 4 objects outlined" in done.stdout
    assert contours(folder)[2, "clicked"].accepted


def test_when_all_fail_the_exit_code_says_so(segsize, folder, tmp_path):
    with Project.open(folder) as project:
        for image in project.images():
            project.file_of(image.id).unlink()
    done = segsize(*snake(folder, "--json", "--out", tmp_path / "labels"))
    assert done.exit_code == EXIT_USER
    assert lines(done, result="evolve")[0]["failed"] == 4
    assert "No object could be outlined" in lines(done)[-1]["error"]
    assert list((tmp_path / "labels").iterdir()) == []


def one_that_answers(*outlines: object):
    """An engine with these contours, one for each object it is asked for."""

    def evolve(project, prompts, config):
        for prompt, vertices in zip(prompts, outlines, strict=False):
            steps = np.stack([np.asarray(vertices, np.float32)] * 2)
            yield ContourDone(
                plane=prompt.plane, object=prompt.object, contours=steps, engine="network", seconds=0.1,
                notice="The contour crossed itself." if vertices == ring("clicked") else "",
            )  # fmt: skip

    return evolve


def test_what_the_project_refuses_has_failed_and_notices_are_said(segsize, folder, monkeypatch):
    outside = [(-9.0, -9.0), (-9.0, -5.0), (-5.0, -5.0)]
    engine = one_that_answers(ring("clicked"), outside)
    monkeypatch.setattr("napari_segsize.engine.evolve.evolve", engine)
    done = segsize("evolve", folder, "--accept", "--split", "train", "--json")
    assert done.exit_code == 0, done.output
    assert [line["object"] for line in lines(done, event="ContourFailed")] == ["stamped"]
    crossed, refused = (line["text"] for line in lines(done, event="Notice"))
    assert crossed == "image_0, the object at (16, 50): The contour crossed itself."
    assert "lies outside the image" in refused
    assert {"contours": 1, "failed": 1, "accepted": 1}.items() <= lines(done)[-1].items()


def test_ctrl_c_keeps_what_is_done(segsize, folder, tmp_path, monkeypatch):
    from napari_segsize.engine import evolve as engine

    def interrupted(project, prompts, config, whole=engine.evolve):
        for event in whole(project, prompts, config):
            if isinstance(event, ContourDone):
                signal.raise_signal(signal.SIGINT)
            yield event

    monkeypatch.setattr(engine, "evolve", interrupted)
    done = segsize(*snake(folder, "--accept", "--out", tmp_path / "labels", "--json"))
    assert done.exit_code == EXIT_STOPPED
    files = [str(file) for file in (tmp_path / "labels").iterdir()]
    assert len(files) == 1
    assert lines(done)[-1] == {
        "result": "stopped", "objects": 4, "contours": 1, "failed": 0, "accepted": 1, "files": files,
    }  # fmt: skip
    with Project.open(folder) as project:
        assert project.counts().contours == 3


@pytest.mark.parametrize("said", [[], ["--redo"], ["--split", "test"]])
def test_nothing_to_outline_is_a_sentence(segsize, tmp_path, said):
    with Project.create(tmp_path / "p") as made:
        image = made.add_array("a", picture(0))
        if said == ["--redo"]:
            made.put_contour(PlaneRef(image.id), rings=(ring("drawn"),), source="drawn")
        elif said:
            annotate(made, PlaneRef(image.id))
    done = segsize("evolve", tmp_path / "p", *said)
    assert done.exit_code == EXIT_USER
    assert "four extreme points" in " ".join(done.stderr.split())


# -- training and comparing ------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch) -> list[tuple[ContourConfig, bool]]:
    """Contour trainings that would have been run."""
    found = []

    def finetune_contour(project, config, *, resume):
        found.append((config, resume))
        yield Ended(stage="contour")

    monkeypatch.setattr("napari_segsize.engine.contour_stages.finetune_contour", finetune_contour)
    return found


def test_finetune_carries_over_what_means_something_for_contours(segsize, folder, asked):
    shared = {"steps": 7, "learning_rate": 0.25, "size_weight": 0.5, "seed": 3, "patience": 2}
    done = segsize(
        "finetune", folder, "--model", "contour", *options(**shared), "--no-augment",
        "--recipe", "paper", "--samples", 4, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert asked == [(ContourConfig(**shared, augment=False), False)]
    said = [line["text"] for line in lines(done, event="Notice")]
    assert [text.split()[0] for text in said] == ["--recipe", "--samples"]
    assert all("means nothing for contours" in text for text in said)


def test_what_is_not_given_is_the_contours_own_default(segsize, folder, asked):
    segsize("finetune", folder, "--model", "contour")
    segsize("finetune-contours", folder)
    segsize("finetune", folder, "--model", "contour", "--resume", "--samples", 4)
    assert asked == [(ContourConfig(), False), (ContourConfig(), False), (ContourConfig(), True)]
    shared = {item.name for item in fields(ContourConfig)} & {item.name for item in fields(FineTuneConfig)}
    wanted = {"steps", "learning_rate", "batch_size", "seed", "device", "precision", "augment", "warm_up"}
    assert wanted < shared


def test_level_sets_are_taught_by_the_same_commands(segsize, folder, monkeypatch):
    found = []

    def finetune_levelset(project, config, *, resume):
        found.append((config, resume))
        yield Ended(stage="levelset")

    monkeypatch.setattr("napari_segsize.engine.contour_stages.finetune_levelset", finetune_levelset)
    shared = {"steps": 7, "size_weight": 0.5, "seed": 3}
    done = segsize(
        "finetune", folder, "--model", "levelset", *options(**shared),
        "--samples", 4, "--preset", "paper", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = [line["text"] for line in lines(done, event="Notice")]
    assert [text.split()[0] for text in said] == ["--preset", "--samples"]
    assert all("means nothing for level sets" in text and "finetune-levelsets" in text for text in said)
    segsize("finetune-levelsets", folder, "--points-weight", 0.5, "--model", "large")
    segsize("finetune", folder, "--model", "levelset", "--resume", "--samples", 4)
    assert found == [
        (LevelSetConfig(**shared), False),
        (LevelSetConfig(points_weight=0.5, model="large"), False),
        (LevelSetConfig(), True),
    ]


@pytest.mark.slow
def test_a_taught_level_set_is_named_compared_and_used(segsize, folder):
    done = segsize(
        "finetune", folder, "--model", "levelset", *options(steps=2, batch_size=3), "--device", "cpu"
    )
    assert done.exit_code == 0, done.output
    done = segsize("finetune-levelsets", folder, *options(**TRAINING))
    assert done.exit_code == 0, done.output
    with Project.open(folder) as project:
        number = project.models()[-1].id
        assert project.models()[-1].stage == "levelset"
    assert "for level sets" in segsize("use", folder, number).stdout
    assert f"Level sets are moved by model {number}." in segsize("info", folder).stdout
    compared = segsize("evaluate", folder, "--model", "levelset", "--split", "validation")
    assert compared.exit_code == 0, compared.output
    assert "level-set network that ships" in compared.stdout
    assert f"level-set model {number}" in compared.stdout
    evolved = segsize("evolve", folder, "--engine", "levelset", "--model", number, "--device", "cpu")
    assert evolved.exit_code == 0, evolved.output
    assert segsize("evolve", folder, "--model", number).exit_code == EXIT_USER


def test_what_contours_refuse_is_a_wrong_command_line(segsize, folder):
    done = segsize("finetune-contours", folder, "--vertices", 3)
    assert done.exit_code == 2
    assert "Usage" in done.output


@pytest.mark.slow
def test_training_by_command_line_gives_the_numbers_of_the_engine(segsize, folder):
    from napari_segsize.engine.contour_stages import finetune_contour

    with Project.open(folder) as project:
        called = list(finetune_contour(project, ContourConfig(**TRAINING)))
    done = segsize("finetune-contours", folder, *options(**TRAINING), "--json")
    assert done.exit_code == 0, done.output
    steps = [event.losses for event in called if isinstance(event, StepDone)]
    looks = [event.metrics for event in called if isinstance(event, Validated)]
    assert [line["losses"] for line in lines(done, event="StepDone")] == steps
    assert [line["metrics"] for line in lines(done, event="Validated")] == looks
    assert len(steps) + len(looks) == 5


@pytest.mark.slow
def test_a_stopped_training_says_how_to_go_on(segsize, folder, monkeypatch):
    from napari_segsize.engine import contour_stages

    whole = contour_stages.finetune_contour

    def interrupted(project, config, *, resume):
        for event in whole(project, config, resume=resume):
            if isinstance(event, StepDone) and event.step == 1 and not resume:
                signal.raise_signal(signal.SIGINT)
            yield event

    monkeypatch.setattr(contour_stages, "finetune_contour", interrupted)
    done = segsize("finetune-contours", folder, *options(**TRAINING), "--json")
    assert done.exit_code == EXIT_STOPPED, done.output
    stopped = lines(done)[-1]
    assert {"result": "stopped", "stage": "contour", "step": 1, "steps": 3}.items() <= stopped.items()
    program, *words = shlex.split(stopped["resume"])
    assert (program, words[0]) == ("segsize", "finetune-contours")
    rest = segsize(*words, "--json")
    assert rest.exit_code == 0, rest.output
    assert [line["step"] for line in lines(rest, event="StepDone")] == [2, 3]

    # the project now has a model of its own; three steps did not make it better than the one that ships
    assert lines(rest, event="Ended")[-1]["promoted"] is False
    assert segsize("use", folder, 1).exit_code == 0
    given = ("--models", "1,2", "--mirrored", "--split", "validation")
    compared = segsize("evaluate", folder, "--model", "contour", *given)
    assert compared.exit_code == 0, compared.output
    assert "--models means nothing for contours" in compared.stderr
    assert "--mirrored means nothing for contours" in compared.stderr
    assert "On the validation images" in compared.stdout
    assert "contour network that ships" in compared.stdout
    assert "contour model 1" in compared.stdout
    assert "objects" in compared.stdout


def test_only_outlined_objects_can_be_compared_on(segsize, folder):
    done = segsize("evaluate", folder, "--model", "contour", "--split", "train", "--json")
    assert done.exit_code == 0, done.output
    table = lines(done, event="Ended")[0]["comparison"]
    assert (table["split"], table["of"], table["rows"][0]["images"]) == ("train", "objects", 1)
    with Project.open(folder) as project:
        project.delete_contour(PlaneRef(2), "drawn")
    assert segsize("evaluate", folder, "--model", "contour").exit_code == EXIT_USER


# -- looking ---------------------------------------------------------------------------------------------


def test_info_counts_contours_and_names_the_model_that_moves_them(segsize, folder):
    assert "Contours are moved by the network that ships." in segsize("info", folder).stdout
    with Project.open(folder) as project:
        for stage in ("pretrain", "contour", "contour"):
            file = project.models_folder / f"{len(project.models())}.pt"
            file.write_bytes(b"weights")
            project.add_model(file, stage=stage, metrics={"iou": 0.5}, config={})
    assert "for pixels" in segsize("use", folder, 1).stdout
    assert "for contours" in segsize("use", folder, 2).stdout
    assert "Contours are moved by model 2." in segsize("info", folder).stdout
    info = segsize("info", folder, "--json")
    assert lines(info, result="info")[0]["contour_model"] == 2
    parts = {line["part"]: (line["points"], line["contours"]) for line in lines(info, result="part")}
    assert parts == {"train": (2, 1), "validation": (2, 1), "test": (0, 0), "all": (4, 2)}
    assert [line["in_use"] for line in lines(info, result="model")] == ["*", "*", ""]
    with Project.open(folder) as project:
        assert (project.current_model().id, project.current_model("contours").id) == (1, 2)
    assert "moves contours" in " ".join(segsize("predict", folder, "--model", 2).stderr.split())


@pytest.mark.parametrize("name", ["evolve", "finetune-contours"])
def test_help_imports_no_torch(name):
    code = (
        "import sys; from napari_segsize.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'monai', 'skimage', 'napari', 'qtpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code, name, "--help"], capture_output=True)
    assert done.returncode == 0
    assert b"--iterations" in done.stdout
