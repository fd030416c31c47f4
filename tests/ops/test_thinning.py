from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import convolve1d, map_coordinates
from torch.autograd import gradcheck

from napari_segsize.ops.thinning import (
    edge_map,
    mask_directions,
    normals,
    normals_of_mask,
    outline_map,
    ridge_directions,
    sample_along,
    thin,
    triangle_filter,
)

ANGLES = [
    math.radians(each) for each in (0, 5, 11.25, 22.5, 23.5, 37, 45, 60, 66.5, 89, 90, 113, 135, 160, 179)
]


def place(side: int = 41) -> tuple[torch.Tensor, torch.Tensor]:
    way = torch.arange(side, dtype=torch.float64) - side // 2
    return way[:, None].expand(side, side), way.expand(side, side)


def ridge(angle: float, *, shift: float = 0.0, width: float = 2.0) -> torch.Tensor:
    y, x = place()
    away = y * math.sin(angle) + x * math.cos(angle) - shift
    return torch.exp(-((away / width) ** 2) / 2)[None, None]


def apart(one: torch.Tensor | float, other: torch.Tensor | float) -> torch.Tensor:
    """Between two directions without sign, in degrees."""
    return torch.rad2deg(
        torch.as_tensor(one - other).sub(math.pi / 2).remainder(math.pi).sub(math.pi / 2).abs()
    )


@settings(max_examples=60, deadline=None)
@given(
    arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    st.sampled_from(["ignore", "background"]),
)
def test_edges_are_the_pixels_near_one_of_the_other_kind(mask, radius, border):
    found = edge_map(torch.from_numpy(mask)[None, None], radius, border=border)[0, 0].numpy()
    wide = np.pad(mask, 1) if border == "background" else mask
    kinds = [np.argwhere(wide == kind) for kind in (False, True)]
    for y, x in np.argwhere(np.ones_like(mask)):
        at = np.array([y, x]) + (border == "background")
        others = kinds[int(not mask[y, x])]
        near = len(others) > 0 and np.hypot(*(others - at).T).min() <= radius
        assert found[y, x] == near


@pytest.mark.parametrize(("radius", "wide"), [(1.0, 2), (2.0, 4), (2.9, 4), (3.0, 6)])
def test_a_straight_edge_is_twice_the_radius_wide(radius, wide):
    mask = torch.zeros(1, 1, 9, 20, dtype=torch.bool)
    mask[..., 10:] = True
    assert (edge_map(mask, radius)[0, 0].sum(1) == wide).all()


def test_the_outline_is_one_pixel_wide():
    mask = torch.zeros(1, 1, 9, 20, dtype=torch.bool)
    mask[..., 10:] = True
    assert outline_map(mask)[0, 0].nonzero()[:, 1].tolist() == [10] * 9
    assert outline_map(mask, border="background").sum() == 9 + 9 + 8 + 8
    mask[..., 4, 15] = False
    assert (outline_map(mask) & ~edge_map(mask, 1.0)).sum() == 0
    assert outline_map(mask).sum() == 9 + 4


def test_every_class_has_edges_of_its_own():
    mask = torch.zeros(1, 2, 8, 8, dtype=torch.bool)
    mask[0, 0, :, 4:] = True
    assert edge_map(mask)[0, 0].any()
    assert not edge_map(mask)[0, 1].any()
    assert not edge_map(~mask)[0, 1].any()
    assert edge_map(~mask, border="background")[0, 1].sum() == 64 - 16


def test_the_triangle_is_that_of_its_formula():
    values = torch.rand(2, 3, 7, 9, dtype=torch.float64)
    for radius in (1, 2, 4):
        weights = np.concatenate([np.arange(1, radius + 2), np.arange(radius, 0, -1)]) / (radius + 1) ** 2
        expected = values.numpy()
        for axis in (2, 3):
            expected = convolve1d(expected, weights, axis=axis, mode="nearest")
        assert np.allclose(triangle_filter(values, radius).numpy(), expected)
    assert triangle_filter(values, 0) is values


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("shift", [0.0, 0.37])
@pytest.mark.parametrize("width", [1.0, 2.0, 3.0])
def test_the_normal_of_a_ridge_is_right_at_every_angle(angle, shift, width):
    values = ridge(angle, shift=shift, width=width)
    found = normals(values)[0, 0]
    assert ((found >= 0) & (found < math.pi)).all()
    middle = values[0, 0] > 0.8  # where a slope turns from bending down to bending up, no way prevails
    middle[:8] = middle[-8:] = False
    middle[:, :8] = middle[:, -8:] = False
    assert middle.any()
    assert apart(found[middle], angle).max() < (0.5 if width < 2 else 0.1)  # the released code: up to 12.8
    assert apart(normals(values, smoothing=2)[0, 0][middle], angle).max() < 3


