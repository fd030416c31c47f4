"""The Train page says with which settings Resume goes on, and which of those it shows do not count."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("qtpy")
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.option import to_dict
from napari_segsize.widgets.form import Form
from napari_segsize.widgets.recipe_table import RecipeTable
from napari_segsize.widgets.runs import Resume
from napari_segsize.widgets.state import State
from napari_segsize.widgets.stopped_settings import StoppedSettings, goes_on


def stopped(config, stage="pretrain"):
    return Resume(stage=stage, step=3, steps=config.steps, config=to_dict(config))


def test_the_settings_of_the_stopped_run_are_named():
    config = PretrainConfig(steps=90, loss="dice", model="residual")
    said = goes_on(stopped(config), to_dict(config))
    assert said == "Resume goes on with loss dice, steps 90, network residual, learning rate 0.002."


def test_what_is_shown_and_does_not_count_is_named():
    config = PretrainConfig(steps=90, loss="dice + 0.5*boundary")
    shown = replace(config, steps=300, loss="dice+0.5*boundary", augment=False, device="cuda")
    said = goes_on(stopped(config), to_dict(shown))
    assert "steps 90" in said
    assert said.endswith(
        "<b>What this page shows instead (steps 300, augment off) counts only when you train anew.</b>"
    )


def test_of_many_differences_the_first_are_named():
    config = FineTuneConfig()
    shown = replace(config, steps=1, loss="dice", batch_size=3, samples=7, own_weight=0.5)
    said = goes_on(stopped(config, "finetune"), to_dict(shown))
    assert said.startswith("Resume goes on with recipe segsize, loss ")
    assert "and 2 more)" in said


def test_sizes_alone_have_no_loss_on_masks():
    config = FineTuneConfig.paper()
    assert "loss" not in goes_on(stopped(config, "finetune"), to_dict(config))


def test_nothing_is_said_of_what_is_not_known():
    assert goes_on(Resume(stage="pretrain", step=3, steps=9), to_dict(PretrainConfig())) == ""
    assert "<b>" not in goes_on(stopped(PretrainConfig()), {})


def test_the_line_follows_what_is_edited(qtbot):
    pretrain = Form(PretrainConfig, main=("steps",), hidden=("device", "loss", "model"))
    finetune = Form(FineTuneConfig, main=("steps",), hidden=("device", "loss"))
    loss = RecipeTable()
    line = StoppedSettings(pretrain, finetune, loss)
    for widget in (pretrain, finetune, loss, line):
        qtbot.addWidget(widget)
    assert line.isHidden()
    left = stopped(replace(pretrain.config(), loss=loss.recipe()))
    line.show_state(State(resumable=left))
    assert not line.isHidden()
    assert "<b>" not in line.text()
    pretrain.set_config(replace(pretrain.config(), steps=77))
    assert "(steps 77)" in line.text()
    finetune.set_config(replace(finetune.config(), steps=5))  # of another stage
    assert "(steps 77)" in line.text()
    pretrain.set_config(replace(pretrain.config(), steps=left.steps))
    assert "<b>" not in line.text()
    line.show_state(State(resumable=left, job="running"))
    assert line.isHidden()
