"""What the page Train says about a state, in words."""

from __future__ import annotations

import math

from napari_segsize.engine.events import ROWS
from napari_segsize.widgets.runs import Resume
from napari_segsize.widgets.state import PIXELS, TRAINING, State

__all__ = ["duration", "facts", "left_over", "verdict", "will_use"]

_MASKS_ONLY = ROWS[0]


def left_over(state: State) -> Resume | None:
    """Return what is left of a stopped training of pixels; contours have a page of their own."""
    return state.resumable if state.resumable is not None and state.resumable.stage in PIXELS else None


def duration(seconds: float | None) -> str:
    """Write a time as people say it, "" when it is not known."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return ""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def will_use(state: State) -> str:
    """Say what there is to learn from and to check with, or what is missing."""
    if not state.is_open:
        return "Open a project on the Project page first."
    if state.counts is None or not state.counts.by_split:
        return ""
    learn, check = state.counts.by_split["train"], state.counts.by_split["validation"]
    text = f"To learn from: {_so_many(learn.masks, 'mask')}, {_so_many(learn.sizes, 'size')}. "
    text += f"To check: {_so_many(check.masks, 'mask')}, {_so_many(check.sizes, 'size')}."
    if not learn.masks:
        return text + " <b>Paint some masks first (page Annotate).</b>"
    if not check.masks and not check.sizes:
        return text + " <b>Annotate some validation images, or deal images out on the page Project.</b>"
    return text


def _so_many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def facts(state: State) -> str:
    """Say how long it takes, where it computes and in how much memory."""
    parts = []
    if state.engine == "loading":
        parts.append("loading torch and MONAI…")
    if state.busy and (left := duration(state.seconds_left)):
        parts.append(f"{left} left at most" if state.stage in TRAINING else f"{left} left")
    if state.checking:
        parts.append(state.checking)
    if state.device:
        parts.append(state.device)
    if state.memory_mb:
        parts.append(f"{state.memory_mb / 1024:.1f} GiB in use")
    return " · ".join(parts)


def verdict(state: State) -> str:
    """Say in one sentence which model is better, "" when none were compared."""
    if state.comparison is None:
        return ""
    rows = [row for row in state.comparison.rows if math.isfinite(row.iou)]
    text = f"On the same held-out images ({state.comparison.split})"
    if len(rows) < 2:
        return f"{text}:"
    base = next((row for row in rows if row.name == _MASKS_ONLY), rows[0])
    gain = rows[-1].iou - base.iou
    if rows[-1] is base:
        return f"{text}:"
    if abs(gain) < 0.0005:
        return f"{text}, <b>{rows[-1].name}</b> is as good as {base.name}."
    word = "better" if gain >= 0 else "worse"
    return f"{text}, <b>{rows[-1].name}</b> is {abs(gain):.3f} IoU {word} than {base.name}."
