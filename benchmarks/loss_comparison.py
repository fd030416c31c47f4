"""What each loss of the catalogue changes: one network, the same start, the same batches, real images.

    python benchmarks/loss_comparison.py DATA --out losses.jsonl [--seeds 0 1 2] [--sets hippocampus ...]
    python benchmarks/loss_comparison.py losses.jsonl --table

For each set and seed a network (`small`) learns 1200 steps with cross-entropy + Dice. From there every loss
goes on for 200 steps with the same crops in the same order, step size 1e-3 falling to 0, last weights kept:
nothing is chosen on the held-out images. Terms beside Dice are weighted so that their gradient on the logits
is as long as that of Dice on the first 8 batches, by one rule for all and without tuning.

Held out: hippocampus and cardiac by subject (the validation part); of masses and vessels, which are few,
every fifth image beginning with the seed. Masses are resized to 128 px, vessels to half their side. Betti
error: parts and holes together, of the whole image, for vessels of 64 px tiles. A line of the file is a run,
so that a stopped comparison goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from contour_sets import normalised_scene_image
from torch import Tensor
from torch.nn import functional

from napari_segsize import losses, metrics
from napari_segsize.models.unet import SegmentationNet, build_unet

START, STEPS, BATCH, CROP, TILE = 1200, 200, 8, 64, 64
BESIDE = (
    "bce", "focal", "generalised_dice", "tversky", "boundary", "one_sided_hausdorff", "hausdorff",
    "hausdorff_erosion", "hausdorff_convolution", "active_contour", "cldice", "topology",
)  # fmt: skip
RUNS = ("bce", "dice", *(f"dice + {name}" for name in BESIDE))
SEEDS = range(100)
FIGURES = ("dice", "hd95", "boundary_f", "cldice", "betti")
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Pair:
    """An image (C, H, W) and its mask (1, H, W), both float."""

    image: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Part:
    train: list[Pair]
    held: list[Pair]
    tile: int = 0


def pair(image: np.ndarray, mask: np.ndarray, side: int = 0) -> Pair:
    picture, truth = normalised_scene_image(image), torch.from_numpy(mask > 0).float()[None]
    if side:
        scale = side / max(truth.shape[1:])
        size = [round(scale * each) for each in truth.shape[1:]]
        picture, truth = (
            functional.interpolate(each[None], size=size, mode="bilinear", antialias=True)[0]
            for each in (picture, truth)
        )
    return Pair(picture, (truth >= 0.5).float())


def hippocampus(root: Path, seed: int) -> Part:
    data = np.load(root / "hippocampus.npz")
    train = np.flatnonzero(data["split"] == 0)
    train = np.random.default_rng(seed).permutation(train)[:512]
    held = np.flatnonzero(data["split"] == 1)[::6]
    train_, held_ = (
        [pair(data["images"][i].astype(np.float32), data["masks"][i]) for i in part] for part in (train, held)
    )
    return Part(train_, held_)


def cardiac(root: Path, _seed: int) -> Part:
    data = np.load(root / "cardiac" / "cardiac_lv.npz")
    pairs = [pair(image, mask) for image, mask in zip(data["images"], data["masks"], strict=True)]
    held = data["split"] == 1
    return Part(
        [each for each, out in zip(pairs, held, strict=True) if not out],
        [each for each, out in zip(pairs, held, strict=True) if out][::2],
    )


def folder(root: Path, seed: int, side: int, tile: int = 0) -> Part:
    files = sorted((root / "images").glob("*.png"))
    pairs = [pair(iio.imread(file), iio.imread(root / "masks" / file.name), side) for file in files]
    out = set(range(seed % 5, len(files), 5))
    return Part(
        [each for index, each in enumerate(pairs) if index not in out],
        [each for index, each in enumerate(pairs) if index in out],
        tile,
    )


SETS: dict[str, Callable[[Path, int], Part]] = {
    "hippocampus": hippocampus,
    "cardiac": cardiac,
    "masses": lambda root, seed: folder(root / "masses", seed, 128),
    "vessels": lambda root, seed: folder(root / "vessels", seed, 438, TILE),
}


def batches(pairs: Sequence[Pair], seed: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops that see the object three times in four, mirrored and re-lit at random."""
    random = np.random.default_rng(seed)
    for _ in range(steps):
        crops = [crop(pairs[random.integers(len(pairs))], random) for _ in range(BATCH)]
        yield torch.stack([each.image for each in crops]), torch.stack([each.mask for each in crops])


