from __future__ import annotations

import pytest

from napari_segsize.losses import notices


@pytest.fixture(autouse=True)
def nothing_said_yet():
    """Losses warn once a place: every test is to hear it."""
    notices._said.clear()
