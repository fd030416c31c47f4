"""Speed of every loss on masks beside another formulation of the same loss, as ratios of one run.

    python benchmarks/losses.py [--rounds 5] [--threads 1] [--without-step]

Forward and backward, batch 16 x 1 x 256 x 256, processor time (so that other work on the machine counts
less), medians of interleaved rounds, the order changing with each; the last column has the ratio of the least
times, which other work touches least. The other formulation is MONAI's where there is one, otherwise the
formula written down with PyTorch, as ports of the papers do, or SciPy; both must give the same value.
Formulations that take seconds are timed on 2 of the 16 images. The last row sets the boundary loss beside a
whole training step. Exactness is not measured here but tested: tests/losses.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from distance import ellipses, processor
from monai import losses as monai
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor
from torch.nn import functional

from napari_segsize import losses
from napari_segsize.ops.ball import ball_means
from napari_segsize.ops.skeleton import skeleton_iterations

SIDE, BATCH, FEW = 256, 16, 2
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Row:
    """A loss, another formulation, and what both look at."""

    name: str
    ours: Loss
    other: Loss | None
    other_name: str
    target: Tensor
    slow: bool = False  # the other takes seconds: time it on few images
    same: bool = True  # both give the same value


def blurred(seed: int, width: int) -> Tensor:
    """Smooth random logits."""
    noise = torch.randn(BATCH, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    for _ in range(3):
        noise = functional.avg_pool2d(noise, width, 1, width // 2, count_include_pad=False)
    return noise / noise.std()


def lines(width: int = 5, gap: int = 32) -> Tensor:
    """A grid of vessels, `width` pixels wide."""
    mask = torch.zeros(BATCH, 1, SIDE, SIDE, dtype=torch.bool)
    for offset in range(width):
        mask[..., offset::gap, :] = True
        mask[..., :, offset::gap] = True
    return mask


def two_classes(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    probs = logits.sigmoid()
    return torch.cat([probs, 1 - probs], 1), torch.cat([target, 1 - target], 1)


def edt(masks: Tensor) -> Tensor:
    """Distance to the other kind, plane by plane, by SciPy."""
    found = np.zeros(masks.shape, np.float32)
    for here, mask in zip(found, masks.numpy(), strict=True):
        here[0] = distance_transform_edt(mask[0]) + distance_transform_edt(~mask[0])
    return torch.from_numpy(found)


def scipy_one_sided(logits: Tensor, target: Tensor) -> Tensor:
    return ((logits.sigmoid() - target) ** 2 * edt(target > 0.5) ** 2).mean()


def conv_erosion(logits: Tensor, target: Tensor) -> Tensor:
    """As ports do it: a convolution an erosion."""
    kernel = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])[None, None]
    taps = functional.conv2d(torch.ones_like(target[:1]), kernel, padding=1)
    error, total = (logits.sigmoid() - target) ** 2, torch.zeros(())
    for k in range(1, 11):
        error = (2 * functional.conv2d(error, kernel, padding=1) / taps - 1).relu()
        total = total + k**2 * error.mean()
    return total


def conv_disks(logits: Tensor, target: Tensor) -> Tensor:
    """The formula with a convolution a disk."""
    probs = logits.sigmoid()
    error, total = (probs - target) ** 2, torch.zeros(())
    for radius in (3, 6, 9, 12, 15, 18):
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        disk = torch.from_numpy((y**2 + x**2 <= radius**2).astype(np.float32))[None, None]
        taps = functional.conv2d(torch.ones_like(target[:1]), disk, padding=radius)
        near, near_probs = (functional.conv2d(m, disk, padding=radius) / taps for m in (target, probs))
        half = [torch.where(s >= 0.5 - 1e-5, s, 0) for s in (1 - near, near_probs, near, 1 - near_probs)]
        wrong = (half[0] + half[1]) * error * probs + (half[2] + half[3]) * error * target
        total = total + radius**2 * wrong.mean()
    return total


def plain_active_contour(logits: Tensor, target: Tensor) -> Tensor:
    u = logits.sigmoid()
    down = functional.pad(u[..., 1:, :] - u[..., :-1, :], (0, 0, 0, 1))
    right = functional.pad(u[..., 1:] - u[..., :-1], (0, 1))
    length = torch.sqrt(down**2 + right**2 + 1e-8).mean()
    return length + (u * (target - 1) ** 2).mean() + ((1 - u) * target**2).mean()


def plain_chan_vese(logits: Tensor, image: Tensor) -> Tensor:
    u, dims = logits.sigmoid(), (2, 3)
    down = functional.pad(u[..., 1:, :] - u[..., :-1, :], (0, 0, 0, 1))
    right = functional.pad(u[..., 1:] - u[..., :-1], (0, 1))
    length = torch.sqrt(down**2 + right**2 + 1e-8).mean()
    scaled = (image - image.mean(dims, keepdim=True)) / image.std(dims, correction=0, keepdim=True)
    inside = (u * scaled).sum(dims, keepdim=True) / u.sum(dims, keepdim=True)
    outside = ((1 - u) * scaled).sum(dims, keepdim=True) / (1 - u).sum(dims, keepdim=True)
    region = (u * (scaled - inside) ** 2 + (1 - u) * (scaled - outside) ** 2).mean()
    return 0.1 * length + region


def rows() -> list[Row]:
    disks = torch.from_numpy(ellipses(BATCH, SIDE, SIDE, 0.0))[:, None].float()
    vessels = lines().float()
    needed = skeleton_iterations(vessels > 0.5)
    cached = losses.BoundaryLoss()
    image, by_conv = blurred(3, 7), ("PyTorch conv", disks)
    dice, tversky, focal = (
        monai.DiceLoss(sigmoid=True),
        monai.TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7),
        monai.FocalLoss(),
    )
    general, boundary = monai.GeneralizedDiceLoss(), monai.BoundaryLoss(sigmoid=True)
    hausdorff, line = monai.HausdorffDTLoss(sigmoid=True), monai.SoftclDiceLoss(iter_=needed, sigmoid=True)
    return [
        Row("cross-entropy", losses.bce_loss, functional.binary_cross_entropy_with_logits, "PyTorch", disks),
        Row("Dice", losses.dice_loss, dice, "MONAI", disks),
        Row(
            "generalised Dice",
            losses.generalised_dice_loss,
            lambda z, y: general(*two_classes(z, y)),
            "MONAI",
            disks,
            same=False,  # MONAI's smoothing
        ),
        Row("Tversky", losses.tversky_loss, tversky, "MONAI", disks),
        Row("focal", losses.focal_loss, focal, "MONAI", disks),
        Row("active contour", losses.active_contour_loss, plain_active_contour, "PyTorch", disks),
        Row("Chan-Vese", losses.chan_vese_loss, plain_chan_vese, "PyTorch", image),
        Row("boundary", losses.boundary_loss, boundary, "MONAI", disks),
        Row("boundary, cached maps", cached, boundary, "MONAI", disks),
        Row("Hausdorff, erosion", losses.hausdorff_erosion_loss, conv_erosion, "PyTorch conv", disks),
        Row("Hausdorff, convolution", losses.hausdorff_convolution_loss, conv_disks, *by_conv, slow=True),
        Row("Hausdorff, one-sided", losses.one_sided_hausdorff_loss, scipy_one_sided, "SciPy", disks),
        Row("Hausdorff, distances", losses.hausdorff_loss, hausdorff, "MONAI", disks),
        Row(f"clDice, lines 5 px wide, {needed} iterations", losses.cldice_loss, line, "MONAI", vessels),
        Row("topology", losses.topology_loss, None, "", vessels),
        *kornia_rows(disks),
    ]


def kornia_rows(disks: Tensor) -> list[Row]:
    """What kornia has too, where it is installed."""
    if importlib.util.find_spec("kornia") is None:
        return []
    from kornia import losses as kornia

    erosion = kornia.HausdorffERLoss(alpha=2.0, k=10, reduction="none")
    stretched = partial(losses.hausdorff_erosion_loss, erosions=10, erosion="stretch")

    def of_object(logits: Tensor, target: Tensor) -> Tensor:
        """It wants a channel a class, and computes both."""
        probs = logits.sigmoid()
        return erosion(torch.cat([1 - probs, probs], 1), target.long())[1].mean()

    focal = partial(kornia.binary_focal_loss_with_logits, alpha=0.25, gamma=2.0, reduction="mean")
    return [
        Row("Hausdorff, erosion, stretched", stretched, of_object, "kornia", disks),
        Row("focal, alpha 1/4", partial(losses.focal_loss, alpha=0.25), focal, "kornia", disks),
    ]


def once(loss: Loss, logits: Tensor, target: Tensor) -> float:
    """Milliseconds of one forward and backward pass."""
    leaf = logits.clone().requires_grad_()
    start = time.process_time()
    loss(leaf, target).backward()
    return 1000 * (time.process_time() - start)


def measured(row: Row, logits: Tensor, rounds: int) -> str:
    """One line of the table."""
    share = slice(FEW) if row.slow else slice(BATCH)
    if row.other is not None and row.same:
        ours, theirs = (float(f(logits[share], row.target[share])) for f in (row.ours, row.other))
        assert abs(ours - theirs) <= 2e-3 * abs(theirs) + 2e-4, (row.name, ours, theirs)
    forms = [(row.ours, slice(BATCH))] + ([] if row.other is None else [(row.other, share)])
    took: list[list[float]] = [[] for _ in forms]
    for number in range(rounds + 1):
        for times, (loss, part) in list(zip(took, forms, strict=True))[:: 1 if number % 2 else -1]:
            times.append(once(loss, logits[part], row.target[part]))
    median, least = ([f(times[1:]) for times in took] for f in (statistics.median, min))
    if row.other is None:
        return f"| {row.name} | {median[0]:.1f} | | | | |"
    scale = BATCH / FEW if row.slow else 1
    medians, leasts = scale * median[1] / median[0], scale * least[1] / least[0]
    theirs = f"{row.other_name} | {scale * median[1]:.1f}"
    return f"| {row.name} | {median[0]:.1f} | {theirs} | {medians:.2f} | {leasts:.2f} |"


def gudhi_pairs(plane: np.ndarray, rounds: int) -> str:
    """Time of the pairs alone by gudhi, where it is installed."""
    if importlib.util.find_spec("gudhi") is None:
        return ""
    import gudhi

    took = []
    for _ in range(rounds):
        start = time.process_time()
        cells = gudhi.CubicalComplex(top_dimensional_cells=1 - plane)
        cells.compute_persistence()
        cells.cofaces_of_persistence_pairs()
        took.append(1000 * (time.process_time() - start))
    return f" (the pairs alone by gudhi {gudhi.__version__} {min(took):.0f} ms)"


def one_plane(rounds: int) -> str:
    """The topological loss on single planes, the hardest first."""
    said = []
    for name, plane in (
        ("noise", torch.randn(1, 1, SIDE, SIDE)),
        ("smooth", blurred(0, 7)[:1]),
        ("lines", (4 * lines()[:1].float() - 2) + 0.1 * torch.randn(1, 1, SIDE, SIDE)),
    ):
        target = lines()[:1]
        once(losses.topology_loss, plane, target)
        took = min(once(losses.topology_loss, plane, target) for _ in range(rounds))
        said.append(f"{name} {took:.0f} ms{gudhi_pairs(plane.sigmoid()[0, 0].numpy(), rounds)}")
    return ", ".join(said)


def one_volume(rounds: int) -> str:
    """The topological loss on single volumes, in all three dimensions."""
    said = []
    generator = np.random.default_rng(0)
    for side in (32, 64):
        noise = generator.standard_normal((side,) * 3)
        for name, numbers in (("noise", noise), ("smooth", gaussian_filter(noise, 2) * 15)):
            volume = torch.from_numpy(numbers.astype(np.float32))[None, None]
            target, options = volume > 1, {"dimensions": (0, 1, 2)}
            whole = partial(losses.topology_loss, **options)
            once(whole, volume, target)
            took = min(once(whole, volume, target) for _ in range(rounds))
            ours = min(once(losses.topology_loss, volume, target) for _ in range(rounds))
            beside = gudhi_pairs(volume.sigmoid()[0, 0].numpy(), rounds)
            said.append(f"{side}^3 {name} {took:.0f} ms, without cavities {ours:.0f}{beside}")
    return ", ".join(said)


def beside_a_step(rounds: int) -> str:
    """The boundary loss with cached maps, over a training step of the small network."""
    from napari_segsize.models.unet import build_unet

    network = build_unet("small", seed=0)
    images, target = blurred(1, 7), torch.from_numpy(ellipses(BATCH, SIDE, SIDE, 0.0))[:, None]
    cached = losses.BoundaryLoss()
    logits = blurred(2, 7)
    once(cached, logits, target)
    step, term = [], []
    for _ in range(rounds):
        start = time.process_time()
        found = network(images)
        (losses.bce_loss(found, target) + losses.dice_loss(found, target)).backward()
        step.append(1000 * (time.process_time() - start))
        term.append(once(cached, logits, target))
    whole, part = statistics.median(step), statistics.median(term)
    return f"| boundary, cached maps | {part:.1f} | a whole step | {whole:.0f} | {part / whole:.2%} of it | |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without-step", action="store_true", help="leave the training step out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", "single channel prediction")
    print(f"{processor()}, {options.threads} threads; torch {torch.__version__}\n")
    next(iter(ball_means(torch.zeros(1, 1, SIDE, SIDE), (3, 6, 9, 12, 15, 18))))
    print("| loss | ours, ms | other | other, ms | other / ours | least / least |")
    print("|---|---|---|---|---|---|")
    logits = blurred(0, 15) * 2
    for row in rows():
        print(measured(row, logits, options.rounds), flush=True)
    if not options.without_step:
        print(beside_a_step(min(options.rounds, 5)))
    print(f"\nTopological loss, one plane of 256 x 256: {one_plane(options.rounds)}")
    print(f"Topological loss, one volume: {one_volume(options.rounds)}")


if __name__ == "__main__":
    main()
