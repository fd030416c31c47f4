"""A look into any loss of the catalogue: its value, its gradient, and the pictures behind the number."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from napari_segsize.losses import LOSSES
from napari_segsize.losses.picture import Dot, Picture
from napari_segsize.losses.pictures import PICTURES
from napari_segsize.losses.recipe import ALIASES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from napari_segsize.losses.info import LossInfo

Kind = Literal["auto", "logits", "probabilities", "mask"]
"""What the numbers of a prediction are."""
Slope = Literal["probabilities", "logits"]
"""What the gradient is with respect to."""

_CLIP = 1e-6  # a mask or a probability of 0 or 1 is taken to be so far from it: its logit is finite


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LossView:
    """What there is to see of a loss.

    Attributes
    ----------
    name : str
        In the catalogue.
    value : float
        The loss.
    gradient : (*spatial) float32 array
        How the loss grows with each pixel's probability (or logit): where it is positive, descending lowers
        the pixel. As the prediction for contours, level sets and fields.
    maps : mapping of str to float32 array
        ``(*spatial)``, or ``(steps, *spatial)`` where there is one a step.
    marks : mapping of str to float array
        Places ``(M, D)`` in pixels; ``disks`` have their radius as a last column, ``normals`` the way across
        the edge, ``(dy, dx)``, as the last two.
    dots : tuple of Dot
        The persistence diagram, with its pixels.
    notices : tuple of str
        What a reader of the value should know: a target that cannot be learned from, a gradient that is 0.
    """

    name: str
    value: float
    gradient: NDArray[np.float32]
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    marks: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    dots: tuple[Dot, ...] = ()
    notices: tuple[str, ...] = ()


def microscope(
    name: str,
    prediction: ArrayLike,
    target: ArrayLike | None = None,
    *,
    kind: Kind = "auto",
    slope: Slope = "probabilities",
    **options: Any,
) -> LossView:
    """Value, gradient and pictures of one loss on one image.

    Parameters
    ----------
    name : str
        A key of `LOSSES`.
    prediction : (*spatial) array
        Logits, probabilities or a binary mask, 2-D or 3-D; for a loss on contours the vertices ``(K, 2)``, on
        level sets phi ``(*spatial)`` in pixels, on motion fields ``(D, *spatial)``.
    target : array, optional
        What the loss needs (`LossInfo.needs`): a mask ``(*spatial)``; an image ``(*spatial)`` or
        ``(channels, *spatial)``; a size; a centre ``(D,)``; bounds of the area ``(2,)``; extreme points
        ``(4, 2)`` or extents ``(4,)``. None for a loss that needs nothing.
    kind : {"auto", "logits", "probabilities", "mask"}
        What the numbers of `prediction` are. "auto": a mask if they are booleans or integers, probabilities
        if they lie in 0..1, otherwise logits.
    slope : {"probabilities", "logits"}
        What the gradient is with respect to. That of the logits is what a network feels; it fades where the
        probability is near 0 or 1, so that of a mask is best seen in probabilities.
    **options
        Parameters of the loss, by name.

    Returns
    -------
    LossView
        Arrays of its own, no tensors.

    Raises
    ------
    ValueError
        If the name is unknown (the nearest is suggested), or a shape, a number or an option does not fit.

    Notes
    -----
    Computed in float64. Probabilities of 0 and 1 are taken to be 1e-6 away, where a logit is 13.8.
    """
    info, name = look_up(name), _plain(name)
    settings = _settings(name, info, options)
    if kind not in get_args(Kind):
        raise ValueError(f'kind: expected "auto", "logits", "probabilities" or "mask", got {kind!r}.')
    if slope not in get_args(Slope):
        raise ValueError(f'slope: expected "probabilities" or "logits", got {slope!r}.')
    given = _numbers("prediction", prediction)
    if info.acts_on in ("contour", "field"):
        return _of_vectors(name, info, given, target, options)
    if info.acts_on == "phi":  # its numbers are pixels, not chances
        kind, slope = "logits", "logits"
    notices: list[str] = []
    logits = _logits(given, kind, notices)[None, None].requires_grad_()
    wanted = _wanted(info, target, logits)
    value, gradient = _slope(info, logits, wanted, options)
    with torch.no_grad():
        probs = logits.sigmoid()
        if slope == "probabilities":
            clipped = probs.clamp(_CLIP, 1 - _CLIP)
            gradient = gradient / (clipped * (1 - clipped))
        paint = PICTURES.get(name)
        picture = Picture() if paint is None else paint(probs, wanted[0], settings)
    if not gradient.any():
        notices.append("The gradient is 0 everywhere: this loss has nothing to say here.")
    return LossView(
        name=name,
        value=value,
        gradient=_array(gradient[0, 0]),
        maps={key: _array(each) for key, each in picture.maps.items()},
        marks=picture.marks,
        dots=picture.dots,
        notices=(*notices, *picture.notices),
    )


def look_up(name: str) -> LossInfo:
    """Return what the catalogue says about a loss; a ValueError suggests the nearest name.

    The other names that recipes know ("cross-entropy" and "ce" for "bce") are known here too.
    """
    plain = _plain(name)
    if plain in LOSSES:
        return LOSSES[plain]
    near = get_close_matches(name, LOSSES, 1, 0.4)
    hint = f' Did you mean "{near[0]}"?' if near else f" There are {', '.join(sorted(LOSSES))}."
    raise ValueError(f"{name!r} is no loss of the catalogue.{hint}")


def _plain(name: str) -> str:
    """Key of the catalogue for a name as people write it."""
    plain = name.lower().replace("-", "_")
    return ALIASES.get(plain, plain)


def _settings(name: str, info: LossInfo, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options over the defaults of the function."""
    known = {
        key: each.default
        for key, each in inspect.signature(info.function).parameters.items()
        if key != "reduction" and (each.kind is each.KEYWORD_ONLY or key == "shape")
    }
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}.")
    missing = [key for key, value in known.items() if value is inspect.Parameter.empty and key not in options]
    if missing:
        raise ValueError(f"{name} needs the option {', '.join(missing)}.")
    return {**known, **options}


