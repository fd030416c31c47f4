"""Outlines without a window: `refine`, `train-edges`, `edges`."""

from __future__ import annotations

import json
import signal
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from napari_segsize.cli import app
from napari_segsize.cli.command import EXIT_USER
from napari_segsize.engine.edge_config import AlignConfig, EdgeConfig
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import mask_of, rings_of

SHAPE = (50, 70)
TINY = (
    "--steps", 2, "--validate-every", 1, "--batch-size", 1, "--patch", 32, "--warm-up", 0, "--device", "cpu",
)  # fmt: skip


def disk(centre: tuple[int, int], radius: float = 9) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


TRUTH = np.where(disk((22, 18)), 1, np.where(disk((24, 48)), 2, 0)).astype(np.int32)
ROUGH = np.where(disk((25, 17)), 1, np.where(disk((22, 51)), 2, 0)).astype(np.int32)
PIXELS = gaussian_filter(100.0 * (TRUTH > 0), 1).astype(np.float32)


@pytest.fixture
def folder(tmp_path) -> Path:
    with Project.create(tmp_path / "cells") as made:
        for number, split in enumerate(("train", "validation")):
            plane = PlaneRef(made.add_array(f"cell{number}", PIXELS, split=split).id, 0)
            if number:
                made.put_mask(plane, ROUGH)
            else:
                made.put_contour(plane, object="a", rings=rings_of(ROUGH == 1), source="drawn")
                made.put_contour(plane, object="b", rings=rings_of(ROUGH == 2), source="drawn")
    return tmp_path / "cells"


@pytest.fixture
def segsize():
    def run(*words: object):
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def sentence(done) -> str:
    assert done.exit_code == EXIT_USER, done.output
    return " ".join(done.stderr.split())


def test_label_images_are_written_and_nothing_is_kept_without_asking(folder, segsize, tmp_path):
    done = segsize("refine", folder, "--out", tmp_path / "new", "--stay", 0.1)
    assert done.exit_code == 0, done.output
    assert "4 of 4 outlines moved; 2 label images" in done.stdout
    files = sorted((tmp_path / "new").iterdir())
    assert [file.name for file in files] == ["0001-cell0-aligned.tif", "0002-cell1-aligned.tif"]
    for file in files:
        labels = tifffile.imread(file)
        assert labels.dtype == np.int32
        for number in (1, 2):
            assert overlap(labels == number, number == TRUTH) > 0.9
    with Project.open(folder) as opened:
        said = opened.annotation(PlaneRef(opened.images()[0].id, 0))
        assert np.array_equal(mask_of(said.contours[0].rings, SHAPE), ROUGH == 1)
    assert "nothing is kept" in segsize("refine", folder).stdout


def test_accepted_outlines_are_in_the_project_one_step_of_undo_each(folder, segsize):
    done = segsize("refine", folder, "--accept", "--split", "train", "--stay", 0.1, "--json")
    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["objects"], last["moved"], last["accepted"]) == (2, 2, 2)
    with Project.open(folder) as opened:
        plane = PlaneRef(opened.images()[0].id, 0)
        masks = [mask_of(each.rings, SHAPE) for each in opened.annotation(plane).contours]
        assert overlap(masks[0], TRUTH == 1) > 0.9
        assert overlap(masks[1], TRUTH == 2) > 0.9
        opened.undo()
        changed = [mask_of(each.rings, SHAPE) for each in opened.annotation(plane).contours]
        assert np.array_equal(changed[1], ROUGH == 2)
        assert np.array_equal(changed[0], masks[0])
        other = opened.annotation(PlaneRef(opened.images()[1].id, 0))
        assert np.array_equal(other.mask, ROUGH)


