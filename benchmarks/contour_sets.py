"""The real sets as scenes of objects with masks, for the contour benchmarks and the starter network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_segsize.engine.closeup import CloseUp, close_ups
from napari_segsize.engine.dataset import normalised

__all__ = ["SETS", "Scene", "close_ups_of", "normalised_scene_image", "scenes"]

LEAST_AREA = 20  # px: below, four extreme points are no shape


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One image and the masks of its objects."""

    image: Tensor  # (C, H, W) float
    masks: list[Tensor]  # (H, W) bool each
    group: str  # what a split must not tear apart
    validation: bool = False


def normalised_scene_image(pixels: NDArray[np.generic]) -> Tensor:
    """(H, W) or (H, W, C) pixels as (C, H, W), each channel with mean 0 and deviation 1."""
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)[:3]
    return torch.from_numpy(normalised(planes))


def _objects(labels: NDArray[np.generic]) -> list[Tensor]:
    numbers = np.unique(labels[labels > 0])
    masks = [torch.from_numpy(labels == number) for number in numbers]
    return [mask for mask in masks if int(mask.sum()) >= LEAST_AREA]


def _last_fifth(files: list[Path]) -> set[str]:
    """Every fifth image validates: a fixed choice that looks at nothing."""
    return {file.stem for file in files[4::5]}


def _folder(folder: Path, part: str) -> list[Scene]:
    files = sorted((folder / "images").glob("*.png"))
    held = _last_fifth(files)
    return [
        Scene(
            normalised_scene_image(iio.imread(file)),
            _objects(iio.imread(folder / part / file.name)),
            file.stem,
            file.stem in held,
        )
        for file in files
    ]


def _nuclei(root: Path) -> list[Scene]:
    return _folder(root / "nuclei", "labels")


def _masses(root: Path) -> list[Scene]:
    return _folder(root / "masses", "masks")


def _buildings(root: Path) -> list[Scene]:
    return _folder(root / "buildings", "labels")


def _cardiac(root: Path) -> list[Scene]:
    data = np.load(root / "cardiac" / "cardiac_lv.npz")
    return [
        Scene(normalised_scene_image(image), _objects(mask.astype(np.uint8)), str(patient), bool(split))
        for image, mask, patient, split in zip(
            data["images"], data["masks"], data["patient"], data["split"], strict=True
        )
    ]


def _hippocampus(root: Path, every: int = 8) -> list[Scene]:
    data = np.load(root / "hippocampus.npz")
    scenes = []
    for index in range(0, len(data["images"]), every):
        mask = data["masks"][index]
        subject, split = data["subject"][index], data["split"][index]
        image = normalised_scene_image(data["images"][index].astype(np.float32))
        scenes.append(Scene(image, _objects(mask.astype(np.uint8)), str(subject), bool(split)))
    return scenes


SETS: dict[str, Callable[[Path], list[Scene]]] = {
    "cardiac": _cardiac,
    "masses": _masses,
    "nuclei": _nuclei,
    "buildings": _buildings,
    "hippocampus": _hippocampus,
}


def scenes(root: Path, name: str, *, validation: bool | None = None) -> list[Scene]:
    """The scenes of one set; None for all parts."""
    found = SETS[name](root)
    return [scene for scene in found if validation is None or scene.validation == validation]


def close_ups_of(found: list[Scene]) -> list[CloseUp]:
    """All objects of these scenes, close up."""
    return [item for scene in found for item in close_ups(scene.image, scene.masks)]
