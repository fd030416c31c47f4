"""Settings of the training of a level-set network."""

from __future__ import annotations

from dataclasses import dataclass

from .option import option
from .training_config import TrainingConfig, again

__all__ = ["LevelSetConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSetConfig(TrainingConfig):
    """How a level-set network learns from contours, masks, extreme points and sizes."""

    steps: int = again("steps", 400)
    model: str = option(
        "starter",
        "starter: go on from the network that ships, or from the project's current one; "
        "small, large: a new one",
        choices=("starter", "small", "large"),
    )
    learning_rate: float = again("learning_rate", 5e-4)
    pretraining: float = option(
        1.0,
        "share of the steps in which the level set starts at the true distance, with all three losses; the "
        "paper has 5 of 30 epochs, but the others take away from what these have taught",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    pretraining_dt: float = option(
        5 / 256,
        "length of a step of the evolution in the pre-training, as a share of the region's side; later it is "
        "the network's own, which is shorter",
        min=1e-4,
        max=0.022,  # the bound of a stable step
        step=1e-4,
    )
    batch_size: int = option(16, "objects in one step", min=1)
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
        0.3,
        "what remains of distance and direction weight after the pre-training; 0 in the paper",
        min=0.0,
        max=1.0,
        step=0.05,
    )
    points_weight: float = option(
        1.0,
        "weight of where the level set ends, for objects with four extreme points and no mask",
        min=0.0,
        step=0.01,
    )
    size_weight: float = option(
        0.1, "weight of the squared size error of objects without a mask", min=0.0, step=0.01
    )
    own_weight: float = option(
        1.0,
        "for objects without a mask: weight of the network's own level set where it agrees with points and "
        "size; 0 switches this off",
        min=0.0,
        step=0.1,
    )
    width: float = option(
        0.5, "blur of the evolved level set's edge in the loss, in px of the region", min=0.01, step=0.1
    )
    clip: float = again("clip", 1.0, "longest gradient; 0 switches it off; the paper has 10")
    validate_every: int = again("validate_every", 50, "steps between two looks at the validation objects")
    patience: int = again("patience", 6)
