"""The page Contours with a real controller, project and viewer, and a made-up engine."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")
from contour_engine import FakeEngine
from held_jobs import Launch
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QLabel
from superqt import QCollapsible

from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.events import Ended
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets import contour_page, contour_runs, runs
from napari_segsize.widgets.contour_drawing import Wanted
from napari_segsize.widgets.contour_page import ContourPage
from napari_segsize.widgets.contour_phi import ROLES as MAPS
from napari_segsize.widgets.contour_shapes import outline_of_shape
from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.keys import CONTOUR_SHORTCUTS
from napari_segsize.widgets.layers import SegsizeLayers
from napari_segsize.widgets.reach import reachable
from napari_segsize.widgets.shelf import role_of

LEFT = Qt.MouseButton.LeftButton
FOUR = ((4, 10), (12, 4), (20, 12), (10, 20))
OTHER = ((22, 28), (26, 22), (34, 30), (28, 38))


@pytest.fixture
def engine(monkeypatch):
    engine = FakeEngine()
    monkeypatch.setattr(contour_runs, "evolving", engine)
    monkeypatch.setattr(contour_page, "launch_quietly", lambda events, _, on_end: on_end(events.close()))
    return engine


@pytest.fixture
def folder(tmp_path, rng):
    with Project.create(tmp_path / "p") as project:
        project.add_array("flat", rng.integers(0, 255, (40, 50), dtype=np.uint8))
        stack = rng.integers(0, 255, (3, 40, 50), dtype=np.uint8)
        project.add_array("stack", stack, kind="stack", spacing=(2.0, 0.5, 0.5), unit="mm")
        project.add_array("colour", rng.integers(0, 255, (40, 44, 3), dtype=np.uint8), rgb=True)
    return tmp_path / "p"


@pytest.fixture
def page(make_napari_viewer, qtbot, engine, folder):
    launch = Launch()
    controller, layers = Controller(Launch(), beside=launch, linger=0.0), SegsizeLayers(make_napari_viewer())
    page = ContourPage(controller, layers)
    qtbot.addWidget(page)
    page.controller, page.layers, page.launch = controller, layers, launch
    shown = []

    def draw(_state):  # as the dock widget does it
        state = controller.state
        if controller.project is not None and state.plane is not None:
            if shown[-1:] != [(state.folder, state.plane, state.redraw)]:
                shown.append((state.folder, state.plane, state.redraw))
                layers.show_plane(controller.project, state.plane)
            layers.show_contours(state.board, state.annotation)
        page.render(state)

    controller.state_changed.connect(draw)
    controller.open_project(folder)
    page.lively.setChecked(False)
    page.show()
    yield page
    controller.state_changed.disconnect()
    controller.dispose()
    layers.close()


def board(page):
    return page.controller.state.board


def points(page):
    return page.layers.contours.layer


def click(page, *places, number=0):
    """As napari's add mode does it."""
    for y, x in places:
        lead = (number,) if points(page).ndim == 3 else ()
        points(page).add((*lead, y, x))


def four(page, places=FOUR, number=0):
    page.buttons["points"].click()
    click(page, *places, number=number)
    return board(page).objects[-1].object


def press(page, key):
    """As napari does it: the key's slot of the active layer."""
    layer = page.layers.viewer.layers.selection.active
    slot = next(slot for combo, slot in layer.keymap.items() if str(combo) == key)
    return slot(layer)


def layer_of(page, role):
    return next((layer for layer in page.layers.viewer.layers if role_of(layer) == role), None)


def drag(page, row, to):
    """As napari's select mode does it: one event before it moves, one after."""
    layer = points(page)
    layer.selected_data = {row}
    layer.events.data(value=layer.data, action="changing", data_indices=(row,), vertex_indices=((),))
    data = layer.data.copy()
    data[row, -2:] = to
    with layer.events.data.blocker():
        layer.data = data
    layer.events.data(value=layer.data, action="changed", data_indices=(row,), vertex_indices=((),))


def rows(page, kind):
    return [k for k, each in enumerate(points(page).features["kind"]) if each == kind]


# --- clicking


