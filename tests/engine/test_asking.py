"""Stop in the middle of a step, and take the same step again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from engine_arrays import squares
from torch import nn

from napari_segsize.engine import checkpoint
from napari_segsize.engine.asking import as_it_was, asking_between_layers
from napari_segsize.engine.config import PretrainConfig
from napari_segsize.engine.events import StepDone
from napari_segsize.engine.loop import Run, fit
from napari_segsize.engine.runs import pretraining
from napari_segsize.project.stopping import Stopped, stoppable

# a network that keeps running means: a stopped pass must not leave its share in them
CONFIG = PretrainConfig(
    model="kiunet", ki_levels=1, steps=3, batch_size=2, validate_every=3, patience=0, device="cpu"
)


def run_in(folder: Path) -> Run:
    folder.mkdir(exist_ok=True)
    return pretraining(squares(4), squares(2, seed=1), CONFIG, folder / "state.pt")


def after(count: int) -> Callable[[], bool]:
    """Stop at the `count`-th time of asking."""
    left = [count]

    def stopping() -> bool:
        left[0] -= 1
        return left[0] <= 0

    return stopping


def asked_in(work: Callable[[], object]) -> int:
    """How often it asks."""
    count = [0]

    def never() -> bool:
        count[0] += 1
        return False

    with stoppable(never):
        work()
    return count[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    run = run_in(tmp_path_factory.mktemp("whole"))
    losses = [event.losses for event in fit(run) if isinstance(event, StepDone)]
    return losses, {name: value.clone() for name, value in run.network.state_dict().items()}


@pytest.mark.parametrize("part", [0.1, 0.45, 0.6, 0.95])
def test_a_step_that_was_stopped_is_taken_again_with_the_same_numbers(tmp_path: Path, whole, part) -> None:
    run = run_in(tmp_path)
    events = fit(run)
    first = next(event for event in events if isinstance(event, StepDone))
    in_a_step = asked_in(lambda: next(events))  # the second
    with stoppable(after(int(part * in_a_step))), pytest.raises(Stopped):
        next(events)  # the third
    resumed = run_in(tmp_path)
    resumed.restore(checkpoint.load(run.file))
    assert resumed.step == 2
    late = [event.losses for event in fit(resumed) if isinstance(event, StepDone)]
    losses, weights = whole
    assert first.losses == losses[0]
    assert late == losses[2:]
    assert all(torch.equal(value, weights[name]) for name, value in resumed.network.state_dict().items())


def test_it_asks_on_the_way_back_too() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
    with asking_between_layers(network):
        result = network(torch.ones(1, 3)).sum()
        assert asked_in(result.backward) == 3


def test_nothing_is_asked_afterwards() -> None:
    network = nn.Linear(2, 1)
    with asking_between_layers(network):
        pass
    assert asked_in(lambda: network(torch.ones(1, 2)).sum().backward()) == 0


def test_means_and_gradients_of_a_stopped_pass_are_undone() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with (
        pytest.raises(Stopped),
        asking_between_layers(network),
        stoppable(after(8)),  # six times on the way there
        as_it_was(network),
    ):
        network(torch.rand(2, 1, 9, 9)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
