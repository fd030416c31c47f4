"""Contours in a project: extreme points click by click, outlines that are accepted or rejected, undo."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segsize.errors import SegsizeError
from napari_segsize.project import Contour, PlaneAnnotation, PlaneRef, Project
from napari_segsize.project.rings import GRID, checked_rings, packed, unpacked

CLICKS = ((2.0, 8.5), (7.25, 3.0), (12.0, 9.0), (6.0, 14.0))  # top, left, bottom, right
SQUARE = ((2.0, 3.0), (12.0, 3.0), (12.0, 14.0), (2.0, 14.0))
HOLE = ((5.0, 5.0), (5.0, 9.0), (9.0, 9.0))


def contours(project: Project, plane: PlaneRef) -> tuple[Contour, ...]:
    return project.annotation(plane).contours


class TestPoints:
    def test_every_click_is_a_transaction(self, project: Project, plane: PlaneRef) -> None:
        contour = project.put_contour(plane, points=CLICKS[:1])
        for count in (2, 3, 4):
            before = project.revision()
            project.put_contour(plane, object=contour.object, points=CLICKS[:count])
            assert project.revision() == before + 1
            with Project.open(project.folder) as other:
                assert contours(other, plane) == (Contour(object=contour.object, points=CLICKS[:count]),)

    def test_undo_takes_back_one_click_at_a_time(self, project: Project, plane: PlaneRef) -> None:
        name = project.put_contour(plane, points=CLICKS[:1]).object
        for count in (2, 3, 4):
            project.put_contour(plane, object=name, points=CLICKS[:count])
        for count in (3, 2, 1):
            change = project.undo()
            assert change is not None
            assert change.plane == plane
            assert change.description == f"Undone: Extreme point {count + 1} on volume, slice 2 of 3"
            assert contours(project, plane)[0].points == CLICKS[:count]
        project.undo()
        assert project.annotation(plane).is_empty
        for count in (1, 2, 3, 4):
            project.redo()
            assert contours(project, plane)[0].points == CLICKS[:count]

    def test_the_order_of_the_clicks_is_kept(self, project: Project, plane: PlaneRef) -> None:
        project.put_contour(plane, points=CLICKS[::-1])
        assert contours(project, plane)[0].points == CLICKS[::-1]

    def test_objects_interleave(self, project: Project, plane: PlaneRef) -> None:
        for count in (1, 2, 3, 4):
            for k, name in enumerate("ab"):
                project.put_contour(plane, object=name, points=[(y + k, x) for y, x in CLICKS[:count]])
        assert [contour.object for contour in contours(project, plane)] == ["a", "b"]
        assert contours(project, plane)[1].points[0] == (3.0, 8.5)

    def test_the_same_again_is_not_a_change(self, project: Project, plane: PlaneRef) -> None:
        project.put_contour(plane, object="a", points=CLICKS, rings=[SQUARE], source="drawn")
        before = project.revision()
        project.put_contour(plane, object="a", points=CLICKS)
        project.put_contour(plane, object="a", rings=[(*SQUARE, SQUARE[0])])
        assert project.revision() == before

    def test_no_points_and_no_outline_left_deletes(self, project: Project, plane: PlaneRef) -> None:
        project.put_contour(plane, object="a", points=CLICKS[:1])
        assert project.put_contour(plane, object="a", points=()) == Contour(object="a")
        assert project.annotation(plane).is_empty
        project.undo()
        assert contours(project, plane)[0].points == CLICKS[:1]

    def test_nothing_said_is_a_mistake(self, project: Project, plane: PlaneRef) -> None:
        with pytest.raises(ValueError, match="expected points, rings or a source"):
            project.put_contour(plane)

    @pytest.mark.parametrize(
        ("points", "words"),
        [
            ([*CLICKS, (1.0, 1.0)], "four extreme points .*, got 5: begin another object"),
            ([*CLICKS[:2], (20.0, 3.0)], r"third extreme point \(20, 3\) lies outside the image of 20 x 30"),
            ([(3.0, -0.6)], r"first extreme point \(3, -0.6\) lies outside"),
            ([CLICKS[0], (float("nan"), 3.0)], "second extreme point .* is not a number: click it again"),
            ([(3.0, 4.0)] * 4, "0 px in y .all at y = 3."),
            ([(3.0, 4.0), (3.0, 9.0)] * 2, "0 px in y .all at y = 3.: click the fourth elsewhere"),
            ([(3.0, 4.0), (5.0, 4.0), (6.0, 4.0), (9.0, 4.0)], "0 px in x .all at x = 4."),
        ],
    )
    def test_bad_points_leave_what_was_clicked(
        self, project: Project, plane: PlaneRef, points: list[tuple[float, float]], words: str
    ) -> None:
        good = project.put_contour(plane, points=points[: min(len(points) - 1, 3)] or CLICKS[:1])
        before = project.revision()
        with pytest.raises(SegsizeError, match=words):
            project.put_contour(plane, object=good.object, points=points)
        assert contours(project, plane) == (good,)
        assert project.revision() == before

    def test_the_border_and_thin_objects_are_fine(self, project: Project, plane: PlaneRef) -> None:
        corners = ((-0.5, 3.0), (4.0, -0.5), (19.5, 3.0), (4.0, 29.5))
        assert project.put_contour(plane, points=corners).points == corners
        diagonal = ((1.0, 1.0), (1.0, 1.0), (9.0, 9.0), (9.0, 9.0))  # top is left, bottom is right
        assert project.put_contour(plane, points=diagonal).points == diagonal

    def test_a_point_is_a_pair(self, project: Project, plane: PlaneRef) -> None:
        with pytest.raises(ValueError, match="3 numbers for the first"):
            project.put_contour(plane, points=[(1, 2, 3)])


class TestOutlines:
    def test_accepting_keeps_the_points(self, project: Project, plane: PlaneRef) -> None:
        name = project.put_contour(plane, points=CLICKS).object
        contour = project.put_contour(plane, object=name, rings=[SQUARE, HOLE], source="network")
        assert contour == Contour(object=name, points=CLICKS, rings=(SQUARE, HOLE), source="network")
        assert (contour.vertices, contour.accepted) == (SQUARE, True)
        project.close()
        with Project.open(project.folder) as again:
            assert contours(again, plane) == (contour,)
            assert list(again.annotations()) == [PlaneAnnotation(plane=plane, contours=(contour,))]

    def test_rejecting_keeps_the_points(self, project: Project, plane: PlaneRef) -> None:
        accepted = project.put_contour(plane, object="a", points=CLICKS, rings=[SQUARE], source="snake")
        rejected = project.put_contour(plane, object="a", rings=())
        assert rejected == Contour(object="a", points=CLICKS)
        assert contours(project, plane) == (rejected,)
        change = project.undo()
        assert change is not None
        assert change.description == "Undone: Rejected a contour on volume, slice 2 of 3"
        assert contours(project, plane) == (accepted,)

    def test_moving_a_point_keeps_the_outline_and_its_source(self, project: Project, plane: PlaneRef) -> None:
        accepted = project.put_contour(plane, object="a", points=CLICKS, rings=[SQUARE], source="snake")
        moved = ((1.0, 8.0), *CLICKS[1:])
        assert project.put_contour(plane, object="a", points=moved) == replace(accepted, points=moved)
        assert project.put_contour(plane, object="a", source="drawn").source == "drawn"

    def test_vertices_are_rounded_to_64ths(self, project: Project, plane: PlaneRef) -> None:
        ring = np.array([(1 / 3, 0.1), (9.9999, 2.0), (5.0, 7.1)])
        (vertices,) = project.put_contour(plane, rings=[ring]).rings
        assert np.abs(np.array(vertices) - ring).max() <= 0.5 / GRID
        assert all(float(value * GRID).is_integer() for vertex in vertices for value in vertex)

    def test_arrays_and_closed_rings(self, project: Project, plane: PlaneRef) -> None:
        ring = np.array([*SQUARE, SQUARE[0]], np.float32)
        assert project.put_contour(plane, rings=ring[None]).rings == (SQUARE,)

    def test_outlines_may_go_beyond_the_image(self, project: Project, plane: PlaneRef) -> None:
        ring = ((-8.0, -8.0), (40.0, 5.0), (5.0, 40.0))
        assert project.put_contour(plane, rings=[ring]).vertices == ring

    @pytest.mark.parametrize(
        ("rings", "words"),
        [
            ([[(1, 1), (2, 2)]], "the contour has 2 distinct vertices, expected at least 3: draw it"),
            ([[(1, 1), (2, 2), (1, 1), (1.001, 1)]], "2 distinct vertices"),
            ([SQUARE, np.empty((0, 2))], "ring 2 of the contour has 0 distinct vertices"),
            ([[(1, 1), (2, 2), (5, 5)]], "an area of 0 px"),
            ([[(1, 1), (1, 9), (5, 9), (1, 9)]], "an area of 0 px"),  # there and back
            ([[(1, 1), (float("inf"), 2), (5, 1)]], r"vertex 2 is \(inf, 2.0\), expected two numbers"),
            ([[(1, 1), (1, 1e9), (5, 5)]], "check its units"),
            ([[(y + 20, x) for y, x in SQUARE]], "lies outside the image, from .22, 3. to .32, 14."),
            ([[(y, x - 15) for y, x in SQUARE]], "lies outside the image"),
        ],
    )
    def test_what_is_no_outline(
        self, project: Project, plane: PlaneRef, rings: list[object], words: str
    ) -> None:
        with pytest.raises(SegsizeError, match=words):
            project.put_contour(plane, rings=rings)
        assert project.annotation(plane).is_empty

    def test_an_eight_is_an_outline(self, project: Project, plane: PlaneRef) -> None:
        eight = ((2.0, 2.0), (8.0, 8.0), (8.0, 2.0), (2.0, 8.0))  # its halves have opposite signs
        assert project.put_contour(plane, rings=[eight]).rings == (eight,)

    def test_too_many_vertices(self, project: Project, plane: PlaneRef) -> None:
        ring = np.random.default_rng(0).uniform(0, 19, (100_001, 2))
        with pytest.raises(SegsizeError, match="at most 100000 vertices, got 100001: simplify it"):
            project.put_contour(plane, rings=[ring])
        assert project.put_contour(plane, object="a", rings=[ring[:-1]]).accepted

    def test_wrong_calls(self, project: Project, plane: PlaneRef) -> None:
        with pytest.raises(ValueError, match=r"vertices \(K, 2\)"):
            project.put_contour(plane, rings=[(1.0, 2.0, 3.0)])
        with pytest.raises(ValueError, match="source: expected one of"):
            project.put_contour(plane, rings=[SQUARE], source="model")
        with pytest.raises(SegsizeError, match="cannot be called"):
            project.put_contour(plane, object="mask", rings=[SQUARE])

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.lists(
                st.tuples(st.integers(-(2**24) * GRID, 2**24 * GRID), st.integers(-9999, 9999)), min_size=1
            ),
            max_size=4,
        )
    )
    def test_packing_is_exact(self, drawn: list[list[tuple[int, int]]]) -> None:
        rings = tuple(tuple((y / GRID, x / GRID) for y, x in ring) for ring in drawn)
        assert unpacked(packed(rings)) == rings

    def test_checking_twice_changes_nothing(self) -> None:
        ring = np.random.default_rng(0).uniform(0, 20, (50, 2))
        once = checked_rings([ring], "a", (20, 20))
        assert checked_rings(once, "a", (20, 20)) == once


class TestSeveral:
    def test_several_are_one_step(self, project: Project, plane: PlaneRef) -> None:
        project.put_no_object(plane)
        project.delete(plane, "no_object")
        project.put_contour(plane, object="a", points=CLICKS)
        put = project.put_contours(plane, {"a": [SQUARE], "b": [HOLE]}, source="network")
        assert contours(project, plane) == put
        assert put == (
            Contour(object="a", points=CLICKS, rings=(SQUARE,), source="network"),
            Contour(object="b", rings=(HOLE,), source="network"),
        )
        change = project.undo()
        assert change is not None
        assert change.description == "Undone: 2 contours on volume, slice 2 of 3"
        assert contours(project, plane) == (Contour(object="a", points=CLICKS),)

    def test_all_or_none(self, project: Project, plane: PlaneRef) -> None:
        with pytest.raises(SegsizeError, match="area of 0 px"):
            project.put_contours(plane, {"a": [SQUARE], "b": [((1, 1), (2, 2), (3, 3))]}, source="drawn")
        assert project.annotation(plane).is_empty
        assert project.put_contours(plane, {}, source="drawn") == ()
        assert not project.can_undo


class TestTogether:
    def test_a_contour_lifts_no_object_and_skip(self, project: Project, plane: PlaneRef) -> None:
        project.put_no_object(plane)
        project.put_skip(plane)
        before = project.annotation(plane)
        contour = project.put_contour(plane, points=CLICKS[:1])
        assert project.annotation(plane) == PlaneAnnotation(plane=plane, contours=(contour,))
        project.undo()  # one step
        assert project.annotation(plane) == before

    def test_no_object_contradicts_contours(self, project: Project, plane: PlaneRef) -> None:
        project.put_contour(plane, points=CLICKS[:1])
        with pytest.raises(SegsizeError, match=r"contours or a mask.*delete them first"):
            project.put_no_object(plane)

    def test_undo_does_not_bring_no_object_back_over_a_contour(
        self, project: Project, plane: PlaneRef
    ) -> None:
        project.put_no_object(plane)
        project.delete(plane, "no_object")
        with Project.open(project.folder) as other:
            other.put_contour(plane, rings=[SQUARE])
        project.undo()
        assert not project.annotation(plane).no_object

    def test_a_size_and_a_contour_of_one_object(self, project: Project, plane: PlaneRef) -> None:
        stamp = project.put_stamp(plane, 10, centre=(7, 8))
        contour = project.put_contour(plane, object=stamp.object, rings=[SQUARE])
        both = PlaneAnnotation(plane=plane, stamps=(stamp,), contours=(contour,))
        assert project.annotation(plane) == both
        assert project.delete_contour(plane, stamp.object)
        assert not project.delete_contour(plane, stamp.object)
        assert project.annotation(plane) == PlaneAnnotation(plane=plane, stamps=(stamp,))
        project.undo()
        assert project.delete(plane, stamp.object)
        assert project.annotation(plane).is_empty
        assert not project.delete(plane, stamp.object)
        project.undo()  # one step
        assert project.annotation(plane) == both

    def test_editing_sizes_leaves_contours(self, project: Project, plane: PlaneRef) -> None:
        contour = project.put_contour(plane, rings=[SQUARE])
        project.put_stamp(plane, 4, object=contour.object)
        project.sync_stamps(plane, [])
        assert project.annotation(plane) == PlaneAnnotation(plane=plane, contours=(contour,))

    def test_another_window_keeps_its_word(self, project: Project, plane: PlaneRef) -> None:
        mine = project.put_contour(plane, points=CLICKS[:2])
        with Project.open(project.folder) as other:
            theirs = other.put_contour(plane, points=CLICKS[:1])
            other.put_contour(plane, object=mine.object, points=CLICKS[:3])
        change = project.undo()
        assert change is not None
        assert not change.applied
        assert contours(project, plane) == (replace(mine, points=CLICKS[:3]), theirs)

    def test_points_that_came_while_an_outline_was_made_are_kept(
        self, project: Project, plane: PlaneRef
    ) -> None:
        name = project.put_contour(plane, points=CLICKS).object
        with Project.open(project.folder) as other:
            moved = ((1.0, 8.0), *CLICKS[1:])
            other.put_contour(plane, object=name, points=moved)
        assert project.put_contour(plane, object=name, rings=[SQUARE]).points == moved

    def test_an_image_that_comes_back_has_its_contours(self, project: Project, plane: PlaneRef) -> None:
        file = project.file_of(1)
        contour = project.put_contour(plane, points=CLICKS, rings=[SQUARE], source="drawn")
        project.remove_image(1)
        assert list(project.annotations()) == []
        assert project.counts().contours == 0
        project.add_files(file)
        assert contours(project, plane) == (contour,)

    def test_history_only_grows(self, project: Project, plane: PlaneRef) -> None:
        project.put_contour(plane, rings=[SQUARE])
        for statement in ("UPDATE outline SET data = x'00'", "DELETE FROM outline"):
            with project._store.writing() as connection, pytest.raises(Exception, match="only grows"):
                connection.exec_driver_sql(statement)

    def test_many_contours_on_planes_and_images(self, project: Project) -> None:
        planes = project.planes()
        with project.step("Many"):
            for k in range(600):  # more than one query fetches
                ring = [(y * 0.5 + k / GRID, x * 0.5) for y, x in SQUARE]
                project.put_contour(planes[k % 4], object=f"{k}", rings=[ring], source="import")
        said = {each.plane: each for each in project.annotations()}
        assert [len(said[plane].contours) for plane in planes] == [150] * 4
        assert all(said[plane] == project.annotation(plane) for plane in planes)
        assert [contour.object for contour in said[planes[1]].contours] == [f"{k}" for k in range(1, 600, 4)]
        project.undo()
        assert list(project.annotations()) == []


class TestLooking:
    def test_counts(self, project: Project, plane: PlaneRef, flat: PlaneRef) -> None:
        project.put_contour(plane, points=CLICKS[:1])
        project.put_contour(plane, points=CLICKS)
        project.put_contour(plane, points=CLICKS, rings=[SQUARE])
        project.put_contour(flat, rings=[HOLE])
        project.put_stamp(flat, 4, centre=(3, 3))
        project.set_split(2, "test")
        counts = project.counts()
        assert (counts.points, counts.contours, counts.sizes, counts.centres) == (2, 2, 1, 1)
        train = counts.by_split["train"]
        assert (train.points, train.contours, train.sizes) == (2, 1, 0)
        assert counts.as_dict()["by_split"]["test"]["contours"] == 1

    @pytest.mark.parametrize(
        ("points", "rings", "labelled"),
        [(CLICKS[:1], None, False), (CLICKS[:3], None, False), (CLICKS, None, True), (None, [SQUARE], True)],
    )
    def test_complete_points_and_outlines_are_labels(
        self, project: Project, flat: PlaneRef, points: object, rings: object, labelled: bool
    ) -> None:
        project.put_contour(flat, points=points, rings=rings)
        said = project.annotation(flat)
        assert said.labelled == labelled
        assert not said.is_empty
        assert project.next_plane(None, unlabelled=True, split="train") == PlaneRef(1, 0)
        assert (project.next_plane(PlaneRef(1, 2), unlabelled=True) == flat) == (not labelled)
        project.put_contour(flat, object=said.contours[0].object, rings=(), points=CLICKS[:2])
        assert project.next_plane(PlaneRef(1, 2), unlabelled=True) == flat

    def test_equality_minds_contours(self, plane: PlaneRef) -> None:
        contour = Contour(object="a", points=CLICKS)
        assert PlaneAnnotation(plane=plane, contours=(contour,)) != PlaneAnnotation(plane=plane)


def test_a_click_is_on_the_disk_soon(tmp_path: Path) -> None:
    """A click costs what a stamp costs; what that is, depends on the disk (`benchmarks/annotation.py`)."""
    with Project.create(tmp_path / "speed") as project:
        project.add_array("stack", np.zeros((2, 64, 64), np.uint8) + np.eye(64, dtype=np.uint8), kind="stack")
        angles = np.linspace(0, 2 * np.pi, 33)[:-1]
        ring = np.stack((30 + 20 * np.sin(angles), 30 + 20 * np.cos(angles)), -1)

        def seconds(verb: object) -> float:
            times = []
            for k in range(40):
                start = time.perf_counter()
                verb(k)  # type: ignore[operator]
                times.append(time.perf_counter() - start)
            return float(np.median(times))

        stamp = seconds(lambda k: project.put_stamp(PlaneRef(1), 4, centre=(k, 3)))
        click = seconds(lambda k: project.put_contour(PlaneRef(1, 1), points=CLICKS[: 1 + k % 4]))
        outline = seconds(lambda k: project.put_contour(PlaneRef(1, 1), object=f"{k}", rings=[ring + k / 64]))
    assert click < max(3 * stamp, 0.01)
    assert outline < max(3 * stamp, 0.01)
