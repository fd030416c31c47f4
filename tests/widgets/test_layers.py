"""SegsizeLayers in a real viewer: what the user does with napari's own tools reaches the project's values."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")
from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project, SizeStamp
from napari_segsize.widgets.layers import SegsizeLayers
from napari_segsize.widgets.shelf import role_of


@pytest.fixture
def project(tmp_path, rng):
    with Project.create(tmp_path / "p") as project:
        project.add_array("flat", rng.integers(0, 255, (40, 50), dtype=np.uint8))
        project.add_array("other", rng.integers(0, 255, (30, 20), dtype=np.uint8))
        stack = rng.integers(0, 255, (4, 24, 36), dtype=np.uint8)
        project.add_array("stack", stack, kind="stack", spacing=(2.0, 0.5, 0.5), unit="mm")
        project.add_array("colour", rng.integers(0, 255, (20, 22, 3), dtype=np.uint8), rgb=True)
        yield project


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


class Heard:
    def __init__(self, layers):
        self.stamps, self.masks, self.planes, self.refused, self.removed = [], [], [], [], []
        layers.stamps_changed.connect(self._on_stamps)
        layers.mask_changed.connect(self._on_mask)
        layers.plane_changed.connect(self.planes.append)
        layers.refused.connect(self.refused.append)
        layers.removed.connect(self.removed.append)

    def _on_stamps(self, plane, put, gone):
        self.stamps.append((plane, put, gone))

    def _on_mask(self, plane, labels):
        self.masks.append((plane, labels))


@pytest.fixture
def layers(viewer):
    layers = SegsizeLayers(viewer)
    yield layers
    layers.close()


@pytest.fixture
def heard(layers):
    return Heard(layers)


def plane_of(project, name, number=0):
    return PlaneRef(next(image.id for image in project.images() if image.name == name), number)


# --- showing --------------------------------------------------------------------------------------------


def test_an_image_comes_with_its_sizes_and_mask(project, layers):
    plane = plane_of(project, "stack", 2)
    project.put_stamp(plane, 8, centre=(10, 12))
    mask = np.zeros((24, 36), np.int32)
    mask[3:9, 3:9] = 1
    project.put_mask(plane, mask)
    layers.show_plane(project, plane)
    assert layers.viewer.dims.current_step[0] == 2
    assert layers.stamps.layer.data.tolist() == [[2, 10, 12]]
    assert layers.stamps.layer.size.tolist() == [8]
    assert np.array_equal(layers.masks.layer.data[2], mask)


def test_our_layers_lie_on_the_image_with_its_units(project, layers):
    layers.show_plane(project, plane_of(project, "stack"))
    for layer in layers.viewer.layers:
        assert tuple(layer.scale) == (2.0, 0.5, 0.5)
        assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
        assert layer.axis_labels == ("z", "y", "x")


def test_they_follow_when_the_user_changes_the_scale(project, layers):
    layers.show_plane(project, plane_of(project, "flat"))
    layers.base.scale = (3, 3)
    assert tuple(layers.stamps.layer.scale) == (3, 3)
    assert tuple(layers.masks.layer.scale) == (3, 3)


@pytest.mark.parametrize("name", ["flat", "stack", "colour"])
def test_changing_the_image_keeps_the_tool(project, layers, name):
    layers.show_plane(project, plane_of(project, "other"))
    layers.use("paint")
    layers.show_plane(project, plane_of(project, name))
    assert layers.tool == "paint"
    assert layers.base.name == name


def test_a_layer_of_the_users_with_these_pixels_is_used_instead_of_a_copy(project, layers):
    plane = plane_of(project, "flat")
    own = layers.viewer.add_image(project.pixels(plane)[0], name="flat", translate=(5, 6))
    layers.show_plane(project, plane)
    assert layers.base is own
    assert tuple(layers.stamps.layer.translate) == (5, 6)
    layers.show_plane(project, plane_of(project, "other"))
    assert own in layers.viewer.layers
    assert not own.visible
    layers.show_plane(project, plane)
    assert own.visible


def test_a_vanished_image_never_leaves_the_old_one_under_its_name(project, layers):
    layers.show_plane(project, plane_of(project, "flat"))
    other = plane_of(project, "other")
    project.file_of(other.image).unlink()
    with pytest.raises(SegsizeError):
        layers.show_plane(project, other)
    assert layers.base is None
    assert layers.stamps.layer is None


# --- stamping -------------------------------------------------------------------------------------------


def test_a_click_in_add_mode_is_a_stamp_of_the_sides_size(project, layers, heard):
    plane = plane_of(project, "stack", 1)
    layers.show_plane(project, plane)
    layers.stamps.set_side(12)
    layers.stamps.layer.add([1, 9.4, 11.2])
    (where, put, gone) = heard.stamps.pop()
    assert (where, gone) == (plane, ())
    assert [(stamp.size, stamp.centre) for stamp in put] == [(12.0, (9.4, 11.2))]
    assert not heard.stamps


def test_every_new_stamp_has_an_identity_of_its_own(project, layers, heard):
    layers.show_plane(project, plane_of(project, "flat"))
    for _ in range(3):  # napari copies the features of the selected point into the next
        layers.stamps.layer.add([5, 5])
    names = list(layers.stamps.layer.features["object"])
    assert len(set(names)) == 3


def test_changing_the_side_leaves_the_stamp_that_was_just_put(project, layers):
    layers.show_plane(project, plane_of(project, "flat"))
    layers.use("stamp")
    layers.stamps.layer.add([5, 5])
    before = layers.stamps.layer.size.tolist()
    layers.stamps.step_side(2)
    assert layers.stamps.layer.size.tolist() == before
    assert layers.stamps.layer.current_size == before[0] + 4


def test_moving_resizing_and_deleting_with_naparis_tools(project, layers, heard):
    plane = plane_of(project, "flat")
    stamp = project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    layer = layers.stamps.layer
    layer.mode, layer.selected_data = "select", {0}
    layer.data = np.array([[20.0, 22.0]])
    layer.current_size = 13
    layer.remove_selected()
    moved, resized, gone = heard.stamps
    assert {each.object for _, put, _ in heard.stamps for each in put} == {stamp.object}
    assert moved[1][0].centre == (20, 22)
    assert resized[1][0].size == 14
    assert gone[2] == (stamp.object,)


def test_editing_the_table_resizes_the_marker(project, layers, heard):
    plane = plane_of(project, "flat")
    project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    table = layers.stamps.layer.features.copy()
    table["size"] = [15.0]
    layers.stamps.layer.features = table
    assert layers.stamps.layer.size.tolist() == [16]
    assert heard.stamps[-1][1][0].size == 16
    assert layers.stamps.layer.features["size"].tolist() == [16]


@pytest.mark.parametrize("typed", [-3.0, 0.0, float("nan"), 4000.0])
def test_nonsense_in_the_table_is_refused_with_a_sentence(project, layers, heard, typed):
    plane = plane_of(project, "flat")
    project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    table = layers.stamps.layer.features.copy()
    table["size"] = [typed]
    layers.stamps.layer.features = table
    assert layers.stamps.layer.size.tolist() == [8]
    assert layers.stamps.layer.features["size"].tolist() == [8]
    assert heard.refused
    assert not heard.stamps


def test_a_column_of_the_users_in_the_table_stays(project, layers):
    layers.show_plane(project, plane_of(project, "flat"))
    layer = layers.stamps.layer
    layer.add([5, 5])
    layer.features = layer.features.assign(sure=[True])
    layer.current_size = 20
    assert layer.features["sure"].tolist() == [True]


def test_a_prediction_that_comes_while_painting_changes_no_selection(project, layers, qtbot):
    plane = plane_of(project, "flat")
    layers.show_plane(project, plane)
    layers.use("paint")
    selection, heard = layers.viewer.layers.selection, []
    selection.events.connect(lambda event: heard.append(event.type))
    layers.show_preview(plane, np.full((40, 50), 0.5, np.float32))
    qtbot.waitUntil(lambda: "Prediction" in layers.viewer.layers)
    assert heard == []  # else napari shows the controls of the one layer, then of the other: 40 ms
    assert selection == {layers.masks.layer}
    assert selection.active is layers.masks.layer
    assert layers.tool == "paint"


def test_a_click_outside_the_image_is_no_stamp(project, layers, heard):
    layers.show_plane(project, plane_of(project, "flat"))
    layers.stamps.layer.add([-30, 5])
    assert len(layers.stamps.layer.data) == 0
    assert heard.refused
    assert not heard.stamps


def drag(layer, *places):
    """Drag with napari's own tool, from the first place to the last one, in world coordinates."""
    from napari.utils._test_utils import read_only_mouse_event
    from napari.utils.interactions import (
        mouse_move_callbacks,
        mouse_press_callbacks,
        mouse_release_callbacks,
    )

    steps = [("mouse_press", places[0]), *(("mouse_move", place) for place in places[1:])]
    steps.append(("mouse_release", places[-1]))
    callbacks = (mouse_press_callbacks, *[mouse_move_callbacks] * (len(places) - 1), mouse_release_callbacks)
    for callback, (kind, place) in zip(callbacks, steps, strict=True):
        shown = {"dims_displayed": list(range(layer.ndim))[-2:], "view_direction": None}
        event = read_only_mouse_event(type=kind, is_dragging=True, position=place, **shown)
        callback(layer, event)