def test_four_clicks_are_an_object_and_its_contour_is_drawn(page, engine):
    assert "Press Four points" in page.hint.text()
    page.buttons["points"].click()
    assert page.layers.tool == "points"
    assert "click 1 of 4" in page.hint.text()
    for number, place in enumerate(FOUR, start=1):
        assert f"click {number} of 4" in page.hint.text()
        click(page, place)
    (contour,) = page.controller.project.annotation(PlaneRef(1)).contours
    assert contour.points == FOUR
    assert [prompt.object for prompt in engine.asked] == [contour.object]
    assert "click 1 of 4" in page.hint.text()
    edges = layer_of(page, "evolving contours")
    assert len(edges.data) == 32
    assert page.headline.text() == "1 to review"


def test_a_click_is_drawn_where_it_was_stored_and_a_refused_one_is_not(page):
    page.buttons["points"].click()
    click(page, FOUR[0])
    assert points(page).data.tolist() == [list(FOUR[0])]
    click(page, (-30, 5))
    assert points(page).data.tolist() == [list(FOUR[0])]
    assert "outside the image" in page.controller.state.error


def test_points_on_one_line_leave_three_and_a_sentence(page):
    page.buttons["points"].click()
    click(page, (5, 4), (5, 8), (5, 12), (5, 16))
    assert len(points(page).data) == 3
    assert "extent of 0 px" in page.controller.state.error
    assert "click 4 of 4" in page.hint.text()


def test_backspace_takes_back_the_last_click(page):
    page.buttons["points"].click()
    click(page, *FOUR[:3])
    press(page, "Backspace")
    assert len(points(page).data) == 2
    assert "click 3 of 4" in page.hint.text()


def test_clicking_goes_on_while_contours_are_waited_for(page):
    page.launch.hold = True
    four(page)
    click(page, *OTHER)
    assert page.headline.text() == "2 on the way"
    assert len(points(page).data) == 8
    page.launch.held[0].finish()
    assert page.headline.text() == "2 to review"


def test_the_key_of_the_tool_begins_another_object(page):
    page.buttons["points"].click()
    click(page, *FOUR[:2])
    press(page, "Q")
    assert "New object" in page.hint.text()
    click(page, OTHER[0])
    assert [len(each.points) for each in board(page).objects] == [2, 1]
    page.table.selectRow(0)
    assert "Object 1: click 3 of 4" in page.hint.text()


def test_a_quick_second_click_close_by_counts_and_a_slip_does_not(page):
    """Qt calls it a double click, and napari does nothing about it."""
    page.buttons["points"].click()
    click(page, (10, 10))

    class Event:
        button = 1

    slots = points(page).mouse_double_click_callbacks
    slot = next(each for each in slots if getattr(each, "__self__", None) is page.layers.contours.points)
    event = Event()
    event.position = points(page).data_to_world((10, 10))
    slot(points(page), event)
    assert len(board(page).clicking.points) == 1
    assert "counts once" in page.told.text()
    event.position = points(page).data_to_world((14, 13))
    slot(points(page), event)
    assert board(page).clicking.points == ((10, 10), (14, 13))


@pytest.mark.parametrize("plane", [PlaneRef(2, 1), PlaneRef(3)])
def test_stacks_and_colours(page, plane):
    page.controller.show(plane)
    four(page, number=plane.slice)
    page.buttons["accept"].click()
    for role in ("extreme points", "evolving contours", "accepted contours", "objects"):
        layer, base = layer_of(page, role), page.layers.base
        assert np.allclose(layer.scale, base.scale)
        assert layer.units == base.units
        assert layer.axis_labels == base.axis_labels
    (contour,) = page.controller.project.annotation(plane).contours
    assert contour.accepted
    labels = layer_of(page, "objects").data
    assert labels.dtype == np.int32
    assert (labels[plane.slice] if labels.ndim == 3 else labels)[12, 12] == 1
    assert (labels > 0).sum() == (labels[plane.slice] > 0).sum() if labels.ndim == 3 else True


def test_they_follow_when_the_user_changes_the_scale(page):
    four(page)
    page.buttons["accept"].click()
    page.layers.base.scale = (3, 3)
    for role in ("extreme points", "evolving contours", "accepted contours", "objects"):
        assert tuple(layer_of(page, role).scale) == (3, 3)


def test_another_slice_shows_its_own_objects(page, qtbot):
    page.controller.show(PlaneRef(2, 0))
    four(page)
    page.buttons["accept"].click()
    page.layers.viewer.dims.set_point(0, 2 * 2.0)  # slice 2, which is 2 mm thick
    click(page, FOUR[0], number=2)  # before the slider has come to rest
    assert page.controller.project.annotation(PlaneRef(2, 2)).contours[0].points == (FOUR[0],)
    assert len(page.controller.project.annotation(PlaneRef(2, 0)).contours) == 1


