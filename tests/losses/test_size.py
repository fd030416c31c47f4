from __future__ import annotations

import numpy as np
import pytest
import torch
from geometry_oracle import sizes

from napari_segsize.losses import SizeLoss, size_error, size_loss
from napari_segsize.ops import object_size

FAR = 1e9  # noise no logit reaches


def every_mask(*shape: int) -> torch.Tensor:
    """All masks of an image, ``(2 ** pixels, 1, *shape)``."""
    pixels = int(np.prod(shape))
    numbers = torch.arange(2**pixels)[:, None] >> torch.arange(pixels)
    return (numbers & 1).bool().reshape(-1, 1, *shape)


def force(masks: torch.Tensor) -> torch.Tensor:
    """Noise that draws these masks whatever the logits: one sample."""
    return torch.where(masks, -FAR, FAR)[None].double()


def exact_loss(logits: torch.Tensor, size: float, temperature: float = 1.0) -> torch.Tensor:
    """The expected squared size error by enumeration, differentiable; `logits` ``(*spatial)``."""
    masks = every_mask(*logits.shape)
    probs = (logits / temperature).sigmoid()
    weights = torch.where(masks[:, 0], probs, 1 - probs).flatten(1).prod(1)
    error = (torch.from_numpy(sizes(masks[:, 0].numpy(), "ignore")) - size) ** 2
    return (weights * error).sum()


@pytest.mark.parametrize(("size", "temperature"), [(2.0, 1.0), (4.0, 1.0), (4.0, 0.5), (0.0, 3.0)])
def test_the_gradient_is_unbiased_by_enumeration(size, temperature):
    """Average the estimator over all 512 masks of a 3 x 3 image with their probabilities."""
    logits = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(exact_loss(logits, size, temperature), logits)

    masks = every_mask(3, 3)
    probs = (logits.detach() / temperature).sigmoid()
    weights = torch.where(masks, probs, 1 - probs).flatten(1).prod(1)  # P(y)
    values = size_loss(
        logits.expand(512, 1, 3, 3),
        torch.full((512, 1), size, dtype=torch.float64),
        temperature=temperature,
        noise=force(masks),
        reduction="none",
    )
    value = (weights * values[:, 0]).sum()
    (found,) = torch.autograd.grad(value, logits)
    assert torch.allclose(value, exact_loss(logits, size, temperature))
    assert torch.allclose(found, expected, atol=1e-12)


def test_one_mask_by_hand():
    """Eq. 21 pixel by pixel: y_i (l(y) - l(y with pixel i flipped)) p_i (1 - p_i)."""
    logits = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(1, 1, 4, 5) < 0.8
    size_loss(logits, torch.tensor([[2.0]]), noise=force(mask)).backward()
    error = (object_size(mask) - 2) ** 2
    for y, x in np.ndindex(4, 5):
        flipped = mask.clone()
        flipped[0, 0, y, x] ^= True
        sign = 1 if mask[0, 0, y, x] else -1
        prob = logits[0, 0, y, x].detach().sigmoid()
        expected = sign * (error - (object_size(flipped) - 2) ** 2) * prob * (1 - prob)
        assert torch.allclose(logits.grad[0, 0, y, x], expected[0, 0].double())