@pytest.mark.parametrize("name", ["flat", "stack"])
def test_a_stamp_dragged_out_of_the_image_comes_back(project, layers, heard, name):
    lead = [2] if name == "stack" else []
    scale = np.array([2.0, 0.5, 0.5] if name == "stack" else [1, 1])
    plane = plane_of(project, name, *lead)
    stamp = project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    layer = layers.stamps.layer
    layer.mode = "select"
    drag(layer, *(tuple(scale * [*lead, 10, x]) for x in (12, 30, 400)))
    assert layer.data.tolist() == [[*lead, 10, 12]]
    assert layer.features["object"].tolist() == [stamp.object]
    assert "back where it was" in heard.refused[-1]
    assert not heard.stamps
    drag(layer, *(tuple(scale * [*lead, 10, x]) for x in (12, 20)))
    assert heard.stamps[-1][1][0].centre == (10, 20)


def test_of_several_dragged_stamps_only_those_outside_come_back(project, layers, heard):
    plane = plane_of(project, "flat")
    left, right = (project.put_stamp(plane, 8, centre=(10, x)) for x in (12, 40))
    layers.show_plane(project, plane)
    layer = layers.stamps.layer
    layer.mode, layer.selected_data = "select", {0, 1}
    drag(layer, (10, 12), (10, 27))
    assert layer.data.tolist() == [[10, 27], [10, 40]]
    assert [(each.object, each.centre) for each in heard.stamps[-1][1]] == [(left.object, (10, 27))]
    assert heard.stamps[-1][2] == ()
    assert right.object in set(layer.features["object"])


