"""What sizes and extents add to a few masks, beside all masks; hippocampus slices.

    python benchmarks/hippocampus.py DATA/hippocampus.npz --seeds 0 1 2 --out results.jsonl

Methods
-------
masks only, all masks
    Pre-training from 64 masks, and from those of every training slice.
sizes (paper), sizes and centres
    Then fine-tuned with the size, or size and centroid, of every other training slice.
extents
    The same with the outermost rows and columns of every other training slice instead.
extreme points
    The same with the four extreme points: the extents, and where in them the object is touched.
everything
    Sizes, centres and extreme points.

Protocols
---------
split
    The data's subject-wise parts. Every method stops on 15 subjects set aside from the training part, and
    is reported on the validation part, which it never sees before.
random
    The paper's: slices dealt at random 70/10/20 whatever their subject; stops on the 10, reports on the 20.
dev
    For choosing settings: as split, but reported on the 15 subjects; the validation part is unused.

``--mirrored`` reports every network twice, the second time as it answers in four looks ("four looks").

Every result is one JSON line; ``--table`` prints the means of a results file.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_segsize.engine.checkpoint import network_entry
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.dataset import Dataset, Item, normalised
from napari_segsize.engine.evaluate import score_network
from napari_segsize.engine.events import Validated
from napari_segsize.engine.loop import Outcome, Run, fit
from napari_segsize.engine.predict import logits_of
from napari_segsize.engine.runs import finetuning, pretraining
from napari_segsize.metrics import hausdorff95
from napari_segsize.models.unet import build_unet
from napari_segsize.ops.distance import chebyshev_distance
from napari_segsize.ops.points import extreme_points
from napari_segsize.project.annotation import PlaneRef

METHODS = (
    "masks only",
    "sizes (paper)",
    "sizes and centres",
    "extents",
    "extreme points",
    "everything",
    "all masks",
)


class Planes:
    """Normalised slices, volume by volume."""

    normalise = "volume"

    def __init__(self, data: dict[str, np.ndarray]) -> None:
        self.images = np.empty((len(data["images"]), 1, *data["images"].shape[1:]), np.float32)
        for volume in np.unique(data["volume_id"]):
            rows = data["volume_id"] == volume
            self.images[rows] = normalised(data["images"][rows][:, None])

    def __call__(self, plane: PlaneRef) -> Tensor:
        return torch.from_numpy(self.images[plane.slice])


def facts(masks: np.ndarray, centre: str) -> Tensor:
    """Size, y, x of every mask: its centroid, or the centre of its biggest square."""
    mask = torch.from_numpy(masks)[:, None]
    distance = chebyshev_distance(mask)[:, 0]
    size = 2 * distance.flatten(1).amax(1)
    rows = []
    for index in range(len(masks)):
        chosen = masks[index] if centre == "centroid" else (distance[index] == distance[index].max()).numpy()
        rows.append(np.argwhere(chosen).mean(0))
    return torch.cat([size[:, None], torch.tensor(np.array(rows), dtype=torch.float32)], 1)


def parts(data: dict[str, np.ndarray], protocol: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of training, stopping and reporting slices."""
    if protocol == "random":
        return tuple(np.flatnonzero(data["random_split"] == part) for part in (0, 1, 2))  # type: ignore[return-value]
    train = data["split"] == 0
    subjects = np.random.default_rng(1).permutation(np.unique(data["subject"][train]))
    aside = train & np.isin(data["subject"], subjects[:15])
    report = aside if protocol == "dev" else data["split"] == 1
    return np.flatnonzero(train & ~aside), np.flatnonzero(aside), np.flatnonzero(report)


def ends(masks: np.ndarray) -> tuple[Tensor, Tensor]:
    """Extreme points of every mask (N, 4, 2), and the same with the outermost rows and columns alone."""
    points = extreme_points(torch.from_numpy(masks)[:, None])[:, 0]
    extents = points.clone()
    for side in range(4):
        extents[:, side, 1 - side % 2] = torch.nan
    return points, extents


def dataset(
    planes: Planes,
    data: dict,
    rows: np.ndarray,
    masked: set[int],
    sizes: Tensor | None = None,
    points: Tensor | None = None,
) -> Dataset:
    """Items of `rows`: masks for `masked`, sizes and points for the others."""
    items = []
    for row in rows.tolist():
        mask = torch.from_numpy(data["masks"][row]) if row in masked else None
        said = {}
        if mask is None:
            if sizes is None and points is None:
                continue
            said["objects"] = sizes[row][None] if sizes is not None else torch.full((1, 3), torch.nan)
            if points is not None:
                said["points"] = points[row][None]
        items.append(Item(plane=PlaneRef(1, row), shape=(48, 32), mask=mask, **said))
    return Dataset(tuple(items), planes)  # type: ignore[arg-type]


def trained(run: Run, show: bool) -> tuple[Outcome, float]:
    """Drain a run; its outcome and seconds."""
    begun = time.perf_counter()
    events = fit(run)
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return end.value, time.perf_counter() - begun
        if show and isinstance(event, Validated):
            values = " ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
            print(
                f"  {event.stage} {event.step} {values} {'*' if event.best else ''}",
                file=sys.stderr,
                flush=True,
            )


def pretrained(
    few: Dataset,
    validation: Dataset,
    config: PretrainConfig,
    file: Path,
    options: argparse.Namespace,
    key: tuple,
) -> tuple[Outcome, float]:
    """Train from the few masks, or take the weights that an earlier call left in the cache."""
    kept = options.cache / ("-".join(map(str, key)) + ".pt") if options.cache else None
    if kept and kept.exists():
        found = torch.load(kept, weights_only=True)
        return Outcome(found["weights"], {}, found["step"]), found["seconds"]
    outcome, seconds = trained(pretraining(few, validation, config, file), options.verbose)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"weights": outcome.weights, "step": outcome.step, "seconds": seconds}, kept)
    return outcome, seconds


