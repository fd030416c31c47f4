"""Images to try things on: a bundled sample of real MRI slices, and synthetic shapes whose size is known.

The real slices are under CC BY-SA 4.0 (`data/NOTICE.md` says whose they are and how to cite them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_segsize.project import PlaneRef, Project, Split

__all__ = [
    "HippocampusSample",
    "Shape",
    "ShapeSample",
    "hippocampus",
    "hippocampus_layers",
    "outline_sample",
    "sample_masks",
    "shape_layers",
    "synthetic_shapes",
    "write_sample_project",
]

# Data, keyword arguments and type of one layer, as napari takes it from a plugin.
LayerTuple = tuple[Any, dict[str, Any], str]
Shape = Literal["square", "disc", "ring", "blob"]

_SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
_SPACING: Final = (2.0, 1.0, 1.0)  # mm; the sample holds every second slice


@dataclass(frozen=True, slots=True, kw_only=True)
class HippocampusSample:
    """Axial MRI slices with the hippocampus outlined; one row per slice, the slices of a volume together.

    Attributes
    ----------
    images : (n, 48, 32) uint8 array
    masks : (n, 48, 32) bool array
    subject, volume, slice_index : (n,) int arrays
        Whose slice it is, of which volume of the Medical Segmentation Decathlon, and its z there.
    split : (n,) str array
        "train", "validation" or "test"; no subject is in two of them.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    subject: NDArray[np.int64]
    volume: NDArray[np.int64]
    slice_index: NDArray[np.int64]
    split: NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeSample:
    """Synthetic images of one object each.

    Attributes
    ----------
    images : (n, height, width) uint8 array
        The object brighter than the background, blurred and noisy.
    masks : (n, height, width) bool array
    sizes : (n,) float array
        The true object sizes, in pixels: always even, as an object size is.
    shapes : (n,) str array
        "square", "disc", "ring" or "blob", by turns.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    sizes: NDArray[np.float64]
    shapes: NDArray[np.str_]


def hippocampus() -> HippocampusSample:
    """Return the bundled sample: 321 slices of 26 people (16 to train, 4 to validate and 6 to test).

    Cite M. Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 13, 4128, 2022.
    """
    with as_file(files("napari_segsize") / "data" / "hippocampus_sample.npz") as path, np.load(path) as data:
        images = data["images"]
        return HippocampusSample(
            images=images,
            masks=np.unpackbits(data["masks"], axis=-1, count=images.shape[-1]).astype(bool),
            subject=data["subject"].astype(np.int64),
            volume=data["volume"].astype(np.int64),
            slice_index=data["slice_index"].astype(np.int64),
            split=np.array(_SPLITS)[data["split"]],
        )


def synthetic_shapes(n: int = 24, shape: tuple[int, int] = (64, 64), seed: int = 0) -> ShapeSample:
    """Draw `n` images of one object of known size each: a square, a disc, a ring and a blob by turns.

    Parameters
    ----------
    n : int
        Number of images.
    shape : (height, width)
        At least 16 pixels a side. No object touches the border, so what lies outside does not matter.
    seed : int
        The same seed gives the same images.

    Raises
    ------
    ValueError
        If `n` is negative or `shape` is too small.
    """
    if n < 0:
        raise ValueError(f"n: expected 0 or more images, got {n}")
    if len(shape) != 2 or min(shape) < 16:
        raise ValueError(f"shape: expected (height, width) of at least 16 pixels, got {shape}")
    rng = np.random.default_rng(seed)
    names = [get_args(Shape)[number % 4] for number in range(n)]
    drawn = [_DRAW[name](shape, rng) for name in names]
    masks = np.array([mask for mask, _ in drawn], dtype=bool).reshape(n, *shape)
    return ShapeSample(
        images=np.array([_photograph(mask, rng) for mask in masks], dtype=np.uint8).reshape(n, *shape),
        masks=masks,
        sizes=np.array([size for _, size in drawn], dtype=np.float64),
        shapes=np.array(names, dtype=np.str_),
    )


def hippocampus_layers() -> list[LayerTuple]:
    """Give napari the bundled slices and their masks, as two stacks."""
    sample = hippocampus()
    features = {
        "subject": sample.subject,
        "volume": sample.volume,
        "slice_index": sample.slice_index,
        "split": sample.split,
    }
    # Pixels are 1 mm squares; planes are counted, as neighbours may be of two people.
    common = {"scale": (1.0, 1.0, 1.0), "axis_labels": ("plane", "y", "x"), "units": ("pixel", "mm", "mm")}
    licence = (
        "CC BY-SA 4.0; Antonelli et al., The Medical Segmentation Decathlon, Nat. Commun. 13, 4128, 2022"
    )
    metadata = {"planes": features, "licence": licence}
    return [
        (sample.images, {"name": "hippocampus", "metadata": metadata, "colormap": "gray", **common}, "image"),
        (
            sample.masks.astype(np.int32),
            {"name": "hippocampus masks", "metadata": metadata, **common},
            "labels",
        ),
    ]


def shape_layers() -> list[LayerTuple]:
    """Give napari synthetic shapes and their masks; the true sizes are in the layers' metadata."""
    sample = synthetic_shapes()
    metadata = {"planes": {"size": sample.sizes, "shape": sample.shapes}}
    common = {"metadata": metadata, "axis_labels": ("plane", "y", "x")}
    return [
        (sample.images, {"name": "shapes", "colormap": "gray", **common}, "image"),
        (sample.masks.astype(np.int32), {"name": "shapes masks", **common}, "labels"),
    ]


