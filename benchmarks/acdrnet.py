"""The paper's protocol: a circle in the middle of the region evolves to the object, against a U-Net.

    python benchmarks/acdrnet.py DATA --sets cardiac buildings [--seeds 0 1 2] [--steps 1000]
    python benchmarks/acdrnet.py DATA --ablation vertices|iterations|losses|resolution [--sets ...]

Cardiac: 128 x 128 slices of the Sunnybrook data by patient, at 64 x 64; buildings: 64 x 64 crops with one
building, every fifth held out. The contour network sees the image alone and starts from a circle 16 px wide.
The U-Net is MONAI's SegResNet with the same backbone, cross-entropy and Dice, the same close-ups,
augmentation, batches and steps. Both are measured at 64 x 64, and for both a fifth of the training part
decides which step is kept. WCov is the mean IoU weighted by the true areas: each image has one object.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from contour_sets import normalised_scene_image
from torch import Tensor, nn
from torch.nn import functional

from napari_segsize.engine.closeup import PATCH, SIDE, CloseUp
from napari_segsize.engine.contour_batch import ContourSource
from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.contour_runs import contour_training
from napari_segsize.engine.loop import fit
from napari_segsize.losses.region import bce_loss, dice_loss
from napari_segsize.metrics import boundary_f, dice, iou
from napari_segsize.models.contour import build_contour_net, evolve_contours
from napari_segsize.models.unet import build_unet
from napari_segsize.ops.polygon import polygon_mask

RADIUS = 8.0
PUBLISHED = {
    "vertices": (4, 8, 16, 32, 64, 128),
    "iterations": (1, 2, 3, 4, 5),
    "losses": ("segmentation", "and curvature", "and balloon", "all", "all and distance"),
    "resolution": (16, 32, 64),  # the paper's 128 is beyond the region's side
}


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="*", default=["cardiac", "buildings"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--model", default="small", help="small, large or acdrnet")
    parser.add_argument("--distance", type=float, default=1.0, help="weight of the distance loss, ours")
    parser.add_argument("--ablation", choices=tuple(PUBLISHED))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {' '.join(sys.argv)}")
    for name in arguments.sets:
        if arguments.ablation == "resolution":
            for side in PUBLISHED["resolution"]:
                train, held = close_ups_of_set(arguments.data, name, int(side))
                found = [contour_scores(train, held, _config(arguments, seed=s)) for s in arguments.seeds]
                _report(name, f"{side} px", found)
            continue
        train, held = close_ups_of_set(arguments.data, name)
        print(f"{name}: {len(train)} to train on, {len(held)} held out")
        for label, config in _variants(arguments):
            found = [contour_scores(train, held, replace(config, seed=seed)) for seed in arguments.seeds]
            _report(name, label, found)
        if not arguments.ablation:
            found = [unet_scores(train, held, _config(arguments, seed=seed)) for seed in arguments.seeds]
            _report(name, "U-Net", found)


def close_ups_of_set(root: Path, name: str, resolution: int = SIDE) -> tuple[list[CloseUp], list[CloseUp]]:
    """Whole images at 64 x 64 in the middle of a close-up: (train, held out)."""
    if name == "cardiac":
        data = np.load(root / "cardiac" / "cardiac_lv.npz")
        images, held = data["images"][..., None], data["split"] == 1
    else:
        data = np.load(root / "buildings" / "buildings_single.npz")
        images, held = data["images"], np.arange(len(data["images"])) % 5 == 4
    items = [
        _whole(normalised_scene_image(image), torch.from_numpy(mask), resolution)
        for image, mask in zip(images, data["masks"], strict=True)
    ]
    return (
        [item for item, out in zip(items, held, strict=True) if not out],
        [item for item, out in zip(items, held, strict=True) if out],
    )


def _whole(image: Tensor, mask: Tensor, resolution: int) -> CloseUp:
    """An image whose whole side becomes `SIDE` px, with the details of `resolution`; the border repeats."""
    coarse = functional.interpolate(image[None], (resolution, resolution), mode="area")
    small = functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear", align_corners=False)[0]
    truth = functional.interpolate(mask[None, None].float(), (SIDE, SIDE), mode="area")[0]
    around = (PATCH - SIDE) // 2
    padded = functional.pad(small[None], (around,) * 4, mode="replicate")[0]
    channels = [0, 0, 0] if len(padded) == 1 else [0, 1, 2]
    return CloseUp(
        image=padded[channels], mask=functional.pad(truth, (around,) * 4), scale=image.shape[-1] / SIDE
    )


def _config(arguments: argparse.Namespace, **changes: object) -> ContourConfig:
    base = ContourConfig(
        steps=arguments.steps, model=arguments.model, learning_rate=2e-3, batch_size=32, circle=RADIUS,
        prompts=False, validate_every=100, patience=0, average=0.99, device="cpu",
        balloon_weight=0.01, curvature_weight=0.0, distance_weight=arguments.distance,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def _variants(arguments: argparse.Namespace) -> list[tuple[str, ContourConfig]]:
    if arguments.ablation == "vertices":
        return [(f"{k} vertices", _config(arguments, vertices=k)) for k in PUBLISHED["vertices"]]
    if arguments.ablation == "iterations":
        return [(f"{k} iterations", _config(arguments, iterations=k)) for k in PUBLISHED["iterations"]]
    if arguments.ablation == "losses":
        weights = {
            "segmentation": (0.0, 0.0), "and curvature": (0.0, 0.5), "and balloon": (0.01, 0.0),
            "all": (0.01, 0.5),
        }  # fmt: skip
        paper = [
            (
                label,
                _config(arguments, balloon_weight=balloon, curvature_weight=curvature, distance_weight=0.0),
            )
            for label, (balloon, curvature) in weights.items()
        ]
        return [*paper, ("all and distance", _config(arguments, curvature_weight=0.5))]
    return [("contour network", _config(arguments))]


def contour_scores(
    train: Sequence[CloseUp], held: Sequence[CloseUp], config: ContourConfig
) -> dict[str, float]:
    """Train a contour network from a circle, and measure the contours it makes."""
    learn, decide = _fifth(train, config.seed)
    network = build_contour_net(config.model, prompts=0, width=16, seed=config.seed)
    with tempfile.TemporaryDirectory() as folder:
        run = contour_training(
            learn, decide, network, config, Path(folder) / "run.pt", entry={}, look_first=False
        )
        events = fit(run)
        while True:
            try:
                next(events)
            except StopIteration as end:
                network.load_state_dict(end.value.weights)
                break
    network.eval()

    def masks(source: ContourSource, items: Sequence[CloseUp]) -> tuple[Tensor, Tensor]:
        batch = source.batch(items, None)
        with torch.no_grad():
            contours = evolve_contours(network(batch.inputs), batch.contours, config.iterations)[-1]
        return polygon_mask(contours, (SIDE, SIDE)) > 0.5, batch.target > 0.5

    return _scores(masks, held, config)


def unet_scores(train: Sequence[CloseUp], held: Sequence[CloseUp], config: ContourConfig) -> dict[str, float]:
    """Train a U-Net on the same batches, and measure its masks."""
    learn, decide = _fifth(train, config.seed)
    network = build_unet("small", channels=3, seed=config.seed)
    source = ContourSource(
        learn,
        batch_size=config.batch_size,
        vertices=config.vertices,
        prompts=0,
        circle=RADIUS,
        seed=config.seed,
    )
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.average)
    )

    def masks(candidate: nn.Module) -> Callable[[ContourSource, Sequence[CloseUp]], tuple[Tensor, Tensor]]:
        def made(source: ContourSource, items: Sequence[CloseUp]) -> tuple[Tensor, Tensor]:
            batch = source.batch(items, None)
            with torch.no_grad():
                return candidate(batch.inputs) > 0, batch.target > 0.5

        return made

    best, kept = -1.0, {}
    for step in range(1, config.steps + 1):
        batch = source(step)
        logits = network(batch.inputs)
        target = (batch.target > 0.5).float()
        loss = bce_loss(logits, target) + dice_loss(logits, target)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, step / config.warm_up)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimizer.step()
        average.update_parameters(network)
        if step % config.validate_every == 0:
            average.module.eval()
            value = _scores(masks(average.module), decide, config)["mIoU"]
            average.module.train()
            if value > best:
                best = value
                kept = {name: each.clone() for name, each in average.module.state_dict().items()}
    network.load_state_dict(kept)
    network.eval()
    return _scores(masks(network), held, config)


def _fifth(train: Sequence[CloseUp], seed: int) -> tuple[list[CloseUp], list[CloseUp]]:
    """Every fifth image decides when a network is best; neighbours of a patient stay together in blocks."""
    blocks = np.arange(len(train)) // 16
    decide = (blocks + seed) % 5 == 0
    return (
        [item for item, out in zip(train, decide, strict=True) if not out],
        [item for item, out in zip(train, decide, strict=True) if out],
    )


def _scores(
    masks: Callable[[ContourSource, Sequence[CloseUp]], tuple[Tensor, Tensor]],
    items: Sequence[CloseUp],
    config: ContourConfig,
) -> dict[str, float]:
    source = ContourSource(
        items, batch_size=1, vertices=config.vertices, prompts=0, augment=False, circle=RADIUS
    )
    found, truth = zip(
        *(masks(source, items[start : start + 64]) for start in range(0, len(items), 64)), strict=True
    )
    mask, target = torch.cat(found), torch.cat(truth)
    overlap, area = iou(mask, target), target.flatten(2).sum(-1)
    return {
        "F1": float(dice(mask, target).mean()),
        "mIoU": float(overlap.mean()),
        "WCov": float((overlap * area).sum() / area.sum()),
        "BoundF": float(boundary_f(mask, target).mean()),
    }


def _report(name: str, label: str, found: list[dict[str, float]]) -> None:
    line = "  ".join(f"{metric} {_mean([each[metric] for each in found])}" for metric in found[0])
    print(f"{name:10} {label:18} {line}", flush=True)


def _mean(values: list[float]) -> str:
    spread = f" +- {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{spread}"


if __name__ == "__main__":
    main()
