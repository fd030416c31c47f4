"""Which network suits which objects: one rule, for the command line and for the page Train. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

__all__ = ["THICK", "advice", "typical_size"]

SEEN = 74  # px: what a pixel of KiU-Net sees, `models.kiunet.FIELD_OF_VIEW`
THICK = SEEN // 2
"""Object size in px from which U-Net is advised: within such objects a pixel of KiU-Net sees little else."""


def typical_size(sizes: Iterable[float]) -> float:
    """Median of the object sizes that are known and not 0; 0 without any."""
    known = [size for size in sizes if size > 0]  # NaN is not
    return median(known) if known else 0.0


def advice(kind: str, size: float) -> str:
    """A sentence where another network is the better choice; "" where nothing speaks against this one.

    Parameters
    ----------
    kind : str
        Name of the network.
    size : float
        Typical object size in px, that is, how thick the objects are; 0 if unknown.
    """
    if kind != "kiunet" or size < THICK:
        return ""
    return (
        f"U-Net (model: small) is the better choice here: the objects are about {size:.0f} px thick (median "
        f"of sizes and masks), and KiU-Net, which is made for thin and small structures, sees {SEEN} px "
        f"across at most; from {THICK} px on we advise against it."
    )
