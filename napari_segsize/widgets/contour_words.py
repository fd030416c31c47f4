"""What the page Contours says of a state: what there is, what can be taught, what came of it. No Qt here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_segsize.widgets.contour_state import sizes_to_outline
from napari_segsize.widgets.state import OUTLINES

if TYPE_CHECKING:
    from napari_segsize.widgets.contour_state import Status
    from napari_segsize.widgets.runs import Resume
    from napari_segsize.widgets.state import State

__all__ = [
    "ENGINES", "FINETUNE", "finetune_words", "headline", "stopped_finetuning", "teaches_levelset", "verdict",
]  # fmt: skip

ENGINES = {
    "network": (
        "Polygon network",
        "Learnt; for objects in one piece. Quick, and the one to start with.",
    ),
    "snake": ("Classical snake", "Follows edges of the image; needs no training."),
    "levelset": (
        "Level set (DELSE)",
        "Learnt; for objects with holes, deep bays or several parts. Watch shows it at work.",
    ),
}
"""Name of each engine and what it is for."""

_OF_POLYGONS = "Fine-tune on my contours"
FINETUNE = {
    "network": (_OF_POLYGONS, "Teach the polygon network your objects, in the background"),
    "snake": (
        _OF_POLYGONS,
        "The classical contour learns nothing: this teaches the polygon network, in the background",
    ),
    "levelset": (
        "Fine-tune level sets on my contours",
        "Teach the level-set network your objects, in the background",
    ),
}
"""Text and tool tip of the button, by engine."""


def finetune_words(state: State) -> tuple[str, str]:
    """Return what the button that fine-tunes says, and its tool tip."""
    text, tip = FINETUNE[state.board.config.engine]
    left = stopped_finetuning(state)
    if state.job == "stopping":
        text = "Stopping…"
    elif state.busy:
        far = f"Stop (step {state.step} of {state.steps})" if state.steps else "Stop"  # while images are read
        text = far if state.stage in OUTLINES else "Busy: stop it"
    elif left is not None:
        what = " level sets" if teaches_levelset(state) else ""
        text = f"Resume fine-tuning{what} from step {left.step}"
    return text, tip


def headline(state: State) -> str:
    """Count the objects of the image."""
    board = state.board
    words: tuple[tuple[Status, str], ...] = (
        ("clicking", "begun"), ("queued", "on the way"), ("review", "to review"), ("accepted", "accepted"),
        ("failed", "failed"),
    )  # fmt: skip
    counted = [f"{board.count(status)} {word}" for status, word in words if board.count(status)]
    here = board.count("queued")
    if board.waiting > here:
        counted.append(f"{board.waiting - here} on the way elsewhere")
    sizes = len(sizes_to_outline(board, state.annotation))
    if sizes:
        counted.append(f"{sizes} size{'' if sizes == 1 else 's'} without a contour")
    if board.elsewhere:
        counted.append(f"{board.elsewhere} more image{'' if board.elsewhere == 1 else 's'} to review")
    return " · ".join(counted) or "No object on this image yet."


def teaches_levelset(state: State) -> bool:
    """Whether fine-tuning is for the level-set network: the one of the engine that is chosen."""
    return state.board.config.engine == "levelset"


def stopped_finetuning(state: State) -> Resume | None:
    """Return the stopped fine-tuning of the network of the engine that is chosen, if it has got anywhere."""
    left = state.resumable_levelsets if teaches_levelset(state) else state.resumable_contours
    return left if left is not None and left.step else None


def verdict(state: State) -> str:
    """Say what came of the last fine-tuning, and what the next contours are made with."""
    ended = state.ended
    if state.busy:
        return ""
    if ended is None or ended.stage not in OUTLINES:
        return _left_of_the_other(state)
    if ended.message:
        return ended.message
    network = "level-set network" if ended.stage == "levelset" else "network"
    rows = [] if ended.comparison is None else list(ended.comparison.rows)
    if len(rows) == 2:
        before, after = rows[0].iou, rows[1].iou
        return f"The {network} has learned your objects: IoU {before:.3f} before, {after:.3f} now (held out)."
    return f"The {network} has learned your objects; the next contours are made with it."


def _left_of_the_other(state: State) -> str:
    """Say where a stopped fine-tuning goes on, if it is of a network whose engine is not chosen."""
    other, engine = (
        (state.resumable_contours, "network")
        if teaches_levelset(state)
        else (state.resumable_levelsets, "levelset")
    )
    if other is None or not other.step:
        return ""
    title = ENGINES[engine][0]
    return f'A fine-tuning for the engine "{title}" stopped at step {other.step}: choose it to resume.'
