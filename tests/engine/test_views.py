"""Several looks at one region: turned back rightly, and believed as far as they agree."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_segsize.engine.contour_field import evolve_prompts
from napari_segsize.engine.prompt import Prompt
from napari_segsize.engine.views import agreed, agreed_field, turned_back
from napari_segsize.models.contour import build_contour_net
from napari_segsize.project import PlaneRef


class Slope(nn.Module):
    """A field that turns with the region: the slope of the first channel."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Central differences, round the border."""
        image = inputs[:, 0]
        down = image.roll(-1, 1) - image.roll(1, 1)
        right = image.roll(-1, 2) - image.roll(1, 2)
        return torch.stack([down, right], 1)


class Down(nn.Module):
    """A field that does not: three pixels down, whatever it sees."""

    prompts = 2

    def __init__(self) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(3.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """The same everywhere."""
        field = inputs.new_zeros(len(inputs), 2, *inputs.shape[2:])
        field[:, 0] = self.amount
        return field


@pytest.mark.parametrize("quarters", range(4))
def test_a_field_that_turns_with_the_region_comes_back_as_it_was(quarters: int) -> None:
    image = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = Slope()

    back = turned_back(network(torch.rot90(image, quarters, (2, 3))), quarters)

    assert torch.equal(back, network(image))


@pytest.mark.parametrize("views", [1, 2, 3, 4])
def test_looks_that_agree_change_nothing(views: int) -> None:
    image = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))

    assert torch.allclose(agreed_field(Slope(), image, views), Slope()(image), atol=1e-3)


def test_one_look_is_the_answer_of_the_network() -> None:
    network = build_contour_net("small", prompts=2, seed=0).eval()
    inputs = torch.randn(1, 5, 64, 64, generator=torch.Generator().manual_seed(2))

    with torch.no_grad():
        assert torch.equal(agreed_field(network, inputs, 1), network(inputs))


def test_looks_that_contradict_each_other_move_nothing() -> None:
    assert agreed_field(Down(), torch.zeros(1, 5, 8, 8), 4).abs().max() < 1e-5


def test_the_mean_is_shortened_by_the_spread_pixel_by_pixel() -> None:
    looks = torch.randn(4, 2, 2, 3, 3, generator=torch.Generator().manual_seed(3))

    found = agreed(looks)

    for n in range(2):
        for i in range(3):
            for j in range(3):
                here = looks[:, n, :, i, j]
                mean = here.mean(0)
                spread = ((here - mean) ** 2).sum(1).mean()
                expected = mean * (mean @ mean) / (mean @ mean + spread)
                assert torch.allclose(found[n, :, i, j], expected, atol=1e-5)


def test_a_contour_follows_one_look_and_waits_when_four_disagree() -> None:
    clicks = ((10.0, 20.0), (20.0, 10.0), (30.0, 20.0), (20.0, 30.0))
    prompt = Prompt(plane=PlaneRef(0), object="a", points=clicks)
    image = torch.zeros(1, 48, 48)

    one = evolve_prompts(Down(), image, [prompt], iterations=1, views=1).contours  # type: ignore[arg-type]
    four = evolve_prompts(Down(), image, [prompt], iterations=1, views=4).contours  # type: ignore[arg-type]

    assert (one[1, ..., 0] - one[0, ..., 0]).min() > 1.0
    assert torch.allclose(four[1], four[0], atol=1e-3)


@pytest.mark.parametrize("views", [0, 5])
def test_other_numbers_of_looks_are_refused(views: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 4 quarter turns, got {views}"):
        agreed_field(Down(), torch.zeros(1, 5, 8, 8), views)