# --- the verdict


def test_accepted_contours_are_polygons_and_labels(page):
    four(page)
    four(page, OTHER)
    page.buttons["accept_all"].click()
    shapes, labels = layer_of(page, "accepted contours"), layer_of(page, "objects")
    assert list(shapes.shape_type) == ["polygon", "polygon"]
    assert set(np.unique(labels.data)) == {0, 1, 2}
    assert not len(layer_of(page, "evolving contours").data[:0])
    stored = page.controller.project.annotation(PlaneRef(1)).contours
    assert np.allclose(shapes.data[0], stored[0].vertices)


def test_keys_accept_reject_and_go_on(page):
    first, second, third = four(page), four(page, OTHER), four(page, np.array(OTHER) - (0, 12))
    page.controller.contours.select(first)
    press(page, "F")
    assert board(page).find(first).status == "accepted"
    assert board(page).focus == second
    press(page, "W")
    assert board(page).focus == third
    press(page, "E")
    assert board(page).find(third) is None
    press(page, "Ctrl+Z")
    assert board(page).find(third).status == "review"


def test_only_one_polygon_is_added_when_one_is_accepted(page, monkeypatch):
    first, second = four(page), four(page, OTHER)
    page.controller.contours.accept(first)
    layer = layer_of(page, "accepted contours")
    added = []
    add = layer.add
    monkeypatch.setattr(layer, "add", lambda data, **options: (added.append(len(data)), add(data, **options)))
    page.controller.contours.accept(second)
    assert added == [1]
    page.controller.undo()
    assert len(layer.data) == 1
    assert added == [1]


def test_undoing_an_acceptance_takes_the_pixels_of_its_label_away(page):
    four(page)
    page.buttons["accept"].click()
    assert layer_of(page, "objects").data.any()
    page.buttons["undo"].click()
    assert not layer_of(page, "objects").data.any()
    page.buttons["redo"].click()
    assert layer_of(page, "objects").data.any()


def test_accepting_by_itself_is_off_until_it_is_wanted(page):
    four(page)
    assert board(page).objects[0].status == "review"
    page.auto.setChecked(True)
    four(page, OTHER)
    assert board(page).objects[1].status == "accepted"


# --- repair


def test_vertices_are_shown_for_repair_and_a_dragged_one_evolves_again(page, engine):
    page.evolve.setChecked(True)
    name = four(page)
    page.buttons["repair"].click()
    assert page.layers.tool == "repair"
    assert "drag a vertex" in page.hint.text()
    assert (len(rows(page, "vertex")), len(rows(page, "point"))) == (32, 4)
    drag(page, rows(page, "vertex")[5], (2, 2))
    assert engine.asked[-1].object == name
    assert engine.asked[-1].start[5] == (2, 2)
    assert board(page).find(name).status == "review"
    assert points(page).data[rows(page, "vertex")[5]].tolist() == [2, 2]


def test_a_dragged_extreme_point_evolves_from_the_present_contour(page, engine):
    four(page)
    page.buttons["repair"].click()
    drag(page, rows(page, "point")[0], (2, 10))
    assert page.controller.project.annotation(PlaneRef(1)).contours[0].points[0] == (2, 10)
    assert engine.asked[-1].start


def test_the_contour_follows_the_vertex_in_the_hand(page, qtbot):
    four(page)
    page.buttons["repair"].click()
    layer, row = points(page), rows(page, "vertex")[0]
    layer.events.data(value=layer.data, action="changing", data_indices=(row,), vertex_indices=((),))
    data = layer.data.copy()
    data[row] = (1, 1)
    with layer.events.data.blocker():
        layer.data = data
    edges = layer_of(page, "evolving contours")
    qtbot.waitUntil(lambda: [1, 1] in edges.data[:, 0].tolist(), timeout=3000)


def test_a_dragged_vertex_stays_where_it_is_if_that_is_wanted(page, engine):
    four(page)
    page.evolve.setChecked(False)
    page.buttons["repair"].click()
    drag(page, rows(page, "vertex")[5], (2, 2))
    assert len(engine.asked) == 1
    page.buttons["accept"].click()
    assert page.controller.project.annotation(PlaneRef(1)).contours[0].vertices[5] == (2, 2)


