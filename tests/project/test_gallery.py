"""Images in a project: coming, going, moving, changing; their splits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project, gallery


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Four small images in a folder outside the project."""
    folder = tmp_path / "data"
    folder.mkdir()
    paths = [folder / f"{subject}_{k}.tif" for subject in ("anna", "bert") for k in (1, 2)]
    for number, path in enumerate(paths):
        tifffile.imwrite(path, np.arange(number, number + 20, dtype=np.uint8).reshape(4, 5))
    return paths


def test_a_folder_is_added_in_order(project: Project, files: list[Path]) -> None:
    records = project.add_files(files[0].parent)
    assert [record.name for record in records] == ["anna_1", "anna_2", "bert_1", "bert_2"]
    assert [record.group for record in records] == ["anna_1", "anna_2", "bert_1", "bert_2"]
    assert {record.split for record in records} == {"train"}
    assert project.images()[2:] == records


def test_a_record_says_what_is_in_the_file(project: Project) -> None:
    record = project.image(1)
    assert (record.name, record.planes, record.channels, record.shape) == ("volume", 3, 1, (20, 30))
    assert (record.dtype, record.spacing, record.unit, record.rgb) == ("uint16", (2.0, 0.5, 0.5), "mm", False)
    assert record.path == "images/volume.tif"
    assert record.sha256 == gallery.content_hash(project.folder / record.path)


def test_files_outside_are_kept_by_absolute_path(project: Project, files: list[Path]) -> None:
    (record,) = project.add_files(files[0])
    assert record.path == files[0].as_posix()
    assert project.file_of(record.id) == files[0]


def test_groups_by_a_function(project: Project, files: list[Path]) -> None:
    records = project.add_files(files, group=lambda path: path.stem.split("_")[0], split="validation")
    assert [record.group for record in records] == ["anna", "anna", "bert", "bert"]
    assert {record.split for record in records} == {"validation"}


def test_adding_again_gives_what_is_there(project: Project, files: list[Path]) -> None:
    first = project.add_files(files[:2])
    assert project.add_files(files[:3])[:2] == first
    assert len(project.images()) == 5


def test_one_unreadable_file_and_none_is_added(project: Project, files: list[Path]) -> None:
    files[3].write_bytes(b"broken")
    with pytest.raises(
        SegsizeError, match=r"1 of 4 files cannot be read.* none was added: .*bert_2.*--skip-un"
    ):
        project.add_files(files)
    assert len(project.images()) == 2


def test_all_unreadable_files_of_a_folder_are_named(project: Project, files: list[Path]) -> None:
    for file in files[1:]:
        file.write_bytes(b"broken")
    with pytest.raises(SegsizeError) as caught:
        project.add_files(files[0].parent)
    assert "3 of 4 files" in str(caught.value)
    assert all(str(file) in str(caught.value) for file in files[1:])
    assert str(files[0]) not in str(caught.value)
    for number in range(4):
        (files[0].parent / f"clara_{number}.tif").write_bytes(b"broken")
    with pytest.raises(SegsizeError, match=r"7 of 8 files.*clara_1\.tif and 2 more\. The first: .*anna_2"):
        project.add_files(files[0].parent)
    assert len(project.images()) == 2


def test_unreadable_files_can_be_left_out(project: Project, files: list[Path]) -> None:
    files[1].write_bytes(b"broken")
    left: list[tuple[Path, str]] = []
    records = project.add_files(files[0].parent, leaving_out=lambda *each: left.append(each))
    assert [record.name for record in records] == ["anna_1", "bert_1", "bert_2"]
    ((path, reason),) = left
    assert path == files[1]
    assert "could not be read as an image" in reason


def test_nothing_but_unreadable_files_is_an_error(project: Project, files: list[Path]) -> None:
    for file in files:
        file.write_bytes(b"broken")
    with pytest.raises(SegsizeError, match="4 of 4 files cannot be read, so none was added") as caught:
        project.add_files(files, leaving_out=lambda *_: None)
    assert "--skip-unreadable" not in str(caught.value)
    with pytest.raises(SegsizeError, match=r"^\S+anna_1\.tif could not be read as an image"):
        project.add_files(files[0])


