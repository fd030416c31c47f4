"""Settings of edges: how rough masks are aligned, and how the networks for that and for thin edges learn."""

from __future__ import annotations

from dataclasses import dataclass

from .option import check, option
from .training_config import TrainingConfig, again

__all__ = ["AlignConfig", "AlignmentConfig", "EdgeConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignConfig:
    """How a rough mask is aligned to the edges around it."""

    method: str = option(
        "likely",
        "likely: the outline for which most speaks, both what is seen and where it was drawn; learned: what "
        "a network believes that has learned from displaced outlines, for masks 4 px off or more; geodesic: "
        "the level set of the paper (STEAL), which ends at edges nearby",
        choices=("likely", "learned", "geodesic"),
    )
    steps: int = option(
        25, "most steps of the outline; each moves it by about a pixel, or two (geodesic)", min=1, max=500
    )
    reach: int = option(
        8, "farthest the outline may move: about how wrong the masks are", min=1, max=200, unit="px"
    )
    stay: float = option(
        0.2,
        "pull of the old outline (lambda of the paper; not with learned): 0 trusts the edges alone, 1 moves "
        "little",
        min=0.0,
        max=10.0,
        step=0.05,
        title="Pull of the old outline",
    )
    smoothing: int = option(
        1,
        "geodesic: how often each step is smoothed; more gives rounder outlines",
        min=0,
        max=8,
        advanced=True,
    )
    blur: float = option(
        4.0,
        "geodesic: widest blur of the edges, which are first followed from afar; halved down to 1 on the "
        "way. Thin objects begin at half their depth",
        min=1.0,
        max=32.0,
        step=0.5,
        unit="px",
    )
    balloon: float = option(
        0.0,
        "geodesic: 1 lets outlines grow where there is no edge, -1 shrink: for masks that are all too small "
        "or too large",
        min=-4.0,
        max=4.0,
        step=0.5,
    )
    threshold: float = option(
        0.99,
        "geodesic: the balloon works where edges slow it down to no less than this",
        min=0.0,
        step=0.01,
        advanced=True,
    )
    alpha: float = option(
        1.0,
        "geodesic: how much an edge slows an outline down (alpha of the paper)",
        min=0.01,
        step=0.5,
        advanced=True,
    )
    radius: float = option(
        2.0,
        "geodesic: half the width of the band in which the old outline pulls",
        min=1.0,
        step=0.5,
        unit="px",
        advanced=True,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeConfig(TrainingConfig):
    """How an edge network learns from masks and contours, also rough ones."""

    steps: int = again("steps", 600)
    model: str = option(
        "small",
        "small: a network for CPUs (0.5 M parameters); large: four times as many",
        choices=("small", "large"),
    )
    learning_rate: float = again("learning_rate", 2e-3)
    batch_size: int = option(4, "crops in one step", min=1)
    patch: int = option(128, "side of a training crop", min=32, unit="px")
    augment: bool = option(True, "flip, turn and re-light the crops at random")
    radius: float = option(
        2.0, "how far from an outline a pixel counts as edge", min=1.0, step=0.5, unit="px"
    )
    nms_weight: float = option(
        1.0,
        "weight of the loss that makes edges thin, 10 in the paper; 0 leaves it out",
        min=0.0,
        step=0.5,
        title="Weight of thinness",
    )
    direction_weight: float = option(
        1.0, "weight of the loss that makes edges run along the outlines; 0 leaves it out", min=0.0, step=0.1
    )
    align_first: bool = option(
        False,
        "for rough masks: align them to the image before anything is learned from them; exact masks lose a "
        "little by it. Nothing changes in the project",
        title="Align before training",
    )
    align_from: int = option(
        0,
        "for rough masks: from this step on, they are aligned to the image and to the network's own edges "
        "before it learns from them, again at every validation; 0 never",
        min=0,
        title="Align again from step",
    )
    align_reach: int = option(
        4,
        "farthest such an outline may move from where it was drawn",
        min=1,
        max=200,
        unit="px",
        advanced=True,
    )
    validate_every: int = again("validate_every", 100)
    patience: int = again("patience", 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentConfig(TrainingConfig):
    """How the network for rough outlines learns from the outlines of a project."""

    steps: int = again("steps", 1500)
    learning_rate: float = again("learning_rate", 1e-3)
    batch_size: int = option(8, "windows of 96 px in one step", min=1)
    farthest: float = option(
        10.0,
        "about how far outlines are displaced at most while it learns to bring them back: how wrong masks "
        "can be",
        min=2.0,
        max=12.0,
        step=0.5,
        unit="px",
        title="Displaced by up to",
    )
    drawn: float = option(
        0.0,
        "share of the windows that show drawn shapes instead, as half of those did that the network which "
        "ships has learned from",
        min=0.0,
        max=0.9,
        step=0.05,
        advanced=True,
    )
    average: float = again("average", 0.99)
    validate_every: int = again("validate_every", 100)
    patience: int = again("patience", 6)
