"""Settings that trainings share: one place for each, other defaults where needed, an order to show."""

from __future__ import annotations

from dataclasses import fields

import pytest

from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.edge_config import EdgeConfig
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.option import from_dict, settings, to_dict
from napari_segsize.engine.training_config import TrainingConfig

KINDS = (PretrainConfig, FineTuneConfig, ContourConfig, EdgeConfig, LevelSetConfig)
SHARED = {item.name: item for item in fields(TrainingConfig)}


@pytest.mark.parametrize("kind", KINDS)
def test_shared_settings_differ_in_default_and_help_only(kind):
    for item in fields(kind):
        if item.name in SHARED:
            mine, theirs = dict(item.metadata), dict(SHARED[item.name].metadata)
            del mine["help"], theirs["help"]
            assert mine == theirs, item.name


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_all_shown_once_beginning_with_the_steps(kind):
    shown = [item.name for item in settings(kind)]
    assert shown[0] == "steps"
    assert shown[-2:] == ["precision", "seed"]
    assert sorted(shown) == sorted(item.name for item in fields(kind))
    assert [item.name for item in settings(kind())] == shown
    main = [item.name for item in settings(kind) if not item.metadata["advanced"]]
    assert "batch_size" in main
    assert shown[: len(main)] == main


def test_defaults_are_those_that_models_were_made_with():
    names = ("steps", "learning_rate", "warm_up", "clip", "validate_every", "patience", "average")
    values = {kind: tuple(getattr(kind(), name) for name in names) for kind in KINDS}
    assert values == {
        PretrainConfig: (1500, 2e-3, 0, 0.0, 50, 10, 0.98),
        FineTuneConfig: (1000, 1e-3, 50, 1.0, 50, 10, 0.98),
        ContourConfig: (400, 5e-4, 50, 1.0, 50, 6, 0.98),
        EdgeConfig: (600, 2e-3, 50, 1.0, 100, 6, 0.98),
        LevelSetConfig: (400, 5e-4, 50, 1.0, 50, 6, 0.98),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_survives_its_checkpoint(kind):
    given = kind(seed=3, clip=0.5, steps=7)
    assert from_dict(kind, to_dict(given)) == given


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_setting_out_of_range_is_refused(kind):
    with pytest.raises(ValueError, match="precision: expected one of"):
        kind(precision="8")
    with pytest.raises(ValueError, match="average"):
        kind(average=1.0)
