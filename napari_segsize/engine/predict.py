"""From a model and images to probabilities, masks and label images."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray
from skimage.measure import label
from torch import Tensor, nn

from ..errors import SegsizeError
from ..project import ModelRecord, PlaneRef, Project
from ..project.exchange import write_labels
from ..project.trained import kind_of
from . import memory
from .asking import asking_between_layers
from .checkpoint import load_network
from .config import PredictConfig
from .dataset import Pixels
from .device import describe, resolve
from .events import Ended, Event, Notice, Preview, Started
from .mirrored import mirrored_logits
from .scaling import normalised

__all__ = ["logits_of", "model_file", "predict", "predict_pixels", "tiling"]

_WHOLE = 1024**2  # pixels of a plane up to which no tiling is needed
_TILE = 512


def logits_of(network: Callable[[Tensor], Tensor], images: Tensor, *, mirrored: bool = False) -> Tensor:
    """Logits ``(N, 1, H, W)`` of normalised `images` ``(N, C, H, W)``; large planes in overlapping tiles.

    A network that brings an estimate of its memory gets as much at a time as is free. With `mirrored`, it
    looks four times, and the logits are those of the mean probability: see `mirrored_logits`.

    Raises
    ------
    SegsizeError
        If the memory does not hold even the smallest tile.
    """
    if mirrored:
        return mirrored_logits(lambda some: logits_of(network, some), images)
    estimate: memory.Estimate | None = getattr(network, "estimate", None)
    shape = images.shape[2:]
    with torch.inference_mode():
        if estimate is None:
            whole = shape[0] * shape[1] <= _WHOLE
            return network(images).float() if whole else _tiled(network, images, _TILE)
        free = memory.free_bytes(images.device)
        if tile := memory.fitting_tile(estimate, shape, free):
            return _tiled(network, images, tile)
        at_once = memory.fitting_images(estimate, shape, free)
        return torch.cat([network(some).float() for some in torch.split(images, at_once)])


def _tiled(network: Callable[[Tensor], Tensor], images: Tensor, side: int) -> Tensor:
    tiled = sliding_window_inference(
        images, (side, side), sw_batch_size=1, predictor=network, overlap=0.25, mode="gaussian"
    )
    assert isinstance(tiled, Tensor)
    return tiled.float()


def tiling(network: nn.Module, shape: Sequence[int], where: torch.device) -> str:
    """A sentence if images of this shape are segmented in tiles for want of memory, else ""."""
    estimate: memory.Estimate | None = getattr(network, "estimate", None)
    free = memory.free_bytes(where)
    if estimate is None or not (tile := memory.fitting_tile(estimate, shape, free)):
        return ""
    needed = estimate(shape, 1, training=False)
    return (
        f"Images of {shape[0]} x {shape[1]} px are segmented in overlapping tiles of {tile} px: a whole one "
        f"would take about {memory.gib(needed)} of memory, and {memory.gib(free)} are free."
    )


_OTHERS = {
    "contours": ("moves contours", "segsize evolve"),
    "levelsets": ("moves level sets", "segsize evolve --engine levelset"),
    "edges": ("finds edges", "segsize edges"),
    "alignment": ("moves rough outlines", "segsize refine --method learned"),
}
"""What networks of other kinds do, and which command has a use for them."""


def model_file(project: Project, number: int = 0) -> ModelRecord:
    """The project's model of that number; 0 is the current one.

    Raises
    ------
    SegsizeError
        If there is none.
    """
    models = {model.id: model for model in project.models()}
    found = project.current_model() if number == 0 else models.get(number)
    other = None if found is None else _OTHERS.get(kind_of(found.stage))
    if other is not None:
        raise SegsizeError(f"model {number}: it {other[0]} and segments no pixels. Use it with `{other[1]}`.")
    if found is None:
        known = ", ".join(str(each.id) for each in models.values() if kind_of(each.stage) == "pixels")
        raise SegsizeError(
            f"model {number}: not in this project, which has {known}."
            if known
            else "This project has no model yet. Paint some masks and press Train, or run `segsize pretrain`."
        )
    return found


def predict_pixels(
    file: Path,
    pixels: NDArray[np.generic],
    *,
    device: str = "auto",
    reference: NDArray[np.generic] | Iterable[NDArray[np.generic]] | None = None,
    mirrored: bool = False,
    say: Callable[[str], object] | None = None,
) -> NDArray[np.float32]:
    """Object probability (H, W) of one plane (C, H, W).

    Parameters
    ----------
    file : Path
        A model file of this package.
    pixels : (C, H, W) array
    device : str
    reference : (..., C, H, W) array or blocks of one, optional
        The volume whose mean and deviation normalise the plane; by default the plane itself.
    mirrored : bool
        Look four times, as the plane lies and mirrored.
    say : callable, optional
        Told a sentence if the plane is segmented in tiles for want of memory.
    """
    where = resolve(device)
    network, entry = load_network(file)
    _check_channels(entry["channels"], pixels.shape[0])
    plane = normalised(pixels, reference if entry["normalise"] == "volume" else None)
    if say is not None and (sentence := tiling(network, plane.shape[1:], where)):
        say(sentence)
    with asking_between_layers(network):
        return probabilities(network.to(where), torch.from_numpy(plane), where, mirrored=mirrored)


def probabilities(
    network: nn.Module, plane: Tensor, where: torch.device, *, mirrored: bool = False
) -> NDArray[np.float32]:
    """Probabilities (H, W) of one normalised plane (C, H, W)."""
    logits = logits_of(network, plane[None].to(where), mirrored=mirrored)
    result: NDArray[np.float32] = logits[0, 0].sigmoid().cpu().numpy()
    return result


def _check_channels(expected: int, got: int) -> None:
    if expected != got:
        raise SegsizeError(
            f"The model was trained on images with {expected} channel(s), this one has {got}. "
            "Convert the image, or train on images of this kind."
        )


def predict(project: Project, config: PredictConfig | None = None) -> Generator[Event, None, None]:
    """Segment a project's images; every plane comes as a `Preview`, whole images as label files.

    Raises
    ------
    SegsizeError
        Without a model, without images, or when a label file cannot be written.
    """
    config = config or PredictConfig()
    record = model_file(project, config.model)
    where = resolve(config.device)
    network, entry = load_network(project.models_folder / record.path)
    network.to(where)
    images = [image for image in project.images() if config.split in ("all", image.split)]
    if not images:
        raise SegsizeError(f"No image is in the part '{config.split}'. Add images, or choose another part.")
    if config.folder:
        _make(Path(config.folder))
    yield Started(
        stage="predict",
        device=describe(where),
        steps=sum(image.planes for image in images),
        images=len(images),
    )
    pixels = Pixels(project, entry["normalise"])
    written, tiled = 0, False
    for image in images:
        stack: list[NDArray[np.int32]] = []
        try:
            _check_channels(entry["channels"], image.channels)
            if not tiled and (sentence := tiling(network, image.shape[-2:], where)):
                tiled = True  # said once
                yield Notice(sentence)
            for index in range(image.planes):
                plane = PlaneRef(image.id, index)
                values = pixels(plane)
                with asking_between_layers(network):
                    found = probabilities(network, values, where, mirrored=config.mirrored)
                stack.append(_instances(found > config.threshold))
                yield Preview(plane=plane, probabilities=found)
        except SegsizeError as error:
            yield Notice(f"{error} Going on with the other images.")
            continue
        if config.folder:
            write_labels(
                np.stack(stack), Path(config.folder) / f"{image.id:04d}-{Path(image.name).stem}-labels.tif"
            )
            written += 1
    yield Ended(
        stage="predict",
        model=record.id,
        message=f"{written} label images in {config.folder}" if written else "",
    )


def _make(folder: Path) -> None:
    """Make the folder before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SegsizeError(f"{folder}: cannot be made ({error.strerror}). Name another folder.") from error


def _instances(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the connected pieces of a mask (foreground touches across corners)."""
    numbers: NDArray[np.int32] = np.asarray(label(mask, connectivity=2), np.int32)  # type: ignore[no-untyped-call]
    return numbers