def test_deleting_vertices_and_points_with_naparis_key(page):
    name = four(page)
    page.buttons["repair"].click()
    points(page).selected_data = {rows(page, "vertex")[0], rows(page, "vertex")[1]}
    points(page).remove_selected()
    assert len(board(page).find(name).present) == 30
    points(page).selected_data = {rows(page, "point")[3]}
    points(page).remove_selected()
    assert board(page).find(name).status == "clicking"


def test_naparis_status_bar_names_objects_by_their_numbers(page):
    four(page)
    click(page, *OTHER[:2])
    assert set(points(page).features["object"]) == {1, 2}


def test_a_click_on_a_contour_selects_it(page):
    first, second = four(page), four(page, OTHER)
    page.buttons["repair"].click()
    assert board(page).focus == second
    page.layers.contours.points.picked.emit((12, 12))
    assert board(page).focus == first
    page.layers.contours.points.picked.emit((39, 1))  # nothing there
    assert board(page).focus == first


def test_pasted_points_do_not_stay(page):
    four(page)
    page.buttons["repair"].click()
    layer = points(page)
    before = len(layer.data)
    layer.selected_data = {0}
    layer._copy_data()
    layer._paste_data()
    assert len(layer.data) == before


def test_the_number_of_vertices(page):
    name = four(page)
    assert page.vertices.value() == 32
    page.vertices.setValue(10)
    assert len(board(page).find(name).present) == 10
    page.buttons["accept"].click()
    assert len(page.controller.project.annotation(PlaneRef(1)).contours[0].vertices) == 10


def test_polygons_are_edited_with_naparis_tools(page):
    name = four(page)
    page.buttons["accept"].click()
    layer = layer_of(page, "accepted contours")
    data = layer.data[0].copy()
    data[0] = (1.0, 1.0)
    layer._data_view.edit(0, data)
    layer.events.data(value=layer.data, action="changed", data_indices=(0,), vertex_indices=((0,),))
    stored = page.controller.project.annotation(PlaneRef(1)).contours[0]
    assert (stored.vertices[0], stored.source) == ((1.0, 1.0), "drawn")
    layer.selected_data = {0}
    layer.remove_selected()
    assert page.controller.project.annotation(PlaneRef(1)).contours == ()
    page.controller.undo()
    assert board(page).find(name).status == "accepted"


def test_a_polygon_drawn_in_our_layer_is_an_object(page, qtbot):
    four(page)
    page.buttons["accept"].click()
    layer = layer_of(page, "accepted contours")
    layer.add(np.array([[24, 24], [24, 34], [34, 30]]), shape_type="polygon")
    drawn = next(each for each in board(page).objects if each.source == "drawn")
    assert drawn.status == "accepted"
    qtbot.waitUntil(lambda: len(layer.data) == 2)


# --- other beginnings


def test_selected_sizes_start_contours(page, engine):
    stamp = page.controller.put_stamp(10, centre=(20, 20))
    page.layers.use("select")
    page.layers.stamps.layer.selected_data = {0}
    page._slots["stamps"]()
    assert engine.asked[0].stamp == (20, 20, 10)
    assert board(page).objects[0].object == stamp.object


@pytest.mark.parametrize("kind", ["ellipse", "polygon", "rectangle"])
def test_selected_shapes_start_contours(page, engine, kind):
    corners = np.array([[10, 10], [10, 30], [22, 30], [22, 10]], float)
    layer = page.layers.viewer.add_shapes([corners / 2], shape_type=kind, scale=(2, 2))
    layer.selected_data = {0}
    page._slots["shapes"]()
    start = np.array(engine.asked[0].start)
    assert np.allclose([start.min(0), start.max(0)], [[10, 10], [22, 30]], atol=0.2)
    layer.selected_data = set()
    page._slots["shapes"]()
    assert "Select one or more polygons" in page.controller.state.error


def test_a_selected_label_starts_a_contour(page, engine):
    labels = np.zeros((40, 50), int)
    labels[10:20, 12:30] = 7
    layer = page.layers.viewer.add_labels(labels)
    page._slots["label"]()
    assert "pick a label" in page.controller.state.error
    layer.selected_label = 7
    page._slots["label"]()
    start = np.array(engine.asked[0].start)
    assert np.allclose([start.min(0), start.max(0)], [[9.5, 11.5], [19.5, 29.5]])


