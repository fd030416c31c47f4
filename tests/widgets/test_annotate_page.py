"""The page Annotate with a real controller, project and viewer."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")
from qtpy.QtCore import Qt
from shown_page import shown

from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets.annotate_page import AnnotatePage
from napari_segsize.widgets.clash import clashes
from napari_segsize.widgets.keys import SHORTCUTS

LEFT, ENTER = Qt.MouseButton.LeftButton, Qt.Key.Key_Return


@pytest.fixture
def page(make_napari_viewer, qtbot, tmp_path, rng):
    with Project.create(tmp_path / "p") as project:
        for name in ("a", "b", "c"):
            project.add_array(name, rng.integers(0, 255, (40, 50), dtype=np.uint8))
        project.add_array("d", np.zeros((30, 30), np.uint8), spacing=(1, 0.5, 0.5), unit="mm")
    with shown(AnnotatePage, make_napari_viewer(), qtbot, tmp_path / "p") as page:
        yield page


def said(page):
    return page.controller.state.annotation


def press(page, key):
    """As napari does it: the key's slot of the active layer."""
    layer = page.layers.viewer.layers.selection.active
    next(slot for combo, slot in layer.keymap.items() if str(combo) == key)(layer)


def test_a_stamp_is_in_the_project_at_once(page):
    page.layers.stamps.layer.add([5, 6])
    assert [stamp.centre for stamp in page.controller.project.annotation(PlaneRef(1)).stamps] == [(5, 6)]
    assert page.controller.state.message.startswith("Saved")
    assert page.said.rowCount() == 1


def test_what_the_project_refuses_disappears_from_the_picture(page, monkeypatch):
    monkeypatch.setattr(page.controller, "sync_stamps", lambda plane, stamps, base: False)
    page.layers.stamps.layer.add([5, 6])
    assert len(page.layers.stamps.layer.data) == 0


def test_a_stamp_of_another_process_is_not_lost(page, tmp_path):
    with Project.open(tmp_path / "p") as other:
        other.put_stamp(PlaneRef(1), 8, centre=(20, 20))
    page.layers.stamps.layer.add([5, 6])
    assert len(said(page).stamps) == 2


def test_an_odd_side_is_rounded_up_and_the_page_says_so(page, qtbot):
    page.entry.side.selectAll()
    qtbot.keyClicks(page.entry.side, "13")
    qtbot.keyClick(page.entry.side, ENTER)
    assert page.entry.side.value() == 14
    assert page.layers.stamps.layer.current_size == 14
    assert "rounded up" in page.hint.text()


@pytest.mark.parametrize(("typed", "size"), [("25", 26), ("8", 8), ("0", None)])
def test_a_size_without_a_place(page, qtbot, typed, size):
    qtbot.keyClicks(page.entry.loose, typed)
    qtbot.keyClick(page.entry.loose, ENTER)
    assert page.entry.loose.text() == ""
    if size is None:
        assert said(page).no_object
    else:
        assert [(stamp.size, stamp.centre) for stamp in said(page).stamps] == [(size, None)]


def test_a_second_size_without_a_place_corrects_the_first(page, qtbot):
    for typed in ("12", "16"):
        qtbot.keyClicks(page.entry.loose, typed)
        qtbot.keyClick(page.entry.loose, ENTER)
    assert [stamp.size for stamp in said(page).stamps] == [16]


def test_moving_a_stamp_keeps_the_size_without_a_place(page):
    page.controller.put_stamp(12)
    page.layers.stamps.layer.add([5, 6])
    page.layers.stamps.layer.data = np.array([[7.0, 8.0]])
    assert sorted((stamp.centre is None) for stamp in said(page).stamps) == [False, True]


