"""`segsize relink`: images that have moved, and images that have changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_segsize.cli import app
from napari_segsize.cli.command import EXIT_USER
from napari_segsize.project import PlaneRef, Project


def segsize(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def files(tmp_path) -> list[Path]:
    found = [tmp_path / "scans" / f"{name}.tif" for name in ("a", "b c")]
    found[0].parent.mkdir()
    for number, file in enumerate(found):
        tifffile.imwrite(file, np.arange(20, dtype=np.uint8).reshape(4, 5) + np.uint8(number))
    return found


@pytest.fixture
def folder(tmp_path, files) -> Path:
    with Project.create(tmp_path / "project") as project:
        for record in project.add_files(files):
            project.put_stamp(PlaneRef(record.id), 2)
    return tmp_path / "project"


def changed(folder: Path) -> list[str]:
    with Project.open(folder) as project:
        return [record.name for record in project.changed()]


def test_a_changed_file_is_named_and_used_as_it_is(folder, files):
    tifffile.imwrite(files[1], np.zeros((4, 5), np.uint8) + np.arange(5, dtype=np.uint8))
    said = segsize("info", folder).stdout
    assert f"segsize relink {folder} --as-is --image 'b c'" in said.replace("\n", " ")
    unnamed = segsize("relink", folder, "--as-is")
    assert unnamed.exit_code == EXIT_USER
    assert "Changed: b c." in unnamed.stderr
    assert changed(folder) == ["b c"]
    done = segsize("relink", folder, "--as-is", "--image", "b c", "--image", "a", "--json")
    assert done.exit_code == 0, done.stderr
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == ["b c", "a"]
    assert changed(folder) == []
    with Project.open(folder) as project:
        assert project.counts().sizes == 2
    assert "has not changed" in segsize("relink", folder, "--as-is", "--image", "b c").stdout


def test_another_shape_is_a_sentence(folder, files):
    tifffile.imwrite(files[0], np.zeros((9, 9), np.uint8))
    done = segsize("relink", folder, "--as-is", "--image", "a")
    assert done.exit_code == EXIT_USER
    assert "expected (1, 1, 4, 5) (planes, channels, rows, columns), got (1, 1, 9, 9)" in done.stderr
    assert changed(folder) == ["a"]


def test_moved_files_are_found(folder, files, tmp_path):
    (tmp_path / "new").mkdir()
    files[0].rename(tmp_path / "new" / "a.tif")
    files[1].rename(tmp_path / "new" / "other.tif")
    assert f"segsize relink {folder} FOLDER" in segsize("info", folder).stdout.replace("\n", " ")
    part = segsize("relink", folder, tmp_path / "new")
    assert part.exit_code == EXIT_USER
    assert "a: found again." in part.stdout
    assert "1 of 2 found again." in part.stderr
    assert segsize("relink", folder, tmp_path / "new" / "other.tif", "--image", "b c").exit_code == 0
    with Project.open(folder) as project:
        assert not project.missing()
    assert "nothing to look for" in segsize("relink", folder, tmp_path / "new").stderr


def test_a_file_that_has_moved_and_changed_needs_the_word(folder, files, tmp_path):
    files[0].unlink()
    tifffile.imwrite(tmp_path / "new.tif", np.eye(4, 5, dtype=np.uint8))
    words = ("relink", folder, tmp_path / "new.tif", "--image", "a")
    assert "its content differs" in segsize(*words).stderr
    assert segsize(*words, "--as-is").exit_code == 0
    assert changed(folder) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected a folder to look in"),
        (["--as-is", "--image", "nobody"], "no image 'nobody'"),
        (["{file}"], "name it with --image"),
        (["{file}", "--image", "a", "--image", "b c"], "got 2"),
    ],
)
def test_what_does_not_fit_together(folder, files, words, said):
    done = segsize("relink", folder, *(word.format(file=files[0]) for word in words))
    assert done.exit_code == EXIT_USER
    assert said in done.stderr.replace("\n", " ")
