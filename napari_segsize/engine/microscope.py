"""A look into how an object's size is found, and into the gradient that learning from sizes sees.

Pure functions of one plane. torch is imported inside them, so that a page can import the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Inspection", "ObjectView", "Window", "inspect_plane", "inspect_steps"]

Point = tuple[float, float]

SAMPLES = (1, 8, 64, 512)
_BATCH_PIXELS = 1 << 18  # pixels of all masks flipped at a time: a few milliseconds, then a stop is noticed
_WHOLE_PLANE = 64 * 64  # up to here the gradient covers the plane, above it a window around the object


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectView:
    """One object of a plane.

    Attributes
    ----------
    size : float
        In pixels: twice the largest chessboard distance to the background.
    squares : tuple of (y, x)
        Centres of the largest squares, of side `size`, that fit: one for each separate place where they do.
    hard_centroid, soft_centroid : (y, x)
        Centre of the mask, and of the probabilities (which the background pulls on).
    """

    label: int
    area: int
    size: float
    squares: tuple[Point, ...]
    hard_centroid: Point
    soft_centroid: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Rows ``top:bottom`` and columns ``left:right`` of a plane."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """What there is to see in one plane.

    Attributes
    ----------
    labels : (H, W) int32 array
        The objects: the labels given, or the 8-connected parts of ``probability > 0.5``.
    distance : (H, W) float32 array
        Chessboard distance of every pixel to the nearest one outside its object; 0 on the background.
    objects : tuple of ObjectView
        By label.
    focus : int
        The label that the gradients belong to; 0 without objects.
    target : float
        The size that they pull towards.
    window : Window
        Where `gradients` lie in the plane.
    gradients : mapping from n to (h, w) float32 array
        dL/dp of ``(target - size)^2``, averaged over n sampled masks ([1]_, eq. 21). Positive: the loss falls
        when the pixel becomes background; negative: when it becomes object.
    sampled_sizes : mapping from n to float
        Mean size of those sampled masks; lower than `size` unless the probabilities are close to 0 and 1.

    References
    ----------
    .. [1] Baručić and Kybic, "Learning to segment from object sizes", ITAT, 2022.
    """

    labels: NDArray[np.int32]
    distance: NDArray[np.float32]
    objects: tuple[ObjectView, ...] = ()
    focus: int = 0
    target: float = math.nan
    window: Window = Window(top=0, bottom=0, left=0, right=0)
    gradients: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)
    sampled_sizes: Mapping[int, float] = field(default_factory=dict)

    @property
    def focused(self) -> ObjectView | None:
        """The object that the gradients belong to."""
        return next((each for each in self.objects if each.label == self.focus), None)


def inspect_plane(
    plane: NDArray[Any],
    *,
    samples: Sequence[int] = SAMPLES,
    target: float | None = None,
    logits: NDArray[np.floating[Any]] | None = None,
    confidence: float = 4.0,
    focus: int | None = None,
    seed: int = 0,
) -> Inspection:
    """Sizes, squares, centroids and sampled size gradients of one plane.

    Parameters
    ----------
    plane : (H, W) array
        Labels (integers or booleans, 0 = background, each label one object), or probabilities (floats).
    samples : sequence of int
        Numbers of masks to average the gradient over; a larger one goes on from the masks of a smaller.
    target : float, optional
        The true size of the object in focus. None: its present size.
    logits : (H, W) float array, optional
        What the masks are sampled from. None: the logits of the probabilities; for labels ``+-confidence``.
    confidence : float
        Logit of a labelled pixel when nothing else is known, usually 1 to 8. Larger: samples are closer to
        the mask.
    focus : int, optional
        Label of the object whose gradient is computed. None: the largest size.
    seed : int
        Of the sampling; the same seed shows the same picture.

    Returns
    -------
    Inspection
        With one gradient for each entry of `samples`.

    Raises
    ------
    ValueError
        For an array that is not 2-D or of another shape than `logits`.

    See Also
    --------
    inspect_steps : the same in portions, with a way to stop.
    """
    *_, last = inspect_steps(
        plane, samples=samples, target=target, logits=logits, confidence=confidence, focus=focus, seed=seed
    )
    return last


def inspect_steps(
    plane: NDArray[Any],
    *,
    samples: Sequence[int] = SAMPLES,
    target: float | None = None,
    logits: NDArray[np.floating[Any]] | None = None,
    confidence: float = 4.0,
    focus: int | None = None,
    seed: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Inspection]:
    """Yield an `Inspection` as soon as there is something to see, then a fuller one for each gradient.

    Parameters as for `inspect_plane`; `stopped` is asked every few milliseconds.
    """
    plane = np.asarray(plane)
    if plane.ndim != 2 or 0 in plane.shape:
        raise ValueError(f"plane: expected (H, W) with at least one pixel, got {plane.shape}")
    if logits is not None and logits.shape != plane.shape:
        raise ValueError(f"logits: expected {plane.shape}, got {logits.shape}")
    labels = _as_labels(plane)
    logits = _as_logits(plane, labels, logits, confidence)
    view = _measured(labels, _sigmoid(logits), stopped)
    view = _focused(view, focus, target)
    if stopped():
        return  # some objects may be missing
    yield view
    if view.focus == 0:
        return
    for n, gradient, size in _gradients(view, logits, samples, seed, stopped):
        view = replace(
            view, gradients={**view.gradients, n: gradient}, sampled_sizes={**view.sampled_sizes, n: size}
        )
        yield view


def _as_labels(plane: NDArray[Any]) -> NDArray[np.int32]:
    if not np.issubdtype(plane.dtype, np.floating):
        return plane.astype(np.int32)
    from scipy.ndimage import label

    # Parts that touch at a corner are one object, so that no part's distances depend on another part.
    parts, _ = label(plane > 0.5, structure=np.ones((3, 3)))
    return np.asarray(parts, np.int32)


def _as_logits(
    plane: NDArray[Any], labels: NDArray[np.int32], logits: NDArray[Any] | None, confidence: float
) -> NDArray[np.float32]:
    if logits is not None:
        return np.asarray(logits, np.float32)
    if not np.issubdtype(plane.dtype, np.floating):
        return np.where(labels != 0, np.float32(confidence), np.float32(-confidence))
    probs = np.clip(plane.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(probs / (1 - probs)), np.float32)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -60, 60))))


def _measured(
    labels: NDArray[np.int32], probs: NDArray[np.float64], stopped: Callable[[], bool]
) -> Inspection:
    from scipy.ndimage import find_objects

    # Labels of any value (also negative) get consecutive numbers, since tables below are indexed by them.
    values, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape) + 1
    centres = _Centres(numbers, probs, background=_number_of(0, values))
    distance = np.zeros(labels.shape, np.float32)
    objects = []
    for number, (value, box) in enumerate(zip(values, find_objects(numbers), strict=True), start=1):
        if value == 0 or stopped():
            continue
        crop = _grown(box, 1, labels.shape).slices
        mask = numbers[crop] == number
        inside = _distance(mask)
        distance[crop][mask] = inside[mask]
        offset = (crop[0].start, crop[1].start)
        objects.append(
            ObjectView(
                label=int(value),
                area=int(mask.sum()),
                size=2.0 * float(inside.max()),
                squares=_square_centres(inside, offset),
                hard_centroid=centres.hard(number),
                soft_centroid=centres.soft(number),
            )
        )
    return Inspection(labels=labels, distance=distance, objects=tuple(objects))


def _number_of(value: int, values: NDArray[np.int32]) -> int:
    found = np.flatnonzero(values == value)
    return int(found[0]) + 1 if len(found) else 0


class _Centres:
    """Centroids of all objects from a handful of sums, whatever their number."""

    def __init__(self, numbers: NDArray[Any], probs: NDArray[np.float64], background: int) -> None:
        rows, columns = np.indices(numbers.shape)
        flat = numbers.ravel()
        self._hard = [
            np.bincount(flat, axis.ravel() if axis is not None else None) for axis in (None, rows, columns)
        ]
        weights = (probs, probs * rows, probs * columns)
        self._soft = [np.bincount(flat, each.ravel()) for each in weights]
        self._background = background

    def hard(self, number: int) -> Point:
        mass, y, x = (float(sums[number]) for sums in self._hard)
        return y / mass, x / mass

    def soft(self, number: int) -> Point:
        """Other objects are left out: they are not this one's background."""
        parts = {number, self._background}
        mass, y, x = (sum(float(sums[part]) for part in parts) for sums in self._soft)
        return (y / mass, x / mass) if mass > 0 else self.hard(number)


