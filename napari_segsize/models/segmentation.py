"""The networks that segment pixels, by the name that settings and model files give them."""

from __future__ import annotations

from collections.abc import Sequence

from . import kiunet
from .unet import MODELS, SegmentationNet, build_unet

__all__ = ["NETWORKS", "build_network", "memory_estimate"]

NETWORKS = (*MODELS, "kiunet")

_UNET = {"small": (760, 0.4e6), "residual": (825, 6.5e6)}
"""Bytes per pixel that are kept for the gradients, measured with autograd's hooks; and parameters."""


def build_network(
    kind: str,
    *,
    channels: int = 1,
    classes: int = 1,
    ki_levels: int = kiunet.KI_LEVELS,
    seed: int | None = None,
) -> SegmentationNet:
    """Build a network that segments planes.

    Parameters
    ----------
    kind : str
        One of `NETWORKS`.
    channels, classes, seed
        As in `napari_segsize.models.unet.build_unet`.
    ki_levels : int
        KiU-Net alone: how often its magnifying branch doubles the sides.

    Raises
    ------
    ValueError
        For an unknown `kind`.
    """
    if kind not in NETWORKS:
        raise ValueError(f"kind: expected one of {', '.join(NETWORKS)}, got {kind!r}")
    if kind == "kiunet":
        return kiunet.build_kiunet(channels=channels, classes=classes, ki_levels=ki_levels, seed=seed)
    return build_unet(kind, channels=channels, classes=classes, seed=seed)


def memory_estimate(
    kind: str, sides: Sequence[int], batch: int = 1, channels: int = 1, *, ki_levels: int = kiunet.KI_LEVELS
) -> int:
    """Bytes that one training step takes: counted for KiU-Net, from a measured figure for the U-Nets."""
    if kind == "kiunet":
        return kiunet.memory_estimate(sides, batch, channels, ki_levels=ki_levels)
    if kind not in _UNET:
        raise ValueError(f"kind: expected one of {', '.join(NETWORKS)}, got {kind!r}")
    kept, parameters = _UNET[kind]
    gradients = 2 * 4 * 32  # two of the largest map
    return round(batch * sides[0] * sides[1] * (kept + gradients) + 5 * 4 * parameters)