def _numbers(name: str, values: ArrayLike) -> Tensor:
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        raise ValueError(f"{name}: expected numbers, got {array.dtype}.")
    wrong = ~np.isfinite(array)
    if wrong.any():
        place = tuple(int(each) for each in np.argwhere(wrong)[0])
        raise ValueError(f"{name}: expected finite numbers, got {array[place]} at {place}.")
    return torch.from_numpy(np.array(array))  # a copy of its own, contiguous and writable


def _logits(given: Tensor, kind: Kind, notices: list[str]) -> Tensor:
    if given.ndim not in (2, 3) or not given.numel():
        raise ValueError(
            f"prediction: expected one image, 2-D or 3-D, with some pixels, got {tuple(given.shape)}."
        )
    low, high = float(given.min()), float(given.max())
    within = low >= 0 and high <= 1
    if kind == "auto":
        kind = "logits" if given.is_floating_point() and not within else "probabilities"
        kind = kind if given.is_floating_point() else "mask"
    if kind == "mask":
        given = given != 0
    elif kind == "probabilities" and not within:
        raise ValueError(
            f"prediction: expected probabilities from 0 to 1, got {low:.4g} to {high:.4g}. "
            'If they are logits, say kind="logits".'
        )
    elif kind == "logits" and within and high > low:
        notices.append('All logits lie from 0 to 1. If they are probabilities, say kind="probabilities".')
    values = given.double()
    return values if kind == "logits" else torch.logit(values.clamp(_CLIP, 1 - _CLIP))