def _grown(box: tuple[slice, slice], margin: int, shape: tuple[int, ...]) -> Window:
    """Return the box and what surrounds it. One pixel is enough for exact distances inside an object."""
    rows, columns = box
    return Window(
        top=max(rows.start - margin, 0),
        bottom=min(rows.stop + margin, shape[0]),
        left=max(columns.start - margin, 0),
        right=min(columns.stop + margin, shape[1]),
    )


def _distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    import torch

    from napari_segsize.ops import chebyshev_distance

    distance = chebyshev_distance(torch.from_numpy(np.ascontiguousarray(mask))[None, None])[0, 0]
    return np.asarray(distance.numpy(), np.float32)


def _square_centres(distance: NDArray[np.float32], offset: tuple[int, int]) -> tuple[Point, ...]:
    """One centre for each plateau of the largest distance."""
    from scipy.ndimage import find_objects, label

    plateaus, _ = label(distance == distance.max(), structure=np.ones((3, 3)))
    centres = []
    for number, box in enumerate(find_objects(plateaus), start=1):
        places = np.argwhere(plateaus[box] == number) + [edge.start for edge in box]
        middle = places.mean(0)
        off = np.abs(places - middle).max(1)
        if off.min() > 0.5:  # a bent plateau whose middle lies outside it
            middle = places[off.argmin()]
        centres.append((float(middle[0]) + offset[0], float(middle[1]) + offset[1]))
    return tuple(centres)


