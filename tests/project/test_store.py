"""What must survive: kill -9, other processes, a full disk, a read-only folder, old and broken files."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project, tables

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from napari_segsize.project import PlaneRef, Project
folder, name, count, what = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
ends = ((2.0, 8.5), (7.25, 3.0), (12.0, 9.0), (6.0, 14.0))
project = Project.open(folder)
print("ready", flush=True)
sys.stdin.readline()
for k in range(count):
    if what == "stamps":
        place = (k % 20, k % 30)
        stamp = project.put_stamp(PlaneRef(1, k % 3), 4 + 2 * (k % 5), centre=place, object=f"{name}-{k}")
        print(stamp.object, flush=True)
    elif k % 5 < 4:
        project.put_contour(PlaneRef(2), object=f"{name}-{k // 5}", points=ends[: k % 5 + 1])
        print(name, k, flush=True)
    else:
        project.put_contour(PlaneRef(2), object=f"{name}-{k // 5}", rings=[ends], source="snake")
        print(name, k, flush=True)
if name != "victim":
    project.close()
"""


@contextmanager
def writer(folder: Path, name: str, count: int, what: str = "stamps") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name, str(count), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        if process.poll() is None and name == "victim":
            process.kill()


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def check(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_kill_9_loses_nothing_that_was_acknowledged(project: Project) -> None:
    project.close()
    acknowledged = []
    with writer(project.folder, "victim", 10_000) as process:
        start(process)
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.append(line.strip())
            if len(acknowledged) == 25:
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                break
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    assert len(acknowledged) < 10_000
    with Project.open(project.folder) as again:
        found = {stamp.object for said in again.annotations() for stamp in said.stamps}
        # One more may have been committed whose line was not read.
        assert set(acknowledged) <= found
        assert len(found) <= len(acknowledged) + 1
        assert again.can_undo  # the process is dead, so its steps may be taken back
        last = f"victim-{len(found) - 1}"
        again.undo()
        assert last not in {stamp.object for said in again.annotations() for stamp in said.stamps}
    check(project.file)


def test_kill_9_loses_no_click(project: Project) -> None:
    project.close()
    acknowledged = 0
    with writer(project.folder, "victim", 10_000, "contours") as process:
        start(process)
        assert process.stdout is not None
        for _ in process.stdout:
            acknowledged += 1
            if acknowledged == 33:  # six objects, and three points of the seventh
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                break
        acknowledged += sum(line.endswith("\n") for line in process.stdout)
    with Project.open(project.folder) as again:
        contours = again.annotation(PlaneRef(2)).contours
        found = sum(len(contour.points) + len(contour.rings) for contour in contours)
        assert acknowledged <= found <= acknowledged + 1
        assert [contour.object for contour in contours] == [f"victim-{k}" for k in range(-(-found // 5))]
        assert all(len(contour.points) == 4 and contour.source == "snake" for contour in contours[:-1])
        again.undo()  # one click, or one outline
        left = again.annotation(PlaneRef(2)).contours
        assert sum(len(contour.points) + len(contour.rings) for contour in left) == found - 1
    check(project.file)


def test_processes_put_contours_at_the_same_time(project: Project) -> None:
    count = 40
    with (
        writer(project.folder, "anna", count, "contours") as a,
        writer(project.folder, "bert", count, "contours") as b,
    ):
        for process in (a, b):
            start(process)
        for process in (a, b):
            assert process.stdout is not None
            assert len(process.stdout.readlines()) == count
            assert process.wait(60) == 0
    found = project.annotation(PlaneRef(2)).contours
    assert {contour.object for contour in found} == {f"{n}-{k}" for n in ("anna", "bert") for k in range(8)}
    assert all(len(contour.points) == 4 and contour.accepted for contour in found)
    check(project.file)


def test_processes_write_at_the_same_time(project: Project) -> None:
    names, count = ("anna", "bert", "cleo"), 40
    with (
        writer(project.folder, names[0], count) as a,
        writer(project.folder, names[1], count) as b,
        writer(project.folder, names[2], count) as c,
    ):
        for process in (a, b, c):
            start(process)
        mine = [project.put_stamp(PlaneRef(2), 6, centre=(k % 16, 3)).object for k in range(20)]
        for _ in range(5):
            project.undo()
        for process in (a, b, c):
            assert process.stdout is not None
            assert len(process.stdout.readlines()) == count
            assert process.wait(60) == 0
    found = {stamp.object for said in project.annotations() for stamp in said.stamps}
    assert found == {*mine[:15], *(f"{name}-{k}" for name in names for k in range(count))}
    check(project.file)


def test_a_write_that_waits_too_long_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_segsize.project.store.BUSY_MS", 50)
    with (
        Project.open(project.folder) as other,
        closing(sqlite3.connect(project.file, isolation_level=None)) as blocker,
    ):
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(SegsizeError, match="in use by another program"):
            other.put_stamp(PlaneRef(1), 4)
        assert other.annotation(PlaneRef(1)).is_empty  # reading goes on meanwhile
        blocker.execute("ROLLBACK")
        other.put_stamp(PlaneRef(1), 4)


def test_a_full_disk_is_told_and_loses_nothing(project: Project) -> None:
    kept = project.put_stamp(PlaneRef(1), 4)
    pages = []
    for connection in _connections(project):
        connection.execute("PRAGMA wal_checkpoint")
        pages.append(connection.execute("PRAGMA page_count").fetchone()[0])
        connection.execute(f"PRAGMA max_page_count = {pages[-1]}")  # SQLite's own way to say "disk full"
    noise = np.random.default_rng(0).integers(1, 2**31, (20, 30))

    def fill() -> None:
        for k in range(100):
            project.put_mask(PlaneRef(1, 1), np.roll(noise, k))
            written.append(k)

    written: list[int] = []
    with pytest.raises(SegsizeError, match=r"disk .* is full.*free some space"):
        fill()
    last = project.annotation(PlaneRef(1))
    mask = project.annotation(PlaneRef(1, 1)).mask
    assert (mask is None) == (not written)
    if mask is not None:
        assert np.array_equal(mask, np.roll(noise, written[-1]))
    for connection in _connections(project):
        connection.execute(f"PRAGMA max_page_count = {pages[0] + 1000}")
    assert last.stamps == (kept,)
    more = project.put_stamp(PlaneRef(1), 6)
    with Project.open(project.folder) as again:
        assert again.annotation(PlaneRef(1)).stamps == (kept, more)
    check(project.file)


def _connections(project: Project) -> list[sqlite3.Connection]:
    """The one pooled connection of a project that is used by one thread."""
    raw = project._store._engine.raw_connection()
    try:
        return [raw.driver_connection]
    finally:
        raw.close()


@contextmanager
def not_root() -> Iterator[None]:
    """Permissions do not bind root: be nobody for a moment."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions of POSIX")
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only(project: Project) -> Iterator[Project]:
    """A closed project in a folder that nobody may write to."""
    project.put_stamp(PlaneRef(1), 4)
    project.close()
    paths = [project.folder, *project.folder.rglob("*")]
    for parent in project.folder.parents[: len(project.folder.parents) - 2]:
        if parent.stat().st_uid == os.geteuid() and str(parent).startswith(
            str(Path(os.environ.get("TMPDIR", "/tmp")))
        ):
            parent.chmod(parent.stat().st_mode | 0o055)
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield project
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_read_only_project_is_refused_in_a_sentence(read_only: Project) -> None:
    before = read_only.file.read_bytes()
    with not_root(), pytest.raises(SegsizeError, match="cannot be written to"):
        Project.open(read_only.folder)
    assert read_only.file.read_bytes() == before


def test_a_new_project_in_a_read_only_folder(read_only: Project) -> None:
    with not_root(), pytest.raises(SegsizeError, match="cannot be written to"):
        Project.create(read_only.folder / "new")


def test_a_folder_that_becomes_read_only(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = project.put_stamp(PlaneRef(1), 4)
    for connection in _connections(project):
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(SegsizeError, match="cannot be written to"):
        project.put_stamp(PlaneRef(1), 6)
    assert project.annotation(PlaneRef(1)).stamps == (stamp,)


@pytest.mark.parametrize("keep", [0, 50, 100, 5000, 0.5, 0.95])
def test_a_truncated_database_is_refused_and_not_touched(project: Project, keep: float) -> None:
    for k in range(3):
        project.put_mask(PlaneRef(1, k), np.random.default_rng(k).integers(1, 2**31, (20, 30)))
    project.close()
    whole = project.file.read_bytes()
    cut = whole[: keep if isinstance(keep, int) else int(len(whole) * keep)]
    project.file.write_bytes(cut)
    with pytest.raises(SegsizeError, match=r"(is cut off|is empty|is damaged).*"):
        Project.open(project.folder)
    assert project.file.read_bytes() == cut


def test_a_damaged_page_is_told_when_it_is_met(project: Project) -> None:
    for k in range(3):
        project.put_mask(PlaneRef(1, k), np.random.default_rng(k).integers(1, 2**31, (20, 30)))
    project.close()
    damaged = bytearray(project.file.read_bytes())
    damaged[4096 * 2 :] = bytes(len(damaged) - 4096 * 2)
    project.file.write_bytes(damaged)
    with pytest.raises(SegsizeError, match="is damaged"):
        Project.open(project.folder).counts()


def test_other_files_are_not_projects(tmp_path: Path) -> None:
    text = tmp_path / "notes.segsize"
    text.write_text("this is a text of more than a hundred letters " * 4)
    with pytest.raises(SegsizeError, match="is not a project file"):
        Project.open(text)
    other = tmp_path / "other.segsize"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
    before = other.read_bytes()
    with pytest.raises(SegsizeError, match="not a project of napari-segsize"):
        Project.open(other)
    assert other.read_bytes() == before
    with pytest.raises(SegsizeError, match="expected a folder with a file"):
        Project.open(tmp_path)
    with pytest.raises(SegsizeError, match="expected a folder with a file"):
        Project.open(tmp_path / "nowhere")


def test_create_never_overwrites(project: Project, tmp_path: Path) -> None:
    with pytest.raises(SegsizeError, match="already holds a project"):
        Project.create(project.folder)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SegsizeError, match="is a file"):
        Project.create(tmp_path / "file")


def test_create_leaves_one_whole_file(tmp_path: Path) -> None:
    with Project.create(tmp_path / "a b" / "ü", name="Nuclei") as project:
        assert project.name == "Nuclei"
    assert sorted(path.name for path in project.folder.iterdir()) == ["images", "models", "project.segsize"]


def test_closing_keeps_a_copy_to_go_back_to(project: Project) -> None:
    stamp = project.put_stamp(PlaneRef(1), 4)
    project.close()
    copy = project.folder / "project.latest.backup"
    before = copy.stat().st_mtime_ns
    Project.open(project.folder).close()  # nothing was said
    assert copy.stat().st_mtime_ns == before
    project.file.write_bytes(project.file.read_bytes()[:9000])
    with pytest.raises(SegsizeError, match=r"copy project\.latest\.backup over it"):
        Project.open(project.folder)
    shutil.copy(copy, project.file)
    with Project.open(project.folder) as again:
        assert again.annotation(PlaneRef(1)).stamps == (stamp,)
    check(project.file)


def test_a_copy_that_cannot_be_made_does_not_keep_a_project_open(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_segsize.project.migrations.copy_database", full)
    project.put_stamp(PlaneRef(1), 4)
    project.close()
    assert "is full" in caplog.text


def test_a_closed_project_may_still_be_used_by_a_job_that_ends(project: Project) -> None:
    project.close()
    project.put_stamp(PlaneRef(1), 4)
    with Project.open(project.folder) as again:
        assert len(again.annotation(PlaneRef(1)).stamps) == 1
        assert again.undo() is None  # the first one is open again


def test_a_newer_file_is_refused_and_not_touched(project: Project) -> None:
    project.close()
    with closing(sqlite3.connect(project.file)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
        connection.commit()
    before = project.file.read_bytes()
    with pytest.raises(SegsizeError, match=r"newer napari-segsize \(file version 99.*pip install --upgrade"):
        Project.open(project.folder)
    assert project.file.read_bytes() == before


VERSION_1 = """
CREATE TABLE meta (key VARCHAR NOT NULL PRIMARY KEY, value VARCHAR NOT NULL);
CREATE TABLE image (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name VARCHAR NOT NULL, path VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL, planes INTEGER NOT NULL, channels INTEGER NOT NULL, height INTEGER NOT NULL,
    width INTEGER NOT NULL, dtype VARCHAR NOT NULL, spacing_z FLOAT NOT NULL, spacing_y FLOAT NOT NULL,
    spacing_x FLOAT NOT NULL, unit VARCHAR NOT NULL, "group" VARCHAR NOT NULL, split VARCHAR NOT NULL,
    rgb BOOLEAN NOT NULL, removed BOOLEAN NOT NULL);
CREATE TABLE session (
    id VARCHAR NOT NULL PRIMARY KEY, host VARCHAR NOT NULL, process INTEGER NOT NULL,
    process_started FLOAT NOT NULL, ended FLOAT);
CREATE TABLE step (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, session VARCHAR NOT NULL REFERENCES session (id),
    kind VARCHAR NOT NULL, label VARCHAR NOT NULL, reverts INTEGER REFERENCES step (id),
    created FLOAT NOT NULL);
CREATE TABLE labels (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, data BLOB NOT NULL);
CREATE TABLE change (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, step_id INTEGER NOT NULL REFERENCES step (id),
    image_id INTEGER NOT NULL REFERENCES image (id), slice INTEGER NOT NULL, kind VARCHAR NOT NULL,
    object VARCHAR NOT NULL, present BOOLEAN NOT NULL, size FLOAT, y FLOAT, x FLOAT,
    labels_id INTEGER REFERENCES labels (id), before INTEGER REFERENCES change (id), origin INTEGER);
CREATE INDEX ix_change_step_id ON change (step_id);
CREATE TABLE item (
    image_id INTEGER NOT NULL REFERENCES image (id), slice INTEGER NOT NULL, kind VARCHAR NOT NULL,
    object VARCHAR NOT NULL, present BOOLEAN NOT NULL, change_id INTEGER NOT NULL REFERENCES change (id),
    first_id INTEGER NOT NULL, PRIMARY KEY (image_id, slice, kind, object)) WITHOUT ROWID;
CREATE INDEX item_present ON item (present, kind);
CREATE TABLE model (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path VARCHAR NOT NULL, stage VARCHAR NOT NULL,
    metrics VARCHAR NOT NULL, config VARCHAR NOT NULL, created FLOAT NOT NULL, promoted INTEGER);
CREATE TRIGGER step_keeps_update BEFORE UPDATE ON step
    BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END;
CREATE TRIGGER change_keeps_update BEFORE UPDATE ON change
    BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END;
INSERT INTO meta VALUES ('name', 'old'), ('schema_version', '1');
INSERT INTO session VALUES ('s', 'elsewhere', 1, 0.0, 1.0);
INSERT INTO step VALUES (1, 's', 'do', 'Size 8 px on a', NULL, 0.0), (2, 's', 'do', 'Mask on a', NULL, 1.0);
"""


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A project as version 1 wrote it, with a size, a mask and an image file, its log not yet folded in."""
    import hashlib
    import zlib

    import tifffile

    folder = tmp_path / "old"
    (folder / "images").mkdir(parents=True)
    tifffile.imwrite(folder / "images" / "a.tif", np.arange(12, dtype=np.uint8).reshape(3, 4))
    digest = hashlib.sha256((folder / "images" / "a.tif").read_bytes()).hexdigest()
    with closing(sqlite3.connect(folder / "project.segsize")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1)
        image = (
            1,
            "a",
            "images/a.tif",
            digest,
            1,
            1,
            3,
            4,
            "uint8",
            1.0,
            1.0,
            1.0,
            "pixel",
            "a",
            "train",
            0,
            0,
        )
        connection.execute(f"INSERT INTO image VALUES ({','.join('?' * len(image))})", image)
        labels = zlib.compress(np.eye(3, 4, dtype="<i4").tobytes())
        connection.execute("INSERT INTO labels VALUES (1, ?)", (labels,))
        connection.execute(
            "INSERT INTO change VALUES (1, 1, 1, 0, 'stamp', 'x', 1, 4.0, 1.0, 2.0, NULL, NULL, NULL)"
        )
        connection.execute(
            "INSERT INTO change VALUES (2, 2, 1, 0, 'mask', '', 1, NULL, NULL, NULL, 1, NULL, NULL)"
        )
        connection.execute(
            "INSERT INTO item VALUES (1, 0, 'stamp', 'x', 1, 1, 1), (1, 0, 'mask', '', 1, 2, 2)"
        )
        connection.commit()
    return folder


def test_version_1_becomes_the_present_one(version_1: Path) -> None:
    with Project.open(version_1) as project:
        plane = PlaneRef(1)
        said = project.annotation(plane)
        assert [(s.object, s.size, s.centre, s.entered, s.unit) for s in said.stamps] == [
            ("x", 4, (1, 2), 4, "px")
        ]
        assert said.mask is not None
        assert np.array_equal(said.mask, np.eye(3, 4))
        assert project.images()[0].warnings == ()
        assert np.array_equal(project.pixels(plane)[0], np.arange(12).reshape(3, 4))
        assert project.changed() == ()
        project.undo()
        assert project.annotation(plane).mask is None
        project.put_stamp(plane, "2 px")
    check(version_1 / "project.segsize")
    with Project.open(version_1) as again:  # and only once
        assert len(again.annotation(plane).stamps) == 2
    copy = version_1 / "project.version-1.backup"
    assert len(list(version_1.glob("*.version-*.backup"))) == 1
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("1",)
    shutil.copy(copy, version_1 / "project.segsize")
    with Project.open(version_1) as restored:
        assert restored.annotation(plane).mask is not None


def test_a_migrated_file_has_the_tables_of_a_new_one(version_1: Path, project: Project) -> None:
    def columns(file: Path) -> dict[str, set[tuple[object, ...]]]:
        with closing(sqlite3.connect(file)) as connection:
            return {
                name: {(*row[1:4], row[5]) for row in connection.execute(f'PRAGMA table_info("{name}")')}
                for name in tables.metadata.tables
            }

    Project.open(version_1).close()
    assert columns(version_1 / "project.segsize") == columns(project.file)


def test_a_migration_that_fails_leaves_the_old_file(version_1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_segsize.project import migrations

    steps = {1: (*migrations._STEPS[1], "ALTER TABLE nothing ADD COLUMN x")}
    monkeypatch.setattr(migrations, "_STEPS", steps)
    with pytest.raises(SegsizeError):
        Project.open(version_1)
    monkeypatch.undo()
    with Project.open(version_1) as project:
        assert len(project.annotation(PlaneRef(1)).stamps) == 1


def test_a_damaged_project_names_its_copy(version_1: Path) -> None:
    Project.open(version_1).close()
    file = version_1 / "project.segsize"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(SegsizeError, match=r"copy project\.version-1\.backup over it"):
        Project.open(version_1)


def test_commits_are_flushed_to_the_disk(project: Project) -> None:
    (connection,) = _connections(project)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


_ANOTHER = """
import sys
from napari_segsize.project import PlaneRef, Project
with Project.open(sys.argv[1]) as project:
    project.put_stamp(PlaneRef(1), 8, centre=(9, 9))
"""


def test_a_second_opening_does_not_give_our_locks_away(tmp_path):
    """Another process that closes the project would delete the log that we still write to."""
    folder = tmp_path / "project"
    with Project.create(folder) as made:
        made.add_array("image", np.arange(4096, dtype=np.uint16).reshape(64, 64))
    with Project.open(folder) as ours:
        ours.put_stamp(PlaneRef(1), 4, centre=(3, 4))
        with Project.open(folder) as again:  # what every background job does
            assert len(again.annotation(PlaneRef(1)).stamps) == 1
        for count in (1, 2):
            subprocess.run([sys.executable, "-c", _ANOTHER, str(folder)], check=True)
            ours.put_stamp(PlaneRef(1), 6, centre=(20, 20 + count))
    with Project.open(folder) as later:
        assert len(later.annotation(PlaneRef(1)).stamps) == 5
