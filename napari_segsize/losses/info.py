"""What the catalogue says about a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

Need = Literal["mask", "size", "area", "centre", "points", "extents", "image", "distance map"]
"""What must be known of an image, beside the prediction."""

ActsOn = Literal["logits", "probabilities", "contour", "phi", "field", "edges"]
"""What the function takes as its first argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossInfo:
    """What a loss is for, for menus and for people."""

    function: Callable[..., Tensor]
    module: type[nn.Module]
    needs: tuple[Need, ...]
    """What it learns from; empty for a term on the prediction alone, such as the curvature of a contour."""
    acts_on: ActsOn
    looks_at: str
    """What of the prediction decides its value, in a few words."""
    advice: str
    """When to use it, and what to expect."""
    reference: str
