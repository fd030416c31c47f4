"""A look into how an object's size is found, and into the gradient that learning from sizes sees.

Pure functions of one plane. torch is imported inside them, so that a page can import the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.engine.object_view import ObjectView, Window, grown, measured
from napari_segsize.engine.size_gradient import gradients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Inspection", "ObjectView", "Window", "inspect_plane", "inspect_steps"]

SAMPLES = (1, 8, 64, 512)
_WHOLE_PLANE = 64 * 64  # up to here the gradient covers the plane, above it a window around the object
_NOWHERE = Window(top=0, bottom=0, left=0, right=0)


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
    window: Window = _NOWHERE
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
    probs = _sigmoid(logits)
    distance, objects = measured(labels, probs, stopped)
    view = _focused(Inspection(labels=labels, distance=distance, objects=objects), focus, target)
    if stopped():
        return  # some objects may be missing
    yield view
    if view.focus == 0:
        return
    for n, gradient, size in gradients(view, probs, samples, seed, stopped):
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
        window = grown(box, max(8, math.ceil(chosen.size / 2)), shape)
    return replace(
        view,
        focus=chosen.label,
        target=chosen.size if target is None or math.isnan(target) else float(target),
        window=window,
    )
