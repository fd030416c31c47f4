"""What the loss microscope says and draws of a view: the number, the pictures, the dots."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from napari_segsize.widgets.loss_controls import LossControls
from napari_segsize.widgets.loss_layers import costliest, short_name
from napari_segsize.widgets.loss_strokes import GROUPS, group_of, strongest
from napari_segsize.widgets.loss_words import MAPS, PARTS
from napari_segsize.widgets.overlays import limit_of

if TYPE_CHECKING:
    from napari_segsize.losses.microscope import LossView
    from napari_segsize.losses.picture import Dot
    from napari_segsize.widgets.layers import SegsizeLayers
    from napari_segsize.widgets.loss_diagram import LossDiagram
    from napari_segsize.widgets.loss_job import Asked, Seen

__all__ = ["LossSight"]

_MOVED = {"contour": ("each vertex", "per px"), "field": ("the tip of each vector", "or more")}
"""What arrows are at, and the unit of a gradient there."""


class LossSight(LossControls):
    """The controls, with what was seen last."""

    def __init__(self, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers = layers
        self._seen: Seen | None = None
        self._start: tuple[tuple[Any, ...], float] | None = None
        self._dots: tuple[Dot, ...] = ()
        self._chosen: Dot | None = None
        self._ticked = {"gradient", "marks", "pixels", *GROUPS} - {"motion"}
        self.diagram: LossDiagram | None = None
        self.checks["gradient"].toggled.connect(self._on_ticked)
        self.step.valueChanged.connect(self._draw)
        self.clear.clicked.connect(self._on_clear)
        layers.removed.connect(self._on_removed)
        layers.losses.picked.connect(self._on_picked)

    def show_seen(self, seen: Seen) -> None:
        """Say and draw a view."""
        before, self._seen = self._seen, seen
        if isinstance(seen.view, str):
            self.say_nothing(_in_words(seen.view))
            return
        places = [(each.part.layer, each.part.over) for each in (seen.asked, before and before.asked) if each]
        if places[0] != places[-1]:
            self._layers.losses.remove()  # what is drawn lies above the layer that it explains
        self._say(seen.asked, seen.view)
        self._offer_parts(seen.view)
        self._show_dots(seen.view)
        self._draw()

    def say_nothing(self, sentence: str) -> None:
        """Take the pictures away, and say why."""
        self._seen = self._start = None
        self._layers.losses.remove()
        self.say("–", "", sentence)
        self.forget_numbers()

    def forget_numbers(self) -> None:
        """Show no numbers of another loss."""
        self._explain_scale(None)
        if self.diagram is not None:
            self.diagram.hide()

    def _say(self, asked: Asked, view: LossView) -> None:
        if self._start is None or self._start[0] != asked.subject:
            self._start = (asked.subject, view.value)
        change = view.value - self._start[1]
        sign = "▼" if change < 0 else "▲"
        changed = f"{sign} {abs(change):.2g} since you began" if abs(change) > 1e-12 else ""
        said = [asked.part.said, *map(_in_words, view.notices)]
        if hidden := len(view.dots) - len(costliest(view.dots)):
            said.append(f"{hidden} of {len(view.dots)} dots are too faint to be shown.")
        if _tied(view.dots):
            said.append("Some dots are alike: which of them counts as the target's is chance.")
        self.say(f"{view.value:.4g}", changed, " ".join(each for each in said if each))
        self._explain_scale(view.gradient)

    def _explain_scale(self, gradient: NDArray[np.float32] | None) -> None:
        """Say what the colours, or the arrows, of the gradient stand for."""
        acts_on = "pixels" if self.loss.entry is None else self.loss.entry.acts_on
        if gradient is not None and not gradient.any():
            gradient = None
        if acts_on not in ("contour", "field"):
            self.legend.show_limit(None if gradient is None else limit_of(gradient))
            return
        most = None if gradient is None else strongest(gradient, contour=acts_on == "contour")
        self.legend.show_longest(most, *_MOVED[acts_on])

    def _offer_parts(self, view: LossView) -> None:
        parts = [(name, short_name(name).capitalize(), _about_map(name)) for name in view.maps]
        groups = {group_of(name) for name in view.marks}
        there = {name for name in groups if name in GROUPS} | ({"marks"} if groups - set(GROUPS) else set())
        there |= {"pixels"} if view.dots else set()
        parts += [(name, *PARTS[name]) for name in PARTS if name in there]
        for check in self.show_checks(parts, self._ticked):
            check.toggled.connect(self._on_ticked)
        self._show_step(view)

    def _show_step(self, view: LossView) -> None:
        steps = max((len(each) for each in view.maps.values() if each.ndim > 2), default=1)
        radii = self.options.values().get("radii")
        now = min(self.step.value(), steps - 1)
        of = f"Radius {radii[now]} px" if radii and now < len(radii) else f"Step {now + 1} of {steps}"
        self.show_steps(steps, of)

    def _show_dots(self, view: LossView) -> None:
        self._dots = costliest(view.dots)
        known = None if self._chosen is None else (self._chosen.dimension, self._chosen.birth_pixel)
        self._chosen = next((dot for dot in self._dots if (dot.dimension, dot.birth_pixel) == known), None)
        if view.dots and self.diagram is None:
            from napari_segsize.widgets.loss_diagram import LossDiagram

            self.diagram = LossDiagram()
            self.diagram.chosen.connect(self._on_dot)
            self.diagram_place.addWidget(self.diagram)
        if self.diagram is not None:
            self.diagram.setVisible(bool(view.dots))
            if view.dots:
                self.diagram.show_dots(self._dots, self._number)

    @property
    def _number(self) -> int | None:
        return None if self._chosen is None else self._dots.index(self._chosen)

    def _draw(self, *_: object) -> None:
        seen = self._seen
        if seen is None or isinstance(seen.view, str):
            return
        self._show_step(seen.view)
        part = seen.asked.part
        self._layers.losses.show(
            part.layer,
            part.corner,
            seen.view,
            self._ticked,
            step=self.step.value(),
            chosen=self._number,
            over=part.over,
        )

    def _on_ticked(self, *_: object) -> None:
        for name, check in self.checks.items():
            (self._ticked.add if check.isChecked() else self._ticked.discard)(name)
        self._draw()

    def _on_clear(self) -> None:
        for check in self.checks.values():
            check.setChecked(False)

    def _on_removed(self, role: str) -> None:
        name = group_of(role.rpartition(":")[2].removeprefix("loss "))
        if role.startswith("loss ") and name in self.checks:
            self.checks[name].setChecked(False)

    # --- dots and pixels ----------------------------------------------------------------------------------

    def _on_dot(self, number: int) -> None:
        """A dot of the diagram was clicked: show where it is."""
        self._on_picked(number)
        seen, dot = self._seen, self._chosen
        if seen is None or dot is None:
            return
        part = seen.asked.part
        self._layers.losses.go_to(part.layer, part.corner, dot.birth_pixel)

    def _on_picked(self, number: int) -> None:
        if number >= len(self._dots):
            return
        self._chosen = self._dots[number]
        if self.diagram is not None:
            self.diagram.choose(number)
        if "pixels" in self.checks and not self.checks["pixels"].isChecked():
            self.checks["pixels"].setChecked(True)
        self._draw()


def _tied(dots: tuple[Dot, ...]) -> bool:
    """Whether a dot that is wanted and one that is not differ in nothing, as in any binary mask."""
    kinds = [
        {(d.dimension, d.birth, d.death) for d in dots if d.wanted is wanted} for wanted in (True, False)
    ]
    return bool(kinds[0] & kinds[1])


def _in_words(sentence: str) -> str:
    """A sentence about a call, for the page."""
    sentence = re.sub(r'say kind="(\w+)"', r"choose “\1” beside “Its numbers are”", sentence)
    return sentence[:1].upper() + sentence[1:]


def _about_map(name: str) -> str:
    return MAPS.get(name, f"{name.capitalize()}, as the loss computes it.")
