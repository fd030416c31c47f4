"""KiU-Net against a U-Net of equal parameters, on thin structures and on large ones.

    python benchmarks/kiunet.py DATA [--out kiunet.jsonl] [--seconds 120] [--seeds 0 1]
    python benchmarks/kiunet.py kiunet.jsonl --table

Vessels: 15 colour photographs of the retina at full size. Masses: 20 ultrasound images, brought to 64 px on
their longer side, so that each is seen whole by a training crop. Seed s holds out every fifth image, the
first of them number s, and fixes weights, crops and flips; nothing is chosen on the images held out, and the
settings were fixed before the first run. Every network gets the same loss, crops, step size and processor
seconds; its Dice on the images held out is taken at the steps 10, 20, 40, … and at the end (the clock stands
meanwhile). All networks normalise over the batch. "steps" compares them after as many steps as the slowest
has taken, "seconds" after all have had the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import psutil
import torch
from distance import processor
from monai.losses import DiceLoss
from monai.networks.nets import UNet
from skimage.transform import resize
from torch import Tensor, nn
from torch.nn import functional

from napari_segsize.engine.dataset import normalised
from napari_segsize.metrics import cldice, dice
from napari_segsize.models.kiunet import build_kiunet, memory_estimate
from napari_segsize.models.unet import SegmentationNet

BATCH = {"vessels": 4, "masses": 2}
CROP = {"vessels": 48, "masses": 64}
LOOK = {"vessels": 144, "masses": 64}  # the middle of a held-out image that the curve looks at
LEVELS = {"vessels": (0.5, 0.6, 0.7), "masses": (0.4, 0.5, 0.6)}


def unet(channels: int) -> SegmentationNet:
    """Residual units with about as many parameters as KiU-Net (217,642 against 217,113 for colour)."""
    network = UNet(2, channels, 1, (12, 24, 47, 93), (2, 2, 2), num_res_units=2, norm="batch")
    return SegmentationNet(network, stride=8, smallest=16)


NETWORKS: dict[str, Callable[[int], SegmentationNet]] = {
    "U-Net": unet,
    "KiU-Net, 1 level": lambda channels: build_kiunet(channels=channels, ki_levels=1),
    "KiU-Net, 2 levels": lambda channels: build_kiunet(channels=channels, ki_levels=2),
    "KiU-Net, 3 levels": lambda channels: build_kiunet(channels=channels, ki_levels=3),
}


def read(root: Path, name: str) -> list[tuple[Tensor, Tensor]]:
    """Normalised images (C, H, W) with masks (1, H, W)."""
    pairs = []
    for file in sorted((root / name / "images").glob("*.png")):
        image, mask = iio.imread(file), iio.imread(root / name / "masks" / file.name) > 0
        image = image[..., None] if image.ndim == 2 else image[..., :3]
        if name == "masses":
            scale = CROP[name] / max(mask.shape)
            shape = [max(1, round(side * scale)) for side in mask.shape]
            image = resize(image.astype(float), shape, anti_aliasing=True)
            mask = resize(mask.astype(float), shape, anti_aliasing=True) >= 0.5
            extra = [(0, CROP[name] - side) for side in shape]
            image, mask = np.pad(image, (*extra, (0, 0)), mode="edge"), np.pad(mask, extra)
        planes = torch.from_numpy(normalised(np.moveaxis(image, -1, 0)))
        pairs.append((planes, torch.from_numpy(mask)[None]))
    return pairs


def batches(pairs: list[tuple[Tensor, Tensor]], name: str, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops at random places, flipped and turned by quarters at random."""
    random, side = np.random.default_rng(seed), CROP[name]
    while True:
        crops = []
        for _ in range(BATCH[name]):
            image, mask = pairs[random.integers(len(pairs))]
            y, x = (int(random.integers(0, extent - side + 1)) for extent in mask.shape[1:])
            both = torch.cat([image, mask.float()])[:, y : y + side, x : x + side]
            both = torch.rot90(both, int(random.integers(4)), (1, 2))
            crops.append(both.flip(2) if random.random() < 0.5 else both)
        stacked = torch.stack(crops)
        yield stacked[:, :-1], stacked[:, -1:]