def _wanted(info: LossInfo, target: ArrayLike | None, logits: Tensor) -> list[Tensor]:
    """The target as the function wants it, a batch of one."""
    if not info.needs:
        return []
    need = info.needs[0]
    if target is None:
        raise ValueError(f"target: this loss needs the {need}, got nothing.")
    given = _numbers("target", target)
    spatial = tuple(logits.shape[2:])
    if need == "mask":
        if tuple(given.shape) != spatial:
            raise ValueError(f"target: expected a mask {spatial} as prediction, got {tuple(given.shape)}.")
        if given.is_floating_point() and not (given.min() >= 0 and given.max() <= 1):
            raise ValueError("target: expected a mask, or values from 0 to 1.")
        soft = given.double() if given.is_floating_point() else (given != 0).double()
        return [soft[None, None]]
    if need == "image":
        image = given.double()
        return [image[None] if image.ndim == len(spatial) + 1 else image[None, None]]
    _check_said(need, given, len(spatial))
    return [given.double().reshape(1, 1, *given.shape)]


def _check_said(need: str, given: Tensor, dims: int) -> None:
    """Raise a `ValueError` unless `given` has the shape of what is known instead of a mask."""
    place = "(y, x)" if dims == 2 else "(z, y, x)"
    known: dict[str, tuple[list[tuple[int, ...]], str]] = {
        "size": ([()], "the size of the object, one number in pixels"),
        "centre": ([(dims,)], f"the centre of the object, {dims} numbers {place} in pixels"),
        "area": ([(2,)], "bounds of the area, 2 numbers, the least and the most pixels"),
        "points": ([(4, 2)], "the extreme points of the object, 4 rows of 2 numbers (y, x) in pixels"),
        "extents": (
            [(4,), (4, 2)],
            "the box of the object, 4 numbers (top, left, bottom, right) in pixels, or its extreme points",
        ),
    }
    shapes, words = known[need]
    if tuple(given.shape) not in shapes:
        got = "one number" if given.ndim == 0 else f"{' x '.join(map(str, given.shape))} numbers"
        raise ValueError(f"target: this loss learns from {words}; got {got}.")


def _slope(
    info: LossInfo, leaf: Tensor, wanted: list[Tensor], options: Mapping[str, Any]
) -> tuple[float, Tensor]:
    value = info.function(leaf, *wanted, **options)
    if not value.requires_grad:
        return value.item(), torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
    return value.item(), torch.zeros_like(leaf) if gradient is None else gradient


def _of_vectors(
    name: str, info: LossInfo, given: Tensor, target: ArrayLike | None, options: Mapping[str, Any]
) -> LossView:
    """A loss on the vertices of a contour ``(K, 2)``, or on a field of vectors ``(D, *spatial)``."""
    if info.acts_on == "field" and (given.ndim not in (3, 4) or len(given) != given.ndim - 1):
        raise ValueError(f"prediction: expected a field (D, *spatial), got {tuple(given.shape)}.")
    if info.acts_on == "contour" and (given.ndim != 2 or given.shape[1] != 2 or len(given) < 3):
        raise ValueError(f"prediction: expected vertices (K, 2) of a contour, got {tuple(given.shape)}.")
    vectors = given.double()[None].requires_grad_()
    wanted: list[Tensor] = []
    if info.needs:
        if target is None:
            raise ValueError(f"target: this loss needs the {info.needs[0]}, got nothing.")
        truth = _numbers("target", target).double()
        if info.needs[0] in ("size", "points"):
            _check_said(info.needs[0], truth, 2)
        wanted = [truth.reshape(1, 1) if truth.ndim == 0 else truth[None]]
        if info.needs[0] == "mask":
            wanted = [wanted[0][None]]
    value, gradient = _slope(info, vectors, wanted, options)
    still = () if gradient.any() else ("The gradient is 0 everywhere: this loss has nothing to say here.",)
    return LossView(name=name, value=value, gradient=_array(gradient[0]), notices=still)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)
