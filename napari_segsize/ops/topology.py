"""Parts, holes, handles and cavities: Betti numbers of a mask, and how long each persists."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Dimension = Literal[0, 1, 2]
"""Parts; holes, in a volume handles; cavities of a volume."""


def betti_numbers(mask: Tensor) -> Tensor:
    """Numbers of parts, of holes or handles, and in 3-D of cavities.

    Parameters
    ----------
    mask : (N, C, *spatial) bool Tensor
        2-D or 3-D; every (n, c) plane is one mask.

    Returns
    -------
    (N, C, D) int64 Tensor
        In 2-D parts and holes, in 3-D parts, handles and cavities. Foreground pixels touch at corners too (8
        or 26 neighbours), background pixels at sides only (4 or 6). A notch that is open to the edge of the
        image is no hole. On the device of `mask`, computed on the CPU.

    Raises
    ------
    ValueError
        If `mask` is not boolean, is neither 2-D nor 3-D, or has no pixels.
    """
    if mask.dtype != torch.bool or mask.ndim not in (4, 5) or 0 in mask.shape[2:]:
        raise ValueError(
            "mask: expected a boolean (N, C, *spatial) tensor with 2 or 3 spatial axes and some pixels, "
            f"got {tuple(mask.shape)} of {mask.dtype}."
        )
    volume = mask.ndim == 5
    planes = mask.detach().cpu().contiguous().view(torch.uint8).numpy()
    planes = planes.reshape(-1, *(planes.shape[2:] if volume else (1, *planes.shape[2:])))
    found = np.array([_betti(plane, volume) for plane in planes], np.int64)
    return torch.from_numpy(found).reshape(*mask.shape[:2], 3 if volume else 2).to(mask.device)


class Pairs(NamedTuple):
    """Where parts, holes, handles or cavities are born and die, the most persistent first.

    Attributes
    ----------
    births, deaths : (M,) int64 array
        Flat indices of pixels; -1 for the death of the part that never dies (it counts as dying at 0).
    persistence : (M,) float64 array
        Value at birth minus value at death.
    """

    births: NDArray[np.int64]
    deaths: NDArray[np.int64]
    persistence: NDArray[np.float64]


def persistence_pairs(
    plane: NDArray[np.floating[Any]], dimension: Dimension, *, order: NDArray[np.int32] | None = None
) -> Pairs:
    """Births and deaths of parts, holes, handles or cavities while a threshold falls over a plane or volume.

    The foreground at threshold t is ``plane >= t``. A part is born at its highest pixel and dies where it
    meets a higher one; a hole or a cavity is born where it closes and dies at its lowest pixel; a handle of a
    volume is born where it closes and dies where its tunnel is filled across. All live at
    ``death < t <= birth``: the number that do is the Betti number of the mask at t.

    Parameters
    ----------
    plane : (H, W) or (D, H, W) float array
        Values, probabilities as a rule.
    dimension : {0, 1, 2}
        Parts; holes of a plane or handles of a volume; cavities of a volume.
    order : (plane.size,) int32 array, optional
        `downwards` of the plane, a good part of the work, when several dimensions are asked for.

    Returns
    -------
    Pairs
        Without those that die at the value they were born at. Equal values are told apart by their place, so
        that exactly one pixel stands for each birth and death.

    Raises
    ------
    ValueError
        If `plane` is neither two- nor three-dimensional, is empty or has NaN, or has no such `dimension`.

    Notes
    -----
    Union-find over the sorted pixels. Holes and cavities by duality: they are the parts of the background,
    with the outside as the oldest. Handles by reducing the boundary matrix of closed voxels.
    """
    if plane.ndim not in (2, 3) or not plane.size or not np.issubdtype(plane.dtype, np.floating):
        raise ValueError(f"plane: expected (H, W) or (D, H, W) floats, got {plane.shape} of {plane.dtype}.")
    if dimension not in range(plane.ndim):
        known = "0 (parts) or 1 (holes)" if plane.ndim == 2 else "0 (parts), 1 (handles) or 2 (cavities)"
        raise ValueError(f"dimension: expected {known}, got {dimension}.")
    values = np.ascontiguousarray(plane).ravel()
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32)
    if np.isnan(values).any():
        raise ValueError("plane: expected numbers, got NaN.")
    return _pairs(values, downwards(values) if order is None else order, plane.shape, dimension)


def downwards(plane: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """Flat indices of pixels from the highest down, equal ones by their place."""
    return np.argsort(-plane.ravel(), kind="stable").astype(np.int32)


def _pairs(
    values: NDArray[np.floating[Any]], order: NDArray[np.int32], sides: tuple[int, ...], dimension: Dimension
) -> Pairs:
    from napari_segsize.ops import _handle_kernels, _topology_kernels  # bring numba

    volume = len(sides) == 3
    shape = (sides[-3] if volume else 1, sides[-2], sides[-1])
    # every birth of a part is a voxel of its own, and so is every death of a hole; handles have edges
    births, deaths = np.empty((2, _edges(shape) if volume and dimension == 1 else len(values)), np.int32)
    if dimension == 0:
        count = _topology_kernels.part_pairs(values, order, shape, births, deaths)
    elif volume and dimension == 1:
        count = _handle_kernels.handle_pairs(values, order, shape, births, deaths)
    else:
        count = _topology_kernels.hole_pairs(values, order, shape, volume, births, deaths)
    born, died = births[:count].astype(np.int64), deaths[:count].astype(np.int64)
    persistence = values[born].astype(np.float64) - values[died]
    if dimension == 0:
        born, died = np.append(born, order[0]), np.append(died, -1)
        persistence = np.append(persistence, float(values[order[0]]))
    longest = np.argsort(-persistence, kind="stable")
    return Pairs(born[longest], died[longest], persistence[longest])


def _edges(shape: tuple[int, int, int]) -> int:
    """Edges of the closed voxels of a volume."""
    depth, height, width = shape
    return (
        depth * (height + 1) * (width + 1)
        + (depth + 1) * height * (width + 1)
        + (depth + 1) * (height + 1) * width
    )


def _betti(plane: NDArray[np.uint8], volume: bool) -> tuple[int, ...]:
    from napari_segsize.ops import _topology_kernels  # brings numba

    parts, beyond = _topology_kernels.parts(plane, volume)
    if not volume:
        return parts, beyond - 1
    cavities = beyond - 1
    return parts, parts + cavities - _euler(plane), cavities


def _euler(volume: NDArray[np.uint8]) -> int:
    """Vertices minus edges plus faces minus cubes of the closed pixels."""
    padded = np.pad(volume.astype(bool), 1)
    total = 0
    for spans in product((False, True), repeat=3):  # axes along which a cell reaches over a whole pixel
        cells = padded
        for axis, whole in enumerate(spans):
            if not whole:  # a cell between two pixels belongs to both
                size = cells.shape[axis] - 1
                first, second = (np.take(cells, np.arange(size) + step, axis) for step in (0, 1))
                cells = first | second
        total += int(cells.sum()) * (-1) ** sum(spans)
    return total
