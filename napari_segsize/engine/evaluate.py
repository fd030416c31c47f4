"""How good models are on held-out images, side by side."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SegsizeError
from ..metrics import dice, iou, size_error
from ..ops.size import object_size
from ..project import SPLITS, ModelRecord, Project, Split
from .batch import windows_of
from .checkpoint import load_network
from .config import EvaluateConfig
from .dataset import Dataset, Item, left_out, loading
from .device import describe, resolve
from .events import ROWS, Comparison, ComparisonRow, Ended, Event, Notice, Started, Validating
from .predict import logits_of, model_file

__all__ = ["compare", "comparison_row", "evaluate", "row_name", "score", "score_network"]

_STAMPS = 16  # windows looked at together
_BATCH_PIXELS = 64 * 48 * 32 * 4  # planes looked at together: enough to be fast, little enough to stop soon


def score(metrics: Mapping[str, float]) -> float:
    """One number, larger is better: IoU where masks are known, else the size error turned round."""
    if not math.isnan(metrics.get("iou", math.nan)):
        return metrics["iou"]
    return -metrics["size_error"] if not math.isnan(metrics.get("size_error", math.nan)) else math.nan


def score_network(
    network: nn.Module,
    dataset: Dataset,
    *,
    stage: str,
    device: torch.device,
    one_object: bool = True,
    context: float = 1.0,
    mirrored: bool = False,
) -> Generator[Event, None, dict[str, float]]:
    """Mean IoU, Dice and squared size error over a data set's planes; yields between batches.

    IoU and Dice are taken over planes with masks. Sizes are compared with the mask's own, or with the stamps:
    with the whole image's when `one_object`, else within each stamp's window. With `mirrored`, each plane is
    looked at four times.
    """
    found: dict[str, list[Tensor]] = {"iou": [], "dice": [], "size_error": []}
    items = sorted(dataset.items, key=lambda item: item.shape)
    yield Validating(stage=stage, done=0, total=len(items))  # the first look may compile for seconds
    for batch in _batches(items):
        images = torch.stack([dataset.pixels(item.plane) for item in batch]).to(device)
        masks = (logits_of(network, images, mirrored=mirrored) > 0).cpu()
        _score_batch(masks, batch, found, one_object=one_object, context=context)
        yield Validating(stage=stage, done=sum(map(len, found["size_error"])), total=len(items))
    return {name: float(torch.cat(values).mean()) if values else math.nan for name, values in found.items()}


def _batches(items: Sequence[Item]) -> Generator[Sequence[Item], None, None]:
    """Runs of planes of equal shape."""
    start = 0
    while start < len(items):
        shape = items[start].shape
        most = max(1, _BATCH_PIXELS // (shape[0] * shape[1]))
        stop = start
        while stop < len(items) and stop - start < most and items[stop].shape == shape:
            stop += 1
        yield items[start:stop]
        start = stop


def _score_batch(
    masks: Tensor, items: Sequence[Item], found: dict[str, list[Tensor]], *, one_object: bool, context: float
) -> None:
    """Append the metrics of one batch of predicted masks (N, 1, H, W)."""
    known = [index for index, item in enumerate(items) if item.mask is not None]
    if known:
        targets = torch.stack([mask for item in items if (mask := item.mask) is not None])[:, None]
        found["iou"].append(iou(masks[known], targets).flatten())
        found["dice"].append(dice(masks[known], targets).flatten())
        found["size_error"].append(size_error(masks[known], object_size(targets)).flatten())
    for mask, item in zip(masks, items, strict=True):
        if item.mask is not None or not item.sized:
            continue
        if one_object or not item.located:
            largest = item.objects[:, 0].nan_to_num(-1.0).max().reshape(1, 1)
            found["size_error"].append(size_error(mask[None], largest).flatten())
        else:
            found["size_error"].append(_error_in_windows(mask, item, context))


def _error_in_windows(mask: Tensor, item: Item, context: float) -> Tensor:
    """Mean squared size error over a plane's stamps, each in its own window, (1,)."""
    places = item.places
    window = 2 * math.ceil(context * max(float(places[:, 0].max()), 2.0)) + 1
    side = min(window, item.shape[0]), min(window, item.shape[1])
    errors = []
    known = (~item.objects[:, 0].isnan()).nonzero()[:, 0]
    for start in range(0, len(known), _STAMPS):
        chosen = known[start : start + _STAMPS]
        corner, domain = windows_of(places, item.shape, side, context, chosen)
        cuts = torch.stack([mask[:, y : y + side[0], x : x + side[1]] for y, x in corner.tolist()])
        errors.append(size_error(cuts & domain, item.objects[chosen, :1]))
    return torch.cat(errors).mean().reshape(1)


