"""The loss microscope with a real viewer; it runs in its background job."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")
from loss_page import PATIENCE, SHAPE, ours, page, says, seen, smooth, square

from napari_segsize.project import PlaneRef
from napari_segsize.widgets import loss_sources
from napari_segsize.widgets.contour_points import camera_of
from napari_segsize.widgets.shelf import role_of

__all__ = ["page"]  # a fixture


def test_a_probability_layer_is_compared_with_the_mask(page, qtbot):
    page.viewer.add_image(smooth(), name="probs", visible=False)
    view = seen(page, qtbot)
    assert (page.prediction.currentText(), page.target.currentText()) == ("probs", "Mask")
    assert f"{view.value:.4g}" in page.value.text()
    layer = page.viewer.layers["Loss gradient"]
    low, high = layer.contrast_limits
    assert low == -high
    assert f"{high:.2g}" in page.legend.lowered.text()
    assert np.array_equal(layer.data, view.gradient)
    assert (layer.data[square() == 1] < 0).all()  # the object should rise
    assert page.rows.isRowVisible(page.kind)


def test_nothing_to_look_at_is_said_and_a_copy_to_paint_is_offered(page, qtbot):
    says(page, qtbot, "no prediction to look at")
    page.copy.click()
    view = seen(page, qtbot)
    made = page.viewer.layers["Painted prediction"]
    assert view.value == pytest.approx(0, abs=1e-3)
    assert page.viewer.layers.selection.active is made
    assert made.mode == "paint"
    assert role_of(made) is None
    assert not page.rows.isRowVisible(page.kind)


def test_it_follows_the_brush_and_counts_the_change(page, qtbot):
    page.copy.click()
    before = seen(page, qtbot).value
    page.viewer.layers["Painted prediction"].paint((24, 8), 1)
    qtbot.waitUntil(lambda: page._seen.view.value > before + 0.001, timeout=PATIENCE)
    assert "▲" in page.change.text()
    page.loss.choose("bce")
    seen(page, qtbot)
    assert page.change.text() == ""


def test_it_follows_the_target_as_well(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    before = seen(page, qtbot).value
    page.layers.masks.layer.data[24:28, 30:36] = 1
    page.layers.masks.layer.refresh()
    qtbot.waitUntil(lambda: page._seen is not None and page._seen.view.value < before, timeout=PATIENCE)


def test_maps_are_layers_on_demand_and_signed_ones_diverge(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    seen(page, qtbot, "boundary")
    assert ours(page) == {"Loss gradient"}
    page.checks["signed distance"].setChecked(True)
    low, high = page.viewer.layers["Loss: signed distance"].contrast_limits
    assert low == -high
    seen(page, qtbot, "cldice")
    page.checks["ghosts"].setChecked(True)
    assert page.viewer.layers["Loss: ghosts"].contrast_limits[0] == 0
    page.clear.click()
    assert not ours(page)


def test_steps_of_a_map_are_chosen_by_a_slider(page, qtbot):
    page.viewer.add_image(np.zeros(SHAPE, np.float32), name="probs")
    view = seen(page, qtbot, "hausdorff_erosion")
    page.checks["residues"].setChecked(True)
    assert page.step.maximum() == 9
    page.step.setValue(2)
    assert np.array_equal(page.viewer.layers["Loss: residues"].data, view.maps["residues"][2])
    assert "3 of 10" in page.step_label.text()
    seen(page, qtbot, "bce")
    assert not page.step.isVisible()


def test_disks_have_their_radius(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    view = seen(page, qtbot, "hausdorff_convolution")
    disks = page.viewer.layers["Loss: costliest disks"]
    assert np.array_equal(disks.data, view.marks["disks"][:, :2])
    assert disks.size.tolist() == (2 * view.marks["disks"][:, 2] + 1).tolist()
    page.options.editor("radii").set((3,))
    page.options.changed.emit()
    qtbot.waitUntil(lambda: len(page.viewer.layers["Loss: costliest disks"].data) <= 1, timeout=PATIENCE)


def test_numbers_of_another_loss_go_at_once(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    seen(page, qtbot, "topology")
    assert not page.diagram.isHidden()
    assert page.legend.raised.text() != "should rise"
    page.loss.choose("dice")
    assert page.diagram.isHidden()
    assert page.legend.raised.text() == "should rise"


def test_a_dot_leads_to_its_pixel_and_back(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    seen(page, qtbot, "topology")
    ghost = next(n for n, dot in enumerate(page._dots) if not dot.wanted)
    assert page._dots[ghost].birth_pixel == (24, 30)
    spots = page.diagram.scatter.points()
    page.diagram.scatter.sigClicked.emit(page.diagram.scatter, [spots[ghost]], None)
    camera = camera_of(page.viewer)
    assert tuple(camera.center)[-2:] == (24, 30)
    assert camera.zoom >= 5
    assert "Part, not in the target" in page.diagram.about.text()
    points = page.viewer.layers["Loss: critical pixels"]
    largest = np.argmax(points.size)
    assert points.data[largest].tolist() == [24, 30]

    wanted = next(n for n, dot in enumerate(page._dots) if dot.wanted)
    page.layers.losses.picked.emit(wanted)
    assert "Part, in the target" in page.diagram.about.text()
    assert tuple(camera.center)[-2:] == (24, 30)  # a click on the image moves nothing


def test_a_click_on_a_pixel_picks_its_dot_but_a_brush_does_not(page, qtbot):
    class Event:
        type, button, modifiers, pos = "mouse_press", 1, (), (0, 0)

        def __init__(self, y, x):
            self.position = (y, x)

    def click(y, x):
        event = Event(y, x)
        for step in list(page.layers.losses._on_press(page.viewer, event)):
            assert step is None

    page.viewer.add_image(smooth(), name="probs")
    seen(page, qtbot, "topology")
    picked = []
    page.layers.losses.picked.connect(picked.append)
    click(24, 30)
    assert not page._dots[picked[0]].wanted
    mask = page.layers.masks.layer
    page.viewer.layers.selection.active = mask
    mask.mode = "paint"
    click(24, 30)
    assert len(picked) == 1
    mask.mode = "pan_zoom"
    page.hide()
    assert page.layers.losses._on_press not in page.viewer.mouse_drag_callbacks


def test_the_chosen_dot_stays_chosen_while_others_come(page, qtbot):
    layer = page.viewer.add_image(smooth(), name="probs")
    seen(page, qtbot, "topology")
    page.layers.losses.picked.emit(next(n for n, dot in enumerate(page._dots) if not dot.wanted))
    layer.data[2:6, 2:6] = 0.95
    layer.refresh()
    qtbot.waitUntil(lambda: len(page._dots) == 3, timeout=PATIENCE)
    assert page._chosen.birth_pixel == (24, 30)


def test_a_slice_of_a_stack_is_drawn_on_its_slice_with_units(page, qtbot):
    page.controller.show(PlaneRef(2, 1))
    page.copy.click()
    seen(page, qtbot, "topology")
    painted = page.viewer.layers["Painted prediction"]
    base = page.layers.base
    for name in ("Loss gradient", "Painted prediction"):
        layer = page.viewer.layers[name]
        assert np.allclose(layer.data_to_world((0, 0, 0)), base.data_to_world((1, 0, 0)))
    points = page.viewer.layers["Loss: critical pixels"]
    assert np.allclose(points.data_to_world(points.data[0])[0], 2.0)
    assert all(str(layer.units[0]) == "millimeter" for layer in page.viewer.layers)
    assert painted.data.shape == (1, *SHAPE)


def test_our_own_prediction_is_the_first_choice(page, qtbot):
    page.viewer.add_image(0 * smooth(), name="probs")
    seen(page, qtbot)
    page.layers.show_preview(PlaneRef(1), smooth())
    qtbot.waitUntil(lambda: page.prediction.currentText() == "Prediction", timeout=5000)
    qtbot.waitUntil(lambda: seen(page, qtbot).gradient.any(), timeout=PATIENCE)
    page.prediction.choose(page.viewer.layers["probs"])
    page.viewer.add_image(smooth(), name="later")
    assert page.prediction.currentText() == "probs"  # what the user has chosen stays chosen


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (np.full(SHAPE, np.nan), "automatic", "got nan at (0, 0)"),
        (np.full(SHAPE, 3.0), "probabilities", "choose “logits” beside “Its numbers are”"),
        (smooth()[:20], "automatic", "20 x 40 pixels and the target 32 x 40"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_nothing_is_drawn(page, qtbot, values, kind, words):
    layer = page.viewer.add_image(values.astype(np.float32), name="odd")
    page.prediction.choose(layer)
    page.kind.setCurrentText(kind)
    says(page, qtbot, words)
    assert not ours(page)


def test_an_empty_target_is_said(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    page.layers.masks.layer.data[:] = 0
    page.layers.masks.layer.refresh()
    says(page, qtbot, "target is empty")
    page.loss.choose("centroid")
    says(page, qtbot, "no centre")


def test_a_stamp_says_the_size_where_there_is_no_mask(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    page.controller.delete("mask")
    page.controller.project.put_stamp(PlaneRef(1), 18, centre=(14, 17))
    page.controller.poll()
    page.loss.choose("size")
    says(page, qtbot, "that of the stamp")


def test_logits_are_known_and_chosen(page, qtbot):
    layer = page.viewer.add_image(8 * smooth() - 4, name="logits")
    page.prediction.choose(layer)
    view = seen(page, qtbot, "bce")
    page.kind.setCurrentText("a mask")
    qtbot.waitUntil(lambda: page._seen.view.value != view.value, timeout=PATIENCE)


def test_only_what_is_on_screen_of_a_large_image(page, qtbot, monkeypatch):
    monkeypatch.setattr(loss_sources, "MOST_PIXELS", 16 * 16)
    layer = page.viewer.add_image(smooth(), name="probs")
    layer.corner_pixels = np.array([[0, 0], [31, 39]])
    page.prediction.choose(layer)
    says(page, qtbot, "zoom in until about 16 x 16")
    layer.corner_pixels = np.array([[6, 8], [17, 20]])
    camera_of(page.viewer).zoom *= 1.5
    says(page, qtbot, "rows 6 to 17, columns 8 to 20")
    gradient = page.viewer.layers["Loss gradient"]
    assert gradient.data.shape == (12, 13)
    assert gradient.data_to_world((0, 0)) == (6, 8)


def test_chan_vese_learns_from_an_image(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    seen(page, qtbot, "chan_vese")
    assert page.target.currentText() == "a"  # the image of the project
    seen(page, qtbot, "dice")
    assert page.target.currentText() == "Mask"


def test_headings_of_groups_cannot_be_chosen(page):
    box = page.loss
    rows = {box.itemText(i): i for i in range(box.count())}
    assert box.model().item(rows["Balloon"]).isEnabled()
    assert not box.model().item(rows["On contours"]).isSelectable()


def test_options_come_from_the_loss_and_are_remembered(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    before = seen(page, qtbot, "tversky").value
    page.options.editor("misses").set(0.1)
    qtbot.waitUntil(lambda: page._seen.view.value != before, timeout=PATIENCE)
    seen(page, qtbot, "topology")
    assert page.options.values()["patch"] is None
    seen(page, qtbot, "tversky")
    assert page.options.values() == {"ghosts": 0.3, "misses": 0.1}


def test_a_layer_that_the_user_removes_stays_away_and_all_go_with_the_page(page, qtbot):
    page.viewer.add_image(smooth(), name="probs")
    seen(page, qtbot)
    page.viewer.layers.remove("Loss gradient")
    assert not page.checks["gradient"].isChecked()
    page.checks["gradient"].setChecked(True)
    assert ours(page)
    page.hide()
    assert not ours(page)
    page.show()
    seen(page, qtbot)
    assert ours(page)


def test_normals_of_edges_are_strokes_through_edge_pixels(page, qtbot):
    page.controller.show(PlaneRef(2, 1))
    page.copy.click()
    view = seen(page, qtbot, "nms")
    strokes = page.viewer.layers["Loss: normals"]
    middle = strokes.data[:, 0] + strokes.data[:, 1] / 2
    assert np.allclose([strokes.data_to_world(each)[0] for each in middle], 2.0)  # mm: the slice shown
    assert np.allclose(middle[:, 1:], view.marks["normals"][:, :2])
    page.checks["normals"].setChecked(False)
    assert "Loss: normals" not in page.viewer.layers
