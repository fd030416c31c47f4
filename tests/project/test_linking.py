"""Files that have moved, and files that have changed: what is read of them, what is told, what stays."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import sqlalchemy
import tifffile
import zarr

from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project, linking, tables


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, np.arange(20, dtype=np.uint8).reshape(4, 5))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read in full, in order: "hash" or "pixels"."""
    found: list[str] = []

    def noted(name: str) -> None:
        real = getattr(linking, name)
        word = "hash" if name == "content_hash" else "pixels"
        monkeypatch.setattr(linking, name, lambda what: (found.append(word), real(what))[1])

    noted("content_hash")
    noted("look_at")
    return found


def labels(project: Project) -> list[str]:
    with project._store.reading() as connection:
        return list(connection.scalars(sqlalchemy.select(tables.step.c.label).order_by(tables.step.c.id)))


def change(file: Path) -> None:
    tifffile.imwrite(file, np.arange(20, dtype=np.uint8).reshape(4, 5)[::-1])


class TestChanged:
    def test_it_is_used_as_it_is_and_what_was_said_stays(self, project: Project, file: Path) -> None:
        (record,) = project.add_files(file)
        plane = PlaneRef(record.id)
        before = project.pixels(plane)
        stamp = project.put_stamp(plane, 2)
        mask = np.eye(4, 5, dtype=np.int32)
        project.put_mask(plane, mask)
        change(file)
        with pytest.raises(SegsizeError, match="--as-is"):
            project.pixels(plane)
        now = project.accept_changed(record.id)
        assert (now.id, now.name, now.path) == (record.id, record.name, record.path)
        assert now.sha256 != record.sha256
        assert np.array_equal(project.pixels(plane), before[:, ::-1])
        said = project.annotation(plane)
        assert said.stamps == (stamp,)
        assert np.array_equal(said.mask, mask)
        assert project.changed() == ()

    def test_the_history_tells_both_contents_and_undo_passes_over_it(
        self, project: Project, file: Path
    ) -> None:
        (record,) = project.add_files(file)
        project.put_stamp(PlaneRef(record.id), 2)
        told = labels(project)
        change(file)
        now = project.accept_changed(record.id)
        assert labels(project)[:-1] == told
        assert record.sha256 in labels(project)[-1]
        assert now.sha256 in labels(project)[-1]
        project.undo()
        assert project.annotation(PlaneRef(record.id)).stamps == ()
        assert project.image(record.id).sha256 == now.sha256

    def test_another_shape_is_refused_with_a_way_out(self, project: Project, file: Path) -> None:
        (record,) = project.add_files(file)
        tifffile.imwrite(file, np.zeros((5, 5), np.uint8))
        told = labels(project)
        expected = r"expected \(1, 1, 4, 5\).* got \(1, 1, 5, 5\); put the old file back, or save the new one"
        with pytest.raises(SegsizeError, match=expected):
            project.accept_changed(record.id)
        assert project.image(record.id) == record
        assert labels(project) == told

    def test_one_that_has_not_changed_leaves_no_trace(self, project: Project, file: Path) -> None:
        (record,) = project.add_files(file)
        told = labels(project)
        assert project.accept_changed(record.id) == record
        assert labels(project) == told

    def test_one_that_is_gone_is_told(self, project: Project, file: Path) -> None:
        (record,) = project.add_files(file)
        file.unlink()
        with pytest.raises(SegsizeError, match="is not there"):
            project.accept_changed(record.id)

    def test_another_pixel_size_is_told_and_the_one_of_the_sizes_stays(
        self, project: Project, tmp_path: Path
    ) -> None:
        path = tmp_path / "scan.nii"
        for sides, value in (((1, 1, 2), 1), ((1, 1, 3), 2)):
            image = nibabel.Nifti1Image(np.full((5, 4, 2), value, np.uint8), np.diag([*sides, 1]))
            image.header.set_xyzt_units("mm")
            nibabel.save(image, path)
            if value == 1:
                (record,) = project.add_files(path)
        now = project.accept_changed(record.id)
        assert now.spacing == record.spacing == (2, 1, 1)
        assert now.warnings[-1].startswith("The changed file says that a pixel is 3 x 1 x 1 mm; ")

    def test_a_zarr(self, project: Project, tmp_path: Path) -> None:
        zarr.save(tmp_path / "a.zarr", np.eye(4))
        (record,) = project.add_files(tmp_path / "a.zarr")
        assert project.pixels(PlaneRef(record.id)).max() == 1
        zarr.open_array(tmp_path / "a.zarr")[...] = np.eye(4) * 2
        project.accept_changed(record.id)
        assert project.pixels(PlaneRef(record.id)).max() == 2


class TestReading:
    def test_a_moved_file_is_read_once(self, project: Project, file: Path, reads: list[str]) -> None:
        (record,) = project.add_files(file)
        file.rename(file.with_name("moved.tif"))
        project.relink(record.id, file.with_name("moved.tif"))
        assert reads == ["hash"]

    def test_a_file_that_is_searched_for_is_read_once_and_of_another_size_not_at_all(
        self, project: Project, file: Path, reads: list[str], tmp_path: Path
    ) -> None:
        (record,) = project.add_files(file)
        for folder in ("a", "b"):
            (tmp_path / "new" / folder).mkdir(parents=True)
        (tmp_path / "new" / "a" / "scan.tif").write_bytes(b"of the same name")
        file.rename(tmp_path / "new" / "b" / "scan.tif")
        (found,) = project.relink_folder(tmp_path / "new")
        assert (found.id, found.path) == (record.id, (tmp_path / "new" / "b" / "scan.tif").as_posix())
        assert found.warnings == record.warnings
        assert reads == ["hash"]

    def test_new_content_is_read_twice_and_another_shape_only_at_its_beginning(
        self, project: Project, file: Path, reads: list[str]
    ) -> None:
        (record,) = project.add_files(file)
        change(file)
        project.accept_changed(record.id)
        assert reads == ["hash", "pixels"]
        tifffile.imwrite(file, np.zeros((5, 5), np.uint8))
        with pytest.raises(SegsizeError, match="does not fit"):
            project.relink(record.id, file, force=True)
        assert reads == ["hash", "pixels"]

    def test_a_file_that_was_only_touched_is_read_once_for_good(
        self, project: Project, file: Path, reads: list[str]
    ) -> None:
        project.add_files(file)
        assert project.changed() == ()
        assert reads == []  # same size and time
        os.utime(file, ns=(1, 1))
        assert project.changed() == ()
        assert reads == ["hash"]
        with Project.open(project.folder) as again:
            assert again.changed() == ()
        assert reads == ["hash"]

    def test_nothing_can_be_written(
        self, project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise SegsizeError("no room")

        project.add_files(file)
        os.utime(file, ns=(1, 1))
        monkeypatch.setattr(project._gallery, "remember", refuse)
        assert project.changed() == ()

    def test_a_project_that_knows_no_sizes_of_files(self, project: Project, file: Path) -> None:
        (record,) = project.add_files(file)
        with project._store.writing() as connection:
            unknown = {"file_bytes": -1, "file_time": -1}
            connection.execute(sqlalchemy.update(tables.image).values(unknown))
        assert project.changed() == ()
        (file.parent / "new").mkdir()
        shutil.move(file, file.parent / "new")
        assert [each.id for each in project.relink_folder(file.parent / "new")] == [record.id]