@pytest.mark.parametrize("typed", ["-4", "nan", "many", "5000"])
def test_nonsense_gets_a_sentence_and_stays_to_be_mended(page, qtbot, typed):
    qtbot.keyClicks(page.entry.loose, typed)
    qtbot.keyClick(page.entry.loose, ENTER)
    assert page.controller.state.error
    assert page.entry.loose.text() == typed
    assert not said(page).stamps


def test_physical_units_are_offered_where_there_are_any(page, qtbot):
    assert page.entry.unit.count() == 1
    page.controller.show(PlaneRef(4))
    page.entry.unit.setCurrentText("mm")
    page.entry.side.setValue(4.0)
    page.layers.stamps.layer.add([9, 9])
    (stamp,) = said(page).stamps
    assert (stamp.size, stamp.entered, stamp.unit) == (8, 4.0, "mm")


def test_a_contradiction_is_said_at_once(page):
    page.layers.stamps.set_side(30)
    page.layers.stamps.layer.add([10, 10])
    page.layers.masks.layer.data[8:13, 8:13] = 1
    page.layers.masks.layer.refresh()
    page.layers.flush()
    assert page.clash.isVisible()
    assert "30 px" in page.clash.text()
    assert "6 px" in page.clash.text()
    page.controller.delete("mask")
    assert not page.clash.isVisible()
    assert clashes(said(page)) == ()


def test_the_page_and_the_project_deny_the_same_sizes(tmp_path):
    mask = np.zeros((48, 48), np.int32)
    mask[4:24, 4:24] = 1
    with Project.create(tmp_path / "p") as project:
        plane = PlaneRef(project.add_array("flat", np.arange(48 * 48, dtype=np.uint16).reshape(48, 48)).id)
        project.put_mask(plane, mask)
        denied = []
        for size, centre in [(size, (14, 14)) for size in range(2, 42, 2)] + [(20, (40, 40)), (8, None)]:
            stamp = project.put_stamp(plane, size, centre=centre, object="one")
            found = clashes(project.annotation(plane))
            assert len(found) == len(project.contradictions())
            denied += [stamp.size] if found else []
    assert denied == [2, 4, 6, 8, 10, 12, 14, 28, 30, 32, 34, 36, 38, 40, 20, 8]


@pytest.mark.parametrize("verb", ["next", "previous", "next_unlabelled"])
def test_going_on_saves_the_stroke_first(page, qtbot, verb):
    page.controller.show(PlaneRef(2))
    page.layers.masks.layer.paint((10, 10), 1)
    qtbot.mouseClick(page.buttons[verb], LEFT)
    assert page.controller.project.annotation(PlaneRef(2)).mask is not None
    assert page.controller.state.plane == PlaneRef(1 if verb == "previous" else 3)


def test_painting_is_called_unsaved_until_it_is_saved(page, qtbot):
    page.layers.masks.layer.paint((10, 10), 1)
    assert "not saved" in page.controller.state.message
    qtbot.waitUntil(lambda: page.controller.state.message.startswith("Saved"), timeout=5000)
    assert said(page).mask is not None


def test_undo_and_redo_of_a_stroke(page, qtbot):
    page.layers.masks.layer.paint((10, 10), 1)
    qtbot.mouseClick(page.buttons["no_object"], LEFT)  # refused: there is a mask now
    page.layers.flush()
    qtbot.mouseClick(page.buttons["undo"], LEFT)
    assert not page.layers.masks.layer.data.any()
    qtbot.mouseClick(page.buttons["redo"], LEFT)
    assert page.layers.masks.layer.data.any()


@pytest.mark.parametrize(
    ("key", "plane"), [("N", PlaneRef(3)), ("Shift+N", PlaneRef(1)), ("U", PlaneRef(3)), ("K", PlaneRef(3))]
)
@pytest.mark.parametrize("tool", ["stamp", "paint"])
def test_keys_work_on_both_of_our_layers(page, tool, key, plane):
    page.controller.show(PlaneRef(2))
    page.layers.use(tool)
    press(page, key)
    assert page.controller.state.plane == plane


