"""A look into any loss of the catalogue: its value, its gradient, and the pictures behind the number."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from napari_segsize.losses import LOSSES
from napari_segsize.losses._microscope_input import (
    CLIP,
    Kind,
    as_logits,
    numbers_of,
    vectors_of,
    wanted_of,
    wanted_of_vectors,
)
from napari_segsize.losses.notices import silence
from napari_segsize.losses.picture import Dot, Picture
from napari_segsize.losses.pictures import PICTURES
from napari_segsize.losses.pictures_contour import CONTOUR_PICTURES
from napari_segsize.losses.pictures_levelset import LEVELSET_PICTURES
from napari_segsize.losses.recipe import ALIASES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from napari_segsize.losses.info import LossInfo

__all__ = ["Kind", "LossView", "Slope", "look_up", "microscope"]

Slope = Literal["probabilities", "logits"]
"""What the gradient is with respect to."""
_STILL = "The gradient is 0 everywhere: this loss has nothing to say here."


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
        Places ``(M, D)`` in pixels; `Picture` says which have more columns.
    dots : tuple of Dot
        The persistence diagram, with its pixels.
    notices : tuple of str
        What a reader of the value should know: a target that cannot be learned from, a gradient that is 0.
    places : (K, 2) float array or None
        Of losses on contours: the vertices that the rows of the gradient belong to.
    """

    name: str
    value: float
    gradient: NDArray[np.float32]
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    marks: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    dots: tuple[Dot, ...] = ()
    notices: tuple[str, ...] = ()
    places: NDArray[np.float64] | None = None


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
    given = numbers_of("prediction", prediction)
    if info.acts_on in ("contour", "field"):
        return _of_vectors(name, info, given, wanted_of_vectors(info, target), settings, options)
    if info.acts_on == "phi":
        return _of_phi(name, info, given, target, settings, options)
    notices: list[str] = []
    logits = as_logits(given, kind, notices)[None, None].requires_grad_()
    wanted = wanted_of(info, target, logits)
    value, gradient = _slope(info, logits, wanted, options)
    with torch.no_grad():
        probs = logits.sigmoid()
        if slope == "probabilities":
            clipped = probs.clamp(CLIP, 1 - CLIP)
            gradient = gradient / (clipped * (1 - clipped))
        paint = PICTURES.get(name)
        picture = Picture() if paint is None else paint(probs, wanted[0], settings)
    return _view(name, value, gradient[0, 0], picture, notices)


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


def _slope(
    info: LossInfo, leaf: Tensor, wanted: list[Tensor], options: Mapping[str, Any]
) -> tuple[float, Tensor]:
    with silence():  # what is odd about the prediction is said by `as_logits`, for people
        value = info.function(leaf, *wanted, **options)
    if not value.requires_grad:
        return value.item(), torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
    return value.item(), torch.zeros_like(leaf) if gradient is None else gradient


def _of_phi(
    name: str,
    info: LossInfo,
    given: Tensor,
    target: ArrayLike | None,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
) -> LossView:
    """A loss on a level set, whose numbers are pixels, not chances."""
    phi = as_logits(given, "logits", [])[None, None].requires_grad_()
    wanted = wanted_of(info, target, phi)
    value, gradient = _slope(info, phi, wanted, options)
    with torch.no_grad():
        paint = LEVELSET_PICTURES.get(name)
        picture = Picture() if paint is None else paint(phi, wanted[0], settings)
    return _view(name, value, gradient[0, 0], picture, [])


def _of_vectors(
    name: str,
    info: LossInfo,
    given: Tensor,
    wanted: list[Tensor],
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
) -> LossView:
    """A loss on the vertices of a contour ``(K, 2)``, or on a field of vectors ``(D, *spatial)``."""
    vectors = vectors_of(info, given).requires_grad_()
    value, gradient = _slope(info, vectors, wanted, options)
    paint = cast("Any", {**CONTOUR_PICTURES, **LEVELSET_PICTURES}.get(name))
    with torch.no_grad():
        picture = Picture() if paint is None else paint(vectors, wanted[0] if wanted else None, settings)
    places = vectors.detach()[0].numpy() if info.acts_on == "contour" else None
    return _view(name, value, gradient[0], picture, [], places)


def _view(
    name: str,
    value: float,
    gradient: Tensor,
    picture: Picture,
    notices: list[str],
    places: NDArray[np.float64] | None = None,
) -> LossView:
    if not gradient.any():
        notices.append(_STILL)
    return LossView(
        name=name,
        value=value,
        gradient=_array(gradient),
        maps={key: _array(each) for key, each in picture.maps.items()},
        marks=picture.marks,
        dots=picture.dots,
        notices=(*notices, *picture.notices),
        places=places,
    )


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)
