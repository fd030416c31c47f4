"""The rough masks that an edge network learns from, aligned before it learns or while it does."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .alignment import align_labels, merged
from .edge_config import AlignConfig
from .edge_items import EdgeItem, with_labels
from .events import Event, Loading

__all__ = ["align_items", "aligned_labels"]


def align_items(
    items: Sequence[EdgeItem], *, reach: int, radius: float
) -> Generator[Event, None, list[EdgeItem]]:
    """Move the outlines of every item to where its image says that they run; yields while it does.

    Parameters
    ----------
    items : sequence of EdgeItem
    reach : int
        Farthest an outline may move, in px.
    radius : float
        Of the band that is learned from, see `edge_map`.

    Returns
    -------
    list of EdgeItem
        With outlines where they were moved to; `labels` stay as they were drawn.
    """
    aligned = []
    for done, item in enumerate(items):
        yield Loading(stage="edges", done=done, total=len(items), doing="aligning")
        labels = aligned_labels(item, reach)
        aligned.append(item if labels is item.labels else with_labels(item, labels, radius))
    return aligned


def aligned_labels(item: EdgeItem, reach: int, edges: Tensor | None = None) -> NDArray[np.int32]:
    """The labels of an item as they were drawn, moved to the most likely outlines.

    Parameters
    ----------
    reach : int
        Farthest an outline may move, in px.
    edges : (H, W) Tensor, optional
        What a network sees, which then counts beside the image.
    """
    if not item.labels.any():
        return item.labels
    grey = bool((item.image == item.image[:1]).all())  # one channel three times
    found = align_labels(
        item.labels,
        image=item.image[: 1 if grey else None].numpy(),
        edges=None if edges is None else edges.numpy(),
        config=AlignConfig(reach=reach),
    )
    return merged(item.labels, [each for each in found if not each.notice]).astype(np.int32)