def test_the_normal_is_across_a_ridge_and_across_a_valley_and_on_its_slopes():
    values = ridge(0.6)
    assert apart(normals(values), normals(1 - values))[0, 0, 10:-10, 10:-10].max() < 1e-6
    y, x = place()
    flank = (
        ((values[0, 0] > 0.8) | (values[0, 0] < 0.2) & (values[0, 0] > 0.05))
        & (y.abs() < 10)
        & (x.abs() < 10)
    )
    assert apart(normals(values)[0, 0][flank], 0.6).max() < 0.5


def test_directions_are_twice_the_angle():
    values = torch.rand(1, 2, 9, 8, dtype=torch.float64)
    doubled, angle = ridge_directions(values, smoothing=1), normals(values, smoothing=1)
    length = doubled.norm(dim=2)
    assert torch.allclose(doubled[:, :, 0], length * (2 * angle).cos())
    assert torch.allclose(doubled[:, :, 1], length * (2 * angle).sin())


def test_directions_are_those_of_the_eigenvector_with_the_larger_eigenvalue():
    way = torch.arange(-8.0, 9.0, dtype=torch.float64)
    y, x = way[:, None], way
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        a, b, c = torch.randn(3, generator=generator, dtype=torch.float64).tolist()
        found = normals((a * y**2 + 2 * b * x * y + c * x**2)[None, None], smoothing=1)[0, 0, 8, 8]
        values, vectors = np.linalg.eigh([[a, b], [b, c]])
        down, across = vectors[:, np.abs(values).argmax()]
        assert apart(found, math.atan2(down, across)) < 1e-6


@pytest.mark.parametrize("radius", [6.0, 12.3])
def test_the_normals_of_a_disk_point_to_its_centre(radius):
    y, x = place()
    mask = (y**2 + x**2 <= radius**2)[None, None]
    near = edge_map(mask, 2.0)[0, 0]
    expected = torch.atan2(y, x)
    assert apart(normals_of_mask(mask)[0, 0][near], expected[near]).max() < 9
    assert apart(normals_of_mask(mask)[0, 0][near], expected[near]).mean() < 2.5


@pytest.mark.parametrize("angle", ANGLES)
def test_the_normals_of_half_a_plane(angle):
    y, x = place()
    mask = (y * math.sin(angle) + x * math.cos(angle) > 0.3)[None, None]
    near = edge_map(mask, 2.0)[0, 0]
    near[:6] = near[-6:] = False
    near[:, :6] = near[:, -6:] = False
    off = apart(normals_of_mask(mask)[0, 0][near], angle)
    assert off.mean() < 3
    assert off.max() < 7


def test_more_smoothing_evens_out_the_steps_of_the_pixels():
    y, x = place()
    mask = (y * math.sin(0.2) + x * math.cos(0.2) > 0)[None, None]
    near = edge_map(mask, 1.0)[0, 0]
    rough, smooth = (apart(normals_of_mask(mask, smoothing=each)[0, 0][near], 0.2).mean() for each in (0, 4))
    assert smooth < rough / 2


def test_a_thin_object_has_normals_too():
    for wide in (1, 2):
        mask = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
        mask[..., 8 : 8 + wide, :] = True
        assert apart(normals_of_mask(mask)[mask], math.pi / 2).max() < 0.1


def test_without_outline_there_is_no_direction():
    for mask in (torch.zeros(1, 1, 6, 7, dtype=torch.bool), torch.ones(1, 1, 1, 1, dtype=torch.bool)):
        assert not mask_directions(mask).any()
        assert not normals_of_mask(mask).any()


def test_samples_lie_on_the_line():
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(1, 2, 6, 5, dtype=torch.float64, generator=generator)
    angles = torch.rand(1, 2, 6, 5, dtype=torch.float64, generator=generator) * math.pi
    offsets = (-2.0, -0.5, 0.0, 1.0)
    found = sample_along(values, angles, offsets)
    assert torch.equal(found[:, :, 2], values)
    y, x = np.mgrid[:6, :5]
    for channel in range(2):
        for number, offset in enumerate(offsets):
            angle = angles[0, channel].numpy()
            at = [y + offset * np.sin(angle), x + offset * np.cos(angle)]
            expected = map_coordinates(values[0, channel].numpy(), at, order=1, mode="nearest")
            assert np.allclose(found[0, channel, number].numpy(), expected)


