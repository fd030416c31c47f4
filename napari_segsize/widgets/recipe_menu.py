"""The menu of losses to add to a recipe: all of them; those that the project cannot feed grey, with why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QWidget

from napari_segsize.widgets.recipe_rows import tip

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_segsize.engine.loss_catalogue import LossEntry

__all__ = ["LossMenu", "first_weight", "hindrance", "losses"]

_BESIDE = {
    "boundary": 0.01, "topology": 0.1, "cldice": 0.5, "active_contour": 0.1, "chan_vese": 0.1,
    "hausdorff": 0.01, "one_sided_hausdorff": 0.01, "hausdorff_erosion": 0.01, "hausdorff_convolution": 0.001,
}  # fmt: skip
"""Weights beside cross-entropy and Dice, where 1 would drown these."""
_WEAK = ("size", "centre")


class LossMenu(QMenu):
    """Offers the losses of the catalogue by group."""

    chosen = Signal(str)  # name of a loss

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTipsVisible(True)

    def fill(self, taken: Collection[str], masks: int, sizes: int) -> None:
        """Offer what is not `taken` and can be learned from that many masks and sizes."""
        self.clear()
        group = ""
        for entry in losses():
            if entry.group != group:
                group = entry.group
                self.addSection(group)
            why, short = hindrance(entry, masks, sizes)
            if entry.name in taken:
                why, short = "It is in the recipe already.", "in the recipe"
            action = self.addAction(f"{entry.title}   ({short})" if why else entry.title)
            if action is None:
                continue
            action.setEnabled(not why)
            action.setToolTip(tip(why or entry.advice))
            action.triggered.connect(lambda _checked=False, name=entry.name: self.chosen.emit(name))


def hindrance(entry: LossEntry, masks: int, sizes: int) -> tuple[str, str]:
    """Why a loss cannot be a term here, in a sentence and in a few words; empty if it can."""
    from napari_segsize.engine.recipe import obstacle

    why = obstacle(entry.name)
    if not why.startswith("It acts on") and entry.needs in _WEAK and not sizes:
        return "It needs sizes, and no image to learn from has one: stamp some (page Annotate).", "no sizes"
    if why:
        return why, why.partition(",")[0].removeprefix("It ").rstrip(".")
    if entry.needs == "mask" and not masks:
        return "It needs masks, and no image to learn from has one: paint some (page Annotate).", "no masks"
    return "", ""


def first_weight(name: str) -> float:
    """Return the weight a new term begins with."""
    return _BESIDE.get(name, 1.0)


def losses() -> tuple[LossEntry, ...]:
    """Return the catalogue; the first call imports torch."""
    from napari_segsize.engine.loss_catalogue import catalogue

    return catalogue()
