"""Every setting of networks that segment pixels, written once: name, type, default, range and help."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from .option import check, device_option, option
from .training_config import TrainingConfig, again

__all__ = [
    "DEFAULT_LOSS",
    "EvaluateConfig",
    "FineTuneConfig",
    "PredictConfig",
    "PretrainConfig",
]

DEFAULT_LOSS = "cross-entropy + dice"
_LOSS = (
    'what is learned from masks: a weighted sum of losses such as "dice + 0.01*boundary"; '
    "`segsize losses` lists them and the presets"
)
_PUBLISHED: dict[str, Any] = {
    "recipe": "paper",
    "loss": DEFAULT_LOSS,
    "samples": 1,
    "mask_batch_size": 0,
    "centre_weight": 0.0,
    "own_weight": 0.0,
    "extent_weight": 0.0,
    "warm_up": 0,
    "clip": 0.0,
    "augment": False,
    "learning_rate": 1e-4,
}


def _check_loss(loss: str) -> None:
    if loss == DEFAULT_LOSS:
        return
    from .recipe import pixel_recipe  # to judge any other recipe takes the losses, and torch with them

    try:
        pixel_recipe(loss)
    except ValueError as error:
        raise ValueError(f"loss: {error}") from error


_PATCH = "largest side of a training crop; bigger images are cut around their annotations"
_MIRRORED = (
    "look four times, as an image lies and mirrored left-right, up-down and both, and believe the mean: "
    "usually more exact, in four times the time"
)
_NORMALISE = "bring intensities to mean 0 and deviation 1: of each image (plane), or of each whole volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """How a network learns from painted masks."""

    steps: int = again("steps", 1500)
    model: str = option(
        "small",
        "small: a residual U-Net for CPUs (0.4 M parameters); residual: the paper's kind (6.5 M); "
        "kiunet: for thin and small structures (0.2 M), with many times the memory and time",
        choices=("small", "residual", "kiunet"),
    )
    loss: str = option(DEFAULT_LOSS, _LOSS)
    learning_rate: float = again("learning_rate", 2e-3)
    batch_size: int = option(32, "images in one step", min=1)
    augment: bool = option(True, "flip, turn, shift, zoom and re-light the images at random")
    ki_levels: int = option(
        2,
        "kiunet only: how often its second branch doubles the image; 3 as published; one more takes about "
        "3 times the memory and 3 to 5 times the time",
        min=1,
        max=3,
        advanced=True,
    )
    warm_up: int = again("warm_up", 0)
    clip: float = again("clip", 0.0)
    patch: int = option(256, _PATCH, min=16, unit="px", advanced=True)
    normalise: str = option("volume", _NORMALISE, choices=("volume", "image"), advanced=True)

    def __post_init__(self) -> None:
        check(self)
        _check_loss(self.loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneConfig(TrainingConfig):
    """How a pre-trained network goes on learning from object sizes."""

    steps: int = again("steps", 1000)
    recipe: str = option(
        "segsize",
        "segsize: sizes, centres, masks and checked own masks together; paper: sizes alone, as published",
        choices=("segsize", "paper"),
    )
    loss: str = option(DEFAULT_LOSS, _LOSS + " (segsize only)")
    learning_rate: float = again(
        "learning_rate", 1e-3, "Adam's step size: larger learns faster until it diverges; 1e-5 to 1e-2"
    )
    batch_size: int = option(32, "images with sizes in one step", min=1)
    mask_batch_size: int = option(16, "images with masks added to each step (segsize only)", min=0)
    samples: int = option(1, "masks drawn per image by the size-gradient estimator", min=1, max=512)
    size_weight: float = option(
        1.0, "weight of the squared size error, relative to the mean size", min=0.0, step=0.01
    )
    centre_weight: float = option(
        1.0, "weight of the squared centre error, relative to the mean size", min=0.0, step=0.01
    )
    own_weight: float = option(
        1.0,
        "weight of the network's own masks where they agree with size, centre and extreme points; "
        "0 switches this off (segsize only)",
        min=0.0,
        step=0.01,
        title="Weight of own masks",
    )
    extent_weight: float = option(
        1.0,
        "weight of where objects end, for objects with four extreme points; 0 leaves the points out "
        "(segsize only)",
        min=0.0,
        step=0.01,
    )
    augment: bool = option(True, "re-light images with sizes; also flip, turn and zoom those with masks")
    objects: str = option(
        "auto",
        "what a size speaks of: the one object of its image, or a window around its stamp; "
        "auto: one unless some image has several stamps",
        choices=("auto", "one", "several"),
        advanced=True,
    )
    temperature: float = option(
        1.0,
        "scale of the sampling noise: 1 as in the paper, smaller samples closer to the predicted mask",
        min=0.01,
        step=0.01,
        advanced=True,
    )
    sharpness: float = option(
        4.0,
        "power of the probabilities in the soft centre: larger listens less to faint background",
        min=0.1,
        step=0.1,
        advanced=True,
    )
    context: float = option(
        1.0, "half side of a stamp's window, in object sizes", min=0.5, max=8.0, step=0.1, advanced=True
    )
    patch: int = option(256, _PATCH, min=16, unit="px", advanced=True)

    def __post_init__(self) -> None:
        check(self)
        _check_loss(self.loss)
        if not (self.size_weight or self.centre_weight or self.mask_batch_size or self.extent_weight):
            raise ValueError(
                "size_weight, centre_weight, mask_batch_size and extent_weight are all 0: "
                "there is nothing to learn from"
            )

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """The published recipe: sizes alone, one sample, no augmentation, stop on validation size error."""
        return cls(**{**_PUBLISHED, **changes})

    def with_recipe(self, recipe: str) -> FineTuneConfig:
        """The other recipe with its own values; what no recipe prescribes stays as it is."""
        kept = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _PUBLISHED}
        return FineTuneConfig.paper(**kept) if recipe == "paper" else FineTuneConfig(recipe=recipe, **kept)

    def resolved(self) -> FineTuneConfig:
        """The settings as they act: the paper's recipe overrules what it does not have."""
        if self.recipe != "paper":
            return self
        sizes_alone = replace(self, mask_batch_size=0, centre_weight=0.0, own_weight=0.0, extent_weight=0.0)
        return replace(sizes_alone, augment=False, loss=DEFAULT_LOSS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig:
    """What to segment, and where the label images go."""

    split: str = option("all", "which images to segment", choices=("all", "train", "validation", "test"))
    model: int = option(0, "number of the model in the project; 0 is the current one", min=0)
    folder: str = option("", "folder for the label images (TIFF, int32); empty writes none")
    threshold: float = option(0.5, "probability above which a pixel is object", min=0.0, max=1.0, step=0.01)
    mirrored: bool = option(False, _MIRRORED)
    device: str = device_option()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """Which models to compare on which held-out images."""

    split: str = option(
        "test",
        "images to compare on; test falls back to validation when it is empty",
        choices=("test", "validation", "train"),
    )
    models: str = option(
        "", "numbers of the models, separated by commas; empty: the current one and the newest of other kinds"
    )
    mirrored: bool = option(False, _MIRRORED)
    device: str = device_option()

    def __post_init__(self) -> None:
        check(self)