def test_a_copy_pasted_outside_does_not_take_the_originals_place(project, layers, heard):
    plane = plane_of(project, "flat")
    project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    layer = layers.stamps.layer
    layer.selected_data = {0}
    layer._copy_data()
    layer._clipboard["data"] += 100
    layer._paste_data()
    assert layer.data.tolist() == [[10, 12]]
    assert not heard.stamps


def test_stamps_of_other_planes_are_not_touched(project, layers, heard):
    first, second = (plane_of(project, "stack", number) for number in (0, 3))
    project.put_stamp(first, 8, centre=(10, 12))
    project.put_stamp(second, 6, centre=(5, 6))
    layers.show_plane(project, second)
    layers.stamps.layer.selected_data = {1}
    layers.stamps.layer.remove_selected()
    assert [where for where, _, _ in heard.stamps] == [second]


def test_an_undo_elsewhere_is_shown(project, layers):
    plane = plane_of(project, "flat")
    layers.show_plane(project, plane)
    project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    assert len(layers.stamps.layer.data) == 1
    project.undo()
    layers.show_plane(project, plane)
    assert len(layers.stamps.layer.data) == 0


def test_a_physical_size_remembers_what_was_entered(project, layers, heard):
    layers.show_plane(project, plane_of(project, "stack"))
    layers.stamps.set_unit("mm")
    layers.stamps.set_side(8)
    layers.stamps.layer.add([0, 9, 11])
    (stamp,) = heard.stamps[-1][1]
    assert (stamp.size, stamp.entered, stamp.unit) == (8.0, 4.0, "mm")


# --- the user's freedom ---------------------------------------------------------------------------------


def test_a_renamed_and_reordered_layer_is_still_ours(project, layers, heard):
    layers.show_plane(project, plane_of(project, "flat"))
    layer = layers.stamps.layer
    layer.name = "my squares"
    layers.viewer.layers.move(layers.viewer.layers.index(layer), 0)
    layer.add([5, 5])
    assert layers.stamps.layer is layer
    assert heard.stamps


