"""The loss microscope on contours, level sets, fields and edges, with a real viewer."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")
from loss_page import PATIENCE, SHAPE, ours, page, says, seen, smooth, square

from napari_segsize.losses import LOSSES
from napari_segsize.project import PlaneRef
from napari_segsize.widgets import loss_sources

__all__ = ["page"]  # a fixture

BOX = np.array([[9.0, 11.0], [9.0, 24.0], [22.0, 24.0], [22.0, 11.0]])


def polygon(page, vertices=BOX, **more):
    return page.viewer.add_shapes([vertices], shape_type="polygon", name="drawn", **more)


def shown(page, qtbot, name):
    qtbot.waitUntil(lambda: name in page.viewer.layers, timeout=PATIENCE)
    return page.viewer.layers[name]


def test_every_loss_on_no_probabilities_has_a_value_a_gradient_and_a_picture_on_the_page(page, qtbot):
    polygon(page)
    page.viewer.add_labels(np.roll(square(), 3, 1), name="guess")
    for name, info in LOSSES.items():
        if info.acts_on == "logits":
            continue
        view = seen(page, qtbot, name)
        assert f"{view.value:.4g}" in page.value.text(), name
        assert view.gradient.any(), name
        assert view.maps or view.marks, name
        assert page.prediction.currentText() == ("drawn" if info.acts_on == "contour" else "guess"), name
        assert "Loss gradient" in ours(page), name
        assert page.rows.isRowVisible(page.vertices) == (info.acts_on == "contour"), name
        assert page.slope.isVisible() == (info.acts_on == "edges"), name


def test_arrows_are_the_way_down_and_the_legend_says_their_scale(page, qtbot):
    polygon(page)
    view = seen(page, qtbot, "contour_segmentation")
    arrows = page.viewer.layers["Loss gradient"].data
    assert np.allclose(arrows[:, 0], BOX)
    lengths = np.hypot(*view.gradient.T)
    assert np.allclose(arrows[:, 1], -view.gradient * 0.25 * 13 / lengths.max(), rtol=1e-5)
    assert f"{lengths.max():.2g} per px" in page.legend.arrows.text()
    assert not page.legend.raised.isVisible()
    page.viewer.add_image(smooth(), name="probs")
    seen(page, qtbot, "dice")
    assert page.legend.raised.isVisible()
    assert not page.legend.arrows.isVisible()


def test_it_follows_a_vertex_that_is_dragged(page, qtbot):
    layer = polygon(page)
    before = seen(page, qtbot, "contour_segmentation").value
    layer.data = [BOX - [1, 1]]  # nearer to the square of the mask
    qtbot.waitUntil(lambda: page._seen.view.value < before, timeout=PATIENCE)
    assert "▼" in page.change.text()


def test_the_selected_polygon_counts_and_stays_meant(page, qtbot):
    layer = page.viewer.add_shapes([BOX, BOX[:, ::-1] - 4], shape_type="polygon", name="two")
    view = seen(page, qtbot, "contour_segmentation")
    assert np.array_equal(view.places, BOX)
    says(page, qtbot, "One of 2 polygons")
    layer.selected_data = {1}
    qtbot.waitUntil(lambda: np.array_equal(page._seen.view.places, BOX[:, ::-1] - 4), timeout=PATIENCE)
    layer.selected_data = set()
    page.loss.choose("balloon")
    view = seen(page, qtbot, "balloon")
    assert np.array_equal(view.places, BOX[:, ::-1] - 4)
    layer.selected_data = {0}
    qtbot.waitUntil(lambda: np.array_equal(page._seen.view.places, BOX), timeout=PATIENCE)
    layer.remove_selected()  # the other one gets its number
    qtbot.waitUntil(lambda: not np.array_equal(page._seen.view.places, BOX), timeout=PATIENCE)
    assert page.change.text() == ""


def test_a_copy_to_draw_has_vertices_to_drag(page, qtbot):
    page.loss.choose("contour_segmentation")
    says(page, qtbot, "no prediction to look at yet")
    assert page.copy.text() == "Draw a copy"
    page.copy.click()
    view = seen(page, qtbot)
    made = page.viewer.layers["Drawn contour"]
    assert page.viewer.layers.selection.active is made
    assert made.mode == "direct"
    assert view.gradient.shape == (24, 2)
    assert view.value < 0.01
    page.vertices.setValue(12)
    qtbot.waitUntil(lambda: len(page._seen.view.gradient) == 12, timeout=PATIENCE)
    assert "Loss: contour" in page.viewer.layers  # no longer the polygon on screen
    page.vertices.setValue(page.vertices.minimum())
    qtbot.waitUntil(lambda: "Loss: contour" not in page.viewer.layers, timeout=PATIENCE)


def test_the_outline_of_the_selected_label_is_a_contour(page, qtbot):
    labels = np.roll(square(), 2, 1) + 3 * np.roll(square(), 9, 0)
    layer = page.viewer.add_labels(labels, name="guess")
    page.loss.choose("balloon")
    page.prediction.choose(layer)
    layer.selected_label = 3
    says(page, qtbot, "outline of label 3")
    assert "Loss: contour" in page.viewer.layers
    assert page.vertices.text() == "automatic: 48"


def test_a_polygon_of_a_stack_is_looked_at_on_its_slice_with_units(page, qtbot):
    page.controller.show(PlaneRef(2, 1))
    base = page.layers.base
    qtbot.waitUntil(lambda: page.layers.base.ndim == 3, timeout=PATIENCE)
    base = page.layers.base
    page.loss.choose("contour_segmentation")
    page.copy.click()
    view = seen(page, qtbot)
    made, arrows = page.viewer.layers["Drawn contour"], shown(page, qtbot, "Loss gradient")
    for layer in (made, arrows):
        assert np.allclose(layer.data_to_world((0, 0, 0)), base.data_to_world((0, 0, 0)))
        assert str(layer.units[0]) == "millimeter"
    assert np.allclose(arrows.data[:, 0, 0], 1)
    assert np.allclose(arrows.data[:, 0, 1:], view.places)
    assert np.allclose(view.places, np.asarray(made.data[0])[:, 1:])
    page.viewer.dims.set_point(0, 0.0)
    page.layers.settle()
    says(page, qtbot, "no polygon in “Drawn contour” on this slice")
    assert not ours(page)


def test_a_shapes_layer_of_another_scale_is_brought_into_pixels(page, qtbot):
    polygon(page, BOX / 2, scale=(2, 2), translate=(1, -1))
    view = seen(page, qtbot, "contour_segmentation")
    assert np.allclose(view.places, BOX + np.array([1, -1]))


def test_four_points_are_a_target_and_other_numbers_are_refused(page, qtbot):
    polygon(page)
    points = page.viewer.add_points([[8, 18], [13, 10], [19, 18], [13, 25]], name="clicks")
    page.loss.choose("extreme_points")
    page.target.choose(points)
    view = seen(page, qtbot)
    assert view.marks["true points"].tolist() == [[8, 18], [13, 10], [19, 18], [13, 25]]
    assert {"Loss: gaps", "Loss: reach", "Loss: centres"} <= ours(page)
    points.data = np.concatenate([points.data, [[2, 2]]])
    says(page, qtbot, "“clicks” has 5 on this slice: select four")
    assert not ours(page)
    points.selected_data = {0, 1, 2, 3}
    qtbot.waitUntil(lambda: bool(ours(page)), timeout=PATIENCE)
    page.checks["gaps"].setChecked(False)
    assert not {"Loss: gaps", "Loss: reach"} & ours(page)


def test_choices_depend_on_what_the_loss_acts_on(page, qtbot):
    polygon(page)
    page.viewer.add_points([[8, 18]], name="clicks")
    page.viewer.add_image(smooth(), name="probs")

    def offered(box):
        return {box.itemText(i) for i in range(box.count())}

    seen(page, qtbot, "contour_segmentation")
    assert offered(page.prediction) == {"drawn", "Mask"}
    assert offered(page.target) == {"Mask"}
    page.loss.choose("extreme_points")
    assert offered(page.target) == {"Mask", "clicks"}
    page.loss.choose("phi_distance")
    assert offered(page.prediction) == {"probs", "Mask"}
    assert [page.kind.itemText(i) for i in range(page.kind.count())][1] == "a level set"
    page.loss.choose("dice")
    assert "drawn" not in offered(page.prediction)
    assert [page.kind.itemText(i) for i in range(page.kind.count())][1] == "probabilities"


def test_a_level_set_diverges_and_has_its_zero_line(page, qtbot):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    phi = (7 - np.hypot(y - 14, x - 20)).astype(np.float32)
    page.viewer.add_image(phi, name="phi")
    view = seen(page, qtbot, "phi_distance")
    assert page.prediction.currentText() == "phi"
    assert np.array_equal(page.viewer.layers["Loss gradient"].data, view.gradient)
    assert {"Loss: zero line", "Loss: true outline"} <= ours(page)
    page.checks["level set"].setChecked(True)
    low, high = page.viewer.layers["Loss: level set"].contrast_limits
    assert low == -high
    page.viewer.layers.remove("Loss: zero line")  # by the user: the box that ticks it goes
    assert not page.checks["lines"].isChecked()
    assert "Loss: true outline" not in ours(page)


def test_a_level_set_of_a_painted_copy_follows_the_brush(page, qtbot):
    page.loss.choose("phi_bce")
    page.copy.click()
    before = seen(page, qtbot).value
    says(page, qtbot, "signed distance")
    page.viewer.layers["Painted prediction"].paint((24, 8), 1)
    qtbot.waitUntil(lambda: page._seen.view.value > before + 0.001, timeout=PATIENCE)


def test_a_field_is_a_stack_of_two_slices(page, qtbot):
    field = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]]).astype(np.float32) - 15
    layer = page.viewer.add_image(field, name="field")
    page.loss.choose("motion_direction")
    page.prediction.choose(layer)
    says(page, qtbot, "two slices are taken for y and x")
    view = seen(page, qtbot)
    assert view.gradient.shape == (2, *SHAPE)
    arrows = page.viewer.layers["Loss gradient"].data
    y, x = arrows[:, 0, 1:].astype(int).T
    down = -view.gradient[:, y, x].T
    ways = arrows[:, 1, 1:]
    lengths = np.hypot(*ways.T)
    assert np.allclose(ways / lengths[:, None], down / np.hypot(*down.T)[:, None], atol=1e-4)
    assert lengths.max() == pytest.approx(1.5)  # a cell is one pixel here; what is stronger is cut
    assert (np.hypot(*down.T) > np.hypot(*down.T)[lengths < 1.49].max()).any()


def test_edges_are_painted_as_edges(page, qtbot):
    page.loss.choose("nms")
    says(page, qtbot, "layer of edge probabilities")
    page.copy.click()
    view = seen(page, qtbot)
    made = page.viewer.layers["Painted edges"]
    assert made.data.sum() == 2 * (12 + 16) - 4
    assert page.kind.currentText() == "edge pixels"
    assert "outlines" not in page.notices.text()
    before = view.value
    made.paint((14, 12), 1)
    made.data[8:14, 9] = 1
    made.refresh()
    qtbot.waitUntil(lambda: page._seen.view.value != before, timeout=PATIENCE)


def test_only_what_is_on_screen_of_a_large_image(page, qtbot, monkeypatch):
    monkeypatch.setattr(loss_sources, "MOST_PIXELS", 20 * 30)
    polygon(page)
    mask = page.layers.masks.layer
    mask.corner_pixels = np.array([[4, 6], [21, 30]])
    view = seen(page, qtbot, "contour_segmentation")
    says(page, qtbot, "rows 4 to 21, columns 6 to 30")
    assert np.allclose(view.places, BOX - [4, 6])
    assert np.allclose(page.viewer.layers["Loss gradient"].data[:, 0], BOX)