def crop(of: Pair, random: np.random.Generator) -> Pair:
    sides = of.mask.shape[1:]
    middle = [random.integers(side) for side in sides]
    inside = of.mask[0].nonzero()
    if len(inside) and random.random() < 0.75:
        middle = [int(each) + random.integers(-12, 13) for each in inside[random.integers(len(inside))]]
    first = [max(0, min(m - CROP // 2, side - CROP)) for m, side in zip(middle, sides, strict=True)]
    y, x = (slice(f, f + CROP) for f in first)
    image, mask = of.image[:, y, x], of.mask[:, y, x]
    turned = [axis for axis in (1, 2) if random.random() < 0.5]
    gain, shift = random.normal(1, 0.1), random.normal(0, 0.1)
    return Pair(image.flip(turned) * gain + shift, mask.flip(turned))


def weighted(
    network: SegmentationNet, name: str, first: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Loss, float]:
    """The loss of a run: alone, or beside Dice with as long a gradient."""
    if "+" not in name:
        return losses.LOSSES[name].function, 1.0
    extra = losses.LOSSES[name.removeprefix("dice + ")].function
    with torch.no_grad():
        logits = [network(images) for images, _ in first]
    lengths = [
        [float(slope(loss, each, mask)) for each, (_, mask) in zip(logits, first, strict=True)]
        for loss in (losses.dice_loss, extra)
    ]
    weight = sum(lengths[0]) / max(sum(lengths[1]), 1e-12)
    return lambda given, mask: losses.dice_loss(given, mask) + weight * extra(given, mask), weight


def slope(loss: Loss, logits: Tensor, mask: Tensor) -> Tensor:
    leaf = logits.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf, mask), leaf)[0].norm()


def train(
    network: SegmentationNet, loss: Loss, pairs: Sequence[Pair], seed: int, steps: int, rate: float
) -> float:
    """Processor seconds a step."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    begun = time.process_time()
    for images, mask in batches(pairs, seed, steps):
        optimizer.zero_grad()
        loss(network(images), mask).backward()
        optimizer.step()
        falling.step()
    return (time.process_time() - begun) / steps


@torch.no_grad()
def measured(network: SegmentationNet, part: Part) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    for each in part.held:
        mask, truth = network(each.image[None]) > 0, each.mask[None] > 0.5
        found["dice"].append(float(metrics.dice(mask, truth)))
        found["hd95"].append(float(metrics.hausdorff95(mask, truth)))
        found["boundary_f"].append(float(metrics.boundary_f(mask, truth)))
        found["cldice"].append(float(metrics.cldice(mask, truth)))
        tiles = [cut(each_, part.tile) for each_ in (mask, truth)]
        found["betti"].append(float(metrics.betti_error(*tiles).sum(-1).mean()))
    return {name: statistics.mean(values) for name, values in found.items()}


def cut(mask: Tensor, side: int) -> Tensor:
    """Whole tiles (T, 1, side, side), or the mask itself."""
    if not side:
        return mask
    return mask.unfold(2, side, side).unfold(3, side, side).flatten(2, 3)[0].transpose(0, 1)


def compare(root: Path, out: Path, sets: Sequence[str], seeds: Sequence[int]) -> None:
    torch.set_num_threads(1)
    done = {(line["set"], line["seed"], line["loss"]) for line in lines(out)} if out.exists() else set()
    for seed in seeds:
        for name in sets:
            wanted = [run for run in ("start", *RUNS) if (name, seed, run) not in done]
            if not wanted:
                continue
            part = SETS[name](root, seed)
            channels = part.train[0].image.shape[0]
            network = build_unet("small", channels=channels, seed=seed)
            train(network, _both, part.train, 100 + seed, START, 2e-3)
            start = {key: value.clone() for key, value in network.state_dict().items()}
            first = list(batches(part.train, 200 + seed, 8))
            for run in wanted:
                network.load_state_dict(start)
                weight, seconds = 0.0, 0.0
                if run != "start":
                    loss, weight = weighted(network, run, first)
                    seconds = train(network, loss, part.train, 200 + seed, STEPS, 1e-3)
                facts = {"set": name, "seed": seed, "loss": run, "weight": weight, "step": seconds}
                with out.open("a") as file:
                    print(json.dumps(facts | measured(network, part)), file=file)
                print(name, seed, run, flush=True)


def _both(logits: Tensor, mask: Tensor) -> Tensor:
    return losses.bce_loss(logits, mask) + losses.dice_loss(logits, mask)


def lines(file: Path) -> list[dict[str, float | str | int]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def table(file: Path) -> None:
    """Mean over the seeds; below, the difference from Dice alone of the same seed, with its spread."""
    every = lines(file)
    for name in SETS:
        here = [line for line in every if line["set"] == name]
        if not here:
            continue
        found = {(line["loss"], line["seed"]): line for line in here}
        whole = [seed for seed in SEEDS if all((run, seed) in found for run in ("start", *RUNS))]
        print(f"\n{name}, seeds {', '.join(map(str, whole)) or 'none yet'}\n")
        print("| loss | Dice | HD95, px | BoundF | clDice | Betti error | step |")
        print("|---|---|---|---|---|---|---|")
        for run in ("start", *RUNS):
            if whole:
                print(f"| {run} | {' | '.join(cells(found, run, whole))} |")


def cells(found: dict[tuple[str, int], dict[str, float]], run: str, seeds: Sequence[int]) -> Iterator[str]:
    for figure in FIGURES:
        values = [found[run, seed][figure] for seed in seeds]
        digits = 2 if figure in ("hd95", "betti") else 3
        text = f"{statistics.mean(values):.{digits}f}"
        if run not in ("start", "dice"):
            moved = [found[run, seed][figure] - found["dice", seed][figure] for seed in seeds]
            spread = statistics.stdev(moved) if len(moved) > 1 else 0.0
            text += f" ({statistics.mean(moved):+.{digits}f} ± {spread:.{digits}f})"
        yield text
    steps = [found[run, seed]["step"] / max(found["dice", seed]["step"], 1e-9) for seed in seeds]
    yield f"{statistics.median(steps):.2f}" if run != "start" else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("losses.jsonl"))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        table(given.data)
    else:
        compare(given.data, given.out, given.sets, given.seeds)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
