"""`segsize export-contours` and `import-contours`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_segsize.cli import app
from napari_segsize.cli.command import EXIT_USER
from napari_segsize.project import PlaneRef, Project

SQUARE = ((2.0, 3.0), (6.0, 3.0), (6.0, 7.0), (2.0, 7.0))


@pytest.fixture
def segsize():
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    """A project with a contour on each of two images."""
    with Project.create(tmp_path / "project") as project:
        for name in ("a", "b"):
            project.add_array(name, np.arange(72.0).reshape(8, 9) * ord(name))
        for number in (1, 2):
            project.put_contour(PlaneRef(number), object=f"cell {number}", rings=[SQUARE], source="drawn")
    return tmp_path / "project"


def results(done) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def emptied(folder) -> None:
    with Project.open(folder) as project:
        for said in list(project.annotations()):
            for contour in said.contours:
                project.delete(said.plane, contour.object)


@pytest.mark.parametrize("name", ["contours.csv", "contours.json"])
def test_one_file_out_and_in(segsize, folder, tmp_path, name):
    done = segsize("export-contours", folder, tmp_path / name, "--json")
    assert done.exit_code == 0, done.output
    assert results(done) == [
        {"result": "export-contours", "files": [str(tmp_path / name)], "contours": 2, "notices": []}
    ]
    emptied(folder)
    done = segsize("import-contours", folder, tmp_path / name)
    assert "2 contours; the project now has 2." in done.output
    with Project.open(folder) as project:
        assert project.annotation(PlaneRef(2)).contours[0].rings == (SQUARE,)


def test_a_folder_and_one_image(segsize, folder, tmp_path):
    done = segsize("export-contours", folder, tmp_path / "out", "--format", "tif")
    assert "2 files: 2 contours." in done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.tif", "b.tif"]
    assert tifffile.imread(tmp_path / "out" / "a.tif").sum() == 16
    done = segsize("export-contours", folder, tmp_path / "x.zip", "--image", "b")
    assert "x.zip: 1 contours." in done.output
    emptied(folder)
    done = segsize("import-contours", folder, tmp_path / "out", tmp_path / "x.zip", "--image", "b", "--json")
    assert done.exit_code == EXIT_USER  # the folder has files of both images
    done = segsize("import-contours", folder, tmp_path / "x.zip", "--image", "a", "--json")
    assert results(done)[0]["contours"] == 1
    with Project.open(folder) as project:
        assert [len(project.annotation(PlaneRef(number)).contours) for number in (1, 2)] == [1, 0]


def test_of_several_files_all_are_read_or_none(segsize, folder, tmp_path):
    segsize("export-contours", folder, tmp_path / "a.csv", "--image", "a")
    segsize("export-contours", folder, tmp_path / "b.csv", "--image", "b")
    emptied(folder)
    done = segsize("import-contours", folder, tmp_path / "a.csv", tmp_path / "nowhere.csv")
    assert done.exit_code == EXIT_USER
    assert done.stdout == ""
    assert "Nothing was read of the other files either." in done.stderr
    with Project.open(folder) as project:
        assert project.counts().contours == 0
    done = segsize("import-contours", folder, tmp_path / "a.csv", tmp_path / "b.csv", "--json")
    assert [(line["file"], line["contours"]) for line in results(done)] == [
        (str(tmp_path / "a.csv"), 1), (str(tmp_path / "b.csv"), 1),
    ]  # fmt: skip
    with Project.open(folder) as project:
        assert project.undo() is not None
        assert project.counts().contours == 0


def test_notices_are_shown(segsize, folder, tmp_path):
    feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
    (tmp_path / "a.geojson").write_text(json.dumps([feature]))
    done = segsize("import-contours", folder, tmp_path / "a.geojson")
    assert "1 object(s) without an area (Point) were left out." in done.output.replace("\n", " ")


@pytest.mark.parametrize(
    "said",
    [
        ["export-contours", "{project}", "{project}/x.geojson"],
        ["export-contours", "{project}", "{project}/x.txt"],
        ["export-contours", "{project}", "{project}/x.csv", "--image", "nobody"],
        ["import-contours", "{project}", "nowhere.json"],
        ["import-contours", "{project}", "nowhere.txt"],
    ],
)
def test_what_a_user_can_mend_is_a_sentence(segsize, folder, said):
    done = segsize(*(word.format(project=folder) for word in said))
    assert done.exit_code == EXIT_USER, done.output
    assert "Traceback" not in done.output
    assert len(done.stderr.split()) > 4
