"""The field moves vertices where they are, in pixels, and the prompts are seen."""

import pytest
import torch
from torch.autograd import gradcheck

from napari_segsize.models.contour import CONTOUR_MODELS, build_contour_net, evolve_contours


def ring(count: int = 8, centre: float = 7.5, radius: float = 4.0) -> torch.Tensor:
    angle = torch.arange(count) / count * 2 * torch.pi
    return (centre + radius * torch.stack([angle.sin(), angle.cos()], -1))[None]


def test_a_constant_field_moves_every_vertex_by_its_value_each_time():
    field = torch.tensor([1.0, -0.5])[None, :, None, None].expand(1, 2, 16, 16)
    evolved = evolve_contours(field, ring(), iterations=3)
    assert evolved.shape == (4, 1, 8, 2)
    for step in range(4):
        assert torch.allclose(evolved[step], ring() + step * torch.tensor([1.0, -0.5]), atol=1e-5)


def test_the_field_is_read_at_pixel_centres_without_aligned_corners():
    field = torch.zeros(1, 2, 16, 16)
    field[0, 0, 5, 9] = 1.0
    vertices = torch.tensor([[[5.0, 9.0], [5.5, 9.0], [5.0, 10.0]]])
    moved = evolve_contours(field, vertices, iterations=1)[1] - vertices
    assert torch.allclose(moved[0, :, 0], torch.tensor([1.0, 0.5, 0.0]), atol=1e-5)
    assert torch.equal(moved[0, :, 1], torch.zeros(3))


def test_more_iterations_follow_a_field_around_a_bend():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    turn = torch.stack([(x - 15.5), -(y - 15.5)])[None] * 0.3  # a field that turns about the middle
    start = torch.tensor([[[15.5, 25.5], [15.5, 24.5], [16.5, 25.5]]])
    once = evolve_contours(3 * turn, start, iterations=1)[-1]
    often = evolve_contours(turn, start, iterations=3)[-1]
    away = [(end[0, 0] - 15.5).norm() for end in (once, often)]
    assert away[1] < away[0]


def test_contours_stay_in_the_image():
    field = torch.full((1, 2, 16, 16), 100.0)
    assert evolve_contours(field, ring(), 1)[-1].max() == 15.5
    assert evolve_contours(-field, ring(), 1)[-1].min() == -0.5


def test_gradients_reach_the_field_and_the_start():
    field = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    start = (ring(4, 2.5, 1.3).double() + 0.013).requires_grad_()
    assert gradcheck(lambda f, c: evolve_contours(0.3 * f, c, 2), (field, start))


@pytest.mark.parametrize("kind", CONTOUR_MODELS)
@pytest.mark.parametrize(("channels", "prompts"), [(1, 0), (3, 2)])
def test_every_network_makes_a_field_for_every_side(kind, channels, prompts):
    network = build_contour_net(kind, channels=channels, prompts=prompts, width=8, seed=0).eval()
    for side in ((64, 64), (37, 50)):
        field = network(torch.randn(2, channels + prompts, *side))
        assert field.shape == (2, 2, *side)
        assert field.isfinite().all()


def test_the_field_is_in_units_of_the_side():
    network = build_contour_net("small", channels=1, prompts=0, seed=0).eval()
    network.network = torch.nn.Identity()
    small = network(torch.ones(1, 2, 32, 32))
    large = network(torch.ones(1, 2, 64, 128))
    assert small.unique().tolist() == [2.0]
    assert large[:, 0].unique().tolist() == [4.0]
    assert large[:, 1].unique().tolist() == [8.0]


def test_the_seed_fixes_the_weights_and_leaves_the_global_state():
    before = torch.random.get_rng_state()
    first, second = (build_contour_net("small", seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(before, torch.random.get_rng_state())


def test_width_and_dropout_shape_the_papers_network():
    count = [
        sum(p.numel() for p in build_contour_net("acdrnet", width=width).parameters()) for width in (8, 16)
    ]
    assert 3 < count[1] / count[0] < 5
    steady = build_contour_net("acdrnet", width=8, dropout=0.0, seed=0).train()
    shaky = build_contour_net("acdrnet", width=8, dropout=0.5, seed=0).train()
    image = torch.randn(2, 5, 16, 16)
    assert torch.equal(steady(image), steady(image))
    assert not torch.equal(shaky(image), shaky(image))


@pytest.mark.parametrize(
    ("field", "contours", "iterations", "word"),
    [
        (torch.zeros(1, 3, 8, 8), ring(), 1, "displacement"),
        (torch.zeros(2, 2, 8, 8), ring(), 1, "contours"),
        (torch.zeros(1, 2, 8, 8), ring(), -1, "iterations"),
    ],
)
def test_shapes_that_do_not_fit_are_named(field, contours, iterations, word):
    with pytest.raises(ValueError, match=word):
        evolve_contours(field, contours, iterations)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="acdrnet"):
        build_contour_net("snake")
