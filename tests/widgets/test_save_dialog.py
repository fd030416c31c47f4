"""Where to write: the ending is that of the type, whatever the user does first."""

import pytest

pytest.importorskip("qtpy")
from qtpy.QtCore import QCoreApplication, Qt
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_segsize.widgets.save_dialog import file_to_write

TYPES = {"GeoJSON": ".geojson", "COCO": ".json", "Label image": ".tif"}


@pytest.fixture
def ask(qtbot, tmp_path, monkeypatch):
    """Ask for a file, and do with the dialog what `user` does."""
    attribute = Qt.ApplicationAttribute.AA_DontUseNativeDialogs
    before = QCoreApplication.testAttribute(attribute)
    QCoreApplication.setAttribute(attribute, True)
    parent = QWidget()
    qtbot.addWidget(parent)

    def asked(user, **options):
        monkeypatch.setattr(QFileDialog, "exec", user)
        return file_to_write(parent, "Export", tmp_path / "cells.1", TYPES, **options)

    yield asked
    QCoreApplication.setAttribute(attribute, before)


def choose(dialog, text):
    dialog.selectNameFilter(text)
    dialog.filterSelected.emit(text)


def test_the_first_type_is_proposed_with_its_ending(ask, tmp_path):
    assert ask(lambda _dialog: 1) == (tmp_path / "cells.1.geojson", "GeoJSON")


def test_another_type_changes_the_ending_that_was_proposed(ask, tmp_path):
    def user(dialog):
        choose(dialog, "COCO (*.json)")
        return 1

    assert ask(user) == (tmp_path / "cells.1.json", "COCO")


def test_a_name_without_an_ending_gets_that_of_the_type(ask, tmp_path):
    def user(dialog):
        choose(dialog, "Label image (*.tif)")
        dialog.selectFile("mine")
        return 1

    assert ask(user) == (tmp_path / "mine.tif", "Label image")


def test_an_ending_that_is_typed_stays(ask, tmp_path):
    def user(dialog):
        dialog.selectFile("mine.json")
        return 1

    assert ask(user)[0] == tmp_path / "mine.json"


def test_an_existing_file_is_asked_about(ask):
    seen = []

    def user(dialog):
        seen.append(dialog.testOption(QFileDialog.Option.DontConfirmOverwrite))
        return 1

    ask(user)
    assert seen == [False]


def test_the_type_of_last_time_is_offered_again(ask):
    assert ask(lambda _dialog: 1, type_chosen="COCO")[1] == "COCO"


def test_nothing_is_chosen(ask):
    assert ask(lambda _dialog: 0) is None
