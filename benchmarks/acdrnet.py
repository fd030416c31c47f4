"""The paper's protocol: a circle in the middle of the region evolves to the object, against a U-Net.

    python benchmarks/acdrnet.py DATA --out acdrnet.jsonl --seeds 0 1 2 [--steps 500] [--sets cardiac]
    python benchmarks/acdrnet.py DATA --out acdrnet.jsonl --ablation vertices|iterations|side|losses
    python scripts/ablation_pictures.py acdrnet.jsonl

Cardiac: 128 x 128 slices of the Sunnybrook data by patient, seen at 64 x 64; buildings: 64 x 64 crops with
one building, every fifth held out. The contour network sees the image alone and starts from a circle a
quarter of the side wide (16 px). The U-Net is MONAI's SegResNet with the same backbone, cross-entropy and
Dice, the same close-ups, augmentation, batches, steps and optimiser (Adam, a cosine down to 0). Both keep
their last weights: nothing is chosen by a look at the held-out part. Both are measured at 64 x 64. WCov is
the mean IoU weighted by the true areas: each image has one object. A run that the file has is not done again;
the last command prints the tables and draws the ablations.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contour_sets import normalised_scene_image
from torch import Tensor, nn
from torch.nn import functional

from napari_segsize.engine.closeup import PATCH, SIDE, CloseUp
from napari_segsize.engine.contour_batch import ContourBatch, ContourSource
from napari_segsize.losses.contour import (
    BALLOON_WEIGHT,
    CURVATURE_WEIGHT,
    balloon_loss,
    contour_segmentation_loss,
    curvature_loss,
)
from napari_segsize.losses.contour_distance import contour_distance_loss
from napari_segsize.losses.region import bce_loss, dice_loss
from napari_segsize.metrics import boundary_f, dice, iou
from napari_segsize.models.contour import build_contour_net, evolve_contours
from napari_segsize.models.unet import build_unet
from napari_segsize.ops.polygon import polygon_mask

RADIUS = 8 / 64  # of the side
DISPLACED = "SC-N-06"  # all its outlines lie 5 to 8 px (of 64) up and left of the ventricle
AVERAGE, CLIP = 0.97, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One training run; what is equal gives equal numbers."""

    set: str
    network: str = "contour"  # contour, acdrnet (the paper's encoder-decoder) or unet
    seed: int = 0
    steps: int = 500
    batch: int = 8
    learning_rate: float = 2e-3
    vertices: int = 32
    iterations: int = 3
    side: int = SIDE
    balloon: float = BALLOON_WEIGHT
    curvature: float = 0.0
    distance: float = 1.0
    turn: float = 180.0


LOSSES = {
    "segmentation": {"balloon": 0.0, "curvature": 0.0, "distance": 0.0},
    "and curvature": {"balloon": 0.0, "curvature": CURVATURE_WEIGHT, "distance": 0.0},
    "and balloon": {"balloon": BALLOON_WEIGHT, "curvature": 0.0, "distance": 0.0},
    "all of the paper's": {"balloon": BALLOON_WEIGHT, "curvature": CURVATURE_WEIGHT, "distance": 0.0},
    "balloon and distance": {},  # ours
}
ABLATIONS: dict[str, tuple[int, ...]] = {
    "vertices": (4, 8, 16, 32, 64, 128),
    "iterations": (1, 2, 3, 4, 5),
    "side": (16, 32, 64, 128),
}