def test_files_without_a_project(segsize, tmp_path):
    tifffile.imwrite(tmp_path / "rough.tif", np.stack([ROUGH, 0 * ROUGH]).astype(np.uint16))
    tifffile.imwrite(tmp_path / "image.tif", np.stack([PIXELS, PIXELS]))
    done = segsize(
        "refine", "--labels", tmp_path / "rough.tif", "--image", tmp_path / "image.tif", "--out", tmp_path,
        "--stay", 0.1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    labels = tifffile.imread(tmp_path / "rough-aligned.tif")
    assert labels.shape == (2, *SHAPE)
    assert overlap(labels[0] == 2, TRUTH == 2) > 0.9
    assert not labels[1].any()


def refined(segsize, folder, rough, image, *options):
    """What `segsize refine` does with two files."""
    tifffile.imwrite(folder / "rough.tif", rough.astype(np.uint16))
    tifffile.imwrite(folder / "image.tif", image)
    files = ("--labels", folder / "rough.tif", "--image", folder / "image.tif", "--out", folder)
    return segsize("refine", *files, *options)


def test_files_are_aligned_by_the_network_that_ships(segsize, tmp_path):
    done = refined(segsize, tmp_path, ROUGH, PIXELS, "--method", "learned")
    assert done.exit_code == 0, done.output
    labels = tifffile.imread(tmp_path / "rough-aligned.tif")
    for number in (1, 2):
        assert overlap(labels == number, number == TRUTH) > max(
            0.9, overlap(number == ROUGH, number == TRUTH)
        )


def test_an_outline_that_vanishes_stays_as_it_was(segsize, tmp_path):
    labels = ROUGH.copy()
    labels[34, 46:48] = 9
    done = refined(segsize, tmp_path, labels, PIXELS, "--method", "geodesic")
    assert "2 of 3 outlines moved" in done.stdout
    assert "object 9 stays as it was. The outline vanished" in " ".join(done.stderr.split())
    found = tifffile.imread(tmp_path / "rough-aligned.tif")
    assert np.array_equal(found == 9, labels == 9)


def test_even_images_are_reported_and_left(segsize, tmp_path):
    done = refined(segsize, tmp_path, ROUGH, np.zeros(SHAPE, np.uint8))
    assert "0 of 2 outlines moved" in done.stdout
    assert "no edges around this object" in " ".join(done.stderr.split())
    assert np.array_equal(tifffile.imread(tmp_path / "rough-aligned.tif"), ROUGH)


def test_a_network_is_trained_used_and_its_edges_written(folder, segsize, tmp_path):
    assert "no edge network yet" in sentence(segsize("edges", folder, "--out", tmp_path / "maps"))
    assert "no edge network yet" in sentence(segsize("refine", folder, "--to", "edges"))
    done = segsize("train-edges", folder, *TINY)
    assert done.exit_code == 0, done.output
    with Project.open(folder) as opened:
        assert opened.current_model("edges") is not None
        assert opened.current_model() is None
    for options in ((), ("--thick",)):
        done = segsize("edges", folder, "--out", tmp_path / "maps", "--device", "cpu", *options)
        assert done.exit_code == 0, done.output
        found = tifffile.imread(tmp_path / "maps" / "0001-cell0-edges.tif")
        assert found.dtype == np.float32
        assert found.shape == SHAPE
        assert (found == 0).any() == (not options)
    assert segsize("refine", folder, "--to", "edges", "--out", tmp_path / "new").exit_code == 0
    assert "edges" in segsize("info", folder).stdout


def test_every_setting_is_an_option(segsize):
    for name, config in (("refine", AlignConfig), ("train-edges", EdgeConfig)):
        text = segsize(name, "--help").stdout
        for item in fields(config):
            assert f"--{item.name.replace('_', '-')}" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--labels", "x.tif"), "belong together"),
        (("--labels", "x.tif", "--image", "y.tif", "--accept"), "need a project"),
        (("--steps", "0"), "steps"),
    ],
)
def test_a_wrong_command_line(folder, segsize, words, said):
    done = segsize("refine", folder, *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_labels_that_do_not_fit(segsize, tmp_path):
    tifffile.imwrite(tmp_path / "rough.tif", ROUGH[:-1].astype(np.uint16))
    tifffile.imwrite(tmp_path / "image.tif", PIXELS)
    words = ("refine", "--labels", tmp_path / "rough.tif", "--image", tmp_path / "image.tif")
    assert "does not fit" in sentence(segsize(*words))
    tifffile.imwrite(tmp_path / "rough.tif", np.zeros(SHAPE, np.uint16))
    assert "holds no object" in sentence(segsize(*words))


LEARN = ("--steps", 4, "--validate-every", 2, "--batch-size", 2, "--warm-up", 0, "--average", 0)


@pytest.fixture
def many(folder) -> Path:
    """More outlines: as many as a network for them needs."""
    with Project.open(folder) as opened:
        for number in range(3):
            plane = PlaneRef(opened.add_array(f"more{number}", PIXELS, split="train").id, 0)
            opened.put_mask(plane, TRUTH)
        opened.put_mask(PlaneRef(opened.images()[1].id, 0), TRUTH)
    return folder


def test_a_taught_network_is_the_one_that_learned_uses(many, segsize, monkeypatch):
    from napari_segsize.engine import alignment_stages
    from napari_segsize.models.alignment import build_alignment_net

    fresh = build_alignment_net(8, seed=0), {"features": 8}  # knows nothing: a few steps make it better
    monkeypatch.setattr(alignment_stages, "load_alignment_starter", lambda: fresh)
    done = segsize(
        "train-alignment", many, *LEARN, "--steps", 60, "--validate-every", 20, "--learning-rate", 0.01,
        "--batch-size", 4, "--farthest", 5, "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["promoted"] is True
    assert last["metrics"]["back"] > 0
    info = segsize("info", many)
    assert f"Rough outlines are moved by model {last['model']}" in " ".join(info.stdout.split())
    monkeypatch.undo()
    with Project.open(many) as opened:
        opened.put_mask(PlaneRef(opened.images()[1].id, 0), ROUGH)
    moved = segsize("refine", many, "--method", "learned", "--reach", 4, "--out", many / "taught")
    assert moved.exit_code == 0, moved.output
    other = segsize(
        "refine", "--labels", label_file(many, ROUGH), "--image", image_file(many), "--method", "learned",
        "--reach", 4, "--out", many / "shipped",
    )  # fmt: skip
    assert other.exit_code == 0, other.output
    back = segsize("use", many, "--shipped", "alignment")
    assert back.exit_code == 0, back.output
    assert "network that ships is now in use for alignment" in " ".join(back.stdout.split())
    assert "Rough outlines are moved by model" not in segsize("info", many).stdout
    assert segsize("use", many, last["model"]).exit_code == 0
    for wrong in ((), (last["model"], "--shipped", "alignment")):
        assert "the number of a model, or --shipped" in " ".join(segsize("use", many, *wrong).output.split())
    taught = tifffile.imread(many / "taught" / "0002-cell1-aligned.tif")
    assert not np.array_equal(taught, tifffile.imread(many / "shipped" / "rough-aligned.tif"))


def label_file(folder: Path, labels: np.ndarray) -> Path:
    tifffile.imwrite(folder / "rough.tif", labels.astype(np.uint16))
    return folder / "rough.tif"


def image_file(folder: Path) -> Path:
    tifffile.imwrite(folder / "image.tif", PIXELS)
    return folder / "image.tif"


def test_too_few_outlines_to_teach_are_a_sentence(folder, segsize):
    done = segsize("train-alignment", folder, *LEARN, "--device", "cpu")
    assert "there are 4 in training and validation images" in sentence(done)


def test_a_stopped_teaching_names_the_command_that_goes_on(many, segsize, monkeypatch):
    from napari_segsize.engine import alignment_stages

    ran = alignment_stages.train_alignment

    def stopped(*arguments, **more):
        for event in ran(*arguments, **more):
            if getattr(event, "step", 0) == 2:
                signal.raise_signal(signal.SIGINT)
            yield event

    monkeypatch.setattr(alignment_stages, "train_alignment", stopped)
    done = segsize("train-alignment", many, *LEARN, "--device", "cpu")
    assert "segsize train-alignment" in " ".join(done.output.split())
    assert "--resume" in done.output
    monkeypatch.undo()
    again = segsize("train-alignment", many, "--resume", "--json")
    assert again.exit_code == 0, again.output
    steps = [json.loads(line) for line in again.stdout.splitlines()]
    assert [each["step"] for each in steps if "losses" in each] == [3, 4]