def test_names_are_unique(project: Project, files: list[Path], tmp_path: Path) -> None:
    project.add_files(files[0])
    names = []
    for folder in ("x", "y/x"):
        other = tmp_path / folder / "anna_1.tif"
        other.parent.mkdir(parents=True)
        tifffile.imwrite(other, np.zeros((4, 5), np.uint8) + len(folder))
        names.append(project.add_files(other)[0].name)
    assert names == ["x/anna_1", "anna_1 (2)"]


def test_odd_pixels_are_kept_with_a_warning(project: Project) -> None:
    constant = project.add_array("constant", np.zeros((1, 1)))
    assert "same value" in constant.warnings[0]
    holes = project.add_array("holes", np.array([[np.nan, 1.0, 2.0]]))
    assert "NaN" in holes.warnings[0]
    assert np.isnan(project.pixels(PlaneRef(holes.id))[0, 0, 0])


def test_the_same_pixels_twice_stay_in_one_group(project: Project, files: list[Path], tmp_path: Path) -> None:
    project.add_files(files[0], split="test")
    copy = tmp_path / "copy.tif"
    shutil.copy(files[0], copy)
    (record,) = project.add_files(copy)
    assert "same pixels" in record.warnings[0]
    assert (record.group, record.split) == ("anna_1", "test")


class TestArrays:
    @pytest.mark.parametrize(
        "dtype", ["bool", "uint8", "uint16", "int32", "int64", "float16", "float32", "float64"]
    )
    @pytest.mark.parametrize(
        ("kind", "shape", "rgb", "seen"),
        [("image", (4, 5), False, (1, 1, 4, 5)), ("stack", (3, 4, 5), False, (3, 1, 4, 5)),
         ("channels", (2, 4, 5), False, (1, 2, 4, 5)), ("channel stack", (3, 2, 4, 5), False, (3, 2, 4, 5)),
         ("image", (4, 5, 3), True, (1, 3, 4, 5)), ("stack", (2, 4, 5, 3), True, (2, 3, 4, 5)),
         ("stack", (1, 4, 5), False, (1, 1, 4, 5)), ("stack", (3, 4, 3), False, (3, 1, 4, 3))],
    )  # fmt: skip
    def test_come_back_as_they_went(
        self,
        project: Project,
        dtype: str,
        kind: str,
        shape: tuple[int, ...],
        rgb: bool,
        seen: tuple[int, ...],
    ) -> None:
        array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
        if rgb and dtype == "bool":
            with pytest.raises(SegsizeError, match="colours"):
                project.add_array("x", array, kind=kind, rgb=rgb)
            return
        record = project.add_array("x", array, kind=kind, rgb=rgb)
        volume = project.volume(record.id)
        assert (volume.shape, volume.dtype, record.rgb) == (seen, np.dtype(dtype), rgb)
        expected = np.moveaxis(array, -1, -3) if rgb else array
        assert np.array_equal(volume, expected.reshape(seen))

    def test_spacing(self, project: Project) -> None:
        record = project.add_array("x", np.eye(4), spacing=(0.5, 0.25), unit="µm")
        assert (record.spacing, record.unit) == ((1.0, 0.5, 0.25), "um")

    def test_names_of_files(self, project: Project) -> None:
        first = project.add_array("a/b: c", np.eye(4))
        second = project.add_array("a/b: c", np.eye(5))
        assert [first.path, second.path] == ["images/a_b_c.tif", "images/a_b_c_2.tif"]
        assert first.group == second.group == "a/b: c"

    @pytest.mark.parametrize(
        ("array", "options", "word"),
        [(np.ones((2, 3, 4, 5)), {"kind": "stack"}, "axes ZYX"), (np.ones((0, 4)), {}, "axes"),
         (np.ones((3, 4)), {"kind": "image", "rgb": True}, "axes"), (np.ones((3, 4), complex), {}, "complex"),
         (np.ones((3, 4, 2)), {"rgb": True}, "colours"),
         (np.eye(3), {"spacing": (0.0, 1.0)}, "must be positive")],
    )  # fmt: skip
    def test_what_is_no_image(self, project: Project, array: np.ndarray, options: dict, word: str) -> None:
        with pytest.raises(SegsizeError, match=word):
            project.add_array("x", array, **options)
        assert len(list(project.images_folder.iterdir())) == 2


