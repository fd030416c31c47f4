"""Every config survives the form, digit by digit."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_segsize.engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.edge_config import AlignConfig
from napari_segsize.engine.option import option

pytest.importorskip("qtpy")
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QLabel, QWidget
from superqt import QCollapsible

from napari_segsize.widgets.editors import NumberBox
from napari_segsize.widgets.form import Form, title_of

CONFIGS = (PretrainConfig, FineTuneConfig, PredictConfig, EvaluateConfig)


@pytest.mark.parametrize("kind", CONFIGS)
def test_defaults_round_trip(qtbot, kind):
    form = Form(kind)
    qtbot.addWidget(form)
    assert form.config() == kind()


def values_of(item, kind):
    meta = item.metadata
    if meta["choices"]:
        return st.sampled_from(meta["choices"])
    if kind is bool:
        return st.booleans()
    if item.name == "loss":
        return st.sampled_from(["cross-entropy + dice", "dice + 0.01*boundary", "focal(gamma=1)"])
    if kind is str:
        return st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
    if kind is int:
        return st.integers(int(meta["min"] or 0), int(meta["max"] or 10**6))
    low, high = meta["min"], meta["max"]
    return st.floats(0.0 if low is None else low, 1e6 if high is None else high, allow_subnormal=False).map(
        lambda value: max(float(f"{value:.10g}"), low or 0.0)
    )


@pytest.mark.parametrize("kind", CONFIGS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_config_round_trips(qtbot, kind, data):
    default = kind()
    drawn = {
        item.name: data.draw(values_of(item, type(getattr(default, item.name)))) for item in fields(kind)
    }
    try:
        config = kind(**drawn)
    except ValueError:
        return
    form = Form(kind)
    form.set_config(config)
    assert form.config() == config
    form.deleteLater()


@pytest.mark.parametrize("value", [1e-4, 2e-3, 1.234e-7, 0.98, 1e5, 0.0])
def test_small_numbers_are_kept(qtbot, value):
    form = Form(PretrainConfig)
    qtbot.addWidget(form)
    form.set_config(replace(PretrainConfig(), learning_rate=value))
    assert form.config().learning_rate == value


def typed(box, text):
    line = box.lineEdit()
    line.selectAll()
    line.setText(text)
    box.interpretText()
    return box.value()


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("0,003", 0.003), ("5", 5.0), ("2.5e-05", 2.5e-5)]
)
def test_numbers_as_people_type_them(qtbot, text, value):
    box = NumberBox()
    qtbot.addWidget(box)
    box.setRange(0, 10)
    assert typed(box, text) == value


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "1e-", "-3", "99"])
def test_what_is_no_number_changes_nothing(qtbot, text):
    box = NumberBox()
    qtbot.addWidget(box)
    box.setRange(0, 10)
    box.setValue(0.5)
    assert typed(box, text) == 0.5


def test_arrows_step_in_the_leading_digit(qtbot):
    box = NumberBox()
    qtbot.addWidget(box)
    box.setRange(0, 10)
    box.set_least_step(1e-5)
    box.setValue(1e-3)
    seen = []
    for direction in (1, -1, -1, -1):
        box.stepBy(direction)
        seen.append(box.value())
    assert seen == [0.002, 0.001, 0.0009, 0.0008]
    box.setValue(0)
    box.stepBy(1)
    assert box.value() == 1e-5


def test_help_units_and_places(qtbot):
    form = Form(PretrainConfig)
    qtbot.addWidget(form)
    assert "validation" in form.editor("steps").toolTip()
    assert form.editor("patch").suffix() == " px"
    (advanced,) = form.findChildren(QCollapsible)
    assert advanced.isAncestorOf(form.editor("seed"))
    assert not advanced.isAncestorOf(form.editor("steps"))
    assert not advanced.isExpanded()


def test_changed_tells_of_valid_changes_only(qtbot):
    form = Form(FineTuneConfig)
    qtbot.addWidget(form)
    heard = []
    form.changed.connect(lambda: heard.append(form.config()))
    form.editor("samples").setValue(8)
    assert heard[-1].samples == 8
    for name in ("size_weight", "centre_weight", "mask_batch_size", "extent_weight"):
        form.editor(name).setValue(0)
    assert len(heard) == 4
    assert "nothing to learn" in form._problem.text()
    assert not form._problem.isHidden()
    with pytest.raises(ValueError, match="nothing to learn"):
        form.config()
    form.editor("size_weight").setValue(1)
    assert form._problem.isHidden()
    assert form.config().size_weight == 1


def test_hidden_fields_keep_their_value(qtbot):
    form = Form(PretrainConfig, hidden=("device",))
    qtbot.addWidget(form)
    form.set_config(replace(PretrainConfig(), device="cpu"))
    assert form.config().device == "cpu"
    with pytest.raises(KeyError):
        form.editor("device")


def test_scrolling_over_a_form_changes_nothing(qtbot):
    form = Form(PretrainConfig)
    qtbot.addWidget(form)
    box = form.editor("steps")
    wheel = QWheelEvent(
        QPointF(3, 3), QPointF(3, 3), QPoint(0, 120), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(box, wheel)
    assert wheel.type() == QEvent.Type.Wheel
    assert form.config() == PretrainConfig()


def test_an_unknown_type_is_refused(qtbot):
    @dataclass(frozen=True, kw_only=True)
    class Odd:
        places: tuple = option((), "where")

    with pytest.raises((ValueError, NameError)):
        Form(Odd)


def test_titles():
    assert title_of("learning_rate") == "Learning rate"


def test_a_setting_whose_name_says_too_little_has_a_title(qtbot):
    form = Form(AlignConfig)
    qtbot.addWidget(form)
    labels = [label.text() for label in form.findChildren(QLabel)]
    assert "Pull of the old outline" in labels
    assert "Stay" not in labels
    assert form.findChild(QWidget, "stay").accessibleName() == "Pull of the old outline"
