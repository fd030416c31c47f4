"""The size microscope with a real viewer; it runs in its background job."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")
from shown_page import shown

from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets.size_controls import SAMPLES
from napari_segsize.widgets.size_inspector import SizeInspector


@pytest.fixture
def page(make_napari_viewer, qtbot, tmp_path):
    mask = np.zeros((32, 40), np.int32)
    mask[8:20, 10:26] = 1
    with Project.create(tmp_path / "p") as project:
        project.add_array("a", np.zeros((32, 40), np.uint8))
        project.add_array(
            "s", np.zeros((3, 32, 40), np.uint8), kind="stack", spacing=(2.0, 0.5, 0.5), unit="mm"
        )
        project.put_mask(PlaneRef(1), mask)
        project.put_stamp(PlaneRef(1), 18, centre=(14, 17))
    with shown(SizeInspector, make_napari_viewer(), qtbot, tmp_path / "p") as page:
        yield page
        page.hide()
        qtbot.waitUntil(lambda: not page.microscope.busy, timeout=20_000)


def cells(page):
    return [
        [page.table.item(row, column).text() for column in range(4)] for row in range(page.table.rowCount())
    ]


def settled(page, qtbot, text=f"{SAMPLES[-1]} sampled masks"):
    qtbot.waitUntil(lambda: text in page.sampled.text() and not page.microscope.busy, timeout=60_000)


def test_sizes_squares_and_gradients_of_the_mask(page, qtbot):
    settled(page, qtbot)
    assert cells(page) == [["1", "12", "18", "-"]]
    assert "pulled towards 18 px" in page.sampled.text()
    layers = page.layers.viewer.layers
    square = layers["Largest squares"]
    assert square.size.tolist() == [12]
    assert square.data.tolist() == [[13.5, 17.5]]
    low, high = layers["Size gradient"].contrast_limits
    assert low == -high
    assert "±4" in page.assumed.text()
    assert all(not each.image.pixmap().isNull() for each in page.strip.pictures.values())


def test_it_follows_the_brush(page, qtbot):
    settled(page, qtbot)
    page.layers.masks.layer.data[8:24, 10:26] = 1
    page.layers.masks.layer.refresh()
    qtbot.waitUntil(lambda: cells(page) == [["1", "16", "18", "-"]], timeout=60_000)


def test_overlays_can_be_switched_off_and_go_when_the_page_is_left(page, qtbot):
    settled(page, qtbot)
    page.checks["squares"].setChecked(False)
    assert "Largest squares" not in page.layers.viewer.layers
    page.checks["distance"].setChecked(True)
    assert page.layers.viewer.layers["Distance to the background"].data.max() == 6
    page.hide()
    assert {layer.name for layer in page.layers.viewer.layers} == {"a", "Mask", "Sizes"}


def test_an_overlay_that_the_user_removes_stays_away(page, qtbot):
    settled(page, qtbot)
    page.layers.viewer.layers.remove("Centroids")
    assert not page.checks["centres"].isChecked()


def test_instances_are_looked_at_one_by_one(page, qtbot):
    labels = np.zeros((32, 40), np.uint16)
    labels[2:8, 2:8], labels[20:30, 20:34] = 3, 900
    page.layers.viewer.add_labels(labels, name="cells")
    qtbot.waitUntil(lambda: [row[:2] for row in cells(page)] == [["3", "6"], ["900", "10"]], timeout=60_000)
    page.table.selectRow(0)
    settled(page, qtbot, "Object 3")
    assert np.array_equal(page.layers.viewer.layers["Inspected object"].data, labels == 3)


def test_a_prediction_speaks_for_itself(page, qtbot):
    y, x = np.mgrid[:32, :40]
    probs = (1 / (1 + np.exp(np.hypot(y - 14, x - 18) - 6))).astype(np.float32)
    page.layers.show_preview(PlaneRef(1), probs)
    qtbot.waitUntil(lambda: page.source.findText("Prediction") >= 0, timeout=5000)
    page.source.setCurrentIndex(page.source.findText("Prediction"))
    settled(page, qtbot, "Object 1: size 10 px, pulled towards 18 px")
    assert "own probabilities" in page.assumed.text()
    assert not page.confidence.isEnabled()
    page.source.setCurrentIndex(page.source.findText("Mask"))
    qtbot.waitUntil(lambda: cells(page) == [["1", "12", "18", "10"]], timeout=60_000)


def test_the_prediction_stays_chosen_when_layers_come(page, qtbot):
    page.layers.show_preview(PlaneRef(1), np.full((32, 40), 0.5, np.float32))
    qtbot.waitUntil(lambda: page.source.findText("Prediction") >= 0, timeout=5000)
    page.source.setCurrentIndex(page.source.findText("Prediction"))
    page.layers.viewer.add_labels(np.zeros((32, 40), np.uint8), name="another")
    assert page.source.findText("another") >= 0
    assert page.source.currentText() == "Prediction"


def test_confidence_and_target_matter(page, qtbot):
    settled(page, qtbot)
    page.target.setValue(4)
    settled(page, qtbot, "pulled towards 4 px")
    vague = page.sampled.text()
    page.confidence.setValue(24)
    qtbot.waitUntil(lambda: "mean size of 12.0" in page.sampled.text(), timeout=60_000)
    assert vague != page.sampled.text()
    assert "±12" in page.assumed.text()


def test_a_slice_of_a_stack_is_drawn_on_its_slice(page, qtbot):
    page.controller.show(PlaneRef(2, 1))
    page.layers.masks.layer.data[1, 8:20, 10:26] = 1
    page.layers.masks.layer.refresh()
    settled(page, qtbot)
    layers = page.layers.viewer.layers
    assert layers["Largest squares"].data.tolist() == [[1, 13.5, 17.5]]
    outline = layers["Inspected object"]
    assert np.allclose(outline.data_to_world((0, 0, 0)), page.layers.base.data_to_world((1, 0, 0)))
    assert all(str(layer.units[0]) == "millimeter" for layer in layers)


def test_nothing_to_look_at_is_said(page, qtbot):
    page.controller.delete("mask")
    qtbot.waitUntil(lambda: "no object in the layer Mask" in page.assumed.text(), timeout=20_000)
    assert "Size gradient" not in page.layers.viewer.layers