class TestPixels:
    def test_planes_and_volumes(self, project: Project) -> None:
        volume = project.volume(1)
        assert volume.shape == (3, 1, 20, 30)
        for k in range(3):
            pixels = project.pixels(PlaneRef(1, k))
            assert np.array_equal(pixels, volume[k])
            pixels[:] = 0  # a copy
            assert np.array_equal(project.pixels(PlaneRef(1, k)), volume[k])

    def test_large_images_are_read_plane_by_plane(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        volume = project.volume(1)
        monkeypatch.setattr("napari_segsize.project.images._WHOLE_BYTES", 10)
        with Project.open(project.folder) as again:
            assert np.array_equal(again.pixels(PlaneRef(1, 2)), volume[2])
            assert len(again._gallery._cache) == 1
            assert np.array_equal(again.volume(1), volume)

    def test_memory_is_bounded(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gallery, "_CACHE_BYTES", 20 * 30 * 2 * 2)
        volume = project.volume(1)
        for k in (0, 1, 2, 0, 1, 2):
            assert np.array_equal(project.pixels(PlaneRef(1, k)), volume[k])
            assert project._gallery._cached_bytes <= gallery._CACHE_BYTES
            assert project._gallery._cached_bytes == sum(p.nbytes for p in project._gallery._cache.values())

    def test_a_file_that_vanished(self, project: Project, files: list[Path]) -> None:
        (record,) = project.add_files(files[0])
        plane = PlaneRef(record.id)
        project.pixels(plane)
        project.put_stamp(plane, 2)
        files[0].unlink()
        with pytest.raises(SegsizeError, match=r"anna_1: .* is not there any more: put it back, or re-link"):
            project.pixels(plane)
        assert project.missing() == (record,)
        assert project.changed() == ()
        assert project.annotation(plane).stamps  # the annotations do not need the pixels
        project.put_stamp(plane, 4)

    def test_a_file_that_changed(self, project: Project, files: list[Path]) -> None:
        (record,) = project.add_files(files[0])
        plane = PlaneRef(record.id)
        before = project.pixels(plane)
        tifffile.imwrite(files[0], before[0] + np.uint8(1))
        with pytest.raises(SegsizeError, match=r"anna_1: .* has changed since it was added"):
            project.pixels(plane)
        assert project.changed() == (record,)
        project.relink(record.id, files[0], force=True)
        assert np.array_equal(project.pixels(plane), before + 1)
        assert project.changed() == ()

    def test_a_file_that_was_only_touched(self, project: Project, files: list[Path]) -> None:
        (record,) = project.add_files(files[0])
        before = project.pixels(PlaneRef(record.id))
        files[0].write_bytes(files[0].read_bytes())
        assert np.array_equal(project.pixels(PlaneRef(record.id)), before)

    def test_a_zarr_that_changed(self, project: Project, tmp_path: Path) -> None:
        zarr.save(tmp_path / "a.zarr", np.eye(4))
        (record,) = project.add_files(tmp_path / "a.zarr")
        assert project.pixels(PlaneRef(record.id)).shape == (1, 4, 4)
        array = zarr.open_array(tmp_path / "a.zarr")
        array[...] = np.eye(4) * 2
        assert project.changed() == (record,)
        with (
            Project.open(project.folder) as again,
            pytest.raises(SegsizeError, match="has changed"),
        ):
            again.pixels(PlaneRef(record.id))

    def test_a_file_that_cannot_be_read_any_more(self, project: Project, files: list[Path]) -> None:
        (record,) = project.add_files(files[0])
        files[0].unlink()
        files[0].mkdir()
        with pytest.raises(SegsizeError, match="anna_1"):
            project.pixels(PlaneRef(record.id))


class TestMoving:
    def test_relink(self, project: Project, files: list[Path], tmp_path: Path) -> None:
        (record,) = project.add_files(files[0])
        before = project.pixels(PlaneRef(record.id))
        stamp = project.put_stamp(PlaneRef(record.id), 2)
        files[0].rename(tmp_path / "moved.tif")
        with pytest.raises(SegsizeError, match="its content differs"):
            project.relink(record.id, files[1])
        again = project.relink(record.id, tmp_path / "moved.tif")
        assert (again.id, again.name, again.path) == (
            record.id,
            "anna_1",
            (tmp_path / "moved.tif").as_posix(),
        )
        assert np.array_equal(project.pixels(PlaneRef(record.id)), before)
        assert project.annotation(PlaneRef(record.id)).stamps == (stamp,)

    def test_another_shape_never_fits(self, project: Project, files: list[Path]) -> None:
        (record,) = project.add_files(files[0])
        tifffile.imwrite(files[1], np.zeros((5, 5), np.uint8))
        with pytest.raises(SegsizeError, match=r"expected \(1, 1, 4, 5\).*got \(1, 1, 5, 5\)"):
            project.relink(record.id, files[1], force=True)

    def test_a_whole_folder(self, project: Project, files: list[Path], tmp_path: Path) -> None:
        records = project.add_files(files)
        shutil.move(files[0].parent, tmp_path / "elsewhere" / "deep")
        (tmp_path / "elsewhere" / "deep" / files[3].name).write_bytes(b"another file of that name")
        assert project.missing() == records
        found = project.relink_folder(tmp_path / "elsewhere")
        assert [record.id for record in found] == [record.id for record in records[:3]]
        assert project.missing() == records[3:]

    def test_one_at_a_time(self, project: Project, files: list[Path], tmp_path: Path) -> None:
        records = project.add_files(files[:2])
        files[0].unlink()
        (tmp_path / "elsewhere").mkdir()
        files[1].rename(tmp_path / "elsewhere" / files[1].name)
        search = project.relinking(tmp_path / "elsewhere")
        assert next(search) is None
        assert project.missing() == records
        assert next(search) == project.image(records[1].id)
        assert project.missing() == records[:1]

    def test_another_process_finds_what_was_open_here(
        self, project: Project, files: list[Path], tmp_path: Path
    ) -> None:
        (record,) = project.add_files(files[0])
        source = project.source(record.id)
        files[0].rename(tmp_path / "moved.tif")
        with Project.open(project.folder) as other:
            other.relink(record.id, tmp_path / "moved.tif")
        assert project.source(record.id).path == tmp_path / "moved.tif"
        assert project.pixels(PlaneRef(record.id)).shape[-2:] == (source.height, source.width)

    def test_a_project_folder_can_be_moved(self, project: Project, tmp_path: Path) -> None:
        volume = project.volume(1)
        project.close()
        shutil.move(project.folder, tmp_path / "moved")
        with Project.open(tmp_path / "moved") as moved:
            assert np.array_equal(moved.volume(1), volume)

    def test_taken_out_and_back(self, project: Project, files: list[Path]) -> None:
        (record,) = project.add_files(files[0])
        project.put_stamp(PlaneRef(record.id), 2)
        project.remove_image(record.id)
        assert record not in project.images()
        assert list(project.annotations()) == []
        assert project.counts().sizes == 0
        assert files[0].exists()
        with pytest.raises(SegsizeError, match="no image number"):
            project.pixels(PlaneRef(record.id))
        assert project.add_files(files[0]) == (record,)
        assert project.counts().sizes == 1


class TestSplits:
    @pytest.fixture
    def subjects(self, project: Project) -> Project:
        for subject in range(10):
            for k in range(3):
                project.add_array(f"s{subject}_{k}", np.full((2, 2), subject * 3 + k), group=f"s{subject}")
        for image_id in (1, 2):
            project.remove_image(image_id)
        return project

    def test_groups_stay_together(self, subjects: Project) -> None:
        subjects.assign_splits(validation=0.2, test=0.1, seed=3)
        counts = subjects.counts().by_split
        assert [counts[split].images for split in ("train", "validation", "test")] == [21, 6, 3]
        assert subjects.mixed_groups() == ()

    def test_by_image_tears_them_apart_and_says_so(self, subjects: Project) -> None:
        subjects.assign_splits(validation=0.5, by="image")
        assert subjects.counts().by_split["validation"].images == 15
        assert subjects.mixed_groups() != ()

    def test_a_seed_repeats(self, subjects: Project) -> None:
        def drawn(seed: int) -> list[str]:
            subjects.assign_splits(seed=seed)
            return [record.split for record in subjects.images()]

        assert drawn(0) == drawn(0)
        assert len({tuple(drawn(seed)) for seed in range(5)}) > 1

    def test_something_is_left_to_learn_from(self, project: Project) -> None:
        project.assign_splits(validation=0.1, test=0.1)
        counts = project.counts().by_split
        assert counts["train"].images == 1
        assert counts["validation"].images + counts["test"].images == 1

    def test_all_held_out_if_asked(self, project: Project) -> None:
        project.assign_splits(validation=1.0)
        assert project.counts().by_split["train"].images == 0

    @pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.0), (0.7, 0.7)])
    def test_impossible_parts(self, project: Project, validation: float, test: float) -> None:
        with pytest.raises(SegsizeError, match="together at most 1"):
            project.assign_splits(validation=validation, test=test)

    def test_a_mistyped_by(self, project: Project) -> None:
        with pytest.raises(ValueError, match="by"):
            project.assign_splits(by="subject")

    def test_an_image_takes_its_group_along(self, subjects: Project) -> None:
        first = subjects.images()[0]
        subjects.set_split(first.id, "test")
        assert [record.name for record in subjects.images() if record.split == "test"] == [
            "s0_0",
            "s0_1",
            "s0_2",
        ]
        subjects.set_split(first.id, "train", whole_group=False)
        assert subjects.mixed_groups() == ("s0",)

    def test_a_newcomer_goes_where_its_group_is(self, subjects: Project) -> None:
        subjects.set_split(subjects.images()[0].id, "test")
        assert subjects.add_array("s0_9", np.eye(3), group="s0").split == "test"

    def test_a_group_can_be_named_later(self, subjects: Project) -> None:
        first = subjects.images()[0]
        subjects.set_group(first.id, "s1")
        assert subjects.image(first.id).group == "s1"
        with pytest.raises(SegsizeError, match="needs a name"):
            subjects.set_group(first.id, " ")

    def test_there_are_three_splits(self, project: Project) -> None:
        with pytest.raises(SegsizeError, match="expected one of train, validation, test"):
            project.set_split(1, "holdout")

    def test_planes_of_a_split(self, project: Project) -> None:
        project.set_split(1, "validation")
        assert project.planes("validation") == (PlaneRef(1, 0), PlaneRef(1, 1), PlaneRef(1, 2))
        assert project.planes("train") == (PlaneRef(2, 0),)
        assert len(project.planes()) == 4


