"""Layers made ahead of need: one at a time, hidden, and without Python's garbage collector in between."""

import gc
import threading

import pytest
from napari.components import LayerList

from napari_segsize.widgets.contour_labels import first_labels
from napari_segsize.widgets.contour_making import Making
from napari_segsize.widgets.shelf import Shelf


class Room:
    """As much of a viewer as a shelf needs."""

    def __init__(self) -> None:
        self.layers = LayerList()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(Room())


def test_no_garbage_is_collected_while_a_layer_is_made(shelf):
    seen = []
    making = Making(shelf, lambda: {"objects": lambda: seen.append(gc.isenabled())}, lambda: None)
    making._next()
    making.close()
    assert seen == [False]
    assert gc.isenabled()


def test_the_collector_comes_back_after_an_error_and_stays_off_where_it_was_off(shelf):
    def fails() -> None:
        raise ValueError

    making = Making(shelf, lambda: {"objects": fails}, lambda: None)
    gc.disable()
    try:
        with pytest.raises(ValueError):  # noqa: PT011  any will do
            making._next()
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(ValueError):  # noqa: PT011  any will do
        making._next()
    assert gc.isenabled()
    making.close()


def test_the_first_label_image_may_be_made_in_another_thread():
    failed = []

    def work() -> None:
        try:
            list(first_labels())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