def test_a_removed_layer_deletes_nothing_and_comes_back(project, layers, heard):
    plane = plane_of(project, "flat")
    project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    layers.viewer.layers.remove(layers.stamps.layer)
    assert heard.removed == ["stamps"]
    assert not heard.stamps
    layers.use("stamp", project)
    assert len(layers.stamps.layer.data) == 1
    assert layers.tool == "stamp"


def test_everything_removed_at_once(project, layers):
    plane = plane_of(project, "stack", 1)
    layers.show_plane(project, plane)
    layers.viewer.layers.clear()
    layers.show_plane(project, plane)
    assert layers.base is not None
    assert layers.stamps.layer is not None


def test_a_copy_that_the_user_makes_is_the_users(project, layers, heard):
    layers.show_plane(project, plane_of(project, "flat"))
    data, options, _ = layers.stamps.layer.as_layer_data_tuple()
    copy = type(layers.stamps.layer)(data, **options)
    layers.viewer.add_layer(copy)
    assert role_of(copy) is None
    copy.add([3, 3])
    assert not heard.stamps


def test_layers_that_were_left_are_found_again(project, viewer):
    first = SegsizeLayers(viewer)
    first.show_plane(project, plane_of(project, "flat"))
    first.close()
    second = SegsizeLayers(viewer)
    second.show_plane(project, plane_of(project, "flat"))
    assert sum(role_of(layer) == "stamps" for layer in viewer.layers) == 1
    second.close()


def test_nothing_is_heard_after_closing(project, layers, heard):
    layers.show_plane(project, plane_of(project, "flat"))
    layer = layers.stamps.layer
    layers.close()
    assert not layer.keymap
    layers.viewer.dims.set_current_step(0, 0)


# --- masks ----------------------------------------------------------------------------------------------


def test_a_stroke_is_handed_over_before_the_image_changes(project, layers, heard):
    plane = plane_of(project, "flat")
    layers.show_plane(project, plane)
    layers.masks.layer.paint((10, 10), 1)
    layers.show_plane(project, plane_of(project, "other"))
    ((where, labels),) = heard.masks
    assert where == plane
    assert labels.shape == (40, 50)
    assert labels.any()


def test_a_stroke_is_handed_over_by_itself(project, layers, heard, qtbot):
    layers.show_plane(project, plane_of(project, "stack", 2))
    layers.masks.layer.paint((2, 10, 10), 1)
    qtbot.waitUntil(lambda: bool(heard.masks), timeout=5000)
    assert heard.masks[0][0] == plane_of(project, "stack", 2)


def test_a_stroke_that_pauses_is_handed_over_once(project, layers, heard, qtbot):
    layers.show_plane(project, plane_of(project, "flat"))
    layer = layers.masks.layer
    event = SimpleNamespace(type="mouse_press")
    (drag,) = (each(layer, event) for each in layer.mouse_drag_callbacks if "Masks" in each.__qualname__)
    next(drag)  # as napari does on press, on every move and on release
    layer.paint((10, 10), 1)
    qtbot.wait(500)
    event.type = "mouse_move"
    next(drag)
    layer.paint((10, 12), 1)
    qtbot.wait(500)
    assert not heard.masks
    event.type = "mouse_release"
    assert next(drag, None) is None
    qtbot.waitUntil(lambda: bool(heard.masks), timeout=5000)
    assert len(heard.masks) == 1
    layers.close()
    assert not any("Masks" in each.__qualname__ for each in layer.mouse_drag_callbacks)


def test_moving_through_slices_saves_nothing(project, layers, heard, qtbot):
    layers.show_plane(project, plane_of(project, "stack"))
    layers.viewer.dims.set_current_step(0, 3)
    qtbot.waitUntil(lambda: bool(heard.planes), timeout=5000)
    layers.flush()
    assert heard.planes == [plane_of(project, "stack", 3)]
    assert not heard.masks


def test_a_fill_through_all_slices_is_saved_in_all(project, layers, heard):
    layers.show_plane(project, plane_of(project, "stack"))
    layers.masks.layer.n_edit_dimensions = 3
    layers.masks.layer.fill((0, 5, 5), 2)
    layers.flush()
    assert [where.slice for where, _ in heard.masks] == [0, 1, 2, 3]


