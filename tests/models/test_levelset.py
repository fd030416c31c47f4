"""The network's three heads are what the evolution wants, and the evolution is that of the operators."""

import pytest
import torch

from napari_segsize.losses.levelset import motion_target, truncated_distance
from napari_segsize.models.levelset import STEP, WINDOW, Forces, build_levelset_net, evolve_levelset
from napari_segsize.ops.levelset import step


def disc(radius: float, side: int = 32) -> torch.Tensor:
    y, x = torch.meshgrid(*[torch.arange(float(side)) - (side - 1) / 2] * 2, indexing="ij")
    return ((y**2 + x**2).sqrt() < radius)[None, None]


def forces_to(mask: torch.Tensor, phi: torch.Tensor, modulation: float = 0.0) -> Forces:
    return Forces(phi, motion_target(mask), torch.full_like(phi, modulation))


def test_the_heads_are_in_their_ranges():
    network = build_levelset_net(seed=0).eval()
    with torch.no_grad():
        forces = Forces.of(network(10 * torch.randn(2, 5, 24, 40)))
    assert forces.phi.shape == forces.modulation.shape == (2, 1, 24, 40)
    assert forces.motion.shape == (2, 2, 24, 40)
    assert forces.motion.square().sum(1).max() <= 1
    assert 0 <= forces.modulation.min() <= forces.modulation.max() <= 1


def test_the_start_is_in_pixels_of_the_region_whatever_its_side():
    network = build_levelset_net(seed=0)
    network.network = torch.nn.Conv2d(5, 4, 1)
    small, large = torch.ones(1, 5, 16, 16), torch.ones(1, 5, 64, 64)
    with torch.no_grad():
        assert torch.allclose(4 * network(small)[0, :1, 0, 0], network(large)[0, :1, 0, 0])


def test_a_seed_fixes_the_weights_and_leaves_the_global_state_alone():
    torch.manual_seed(1)
    before = torch.rand(1)
    torch.manual_seed(1)
    first, second = build_levelset_net(seed=3), build_levelset_net(seed=3)
    assert torch.equal(torch.rand(1), before)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert sum(p.numel() for p in first.parameters()) < 400_000
    with pytest.raises(ValueError, match="small, large"):
        build_levelset_net("huge")


@pytest.mark.parametrize("off", [-1.5, 2.5])
def test_a_motion_away_from_the_outline_brings_the_line_to_it(off):
    mask = disc(9.0)
    start = truncated_distance(mask) + off
    states = evolve_levelset(forces_to(mask, start), steps=12)
    assert states.shape == (13, 1, 1, 32, 32)
    assert torch.equal(states[0], start)
    wrong = [int(((state > 0) != mask).sum()) for state in states]
    assert wrong[-1] < 0.2 * wrong[0]
    assert torch.equal(evolve_levelset(forces_to(mask, start), phi=start + 1, steps=0)[0], start + 1)


def test_a_step_is_that_of_the_operators_with_the_curvature_at_its_bound():
    mask = disc(9.0)
    forces = forces_to(mask, truncated_distance(mask) + 1, modulation=0.6)
    one = evolve_levelset(forces, steps=1)[1]
    dt = STEP * 32
    expected = step(
        forces.phi, dt=dt, motion=forces.motion, modulation=0.6 * torch.full_like(forces.phi, 0.5 / dt),
        width=WINDOW * 32,
    )  # fmt: skip
    assert torch.allclose(one, expected)
    evolve_levelset(forces_to(mask, forces.phi, 1.0), steps=1)  # the strongest curvature is allowed
    with pytest.raises(ValueError, match="dt: expected at most"):
        evolve_levelset(forces, steps=1, dt=0.05)


def test_modulation_smooths_and_steps_reach_farther():
    mask = disc(9.0)
    still = Forces(truncated_distance(mask), torch.zeros(1, 2, 32, 32), torch.ones(1, 1, 32, 32))
    areas = [int((state > 0).sum()) for state in evolve_levelset(still, steps=40)]
    assert areas[0] > areas[20] > areas[40]
    away = truncated_distance(mask) + 2.5
    short, long = (evolve_levelset(forces_to(mask, away), steps=4, dt=dt)[-1] for dt in (0.005, STEP))
    assert (long > 0).sum() < (short > 0).sum()


def test_gradients_reach_all_three_heads():
    generator = torch.Generator().manual_seed(0)
    phi = 2 * torch.rand(1, 1, 8, 8, generator=generator, dtype=torch.float64) - 1
    heads = [
        phi,
        0.6 * torch.rand(1, 2, 8, 8, generator=generator, dtype=torch.float64),
        torch.rand(1, 1, 8, 8, generator=generator, dtype=torch.float64),
    ]
    leaves = [head.requires_grad_() for head in heads]
    value = evolve_levelset(Forces(*leaves), steps=3)[-1].sin().sum()
    for gradient in torch.autograd.grad(value, leaves):
        assert gradient.abs().max() > 0