def test_a_line_has_no_outline(page):
    layer = page.layers.viewer.add_shapes([np.array([[0, 0], [5, 5]])], shape_type="line")
    assert outline_of_shape(layer, 0) is None


# --- watching


def test_any_step_is_shown_and_accepted(page):
    name = four(page)
    assert page.scrubber.label.text() == "step 3 of 3"
    page.scrubber.back.click()
    page.scrubber.back.click()
    assert board(page).find(name).step == 1
    edges = layer_of(page, "evolving contours").data[:, 0]
    assert np.allclose(edges, board(page).find(name).steps[1], atol=1e-4)
    page.buttons["accept"].click()
    vertices = page.controller.project.annotation(PlaneRef(1)).contours[0].vertices
    assert np.allclose(vertices, board(page).find(name).steps[1], atol=1 / 64)


def test_playing_shows_every_step_and_changes_nothing(page, qtbot):
    name = four(page)
    seen = []
    page.scrubber.played.connect(seen.append)
    page.scrubber.play.click()
    assert page.scrubber.playing
    qtbot.waitUntil(lambda: not page.scrubber.playing, timeout=5000)
    assert seen == [0, 1, 2, 3]
    assert board(page).find(name).step == 3


def test_pausing_keeps_the_step_that_is_seen(page, qtbot):
    name = four(page)
    page.scrubber.play.click()
    qtbot.waitUntil(lambda: page.scrubber.slider.value() == 1, timeout=5000)
    page.scrubber.play.click()
    assert board(page).find(name).step == 1


def test_a_contour_is_played_once_when_it_comes(page, qtbot):
    page.lively.setChecked(True)
    four(page)
    assert page._frames.isActive()
    qtbot.waitUntil(lambda: not page._frames.isActive(), timeout=5000)
    edges = layer_of(page, "evolving contours").data[:, 0]
    assert np.allclose(edges, board(page).objects[0].present, atol=1e-4)


def test_overlays(page):
    mask = np.zeros((40, 50), int)
    mask[4:21, 4:21] = 1
    page.controller.put_mask(PlaneRef(1), mask)
    four(page)
    layer = layer_of(page, "evolving contours")
    with_truth = len(layer.data)
    assert with_truth == 32 + 4 * 17
    page.overlays["truth"].setChecked(False)
    assert len(layer.data) == 32
    page.overlays["start"].setChecked(True)
    assert len(layer.data) == 64
    page.overlays["centroid"].setChecked(True)
    assert len(layer.data) == 66
    page.overlays["displacement"].setChecked(True)
    assert layer_of(page, "displacement") is not None
    page.overlays["displacement"].setChecked(False)
    assert layer_of(page, "displacement") is None


# --- the user's freedom


def test_layers_deleted_while_objects_are_queued_come_back_with_the_tool(page):
    page.launch.hold = True
    four(page)
    page.layers.viewer.layers.clear()
    page.launch.held[0].finish()
    assert board(page).objects[0].status == "review"
    assert "still in the project" in page.told.text()
    page.buttons["points"].click()
    assert points(page) is not None
    assert len(layer_of(page, "evolving contours").data) == 32


def test_a_removed_layer_stays_away_until_a_tool_is_taken_up(page):
    four(page)
    page.layers.viewer.layers.remove(layer_of(page, "evolving contours"))
    four(page, OTHER)
    assert len(layer_of(page, "evolving contours").data) == 64


def test_renamed_and_reordered_layers_are_still_ours(page):
    four(page)
    layer = points(page)
    layer.name = "my clicks"
    page.layers.viewer.layers.move(page.layers.viewer.layers.index(layer), 0)
    click(page, OTHER[0])
    assert len(board(page).objects) == 2


def test_layers_that_a_closed_dock_left_are_taken_over(page, engine):
    four(page)
    page.buttons["accept"].click()
    four(page, OTHER)
    page.layers.close()
    old = points(page)
    old.add((1, 1))  # nobody listens
    second = SegsizeLayers(page.layers.viewer)
    second.show_plane(page.controller.project, PlaneRef(1))
    assert second.contours.wake() is old
    second.show_contours(board(page), page.controller.state.annotation)
    heard = []
    second.contours.clicked.connect(heard.append)
    old.add((2.0, 3.0))
    assert heard == [(2.0, 3.0)]
    assert len(layer_of(page, "accepted contours").data) == 1
    second.close()


