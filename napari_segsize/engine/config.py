"""Every setting of the engine, written once: name, type, default, range and help in a frozen dataclass.

The dock widget's form and the command line's options are generated from these classes, and a checkpoint
stores them as plain JSON. This file imports neither torch nor MONAI.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self, TypeVar, get_type_hints

__all__ = [
    "DEFAULT_LOSS",
    "DEVICES",
    "EvaluateConfig",
    "FineTuneConfig",
    "PredictConfig",
    "PretrainConfig",
    "check",
    "from_dict",
    "option",
    "to_dict",
]

ConfigT = TypeVar("ConfigT")


def option(
    default: Any,
    help: str,
    *,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    advanced: bool = False,
) -> Any:
    """Declare one setting: a dataclass field that carries its own range, unit and help text."""
    return field(
        default=default,
        metadata={
            "help": help,
            "min": min,
            "max": max,
            "step": step,
            "unit": unit,
            "choices": choices,
            "advanced": advanced,
        },
    )


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


def check(config: Any) -> None:
    """Refuse values outside the declared range with a sentence that names the setting."""
    for item in fields(config):
        value, meta = getattr(config, item.name), item.metadata
        if meta["choices"] and value not in meta["choices"]:
            raise ValueError(f"{item.name}: expected one of {', '.join(meta['choices'])}, got {value!r}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{item.name}: expected a finite number, got {value}")
        if meta["min"] is not None and value < meta["min"]:
            raise ValueError(f"{item.name}: expected at least {meta['min']:g}, got {value:g}")
        if meta["max"] is not None and value > meta["max"]:
            raise ValueError(f"{item.name}: expected at most {meta['max']:g}, got {value:g}")


def _check_loss(loss: str) -> None:
    if loss == DEFAULT_LOSS:
        return
    from .recipe import pixel_recipe  # to judge any other recipe takes the losses, and torch with them

    try:
        pixel_recipe(loss)
    except ValueError as error:
        raise ValueError(f"loss: {error}") from error


_SEED = "number that fixes every random draw: the same seed and settings give the same model"
_DEVICE = "where to compute: auto takes a GPU when there is one"
DEVICES = ("auto", "cpu", "cuda", "mps")
_PRECISION = "number format: 32-true is exact, bf16-mixed is faster on recent GPUs"
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_PATCH = "largest side of a training crop; bigger images are cut around their annotations"
_NORMALISE = "bring intensities to mean 0 and deviation 1: of each image (plane), or of each whole volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """How a network learns from painted masks."""

    steps: int = option(1500, "most training steps; stops earlier when validation no longer improves", min=1)
    model: str = option(
        "small",
        "small: a residual U-Net for CPUs (0.4 M parameters); residual: the paper's kind (6.5 M); "
        "kiunet: for thin and small structures (0.2 M), with many times the memory and time",
        choices=("small", "residual", "kiunet"),
    )
    loss: str = option(DEFAULT_LOSS, _LOSS)
    learning_rate: float = option(
        2e-3, "Adam's step size: larger learns faster until it diverges; 1e-4 to 1e-2", min=0.0, step=1e-5
    )
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
    warm_up: int = option(0, "steps until the step size is reached, from 0 in a line", min=0, advanced=True)
    clip: float = option(
        0.0,
        "longest gradient: shortens the steps of odd images; 0 switches it off",
        min=0.0,
        step=0.1,
        advanced=True,
    )
    validate_every: int = option(50, "steps between two looks at the validation images", min=1, advanced=True)
    patience: int = option(
        10, "validations without improvement before stopping; 0 never stops early", min=0, advanced=True
    )
    average: float = option(
        0.98,
        "weight of the past in the running mean of the weights that is validated and kept; 0 switches it off",
        min=0.0,
        max=0.9999,
        step=1e-4,
        advanced=True,
    )
    patch: int = option(256, _PATCH, min=16, unit="px", advanced=True)
    normalise: str = option("volume", _NORMALISE, choices=("volume", "image"), advanced=True)
    device: str = option("auto", _DEVICE, choices=DEVICES, advanced=True)
    precision: str = option("32-true", _PRECISION, choices=_PRECISIONS, advanced=True)
    seed: int = option(0, _SEED, min=0, advanced=True)

    def __post_init__(self) -> None:
        check(self)
        _check_loss(self.loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneConfig:
    """How a pre-trained network goes on learning from object sizes."""

    steps: int = option(1000, "most training steps; stops earlier when validation no longer improves", min=1)
    recipe: str = option(
        "segsize",
        "segsize: sizes, centres, masks and checked own masks together; paper: sizes alone, as published",
        choices=("segsize", "paper"),
    )
    loss: str = option(DEFAULT_LOSS, _LOSS + " (segsize only)")
    learning_rate: float = option(
        1e-3, "Adam's step size: larger learns faster until it diverges; 1e-5 to 1e-2", min=0.0, step=1e-5
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
    warm_up: int = option(50, "steps until the step size is reached, from 0 in a line", min=0, advanced=True)
    clip: float = option(
        1.0,
        "longest gradient: shortens the steps of odd images; 0 switches it off",
        min=0.0,
        step=0.1,
        advanced=True,
    )
    validate_every: int = option(50, "steps between two looks at the validation images", min=1, advanced=True)
    patience: int = option(
        10, "validations without improvement before stopping; 0 never stops early", min=0, advanced=True
    )
    average: float = option(
        0.98,
        "weight of the past in the running mean of the weights that is validated and kept; 0 switches it off",
        min=0.0,
        max=0.9999,
        step=1e-4,
        advanced=True,
    )
    patch: int = option(256, _PATCH, min=16, unit="px", advanced=True)
    device: str = option("auto", _DEVICE, choices=DEVICES, advanced=True)
    precision: str = option("32-true", _PRECISION, choices=_PRECISIONS, advanced=True)
    seed: int = option(0, _SEED, min=0, advanced=True)

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
    device: str = option("auto", _DEVICE, choices=DEVICES, advanced=True)

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
    device: str = option("auto", _DEVICE, choices=DEVICES, advanced=True)

    def __post_init__(self) -> None:
        check(self)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain numbers, strings and booleans, ready for JSON."""
    return asdict(config)


def from_dict(cls: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build a config from JSON values; an unknown name is refused with its nearest neighbour.

    Raises
    ------
    ValueError
        For an unknown name, a value of another type, or one out of range.
    """
    hints = get_type_hints(cls)
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            raise ValueError(f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else ""))
        kind = hints[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"{name}: expected {kind.__name__}, got {value!r}")
        checked[name] = value
    return cls(**checked)
