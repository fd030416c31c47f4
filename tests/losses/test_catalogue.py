"""What holds for every entry of the catalogue."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_args

import pytest
from torch import nn

from napari_segsize.losses import LOSSES
from napari_segsize.losses.info import ActsOn, Need
from napari_segsize.losses.pictures import PICTURES


@pytest.mark.parametrize("name", LOSSES)
def test_an_entry_says_all_there_is_to_know(name):
    info = LOSSES[name]
    assert issubclass(info.module, nn.Module)
    assert isinstance(info.module(), nn.Module)
    assert inspect.signature(info.function).parameters
    assert set(info.needs) <= set(get_args(Need))
    assert info.acts_on in get_args(ActsOn)
    assert all(isinstance(text, str) and text for text in (info.looks_at, info.advice, info.reference))
    with pytest.raises(AttributeError):
        info.advice = ""  # type: ignore[misc]


def test_nothing_is_missing():
    assert set(LOSSES) >= {
        *("bce", "dice", "generalised_dice", "tversky", "focal", "size", "centroid", "area_bounds"),
        *("hausdorff", "one_sided_hausdorff", "hausdorff_erosion", "hausdorff_convolution", "boundary"),
        *("active_contour", "chan_vese", "cldice", "topology"),
        *("edge_bce", "nms", "direction"),
    }


def test_every_loss_has_its_section_in_the_docs():
    docs = Path(__file__).parents[2] / "docs"
    text = (docs / "losses.md").read_text(encoding="utf-8")
    assert not [name for name in LOSSES if f"(`{name}`)" not in text]
    pictures = {each.stem for each in (docs / "images" / "losses").glob("*.png")}
    assert pictures >= set(PICTURES) - {"size", "centroid"}
    assert all(f"(images/losses/{name}.png)" in text for name in pictures)
