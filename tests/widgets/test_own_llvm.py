"""Triton next to a driver that has an LLVM, too."""

from __future__ import annotations

import os
import sys

import pytest

from napari_segsize.widgets.loading import importing
from napari_segsize.widgets.own_llvm import import_triton

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="libraries are bound like this on Linux only")


@pytest.fixture
def triton(tmp_path, monkeypatch):
    """Install a package of that name; returns how to write what it does when imported."""
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        (tmp_path / "triton.py").write_text(text)

    yield write
    sys.modules.pop("triton", None)


def test_it_looks_into_itself_first_and_nothing_else_does(triton):
    triton("import sys\nflags = sys.getdlopenflags()\n")
    before = sys.getdlopenflags()
    with importing():
        assert sys.modules["triton"].flags == before | os.RTLD_DEEPBIND
        assert sys.getdlopenflags() == before


def test_one_that_cannot_be_imported_is_told_and_done_without(triton, caplog):
    triton("raise OSError('libcuda is missing')\n")
    before = sys.getdlopenflags()
    import_triton()
    assert sys.getdlopenflags() == before
    assert "cannot be imported" in caplog.text


def test_without_it_nothing_happens(monkeypatch):
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setattr("napari_segsize.widgets.own_llvm.find_spec", lambda _name: None)
    import_triton()
    assert "triton" not in sys.modules