def _focused(view: Inspection, focus: int | None, target: float | None) -> Inspection:
    if not view.objects:
        return view
    named = next((each for each in view.objects if each.label == focus), None)
    chosen = named or max(view.objects, key=lambda each: each.size)
    shape = view.labels.shape
    if view.labels.size <= _WHOLE_PLANE:
        window = Window(top=0, bottom=shape[0], left=0, right=shape[1])
    else:
        rows, columns = np.nonzero(view.labels == chosen.label)
        box = (slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1))
        window = _grown(box, max(8, math.ceil(chosen.size / 2)), shape)
    return replace(
        view,
        focus=chosen.label,
        target=chosen.size if target is None or math.isnan(target) else float(target),
        window=window,
    )


def _gradients(
    view: Inspection,
    logits: NDArray[np.float32],
    samples: Sequence[int],
    seed: int,
    stopped: Callable[[], bool],
) -> Iterator[tuple[int, NDArray[np.float32], float]]:
    """Yield n, the mean gradient of the first n masks, and their mean size."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    crop = view.window.slices
    labels = view.labels[crop]
    others = torch.from_numpy((labels != 0) & (labels != view.focus))
    probs = torch.from_numpy(_sigmoid(logits[crop])).masked_fill(others, 0.0)
    total = torch.zeros_like(probs)
    sizes, done = 0.0, 0
    for n in sorted(set(samples)):
        while done < n:
            if stopped():
                return
            count = min(n - done, max(1, _BATCH_PIXELS // probs.numel()))
            gradient, size = _drawn(probs, view.target, count, generator)
            total += gradient.masked_fill(others, 0.0)
            sizes += size
            done += count
        yield n, np.asarray((total / n).numpy(), np.float32), sizes / n


def _drawn(probs: Tensor, target: float, count: int, generator: Any) -> tuple[Tensor, float]:
    """Draw `count` masks and return sums over them: of eq. 21, and of their sizes."""
    import torch

    from napari_segsize.ops import flip_sizes, object_size

    noise = torch.rand((count, 1, *probs.shape), generator=generator, dtype=probs.dtype)
    masks = noise < probs
    sizes = object_size(masks).double()
    loss = (target - sizes)[..., None, None] ** 2
    flipped = (target - flip_sizes(masks).double()) ** 2
    signs = masks.double() * 2 - 1
    return (signs * (loss - flipped)).sum((0, 1)), float(sizes.sum())
