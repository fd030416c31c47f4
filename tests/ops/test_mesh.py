from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch
from torch.autograd import gradcheck

from napari_segsize.ops.mesh import delaunay_faces, mesh_mask
from napari_segsize.ops.outline import area
from napari_segsize.ops.polygon import polygon_mask
from napari_segsize.ops.starts import circle_contour

CIRCLE = circle_contour(torch.tensor([[8.0, 9.0]], dtype=torch.float64), torch.tensor([5.0]), 16)


def test_at_the_start_the_mesh_is_the_polygon():
    faces = delaunay_faces(CIRCLE[0])
    assert faces.shape == (14, 3)
    torch.testing.assert_close(mesh_mask(CIRCLE, faces, (18, 20)), polygon_mask(CIRCLE, (18, 20)))


def test_the_mask_is_the_union_of_the_triangles(rng):
    faces = delaunay_faces(CIRCLE[0])
    contours = CIRCLE + torch.from_numpy(rng.normal(scale=2.5, size=(6, 16, 2)))
    masks = mesh_mask(contours, faces, (26, 28))
    for contour, mask in zip(contours.numpy() + 4, mesh_mask(contours + 4, faces, (26, 28)), strict=True):
        union = shapely.unary_union(shapely.polygons(contour[faces.numpy()]))
        assert mask.sum().item() == pytest.approx(union.area)
    assert (masks.sum((1, 2, 3)) >= polygon_mask(contours, (26, 28)).sum((1, 2, 3)) - 1e-9).all()


def test_a_turned_triangle_is_drawn_outside_the_polygon():
    """The defect: an arrow of area 4 is drawn with area 8, as its notch has moved across the diagonal."""
    square = torch.tensor([[[2.0, 2.0], [6.0, 2.0], [6.0, 6.0], [2.0, 6.0]]], dtype=torch.float64)
    faces = torch.tensor([[0, 1, 3], [1, 2, 3]])
    arrow = square.clone()
    arrow[0, 2] = torch.tensor([3.0, 3.0])
    assert area(arrow).item() == pytest.approx(4.0)
    assert polygon_mask(arrow, (9, 9)).sum().item() == pytest.approx(4.0)
    assert mesh_mask(arrow, faces, (9, 9)).sum().item() == pytest.approx(8.0)


def test_delaunay_fills_the_bays_of_a_contour():
    """The defect: triangles fill the convex hull."""
    arrow = torch.tensor([[2.0, 2.0], [6.0, 2.0], [3.5, 3.0], [2.0, 6.0]], dtype=torch.float64)
    hull = shapely.MultiPoint(arrow.numpy()).convex_hull.area
    mask = mesh_mask(arrow[None], delaunay_faces(arrow), (9, 9))
    assert mask.sum().item() == pytest.approx(hull)
    assert mask.sum() > area(arrow[None]) + 0.5


def test_of_coinciding_vertices_one_gets_the_gradient():
    """The defect: rounded start circles lose the gradient at 13 of 70 vertices."""
    rounded = circle_contour(torch.tensor([[32.0, 32.0]]), torch.tensor([10.0]), 70).floor().requires_grad_()
    faces = delaunay_faces(rounded[0])
    used = faces.unique()
    assert len(used) == 57
    upstream = torch.arange(64 * 64, dtype=torch.float32).reshape(1, 1, 64, 64).sin()
    (gradient,) = torch.autograd.grad((mesh_mask(rounded, faces, (64, 64)) * upstream).sum(), rounded)
    left_out = np.setdiff1d(np.arange(70), used.numpy())
    assert len(left_out) == 13
    assert gradient[0, left_out].abs().max() == 0
    (gradient,) = torch.autograd.grad((polygon_mask(rounded, (64, 64)) * upstream).sum(), rounded)
    assert (gradient[0, left_out].abs().amax(1) > 0).all()


def test_gradient(rng):
    contours = CIRCLE[:, ::3] + torch.from_numpy(rng.normal(scale=1.5, size=(2, 6, 2)))
    faces = delaunay_faces(CIRCLE[0, ::3])
    assert gradcheck(
        lambda each: mesh_mask(each, faces, (16, 17)), contours.requires_grad_(), eps=1e-7, atol=1e-5
    )


def test_the_order_of_a_faces_vertices_does_not_matter():
    faces = delaunay_faces(CIRCLE[0])
    one, two = mesh_mask(CIRCLE, faces, (18, 20)), mesh_mask(CIRCLE, faces.flip(1), (18, 20))
    torch.testing.assert_close(one, two)
    alone = mesh_mask(CIRCLE, faces[:1], (18, 20))
    torch.testing.assert_close(alone, polygon_mask(CIRCLE[:, faces[0]], (18, 20)))


def test_bad_input_is_told():
    with pytest.raises(ValueError, match="all on one line"):
        delaunay_faces(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    with pytest.raises(ValueError, match=r"faces: expected int64 \(F, 3\)"):
        mesh_mask(CIRCLE, torch.tensor([[0, 1]]), (9, 9))
    with pytest.raises(ValueError, match="of vertices 0 to 15"):
        mesh_mask(CIRCLE, torch.tensor([[0, 1, 16]]), (9, 9))
