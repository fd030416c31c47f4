"""What runs in the background: generators of engine events that open their own project, in their own thread.

A run shares nothing with the window but a `Watch`. torch and MONAI are imported inside, by the thread that runs it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_segsize.engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.events import Ended, Event, Notice, Preview, Started
from napari_segsize.project.annotation import PlaneRef, Split
from napari_segsize.project.project import Project

__all__ = ["LayerImage", "Watch"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerImage:
    """Pixels of an image layer, ready to be added to a project: a value without any layer in it."""

    name: str
    pixels: NDArray[Any]
    kind: Literal["image", "stack"] = "image"
    spacing: tuple[float, ...] = (1.0, 1.0)
    unit: str = "pixel"
    rgb: bool = False


@dataclass(eq=False)
class Watch:
    """The plane on screen, which a training looks at for its previews. Reading an attribute is atomic."""

    plane: PlaneRef | None = None

    def __call__(self) -> PlaneRef | None:
        """Return the plane on screen."""
        return self.plane
