"""The choice of network says what it takes before anything starts, and advises against what does not suit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("qtpy")
from qtpy.QtCore import Qt

from napari_segsize.engine import memory
from napari_segsize.engine.advice import THICK
from napari_segsize.engine.config import PretrainConfig
from napari_segsize.project import PlaneRef, Project
from napari_segsize.widgets import runs
from napari_segsize.widgets.network_choice import NETWORKS, NetworkChoice
from napari_segsize.widgets.state import State


@pytest.fixture
def choice(qtbot) -> NetworkChoice:
    found = NetworkChoice()
    qtbot.addWidget(found)
    found.show()
    return found


@pytest.fixture
def state(tmp_path) -> State:
    with Project.create(tmp_path / "project") as project:
        project.add_array("one", np.zeros((300, 200), np.uint8), kind="image", split="train")
        return State(folder=tmp_path, images=project.images(), engine="ready")


def words(choice: NetworkChoice) -> str:
    return choice._line.text()


def test_every_network_of_the_settings_is_offered(choice) -> None:
    offered = [choice.box.itemData(index) for index in range(choice.box.count())]
    assert offered == list(NETWORKS) == [PretrainConfig(model=kind).model for kind in NETWORKS]
    choice.set_kind("kiunet")
    assert choice.kind == "kiunet"


def test_only_the_user_changes_the_settings(choice, qtbot) -> None:
    heard = []
    choice.changed.connect(heard.append)
    choice.set_kind("residual")
    assert heard == []
    qtbot.keyClick(choice.box, Qt.Key.Key_Down)
    assert heard == ["kiunet"]


def test_memory_is_told_before_training_and_again_when_a_setting_changes(choice, state, monkeypatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _=None: 14 * 2**30)
    choice.render(state, PretrainConfig(), used=True)
    assert "A step takes about" in words(choice)
    choice.render(state, PretrainConfig(model="kiunet"), used=True)
    assert "about 6.6 GiB of memory; 14.0 GiB are free" in words(choice)
    assert "crops are 64 px wide instead of 256" in words(choice)
    choice.render(state, PretrainConfig(model="kiunet", ki_levels=3), used=True)
    assert "taken in 4 parts" in words(choice)
    monkeypatch.setattr(memory, "free_bytes", lambda _=None: 2**20)
    choice.render(state, PretrainConfig(model="kiunet"), used=True)
    assert "Lower ki_levels" in choice._warning.text()
    assert choice._warning.isVisible()


def test_nothing_is_asked_of_an_engine_that_is_not_there(choice, state, monkeypatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _=None: pytest.fail("asked"))
    choice.render(replace(state, engine="loading"), PretrainConfig(), used=True)
    choice.render(replace(state, images=()), PretrainConfig(), used=True)
    choice.render(replace(state, job="running"), PretrainConfig(), used=True)
    assert not choice.box.isEnabled()


def test_u_net_is_advised_for_thick_objects_and_sizes_go_on_with_their_own_network(choice, state) -> None:
    for kind, size, warned in (("kiunet", 2 * THICK, True), ("kiunet", 6, False), ("small", 200, False)):
        choice.render(replace(state, typical_size=size), PretrainConfig(model=kind), used=True)
        assert choice._warning.isVisible() == warned
    choice.render(replace(state, typical_size=200), PretrainConfig(model="kiunet"), used=False)
    assert not choice._warning.isVisible()
    assert "newest masks-only model" in words(choice)


def test_the_survey_finds_how_thick_the_objects_are(tmp_path) -> None:
    with Project.create(tmp_path / "project") as project:
        for side in (8, 20, 60):
            record = project.add_array(f"{side}", np.zeros((80, 80), np.uint8), kind="image")
            mask = np.zeros((80, 80), np.int32)
            mask[10 : 10 + side, 10 : 10 + side] = 1
            project.put_mask(PlaneRef(record.id), mask)
        (found,) = runs.surveying(project.folder)
    assert found.typical_size == 20


def test_the_page_train_asks_for_the_network_that_was_chosen(qtbot, tmp_path) -> None:
    pytest.importorskip("napari")
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.train_page import TrainPage

    asked = []
    controller = Controller(lambda *_: None)
    controller.train = lambda pretrain, finetune, **_: asked.append((pretrain, finetune))
    page = TrainPage(controller, layers=None)
    qtbot.addWidget(page)
    page.show()
    page.network.box.setFocus()
    for _ in range(2):
        qtbot.keyClick(page.network.box, Qt.Key.Key_Down)
    page._train(resume=False)
    assert asked[0][0].model == "kiunet"
    assert "try U-Net first" in page.network._line.text()
    page._what.setCurrentIndex(2)  # sizes only
    assert not page.network.box.isEnabled()