def test_what_is_being_painted_is_not_overwritten(project, layers):
    plane = plane_of(project, "flat")
    layers.show_plane(project, plane)
    layers.masks.layer.paint((10, 10), 1)
    layers.masks.update(0, None)
    assert layers.masks.layer.data.any()


def test_an_undone_mask_disappears(project, layers, heard):
    plane = plane_of(project, "stack", 1)
    layers.show_plane(project, plane)
    layers.masks.layer.paint((1, 10, 10), 1)
    layers.flush()
    project.put_mask(plane, heard.masks[0][1])
    project.undo()
    layers.viewer.dims.set_current_step(0, 3)
    layers.show_plane(project, plane)
    assert not layers.masks.layer.data.any()


def test_labels_of_the_users_become_the_mask(project, layers, heard):
    layers.show_plane(project, plane_of(project, "stack", 1))
    own = np.zeros((4, 24, 36), np.uint16)
    own[0, 2:5, 2:5], own[3, 4:8, 4:8] = 5, 300
    layers.take_mask(layers.viewer.add_labels(own, name="cells"), project)
    assert [(where.slice, labels.max()) for where, labels in heard.masks] == [(0, 5), (3, 300)]
    one = np.zeros((24, 36), np.int32)
    one[5:9, 5:9] = 1
    layers.take_mask(layers.viewer.add_labels(one), project)
    assert heard.masks[-1][0].slice == 1


def test_labels_of_another_shape_are_refused_with_a_sentence(project, layers):
    layers.show_plane(project, plane_of(project, "flat"))
    with pytest.raises(SegsizeError, match="shape"):
        layers.take_mask(layers.viewer.add_labels(np.zeros((3, 3), int)), project)


# --- for the other pages --------------------------------------------------------------------------------


def test_selected_layers_for_the_project(layers, heard):
    viewer = layers.viewer
    viewer.add_image(np.zeros((5, 6)), name="one", scale=(0.5, 0.5), units=("um", "um"))
    viewer.add_image(np.zeros((5, 6, 3), np.uint8), name="rgb", rgb=True)
    viewer.add_image(np.zeros((2, 3, 4, 5)), name="4-D")
    viewer.layers.selection = set(viewer.layers)
    found = {each.name: each for each in layers.image_layers_for_add()}
    assert set(found) == {"one", "rgb"}
    assert (found["one"].kind, found["one"].spacing, found["one"].unit) == ("image", (0.5, 0.5), "um")
    assert found["rgb"].rgb
    assert "4 axes" in heard.refused[0]


def test_a_preview_is_drawn_on_its_plane_only(project, layers, qtbot):
    plane = plane_of(project, "stack", 2)
    layers.show_plane(project, plane)
    layers.show_preview(plane, np.full((24, 36), 0.9, np.float32))
    qtbot.waitUntil(lambda: "Prediction" in layers.viewer.layers, timeout=5000)
    layer = layers.viewer.layers["Prediction"]
    assert np.allclose(layer.data_to_world((0, 0, 0)), layers.base.data_to_world((2, 0, 0)))
    layers.remove_preview()
    assert "Prediction" not in layers.viewer.layers


def test_the_active_layer_stays_active_when_we_add_ours(project, layers):
    own = layers.viewer.add_image(np.zeros((4, 4)))
    layers.show_plane(project, plane_of(project, "flat"))
    assert layers.viewer.layers.selection.active is own


def test_two_viewers(project, layers, make_napari_viewer):
    other = SegsizeLayers(make_napari_viewer())
    layers.show_plane(project, plane_of(project, "flat"))
    other.show_plane(project, plane_of(project, "other"))
    assert layers.base.name == "flat"
    assert other.base.name == "other"
    other.close()


def test_what_the_project_refuses_is_put_back(project, layers):
    plane = plane_of(project, "flat")
    project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    layers.stamps.layer.add([5, 5])  # nobody has stored it
    layers.show_plane(project, plane)
    assert len(layers.stamps.layer.data) == 1


def test_only_differences_are_told(project, layers, heard):
    plane = plane_of(project, "flat")
    project.put_stamp(plane, 8, centre=(10, 12))
    layers.show_plane(project, plane)
    layers.stamps.layer.refresh()
    layers.stamps.layer.data = layers.stamps.layer.data.copy()
    layers.stamps.update(0, (SizeStamp(object="a", size=4, centre=(1, 1), entered=4),))
    assert not heard.stamps
