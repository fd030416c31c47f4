from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_segsize.ops import centroid
from napari_segsize.ops.roi import Rois, cut_rois, rois_of_points, rois_of_stamps

SCALES = (0.25, 0.5, 0.9, 1.0, 1.3, 2.0, 4.7, 11.0, 30.0)


def at(centre: tuple[float, float], scale: float) -> Rois:
    return Rois(torch.tensor([centre], dtype=torch.float64), torch.tensor([scale], dtype=torch.float64))


@pytest.mark.parametrize("scale", SCALES)
def test_there_and_back_is_the_same_point(scale):
    rois = at((1234.56, -7.8), scale)
    points = torch.rand(5, 1, 30, 2, dtype=torch.float64) * 80 - 8  # five iterations of a contour
    back = rois.inside(rois.outside(points, 64), 64)
    assert (back - points).abs().max() < 1e-9


def test_a_region_covers_its_scale_times_its_side_from_edge_to_edge():
    corners = torch.tensor([[[-0.5, -0.5], [15.5, 15.5]]], dtype=torch.float64)
    found = at((10.0, 20.0), 3.0).outside(corners, 16)
    assert found[0].tolist() == [[10 - 24, 20 - 24], [10 + 24, 20 + 24]]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (6.3, -3.8)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0)])
def test_a_spot_lies_where_the_coordinates_say(scale, shift, spacing):
    """A bright Gaussian spot at an image's corner, at any scale, in a layer moved and stretched."""
    sigma = 2.5 * max(scale, 1.0)
    side = 48 if scale >= 1 else int(48 / scale)
    spot = np.array([5.3, 5.8]) * sigma  # the region reaches over the border
    world = spot * spacing + (100.0, -30.0)
    data = torch.from_numpy((world - (100.0, -30.0)) / spacing)
    y, x = (np.arange(int(18 * sigma)) - place for place in spot)
    image = torch.from_numpy(np.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma**2)))[None]
    rois = at((spot[0] + shift[0] * scale, spot[1] + shift[1] * scale), scale)
    found = centroid(cut_rois(image, rois, side))
    expected = rois.inside(data[None, None], side)[0]
    assert (found - expected).abs().max() < 0.05 * min(scale, 1)
    assert (rois.outside(found, side)[0, 0] - torch.from_numpy(spot)).abs().max() < 0.05 * max(scale, 1)


def area_means(image: np.ndarray, rois: Rois, side: int) -> np.ndarray:
    """One region by its definition: mean of the nearest-neighbour image over each region pixel's square."""
    fine = 40
    scale = float(rois.scale[0])
    width = max(scale, 1.0)
    steps = (np.arange(fine) + 0.5) / fine - 0.5
    index = []
    for centre, edge in zip(rois.centre[0].tolist(), image.shape, strict=True):
        place = centre + scale * (np.arange(side) - (side - 1) / 2)
        index.append(np.clip(np.rint(place[:, None] + width * steps), 0, edge - 1).astype(int))
    return image[index[0][:, None, :, None], index[1][None, :, None, :]].mean((2, 3))


@pytest.mark.parametrize("scale", [0.25, 0.6, 1.0, 1.7, 5.0, 30.0])
@pytest.mark.parametrize("centre", [(20.3, 31.7), (-3.1, 2.2), (44.0, 61.3), (-400.0, 500.0)])
def test_equals_its_definition_inside_and_over_the_border(rng, scale, centre):
    image = rng.standard_normal((41, 58))
    found = cut_rois(torch.from_numpy(image)[None], at(centre, scale), 8)[0, 0]
    # The reference draws 40 x 40 samples of a piecewise constant function.
    assert np.abs(found.numpy() - area_means(image, at(centre, scale), 8)).max() < 0.12


def test_magnifying_is_bilinear_as_torch_computes_it(rng):
    image = torch.from_numpy(rng.standard_normal((2, 20, 30)))
    found = cut_rois(image, at((9.5, 14.5), 0.25), 40)  # rows 4.5 to 14.5 of 20, columns 9.5 to 19.5 of 30
    size = {"scale_factor": 4, "mode": "bilinear", "align_corners": False}
    whole = torch.nn.functional.interpolate(image[None], **size)
    torch.testing.assert_close(found, whole[:, :, 20:60, 40:80])


def test_at_scale_one_on_whole_pixels_it_copies():
    image = torch.arange(70.0).reshape(1, 7, 10)
    assert torch.equal(cut_rois(image, at((3.5, 4.5), 1.0), 4), image[None, :, 2:6, 3:7])


def test_reducing_does_not_alias():
    """Stripes finer than a region pixel become grey, whatever their phase; edges of 2000 px stay in place."""
    stripes = (torch.arange(640) % 2).float().expand(1, 640, 640)
    grey = cut_rois(stripes, at((320.3, 319.1), 9.0), 64)
    assert (grey - 0.5).abs().max() < 0.06
    big = torch.zeros(1, 2400, 2400)
    big[:, 200:2200, 200:2200] = 1
    rois = rois_of_points(torch.tensor([[[200.0, 900], [1100, 200], [2199, 800], [900, 2199]]]), 64)
    found = cut_rois(big, rois, 64)
    assert found.sum() * rois.scale**2 == pytest.approx(2000**2, rel=1e-4)