def test_gradients():
    values = torch.rand(1, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    angles = torch.rand(1, 2, 6, 7, dtype=torch.float64) * math.pi
    assert gradcheck(lambda v: sample_along(v, angles, (-1.5, 0.0, 2.0)), values)
    assert gradcheck(lambda v: ridge_directions(v, smoothing=1), values)
    assert gradcheck(lambda v: triangle_filter(v, 2), values)
    assert gradcheck(lambda v: thin(v, smoothing=0), values)


@pytest.mark.parametrize("angle", ANGLES)
def test_a_wide_ridge_becomes_a_line(angle):
    thinned = thin(ridge(angle, shift=0.2, width=3.0))[0, 0]
    y, x = place()
    away = (y * math.sin(angle) + x * math.cos(angle) - 0.2).abs()
    inside = (y.abs() < 14) & (x.abs() < 14)
    assert (away[(thinned > 0) & inside] <= 1.01).all()
    near = (away <= 0.51) & inside
    dense = (thinned > 0)[near].double().mean()
    assert dense > 0.8
    length = 29 / max(abs(math.sin(angle)), abs(math.cos(angle)))
    assert int(((thinned > 0) & inside).sum()) <= 2 * length  # at most 2 px wide


def test_a_thick_mask_edge_becomes_at_most_two_pixels_wide():
    y, x = place()
    edges = edge_map((y**2 + x**2 < 12**2)[None, None], 2.0)
    thinned = thin(edges.double())[0, 0]
    line = thinned > thinned.max() / 2
    away = (y**2 + x**2).sqrt() - 11.5
    assert (away[line].abs() < 1.6).all()
    assert line.sum() <= 2 * 2 * math.pi * 12
    assert line.sum() >= 2 * math.pi * 10


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (20, 20)])
def test_a_constant_map_has_no_edges(value, shape):
    assert not thin(torch.full((1, 1, *shape), value)).any()
    assert torch.isfinite(normals(torch.full((1, 1, *shape), value))).all()


def test_equals_a_suppression_written_pixel_by_pixel():
    generator = torch.Generator().manual_seed(2)
    values = torch.rand(1, 1, 14, 15, dtype=torch.float64, generator=generator)
    found = thin(values, radius=2, smoothing=1)[0, 0].numpy()
    smooth, angle = triangle_filter(values, 1)[0, 0].numpy(), normals(values)[0, 0].numpy()
    for y, x in np.ndindex(14, 15):
        down, across = math.sin(angle[y, x]), math.cos(angle[y, x])
        at = np.array([[y + t * down, x + t * across] for t in (-2, -1, 1, 2)]).T
        around = map_coordinates(smooth, at, order=1, mode="nearest")
        assert found[y, x] == (smooth[y, x] if smooth[y, x] >= around.max() - 1e-5 else 0)


def test_every_setting_of_the_thinning_matters():
    twins = torch.maximum(ridge(0.0, shift=-2, width=0.7), 0.8 * ridge(0.0, shift=1, width=0.7))
    columns = [
        int((thin(twins, radius=each, smoothing=0, steadiness=1)[0, 0, 20] > 0.1).sum()) for each in (1, 3)
    ]
    assert columns == [2, 1]  # the lower of two ridges 3 px apart
    noisy = ridge(0.3) + 0.2 * torch.rand(1, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    counts = [int((thin(noisy, smoothing=each) > 0).sum()) for each in (0, 3)]
    assert counts[1] < counts[0]
    counts = [int((thin(noisy, steadiness=each) > 0).sum()) for each in (1, 6)]
    assert counts[0] != counts[1]
    faded, whole = thin(ridge(0.0), fade=5)[0, 0, :, 20], thin(ridge(0.0))[0, 0, :, 20]
    assert torch.allclose(faded[:6], whole[:6] * torch.arange(6) / 5)
    assert torch.equal(faded[6:-6], whole[6:-6])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: edge_map(torch.zeros(3, 3, dtype=torch.bool)), "mask: expected boolean"),
        (lambda: edge_map(torch.zeros(1, 1, 3, 3)), "mask: expected boolean"),
        (lambda: edge_map(torch.zeros(1, 1, 3, 3, dtype=torch.bool), 0.5), "radius: expected 1 px"),
        (lambda: triangle_filter(torch.zeros(1, 1, 3, 3), -1), "radius: expected 0 px"),
        (lambda: normals(torch.zeros(3, 3)), "values: expected"),
        (lambda: thin(torch.zeros(1, 1, 3, 3), radius=0), "radius: expected 1 px"),
        (lambda: thin(torch.zeros(1, 1, 0, 3)), "edges: expected"),
        (lambda: sample_along(torch.zeros(1, 1, 3, 3), torch.zeros(3, 3), (0.0,)), "angles: expected"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
