"""Masks of triangle meshes: the renderer of the published method, kept for comparison.

A contour is triangulated once, where it starts; its mask is the union of the triangles, wherever the vertices
have moved since. That is the polygon only as long as no triangle has turned over and the contour has stayed
its triangulation's outline:

- Delaunay triangles fill the convex hull, so that the bays of a contour that is not convex at the start are
  filled from the first step on (`delaunay_faces` of the start circle has none).
- Where a vertex moves across a triangle's base, the triangle turns over and covers what lies *outside* the
  polygon; both windings are filled. An arrow of area 4, made by pushing one corner of a square far inside, is
  drawn with area 8.
- Coinciding vertices are in no triangle: only one of them gets a gradient.

`napari_segsize.ops.polygon.polygon_mask` has none of these and is faster.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import Delaunay, QhullError
from torch import Tensor

from napari_segsize.ops.polygon import check_contours, polygon_mask


def delaunay_faces(contour: Tensor) -> Tensor:
    """Delaunay triangles of a contour's vertices.

    Parameters
    ----------
    contour : (K, 2) float Tensor

    Returns
    -------
    (F, 3) int64 Tensor
        Numbers of vertices, on the device of `contour`. The triangles fill the convex hull. Of vertices that
        coincide, one is used.

    Raises
    ------
    ValueError
        If all vertices lie on one line.
    """
    check_contours(contour[None])
    try:
        faces = Delaunay(contour.detach().cpu().double().numpy()).simplices
    except QhullError as error:
        raise ValueError(
            "contour: expected vertices that span a triangle, got all on one line or in one place. "
            "Triangulate the contour at its start."
        ) from error
    return torch.from_numpy(faces.astype(np.int64)).to(contour.device)


def mesh_mask(contours: Tensor, faces: Tensor, shape: tuple[int, int]) -> Tensor:
    """Share of every pixel that is covered by the union of the triangles between a contour's vertices.

    Parameters
    ----------
    contours : (N, K, 2) float Tensor
        As for `polygon_mask`.
    faces : (F, 3) int64 Tensor
        Triangles as numbers of vertices, the same for all contours; their sense of rotation does not matter.
    shape : (int, int)
        Height and width of the masks.

    Returns
    -------
    (N, 1, H, W) Tensor
        From 0 to 1, exact; differentiable in the contours on the outline of the union. (The published
        renderer counts 2 x 2 samples a pixel, and makes up a gradient that reaches farther.)

    Notes
    -----
    Takes about 25 times as many pairs of edges as `polygon_mask`: with 32 vertices, 30 triangles.
    """
    check_contours(contours)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise ValueError(f"faces: expected int64 (F, 3), got {faces.dtype} {tuple(faces.shape)}.")
    if len(faces) == 0 or faces.min() < 0 or faces.max() >= contours.shape[1]:
        raise ValueError(f"faces: expected at least one, of vertices 0 to {contours.shape[1] - 1}.")
    triangles = contours[:, faces.to(contours.device)]  # (N, F, 3, 2)
    first, second, third = triangles.unbind(2)
    one, two = second - first, third - first
    turned = (one[..., 0] * two[..., 1] < one[..., 1] * two[..., 0])[..., None]
    second, third = torch.where(turned, third, second), torch.where(turned, second, third)
    # One closed walk around all triangles, each the same way round, and back over the first corners: the way
    # from one to the next is gone in both directions, which leaves no trace. Inside the union it winds around
    # at least once.
    around = torch.stack([first, second, third, first], 2).flatten(1, 2)
    return polygon_mask(torch.cat([around, first[:, 1:-1].flip(1)], 1), shape, rule="nonzero")
