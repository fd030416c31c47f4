from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_segsize.errors import SegsizeError
from napari_segsize.project import Counts, PlaneAnnotation, PlaneRef, Project, SizeStamp


def reopened(project: Project) -> Project:
    project.close()
    return Project.open(project.folder)


def test_a_stamp_is_there_after_reopening(project: Project, plane: PlaneRef) -> None:
    stamp = project.put_stamp(plane, 7, centre=(3.25, 4.5))
    assert stamp == SizeStamp(object=stamp.object, size=8, centre=(3.25, 4.5), entered=7)
    with reopened(project) as again:
        assert again.annotation(plane) == PlaneAnnotation(plane=plane, stamps=(stamp,))


def test_a_size_without_a_place(project: Project, plane: PlaneRef) -> None:
    stamp = project.put_stamp(plane, "3 mm")
    assert (stamp.size, stamp.centre, stamp.entered, stamp.unit) == (6, None, 3, "mm")
    assert project.annotation(plane).stamps == (stamp,)


def test_moving_and_resizing_keep_identity_and_order(project: Project, plane: PlaneRef) -> None:
    first, second = (project.put_stamp(plane, 4, centre=(y, 5)) for y in (2, 9))
    moved = project.put_stamp(plane, 10, centre=(3, 3), object=first.object)
    assert project.annotation(plane).stamps == (moved, second)


def test_size_zero_without_a_place_is_no_object(project: Project, plane: PlaneRef) -> None:
    project.put_stamp(plane, 0)
    said = project.annotation(plane)
    assert said.no_object
    assert said.stamps == ()


@pytest.mark.parametrize("centre", [(-1, 3), (3, 30), (19.6, 3), (float("nan"), 3)])
def test_a_place_outside_is_refused(project: Project, plane: PlaneRef, centre: tuple[float, float]) -> None:
    with pytest.raises(SegsizeError, match="place"):
        project.put_stamp(plane, 4, centre=centre)
    assert project.annotation(plane).is_empty
    assert not project.can_undo


@pytest.mark.parametrize("size", [-2, float("nan"), 0, 31, "3 parsec"])
def test_a_bad_size_leaves_nothing(project: Project, plane: PlaneRef, size: float | str) -> None:
    before = project.revision()
    with pytest.raises(SegsizeError):
        project.put_stamp(plane, size, centre=(1, 1))
    assert project.revision() == before


def test_size_zero_is_not_the_size_of_an_object(project: Project, plane: PlaneRef) -> None:
    with pytest.raises(SegsizeError, match="delete the object"):
        project.put_stamp(plane, 0, object="left")


@pytest.mark.parametrize("name", ["", "mask", "skip", "x" * 300])
def test_reserved_names_of_objects(project: Project, plane: PlaneRef, name: str) -> None:
    with pytest.raises(SegsizeError, match="cannot be called"):
        project.put_stamp(plane, 4, object=name)


def test_planes_and_images_that_are_not_there(project: Project) -> None:
    with pytest.raises(SegsizeError, match="expected 0 to 2"):
        project.put_stamp(PlaneRef(1, 3), 4)
    with pytest.raises(SegsizeError, match="no image number 9"):
        project.annotation(PlaneRef(9))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int32, np.uint64])
def test_masks_come_back_as_int32(project: Project, plane: PlaneRef, dtype: type) -> None:
    labels = np.zeros((20, 30), dtype)
    labels[3:9, 4:8] = 1
    project.put_mask(plane, labels)
    with reopened(project) as again:
        mask = again.annotation(plane).mask
        assert mask is not None
        assert mask.dtype == np.int32
        assert np.array_equal(mask, labels)


def test_large_label_numbers_are_not_narrowed(project: Project, plane: PlaneRef) -> None:
    labels = np.zeros((20, 30), np.int64)
    labels[0, 0] = 2**31 - 1
    project.put_mask(plane, labels)
    mask = project.annotation(plane).mask
    assert mask is not None
    assert mask[0, 0] == 2**31 - 1


