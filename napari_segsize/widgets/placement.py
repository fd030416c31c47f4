"""Where a layer lies in the world, copied from another layer: all of it, or the user's scale bar breaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["TRANSFORM_EVENTS", "Placement", "like", "place"]

TRANSFORM_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""What can be changed about a layer's place; each is also the name of a layer event."""

Placement = dict[str, Any]
"""Keyword arguments of any napari layer."""


def like(layer: Layer, offset: Sequence[float] | None = None) -> Placement:
    """Return the place of a layer whose pixel 0 lies on pixel `offset` of `layer`, with all its transforms.

    Parameters
    ----------
    layer : napari layer
        The one to lie on.
    offset : sequence of float, optional
        One number for each axis of `layer`, in its data coordinates: for a crop or a single plane of it.
    """
    translate = np.array(layer.translate, float)
    if offset is not None:
        translate = translate + _linear(layer) @ np.asarray(offset, float)
    return {
        "scale": np.array(layer.scale, float),
        "translate": translate,
        "rotate": np.array(layer.rotate, float),
        "shear": np.array(layer.shear, float),
        "affine": np.array(layer.affine.affine_matrix, float),
        "units": tuple(layer.units),
        "axis_labels": tuple(layer.axis_labels),
    }


def place(layer: Layer, placement: Placement) -> None:
    """Move an existing layer to a place, touching only what differs (each change redraws)."""
    for name, value in placement.items():
        now = layer.affine.affine_matrix if name == "affine" else getattr(layer, name)
        if not _same(now, value):
            setattr(layer, name, value)


def _same(now: Any, value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return np.shape(now) == value.shape and bool(np.array_equal(now, value))
    return tuple(now) == tuple(value)


def _linear(layer: Layer) -> NDArray[np.float64]:
    """Scale, then shear, then rotate: the order in which napari applies them (before `affine`)."""
    shear = np.eye(layer.ndim)
    shear[np.triu_indices(layer.ndim, 1)] = layer.shear
    return np.asarray(np.asarray(layer.rotate) @ shear @ np.diag(layer.scale))
