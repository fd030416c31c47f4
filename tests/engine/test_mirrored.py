"""Four looks at an image, and where they are asked for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_segsize.engine import predict
from napari_segsize.engine.mirrored import mirrored_logits


def lopsided(seed: int = 0) -> nn.Module:
    """A network for which left is not right, nor up down."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Conv2d(2, 1, (3, 5), padding=(1, 2))


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 100))
def test_the_mean_of_the_four_probabilities(count: int, height: int, width: int, seed: int) -> None:
    network = lopsided(seed)
    images = torch.randn(count, 2, height, width, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        looks = [network(images.flip(axes)).sigmoid().flip(axes) for axes in ([], [2], [3], [2, 3])]
        found = mirrored_logits(network, images)
    torch.testing.assert_close(found.sigmoid(), torch.stack(looks).mean(0))
    assert found.shape == (count, 1, height, width)


def test_where_all_looks_agree_nothing_changes_however_sure_they_are() -> None:
    logits = torch.tensor([-80.0, -20.0, -0.5, 0.0, 3.0, 20.0, 80.0]).reshape(1, 1, 1, 7)

    def point_by_point(images: Tensor) -> Tensor:
        return images

    torch.testing.assert_close(mirrored_logits(point_by_point, logits), logits, rtol=1e-5, atol=1e-5)


def test_half_precision_becomes_float_and_extremes_stay_finite() -> None:
    far = torch.tensor([[-6e4, 6e4]], dtype=torch.float16).reshape(1, 1, 1, 2)
    found = mirrored_logits(lambda images: images, far)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


@pytest.mark.parametrize("tile", [None, 16], ids=["whole", "in tiles"])
def test_a_plane_is_looked_at_four_times_also_in_tiles(
    tile: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tile:
        monkeypatch.setattr(predict, "_WHOLE", tile**2)
        monkeypatch.setattr(predict, "_TILE", tile)
    network = lopsided()
    images = torch.randn(1, 2, 24, 40, generator=torch.Generator().manual_seed(1))
    looks = [
        predict.logits_of(network, images.flip(axes)).sigmoid().flip(axes) for axes in ([], [2], [3], [2, 3])
    ]
    found = predict.logits_of(network, images, mirrored=True)
    torch.testing.assert_close(found.sigmoid(), torch.stack(looks).mean(0))
    assert not torch.allclose(found.sigmoid(), looks[0], atol=1e-2)
