"""Crops of planes with outlines, drawn at random for each step of an edge network's training."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .augment import relight
from .batch import generator_for
from .edge_alignment import aligned_labels
from .edge_items import EdgeItem, with_labels
from .events import Event, Validating

__all__ = ["EdgeBatch", "EdgeSource"]

_CROPS, _LIGHT = 31, 32  # purposes of random numbers, of one step
_ON_OBJECTS = 0.8  # share of the crops that are cut around an outline


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EdgeBatch:
    """B crops and the outlines in them."""

    inputs: Tensor  # (B, 3, S, S)
    band: Tensor  # (B, 1, S, S) bool
    line: Tensor  # (B, 1, S, S) bool
    known: Tensor  # (B, 1, S, S) bool
    directions: Tensor  # (B, 1, 2, S, S)
    beta: float  # weight of edge pixels, of the whole batch
    total: int  # crops of the whole batch
    planes: tuple[Any, ...] = ()

    @property
    def images(self) -> Tensor:
        """What the loop counts."""
        return self.inputs

    def part(self, index: int, parts: int) -> EdgeBatch:
        """Every `parts`-th crop, beginning with `index`."""
        if parts == 1:
            return self
        cut = self._each(lambda value: value[index::parts])
        return replace(cut, planes=self.planes[index::parts])

    def to(self, device: torch.device) -> EdgeBatch:
        """The batch on another device."""
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> EdgeBatch:
        changes = {
            item.name: change(value)
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **changes)  # type: ignore[arg-type]  # only tensor fields are in it


class EdgeSource:
    """Makes the batch of a step; what is drawn depends on seed and step alone.

    Parameters
    ----------
    items : sequence of EdgeItem
    batch_size, side : int
    augment : bool
        Whether crops are flipped, turned by quarters and re-lit.
    radius : float
        Of the band, for outlines that were aligned.
    """

    def __init__(
        self,
        items: Sequence[EdgeItem],
        *,
        batch_size: int,
        side: int,
        augment: bool,
        radius: float,
        seed: int = 0,
    ) -> None:
        self.items = list(items)
        self.batch_size, self.side, self.augment, self.radius = batch_size, side, augment, radius
        self.seed = seed
        self.moved = 0  # pixels that the last alignment moved
        self._aligned: dict[int, NDArray[np.int32]] = {}

    def __call__(self, step: int) -> EdgeBatch:
        """Crops of a step."""
        generator = generator_for(self.seed, step, _CROPS)
        chosen = torch.randint(len(self.items), (self.batch_size,), generator=generator).tolist()
        crops = [self._crop(self.items[number], generator) for number in chosen]
        inputs, others = torch.stack([image for image, _ in crops]), torch.stack([rest for _, rest in crops])
        if self.augment:
            inputs = relight(inputs, generator_for(self.seed, step, _LIGHT))
        band, line, known = (others[:, place, None] > 0.5 for place in range(3))
        share = float((band & known).sum() / known.sum().clamp(min=1))
        return EdgeBatch(
            inputs=inputs, band=band & known, line=line & known, known=known,
            directions=others[:, None, 3:], beta=1 - share, total=self.batch_size,
            planes=tuple(self.items[number].plane for number in chosen),
        )  # fmt: skip

    def align(self, edges: Callable[[Tensor], Tensor], reach: int) -> Generator[Event, None, None]:
        """Move the outlines that are learned from, from where they were drawn to what image and network say.

        Parameters
        ----------
        edges : callable
            (3, H, W) image to (H, W) probabilities.
        reach : int
            Farthest they may move, in px.
        """
        self.moved = 0
        for place, item in enumerate(self.items):
            yield Validating(stage="edges", done=place, total=len(self.items), doing="aligning")
            if not item.labels.any():
                continue
            labels = aligned_labels(item, reach, edges(item.image))
            self.moved += int((labels != item.labels).sum())
            self._take(place, labels)

    def state(self) -> dict[int, dict[str, Any]]:
        """Where the outlines of each item are that were aligned, for `restore`."""
        return {
            place: {
                "drawn": crc32(self.items[place].labels.tobytes()),
                "pixels": torch.from_numpy(np.flatnonzero(labels != self.items[place].labels)),
                "labels": torch.from_numpy(labels[labels != self.items[place].labels]),
            }
            for place, labels in self._aligned.items()
        }

    def restore(self, state: Mapping[int, Mapping[str, Any]]) -> None:
        """Put outlines back where they were aligned to; those that were drawn anew since stay."""
        for place, kept in state.items():
            if place < len(self.items):
                labels = self.items[place].labels.copy()
                if crc32(labels.tobytes()) == kept["drawn"]:
                    labels.flat[kept["pixels"].numpy()] = kept["labels"].numpy()
                    self._take(place, labels)

    def _take(self, place: int, labels: NDArray[np.int32]) -> None:
        self._aligned[place] = labels
        self.items[place] = with_labels(self.items[place], labels, self.radius)

    def _crop(self, item: EdgeItem, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """An image (3, S, S); band, line, known and doubled directions (5, S, S)."""
        height, width = item.labels.shape
        middle = [int(torch.randint(side, (1,), generator=generator)) for side in (height, width)]
        places = item.line.nonzero()
        if len(places) and float(torch.rand(1, generator=generator)) < _ON_OBJECTS:
            middle = places[int(torch.randint(len(places), (1,), generator=generator))].tolist()
        jitter = torch.randint(-self.side // 4, self.side // 4 + 1, (2,), generator=generator).tolist()
        starts = [
            max(min(at + shift - self.side // 2, side - self.side), 0)
            for at, shift, side in zip(middle, jitter, (height, width), strict=True)
        ]
        crop = tuple(slice(start, start + self.side) for start in starts)
        image = item.image[(slice(None), *crop)]
        rest = torch.cat(
            [
                torch.stack([item.band[crop], item.line[crop], item.known[crop]]).float(),
                item.directions[(slice(None), *crop)],
            ]
        )
        missing = [self.side - side for side in image.shape[1:]]
        if any(missing):
            pad = (0, missing[1], 0, missing[0])
            image = functional.pad(image[None], pad, mode="replicate")[0]
            rest = functional.pad(rest, pad)  # not known
        return _turned(image, rest, generator) if self.augment else (image, rest)


def _turned(image: Tensor, rest: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flip and turn by quarters, exactly; the doubled angle changes its sign with either."""
    flip, turns = (int(torch.randint(high, (1,), generator=generator)) for high in (2, 4))
    both = torch.cat([image, rest])
    if flip:
        both = both.flip(-1)
        both = torch.cat([both[:-1], -both[-1:]])  # the sine
    both = both.rot90(turns, (-2, -1))
    if turns % 2:
        both = torch.cat([both[:-2], -both[-2:]])
    return both[: len(image)], both[len(image) :]
