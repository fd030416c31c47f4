"""What can be done before the first contour is asked for: compiling what renders polygons."""

from __future__ import annotations

import torch

from ..ops import polygon

__all__ = ["compile_rendering"]


def compile_rendering() -> None:
    """Render a small polygon, so that the first real one does not wait for the compiler."""
    polygon.polygon_mask(torch.tensor([[[1.0, 1.0], [1.0, 6.0], [6.0, 3.0]]]), (8, 8))
