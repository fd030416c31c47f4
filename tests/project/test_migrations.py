"""A project of the version before this one opens and keeps everything."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segsize.project import PlaneRef, Project, tables

TRIANGLE = ((0.5, 0.25), (2.0, 0.0), (1.0, 3.0))


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    """Sizes, a mask, "No object here", a skip, and a history with an undo and a deletion."""
    folder = tmp_path / "old"
    (folder / "images").mkdir(parents=True)
    file = folder / "images" / "a.tif"
    tifffile.imwrite(file, np.arange(36, dtype=np.uint8).reshape(3, 3, 4))
    with closing(sqlite3.connect(folder / "project.segsize")) as connection:
        connection.executescript((Path(__file__).parent / "version_2.sql").read_text(encoding="utf-8"))
        connection.execute("UPDATE image SET sha256 = ?", (hashlib.sha256(file.read_bytes()).hexdigest(),))
        connection.commit()
    return folder


def rows(file: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(f'SELECT * FROM "{table}"').fetchall()


def test_nothing_that_was_said_is_lost(version_2: Path) -> None:
    with Project.open(version_2) as project:
        said = {each.plane.slice: each for each in project.annotations()}
        assert [(s.object, s.size, s.centre, s.entered, s.unit) for s in said[0].stamps] == [
            ("x", 2, (1, 2), 1.2, "mm")
        ]
        assert said[0].mask is not None
        assert np.array_equal(said[0].mask, np.eye(3, 4))
        assert said[1].no_object
        assert said[2].skipped
        assert all(each.contours == () for each in said.values())
        assert project.counts().contours == project.counts().points == 0
        assert project.images()[0].spacing == (2, 0.5, 0.5)


def test_its_history_is_the_same_and_goes_on(version_2: Path) -> None:
    file = version_2 / "project.segsize"
    before = {name: rows(file, name) for name in ("step", "change", "labels")}
    with Project.open(version_2) as project:
        contour = project.put_contour(PlaneRef(1), object="x", rings=[TRIANGLE], source="drawn")
        for _ in range(2):
            project.undo()
        assert [stamp.object for stamp in project.annotation(PlaneRef(1)).stamps] == [
            "x",
            "y",
        ]  # deleted in 2
        assert project.annotation(PlaneRef(1)).contours == ()
        project.redo()
        project.redo()
        assert project.annotation(PlaneRef(1)).contours == (contour,)
    for name, old in before.items():
        width = len(old[0])
        assert [row[:width] for row in rows(file, name)[: len(old)]] == old


def test_a_copy_of_the_old_file_is_kept(version_2: Path) -> None:
    old = rows(version_2 / "project.segsize", "change")
    Project.open(version_2).close()
    copy = version_2 / "project.version-2.backup"
    assert rows(copy, "change") == old
    assert ("schema_version", "2") in rows(copy, "meta")


def test_masks_of_before_are_read_beside_those_written_since(version_2: Path) -> None:
    with Project.open(version_2) as project:
        old = project.annotation(PlaneRef(1)).mask
        assert old is not None
        more = old.copy()
        more[0, 3] = 7
        project.put_mask(PlaneRef(1), more)
    with Project.open(version_2) as project:
        assert np.array_equal(project.annotation(PlaneRef(1)).mask, more)
        project.undo()
        assert np.array_equal(project.annotation(PlaneRef(1)).mask, old)
    kinds = [data[:4] == b"box1" for _, data in rows(version_2 / "project.segsize", "labels")]
    assert kinds == [False, True]


def test_its_tables_triggers_and_indices_are_those_of_a_new_one(version_2: Path, project: Project) -> None:
    def schema(file: Path) -> dict[str, object]:
        with closing(sqlite3.connect(file)) as connection:
            master = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
            found: dict[str, object] = {"names": sorted(master)}
            for name in tables.metadata.tables:
                columns = connection.execute(f'PRAGMA table_info("{name}")')
                keys = connection.execute(f'PRAGMA foreign_key_list("{name}")')
                found[name] = {(*row[1:4], row[5]) for row in columns}, {row[2:5] for row in keys}
        return found

    Project.open(version_2).close()
    assert schema(version_2 / "project.segsize") == schema(project.file)
