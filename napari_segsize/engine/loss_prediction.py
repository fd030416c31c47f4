"""What a loss acts on, out of what lies in a layer: a contour, a level set, a motion field, edges.

torch is imported inside the functions, so that a page can import the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .loss_look import LossRequest

__all__ = ["MOST_VERTICES", "VERTICES", "contour_of", "edges_of", "field_of", "level_set_of", "own_object"]

VERTICES, MOST_VERTICES = 48, 512
"""Of an outline that is taken from pixels, unless another number is asked for; and at most."""

Mask = NDArray[np.bool_]


def contour_of(request: LossRequest, notices: list[str]) -> NDArray[np.float64]:
    """Vertices ``(K, 2)``: as they were drawn, at equal steps along that, or of the outline of an object."""
    import torch

    from ..ops.outline import resample
    from ..ops.starts import mask_contour

    if request.vertices and not 3 <= request.vertices <= MOST_VERTICES:
        raise ValueError(f"vertices: expected 3 to {MOST_VERTICES}, got {request.vertices}.")
    if request.drawn:
        drawn = np.asarray(request.prediction, np.float64)
        if len(drawn) < 3:
            raise ValueError(f"A contour has at least 3 vertices, this one has {len(drawn)}: draw a polygon.")
        if not request.vertices:
            return drawn
        return np.asarray(resample(torch.from_numpy(drawn)[None], request.vertices)[0].numpy())
    mask, said = _one_of(request.prediction, request.label)
    if not mask.any():
        raise ValueError(
            "The prediction is empty here and has no outline: paint it, or choose another slice."
        )
    notices.append(f"The contour is the outline of {said}.")
    found = mask_contour(torch.from_numpy(mask), request.vertices or VERTICES)
    return np.asarray(found.numpy(), np.float64)


def level_set_of(request: LossRequest, notices: list[str]) -> NDArray[Any]:
    """Phi ``(H, W)`` as it is, or the signed distance to the outline of a mask, positive inside."""
    import torch

    from ..losses.levelset import truncated_distance
    from ..ops.signed_distance import signed_distance

    given = request.prediction
    shares = given.dtype.kind != "f" or (given.size > 0 and given.min() >= 0 and given.max() <= 1)
    if request.kind == "logits" or (request.kind == "auto" and not shares):
        return given
    mask = mask_of_values(given, request.kind)
    tensor = torch.from_numpy(mask)[None, None]
    said = "The level set is the signed distance to the predicted outline, in px, positive inside"
    if request.name == "phi_distance":  # so that a perfect mask is a perfect level set
        notices.append(f"{said}; cut off far away, as the loss has it.")
        phi = truncated_distance(tensor, truncation=request.options.get("truncation"))
    else:
        notices.append(f"{said}.")
        phi = signed_distance(tensor)
    return np.asarray(phi[0, 0].numpy(), np.float64)


def field_of(request: LossRequest, notices: list[str]) -> NDArray[Any]:
    """A field ``(2, H, W)`` as it is, or the way off the zero line of a level set, on both of its sides."""
    import torch

    from ..ops.levelset import gradient

    if request.prediction.ndim == 3:
        return request.prediction
    phi = torch.from_numpy(np.asarray(level_set_of(request, []), np.float64))[None, None]
    notices.append("The field is made from the prediction: at every pixel, the way off its outline.")
    return np.asarray((gradient(phi) * phi.sign())[0].numpy())


def edges_of(request: LossRequest, notices: list[str]) -> tuple[NDArray[Any], str]:
    """Edges ``(H, W)``, and what their numbers are; of objects, the outlines."""
    import torch

    from ..ops.thinning import outline_map

    given = request.prediction
    if request.kind != "outlines" and (request.kind != "auto" or given.dtype.kind == "f"):
        return given, request.kind
    mask = torch.from_numpy(mask_of_values(given, "auto"))[None, None]
    notices.append("The predicted edges are the outlines of the prediction's objects.")
    return np.asarray(outline_map(mask, border="ignore")[0, 0].numpy()), "mask"


def own_object(labels: NDArray[Any], vertices: NDArray[np.float64]) -> tuple[Mask, str]:
    """The object of labels ``(H, W)`` that a contour covers most, or the nearest; a sentence about it.

    Labels are objects; where there is but one, its parts are.
    """
    import torch

    from ..ops.polygon import polygon_mask

    parts, what = _parts(labels)
    count = int(parts.max(initial=0))
    if count <= 1:
        return parts == 1, ""
    height, width = labels.shape
    covered = polygon_mask(torch.from_numpy(vertices)[None], (height, width))[0, 0].numpy()
    shares = np.bincount(parts.ravel(), covered.ravel(), count + 1)
    shares[0] = 0
    number, how = int(shares.argmax()), "which the contour covers most"
    if not shares.any():
        number, how = _nearest(parts, vertices.mean(0)), "the nearest to the contour"
    mask = parts == number
    name = f"label {int(labels[mask][0])}" if what == "label" else f"one of {count} parts"
    return mask, f"Of the target, {name} counts, {how}."


def mask_of_values(values: NDArray[Any], kind: str) -> Mask:
    """Pixels of the object: shares above a half, of other numbers those above 0."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        place = tuple(int(each) for each in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"Prediction: expected finite numbers, got {values[place]} at {place}.")
    shares = values.dtype.kind == "f" and values.size > 0 and values.min() >= 0 and values.max() <= 1
    if kind == "probabilities" and values.dtype.kind == "f" and not shares:
        raise ValueError("Prediction: expected probabilities from 0 to 1; if they are phi, say so beside it.")
    if kind == "probabilities" and values.dtype.kind in "ui" and values.max(initial=0) > 1:
        return np.asarray(values > np.iinfo(values.dtype).max / 2)
    if kind == "mask":
        return np.asarray(values != 0)
    return np.asarray(values > (0.5 if shares else 0))


def _one_of(values: NDArray[Any], label: int | None) -> tuple[Mask, str]:
    """The object of that label, or the largest; in words."""
    if values.dtype.kind not in "ui":
        return mask_of_values(values, "auto"), "the largest object"
    found, counts = np.unique(values[values != 0], return_counts=True)
    if label is not None and label in found:
        return values == label, f"label {label}"
    if len(found) > 1:
        largest = int(found[counts.argmax()])
        return values == largest, f"label {largest}, the largest; select another one in the layer to see it"
    return values != 0, "the largest object"


def _parts(labels: NDArray[Any]) -> tuple[NDArray[np.int64], str]:
    """Objects, counted from 1."""
    from scipy.ndimage import label

    found, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape)
    if (found != 0).sum() > 1:
        return np.where(labels == 0, 0, numbers + (0 if 0 in found else 1)), "label"
    parts, _ = label(labels != 0, np.ones((3, 3)))
    return np.asarray(parts, np.int64), "part"


def _nearest(parts: NDArray[np.int64], place: NDArray[np.float64]) -> int:
    at = np.argwhere(parts != 0)
    closest = at[np.square(at - place).sum(1).argmin()]
    return int(parts[tuple(closest)])
