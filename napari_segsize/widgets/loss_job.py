"""The loss that was asked for last, computed in the background."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_segsize.engine.loss_catalogue import LossEntry, catalogue
from napari_segsize.engine.loss_look import LossRequest, looks_at_loss, warm_up

if TYPE_CHECKING:
    from napari_segsize.losses.microscope import LossView
    from napari_segsize.widgets.loss_sources import Part
    from napari_segsize.widgets.newest import Flag

__all__ = ["Asked", "Seen", "cataloguing", "looking"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """A request, and where its answer is drawn."""

    request: LossRequest
    part: Part
    subject: tuple[Any, ...]
    """What is looked at: changes of the loss are counted from the first look at it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """An answer: a view, or the sentence that says why there is none."""

    asked: Asked
    view: LossView | str


def looking(asked: Asked, _stopped: Flag) -> Generator[Seen, None, None]:
    """Answer a request; in the background."""
    for view in looks_at_loss(asked.request):
        yield Seen(asked=asked, view=view)


def cataloguing() -> Generator[tuple[LossEntry, ...] | str, None, None]:
    """Load the catalogue, and torch with it; then compile what losses run on, and name what is ready."""
    yield catalogue()
    yield from warm_up()
