from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from homology_oracle import betti, cell_diagram, diagram
from torch.autograd import gradcheck

from napari_segsize.losses import TopologyLoss, topology_loss


def plane(*rows: str) -> torch.Tensor:
    """Logits of a picture: digits are tenths of probability, ``#`` is 0.97 and a dot 0.03."""
    tenths = {".": 0.03, "#": 0.97, **{str(k): k / 10 for k in range(1, 10)}}
    probs = [[tenths[letter] for letter in row] for row in rows]
    return torch.logit(torch.tensor(probs, dtype=torch.float64))[None, None]


def brute_loss(probs: np.ndarray, target: np.ndarray, dimensions: tuple[int, ...], least: float) -> float:
    """Diagram by flooding, numbers by ranks, points matched one by one."""
    total = 0.0
    found = diagram if probs.ndim == 2 else cell_diagram
    for dimension in dimensions:
        points = sorted(found(probs, dimension), key=lambda each: each[1] - each[0])
        count = betti(target)[dimension]
        for number, (birth, death) in enumerate(points):
            if number < count:
                total += (birth - 1) ** 2 + death**2
            elif birth - death > least:
                total += (birth - death) ** 2 / 2
        total += 0.5 * max(count - len(points), 0)
    return total


def slope(logits: torch.Tensor, target: torch.Tensor, **options: object) -> torch.Tensor:
    logits = logits.clone().requires_grad_()
    topology_loss(logits, target, **options).backward()
    return logits.grad[0, 0]


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (9, 9)])
@pytest.mark.parametrize("dimensions", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("least", [0.0, 0.3])
def test_equals_brute_force(shape, dimensions, least):
    logits, target = 2 * torch.randn(3, 2, *shape, dtype=torch.float64), torch.rand(3, 2, *shape) < 0.5
    found = topology_loss(logits, target, dimensions=dimensions, least=least, reduction="none")
    for n, c in np.ndindex(3, 2):
        probs = 1 / (1 + np.exp(-logits[n, c].numpy()))
        expected = brute_loss(probs, target[n, c].numpy(), dimensions, least)
        assert found[n, c].item() == pytest.approx(expected)


@pytest.mark.parametrize("dimensions", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("least", [0.0, 0.3])
def test_volumes_equal_brute_force(dimensions, least):
    logits, target = 2 * torch.randn(2, 2, 3, 4, 5, dtype=torch.float64), torch.rand(2, 2, 3, 4, 5) < 0.5
    target[0, 0] = True
    target[0, 0, 1, 1:3, 1:4] = False  # a cavity
    found = topology_loss(logits, target, dimensions=dimensions, least=least, reduction="none")
    for n, c in np.ndindex(2, 2):
        probs = 1 / (1 + np.exp(-logits[n, c].numpy()))
        expected = brute_loss(probs, target[n, c].numpy(), dimensions, least)
        assert found[n, c].item() == pytest.approx(expected)


def test_patches_of_a_volume_are_volumes_of_their_own():
    logits, target = torch.randn(2, 1, 7, 4, 6, dtype=torch.float64), torch.rand(2, 1, 7, 4, 6) < 0.5
    both = (0, 1, 2)
    found = slope(logits[:1], target[:1], patch=4, dimensions=both)
    values = []
    for z in (slice(0, 4), slice(4, 7)):
        for x in (slice(0, 4), slice(4, 6)):
            part = (..., z, slice(None), x)
            values.append(topology_loss(logits[part], target[part], dimensions=both, reduction="none"))
            assert torch.allclose(found[part], slope(logits[part][:1], target[part][:1], dimensions=both) / 4)
    whole = topology_loss(logits, target, patch=4, dimensions=both, reduction="none")
    assert torch.allclose(whole, torch.stack(values).mean(0))


def test_a_plane_is_a_volume_of_one_slice():
    logits, target = torch.randn(2, 1, 8, 9), torch.rand(2, 1, 8, 9) < 0.5
    flat = topology_loss(logits, target)
    assert topology_loss(logits[:, :, None], target[:, :, None]) == pytest.approx(flat.item())


def test_the_critical_voxels_of_a_broken_ring_and_of_a_cavity_are_moved():
    ring = torch.full((1, 1, 3, 7, 7), -3.0)
    ring[0, 0, 1, 1:6, 1:6] = 3.0
    ring[0, 0, 1, 2:5, 2:5] = -3.0
    wanted = ring > 0
    ring[0, 0, 1, 1, 3] = -1.0  # the gap
    found = slope(ring, wanted, dimensions=(1,))
    assert found[1, 1, 3] < 0  # descending closes it
    assert (found != 0).sum() <= 2
    hollow = torch.full((1, 1, 5, 5, 5), -3.0)
    hollow[0, 0, 1:4, 1:4, 1:4] = 3.0
    solid = hollow > 0
    hollow[0, 0, 2, 2, 2] = -2.0
    assert topology_loss(hollow, solid) < 0.01  # cavities are not asked for
    assert topology_loss(hollow, solid, dimensions=(2,)) > 0.3
    assert slope(hollow, solid, dimensions=(2,))[2, 2, 2] < 0  # descending fills it


def test_patches_are_images_of_their_own():
    logits, target = torch.randn(2, 2, 10, 13, dtype=torch.float64), torch.rand(2, 2, 10, 13) < 0.5
    found = topology_loss(logits, target, patch=6, reduction="none")
    parts = [
        topology_loss(logits[..., y, x], target[..., y, x], reduction="none")
        for y in (slice(0, 6), slice(6, 10))
        for x in (slice(0, 6), slice(6, 12), slice(12, 13))
    ]
    assert torch.allclose(found, torch.stack(parts).mean(0))
    whole = topology_loss(logits, target, reduction="none")
    assert torch.allclose(topology_loss(logits, target, patch=13, reduction="none"), whole)


@pytest.mark.parametrize("patch", [None, 3])
def test_gradient(patch):
    logits, target = torch.randn(2, 1, 5, 6, dtype=torch.float64), torch.rand(2, 1, 5, 6) < 0.5
    assert gradcheck(lambda z: topology_loss(z, target, patch=patch), logits.requires_grad_())


@pytest.mark.parametrize("patch", [None, 2])
def test_gradient_of_volumes(patch):
    logits, target = torch.randn(1, 1, 3, 4, 3, dtype=torch.float64), torch.rand(1, 1, 3, 4, 3) < 0.5
    options = {"patch": patch, "dimensions": (0, 1, 2)}
    assert gradcheck(lambda z: topology_loss(z, target, **options), logits.requires_grad_())


class TestErrorsOfThePublishedCode:
    """What the code of 2021 does wrong, one by one; numbers as in the notes on it."""

    RING = plane(".........", "..#####..", "..#...#..", "..#...#..", "..#####..", ".........")
    DISK = plane(".........", "..#####..", "..#####..", "..#####..", "..#####..", ".........")

    def test_1_holes_count(self):
        """There, only parts do: a spurious hole costs nothing."""
        solid = self.DISK > 0
        holed = self.DISK.clone()
        holed[..., 3, 4] = -2.0
        extra = topology_loss(holed, solid) - topology_loss(self.DISK, solid)
        assert extra > 0.3
        assert slope(holed, solid)[3, 4] < 0  # descending fills it

    def test_1_a_part_that_is_split_in_two_counts(self):
        """There, a target of one part is skipped altogether."""
        split = plane("#########", ".........")
        whole = split > 0
        split[..., 0, 4] = -1.0
        joined = torch.where(whole, 3.5, -3.5).double()
        assert topology_loss(split, whole) > topology_loss(joined, whole) + 0.2
        assert slope(split, whole)[0, 4] < 0  # descending joins them

    def test_2_wanted_parts_rise_and_their_saddles_fall(self):
        """There, the targets are swapped: peaks go down and saddles up."""
        two = plane("8..7.5..8")
        target = torch.tensor([[[[1, 0, 0, 0, 0, 0, 0, 0, 1]]]])
        gradient = slope(two, target, dimensions=(0,))
        assert gradient[0, 0] < 0  # both ends should be parts: up
        assert gradient[0, 8] < 0
        assert gradient[0, 3] > 0  # a third part should vanish: down, unless it joins another
        assert gradient[0, 4] + gradient[0, 6] <= 0

    def test_2_a_wanted_hole_is_opened_and_its_rim_closed(self):
        faint = self.RING.clone()
        faint[..., 2:4, 3:6] = torch.logit(torch.tensor(0.4))
        faint[..., 1, 4] = torch.logit(torch.tensor(0.7))  # the weakest place of the rim
        gradient = slope(faint, self.RING > 0, dimensions=(1,))
        assert gradient[1, 4] < 0
        assert (gradient[2:4, 3:6] > 0).sum() == 1  # one pixel stands for the death

    def test_3_the_diagram_and_the_loss_use_the_same_numbers(self):
        """There, the diagram is of probabilities and the loss of raw logits."""
        logits = plane("9.6.4")
        points = diagram(logits.sigmoid()[0, 0].numpy() + 1e-9 * np.arange(5), 0)
        expected = sum((b - d) ** 2 / 2 for b, d in points)
        found = topology_loss(logits, torch.zeros_like(logits), dimensions=(0,))
        assert found.item() == pytest.approx(expected, abs=1e-6)

    def test_4_pixels_are_found_in_every_patch(self):
        """There, the partner of a pixel is read without the offset of the patch."""
        logits, target = torch.randn(1, 1, 12, 12, dtype=torch.float64), torch.rand(1, 1, 12, 12) < 0.5
        gradient = slope(logits, target, patch=6)
        for y, x in np.ndindex(2, 2):
            part = (..., slice(6 * y, 6 * y + 6), slice(6 * x, 6 * x + 6))
            assert torch.allclose(gradient[part], slope(logits[part], target[part]) / 4)

    def test_5_every_row_of_patches_counts(self):
        """There, only the top band does."""
        logits = torch.full((1, 1, 12, 6), -4.0)
        logits[..., 10, 3] = 2.0
        target = torch.zeros(1, 1, 12, 6)
        assert slope(logits, target, patch=6)[10, 3] > 0

    def test_6_planes_that_are_not_square_are_not_scrambled(self):
        """There, a 4 x 6 plane with two parts has three."""
        logits = plane("##....", "......", "....##", "....##")
        right = logits > 0
        assert topology_loss(logits, right) < 0.05
        assert topology_loss(logits.mT, right.mT) == pytest.approx(topology_loss(logits, right).item())

    def test_7_batches_channels_and_uniform_planes(self):
        """There, one image on one CUDA device, and a uniform patch ends the program."""
        logits = torch.randn(3, 2, 8, 8, dtype=torch.float64)
        logits[1, 0] = 0.0
        logits[2, 1] = -50.0
        target = torch.rand(3, 2, 8, 8) < 0.5
        each = topology_loss(logits, target, patch=4, reduction="none")
        for n, c in np.ndindex(3, 2):
            alone = topology_loss(logits[n : n + 1, c : c + 1], target[n : n + 1, c : c + 1], patch=4)
            assert each[n, c] == pytest.approx(alone.item())


def test_only_the_chosen_dimensions_count():
    holed = TestErrorsOfThePublishedCode.RING
    solid = TestErrorsOfThePublishedCode.DISK > 0
    assert topology_loss(holed, solid, dimensions=(0,)) < 0.01
    assert topology_loss(holed, solid, dimensions=(1,)) > 0.3


def test_dots_of_little_persistence_may_be_left_alone():
    logits = plane("#.1.#.1")
    target = torch.tensor([[[[1, 0, 0, 0, 1, 0, 0]]]])
    assert slope(logits, target, dimensions=(0,))[0, 6] > 0
    assert slope(logits, target, dimensions=(0,), least=0.1)[0, 6] == 0


def test_a_wanted_hole_without_a_dot_costs_a_half():
    flat = torch.zeros(1, 1, 5, 5, requires_grad=True)
    ring = torch.zeros(1, 1, 5, 5)
    ring[..., 1:4, 1:4] = 1
    ring[..., 2, 2] = 0
    value = topology_loss(flat, ring, dimensions=(1,))
    value.backward()
    assert value == 0.5
    assert (flat.grad == 0).all()


def test_the_same_with_several_threads(monkeypatch):
    logits, target = torch.randn(6, 1, 16, 16), torch.rand(6, 1, 16, 16) < 0.5
    expected = topology_loss(logits, target, reduction="none")
    monkeypatch.setattr("napari_segsize.losses.topology._SHARE", 64)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(topology_loss(logits, target, reduction="none"), expected)


def test_descending_closes_a_broken_ring():
    target = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    target[..., 3:13, 3:13] = True
    target[..., 5:11, 5:11] = False
    logits = torch.where(target, 2.0, -2.0)
    logits[..., 3:5, 7:9] = -1.5  # a gap of 2 pixels, a shade above the background
    logits += 0.05 * torch.randn(1, 1, 16, 16)
    assert betti((logits[0, 0] > 0).numpy()) == (1, 0)
    logits.requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(80):
        optimizer.zero_grad()
        topology_loss(logits, target).backward()
        optimizer.step()
    assert betti((logits[0, 0] > 0).numpy()) == (1, 1)


def test_descending_closes_a_broken_tube_and_fills_a_cavity():
    """Of a volume: a handle and a cavity, by the voxels they hang on alone."""
    target = torch.zeros(1, 1, 9, 9, 9, dtype=torch.bool)
    target[..., 1:8, 1:8, 1:8] = True
    target[..., 3:6, 3:6] = False  # a tunnel through
    logits = torch.where(target, 2.0, -2.0)
    logits[..., 1:8, 1:3, 4] = -1.5  # slit open on one side, a shade above the background
    logits[..., 4, 6, 6] = -2.0  # hollow on the other
    logits += 0.05 * torch.randn(1, 1, 9, 9, 9)
    assert betti((logits[0, 0] > 0).numpy()) == (1, 0, 1)
    logits.requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(80):
        optimizer.zero_grad()
        topology_loss(logits, target, dimensions=(0, 1, 2)).backward()
        optimizer.step()
    assert betti((logits[0, 0] > 0).numpy()) == (1, 1, 0) == betti(target[0, 0].numpy())


def test_the_module_takes_what_the_function_takes():
    logits, target = torch.randn(2, 1, 9, 9), torch.rand(2, 1, 9, 9) < 0.5
    options = {"dimensions": (1,), "patch": 5, "least": 0.1}
    assert TopologyLoss(**options)(logits, target) == topology_loss(logits, target, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TopologyLoss()(logits, target)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dimensions": ()}, "dimensions: expected"),
        ({"dimensions": (0, 2)}, "dimensions: expected"),
        ({"dimensions": (0, 0)}, "dimensions: expected"),
        ({"patch": 1}, "patch: expected"),
        ({"least": 1.0}, "least: expected"),
        ({"logits": torch.zeros(1, 1, 3), "target": torch.zeros(1, 1, 3)}, "2 or 3 spatial axes"),
        (
            {"logits": torch.zeros(1, 1, 3, 3, 3), "target": torch.zeros(1, 1, 3, 3, 3), "dimensions": (3,)},
            "2 .cavities., got .3,.",
        ),
    ],
)
def test_bad_options_get_a_sentence(change, sentence):
    given = {"logits": torch.zeros(1, 1, 3, 3), "target": torch.zeros(1, 1, 3, 3), **change}
    with pytest.raises(ValueError, match=sentence):
        topology_loss(**given)