def row_name(stage: str, config: Mapping[str, Any]) -> str:
    """What a model learned from, for tables; one of `ROWS`."""
    if stage == "pretrain":
        return ROWS[0]
    return ROWS[1] if config.get("recipe") == "paper" else ROWS[2]


def comparison_row(
    name: str, metrics: Mapping[str, float], images: int, model: int | None = None
) -> ComparisonRow:
    """One line of a comparison from a validation's metrics."""
    return ComparisonRow(
        name=name,
        iou=metrics["iou"],
        dice=metrics["dice"],
        size_error=metrics["size_error"],
        images=images,
        model=model,
    )


def compare(
    project: Project,
    models: Sequence[ModelRecord],
    dataset: Dataset,
    split: str,
    *,
    stage: str = "evaluate",
    device: torch.device,
    one_object: bool = True,
    context: float = 1.0,
    mirrored: bool = False,
) -> Generator[Event, None, Comparison]:
    """Score several models on the same planes; one that cannot be used on them is left out with a notice."""
    rows = []
    for model in models:
        try:
            network, entry = load_network(project.models_folder / model.path)
        except SegsizeError as error:
            yield Notice(f"Model {model.id} is left out of the comparison. {error}")
            continue
        if entry["channels"] != dataset.channels:
            yield Notice(
                f"Model {model.id} takes {entry['channels']} channel(s), the images have {dataset.channels}: "
                "it is left out of the comparison."
            )
            continue
        metrics = yield from score_network(
            network.to(device),
            dataset.normalised_as(entry["normalise"]),
            stage=stage,
            device=device,
            one_object=one_object,
            context=context,
            mirrored=mirrored,
        )
        rows.append(
            comparison_row(row_name(model.stage, model.config), metrics, len(dataset.items), model.id)
        )
    return Comparison(split=split, rows=tuple(rows))


def _chosen(project: Project, config: EvaluateConfig) -> list[ModelRecord]:
    """The models asked for; by default the current one, and the newest of every other kind."""
    if config.models.strip():
        try:
            numbers = [int(part) for part in config.models.split(",")]
        except ValueError as error:
            raise SegsizeError(
                f"models: expected numbers separated by commas, got {config.models!r}, for example 1,3."
            ) from error
        return [model_file(project, number) for number in numbers]
    current = model_file(project)
    newest = {
        row_name(model.stage, model.config): model
        for model in sorted(project.models(), key=lambda model: model.id)
        if model.stage in ("pretrain", "finetune")
    }
    newest[row_name(current.stage, current.config)] = current
    return [newest[name] for name in ROWS if name in newest]


def evaluate(project: Project, config: EvaluateConfig | None = None) -> Generator[Event, None, None]:
    """Compare models on images that took no part in training.

    Raises
    ------
    SegsizeError
        Without a model, or without annotated held-out images.
    """
    config = config or EvaluateConfig()
    models = _chosen(project, config)
    where = resolve(config.device)
    split: Split = next(each for each in SPLITS if each == config.split)
    dataset = yield from loading(project, split, stage="evaluate")
    if split == "test" and not dataset.items:
        yield Notice("No annotated test images: comparing on the validation images instead.")
        split, dataset = "validation", (yield from loading(project, "validation", stage="evaluate"))
    if not dataset.items:
        raise SegsizeError(
            f"No annotated image is in the part '{split}'. Annotate some held-out images, or assign parts "
            "on the Project page."
        )
    yield Started(
        stage="evaluate",
        device=describe(where),
        steps=len(models),
        images=len(dataset.items),
        masks=len(dataset.masks),
        sizes=len(dataset.sizes),
    )
    for notice in left_out(dataset):
        yield Notice(notice)
    several = any(item.located > 1 for item in dataset.items)
    table = yield from compare(
        project, models, dataset, split, device=where, one_object=not several, mirrored=config.mirrored
    )
    yield Ended(stage="evaluate", model=models[-1].id, comparison=table)
