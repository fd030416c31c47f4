from __future__ import annotations

import pytest

from napari_segsize.losses import Schedule


def test_constant_increase_and_rebalance():
    assert Schedule(start=0.5).at(0) == Schedule(start=0.5).at(99) == (1, 0.5)
    rising = Schedule(kind="increase", start=0.01, step=0.02)
    assert rising.at(0) == (1, 0.01)
    assert rising.at(10) == pytest.approx((1, 0.21))


def test_rebalance_goes_from_one_to_a_hundredth_as_published():
    schedule = Schedule(kind="rebalance")
    assert schedule.at(0) == (1, 0)
    assert schedule.at(40) == pytest.approx((0.6, 0.4))
    assert schedule.at(99) == pytest.approx((0.01, 0.99))
    assert schedule.at(500) == pytest.approx((0.01, 0.99))
    assert Schedule(kind="rebalance", least=0.5, step=0.1).at(9) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("kind", ["constant", "increase", "rebalance"])
def test_a_delay_keeps_the_term_out_and_shifts_the_rest(kind):
    plain, late = Schedule(kind=kind), Schedule(kind=kind, delay=5)
    assert late.at(4) == (1, 0)
    assert late.at(5) == plain.at(0)
    assert late.at(15) == plain.at(10)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "cosine"}, "kind: expected"),
        ({"start": -0.1}, "start: expected"),
        ({"step": float("nan")}, "step: expected"),
        ({"least": 1.5}, "least: expected"),
        ({"delay": -1}, "delay: expected"),
    ],
)
def test_bad_options_get_a_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        Schedule(**change)
    with pytest.raises(ValueError, match="epoch"):
        Schedule().at(-1)
