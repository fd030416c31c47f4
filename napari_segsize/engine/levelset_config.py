"""Settings of the training of a level-set network."""

from __future__ import annotations

from dataclasses import dataclass

from .config import DEVICES, check, option

__all__ = ["LevelSetConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSetConfig:
    """How a level-set network learns from masks."""

    steps: int = option(2500, "training steps", min=1)
    pretraining: float = option(
        0.4,
        "share of the steps in which the level set starts at the true distance, with all three losses; the "
        "paper has 5 of 30 epochs",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    learning_rate: float = option(1e-3, "Adam's step size", min=0.0, step=1e-5)
    batch_size: int = option(32, "objects in one step", min=1)
    iterations: int = option(5, "steps of the evolution, T of the paper", min=1, max=20)
    augment: bool = option(True, "turn, zoom, stretch and re-light objects, and click a little off")
    shift: float = option(
        5 / 256,
        "by how much of the region's side the start is grown or shrunk at most; the paper has 5 px of 256",
        min=0.0,
        max=0.2,
        step=0.001,
    )
    distance_weight: float = option(
        0.05, "weight of the squared distance error, in px² of a region of 256 px", min=0.0, step=0.01
    )
    direction_weight: float = option(1.0, "weight of the squared angle of the motion", min=0.0, step=0.1)
    final_weight: float = option(
        20.0, "weight of the cross-entropy of the evolved level set", min=0.0, step=1.0
    )
    kept: float = option(
        0.1,
        "what remains of distance and direction weight after the pre-training; 0 in the paper",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    width: float = option(
        0.5, "blur of the evolved level set's edge in the loss, in px of the region", min=0.01, step=0.1
    )
    warm_up: int = option(50, "steps until the step size is reached, from 0 in a line", min=0, advanced=True)
    clip: float = option(
        1.0, "longest gradient; 0 switches it off; the paper has 10", min=0.0, step=0.1, advanced=True
    )
    validate_every: int = option(
        250, "steps between two looks at the validation objects", min=1, advanced=True
    )
    patience: int = option(
        0, "validations without improvement before stopping; 0 never stops early", min=0, advanced=True
    )
    average: float = option(
        0.99,
        "weight of the past in the running mean of the weights that is validated and kept; 0 switches it off",
        min=0.0,
        max=0.9999,
        step=1e-4,
        advanced=True,
    )
    device: str = option(
        "auto", "where to compute: auto takes a GPU when there is one", choices=DEVICES, advanced=True
    )
    precision: str = option(
        "32-true",
        "number format: 32-true is exact, bf16-mixed is faster on recent GPUs",
        choices=("32-true", "bf16-mixed", "16-mixed"),
        advanced=True,
    )
    seed: int = option(
        0,
        "number that fixes every random draw: the same seed and settings give the same model",
        min=0,
        advanced=True,
    )

    def __post_init__(self) -> None:
        check(self)