def report(
    weights: dict[str, Tensor], data: Dataset, model: str, *, mirrored: bool = False
) -> dict[str, float]:
    """Metrics of a model on the reporting slices, HD95 (px) included."""
    network = build_unet(model)
    network.load_state_dict(weights)
    network.eval()
    events = score_network(network, data, stage="evaluate", device=torch.device("cpu"), mirrored=mirrored)
    while True:
        try:
            next(events)
        except StopIteration as end:
            metrics = end.value
            break
    with torch.inference_mode():
        images = torch.stack([data.pixels(item.plane) for item in data.items])
        found = torch.cat([logits_of(network, some, mirrored=mirrored) > 0 for some in images.split(128)])
    targets = torch.stack([item.mask for item in data.items])[:, None]  # type: ignore[misc]
    return {**metrics, "hd95": float(hausdorff95(found, targets).mean())}


def experiment(
    data: dict, planes: Planes, sizes: Tensor, options: argparse.Namespace, seed: int, masks: int
) -> Iterator[dict]:
    """All methods of one seed, as result lines."""
    train, stop, final = parts(data, options.protocol)
    chosen = set(np.random.default_rng(seed).choice(train, masks, replace=False).tolist())
    validation = dataset(planes, data, stop, set(stop.tolist()))
    reporting = dataset(planes, data, final, set(final.tolist()))
    pretrain_config = replace(
        PretrainConfig(), seed=seed, model=options.model, **json.loads(options.pretrain)
    )
    file = Path(tempfile.mkdtemp()) / "run.pt"

    def lines(method: str, outcome: Outcome, seconds: float) -> Iterator[dict]:
        for looks in ("", ", four looks")[: 1 + options.mirrored]:
            metrics = report(outcome.weights, reporting, options.model, mirrored=bool(looks))
            yield {
                "protocol": options.protocol,
                "masks": masks,
                "seed": seed,
                "method": method + looks,
                "centre": options.centre,
                "steps": outcome.step,
                "seconds": round(seconds, 1),
                **{k: round(v, 5) for k, v in metrics.items()},
            }

    few = dataset(planes, data, train, chosen)
    outcome, seconds = pretrained(
        few, validation, pretrain_config, file, options, (options.protocol, masks, seed)
    )
    if "masks only" in options.methods:
        yield from lines("masks only", outcome, seconds)
    points, extents = ends(data["masks"])
    entry = network_entry(options.model, 1, "volume", 256)
    paper = FineTuneConfig.paper(seed=seed, **json.loads(options.paper))
    segsize = replace(FineTuneConfig(), seed=seed, **json.loads(options.finetune))
    recipes = {
        "sizes (paper)": (paper, {"sizes": sizes}),
        "sizes and centres": (segsize, {"sizes": sizes}),
        "extents": (segsize, {"points": extents}),
        "extreme points": (segsize, {"points": points}),
        "everything": (segsize, {"sizes": sizes, "points": points}),
    }
    for method, (config, said) in recipes.items():
        if method in options.methods:
            weak = dataset(planes, data, train, chosen, **said)
            network = build_unet(options.model)
            network.load_state_dict(outcome.weights)
            tuned, seconds = trained(
                finetuning(weak, validation, network, entry, config, file), options.verbose
            )
            yield from lines(method, tuned, seconds)
    if "all masks" in options.methods:
        every = dataset(planes, data, train, set(train.tolist()))
        full, seconds = trained(pretraining(every, validation, pretrain_config, file), options.verbose)
        yield from lines("all masks", full, seconds)


def table(file: Path) -> None:
    """Print means and spreads of a results file as Markdown."""
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for text in file.read_text().splitlines():
        row = json.loads(text)
        groups[row["protocol"], row["masks"], row["method"]].append(row)
    names = ("iou", "dice", "size_error", "hd95", "steps", "seconds")
    print("| protocol | masks | method | seeds | " + " | ".join(names) + " |")
    print("|---|---|---|---|" + "---|" * len(names))
    for (protocol, masks, method), rows in groups.items():
        cells = []
        for name in names:
            values = [row[name] for row in rows]
            spread = (
                f" ± {statistics.stdev(values):.3f}"
                if len(values) > 1 and name not in ("steps", "seconds")
                else ""
            )
            digits = 0 if name in ("steps", "seconds") else 3
            cells.append(f"{statistics.mean(values):.{digits}f}{spread}")
        print(f"| {protocol} | {masks} | {method} | {len(rows)} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="hippocampus.npz, or a results file with --table")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--protocol", choices=("split", "random", "dev"), default="split")
    parser.add_argument("--masks", type=int, nargs="+", default=[64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--centre", choices=("centroid", "square"), default="centroid")
    parser.add_argument("--model", default="small")
    parser.add_argument("--pretrain", default="{}", help="changed settings as JSON")
    parser.add_argument("--finetune", default="{}")
    parser.add_argument("--paper", default="{}")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cache", type=Path, help="folder that keeps the networks trained from masks only")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--mirrored", action="store_true", help="report four looks too")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if options.table:
        table(options.data)
        return
    if options.threads:
        torch.set_num_threads(options.threads)
    data = dict(np.load(options.data))
    planes, sizes = Planes(data), facts(data["masks"], options.centre)
    print(
        f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads", file=sys.stderr
    )
    for masks in options.masks:
        for seed in options.seeds:
            for row in experiment(data, planes, sizes, options, seed, masks):
                text = json.dumps(row)
                print(text, flush=True)
                if options.out:
                    with options.out.open("a") as file:
                        file.write(text + "\n")


if __name__ == "__main__":
    main()
