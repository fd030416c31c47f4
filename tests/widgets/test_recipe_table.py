"""The table of a recipe: simple at first, then terms, weights and schedules with mouse and keys."""

from __future__ import annotations

from itertools import pairwise

import pytest

from napari_segsize.engine.config import DEFAULT_LOSS

pytest.importorskip("qtpy")
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QToolButton

from napari_segsize.losses.recipe import PRESETS, parse_recipe
from napari_segsize.widgets.recipe_table import RecipeTable

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def table(qtbot):
    made = RecipeTable()
    qtbot.addWidget(made)
    made.resize(420, 500)
    made.show()
    made.let_open(ready=True)
    made.set_annotations(masks=3, sizes=2)
    return made


@pytest.fixture
def opened(table, qtbot):
    qtbot.mouseClick(table.button, LEFT)
    assert table.is_open
    return table


def row(table, name):
    (found,) = [each for each in table._rows if each.term_name == name]
    return found


def actions(table):
    table._fill_menu()
    return {each.text().partition("   (")[0]: each for each in table._menu.actions() if each.text()}


def typed(qtbot, box, text):
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def test_at_first_there_is_a_line_and_a_button(table, qtbot):
    assert table.recipe() == DEFAULT_LOSS
    assert table.line.text() == DEFAULT_LOSS
    assert not table.is_open
    table.let_open(ready=False)
    assert not table.button.isEnabled()
    assert "being loaded" in table.button.toolTip()


def test_the_button_opens_and_closes_the_table(opened, qtbot):
    assert [each.name.text() for each in opened._rows] == ["Cross-entropy", "Dice"]
    assert opened._preset.currentText() == "standard"
    qtbot.mouseClick(opened.button, LEFT)
    assert not opened.is_open
    assert opened.button.text() == "Change…"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_the_table_and_gives_its_advice(opened, qtbot, preset):
    box = opened._preset
    box.setFocus()
    box.setCurrentText(preset)
    box.textActivated.emit(preset)  # what a click on the list does
    assert opened.recipe() == PRESETS[preset].text
    assert opened._preset.currentText() == preset
    assert opened._advice.text() == PRESETS[preset].advice
    assert len(opened._rows) == len(parse_recipe(PRESETS[preset].text).terms)
    assert PRESETS[preset].advice.split()[0] in box.itemData(
        box.findText(preset), Qt.ItemDataRole.ToolTipRole
    )


def test_your_own_is_not_chosen_but_made(opened):
    opened._preset.setCurrentText("your own")
    opened._preset.textActivated.emit("your own")
    assert opened._preset.currentText() == "standard"
    assert opened.recipe() == DEFAULT_LOSS


def test_terms_come_and_go(opened, qtbot):
    actions(opened)["Boundary"].trigger()
    assert opened.recipe() == "cross-entropy + dice + 0.01*boundary"
    assert opened._preset.currentText() == "your own"
    assert not actions(opened)["Boundary"].isEnabled(), "each loss once"
    qtbot.mouseClick(row(opened, "bce").remove, LEFT)
    assert opened.recipe() == "dice + 0.01*boundary"
    qtbot.mouseClick(row(opened, "boundary").remove, LEFT)
    assert opened.recipe() == "dice"
    assert not row(opened, "dice").remove.isEnabled(), "something must be learned"


def test_weights_and_schedules(opened, qtbot):
    actions(opened)["clDice: centre lines"].trigger()
    line = row(opened, "cldice")
    typed(qtbot, line.weight, "0.25")
    assert opened.recipe().endswith("+ 0.25*cldice")
    assert opened._epoch.isHidden()
    line.when.setFocus()
    for key, expected in (
        (Qt.Key.Key_Down, "0.25*cldice@delay=5"),
        (Qt.Key.Key_Down, "0.25*cldice@increase"),
        (Qt.Key.Key_Down, "0.25*cldice@rebalance"),
        (Qt.Key.Key_Home, "0.25*cldice"),
        (Qt.Key.Key_Down, "0.25*cldice@delay=5"),
    ):
        qtbot.keyClick(line.when, key)
        assert opened.recipe() == f"cross-entropy + dice + {expected}"
    assert not opened._epoch.isHidden()
    assert (line.epoch.isHidden(), line.step.isHidden()) == (False, True)
    typed(qtbot, line.epoch, "12")
    assert opened.recipe().endswith("@delay=12")
    qtbot.keyClick(line.when, Qt.Key.Key_Down)
    assert (line.epoch.isHidden(), line.step.isHidden()) == (True, False)
    typed(qtbot, line.step, "0.05")
    assert opened.recipe().endswith("@increase(step=0.05)")


def test_what_the_boxes_cannot_show_is_kept(opened):
    text = "2*dice + tversky(ghosts=0.1) + 0.5*boundary(edge=between)@increase(step=0.1, delay=3)"
    opened.set_recipe(text)
    assert "ghosts=0.1" in row(opened, "tversky").name.text()
    line = row(opened, "boundary")
    assert line.when.currentText() == "increase(step=0.1, delay=3)"
    line.weight.setValue(0.75)
    assert opened.recipe() == text.replace("0.5*", "0.75*")


