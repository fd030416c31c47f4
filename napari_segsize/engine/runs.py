"""How each stage is set up from data sets: network, batches, objective and criterion of one `Run`.

Projects are not needed here: notebooks and benchmarks build `Dataset`s of arrays and call `fit` on these
runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import SegsizeError
from ..losses import MapCache
from ..models.segmentation import build_network
from ..models.unet import SegmentationNet
from .batch import BatchSource
from .checkpoint import network_entry
from .config import FineTuneConfig, PretrainConfig
from .dataset import Dataset, check_channels
from .device import launch
from .evaluate import score, score_network
from .events import Event
from .fitting import within_memory
from .loop import Run
from .objective import size_objective
from .recipe import pixel_recipe, schedule_notices
from .recipe_objective import Objective, recipe_objective

__all__ = ["finetuning", "pretraining"]


def pretraining(train: Dataset, validation: Dataset, config: PretrainConfig, file: Path) -> Run:
    """A run that learns from the masks of `train`; its state goes to `file`.

    Raises
    ------
    SegsizeError
        Without masks, or if the images have different numbers of channels.
    """
    if not train.masks:
        raise SegsizeError(
            "Pre-training needs at least one painted mask among the training images. "
            "Paint one on the Annotate page, or import label images."
        )
    check_channels(train, validation)
    fabric = launch(config.device, config.precision)
    network = build_network(
        config.model, channels=train.channels, ki_levels=config.ki_levels, seed=config.seed
    )
    crops = -(-config.batch_size // fabric.world_size)
    config, parts, fitted = within_memory(config, network, config.model, train, crops, fabric.device)
    several = any(item.located > 1 for item in (*train.items, *validation.items))
    source = BatchSource(
        train,
        masks=config.batch_size,
        patch=config.patch,
        augment=config.augment,
        one_object=not several,
        seed=config.seed,
    )
    objective, notices = _learned(config, source)
    return Run(
        stage="pretrain",
        config=config,
        fabric=fabric,
        network=network,
        source=source,
        objective=objective,
        look=_looker(validation, "pretrain", fabric.device, one_object=not several),
        criterion=score,
        file=file,
        name_of=getattr(train.pixels, "name_of", str),  # arrays may stand for a project's planes
        notices=(*fitted, *notices),
        parts=parts,
        entry=network_entry(
            config.model, train.channels, config.normalise, config.patch, ki_levels=config.ki_levels
        ),
    )


def finetuning(
    train: Dataset,
    validation: Dataset,
    network: SegmentationNet,
    entry: Mapping[str, Any],
    config: FineTuneConfig,
    file: Path,
    *,
    start_model: int | None = None,
) -> Run:
    """A run that goes on from `network` with the sizes of `train`.

    The recipe ``segsize`` uses sizes, centres and masks together; ``paper`` sizes alone, for which masks
    count as their size. With several stamps in some image, each acts on its own window.

    Raises
    ------
    SegsizeError
        Without sizes and extreme points, or for images of another number of channels than the network's.
    """
    config = config.resolved()
    if not config.extent_weight:
        train = replace(train, items=tuple(item.without_points() for item in train.items))
    if config.recipe == "paper":
        train = Dataset(tuple(item.with_size_of_mask() for item in train.items), train.pixels, train.notices)
    _check_sizes(train, entry)
    _check_terms(config, train)
    several = _several(config, train)
    fabric = launch(config.device, config.precision)
    views = 2 if config.own_weight else 1  # crops with sizes are also looked at turned
    crops = -(-(config.mask_batch_size + views * config.batch_size) // fabric.world_size)
    config, parts, fitted = within_memory(config, network, entry["kind"], train, crops, fabric.device)
    parts = min(parts, config.batch_size)  # every part has an image
    network.train()
    source = BatchSource(
        train,
        masks=config.mask_batch_size,
        sizes=config.batch_size,
        patch=config.patch,
        augment=config.augment,
        turned=config.own_weight > 0,
        one_object=not several,
        context=config.context,
        seed=config.seed,
    )
    _check_usable(source)
    recipe, notices = _learned(config, source)
    return Run(
        stage="finetune",
        config=config,
        fabric=fabric,
        network=network,
        source=source,
        objective=size_objective(config, _mean_size(train), recipe),
        look=_looker(validation, "finetune", fabric.device, one_object=not several, context=config.context),
        criterion=_least_size_error if config.recipe == "paper" else score,
        file=file,
        name_of=getattr(train.pixels, "name_of", str),  # arrays may stand for a project's planes
        notices=(*fitted, *_left_out(source), *notices),
        parts=parts,
        entry=dict(entry),
        start_model=start_model,
        look_first=True,
    )


def _learned(
    config: PretrainConfig | FineTuneConfig, source: BatchSource
) -> tuple[Objective, tuple[str, ...]]:
    """The recipe at work, and what to say about its schedule; maps of crops that do not change are kept."""
    recipe = pixel_recipe(config.loss)
    cache = None if config.augment else MapCache()
    objective = recipe_objective(recipe, epoch=source.epoch, cache=cache)
    return objective, schedule_notices(recipe, source.epoch, config.steps)


def _left_out(source: BatchSource) -> tuple[str, ...]:
    """Say which sizes cannot be used."""
    if not source.left_out:
        return ()
    why = "other images have several stamps" if not source.one_object else "the images are larger than a crop"
    sentence = (
        f"{source.left_out} images have sizes without a place and are left out, because {why}: "
        "stamp the sizes where the objects are."
    )
    return (sentence,)


def _check_usable(source: BatchSource) -> None:
    if not source.with_size:
        raise SegsizeError(f"No size can be used. {_left_out(source)[0]}")


def _check_sizes(train: Dataset, entry: Mapping[str, Any]) -> None:
    if not train.sizes:
        raise SegsizeError(
            "Fine-tuning needs at least one object size, or one object with four extreme points, among the "
            "training images. Stamp some on the Annotate page, or import sizes.csv."
        )
    if train.channels != entry["channels"]:
        raise SegsizeError(
            f"The pre-trained model takes {entry['channels']} channel(s), the images have {train.channels}. "
            "Pre-train again on these images."
        )


def _check_terms(config: FineTuneConfig, train: Dataset) -> None:
    """Refuse weights that leave nothing to learn from these annotations."""
    sizes = config.size_weight or config.centre_weight
    if (config.mask_batch_size and train.masks) or (sizes and any(item.sized for item in train.items)):
        return
    if not any(item.bounded for item in train.items):
        raise SegsizeError(
            "size_weight and centre_weight are 0, and no object has extreme points: there is nothing to "
            "learn from. Raise one of them."
        )


def _several(config: FineTuneConfig, train: Dataset) -> bool:
    """Whether a size speaks of a window around its stamp instead of its whole image."""
    if config.objects == "auto":
        return any(item.located > 1 for item in train.items)
    return config.objects == "several"


def _mean_size(train: Dataset) -> float:
    sizes = torch.cat([item.objects[:, 0] for item in train.sizes])
    sizes = sizes[sizes > 0]
    return float(sizes.mean()) if len(sizes) else 1.0


def _least_size_error(metrics: Mapping[str, float]) -> float:
    """The paper's criterion: the squared size error on the validation images."""
    return -metrics["size_error"] if metrics else math.nan


def _looker(
    validation: Dataset, stage: str, device: torch.device, *, one_object: bool = True, context: float = 1.0
) -> Callable[[nn.Module], Generator[Event, None, dict[str, float]]]:
    """How a run validates; without validation images it learns nothing about itself."""

    def look(network: nn.Module) -> Generator[Event, None, dict[str, float]]:
        return (
            yield from score_network(
                network, validation, stage=stage, device=device, one_object=one_object, context=context
            )
        )

    return look
