"""Outlines that a network believes in: what it is shown, and what of its answer counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, label
from torch import Tensor, nn

from napari_segsize.engine.alignment import align
from napari_segsize.engine.edge_config import AlignConfig
from napari_segsize.engine.learned_outline import alignment_inputs, learned_outline
from napari_segsize.engine.outline_search import signed_distances
from napari_segsize.engine.starter import load_alignment_starter, save_starter
from napari_segsize.errors import SegsizeError
from napari_segsize.models.alignment import build_alignment_net


def disk(radius: float = 12.0, side: int = 61, centre: tuple[float, float] = (30, 30)) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def picture(mask: np.ndarray, noise: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (gaussian_filter(mask.astype(float), 1.0) + noise * rng.standard_normal(mask.shape))[None]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


class Colour(nn.Module):
    """Believes that the object is where the first colour is above the mean."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, :1]


class Upper(nn.Module):
    """Believes in the upper half of what it is shown, and says nothing of the rest."""

    def forward(self, inputs: Tensor) -> Tensor:
        half = inputs.shape[2] // 2
        below = torch.zeros_like(inputs[:, :1, half:])
        return torch.cat([torch.ones_like(inputs[:, :1, :half]), below], 2)


@pytest.mark.parametrize("reach", [2, 4, 8])
def test_what_the_network_says_counts_within_the_reach_alone(reach: int) -> None:
    rough, truth = disk(12, centre=(33, 28)), disk(11)
    image = truth.astype(float)[None]
    found = learned_outline(rough, image, reach, Colour())
    wanted = np.where(np.abs(signed_distances(rough)) <= reach, truth, rough)
    assert np.array_equal(found, wanted)
    assert np.array_equal(found, truth) == (reach > 2)


def test_the_mean_of_four_turned_looks_decides() -> None:
    # each quarter turn puts another half in the upper one: everywhere two looks of four say yes
    assert (
        learned_outline(disk(), picture(disk()), 3, Upper()).sum() == (signed_distances(disk()) >= -3).sum()
    )


def test_a_long_reach_is_looked_at_in_a_smaller_image() -> None:
    shapes = []

    class Noting(Colour):
        def forward(self, inputs: Tensor) -> Tensor:
            shapes.append(tuple(inputs.shape[2:]))
            assert inputs[0, 4].max() <= 12 / 8
            return super().forward(inputs)

    rough, truth = disk(50, 161, (92, 70)), disk(46, 161, (80, 80))
    found = learned_outline(rough, truth.astype(float)[None], 24, Noting())
    assert shapes[0] == (89, 89)  # of 177, the frame of 8 px included
    assert overlap(found, truth) > 0.95
    assert overlap(rough, truth) < 0.75


def test_specks_and_holes_that_were_not_there_are_left_out() -> None:
    image = disk().astype(float)
    image[30, 46:48] = 1  # a speck within the reach
    image[30, 22:24] = 0  # a hole
    found = learned_outline(disk(11), image[None], 8, Colour())
    assert np.array_equal(found, disk())
    ring = disk() & ~disk(5)
    assert not learned_outline(ring, ring.astype(float)[None], 2, Colour())[30, 30]
    pair = disk(8, centre=(15, 15)) | disk(5, centre=(45, 45))
    assert label(learned_outline(pair, pair.astype(float)[None], 2, Colour()))[1] == 2


def test_what_it_is_shown() -> None:
    colours = 1e6 + torch.rand(1, 9, 7, dtype=torch.float64)  # small differences on a large value
    distance, inside = torch.full((9, 7), 3.0), torch.ones(9, 7)
    distance[0, 0], inside[0] = -99, 0
    inputs = alignment_inputs(colours, distance, inside, 6.0)
    assert inputs.dtype == torch.float32
    assert inputs.shape == (6, 9, 7)
    assert torch.equal(inputs[0], inputs[2])
    assert inputs[0].mean().abs() < 1e-4
    assert inputs[0].std() == pytest.approx(1, abs=1e-2)
    assert inputs[3, 1, 1] == 0.5
    assert inputs[3, 0, 0] == -2
    assert inputs[4].unique().tolist() == [0.75]
    assert torch.equal(inputs[5], inside)


def test_before_it_has_learned_the_rough_outline_stays() -> None:
    network = build_alignment_net(8, seed=0).eval()
    assert np.array_equal(learned_outline(disk(), picture(disk(9)), 6, network), disk())


def test_steps_lead_from_the_rough_outline_to_the_believed_one() -> None:
    rough = disk(12, centre=(33, 27))
    config = AlignConfig(method="learned", reach=8)
    steps = list(align(rough, image=picture(disk()), config=config))
    assert np.array_equal(steps[0], rough)
    assert np.array_equal(steps[-1], learned_outline(rough, picture(disk()), 8))
    fits = [overlap(step, disk()) for step in steps]
    assert fits == sorted(fits)
    assert 4 <= len(steps) <= 9  # about a pixel each
    few = list(align(rough, image=picture(disk()), config=AlignConfig(method="learned", steps=2)))
    assert len(few) <= 3
    assert np.array_equal(few[-1], steps[-1])


def test_colours_and_any_number_of_channels() -> None:
    rough, image = disk(12, centre=(33, 27)), picture(disk())
    for channels in (1, 2, 3, 5):
        found = learned_outline(rough, np.repeat(image, channels, 0), 8)
        assert overlap(found, disk()) > 0.9


def test_a_file_of_the_network(tmp_path) -> None:
    network = build_alignment_net(8, seed=1)
    save_starter(tmp_path / "one.safetensors", network, {"features": 8})
    again, entry = load_alignment_starter(tmp_path / "one.safetensors")
    assert entry == {"features": 8}
    for name, value in network.state_dict().items():
        assert torch.allclose(again.state_dict()[name], value, atol=1e-3)
    assert not again.training
    save_starter(tmp_path / "odd.safetensors", network, {"features": 16})
    with pytest.raises(SegsizeError, match="does not hold the network"):
        load_alignment_starter(tmp_path / "odd.safetensors")