def middle(planes: Tensor, side: int) -> Tensor:
    """The middle of a plane."""
    y, x = (max(0, (extent - side) // 2) for extent in planes.shape[1:])
    return planes[:, y : y + side, x : x + side]


def scores(network: nn.Module, pairs: list[tuple[Tensor, Tensor]], side: int, *, lines: bool) -> dict:
    """Mean Dice, and clDice, over the middles of the images held out."""
    network.eval()
    found: dict[str, list[float]] = {"dice": [], "cldice": []}
    with torch.inference_mode():
        for image, mask in pairs:
            logits = network(middle(image, side)[None])
            target = middle(mask, side)[None]
            found["dice"].append(float(dice(logits > 0, target)))
            if lines:
                found["cldice"].append(float(cldice(logits > 0, target)))
    network.train()
    return {key: round(float(np.mean(values)), 4) for key, values in found.items() if values}


def peak(step: Callable[[], None]) -> float | None:
    """MiB that a step takes at most beyond what the process holds; Linux alone tells."""
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        step()
        return None
    reset.write_text("5")
    before = psutil.Process().memory_info().rss
    step()
    lines = Path("/proc/self/status").read_text().splitlines()
    highest = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return round(int(highest) / 1024 - before / 2**20)


def train(root: Path, name: str, kind: str, seed: int, seconds: float, threads: int) -> dict:
    """One training, in a process of its own: its curve, and what it ends with."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    pairs = read(root, name)
    held, rest = pairs[seed::5], [pair for index, pair in enumerate(pairs) if index % 5 != seed % 5]
    network = NETWORKS[kind](rest[0][0].shape[0])
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    overlap = DiceLoss(sigmoid=True)
    source = batches(rest, name, seed)
    spent, step, due, curve, memory = 0.0, 0, 10, [], None
    network(torch.randn(1, rest[0][0].shape[0], 16, 16))  # what libraries load once is not counted

    def once() -> None:
        images, target = next(source)
        optimizer.zero_grad()
        logits = network(images)
        loss = functional.binary_cross_entropy_with_logits(logits, target) + overlap(logits, target)
        loss.backward()
        optimizer.step()

    while spent < seconds:
        begun = time.process_time()
        if step == 0:
            memory = peak(once)
        else:
            once()
        spent, step = spent + time.process_time() - begun, step + 1
        if step == due:
            due *= 2
            found = scores(network, held, LOOK[name], lines=False)
            curve.append((step, round(spent, 1), found["dice"]))
    end = scores(network, held, LOOK[name], lines=True)
    curve.append((step, round(spent, 1), end["dice"]))
    sides = (CROP[name], CROP[name])
    estimate = (
        memory_estimate(sides, BATCH[name], ki_levels=int(kind.split()[1])) / 2**20 if "," in kind else None
    )
    return {
        "set": name,
        "network": kind,
        "seed": seed,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "steps": step,
        "seconds": round(spent),
        "memory": memory,
        "estimate": estimate and round(estimate),
        **end,
        "curve": curve,
    }


def reached(curve: list, level: float) -> str:
    """Steps and seconds at the first look that is at least `level`."""
    for step, spent, value in curve:
        if value >= level:
            return f"{step} ({spent:.0f} s)"
    return "not"


def at_step(curve: list, step: int) -> float:
    """Dice at the last look at or before `step`."""
    return [value for at, _, value in curve if at <= step][-1]


def table(file: Path) -> None:
    """Print a table for each set, and for each training how fast it learned."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for name in CROP:
        mine = [row for row in rows if row["set"] == name]
        if not mine:
            continue
        kinds = [kind for kind in NETWORKS if any(row["network"] == kind for row in mine)]
        seeds = sorted({row["seed"] for row in mine})
        looks = [[step for step, _, _ in row["curve"]] for row in mine]
        least = max(set(looks[0]).intersection(*looks))  # looked at by all of them
        print(f"\n{name}, seeds {seeds}: Dice after {least} steps, Dice and clDice after equal seconds\n")
        levels = " | ".join(f"steps (time) to Dice {level}" for level in LEVELS[name])
        print(
            "| network | parameters | ms a step | MiB a step | estimate | Dice, steps | Dice | clDice |",
            end="",
        )
        print(f" {levels} |\n|{'---|' * (8 + len(LEVELS[name]))}")
        for kind in kinds:
            same = [row for row in mine if row["network"] == kind]
            first = same[0]
            cells = [kind, f"{first['parameters']:,}"]
            cells += [f"{1000 * np.mean([row['seconds'] / row['steps'] for row in same]):.0f}"]
            cells += [str(first["memory"]), str(first["estimate"] or "")]
            cells += [" ".join(f"{at_step(row['curve'], least):.3f}" for row in same)]
            cells += [" ".join(f"{row[key]:.3f}" for row in same) for key in ("dice", "cldice")]
            cells += [", ".join(reached(row["curve"], level) for row in same) for level in LEVELS[name]]
            print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("kiunet.jsonl"))
    parser.add_argument("--sets", nargs="+", choices=list(CROP), default=list(CROP))
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS)[:3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        table(options.data)
        return
    print(f"{processor()}, {os.cpu_count()} cores, {options.threads} threads; torch {torch.__version__}")
    for seed in options.seeds:
        for name in options.sets:
            for kind in options.networks:
                with get_context("spawn").Pool(1) as pool:  # so that memory can be measured
                    arguments = (options.data, name, kind, seed, options.seconds, options.threads)
                    row = pool.apply(train, arguments)
                print(json.dumps(row), flush=True)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