def main() -> None:
    """Train, measure and write one line of JSON a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("acdrnet.jsonl"))
    parser.add_argument("--sets", nargs="*", default=["cardiac", "buildings"])
    parser.add_argument("--networks", nargs="*", default=["contour", "unet"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--ablation", choices=(*ABLATIONS, "losses"))
    parser.add_argument("--turn", type=float, default=180.0, help="largest turn of the augmentation, degrees")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for setting in settings(arguments):
        if asdict(setting) in _done(arguments.out):
            continue
        train, held = close_ups_of_set(arguments.data, setting.set, setting.side)
        truth = held if setting.side == SIDE else close_ups_of_set(arguments.data, setting.set)[1]
        start, worked = time.time(), time.process_time()
        line = {
            "setting": asdict(setting),
            "scores": run(setting, train, held, truth, patients_of(arguments.data, setting.set)),
            "train": len(train),
            "held": len(held),
            "seconds": round(time.time() - start, 1),
            "processor seconds": round(time.process_time() - worked, 1),
            "load": round(os.getloadavg()[0], 1),
            "machine": f"{platform.machine()}, torch {torch.__version__}, {arguments.threads} thread",
        }
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def settings(arguments: argparse.Namespace) -> Iterator[Setting]:
    """The runs that were asked for."""
    for name in arguments.sets:
        for seed in arguments.seeds:
            plain = Setting(set=name, seed=seed, steps=arguments.steps, turn=arguments.turn)
            if arguments.ablation is None:
                yield from (replace(plain, network=network) for network in arguments.networks)
            elif arguments.ablation == "losses":
                yield from (replace(plain, **weights) for weights in LOSSES.values())
            else:
                for value in ABLATIONS[arguments.ablation]:
                    if not (value > SIDE and arguments.ablation == "side" and name == "buildings"):
                        yield replace(plain, **{arguments.ablation: value})


def _done(file: Path) -> list[dict[str, object]]:
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [
        asdict(Setting(**json.loads(line)["setting"])) for line in lines
    ]  # older lines know fewer settings


def close_ups_of_set(root: Path, name: str, side: int = SIDE) -> tuple[list[CloseUp], list[CloseUp]]:
    """Whole images at `side` x `side` in the middle of a close-up: (train, held out)."""
    if name == "cardiac":
        data = np.load(root / "cardiac" / "cardiac_lv.npz")
        images, held = data["images"][..., None], data["split"] == 1
    else:
        data = np.load(root / "buildings" / "buildings_single.npz")
        images, held = data["images"], np.arange(len(data["images"])) % 5 == 4
    items = [
        _whole(normalised_scene_image(image), torch.from_numpy(mask), side)
        for image, mask in zip(images, data["masks"], strict=True)
    ]
    return (
        [item for item, out in zip(items, held, strict=True) if not out],
        [item for item, out in zip(items, held, strict=True) if out],
    )


def patients_of(root: Path, name: str) -> list[str]:
    """The patient of each held-out slice; buildings have none."""
    if name != "cardiac":
        return []
    data = np.load(root / "cardiac" / "cardiac_lv.npz")
    return [str(patient) for patient in data["patient"][data["split"] == 1]]


def _whole(image: Tensor, mask: Tensor, side: int) -> CloseUp:
    """An image whose whole side becomes `side` px; beyond it the border repeats, and there is no object."""
    small = functional.interpolate(image[None], (side, side), mode="area")
    truth = functional.interpolate(mask[None, None].float(), (side, side), mode="area")[0]
    around = (PATCH * side // SIDE - side) // 2
    padded = functional.pad(small, (around,) * 4, mode="replicate")[0]
    channels = [0, 0, 0] if len(padded) == 1 else [0, 1, 2]
    return CloseUp(
        image=padded[channels], mask=functional.pad(truth, (around,) * 4), scale=image.shape[-1] / side
    )


def run(
    setting: Setting,
    train: Sequence[CloseUp],
    held: Sequence[CloseUp],
    truth: Sequence[CloseUp],
    patients: Sequence[str] = (),
) -> dict[str, Any]:
    """Train one network, and measure it on the held-out part; `truth` is that part at `SIDE` px."""
    network: nn.Module
    if setting.network == "unet":
        network, loss, masks = build_unet("small", channels=3, seed=setting.seed), _mask_loss, _mask
    else:
        kind = "small" if setting.network == "contour" else "acdrnet"
        network = build_contour_net(kind, prompts=0, width=16, seed=setting.seed)
        loss, masks = _contour_loss, _contour_mask
    network = trained(network, loss, source(train, setting), setting)
    found, true = [], []
    for start in range(0, len(held), 64):
        batch = source(held[start : start + 64], setting).batch(held[start : start + 64], None)
        whole = replace(setting, side=SIDE)
        true.append(source(truth, whole).batch(truth[start : start + 64], None).target > 0.5)
        with torch.no_grad():
            found.append(masks(network, batch, setting))
    mask, target = torch.cat(found), torch.cat(true)
    measured: dict[str, Any] = scores(mask, target)
    for patient in sorted(set(patients)):
        mine = torch.tensor([other == patient for other in patients])
        measured.setdefault("F1 by patient", {})[patient] = scores(mask[mine], target[mine])["F1"]
    if DISPLACED in patients:
        rest = torch.tensor([other != DISPLACED for other in patients])
        measured[f"without {DISPLACED}"] = scores(mask[rest], target[rest])
    return measured


def source(items: Sequence[CloseUp], setting: Setting) -> ContourSource:
    """Batches of a setting."""
    return ContourSource(
        items, batch_size=setting.batch, vertices=setting.vertices, prompts=0, seed=setting.seed,
        circle=RADIUS * setting.side, side=setting.side, turn=setting.turn,
    )  # fmt: skip


def trained(
    network: nn.Module,
    loss: Callable[[nn.Module, ContourBatch, Setting], Tensor],
    batches: ContourSource,
    setting: Setting,
) -> nn.Module:
    """The running mean of the weights after the last step."""
    optimizer = torch.optim.Adam(network.parameters(), setting.learning_rate)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE), use_buffers=True
    )
    network.train()
    warm_up = min(20, setting.steps // 5)
    for step in range(1, setting.steps + 1):
        rate = min(1.0, step / warm_up) * 0.5 * (1 + math.cos(math.pi * step / (setting.steps + 1)))
        for group in optimizer.param_groups:
            group["lr"] = setting.learning_rate * rate
        optimizer.zero_grad()
        loss(network, batches(step), setting).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        average.update_parameters(network)
    result: nn.Module = average.module.eval()
    return result


def _contour_loss(network: nn.Module, batch: ContourBatch, setting: Setting) -> Tensor:
    """The losses of the paper (eqs. 5 to 8) after every iteration, and our distance term."""
    contours = evolve_contours(network(batch.inputs), batch.contours, setting.iterations)[1:]
    shape = (setting.side, setting.side)
    masks = polygon_mask(contours.flatten(0, 1), shape).view(*contours.shape[:2], 1, *shape)
    total = contour_segmentation_loss(contours, batch.target, masks=masks)
    if setting.balloon:
        total = total + setting.balloon * balloon_loss(contours, shape, masks=masks)
    if setting.curvature:
        total = total + setting.curvature * curvature_loss(contours, shape)
    if setting.distance:
        total = total + setting.distance * contour_distance_loss(contours, batch.target)
    return total


def _mask_loss(network: nn.Module, batch: ContourBatch, _setting: Setting) -> Tensor:
    logits, target = network(batch.inputs), (batch.target > 0.5).float()
    return bce_loss(logits, target) + dice_loss(logits, target)


def _contour_mask(network: nn.Module, batch: ContourBatch, setting: Setting) -> Tensor:
    contours = evolve_contours(network(batch.inputs), batch.contours, setting.iterations)[-1]
    contours = (contours + 0.5) * (SIDE / setting.side) - 0.5
    return polygon_mask(contours, (SIDE, SIDE)) > 0.5


def _mask(network: nn.Module, batch: ContourBatch, _setting: Setting) -> Tensor:
    logits: Tensor = network(batch.inputs)
    return logits > 0


def scores(mask: Tensor, target: Tensor) -> dict[str, float]:
    """The paper's four: F1 and IoU as means over the images; per cent."""
    overlap, area = iou(mask, target), target.flatten(2).sum(-1)
    found = {
        "F1": dice(mask, target).mean(),
        "mIoU": overlap.mean(),
        "WCov": (overlap * area).sum() / area.sum(),
        "BoundF": boundary_f(mask, target).mean(),
    }
    return {name: round(100 * float(value), 2) for name, value in found.items()}


if __name__ == "__main__":
    sys.exit(main())
