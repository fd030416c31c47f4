"""The verbs of the page Contours against a real project and a made-up engine; no Qt, no torch."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from contour_engine import STEPS, FakeEngine
from held_jobs import Launch

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.events import ContourStep
from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets import contour_runs
from napari_segsize.widgets.contour_state import hint, sizes_to_outline
from napari_segsize.widgets.controller import Controller

FOUR = ((4, 10), (12, 4), (20, 12), (10, 20))
OTHER = ((22, 24), (26, 20), (30, 25), (27, 30))


@pytest.fixture
def engine(monkeypatch):
    engine = FakeEngine()
    monkeypatch.setattr(contour_runs, "evolving", engine)
    return engine


@pytest.fixture
def queue_launch():
    return Launch()


@pytest.fixture
def controller(engine, queue_launch, tmp_path, rng):
    with Project.create(tmp_path / "p") as project:
        for name in ("a", "b"):
            project.add_array(name, rng.integers(0, 255, (64, 64), dtype=np.uint8))
    made = Controller(Launch(), beside=queue_launch, linger=0.0)
    made.failures = []
    made.failed.connect(made.failures.append)
    assert made.open_project(tmp_path / "p")
    yield made
    made.dispose()


def clicks(controller, points=FOUR):
    made = [controller.contours.click(controller.state.plane, point) for point in points]
    return made[-1].object


def board(controller):
    return controller.state.board


def status(controller, name):
    found = board(controller).find(name)
    return None if found is None else found.status


def stored(controller, name):
    with Project.open(controller.state.folder) as other:
        said = other.annotation(controller.state.plane)
    return next((each for each in said.contours if each.object == name), None)


# --- clicking


def test_each_click_is_on_disk_when_the_verb_returns(controller):
    plane = controller.state.plane
    first = controller.contours.click(plane, FOUR[0])
    assert stored(controller, first.object).points == (FOUR[0],)
    assert status(controller, first.object) == "clicking"
    assert "click 2 of 4" in hint(board(controller))
    assert controller.state.counts.points == 1


def test_the_fourth_click_asks_for_a_contour_and_the_next_one_begins_another_object(controller, engine):
    name = clicks(controller)
    (prompt,) = engine.asked
    assert (prompt.object, set(prompt.points), prompt.start) == (name, set(FOUR), ())
    assert status(controller, name) == "review"
    assert board(controller).focus == name
    assert board(controller).open == ""
    assert clicks(controller, OTHER) != name


def test_any_order_will_do(controller, engine):
    clicks(controller, FOUR[::-1])
    assert set(engine.asked[0].points) == set(FOUR)


def test_clicking_goes_on_while_contours_are_waited_for(controller, queue_launch):
    queue_launch.hold = True
    first, second = clicks(controller), clicks(controller, OTHER)
    assert [status(controller, name) for name in (first, second)] == ["queued", "queued"]
    assert board(controller).waiting == 2
    (job,) = queue_launch.held  # one run for both
    job.finish()
    assert [status(controller, name) for name in (first, second)] == ["review", "review"]
    assert board(controller).waiting == 0


def test_points_on_one_line_keep_the_first_three_and_say_why(controller):
    plane = controller.state.plane
    for x in (4, 8, 12):
        controller.contours.click(plane, (5, x))
    assert controller.contours.click(plane, (5, 20)) is None
    assert "extent of 0 px" in controller.failures[-1]
    begun = board(controller).clicking
    assert len(begun.points) == 3
    assert "click 4 of 4" in hint(board(controller))
    controller.contours.click(plane, (9, 20))  # the way out
    assert status(controller, begun.object) == "review"


def test_four_coincident_points_are_refused(controller):
    for _ in range(4):
        controller.contours.click(controller.state.plane, (5, 5))
    assert "extent of 0 px" in controller.failures[-1]
    assert len(board(controller).clicking.points) == 3


def test_a_click_outside_the_image_is_refused_and_the_object_stays_open(controller):
    controller.contours.click(controller.state.plane, FOUR[0])
    assert controller.contours.click(controller.state.plane, (-9, 5)) is None
    assert "outside the image" in controller.failures[-1]
    assert len(board(controller).clicking.points) == 1


def test_three_points_wait_for_the_fourth_and_nothing_else_can_be_done_with_them(
    controller, engine, tmp_path
):
    desk = controller.contours
    name = clicks(controller, FOUR[:3])
    assert (engine.asked, status(controller, name)) == ([], "clicking")
    for verb in (desk.accept, desk.redo):
        verb(name)
        assert "3 of 4 clicks: click the fourth" in controller.failures[-1]
    assert desk.accept_all() == 0
    desk.new_object()
    clicks(controller, OTHER)
    assert status(controller, name) == "clicking"  # left as it is, for later
    controller.open_project(tmp_path / "p")
    assert [prompt.object for prompt in engine.asked].count(name) == 0
    controller.contours.select(name)
    assert "click 4 of 4" in hint(board(controller))
    assert controller.contours.click(controller.state.plane, FOUR[3]).object == name
    assert status(controller, name) == "review"


def test_five_clicks_are_an_object_and_the_first_click_of_the_next(controller, engine):
    name = clicks(controller, (*FOUR, OTHER[0]))
    assert [len(each.points) for each in board(controller).objects] == [4, 1]
    assert board(controller).open == name
    assert len(engine.asked) == 1


def test_a_missed_click_does_not_shift_the_objects_that_follow(controller, engine):
    """The fourth click of one object is missing: the next one is far away, and begins its own."""
    near = ((2, 3), (3, 2), (4, 3))
    first = clicks(controller, near)
    second = clicks(controller, [(y + 40, x + 40) for y, x in FOUR])
    assert second != first
    assert "far away" in controller.failures[-1]
    assert status(controller, second) == "review"
    assert stored(controller, first).points == near
    controller.contours.select(first)  # whoever insists, may
    controller.contours.click(controller.state.plane, (60, 60))
    assert len(stored(controller, first).points) == 4


def test_the_last_click_is_taken_back(controller, engine):
    name = clicks(controller, FOUR[:3])
    controller.contours.take_back()
    assert stored(controller, name).points == FOUR[:2]
    controller.contours.take_back()
    controller.contours.take_back()
    assert stored(controller, name) is None
    controller.contours.take_back()
    assert "no click to take back" in controller.failures[-1]


def test_the_fourth_click_can_be_taken_back_though_the_contour_is_there(controller):
    name = clicks(controller)
    controller.contours.take_back()
    assert status(controller, name) == "clicking"
    assert board(controller).open == name
    assert len(stored(controller, name).points) == 3


def test_an_answer_to_clicks_that_were_taken_back_is_dropped(controller, queue_launch, engine):
    queue_launch.hold = True
    name = clicks(controller)
    controller.contours.take_back()
    assert board(controller).waiting == 0
    controller.contours.click(controller.state.plane, (10, 26))
    queue_launch.held[0].finish()
    assert len(engine.asked) == 2  # the second is asked only when the first is answered
    assert status(controller, name) == "review"
    assert board(controller).find(name).present[:, 1].max() == pytest.approx(26, abs=0.5)


def test_undo_takes_clicks_back_one_by_one_and_the_object_is_open_again(controller):
    name = clicks(controller)
    controller.undo()
    assert status(controller, name) == "clicking"
    assert board(controller).open == name
    for _ in range(3):
        controller.undo()
    assert status(controller, name) is None
    assert board(controller).open == ""
    controller.redo()
    assert board(controller).open == name


def test_two_objects_interleaved(controller):
    plane = controller.state.plane
    first = clicks(controller, FOUR[:2])
    controller.contours.new_object()
    second = clicks(controller, OTHER[:3])
    assert second != first
    controller.contours.select(first)
    assert "click 3 of 4" in hint(board(controller))
    for point in FOUR[2:]:
        controller.contours.click(plane, point)
    assert status(controller, first) == "review"
    controller.contours.select(second)
    controller.contours.click(plane, OTHER[3])
    assert set(stored(controller, second).points) == set(OTHER)


def test_a_point_moved_evolves_from_the_present_contour(controller, engine):
    name = clicks(controller)
    present = board(controller).find(name).present
    controller.contours.move_points(name, {3: (10, 24)})
    assert stored(controller, name).points[3] == (10, 24)
    prompt = engine.asked[-1]
    assert (10, 24) in prompt.points
    assert np.allclose(prompt.start, present)


# --- other beginnings


def test_a_stamp_starts_a_contour_of_the_same_object(controller, engine):
    stamp = controller.put_stamp(10, centre=(15, 16))
    controller.contours.start_from_stamps([stamp.object])
    assert engine.asked[0].stamp == (15, 16, 10)
    assert status(controller, stamp.object) == "review"
    controller.contours.accept()
    assert stored(controller, stamp.object).accepted
    assert controller.state.annotation.stamps == (stamp,)
    controller.contours.start_from_stamps([])
    assert "No size is selected" in controller.failures[-1]


def test_an_outline_starts_a_contour_with_few_vertices(controller, engine):
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    circle = 15 + 8 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    controller.contours.start_from_outlines([circle])
    (prompt,) = engine.asked
    assert prompt.points == ()
    assert len(prompt.start) == EvolveConfig().vertices
    assert board(controller).objects[0].status == "review"


# --- the verdict


def test_accepting_stores_what_is_shown_and_goes_on(controller):
    first, second = clicks(controller), clicks(controller, OTHER)
    controller.contours.select(first)
    shown = board(controller).find(first).present
    assert controller.contours.accept(first)
    contour = stored(controller, first)
    assert np.allclose(contour.vertices, shown, atol=1 / 64)
    assert contour.source == "network"
    assert status(controller, first) == "accepted"
    assert board(controller).focus == second
    assert controller.state.counts.contours == 1


def test_any_step_can_be_accepted(controller):
    name = clicks(controller)
    controller.contours.show_step(name, 1)
    steps = board(controller).find(name).steps
    assert len(steps) == STEPS + 1
    controller.contours.accept()
    assert np.allclose(stored(controller, name).vertices, steps[1], atol=1 / 64)
    controller.contours.show_step(name, 2)  # and scrubbed again afterwards
    assert status(controller, name) == "review"
    controller.contours.accept(name)
    assert np.allclose(stored(controller, name).vertices, steps[2], atol=1 / 64)


def test_all_at_once_are_one_step_of_undo(controller):
    names = [clicks(controller), clicks(controller, OTHER)]
    assert controller.contours.accept_all() == 2
    assert all(stored(controller, name).accepted for name in names)
    controller.undo()
    assert [status(controller, name) for name in names] == ["review", "review"]
    controller.redo()
    assert [status(controller, name) for name in names] == ["accepted", "accepted"]
    assert controller.contours.accept_all() == 0
    assert "No contour waits" in controller.failures[-1]


def test_accepted_by_itself_unless_the_engine_has_doubts(controller, engine):
    controller.contours.set_auto_accept(True)
    assert status(controller, clicks(controller)) == "accepted"
    engine.notice = "The contour crossed itself and was cut to its largest part."
    name = clicks(controller, OTHER)
    assert status(controller, name) == "review"
    assert "crossed itself" in board(controller).find(name).note


def test_rejecting_throws_the_object_away_and_undo_brings_it_back(controller):
    name = clicks(controller)
    controller.contours.reject()
    assert stored(controller, name) is None
    assert status(controller, name) is None
    controller.undo()
    assert status(controller, name) == "review"  # asked for again


def test_rejecting_a_repair_keeps_what_was_accepted(controller):
    name = clicks(controller)
    controller.contours.accept()
    before = stored(controller, name)
    controller.contours.move_vertices(name, {0: (2, 2)})
    assert status(controller, name) == "review"
    controller.contours.reject(name)
    assert stored(controller, name) == before
    assert status(controller, name) == "accepted"


def test_redo_asks_again_with_the_settings_of_now(controller, engine):
    name = clicks(controller)
    controller.contours.set_config(EvolveConfig(engine="snake", vertices=8))
    controller.contours.redo()
    assert [config.engine for _, config in engine.runs] == ["network", "snake"]
    found = board(controller).find(name)
    assert (found.source, len(found.present)) == ("snake", 8)


def test_redo_after_a_repair_begins_from_the_clicks(controller, engine):
    name = clicks(controller)
    controller.contours.move_vertices(name, {0: (2, 2)})
    assert engine.asked[-1].start
    controller.contours.redo(name)
    assert engine.asked[-1].start == ()


def test_going_to_the_next_object_passes_over_accepted_ones(controller):
    first, second = clicks(controller), clicks(controller, OTHER)
    controller.contours.accept(first)
    controller.contours.select(first)
    controller.contours.next_object()
    assert board(controller).focus == second
    controller.contours.accept()
    controller.contours.next_object()
    assert "Nothing is left" in controller.state.message


def test_the_next_object_may_be_on_another_image(controller):
    here, name = controller.state.plane, clicks(controller)
    controller.next()
    assert board(controller).elsewhere == 1
    controller.contours.next_object()
    assert controller.state.plane == here
    assert board(controller).focus == name


def test_without_a_selection_the_user_is_told(controller):
    for verb in (controller.contours.accept, controller.contours.reject, controller.contours.redo):
        verb()
        assert "No object is selected" in controller.failures[-1]


# --- repair


def test_a_dragged_vertex_evolves_from_the_contour_as_it_is_then(controller, engine):
    name = clicks(controller)
    present = board(controller).find(name).present
    controller.contours.move_vertices(name, {2: (1, 1)})
    start = np.array(engine.asked[-1].start)
    assert tuple(start[2]) == (1, 1)
    assert np.allclose(np.delete(start, 2, axis=0), np.delete(present, 2, axis=0))
    assert set(engine.asked[-1].points) == set(FOUR)
    assert status(controller, name) == "review"


def test_a_dragged_vertex_can_stay_where_it_was_put(controller, engine):
    name = clicks(controller)
    controller.contours.move_vertices(name, {2: (1, 1)}, evolve=False)
    assert len(engine.asked) == 1
    controller.contours.accept()
    assert stored(controller, name).vertices[2] == (1, 1)


def test_the_number_of_vertices_can_be_changed_afterwards(controller):
    name = clicks(controller)
    controller.contours.set_vertices(name, 8)
    assert len(board(controller).find(name).present) == 8
    controller.contours.accept()
    assert len(stored(controller, name).vertices) == 8
    controller.contours.set_vertices(name, 20)
    assert status(controller, name) == "review"
    assert len(board(controller).find(name).present) == 20


def test_a_contour_keeps_three_vertices(controller):
    name = clicks(controller)
    controller.contours.set_vertices(name, 1)
    assert len(board(controller).find(name).present) == 3
    controller.contours.remove_vertices(name, [0])
    assert "at least 3 vertices" in controller.failures[-1]


def test_edited_and_drawn_by_hand(controller):
    name = clicks(controller)
    controller.contours.accept()
    triangle = ((4.0, 4.0), (4.0, 12.0), (12.0, 4.0))
    controller.contours.edit(name, [triangle])
    assert (stored(controller, name).vertices, stored(controller, name).source) == (triangle, "drawn")
    controller.contours.draw(np.array(triangle) + 8)
    drawn = next(each for each in board(controller).objects if each.object != name)
    assert (drawn.status, drawn.source) == ("accepted", "drawn")
    controller.contours.edit(name, ())
    assert stored(controller, name) is None
    controller.undo()
    assert stored(controller, name).vertices == triangle


# --- what goes wrong


def test_an_object_that_fails_says_why_and_the_others_are_not_held_up(controller, engine, queue_launch):
    queue_launch.hold = True
    first, second = clicks(controller), clicks(controller, OTHER)
    engine.fails[first] = "The image is gone: relink it."
    queue_launch.held[0].finish()
    assert status(controller, first) == "failed"
    assert board(controller).find(first).note == "The image is gone: relink it."
    assert status(controller, second) == "review"
    controller.contours.accept(first)
    assert "has no contour: move a point, press Again, or reject it" in controller.failures[-1]
    engine.fails.clear()
    queue_launch.hold = False
    controller.contours.redo(first)
    assert status(controller, first) == "review"


@pytest.mark.parametrize("error", [SegsizeError("Another version: use the snake."), RuntimeError("odd")])
def test_a_broken_engine_fails_its_objects_and_loses_no_click(controller, engine, error):
    crashed = []
    controller.crashed.connect(crashed.append)
    engine.raises = error
    name = clicks(controller)
    assert status(controller, name) == "failed"
    assert str(error) in board(controller).find(name).note
    assert str(error) in controller.failures[-1]
    assert bool(crashed) == isinstance(error, RuntimeError)
    assert set(stored(controller, name).points) == set(FOUR)
    engine.raises = None
    controller.contours.redo(name)
    assert status(controller, name) == "review"


def test_a_collapsed_contour_is_a_failure(controller, engine, monkeypatch):
    answer = engine.answer

    def collapsed(prompt, config):
        done = answer(prompt, config)
        done.contours[:] = np.nan
        return done

    monkeypatch.setattr(engine, "answer", collapsed)
    name = clicks(controller)
    assert status(controller, name) == "failed"
    assert "collapsed" in board(controller).find(name).note


def test_an_engine_that_gives_no_answer_is_asked_once_more_and_then_given_up(controller, monkeypatch):
    begun = []

    def silent(folder, inbox, config):
        begun.append(config)
        with suppress(Exception):
            while inbox.get(timeout=0.01) is not None:
                yield None

    monkeypatch.setattr(contour_runs, "evolving", silent)
    name = clicks(controller)
    assert len(begun) == 2
    assert status(controller, name) == "failed"


def test_steps_are_drawn_as_they_come(controller, engine, queue_launch):
    queue_launch.hold = True
    name = clicks(controller)
    job = queue_launch.held[0]
    vertices = np.array([[1, 1], [1, 9], [9, 5]], np.float32)
    plane = controller.state.plane
    job.on_event(ContourStep(plane=plane, object=name, step=1, steps=9, vertices=vertices))
    found = board(controller).find(name)
    assert found.status == "queued"
    assert np.array_equal(found.present, vertices)


# --- leaving and coming back


def test_what_was_clicked_is_asked_for_again_when_the_project_is_opened(controller, engine, queue_launch):
    queue_launch.hold = True
    here = clicks(controller)
    controller.next()
    elsewhere = clicks(controller, OTHER)
    half = clicks(controller, FOUR[:2])
    folder, plane = controller.state.folder, controller.state.plane
    controller.close_project()
    assert queue_launch.held[0].stopped
    assert not engine.asked
    queue_launch.hold = False
    assert controller.open_project(folder)
    assert {prompt.object for prompt in engine.asked} == {here, elsewhere}
    assert status(controller, here) == "review"
    controller.show(plane)
    assert status(controller, elsewhere) == "review"
    assert status(controller, half) == "clicking"
    assert board(controller).open == ""  # the next click begins a new object


def test_sizes_without_a_contour_are_begun_again_only_when_asked(controller, engine):
    plane = controller.state.plane
    for y, x in ((12, 12), (30, 30), (50, 50)):
        controller.put_stamp(10, centre=(y, x))
    controller.put_stamp(8)  # no place: nothing to outline
    first = controller.state.annotation.stamps[0].object
    controller.contours.start_from_all_stamps()
    controller.contours.accept(first)
    assert len(engine.asked) == 3
    controller.open_project(controller.state.folder)
    controller.show(plane)
    assert len(engine.asked) == 3  # nobody asked for hundreds of contours
    assert len(sizes_to_outline(board(controller), controller.state.annotation)) == 2
    controller.contours.start_from_all_stamps()
    assert len(engine.asked) == 5
    assert sizes_to_outline(board(controller), controller.state.annotation) == ()
    controller.contours.start_from_all_stamps()
    assert "Every size" in controller.state.error
    assert len(engine.asked) == 5


def test_outlines_that_are_not_stored_say_so(controller, queue_launch):
    queue_launch.hold = True
    controller.contours.start_from_outlines([np.array(FOUR)])
    assert controller.state.message == "1 contour on the way: the project keeps what you accept."
    queue_launch.held[0].finish()
    assert controller.state.message == "The project keeps what you accept."


def test_the_word_that_a_contour_is_on_its_way_goes_when_it_is_there(controller, queue_launch):
    queue_launch.hold = True
    clicks(controller)
    assert controller.state.message.endswith("on its way.")
    queue_launch.held[0].finish()
    assert controller.state.message == ""
    clicks(controller, OTHER)
    controller.update(message="Something else.")
    queue_launch.held[1].finish()
    assert controller.state.message == "Something else."


def test_a_search_for_what_is_owed_is_let_go_of_when_it_ends(controller, queue_launch):
    clicks(controller)
    folder = controller.state.folder
    queue_launch.hold = True
    controller.open_project(folder)
    search = queue_launch.held[0]
    search.finish()
    assert not search.stopped
    controller.close_project()
    assert not search.stopped  # what has ended is not told to stop


def test_a_search_of_the_same_project_before_it_was_left_says_nothing(controller, queue_launch, engine):
    clicks(controller)
    folder = controller.state.folder
    queue_launch.hold = True
    controller.open_project(folder)
    controller.open_project(folder)
    before = controller.state
    queue_launch.held[0].finish()  # the first one
    assert controller.state is before


def test_answers_for_a_project_that_was_left_are_dropped(controller, queue_launch, tmp_path):
    queue_launch.hold = True
    clicks(controller)
    controller.create_project(tmp_path / "other")
    before = controller.state
    queue_launch.held[0].finish()
    assert controller.state is before


def test_accepted_contours_are_not_asked_for_again(controller, engine):
    clicks(controller)
    controller.contours.accept()
    folder = controller.state.folder
    controller.open_project(folder)
    assert len(engine.asked) == 1
    assert [each.status for each in board(controller).objects] == ["accepted"]


def test_disposing_with_a_full_queue_stops_it_and_loses_nothing(controller, queue_launch, engine):
    queue_launch.hold = True
    name = clicks(controller)
    folder = controller.state.folder
    controller.dispose()
    job = queue_launch.held[0]
    assert job.stopped
    job.finish()
    assert not engine.asked
    with Project.open(folder) as project:
        assert set(project.annotation(PlaneRef(1)).contours[0].points) == set(FOUR)
    assert name


def test_another_window_deletes_an_object_that_is_waited_for(controller, queue_launch):
    queue_launch.hold = True
    name = clicks(controller)
    with Project.open(controller.state.folder) as other:
        other.delete_contour(controller.state.plane, name)
    controller.poll()
    assert board(controller).objects == ()
    assert board(controller).waiting == 0
    queue_launch.held[0].finish()
    assert board(controller).objects == ()


def test_going_to_another_image_and_back_keeps_the_contours(controller):
    name = clicks(controller)
    controller.next()
    assert board(controller).objects == ()
    controller.previous()
    assert status(controller, name) == "review"
    assert board(controller).focus == name


def test_many_objects_are_one_run(controller, queue_launch, engine):
    queue_launch.hold = True
    names = [clicks(controller, [(y + k % 7, x + k % 9) for y, x in FOUR]) for k in range(40)]
    queue_launch.held[0].finish()
    assert len(engine.runs) == 1
    assert {status(controller, name) for name in names} == {"review"}
    assert [each.number for each in board(controller).objects] == list(range(1, 41))
