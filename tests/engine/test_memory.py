"""Crops and tiles fit what is free, sentences say so, and what cannot fit is refused."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from napari_segsize.engine import memory, predict
from napari_segsize.engine.advice import SEEN, THICK, advice, typical_size
from napari_segsize.engine.memory import SMALLEST, fitting_crops, fitting_tile, gib
from napari_segsize.errors import SegsizeError
from napari_segsize.models import kiunet
from napari_segsize.models.kiunet import build_kiunet

ESTIMATE = partial(kiunet.memory_estimate, channels=1, ki_levels=2)
GIB = 2**30


@example(49, 49, 41, 1, 0.25)  # a single image that must become smaller, not fewer
@given(
    st.integers(8, 600), st.integers(1, 900), st.integers(1, 900), st.integers(1, 64), st.floats(0.05, 64.0)
)
def test_what_is_chosen_fits_and_is_never_larger_than_asked(patch, height, width, batch, free) -> None:
    amount = int(free * GIB)
    try:
        fit = fitting_crops(ESTIMATE, patch, (height, width), batch, amount)
    except SegsizeError:
        least = min(SMALLEST, patch)
        assert ESTIMATE([min(least, height), min(least, width)], 1, training=True) > amount / 2
        return
    assert fit.side <= min(patch, 128)
    assert 1 <= fit.parts <= batch
    sides = [min(fit.side, height), min(fit.side, width)]
    assert fit.bytes == ESTIMATE(sides, -(-batch // fit.parts), training=True) <= amount / 2


def test_crops_shrink_first_then_the_batch_is_cut_then_they_become_tiny() -> None:
    chosen = [
        (fit.side, fit.parts)
        for free in (60, 30, 14, 7, 3.4, 0.45, 0.22)
        for fit in [fitting_crops(ESTIMATE, 256, (500, 500), 32, int(free * GIB))]
    ]
    assert chosen == [(128, 1), (96, 1), (64, 1), (64, 2), (64, 4), (64, 32), (32, 16)]
    assert fitting_crops(ESTIMATE, 48, (500, 500), 4, 60 * GIB).side == 48
    assert fitting_crops(ESTIMATE, 100, (500, 500), 4, 60 * GIB).side == 100
    with pytest.raises(SegsizeError, match=r"crop of 32 px takes about .* Lower ki_levels"):
        fitting_crops(ESTIMATE, 256, (500, 500), 32, 60 * 2**20)


def test_tiles_only_where_the_whole_does_not_fit() -> None:
    tiles = [fitting_tile(ESTIMATE, (584, 876), int(free * GIB)) for free in (64, 16, 0.92, 0.53, 0.3, 0.1)]
    assert tiles == [0, 128, 128, 96, 64, 32]
    assert fitting_tile(ESTIMATE, (100, 20), 16 * GIB) == 0
    with pytest.raises(SegsizeError, match="tile of 32 px"):
        fitting_tile(ESTIMATE, (584, 876), 2**20)


def test_tiles_and_parts_of_a_batch_give_about_the_logits_of_the_whole(monkeypatch) -> None:
    network = build_kiunet(widths=(4, 4), ki_levels=1, seed=0).eval()
    images = torch.randn(3, 1, 80, 72)
    whole = predict.logits_of(network, images)
    monkeypatch.setattr(memory, "free_bytes", lambda _: 4 * network.estimate((80, 72), 2, training=False))
    assert torch.allclose(predict.logits_of(network, images), whole, atol=1e-5)  # two images at a time
    monkeypatch.setattr(memory, "free_bytes", lambda _: 4 * network.estimate((64, 64), 1, training=False))
    seen = []
    network.register_forward_hook(lambda _m, inputs, _o: seen.append(tuple(inputs[0].shape[2:])))
    tiled = predict.logits_of(network, images)
    assert set(seen) == {(64, 64)}
    assert tiled.shape == whole.shape
    assert ((tiled > 0) == (whole > 0)).float().mean() > 0.9  # tiles see no further than their border


def test_the_smallest_tile_that_does_not_fit_is_refused(monkeypatch) -> None:
    network = build_kiunet(widths=(4, 4), ki_levels=1, seed=0).eval()
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)
    with pytest.raises(SegsizeError, match="Close other programs"):
        predict.logits_of(network, torch.zeros(1, 1, 40, 40))


def test_advice_by_how_thick_the_objects_are() -> None:
    assert SEEN == kiunet.FIELD_OF_VIEW
    assert advice("kiunet", THICK - 1) == advice("kiunet", 0) == advice("small", 500) == ""
    assert f"about {2 * THICK} px thick" in advice("kiunet", 2 * THICK)
    assert typical_size([4, math.nan, 0, 6, 100]) == 6
    assert typical_size([math.nan, 0.0]) == 0


def test_memory_as_people_read_it() -> None:
    assert (gib(2.25 * GIB), gib(150 * 2**20), gib(20 * 2**20)) == ("2.2 GiB", "0.1 GiB", "20 MiB")
