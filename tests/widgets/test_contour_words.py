"""What the page Contours says of a state, without a window."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.events import Comparison, ComparisonRow, Ended
from napari_segsize.widgets.contour_state import Board
from napari_segsize.widgets.contour_words import finetune_words, stopped_finetuning, verdict
from napari_segsize.widgets.runs import Resume
from napari_segsize.widgets.state import State


def of(engine: str, **changes) -> State:
    return replace(State(), board=Board(config=EvolveConfig(engine=engine)), **changes)


@pytest.mark.parametrize(
    ("engine", "text", "tip"),
    [
        ("network", "Fine-tune on my contours", "polygon network"),
        ("snake", "Fine-tune on my contours", "classical contour learns nothing"),
        ("levelset", "Fine-tune level sets on my contours", "level-set network"),
    ],
)
def test_the_button_says_which_network_it_teaches(engine, text, tip):
    found = finetune_words(of(engine))
    assert found[0] == text
    assert tip in found[1]


def test_the_button_stops_what_outlines_and_resumes_what_is_chosen():
    left = Resume(stage="levelset", step=4, steps=9)
    assert finetune_words(of("levelset", resumable_levelsets=left))[0].endswith("level sets from step 4")
    assert finetune_words(of("network", resumable_levelsets=left))[0] == "Fine-tune on my contours"
    running = {"job": "running", "stage": "levelset"}
    assert finetune_words(of("levelset", **running))[0] == "Stop"
    assert finetune_words(of("network", **running, step=3, steps=9))[0] == "Stop (step 3 of 9)"
    assert finetune_words(of("network", job="running", stage="edges"))[0] == "Busy: stop it"
    assert finetune_words(of("levelset", job="stopping", stage="levelset"))[0] == "Stopping…"


def test_what_was_stopped_before_its_first_step_is_begun_anew():
    left = Resume(stage="levelset", step=0, steps=9)
    state = of("levelset", resumable_levelsets=left)
    assert finetune_words(state)[0] == "Fine-tune level sets on my contours"
    assert stopped_finetuning(state) is None
    assert verdict(of("network", resumable_levelsets=left)) == ""


def test_a_stopped_fine_tuning_of_the_other_network_is_mentioned():
    levelset, polygon = (Resume(stage=stage, step=4, steps=9) for stage in ("levelset", "contour"))
    assert 'engine "Level set (DELSE)" stopped at step 4' in verdict(
        of("snake", resumable_levelsets=levelset)
    )
    assert 'engine "Polygon network" stopped at step 4' in verdict(of("levelset", resumable_contours=polygon))
    assert verdict(of("levelset", resumable_levelsets=levelset)) == ""
    assert verdict(of("network", resumable_levelsets=levelset, job="running", stage="edges")) == ""


@pytest.mark.parametrize(
    ("stage", "begins"), [("contour", "The network has"), ("levelset", "The level-set network has")]
)
def test_the_verdict_names_the_network(stage, begins):
    rows = tuple(
        ComparisonRow(name=name, iou=iou, dice=iou, size_error=1.0, images=3, model=None)
        for name, iou in (("before", 0.8), ("after", 0.9))
    )
    ended = Ended(stage=stage, promoted=True, comparison=Comparison(split="validation", rows=rows))
    said = verdict(of("levelset", ended=ended))
    assert said.startswith(begins)
    assert "0.800 before, 0.900 now" in said
    assert verdict(of("levelset", ended=Ended(stage="edges"))) == ""
