from __future__ import annotations

import pytest
import torch

from napari_segsize.engine.config import PretrainConfig
from napari_segsize.models import kiunet
from napari_segsize.models.segmentation import NETWORKS, build_network, memory_estimate


def test_every_choice_of_the_settings_can_be_built() -> None:
    for kind in NETWORKS:
        network = build_network(PretrainConfig(model=kind).model, channels=2, seed=0)
        with torch.inference_mode():
            assert network(torch.zeros(1, 2, 9, 20)).shape == (1, 1, 9, 20)
        assert (network.estimate is not None) == (kind == "kiunet")


def test_ki_levels_reach_the_network_and_its_estimate() -> None:
    for levels in (1, 2):
        network = build_network("kiunet", channels=3, ki_levels=levels)
        assert network.network.ki_levels == levels
        expected = kiunet.memory_estimate((40, 40), 2, 3, ki_levels=levels, training=False)
        assert network.estimate((40, 40), 2, training=False) == expected
        assert memory_estimate("kiunet", (40, 40), 2, 3, ki_levels=levels) == kiunet.memory_estimate(
            (40, 40), 2, 3, ki_levels=levels
        )


@pytest.mark.parametrize("kind", ["small", "residual"])
def test_the_figure_of_the_unets_is_what_autograd_keeps(kind: str) -> None:
    network = build_network(kind, seed=0)
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        alive = network(torch.randn(1, 1, 64, 64))
    assert alive.requires_grad
    activations = sum(size for place, size in kept.items() if place not in own)
    weights = 5 * 4 * sum(parameter.numel() for parameter in network.parameters())
    gradients = 2 * 4 * 32 * 64 * 64
    assert memory_estimate(kind, (64, 64)) == pytest.approx(activations + weights + gradients, rel=0.03)


def test_unknown_kinds() -> None:
    with pytest.raises(ValueError, match="small, residual, kiunet"):
        build_network("huge")
    with pytest.raises(ValueError, match="small, residual, kiunet"):
        memory_estimate("huge", (8, 8))
