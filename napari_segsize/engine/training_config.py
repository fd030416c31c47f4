"""What every training can be told, whatever it trains: steps, gradients, validation, where to compute."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from .option import check, device_option, option

__all__ = ["TrainingConfig", "again"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Settings that the loop itself reads; the config of each network adds its own."""

    steps: int = option(1000, "most training steps; stops earlier when validation no longer improves", min=1)
    learning_rate: float = option(
        1e-3, "Adam's step size: larger learns faster until it diverges; 1e-4 to 1e-2", min=0.0, step=1e-5
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
    device: str = device_option()
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


def again(name: str, default: Any, help: str = "") -> Any:
    """Declare a setting of `TrainingConfig` with another default, and with other help where it needs that."""
    shared = next(item for item in fields(TrainingConfig) if item.name == name)
    return field(default=default, metadata={**shared.metadata, "help": help or shared.metadata["help"]})