class TestModels:
    def test_a_model_is_used_only_when_promoted(self, project: Project) -> None:
        assert project.current_model() is None
        records = []
        for name in ("a.pt", "b.pt"):
            (project.models_folder / name).write_bytes(b"weights")
            records.append(
                project.add_model(
                    project.models_folder / name, stage="pretrain",
                    metrics={"iou": 0.5, "loss": float("nan")},
                    config={"seed": 1, "nested": {"a": [1, 2]}},
                )
            )  # fmt: skip
        assert project.current_model() is None
        project.promote(records[1].id)
        project.promote(records[0].id)
        with Project.open(project.folder) as again:
            current = again.current_model()
            assert current is not None
            assert (current.id, current.path) == (records[0].id, project.models_folder / "a.pt")
            assert current.config == {"seed": 1, "nested": {"a": [1, 2]}}
            assert current.metrics["iou"] == 0.5
            assert np.isnan(current.metrics["loss"])
            assert [model.promoted for model in again.models()] == [True, False]

    def test_what_is_not_there(self, project: Project) -> None:
        with pytest.raises(SegsizeError, match="save it first"):
            project.add_model(project.models_folder / "no.pt", stage="x", metrics={}, config={})
        with pytest.raises(SegsizeError, match="no model number 3"):
            project.promote(3)

    def test_annotating_and_undo_leave_models_alone(self, project: Project) -> None:
        project.put_stamp(PlaneRef(1), 4)
        (project.models_folder / "a.pt").write_bytes(b"weights")
        project.promote(project.add_model("models/a.pt", stage="x", metrics={}, config={}).id)
        project.undo()
        assert not project.can_undo
        assert project.current_model() is not None
