"""Settings of contours: how they evolve, and how the network behind them learns."""

from __future__ import annotations

from dataclasses import dataclass

from .option import check, device_option, option
from .training_config import TrainingConfig, again

__all__ = ["ContourConfig", "EvolveConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolveConfig:
    """How a contour finds the outline of an object."""

    engine: str = option(
        "network",
        "network: a learnt displacement field; snake: a classical geodesic contour that needs no training; "
        "levelset: a learnt level set, for objects with holes, bays or several parts",
        choices=("network", "snake", "levelset"),
    )
    vertices: int = option(32, "corners of a contour; few are quicker to repair, 16 to 64", min=4, max=512)
    iterations: int = option(
        2, "times the network moves every vertex; 3 and more tend to overshoot", min=1, max=20
    )
    views: int = option(
        4,
        "times the network looks at an object, each time turned by a quarter; where the looks disagree the "
        "contour stays nearer to its start; 1 is quicker, and for networks that learned without augmentation",
        min=1,
        max=4,
        advanced=True,
    )
    model: int = option(
        0,
        "number of the engine's model in the project; 0 is the current one, or the one that ships",
        min=0,
    )
    snake_steps: int = option(40, "steps of the classical contour", min=1, max=1000, advanced=True)
    smoothing: int = option(
        1, "how often each step of the classical contour is smoothed; 0 to 4", min=0, max=10, advanced=True
    )
    snake_follows: str = option(
        "image",
        "what the classical contour follows: edges of the image, or those of the project's edge network",
        choices=("image", "edges"),
        advanced=True,
    )
    levelset_steps: int = option(
        5, "steps of the level set; it was trained with 5", min=1, max=50, advanced=True
    )
    levelset_dt: float = option(
        0.005,
        "length of a step of the level set, as a share of the region's side: longer steps reach farther and "
        "wobble around the outline; 5/256 in the paper, and for starts that were drawn",
        min=0.0005,
        max=0.1,
        step=0.0005,
        advanced=True,
    )
    device: str = device_option()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContourConfig(TrainingConfig):
    """How a contour network learns from contours, masks, extreme points and sizes."""

    steps: int = again("steps", 400)
    model: str = option(
        "starter",
        "starter: go on from the network that ships, or from the project's current one; "
        "small, large, acdrnet: a new one",
        choices=("starter", "small", "large", "acdrnet"),
    )
    learning_rate: float = again("learning_rate", 5e-4)
    batch_size: int = option(16, "objects in one step", min=1)
    vertices: int = option(
        32, "corners of the contours; more than 32 gained nothing in the paper", min=4, max=512
    )
    iterations: int = option(3, "times every vertex is moved; the paper's saturates at 3", min=1, max=20)
    augment: bool = option(True, "turn, zoom, stretch and re-light objects, and click a little off")
    balloon_weight: float = option(
        0.0, "weight of the force that lets contours grow; the paper has 0.01", min=0.0, step=0.001
    )
    distance_weight: float = option(
        0.0,
        "weight of the squared distance of the vertices to the outline: for starts beside the object",
        min=0.0,
        step=0.1,
    )
    curvature_weight: float = option(
        0.0, "weight of the force that straightens contours; the paper has 0.5", min=0.0, step=0.01
    )
    points_weight: float = option(
        1.0, "weight of the distance between a contour's extremes and the clicked points", min=0.0, step=0.01
    )
    size_weight: float = option(
        0.1, "weight of the squared size error of objects without a mask", min=0.0, step=0.01
    )
    circle: float = option(
        0.0,
        "radius of the circle that every contour starts from, in pixels of the 64-pixel region, as in the "
        "paper (8 there); 0 starts from the clicks",
        min=0.0,
        max=32.0,
        step=0.5,
        advanced=True,
    )
    prompts: bool = option(True, "show the network the clicks and the start contour", advanced=True)
    clip: float = again("clip", 1.0, "longest gradient: shortens the steps of odd objects; 0 switches it off")
    validate_every: int = again("validate_every", 50, "steps between two looks at the validation objects")
    patience: int = again("patience", 6)