@pytest.mark.parametrize(
    ("labels", "word"),
    [(np.ones((20, 31), int), "shape of the plane"), (np.ones((3, 20, 30), int), "shape of the plane"),
     (np.ones((20, 30)), "whole numbers"), (np.full((20, 30), -1), "labels go from 0"),
     (np.full((20, 30), 2**31), "labels go from 0")],
)  # fmt: skip
def test_bad_masks(project: Project, plane: PlaneRef, labels: np.ndarray, word: str) -> None:
    with pytest.raises(SegsizeError, match=word):
        project.put_mask(plane, labels)


def test_erasing_all_paint_deletes_the_mask(project: Project, plane: PlaneRef) -> None:
    project.put_mask(plane, np.eye(20, 30, dtype=int))
    project.put_mask(plane, np.zeros((20, 30), int))
    assert project.annotation(plane).mask is None
    project.undo()
    assert project.annotation(plane).mask is not None


def test_the_same_mask_again_is_not_a_change(project: Project, plane: PlaneRef) -> None:
    project.put_mask(plane, np.eye(20, 30, dtype=int))
    before = project.revision()
    project.put_mask(plane, np.eye(20, 30, dtype=int))
    assert project.revision() == before


def test_no_object_contradicts_objects(project: Project, plane: PlaneRef) -> None:
    project.put_stamp(plane, 4)
    with pytest.raises(SegsizeError, match="delete them first"):
        project.put_no_object(plane)
    assert not project.annotation(plane).no_object


def test_an_object_lifts_no_object_and_skip(project: Project, plane: PlaneRef) -> None:
    project.put_no_object(plane)
    project.put_skip(plane)
    project.put_stamp(plane, 4)
    said = project.annotation(plane)
    assert not said.no_object
    assert not said.skipped
    project.undo()  # one step
    said = project.annotation(plane)
    assert said.no_object
    assert said.skipped
    assert said.stamps == ()


@pytest.mark.parametrize("what", ["stamp", "mask", "no_object", "skip"])
def test_delete_and_undo(project: Project, plane: PlaneRef, what: str) -> None:
    name = what
    if what == "stamp":
        name = project.put_stamp(plane, 4).object
    elif what == "mask":
        project.put_mask(plane, np.eye(20, 30, dtype=int))
    else:
        {"no_object": project.put_no_object, "skip": project.put_skip}[what](plane)
    said = project.annotation(plane)
    assert project.delete(plane, name)
    assert project.annotation(plane).is_empty
    assert not project.delete(plane, name)
    project.undo()
    assert project.annotation(plane) == said


def test_undo_and_redo_walk_back_and_forth(project: Project, plane: PlaneRef) -> None:
    states = [project.annotation(plane)]
    stamp = project.put_stamp(plane, 4, centre=(1, 1))
    states.append(project.annotation(plane))
    project.put_stamp(plane, 6, centre=(2, 2), object=stamp.object)
    states.append(project.annotation(plane))
    project.put_mask(plane, np.eye(20, 30, dtype=int))
    states.append(project.annotation(plane))
    project.delete(plane, stamp.object)
    states.append(project.annotation(plane))
    for _ in range(2):
        for state in reversed(states[:-1]):
            change = project.undo()
            assert change is not None
            assert change.applied
            assert change.plane == plane
            assert project.annotation(plane) == state
        assert not project.can_undo
        assert project.undo() is None
        for state in states[1:]:
            assert project.redo() is not None
            assert project.annotation(plane) == state
        assert not project.can_redo
        assert project.redo() is None


def test_a_new_word_ends_redo(project: Project, plane: PlaneRef) -> None:
    project.put_stamp(plane, 4)
    project.undo()
    project.put_stamp(plane, 6)
    assert not project.can_redo


