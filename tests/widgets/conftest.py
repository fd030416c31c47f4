"""No thread of one test ends in the next."""

import gc
from collections.abc import Iterator

import pytest
from qtpy.QtCore import QThreadPool

_PATIENCE_MS = 20_000


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    """Wait for background jobs: one that ends puts Python's warning filters back to its own."""
    yield
    pool = QThreadPool.globalInstance()
    if pool is not None:
        pool.waitForDone(_PATIENCE_MS)
    gc.unfreeze()  # what a dock widget set aside that nobody closed