def test_the_text_is_live_both_ways(opened, qtbot):
    typed(qtbot, opened._edit, "ce + 0.5*focal(gamma=1)")
    assert opened.recipe() == opened._edit.text() == "cross-entropy + 0.5*focal(gamma=1)"
    assert row(opened, "focal").weight.value() == 0.5
    row(opened, "focal").weight.setValue(2)
    assert opened._edit.text() == "cross-entropy + 2*focal(gamma=1)"


def test_the_text_is_not_rewritten_under_the_cursor(opened, qtbot):
    opened._edit.selectAll()
    qtbot.keyClicks(opened._edit, "ce + di")
    assert opened._edit.text() == "ce + di"
    assert "No loss is called" in opened._problem.text()
    qtbot.keyClicks(opened._edit, "ce")
    assert opened._edit.text() == "ce + dice"
    assert opened.recipe() == DEFAULT_LOSS
    assert opened._problem.isHidden()


def test_a_fault_is_said_and_not_trained_on(opened, qtbot):
    typed(qtbot, opened._edit, "dice + bondary")
    assert "did you mean boundary?" in opened._problem.text()
    with pytest.raises(ValueError, match="boundary"):
        opened.recipe()
    qtbot.mouseClick(opened.button, LEFT)
    assert opened.recipe() == DEFAULT_LOSS, "what cannot be read is let go"
    qtbot.mouseClick(opened.button, LEFT)
    row(opened, "dice").weight.setValue(0)
    assert "weight of 0" in opened._problem.text()
    row(opened, "dice").weight.setValue(1)
    assert opened._problem.isHidden()


def test_what_is_trained_is_said_while_the_text_is_something_else(opened, qtbot):
    typed(qtbot, opened._edit, "ce + 0.5*dice")
    opened._edit.selectAll()
    qtbot.keyClicks(opened._edit, "ce + dcie")  # its first two letters were a recipe for a moment
    assert opened.line.toolTip() == "<p>none until what is typed is mended</p>"
    problem = opened._problem.text()
    assert "did you mean dice? Until it is mended" in problem
    assert problem.endswith("nothing is trained; Done brings back: cross-entropy + 0.5*dice")
    with pytest.raises(ValueError, match="dcie"):
        opened.recipe()
    qtbot.mouseClick(opened.button, LEFT)
    assert opened.recipe() == "cross-entropy + 0.5*dice"
    assert opened.line.toolTip() == "<p>cross-entropy + 0.5*dice</p>"
    assert opened._let_go.isVisible()
    assert "is gone" in opened._let_go.text()
    qtbot.mouseClick(opened.button, LEFT)
    assert opened._let_go.isHidden()
    qtbot.mouseClick(opened.button, LEFT)
    assert opened._let_go.isHidden(), "nothing was let go this time"


def test_terms_that_cannot_be_fed_are_grey_and_say_why(opened):
    found = actions(opened)
    assert found["Boundary"].isEnabled()
    assert not found["Balloon"].isEnabled()
    assert "acts on contours" in found["Balloon"].text()
    assert "size_weight" in found["Object size"].toolTip()
    opened.set_annotations(masks=0, sizes=0)
    found = actions(opened)
    assert not any(found[name].isEnabled() for name in ("Boundary", "Tversky", "Object size"))
    assert found["Chan-Vese"].isEnabled()
    assert "no masks" in found["Boundary"].text()
    assert "no sizes" in found["Object size"].text()
    assert "acts on level sets" in found["Distance of a level set"].text()
    assert "needs the area" in found["Bounds of the area"].text()
    assert "paint some" in found["Boundary"].toolTip()
    assert "needs masks" in row(opened, "dice").name.toolTip()
    assert row(opened, "dice").name.styleSheet()
    opened.set_annotations(masks=1, sizes=0)
    assert not row(opened, "dice").name.styleSheet()


def test_tab_goes_from_top_to_bottom(opened, qtbot):
    actions(opened)["Boundary"].trigger()
    qtbot.waitUntil(lambda: all(each.remove.isVisible() for each in opened._rows))
    seen, stop = [], opened.button
    while len(seen) < 40:
        if stop.isVisible() and stop.isEnabled() and stop.focusPolicy() & Qt.FocusPolicy.TabFocus:
            seen.append(stop)
        stop = stop.nextInFocusChain()
    places = [stop.mapTo(opened, stop.rect().center()) for stop in seen[: seen.index(opened._edit) + 1]]
    assert len(places) >= 1 + 1 + 3 * 3 + 1 + 1, "button, preset, three rows of three boxes, Add, the text"
    rows = [place.y() for place in places]
    assert all(below >= above - 5 for above, below in pairwise(rows))


def test_every_box_has_a_name_and_a_reason(opened):
    for line in opened._rows:
        for widget in (line.weight, line.when, line.epoch, line.step, line.remove):
            assert widget.accessibleName()
            assert widget.toolTip()
    assert len(opened.findChildren(QToolButton)) >= 2
    QTest.keyClick(opened._rows[0].remove, Qt.Key.Key_Space)
    assert opened.recipe() == "dice"
