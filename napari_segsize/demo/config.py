"""How much the demo does; light to import, so that the command line can make options of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..engine.option import option

__all__ = ["DemoConfig"]

_STEPS, _SHORT_STEPS = 1000, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """How much of the sample is annotated, and how long the networks learn."""

    short: bool = option(False, "a minute instead of minutes: shows that everything runs, not what it learns")
    masks: int = option(24, "training slices that get a mask; all others get a size and a centre", min=1)
    steps: int = option(
        0,
        "most steps of the pre-training, of which each fine-tuning takes half; "
        f"0 means {_STEPS}, or {_SHORT_STEPS} when short",
        min=0,
    )
    device: str = option(
        "auto", "where to compute: auto takes a GPU when there is one", choices=("auto", "cpu", "cuda", "mps")
    )
    seed: int = option(0, "fixes which slices get a mask, and every other random draw", min=0)

    @property
    def most_steps(self) -> int:
        """The steps as they act."""
        return self.steps or (_SHORT_STEPS if self.short else _STEPS)

    @property
    def command(self) -> str:
        """The command line that says the same."""
        words = ["segsize", "demo"]
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                flag = f"--{item.name.replace('_', '-')}"
                words += [flag] if value is True else [flag, str(value)]
        return " ".join(words)
