"""Settings of edges: how rough masks are aligned, and how the network behind thin edges learns."""

from __future__ import annotations

from dataclasses import dataclass

from .config import DEVICES, check, option

__all__ = ["AlignConfig", "EdgeConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignConfig:
    """How a rough mask is aligned to the edges around it."""

    steps: int = option(25, "steps of the outline; each moves it by up to two pixels", min=1, max=500)
    reach: int = option(
        8, "farthest the outline may move: about how wrong the masks are", min=1, max=200, unit="px"
    )
    stay: float = option(
        0.2,
        "pull of the old outline (lambda of the paper): 0 trusts the edges alone, 1 hardly moves",
        min=0.0,
        max=10.0,
        step=0.05,
    )
    smoothing: int = option(1, "how often each step is smoothed; more gives rounder outlines", min=0, max=8)
    blur: float = option(
        4.0,
        "widest blur of the edges, which are first followed from afar; halved down to 1 on the way. "
        "Thin objects begin at half their depth",
        min=1.0,
        max=32.0,
        step=0.5,
        unit="px",
    )
    balloon: float = option(
        0.0,
        "1 lets outlines grow where there is no edge, -1 shrink: for masks that are all too small or too "
        "large",
        min=-4.0,
        max=4.0,
        step=0.5,
    )
    threshold: float = option(
        0.99,
        "the balloon works where edges slow it down to no less than this",
        min=0.0,
        step=0.01,
        advanced=True,
    )
    alpha: float = option(
        1.0, "how much an edge slows an outline down (alpha of the paper)", min=0.01, step=0.5, advanced=True
    )
    radius: float = option(
        2.0,
        "half the width of the band in which the old outline pulls",
        min=1.0,
        step=0.5,
        unit="px",
        advanced=True,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeConfig:
    """How an edge network learns from masks and contours, also rough ones."""

    steps: int = option(600, "most training steps; stops earlier when validation no longer improves", min=1)
    model: str = option(
        "small",
        "small: a network for CPUs (0.5 M parameters); large: four times as many",
        choices=("small", "large"),
    )
    learning_rate: float = option(
        2e-3, "Adam's step size: larger learns faster until it diverges; 1e-4 to 1e-2", min=0.0, step=1e-5
    )
    batch_size: int = option(4, "crops in one step", min=1)
    patch: int = option(128, "side of a training crop", min=32, unit="px")
    augment: bool = option(True, "flip, turn and re-light the crops at random")
    radius: float = option(
        2.0, "how far from an outline a pixel counts as edge", min=1.0, step=0.5, unit="px"
    )
    nms_weight: float = option(
        10.0, "weight of the loss that makes edges thin; 0 leaves it out", min=0.0, step=0.5
    )
    direction_weight: float = option(
        1.0, "weight of the loss that makes edges run along the outlines; 0 leaves it out", min=0.0, step=0.1
    )
    align_from: int = option(
        0,
        "for rough masks: from this step on, masks are aligned to the network's own edges before it learns "
        "from them, again at every validation; 0 never",
        min=0,
    )
    align_reach: int = option(
        4,
        "farthest such an outline may move from where it was drawn",
        min=1,
        max=200,
        unit="px",
        advanced=True,
    )
    warm_up: int = option(50, "steps until the step size is reached, from 0 in a line", min=0, advanced=True)
    clip: float = option(
        1.0,
        "longest gradient: shortens the steps of odd images; 0 switches it off",
        min=0.0,
        step=0.1,
        advanced=True,
    )
    validate_every: int = option(
        100, "steps between two looks at the validation images", min=1, advanced=True
    )
    patience: int = option(
        6, "validations without improvement before stopping; 0 never stops early", min=0, advanced=True
    )
    average: float = option(
        0.98,
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