def test_undo_goes_on_after_reopening(project: Project, plane: PlaneRef) -> None:
    stamp = project.put_stamp(plane, 4)
    project.put_stamp(plane, 6, object=stamp.object)
    project.undo()
    with reopened(project) as again:
        assert again.can_redo
        again.redo()
        assert again.annotation(plane).stamps[0].size == 6
        again.undo()
        again.undo()
        assert again.annotation(plane).is_empty


def test_history_is_appended_never_rewritten(project: Project, plane: PlaneRef) -> None:
    stamp = project.put_stamp(plane, 4)
    revisions = [project.revision()]
    for verb in (project.undo, project.redo, lambda: project.delete(plane, stamp.object)):
        verb()
        revisions.append(project.revision())
    assert revisions == sorted(set(revisions))
    with project._store.writing() as connection, pytest.raises(Exception, match="only grows"):
        connection.exec_driver_sql("UPDATE change SET size = 2")


def test_undo_leaves_what_another_window_has_said_since(project: Project, plane: PlaneRef) -> None:
    mine = project.put_stamp(plane, 4, centre=(1, 1))
    with Project.open(project.folder) as other:
        assert not other.can_undo  # this session is still open, its steps are its own
        theirs = other.put_stamp(plane, 10, centre=(9, 9))
        moved = other.put_stamp(plane, 6, centre=(2, 2), object=mine.object)
        change = project.undo()
        assert change is not None
        assert not change.applied
        assert "changed elsewhere" in change.description
        assert set(project.annotation(plane).stamps) == {moved, theirs}
        assert not project.can_undo
        other.undo()
        assert set(other.annotation(plane).stamps) == {mine, theirs}


def test_undo_does_not_bring_no_object_back_over_an_object(project: Project, plane: PlaneRef) -> None:
    project.put_no_object(plane)
    project.delete(plane, "no_object")
    with Project.open(project.folder) as other:
        other.put_stamp(plane, 4)
    project.undo()
    said = project.annotation(plane)
    assert not said.no_object
    assert len(said.stamps) == 1


def test_several_verbs_can_be_one_step(project: Project, plane: PlaneRef, flat: PlaneRef) -> None:
    with project.step("Both"):
        project.put_stamp(plane, 4)
        project.put_stamp(flat, 6)
        assert project.annotation(flat).stamps[0].size == 6  # seen inside the step
    change = project.undo()
    assert change is not None
    assert change.plane is None
    assert change.description == "Undone: Both"
    assert list(project.annotations()) == []


def test_a_step_that_fails_is_not_written(project: Project, plane: PlaneRef) -> None:
    def both() -> None:
        with project.step("Both"):
            project.put_stamp(plane, 4)
            project.put_stamp(plane, -4)

    with pytest.raises(SegsizeError):
        both()
    assert project.annotation(plane).is_empty
    assert not project.can_undo


def test_undo_inside_a_step_is_a_mistake(project: Project) -> None:
    with project.step("x"), pytest.raises(ValueError, match="inside a step"):
        project.undo()