def test_only_the_layer_to_click_in_is_there_before_anybody_outlines_anything(page, qtbot):
    qtbot.waitUntil(lambda: points(page) is not None and points(page).visible)
    qtbot.wait(200)
    assert layer_of(page, "evolving contours") is None
    assert page.layers.viewer.layers.selection.active is not points(page)
    page.hide()  # nobody has used it
    assert layer_of(page, "extreme points") is None
    page.show()
    qtbot.waitUntil(lambda: points(page) is not None)
    ready = points(page)
    page.buttons["points"].click()
    assert points(page) is ready
    page.hide()
    assert points(page) is ready


def test_the_layer_to_click_in_is_ready_on_an_image_of_another_kind_too(page, qtbot):
    qtbot.waitUntil(lambda: points(page) is not None)
    page.controller.show(PlaneRef(2))  # a stack
    qtbot.waitUntil(lambda: points(page) is not None and points(page).ndim == 3)


def test_a_tool_that_is_taken_up_while_its_layer_is_hidden_stays(page, qtbot):
    qtbot.waitUntil(lambda: points(page) is not None and points(page).visible)
    page.hide()
    page.show()
    page.layers.contours.making._next()
    assert not points(page).visible
    page.buttons["points"].click()
    qtbot.wait(200)
    assert points(page).visible
    assert page.layers.tool == "points"


def test_no_key_is_one_of_naparis_but_backspace(page):
    from napari.layers import Points, Vectors
    from napari.utils.action_manager import action_manager

    four(page)
    for layer, kind in ((points(page), Points), (layer_of(page, "evolving contours"), Vectors)):
        theirs = {
            str(key)
            for name, keys in action_manager._shortcuts.items()
            if getattr(action_manager._actions.get(name), "keymapprovider", None) is kind
            for key in keys
        }
        assert {str(combo) for combo in layer.keymap} & theirs <= {"Backspace"}


def test_every_shortcut_is_listed(page):
    texts = " ".join(label.text() for label in page.findChildren(QLabel))
    for shortcut in CONTOUR_SHORTCUTS:
        assert f"<b>{shortcut.shown}</b>" in texts


def test_snapping_is_switched_by_a_key(page):
    page.layers.base.data = np.zeros((40, 50), np.uint8)
    page.layers.base.data[:, 20:] = 200
    page.buttons["points"].click()
    click(page, (10, 18))
    assert board(page).clicking.points == ((10, 18),)
    press(page, "G")
    assert page.snap.isChecked()
    assert page.controller.state.message.endswith("on.")
    click(page, (30, 18))
    assert board(page).clicking.points[1][1] in (19, 20)  # one of the two sides of the edge
    press(page, "G")
    click(page, (35, 18))
    assert board(page).clicking.points[2] == (35, 18)


def test_a_point_that_is_dragged_snaps_when_it_is_let_go(page):
    four(page)
    page.layers.base.data = np.zeros((40, 50), np.uint8)
    page.layers.base.data[:, 20:] = 200
    page.buttons["repair"].click()
    vertices = rows(page, "vertex")
    drag(page, vertices[3], (21.0, 17.0))
    assert tuple(board(page).objects[0].present[3]) == (21.0, 17.0)
    press(page, "G")
    drag(page, vertices[3], (23.0, 17.0))
    y, x = board(page).objects[0].present[3]
    assert y == 23.0  # not along the edge
    assert x in (19.0, 20.0)
    layer = points(page)
    together = layer.data.copy()
    together[vertices[:2]] += 0.5  # a shape keeps its form
    layer.data = together
    layer.events.data(value=layer.data, action="changed", data_indices=(0, 1), vertex_indices=((),))
    assert np.allclose(board(page).objects[0].present[:2], together[vertices[:2]])


# --- in and out, fine-tuning


def test_export_and_import(page, tmp_path, monkeypatch):
    four(page)
    page.buttons["accept"].click()
    file = tmp_path / "out.geojson"
    proposed = []
    monkeypatch.setattr(
        contour_page, "file_to_write", lambda *a, **k: proposed.append(a[2]) or (file, "GeoJSON for QuPath")
    )
    page.buttons["export"].click()
    assert file.exists()
    assert "Wrote 1 contour" in page.controller.state.message
    assert proposed == [page.controller.state.folder / "flat"]
    before = layer_of(page, "objects").data.copy()
    page.controller.contours.reject(board(page).objects[0].object)
    assert not layer_of(page, "objects").data.any()
    begun = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: begun.append(a[2]) or (str(file), ""))
    page.buttons["import"].click()
    assert begun == [str(tmp_path)]  # where the last file went
    assert np.array_equal(layer_of(page, "objects").data > 0, before > 0)


