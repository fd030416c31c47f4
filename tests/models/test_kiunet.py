"""KiU-Net: what is published, what was changed, and what its memory estimate promises."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
import torch

from napari_segsize.models.kiunet import (
    FIELD_OF_VIEW,
    KI_LEVELS,
    WIDTHS,
    CrossFusion,
    KiUNet,
    build_kiunet,
    memory_estimate,
)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def kept_bytes(network: torch.nn.Module, images: torch.Tensor) -> int:
    """Bytes of the maps that autograd keeps for the backward pass, each storage once, without the weights."""
    own = {value.untyped_storage().data_ptr() for value in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        alive = network(images)
    assert alive.requires_grad  # keeps the graph, hence every storage, until here
    return sum(kept.values())


def test_parameters_of_the_published_form_without_its_unused_blocks() -> None:
    published = KiUNet(channels=1, classes=2, widths=(16, 32, 64), ki_levels=3)
    assert parameters(published) == 216_546
    third_fusion_and_two_blocks = 290_658 - 216_546
    assert third_fusion_and_two_blocks == 2 * parameters(CrossFusion(64).to_u.conv) + 4 * 64
    assert {parameters(KiUNet(1, 2, ki_levels=levels)) for levels in (1, 2, 3)} == {216_546}


@pytest.mark.parametrize("side", [(1, 1), (16, 16), (48, 32), (33, 7), (60, 100)])
def test_any_side_is_taken(side: tuple[int, int]) -> None:
    network = build_kiunet(channels=2, classes=3, widths=(4, 6, 8), ki_levels=2, seed=0)
    for images in (torch.randn(1, 2, *side), torch.randn(2, 2, *side)):
        logits = network(images)
        assert logits.shape == (len(images), 3, *side)
        assert logits.isfinite().all()


def test_a_seed_fixes_the_weights_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, other, third = (build_kiunet(widths=(4, 8), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one.network.last.weight, other.network.last.weight)
    assert not torch.equal(one.network.last.weight, third.network.last.weight)


def test_padding_changes_nothing_where_none_is_needed() -> None:
    network = build_kiunet(widths=(4, 8), seed=0).eval()
    image = torch.randn(1, 1, 32, 24)
    with torch.inference_mode():
        assert torch.equal(network(image), network.network(image))


def test_the_fusion_adds_and_both_sides_see_the_other_as_it_was() -> None:
    torch.manual_seed(0)
    fusion = CrossFusion(3).eval()
    u, ki = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 16, 16)
    fused_u, fused_ki = fusion(u, ki)
    resize = torch.nn.functional.interpolate
    down = resize(fusion.to_u(ki), size=(4, 4), mode="bilinear", align_corners=False)
    up = resize(fusion.to_ki(u), size=(16, 16), mode="bilinear", align_corners=False)
    assert torch.allclose(fused_u - u, down, atol=1e-6)
    assert torch.allclose(fused_ki - ki, up, atol=1e-6)
    assert (down >= 0).all()
    for block in (fusion.to_u, fusion.to_ki):
        torch.nn.init.zeros_(block.norm.weight)
    assert all(torch.equal(a, b) for a, b in zip(fusion(u, ki), (u, ki), strict=True))


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_magnifying_branch_reaches_the_sides_that_are_asked_for(levels: int) -> None:
    network = KiUNet(widths=(2, 2, 2), ki_levels=levels)
    sides: list[int] = []
    for block in (*network.encoder_ki, *network.decoder_ki):
        block.norm.register_forward_hook(lambda _m, _i, out: sides.append(out.shape[-1]))
    network(torch.randn(2, 1, 16, 16))
    down = [16 * 2 ** min(level, levels) for level in (1, 2, 3)]
    assert sides == [*down, *reversed(down[:-1]), 16]


def test_logits_of_both_signs_and_a_gradient_for_every_weight() -> None:
    network = build_kiunet(widths=(4, 8, 8), seed=0)
    logits = network(torch.randn(2, 1, 32, 32))
    assert (logits < 0).any()
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())  # no unused block
    assert network.network.last.bias.grad.abs() > 0


def test_what_a_pixel_sees() -> None:
    network = build_kiunet(ki_levels=1, seed=0).eval()
    for block in network.modules():
        if isinstance(block, torch.nn.Conv2d):
            block.weight.data.abs_()  # nothing cancels
    image = torch.rand(1, 1, 96, 96).requires_grad_()
    (gradient,) = torch.autograd.grad(network(image)[0, 0, 51, 51], image)
    seen = gradient[0, 0].abs().sum(0).nonzero()
    assert int(seen.max() - seen.min()) + 1 == FIELD_OF_VIEW


@pytest.mark.parametrize(
    ("sides", "batch", "settings"),
    [
        ((32, 32), 2, {}),
        ((32, 48), 1, {"ki_levels": 3}),
        ((64, 32), 2, {"ki_levels": 1}),
        ((33, 17), 1, {}),  # padded to 40 x 24
        ((24, 24), 2, {"widths": (8, 12), "ki_levels": 1}),
        ((16, 16), 2, {"widths": (6,), "ki_levels": 1}),
    ],
)
def test_the_estimate_counts_exactly_the_maps_that_are_kept(sides, batch, settings) -> None:
    network = build_kiunet(seed=0, **settings)
    widths, levels = settings.get("widths", WIDTHS), settings.get("ki_levels", KI_LEVELS)
    stride = 2 ** len(widths)
    height, width = (-(-side // stride) * stride for side in sides)
    kept = kept_bytes(network, torch.randn(batch, 1, *sides)) - 8 * sum(
        module.num_features for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)
    )  # means and deviations of the normalisation, a few kB
    largest = max(w * 4 ** min(level, levels) for level, w in enumerate(widths, start=1))
    gradients = 4 * 2 * largest * batch * height * width
    without_weights = memory_estimate(sides, batch, **settings) - 5 * 4 * (
        parameters(network) - network.network.last.weight.numel() - 1
    )
    assert without_weights - gradients == kept


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is reset through /proc")
@pytest.mark.parametrize("training", [True, False])
def test_the_estimate_is_within_a_quarter_of_the_memory_taken(training: bool) -> None:
    network = build_kiunet(seed=0).train(training)
    images = torch.randn(4, 1, 64, 64)

    def once(few: torch.Tensor) -> None:
        with torch.set_grad_enabled(training):
            logits = network(few)
            if training:
                logits.square().mean().backward()

    once(images[:1, :, :16, :16])
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = psutil.Process().memory_info().rss
    once(images)
    status = Path("/proc/self/status").read_text()
    peak = 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    assert (peak - before) / memory_estimate((64, 64), 4, training=training) == pytest.approx(1.0, abs=0.25)


def test_the_estimate_grows_with_what_it_depends_on() -> None:
    plain = memory_estimate((64, 64))
    assert memory_estimate((64, 64), 8) == pytest.approx(8 * plain, rel=0.2)
    assert 2.5 < memory_estimate((64, 64), 8, ki_levels=3) / memory_estimate((64, 64), 8, ki_levels=2) < 4
    assert memory_estimate((64, 64), training=False) < plain / 2
    assert memory_estimate((64, 64), 4, 3) > memory_estimate((64, 64), 4, 1)
    assert memory_estimate((1, 1)) == memory_estimate((16, 16))


@pytest.mark.parametrize("settings", [{"widths": ()}, {"widths": (0, 4)}, {"ki_levels": 4}, {"ki_levels": 0}])
def test_what_cannot_be_built_is_refused(settings) -> None:
    with pytest.raises(ValueError, match="expected"):
        build_kiunet(**settings)
    with pytest.raises(ValueError, match="expected"):
        memory_estimate((8, 8), **settings)
