"""``python -m napari_segsize.cli …``, which is also what ``torchrun -m napari_segsize.cli …`` starts."""

from __future__ import annotations

from . import main

main()