class TestSync:
    def test_writes_only_differences_in_one_step(self, project: Project, plane: PlaneRef) -> None:
        kept, moved, gone = (project.put_stamp(plane, 4, centre=(y, 3)) for y in (1, 5, 9))
        before = project.annotation(plane).stamps
        wanted = [kept, replace(moved, centre=(6.0, 3.0)), SizeStamp(object="new", size=7, entered=7)]
        project.sync_stamps(plane, wanted)
        stamps = project.annotation(plane).stamps
        assert stamps == (kept, wanted[1], replace(wanted[2], size=8))  # made even
        with project._store.reading() as connection:
            step = project.revision()
            written = connection.exec_driver_sql("SELECT object FROM change WHERE step_id = ?", (step,)).all()
        assert {row[0] for row in written} == {moved.object, gone.object, "new"}
        project.undo()
        assert project.annotation(plane).stamps == before

    def test_the_same_again_is_not_a_change(self, project: Project, plane: PlaneRef) -> None:
        project.put_stamp(plane, 4, centre=(1, 3))
        before = project.revision()
        project.sync_stamps(plane, project.annotation(plane).stamps)
        assert project.revision() == before

    def test_with_a_base_other_windows_keep_their_word(self, project: Project, plane: PlaneRef) -> None:
        first, second = (project.put_stamp(plane, 4, centre=(y, 3)) for y in (1, 5))
        read = project.annotation(plane).stamps
        with Project.open(project.folder) as other:
            theirs = other.put_stamp(plane, 8, centre=(10, 10))
            resized = other.put_stamp(plane, 12, centre=(5, 3), object=second.object)
        moved = replace(first, centre=(2.0, 3.0))
        project.sync_stamps(plane, [moved, second], base=read)
        assert set(project.annotation(plane).stamps) == {moved, resized, theirs}
        project.sync_stamps(plane, [], base=[moved])
        assert set(project.annotation(plane).stamps) == {resized, theirs}

    def test_what_was_entered_is_kept_only_while_it_is_true(self, project: Project, plane: PlaneRef) -> None:
        stamp = project.put_stamp(plane, "3 mm", centre=(5, 5))
        project.sync_stamps(plane, [replace(stamp, centre=(6.0, 6.0))])
        assert project.annotation(plane).stamps == (replace(stamp, centre=(6.0, 6.0)),)
        project.sync_stamps(plane, [replace(stamp, size=11)])  # resized with the mouse
        assert project.annotation(plane).stamps == (replace(stamp, size=12, entered=11, unit="px"),)

    def test_bad_stamps_are_refused_together(self, project: Project, plane: PlaneRef) -> None:
        good = SizeStamp(object="a", size=4, entered=4)
        with pytest.raises(SegsizeError, match="larger than the image"):
            project.sync_stamps(plane, [good, replace(good, object="b", size=400)])
        assert project.annotation(plane).is_empty
        with pytest.raises(ValueError, match="same object"):
            project.sync_stamps(plane, [good, good])


class TestLooking:
    def test_annotations_in_order_and_by_split(
        self, project: Project, plane: PlaneRef, flat: PlaneRef
    ) -> None:
        project.put_skip(PlaneRef(1, 2))
        project.put_mask(flat, np.eye(16, dtype=int))
        stamp = project.put_stamp(plane, 4)
        project.set_split(2, "validation")
        expected = [
            PlaneAnnotation(plane=plane, stamps=(stamp,)),
            PlaneAnnotation(plane=PlaneRef(1, 2), skipped=True),
            PlaneAnnotation(plane=flat, mask=np.eye(16, dtype=np.int32)),
        ]
        assert list(project.annotations()) == expected
        assert list(project.annotations("validation")) == expected[2:]
        assert [said == project.annotation(said.plane) for said in project.annotations()] == [True] * 3

    def test_counts(self, project: Project, plane: PlaneRef, flat: PlaneRef) -> None:
        project.put_stamp(plane, 4)
        project.put_stamp(plane, 4, centre=(2, 2))
        project.put_mask(plane, np.eye(20, 30, dtype=int))
        project.put_no_object(PlaneRef(1, 0))
        project.put_skip(PlaneRef(1, 2))
        project.put_mask(flat, np.eye(16, dtype=int))
        project.set_split(2, "test")
        counts = project.counts()
        names = ("images", "planes", "masks", "sizes", "centres", "no_object", "skipped")

        def numbers(of: Counts) -> tuple[int, ...]:
            return tuple(of.as_dict()[name] for name in names)

        assert numbers(counts) == (2, 4, 2, 2, 1, 1, 1)
        assert numbers(counts.by_split["train"]) == (1, 3, 1, 2, 1, 1, 1)
        assert numbers(counts.by_split["validation"]) == (0,) * 7
        assert numbers(counts.by_split["test"]) == (1, 1, 1, 0, 0, 0, 0)
        assert counts.as_dict()["by_split"]["test"]["masks"] == 1

    def test_next_plane(self, project: Project) -> None:
        a, b, c, d = project.planes()
        assert project.next_plane(None) == a
        assert project.next_plane(None, step=-1) == d
        assert project.next_plane(a) == b
        assert project.next_plane(d) is None
        assert project.next_plane(a, step=-1) is None
        assert project.next_plane(a, step=3) == d
        with pytest.raises(ValueError, match="step"):
            project.next_plane(a, step=0)
        project.set_split(2, "test")
        assert project.next_plane(b, split="test") == d
        assert project.next_plane(d, step=-1, split="train") == c

    def test_next_unlabelled_goes_round_and_passes_skipped(self, project: Project) -> None:
        a, b, c, d = project.planes()
        project.put_stamp(c, 4)
        project.put_skip(d)
        assert project.next_plane(b, unlabelled=True) == a
        assert project.next_plane(b, unlabelled=True, step=-1) == a
        project.put_no_object(a)
        assert project.next_plane(a, unlabelled=True) == b
        project.put_stamp(b, 4)
        assert project.next_plane(a, unlabelled=True) is None

    def test_no_planes(self, tmp_path) -> None:
        with Project.create(tmp_path / "empty") as empty:
            assert empty.next_plane(None) is None
            assert list(empty.annotations()) == []
            assert empty.counts().images == 0

    def test_revision_tells_of_other_processes(self, project: Project, plane: PlaneRef) -> None:
        before = project.revision()
        with Project.open(project.folder) as other:
            other.put_stamp(plane, 4)
        assert project.revision() > before


