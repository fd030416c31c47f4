"""Several stamps in one image: what the sizes and centres of single nuclei add to two masks.

    python benchmarks/nuclei.py DATA/nuclei [--seeds 0]

Of the 32 fluorescence images, 2 have masks, 18 have a stamp on every nucleus, 4 decide when to stop and 8
are reported; dealt at random by the seed. Every stamp acts on its own window, split between neighbours. "All
masks" has the masks of the 20.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from hippocampus import trained
from torch import Tensor

from napari_segsize.engine.checkpoint import network_entry
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.dataset import Dataset, Item, normalised
from napari_segsize.engine.evaluate import score_network
from napari_segsize.engine.loop import Outcome, Run
from napari_segsize.engine.runs import finetuning, pretraining
from napari_segsize.models.unet import build_unet
from napari_segsize.ops.size import object_size
from napari_segsize.project import PlaneRef

LEAST_AREA = 9  # px; smaller pieces are left without a stamp


class Planes:
    """Normalised images of different shapes."""

    normalise = "image"

    def __init__(self, images: list[np.ndarray]) -> None:
        self.images = [torch.from_numpy(normalised(image[None])) for image in images]

    def __call__(self, plane: PlaneRef) -> Tensor:
        return self.images[plane.image]


def stamps(labels: np.ndarray) -> Tensor:
    """Size, y, x of every nucleus; its neighbours count as background."""
    rows = []
    for number in np.unique(labels[labels > 0]):
        mask = labels == number
        if mask.sum() >= LEAST_AREA:
            y, x = np.argwhere(mask).mean(0)
            size = object_size(torch.from_numpy(mask)[None, None]).item()
            rows.append((size, y, x))
    return torch.tensor(rows, dtype=torch.float32)


def scored(weights: dict[str, Tensor], data: Dataset) -> dict[str, float]:
    """Metrics of a model: IoU over masks, and the squared size error in the stamps' windows."""
    network = build_unet("small")
    network.load_state_dict(weights)
    network.eval()
    result = {}
    sized = Dataset(tuple(replace(item, mask=None) for item in data.items), data.pixels)
    for name, subject in (("mask", data), ("window", sized)):
        events = score_network(
            network, subject, stage="evaluate", device=torch.device("cpu"), one_object=False
        )
        while True:
            try:
                next(events)
            except StopIteration as end:
                result[name] = end.value
                break
    return {
        "iou": result["mask"]["iou"],
        "dice": result["mask"]["dice"],
        "size_error": result["window"]["size_error"],
    }


def experiment(
    planes: Planes, labels: list[np.ndarray], facts: list[Tensor], options: argparse.Namespace, seed: int
) -> Iterator[dict]:
    """All methods of one seed, as result lines."""
    file = Path(tempfile.mkdtemp()) / "run.pt"

    def items(rows: np.ndarray, *, masks: bool, sizes: bool) -> tuple[Item, ...]:
        return tuple(
            Item(
                plane=PlaneRef(row),
                shape=labels[row].shape,
                mask=torch.from_numpy(labels[row] > 0) if masks else None,
                objects=facts[row] if sizes else torch.empty(0, 3),
            )
            for row in rows.tolist()
        )

    order = np.random.default_rng(seed).permutation(len(labels))
    few, weak, stop, final = order[:2], order[2:20], order[20:24], order[24:]
    stopping = Dataset(items(stop, masks=True, sizes=False), planes)
    reporting = Dataset(items(final, masks=True, sizes=True), planes)

    def line(method: str, run: Run) -> tuple[Outcome, dict]:
        outcome, seconds = trained(run, True)
        found = {name: round(value, 4) for name, value in scored(outcome.weights, reporting).items()}
        facts = {"seed": seed, "method": method, "steps": outcome.step, "seconds": round(seconds)}
        return outcome, {**facts, **found}

    common = {"steps": options.steps, "patch": options.patch, "seed": seed}
    config = PretrainConfig(batch_size=8, **common)
    masked = items(few, masks=True, sizes=False)
    first, row = line("2 masks", pretraining(Dataset(masked, planes), stopping, config, file))
    yield row
    network = build_unet("small")
    network.load_state_dict(first.weights)
    data = Dataset((*masked, *items(weak, masks=False, sizes=True)), planes)
    tune = FineTuneConfig(batch_size=8, mask_batch_size=4, **common)
    entry = network_entry("small", 1, "image", options.patch)
    yield line("2 masks + stamps", finetuning(data, stopping, network, entry, tune, file))[1]
    every = Dataset(items(order[:20], masks=True, sizes=False), planes)
    yield line("all masks", pretraining(every, stopping, config, file))[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--patch", type=int, default=96)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    files = sorted((options.data / "images").glob("fluo_*.png"))
    planes = Planes([iio.imread(file) for file in files])
    labels = [iio.imread(options.data / "labels" / file.name) for file in files]
    facts = [stamps(label) for label in labels]
    for seed in options.seeds:
        for row in experiment(planes, labels, facts, options, seed):
            text = json.dumps(row)
            print(text, flush=True)
            if options.out:
                with options.out.open("a") as out:
                    out.write(text + "\n")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", file=sys.stderr)


if __name__ == "__main__":
    main()