def test_keys_of_the_square(page):
    page.layers.use("stamp")
    before = page.entry.side.value()
    press(page, "=")
    assert page.entry.side.value() == before + 2
    press(page, "-")
    assert page.entry.side.value() == before


def test_the_mask_layer_keeps_naparis_own_plus_and_minus(page):
    page.layers.use("paint")
    assert not {"=", "-"} & {str(combo) for combo in page.layers.masks.layer.keymap}


def test_every_shortcut_is_listed(page):
    from qtpy.QtWidgets import QLabel

    texts = " ".join(label.text() for label in page.findChildren(QLabel))
    for shortcut in SHORTCUTS:
        assert f"<b>{shortcut.shown}</b>" in texts


def test_no_key_is_one_of_naparis(page):
    from napari.layers import Image, Labels, Points
    from napari.utils.action_manager import action_manager

    used = {}
    for layer in (page.layers.stamps.layer, page.layers.masks.layer, page.layers.base):
        kind = next(each for each in (Points, Labels, Image) if isinstance(layer, each))
        theirs = {
            str(key)
            for name, keys in action_manager._shortcuts.items()
            if getattr(action_manager._actions.get(name), "keymapprovider", None) is kind
            for key in keys
        }
        used[kind.__name__] = {str(combo) for combo in layer.keymap} & theirs
    assert not any(used.values()), used


def test_the_tool_buttons_follow_napari(page):
    page.layers.use("stamp")
    assert page.buttons["stamp"].isChecked()
    page.layers.stamps.layer.mode = "select"
    assert page.buttons["select"].isChecked()
    assert not page.buttons["stamp"].isChecked()
    page.layers.viewer.layers.selection.active = page.layers.base
    assert not any(page.buttons[tool].isChecked() for tool in ("stamp", "select", "paint"))


@pytest.mark.parametrize("tool", ["stamp", "select", "paint"])
def test_a_click_on_a_tool_takes_it_up_and_another_puts_it_down(page, qtbot, tool):
    qtbot.mouseClick(page.buttons[tool], LEFT)
    assert page.layers.tool == tool
    assert page.buttons[tool].isChecked()
    qtbot.mouseClick(page.buttons[tool], LEFT)
    assert page.layers.tool == ""
    assert not page.buttons[tool].isChecked()


def test_a_removed_layer_is_explained(page):
    page.layers.viewer.layers.remove(page.layers.stamps.layer)
    assert "still in the project" in page.hint.text()


def test_labels_of_the_users_are_offered(page, qtbot):
    assert not page.buttons["take"].isEnabled()
    labels = np.zeros((40, 50), int)
    labels[3:9, 3:9] = 2
    page.layers.viewer.add_labels(labels, name="cells")
    assert page.source.currentText() == "cells"
    qtbot.mouseClick(page.buttons["take"], LEFT)
    assert said(page).mask.max() == 2


def test_a_stack_of_labels_says_how_many_slices_have_a_mask_now(page, qtbot, rng):
    project = page.controller.project
    stack = project.add_array("stack", rng.integers(0, 255, (3, 40, 50), dtype=np.uint8), kind="stack")
    page.controller.reload()
    page.controller.show(PlaneRef(stack.id))
    labels = np.zeros((3, 40, 50), int)
    labels[:2, 3:9, 3:9] = 1
    page.layers.viewer.add_labels(labels, name="cells")
    qtbot.mouseClick(page.buttons["take"], LEFT)
    assert page.controller.state.message == "Saved: masks on 2 slices."
    assert [each.mask is not None for each in project.annotations() if each.plane.image == stack.id]


def test_lines_of_the_table_can_be_taken_back(page, qtbot):
    page.layers.stamps.layer.add([5, 6])
    qtbot.mouseClick(page.said.cellWidget(0, 2), LEFT)
    assert not said(page).stamps
    assert len(page.layers.stamps.layer.data) == 0
