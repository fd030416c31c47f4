"""What the curves draw: both stages on one axis, nothing that is not known, and no work twice."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("pyqtgraph")
from napari_segsize.engine.events import StepDone, Validated
from napari_segsize.widgets.curves import Curves, offsets, series, smoothed


def step(number, stage="pretrain", **losses):
    return StepDone(
        stage=stage, step=number, steps=9, losses=losses or {"total": 1.0}, seconds_left=1.0, memory_mb=1.0
    )


HISTORY = (
    step(1),
    step(2),
    step(3),
    step(1, "finetune", total=2.0, size=0.5),
    step(2, "finetune", total=2.0, size=0.4),
)


def test_the_second_stage_begins_where_the_first_ended():
    start = offsets(HISTORY)
    assert start == {"pretrain": 0, "finetune": 3}
    assert series(HISTORY, start)["total"][0] == [1, 2, 3, 4, 5]
    assert series(HISTORY, start)["size"] == ([4, 5], [0.5, 0.4])


def test_unknown_numbers_are_left_out_and_size_errors_are_in_pixels():
    seen = Validated(stage="pretrain", step=2, metrics={"iou": math.nan, "size_error": 9.0}, best=True)
    assert series((seen,), {"pretrain": 0}) == {"size_error": ([2], [3.0])}


def test_smoothing_starts_at_the_first_value_and_keeps_a_constant():
    assert smoothed([4.0]) == [4.0]
    assert smoothed([2.0] * 50) == pytest.approx([2.0] * 50)
    assert smoothed([]) == []


def test_lines_come_and_go_with_the_terms(qtbot):
    curves = Curves()
    qtbot.addWidget(curves)
    checks = (Validated(stage="pretrain", step=3, metrics={"iou": 0.5, "size_error": 4.0}, best=True),)
    curves.show_history(HISTORY, checks)
    assert {name for _, name in curves._lines} == {"total", "size", "iou", "size_error"}
    assert "size" in curves._names.text()
    assert len(curves._marks) == 3  # one in each plot
    curves.show_history(HISTORY[:2], ())
    assert {name for _, name in curves._lines} == {"total"}
    assert not curves._marks


def test_nothing_is_drawn_twice(qtbot, monkeypatch):
    curves = Curves()
    qtbot.addWidget(curves)
    curves.show_history(HISTORY, ())
    monkeypatch.setattr(curves, "_draw", lambda *a, **k: pytest.fail("drawn again"))
    curves.show_history(HISTORY, ())