class TestContradictions:
    def test_a_size_and_the_mask_of_the_same_object(self, project: Project, flat: PlaneRef) -> None:
        mask = np.zeros((16, 16), int)
        mask[1:3, 1:3] = 1  # size 2
        mask[5:15, 5:15] = 1  # size 10, of the same label
        project.put_mask(flat, mask)
        project.put_stamp(flat, 10, centre=(10, 10))
        project.put_stamp(flat, 2, centre=(1, 1))
        project.put_stamp(flat, 8)  # of the whole plane, and near enough
        assert project.contradictions() == ()
        project.put_stamp(flat, 16, centre=(9, 9))
        assert project.contradictions() == (
            "flat: the size is 16 px but the mask's is 10 px. Delete one of the two annotations.",
        )
        assert project.contradictions(tolerance=0.5) == ()

    def test_touching_objects_are_told_apart(self, project: Project, flat: PlaneRef) -> None:
        mask = np.zeros((16, 16), int)
        mask[2:12, 1:7], mask[2:12, 7:15] = 1, 2
        project.put_mask(flat, mask)
        project.put_stamp(flat, 6, centre=(6, 3))
        project.put_stamp(flat, 8, centre=(6, 11))
        assert project.contradictions(tolerance=0) == ()

    def test_a_size_where_the_mask_has_nothing(self, project: Project, plane: PlaneRef) -> None:
        mask = np.zeros((20, 30), int)
        mask[0, 0] = 1
        project.put_mask(plane, mask)
        project.put_stamp(plane, 4, centre=(10, 10))
        (sentence,) = project.contradictions()
        assert sentence.startswith(
            "volume, slice 2 of 3: a size of 4 px is at (10, 10), where the mask has no object"
        )


def test_one_project_from_many_threads(project: Project, plane: PlaneRef) -> None:
    errors: list[BaseException] = []

    def work(k: int) -> None:
        try:
            for n in range(10):
                project.put_stamp(plane, 4, centre=(k, n))
                assert project.annotation(plane).stamps
                assert project.pixels(PlaneRef(1, n % 3)).shape == (1, 20, 30)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert project.counts().sizes == 60
    for _ in range(60):
        project.undo()
    assert project.annotation(plane).is_empty
