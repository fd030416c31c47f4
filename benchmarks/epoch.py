"""What learning from sizes costs: a fine-tuning epoch over a supervised epoch, as ratios of one run.

    python benchmarks/epoch.py DATA/hippocampus.npz [--batches 8] [--rounds 5]

The same network sees the same batches of 64 slices; only the loss differs: cross-entropy and Dice against
masks, or the squared size error with n sampled masks. The variants take turns batch by batch, so a busy
machine slows all of them alike; the ratio of medians over all batches and rounds is printed, with the
quartiles of the paired ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from hippocampus import Planes, dataset, facts

from napari_segsize.engine.batch import Batch, BatchSource
from napari_segsize.engine.config import FineTuneConfig
from napari_segsize.engine.objective import Objective, mask_objective, size_objective
from napari_segsize.models.unet import build_unet


def step(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, objective: Objective, batch: Batch
) -> float:
    """Seconds of one whole training step."""
    begun = time.perf_counter()
    terms = objective(network(batch.images), batch, 1, network)
    torch.stack(list(terms.values())).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="small")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    data = dict(np.load(options.data))
    rows = np.flatnonzero(data["split"] == 0)[: 64 * options.batches]
    data = {name: value[rows] if len(value) == len(data["images"]) else value for name, value in data.items()}
    planes, sizes = Planes(data), facts(data["masks"], "centroid")
    every = np.arange(len(rows))
    masked = BatchSource(dataset(planes, data, every, set(every.tolist()), None), masks=64, augment=False)
    sized = BatchSource(dataset(planes, data, every, set(), sizes), sizes=64, augment=False)
    variants: dict[str, tuple[BatchSource, Objective]] = {"supervised": (masked, mask_objective)}
    for samples in (1, 2, 4, 8):
        config = replace(FineTuneConfig.paper(samples=samples))
        variants[f"sizes, n = {samples}"] = (sized, size_objective(config, 1.0))
    network = build_unet(options.model, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    times: dict[str, list[float]] = defaultdict(list)
    for round_ in range(options.rounds + 1):
        for index in range(1, options.batches + 1):
            for name, (source, objective) in variants.items():
                seconds = step(network, optimizer, objective, source(index))
                if round_:  # the first round compiles and warms up
                    times[name].append(seconds)
    base = times["supervised"]
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, network {options.model}, batch 64 x 48 x 32")
    print("| loss | ms a batch (median) | over supervised | quartiles of paired ratios |")
    print("|---|---|---|---|")
    for name, values in times.items():
        paired = [value / other for value, other in zip(values, base, strict=True)]
        low, _, high = statistics.quantiles(paired, n=4)
        ratio = statistics.median(values) / statistics.median(base)
        print(f"| {name} | {1000 * statistics.median(values):.1f} | {ratio:.3f} | {low:.3f} to {high:.3f} |")


if __name__ == "__main__":
    main()