def test_an_object_of_five_pixels_fills_its_region():
    image = torch.zeros(1, 40, 40)
    image[:, 10:15, 20:25] = 1
    rois = rois_of_points(torch.tensor([[[10.0, 22], [12, 20], [14, 22], [12, 24]]]), 64)
    assert rois.scale.item() == pytest.approx(5 * 1.5 / 64)
    found = cut_rois(image, rois, 64)
    assert (found > 0.5).sum() * rois.scale**2 == pytest.approx(25, rel=0.1)
    assert centroid(found)[0, 0].tolist() == pytest.approx([31.5, 31.5], abs=0.01)


def test_regions_of_all_scales_from_one_image_equal_each_alone(rng):
    image = torch.from_numpy(rng.standard_normal((3, 90, 70))).float()
    rois = Rois(torch.rand(40, 2) * 100 - 10, torch.rand(40) * 4 + 0.05)
    together = cut_rois(image, rois, 16)
    assert together.shape == (40, 3, 16, 16)
    for k in range(40):
        alone = cut_rois(image, Rois(rois.centre[k : k + 1], rois.scale[k : k + 1]), 16)
        torch.testing.assert_close(together[k : k + 1], alone, atol=1e-4, rtol=1e-4)


def test_regions_in_several_rounds_for_memory_are_the_same(rng, monkeypatch):
    image = torch.from_numpy(rng.standard_normal((1, 90, 70)))
    rois = Rois(torch.rand(9, 2).double() * 90, torch.rand(9).double() * 3 + 0.5)
    whole = cut_rois(image, rois, 8)
    monkeypatch.setattr("napari_segsize.ops.roi._WINDOWS", 1)
    torch.testing.assert_close(cut_rois(image, rois, 8), whole)


def test_margin_is_context_in_units_of_the_extent():
    points = torch.tensor([[[10.0, 22], [12, 20], [14, 22], [12, 29]]])  # 5 high, 10 wide
    for margin in (0.0, 0.25, 1.0):
        rois = rois_of_points(points, 50, margin=margin)
        assert rois.scale.item() * 50 == pytest.approx(10 * (1 + 2 * margin))
        assert rois.centre[0].tolist() == [12, 24.5]
        stamps = rois_of_stamps(torch.tensor([[3.0, 4.0]]), torch.tensor([12]), 50, margin=margin)
        assert stamps.scale.item() * 50 == pytest.approx(12 * (1 + 2 * margin))


def test_coincident_points_and_size_zero_make_a_small_region_not_none():
    for rois in (
        rois_of_points(torch.full((1, 4, 2), 7), 64),
        rois_of_stamps(torch.tensor([[7, 7]]), torch.tensor([0.0]), 64),
    ):
        assert math.isclose(
            rois.scale.item() * 64, 2 * (1.5 if rois.scale.item() < 0.05 else 3), rel_tol=1e-6
        )
        assert cut_rois(torch.ones(1, 9, 9), rois, 64).isfinite().all()


def test_bad_pixels_stay_in_their_place_and_every_type_is_cut():
    image = torch.ones(1, 30, 30)
    image[0, 2, 2] = torch.nan
    image[0, 2, 3] = torch.inf
    rois = Rois(torch.tensor([[4.0, 4.0], [24.0, 24.0]]), torch.tensor([0.5, 2.0]))
    found = cut_rois(image, rois, 8)
    assert found.isfinite().all()
    assert (found[1] == 1).all()
    assert cut_rois(torch.ones(1, 9, 9, dtype=torch.uint8), rois, 8).dtype == torch.float32
    assert cut_rois(torch.ones(1, 9, 9).double(), rois, 8).dtype == torch.float64
    assert cut_rois(image, Rois(torch.empty(0, 2), torch.empty(0)), 8).shape == (0, 1, 8, 8)


def test_regions_move_between_devices_with_their_numbers():
    rois = at((1.0, 2.0), 3.0).to(torch.device("cpu"))
    assert len(rois) == 1
    assert rois.scale == 3


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Rois(torch.zeros(2, 3), torch.zeros(2)), r"Rois: expected centres \(M, 2\)"),
        (lambda: rois_of_points(torch.zeros(2, 0, 2), 64), "points: expected finite"),
        (lambda: rois_of_points(torch.full((1, 4, 2), torch.nan), 64), "points: expected finite"),
        (lambda: rois_of_points(torch.zeros(1, 4, 2), 64, margin=-0.1), "margin, side: expected"),
        (lambda: rois_of_stamps(torch.full((1, 2), torch.nan), torch.ones(1), 64), "centre, size: expected"),
        (lambda: cut_rois(torch.zeros(4, 4), at((0.0, 0.0), 1.0), 4), r"image: expected \(C, H, W\)"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