def test_exporting_nothing_says_so(page, tmp_path, monkeypatch):
    monkeypatch.setattr(contour_page, "file_to_write", lambda *a, **k: (tmp_path / "a.json", "COCO"))
    page.buttons["export"].click()
    assert "no accepted contours" in page.controller.state.error


def test_fine_tuning_is_a_long_job_and_renews_the_engine(page, engine, monkeypatch):
    def finetuning(folder, config, *, resume=False, threads=0):
        yield Ended(stage="contour", promoted=True, model=1)

    monkeypatch.setattr(contour_runs, "finetuning", finetuning)
    four(page)
    page.buttons["finetune"].click()
    assert "has learned your objects" in page.verdict.text()
    assert page.buttons["finetune"].text() == "Fine-tune on my contours"


def test_layers_with_nothing_to_show_are_made_one_after_the_other(page, qtbot):
    qtbot.waitUntil(lambda: points(page) is not None and points(page).visible)
    layers, turns, made = page.layers.viewer.layers, [0], []
    timer = QTimer()
    timer.timeout.connect(lambda: turns.append(0))
    layers.events.inserted.connect(lambda event: made.append((role_of(event.value), len(turns))))
    timer.start(0)
    page.buttons["points"].click()
    assert not made  # what is clicked in was there before
    roles = ("evolving contours", "accepted contours", "objects")
    qtbot.waitUntil(lambda: all(layer_of(page, role) is not None for role in roles))
    qtbot.waitUntil(lambda: all(layer_of(page, role).visible for role in roles))
    timer.stop()
    assert [role for role, _ in made] == list(roles)
    assert len({turn for _, turn in made}) == len(made)
    assert page.layers.viewer.layers.selection.active is points(page)


def test_what_napari_has_not_compiled_waits_until_it_is_needed(page, qtbot):
    page.layers.contours.making._waits = {"accepted contours", "objects"}
    name = four(page)
    qtbot.waitUntil(lambda: layer_of(page, "evolving contours") is not None)
    qtbot.wait(200)
    assert layer_of(page, "accepted contours") is None
    page.controller.contours.accept(name)
    assert len(layer_of(page, "accepted contours").data) == 1
    assert layer_of(page, "objects").data.max() == 1


def test_a_step_that_is_played_is_drawn_without_a_new_picture_in_the_layer_list(page):
    name = four(page)
    layer, meant = layer_of(page, "evolving contours"), board(page).find(name)
    before, drawn, pictures = layer.data.copy(), [], []
    layer.events.set_data.connect(lambda: drawn.append(layer.data.copy()))
    layer.events.thumbnail.connect(lambda: pictures.append(1))
    page.layers.contours.wanted = Wanted(playing={name: 0})
    page.layers.show_contours(board(page), page.controller.state.annotation)
    assert not np.array_equal(drawn[-1], before)
    assert np.allclose(drawn[-1][:, 0], meant.steps[0])
    assert not pictures


def test_all_sizes_are_offered_with_their_number(page, engine):
    action = page.starts["all_stamps"]
    assert not action.isEnabled()
    page.controller.put_stamp(10, centre=(12, 12))
    assert action.isEnabled()
    assert "The one size" in action.text()
    page.controller.put_stamp(10, centre=(30, 30))
    assert "2 sizes" in action.text()
    assert "2 sizes without a contour" in page.headline.text()
    action.trigger()
    assert board(page).count("review") == 2
    assert not action.isEnabled()
    assert "without" not in page.headline.text()


def test_a_stopped_fine_tuning_can_go_on_after_the_project_is_opened_again(page, monkeypatch):
    left = runs.Resume(stage="contour", step=2, steps=9)
    asked = []

    def finetuning(folder, config, *, resume=False, threads=0):
        asked.append(resume)
        yield Ended(stage="contour", promoted=True, model=1)

    def looking(folder):
        yield runs.Ready(device="CPU", resumable_contours=None if asked else left)

    monkeypatch.setattr(contour_runs, "finetuning", finetuning)
    monkeypatch.setattr(runs, "warming", lambda threads: (each for each in [runs.Ready(device="CPU")]))
    monkeypatch.setattr(runs, "looking", looking)
    page.controller.warm_up()
    page.controller.open_project(page.controller.state.folder)
    assert page.buttons["finetune"].text() == "Resume fine-tuning from step 2"
    page.buttons["finetune"].click()
    assert asked == [True]
    assert page.buttons["finetune"].text() == "Fine-tune on my contours"