def test_the_gradient_is_unbiased_by_sampling():
    logits = torch.tensor([[1.0, -0.5, 2.0], [0.3, 0.0, -1.0]], dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(exact_loss(logits, 4.0), logits)
    count, blocks = 1000, 100  # 1e5 samples, in blocks to know the spread
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(blocks):
        value = size_loss(logits[None, None], torch.tensor([[4.0]]), samples=count, generator=generator)
        found.append(torch.autograd.grad(value, logits)[0])
    gradients = torch.stack(found)
    spread = gradients.std(0) / blocks**0.5
    assert ((gradients.mean(0) - expected).abs() < 4.5 * spread + 1e-12).all()


def test_saturated_logits_are_never_contradicted():
    logits = torch.full((1, 1, 64, 64), -40.0)
    logits[..., 10:30, 10:30] = 40.0
    values = size_loss(logits.requires_grad_(), torch.tensor([[20.0]]), samples=64)
    values.backward()
    assert values == 0
    assert (logits.grad.abs() < 1e-12).all()


def test_the_value_is_the_sampled_error_and_decides_nothing_else():
    logits = torch.randn(3, 2, 6, 6)
    noise = torch.randn(4, 3, 2, 6, 6)
    size = torch.full((3, 2), 4.0)
    drawn = torch.stack([object_size(logits > z) for z in noise])
    expected = ((drawn - 4) ** 2).mean(0)
    assert torch.allclose(size_loss(logits, size, samples=4, noise=noise, reduction="none"), expected)
    assert torch.allclose(size_loss(logits, size, samples=4, noise=noise), expected.mean())
    with_gradient = size_loss(logits.clone().requires_grad_(), size, samples=4, noise=noise)
    assert torch.allclose(with_gradient, expected.mean())


def test_a_lower_temperature_draws_masks_closer_to_the_mode():
    logits = torch.full((1, 1, 20, 20), -2.0)
    logits[..., 4:16, 4:16] = 2.0
    size = object_size(logits > 0)
    assert size_error(logits, size) == 0
    errors = [size_loss(logits, size, samples=64, temperature=t) for t in (2.0, 1.0, 0.5, 0.1)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_the_gradient_is_scaled_by_one_over_the_temperature():
    logits = torch.zeros(1, 1, 5, 5, requires_grad=True)  # p = 1/2 at every temperature
    noise = torch.randn(1, 1, 1, 5, 5)
    gradients = []
    for temperature in (1.0, 0.25):
        value = size_loss(logits, torch.tensor([[4.0]]), temperature=temperature, noise=noise)
        gradients.append(torch.autograd.grad(value, logits)[0])
    assert gradients[0].abs().sum() > 0
    assert torch.allclose(gradients[1], 4 * gradients[0])


def test_more_samples_calm_the_gradient():
    logits = torch.randn(1, 1, 6, 6, requires_grad=True)
    size = torch.tensor([[4.0]])

    def spread(samples: int) -> torch.Tensor:
        found = [torch.autograd.grad(size_loss(logits, size, samples=samples), logits)[0] for _ in range(60)]
        return torch.stack(found).var(0).sum()

    assert spread(16) < spread(1) / 6  # 16 in expectation


def test_a_generator_makes_it_repeatable():
    logits = torch.randn(2, 1, 8, 8)
    size = torch.full((2, 1), 4.0)

    def run(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = logits.clone().requires_grad_()
        value = size_loss(leaf, size, samples=3, generator=torch.Generator().manual_seed(seed))
        value.backward()
        return value.detach(), leaf.grad

    assert all(torch.equal(a, b) for a, b in zip(run(5), run(5), strict=True))
    assert not torch.equal(run(5)[1], run(6)[1])


def test_unknown_sizes_have_no_term():
    logits = torch.randn(2, 2, 7, 7, requires_grad=True)
    noise = torch.randn(1, 2, 2, 7, 7)
    size = torch.tensor([[4.0, np.nan], [np.nan, 2.0]])
    value = size_loss(logits, size, noise=noise)
    value.backward()
    each = size_loss(logits.detach(), size, noise=noise, reduction="none")
    assert each[0, 1] == each[1, 0] == 0
    assert torch.allclose(value, (each[0, 0] + each[1, 1]) / 2)
    assert (logits.grad[0, 1] == 0).all()
    assert (logits.grad[1, 0] == 0).all()
    assert logits.grad[0, 0].abs().sum() > 0
    # as if the unknown had never been there
    alone = logits.detach()[:1, :1].requires_grad_()
    size_loss(alone, size[:1, :1], noise=noise[:, :1, :1]).backward()
    assert torch.allclose(alone.grad[0, 0], 2 * logits.grad[0, 0])


def test_nothing_known_is_zero_and_still_backpropagates():
    logits = torch.randn(2, 1, 5, 5, requires_grad=True)
    value = size_loss(logits, torch.full((2, 1), np.nan))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()
    assert size_error(logits, torch.full((2, 1), np.nan)) == 0


def test_pixels_of_others_count_as_background_and_hear_nothing():
    logits = torch.randn(2, 1, 9, 9, requires_grad=True)
    domain = torch.rand(2, 1, 9, 9) < 0.7
    noise = torch.randn(3, 2, 1, 9, 9)
    size = torch.full((2, 1), 4.0)
    value = size_loss(logits, size, samples=3, noise=noise, mask=domain)
    value.backward()
    outside = logits.detach().masked_fill(~domain, -FAR).requires_grad_()
    expected = size_loss(outside, size, samples=3, noise=noise)
    expected.backward()
    assert torch.equal(value, expected)
    assert torch.equal(logits.grad, outside.grad)
    assert (logits.grad[~domain] == 0).all()


def test_the_border_matters():
    logits = torch.full((1, 1, 8, 8), -40.0)
    logits[..., :4, :4] = 40.0
    size = torch.tensor([[8.0]])
    assert size_loss(logits, size) == 0
    assert size_loss(logits, size, border="background") == 16
    assert size_error(logits, size, border="background") == 16


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type(dtype):
    logits = torch.randn(2, 1, 6, 5, 4).to(dtype).requires_grad_()
    value = size_loss(logits, torch.full((2, 1), 2.0), samples=2)
    value.backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.abs().sum() > 0
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_large_errors_do_not_overflow_half_precision():
    logits = torch.zeros(4, 1, 300, 300, dtype=torch.float16)
    logits[..., 0, 0] = -1
    logits.requires_grad_()
    noise = torch.full((1, 4, 1, 300, 300), -5.0)
    noise[..., 0, 0] = 5.0  # one hole: flipping it changes the squared error by more than 65504
    size_loss(logits, torch.zeros(4, 1), noise=noise).backward()
    assert logits.grad.isfinite().all()


def test_without_gradient_no_flips_are_computed(monkeypatch):
    monkeypatch.setattr("napari_segsize.losses.size.size_and_flips", None)
    size_loss(torch.randn(1, 1, 4, 4), torch.tensor([[2.0]]))
    with torch.no_grad():
        size_loss(torch.randn(1, 1, 4, 4, requires_grad=True), torch.tensor([[2.0]]))


def test_nan_logits_show():
    logits = torch.randn(2, 1, 4, 4)
    logits[0, 0, 1, 1] = np.nan
    with pytest.warns(UserWarning, match="expected a finite value"):
        assert size_loss(logits, torch.tensor([[2.0], [2.0]])).isnan()


def test_descending_reaches_the_size():
    """From a blob that is too large, on sizes alone."""
    logits = torch.full((1, 1, 16, 16), -6.0)
    logits[..., 2:14, 2:14] = 3.0
    logits.requires_grad_()
    size = torch.tensor([[6.0]])
    before = size_error(logits, size)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        size_loss(logits, size, samples=8, temperature=0.5, generator=generator).backward()
        optimizer.step()
    assert size_error(logits, size) < before / 9


def test_the_module_is_the_function():
    logits, size = torch.randn(2, 1, 6, 6), torch.full((2, 1), 4.0)
    module = SizeLoss(samples=3, temperature=0.5, border="background")
    found = module(logits, size, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    assert found == size_loss(
        logits, size, samples=3, temperature=0.5, border="background", generator=generator
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": torch.zeros(2)}, r"size: expected \(2, 1\)"),
        ({"logits": torch.zeros(2, 5, 5)}, "logits: expected"),
        ({"logits": torch.zeros(2, 1, 5, 5, dtype=torch.int64)}, "logits: expected"),
        ({"samples": 0}, "samples: expected at least 1"),
        ({"temperature": 0.0}, "temperature: expected more than 0.*size_error"),
        ({"noise": torch.zeros(2, 1, 5, 5)}, "noise: expected"),
        ({"noise": torch.zeros(1, 2, 1, 5, 5), "generator": torch.Generator()}, "at most one"),
        ({"mask": torch.ones(2, 1, 5, 4, dtype=torch.bool)}, "mask: expected"),
        ({"mask": torch.ones(2, 1, 5, 5)}, "mask: expected a boolean"),
        ({"reduction": "sum"}, "reduction: expected"),
        ({"border": "reflect"}, "border: expected"),
    ],
)
def test_bad_input_gets_a_sentence(change, sentence):
    given = {"logits": torch.zeros(2, 1, 5, 5), "size": torch.zeros(2, 1), **change}
    with pytest.raises(ValueError, match=sentence):
        size_loss(**given)
