from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segsize.errors import SegsizeError
from napari_segsize.project import even_size, object_size_of, parse_size, unit_name


@pytest.mark.parametrize(
    ("width", "size"),
    [(0, 0), (1, 2), (2, 2), (3, 4), (4, 4), (5, 6), (6, 6), (7, 8), (8, 8), (2.4, 2), (2.5, 4), (4.5, 6)],
)
def test_sizes_are_even(width: float, size: float) -> None:
    assert even_size(width) == size


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 8), st.integers(0, 8))
def test_a_square_has_the_size_that_is_typed_for_its_width(width: int, top: int, left: int) -> None:
    mask = np.zeros((24, 24), bool)
    mask[top + 1 : top + 1 + width, left + 1 : left + 1 + width] = True
    assert object_size_of(mask) == even_size(width)


@settings(deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_object_size_is_the_largest_distance_to_the_background(mask: np.ndarray) -> None:
    inside, outside = np.argwhere(mask), np.argwhere(~mask)
    if len(inside) == 0:
        expected = 0
    elif len(outside) == 0:
        expected = 2 * max(mask.shape)
    else:
        expected = 2 * np.abs(inside[:, None] - outside).max(-1).min(-1).max()
    assert object_size_of(mask) == expected


def test_outside_the_image_is_not_background() -> None:
    corner = np.zeros((9, 9), bool)
    corner[:4, :4] = True
    assert object_size_of(corner) == 8


@pytest.mark.parametrize(
    ("text", "size", "entered", "unit"),
    [("12", 12, 12, "px"), (" 7 px ", 8, 7, "px"), ("3,5 mm", 8, 3.5, "mm"), ("3.5mm", 8, 3.5, "mm"),
     ("4000 µm", 8, 4000, "um"), ("1e1", 10, 10, "px"), ("0.2 mm", 2, 0.2, "mm")],
)  # fmt: skip
def test_text(text: str, size: float, entered: float, unit: str) -> None:
    parsed = parse_size(text, "px", (0.5, 0.5), (20, 30), image_unit="mm")
    assert (parsed.size, parsed.entered, parsed.unit) == (size, entered, unit)
    assert parsed.rounded == (text == " 7 px ")


@pytest.mark.parametrize(
    ("value", "word"),
    [(-3, "negative"), (math.nan, "number"), (math.inf, "number"), ("nan", "number"), ("twelve", "number"),
     ("", "number"), (0, "No object"), (40, "larger than the image"), ("30 mm", "larger than the image")],
)  # fmt: skip
def test_what_is_no_size_is_told_in_a_sentence(value: str | float, word: str) -> None:
    with pytest.raises(SegsizeError, match=word):
        parse_size(value, "px", (0.5, 0.5), (20, 30), image_unit="mm")


def test_zero_without_a_place_means_no_object() -> None:
    assert parse_size(0, shape=(20, 30), located=False).size == 0


def test_a_size_may_be_as_wide_as_the_image() -> None:
    assert parse_size(31, shape=(20, 31)).size == 32


def test_a_length_needs_an_image_with_a_unit() -> None:
    with pytest.raises(SegsizeError, match="no physical pixel size"):
        parse_size("3 mm", shape=(20, 30), image_unit="pixel")


def test_units_must_be_of_one_kind() -> None:
    with pytest.raises(SegsizeError, match="enter it in mm or in pixels"):
        parse_size("3 parsec", shape=(20, 30), image_unit="mm")


def test_a_length_needs_square_pixels() -> None:
    with pytest.raises(SegsizeError, match="not square"):
        parse_size("3 mm", "px", (0.5, 0.7), (20, 30), image_unit="mm")
    assert parse_size(3, "px", (0.5, 0.7), (20, 30), image_unit="mm").size == 4


@pytest.mark.parametrize(
    ("text", "unit"),
    [("µm", "um"), ("μm", "um"), ("micron", "um"), ("\\u00B5m", "um"), ("MM", "mm"), (None, "pixel"),
     ("px", "pixel"), ("furlong", "furlong")],
)  # fmt: skip
def test_unit_names(text: str | None, unit: str) -> None:
    assert unit_name(text) == unit


def test_object_size_wants_one_plane() -> None:
    with pytest.raises(ValueError, match="2 dimensions"):
        object_size_of(np.ones((2, 2, 2)))