def test_the_network_of_the_chosen_engine_is_taught_and_its_own_stopped_run_goes_on(page, monkeypatch):
    left = {
        "contour": runs.Resume(stage="contour", step=2, steps=9),
        "levelset": runs.Resume(stage="levelset", step=5, steps=9),
    }
    asked = []

    def finetuning(folder, config, *, resume=False, threads=0):
        asked.append((type(config), resume))
        stage = "levelset" if isinstance(config, LevelSetConfig) else "contour"
        left.pop(stage, None)
        yield Ended(stage=stage, promoted=True, model=1)

    def looking(folder):
        yield runs.Ready(
            device="CPU",
            resumable_contours=left.get("contour"),
            resumable_levelsets=left.get("levelset"),
        )

    monkeypatch.setattr(contour_runs, "finetuning", finetuning)
    monkeypatch.setattr(runs, "warming", lambda threads: (each for each in [runs.Ready(device="CPU")]))
    monkeypatch.setattr(runs, "looking", looking)
    page.controller.warm_up()
    page.controller.open_project(page.controller.state.folder)
    button = page.buttons["finetune"]
    assert button.text() == "Resume fine-tuning from step 2"
    page.engine.choose("levelset")
    assert button.text() == "Resume fine-tuning level sets from step 5"
    button.click()
    assert asked == [(LevelSetConfig, True)]
    assert "level-set network has learned" in page.verdict.text()
    assert button.text() == "Fine-tune level sets on my contours"
    assert "level-set network" in button.toolTip()
    page.engine.choose("snake")
    assert button.text() == "Resume fine-tuning from step 2"
    assert "classical contour learns nothing" in button.toolTip()
    button.click()
    button.click()
    assert asked[1:] == [(ContourConfig, True), (ContourConfig, False)]


def test_settings_reach_the_engine(page, engine):
    page.engine.choose("snake")
    page.settings.editor("vertices").setValue(12)
    four(page)
    assert (engine.runs[-1][1].engine, engine.runs[-1][1].vertices) == ("snake", 12)
    assert page.vertices.value() == 12


def test_the_table_says_why_something_failed(page, engine):
    engine.notice = "The contour crossed itself and was cut to its largest part."
    four(page)
    assert page.table.model().index(0, 1).data() == "to review (!)"
    assert page.note.text() == engine.notice
    page.launch.hold = True
    name = four(page, OTHER)
    engine.fails[name] = "The image is gone."
    page.launch.held[0].finish()
    assert page.table.model().index(1, 1).data() == "failed: The image is gone."


def test_engines_have_plain_names_above_the_hint_and_no_second_place(page):
    titles = [page.engine.itemText(row) for row in range(page.engine.count())]
    assert titles == ["Polygon network", "Classical snake", "Level set (DELSE)"]
    assert page.engine.isVisible()
    assert page.engine.mapTo(page, page.engine.rect().topLeft()).y() < page.hint.y()
    with pytest.raises(KeyError):
        page.settings.editor("engine")
    page.settings.editor("vertices").setValue(20)
    page.engine.choose("levelset")
    assert (board(page).config.engine, board(page).config.vertices) == ("levelset", 20)


def test_of_the_maps_over_an_object_one_is_shown(page):
    for name in ("level set", "curvature", "modulation"):
        page.overlays[name].setChecked(True)
        assert [each for each in MAPS if page.overlays[each].isChecked()] == [name]
    assert page.overlays["evolving"].isChecked()


def test_curves_are_there_as_soon_as_they_are_unfolded(page):
    reachable(page)  # as the dock widget does it: what is folded away is not visible
    four(page)
    folded = page.curves.parent()
    while not isinstance(folded, QCollapsible):
        folded = folded.parent()
    assert not page.curves.isVisible()
    folded.expand(animate=False)
    assert len(page.curves._lines["area"].getData()[0]) == len(board(page).focused.steps)