def write_sample_project(folder: Path | str, name: str = "") -> Project:
    """Make a project of the bundled slices in `folder`: one multi-page TIFF per volume, no annotations yet.

    The group of an image is its subject and its split is the sample's, so nobody is in two parts. The caller
    closes the project. `sample_masks` gives the masks that belong to its planes.
    """
    from napari_segsize.project import Project

    sample = hippocampus()
    project = Project.create(folder, name=name or "Hippocampus sample")
    for volume in dict.fromkeys(sample.volume.tolist()):
        rows = sample.volume == volume
        project.add_array(
            f"hippocampus_{volume:03d}",
            sample.images[rows],
            kind="stack",
            spacing=_SPACING,
            unit="mm",
            group=f"subject_{sample.subject[rows][0]:03d}",
            split=_SPLITS[_SPLITS.index(sample.split[rows][0])],
        )
    return project


def outline_sample(project: Project) -> int:
    """Give a sample project its first masks: the middle slice of each training volume, and all held out.

    Returns
    -------
    int
        How many slices have a mask now; the others are left to the annotator.
    """
    truth, planes = sample_masks(project), {image.id: image.planes for image in project.images()}
    training = set(project.planes("train"))
    chosen = [
        plane for plane in truth if plane not in training or plane.slice == planes[plane.image] // 2
    ]  # fmt: skip
    with project.step("Outlined some slices of the sample"):
        for plane in chosen:
            project.put_mask(plane, truth[plane].astype(np.int32))
    return len(chosen)


def sample_masks(project: Project) -> Mapping[PlaneRef, NDArray[np.bool_]]:
    """Return the true mask of each plane of a project that `write_sample_project` made."""
    from napari_segsize.project import PlaneRef

    sample = hippocampus()
    volumes = {f"hippocampus_{volume:03d}": sample.volume == volume for volume in set(sample.volume.tolist())}
    return {
        PlaneRef(image.id, number): mask
        for image in project.images()
        if image.name in volumes
        for number, mask in enumerate(sample.masks[volumes[image.name]])
    }


def _square(shape: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.bool_], float]:
    side = int(rng.integers(3, min(shape) // 2 + 1))
    top, left = (int(rng.integers(1, length - side)) for length in shape)
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask, 2.0 * ((side + 1) // 2)


def _disc(shape: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.bool_], float]:
    radius = int(rng.integers(3, min(shape) // 3))
    distance = _distance_from(_middle(shape, radius, rng), shape)
    # The square about the centre grows until its corner, k pixels away in both directions, leaves the disc.
    return distance <= radius, 2.0 * (int(radius / np.sqrt(2)) + 1)


def _ring(shape: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.bool_], float]:
    radius = int(rng.integers(4, min(shape) // 3))
    hole = radius * float(rng.uniform(0.3, 0.6))
    distance = _distance_from(_middle(shape, radius, rng), shape)
    return _measured((distance <= radius) & (distance >= hole))


def _blob(shape: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.bool_], float]:
    """Draw a star-shaped outline: a circle with a few random waves."""
    radius = float(rng.uniform(4, min(shape) / 4))
    y, x = _middle(shape, int(np.ceil(radius * 1.5)), rng)
    rows, columns = np.indices(shape)
    angle = np.arctan2(rows - y, columns - x)
    waves = sum(
        rng.uniform(0.05, 0.16) * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) for order in (2, 3, 5)
    )
    return _measured(np.hypot(rows - y, columns - x) <= radius * (1 + waves))


_DRAW: Final[dict[str, Callable[[tuple[int, int], np.random.Generator], tuple[NDArray[np.bool_], float]]]] = {
    "square": _square,
    "disc": _disc,
    "ring": _ring,
    "blob": _blob,
}


def _middle(shape: tuple[int, int], radius: int, rng: np.random.Generator) -> tuple[int, int]:
    """Choose a centre so that nothing within `radius` touches the border."""
    y, x = (int(rng.integers(radius + 1, length - radius - 1)) for length in shape)
    return y, x


def _distance_from(centre: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.float64]:
    rows, columns = np.indices(shape)
    return np.hypot(rows - centre[0], columns - centre[1])


def _measured(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], float]:
    """Pair a mask with its object size where geometry gives no formula."""
    from scipy.ndimage import distance_transform_cdt

    return mask, 2.0 * float(distance_transform_cdt(mask, metric="chessboard").max())


def _photograph(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn a mask into an image that a camera could have taken: a slope of light, blur and noise."""
    from scipy.ndimage import gaussian_filter

    slope = np.linspace(0, rng.uniform(-20, 20), mask.shape[1])
    image = 60 + 90 * gaussian_filter(mask.astype(np.float64), 1.0) + slope + rng.normal(0, 18, mask.shape)
    levels: NDArray[np.uint8] = np.clip(np.round(image), 0, 255).astype(np.uint8)
    return levels
