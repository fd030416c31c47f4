from __future__ import annotations

import pytest
import torch

from napari_segsize.models.unet import MODELS, build_unet


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("side", [(1, 1), (48, 32), (33, 7), (65, 48)])
def test_any_side_is_taken(kind: str, side: tuple[int, int]) -> None:
    network = build_unet(kind, channels=2, seed=0)
    logits = network(torch.randn(2, 2, *side))
    assert logits.shape == (2, 1, *side)
    assert logits.isfinite().all()


@pytest.mark.parametrize("kind", MODELS)
def test_volumes(kind: str) -> None:
    logits = build_unet(kind, classes=3, spatial_dims=3, seed=0)(torch.randn(1, 1, 9, 10, 11))
    assert logits.shape == (1, 3, 9, 10, 11)


def test_a_seed_fixes_the_weights_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, other, third = build_unet(seed=1), build_unet(seed=1), build_unet(seed=2)
    assert torch.equal(torch.rand(1), expected)
    pairs = list(zip(one.parameters(), other.parameters(), third.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)


def test_padding_changes_nothing_far_from_it() -> None:
    network = build_unet(seed=0).eval()
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(image), network.network(image))


def test_parameters_as_documented() -> None:
    count = {kind: sum(p.numel() for p in build_unet(kind).parameters()) for kind in MODELS}
    assert count["small"] == pytest.approx(0.4e6, rel=0.1)
    assert count["residual"] == pytest.approx(6.5e6, rel=0.1)


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="small, residual"):
        build_unet("huge")
