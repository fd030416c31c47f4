"""What each preset of the losses gives on the bundled slices, same seed, same batches, same steps.

    python benchmarks/presets.py [--steps 200] [--seeds 0] [--presets standard unbalanced ...]

The slices of 12 training people of the sample have their masks; figures are means over the slices of the
other 4, whom no choice of weights was made on: the running mean of the last weights counts. An epoch is 10
steps of 32 crops.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_segsize import metrics
from napari_segsize.engine.config import PretrainConfig
from napari_segsize.engine.dataset import Dataset, Item, normalised
from napari_segsize.engine.loop import fit
from napari_segsize.engine.runs import pretraining
from napari_segsize.losses.recipe import PRESETS
from napari_segsize.project.annotation import PlaneRef
from napari_segsize.samples import hippocampus

FIGURES = ("dice", "hausdorff95", "boundary_f", "cldice", "betti_error")


class Planes:
    """Normalised slices, volume by volume."""

    normalise = "volume"

    def __init__(self, images: np.ndarray, volume: np.ndarray) -> None:
        self.images = np.empty((len(images), 1, *images.shape[1:]), np.float32)
        for each in np.unique(volume):
            self.images[volume == each] = normalised(images[volume == each][:, None])

    def __call__(self, plane: PlaneRef) -> Tensor:
        return torch.from_numpy(self.images[plane.slice])


def figures(loss: str, seed: int, steps: int, folder: Path) -> tuple[dict[str, float], float]:
    """Mean figures over the held-out slices, and milliseconds a step."""
    data = hippocampus()
    planes = Planes(data.images, data.volume)
    aside = np.isin(data.subject, np.unique(data.subject[data.split == "train"])[-4:])
    train, held = np.flatnonzero((data.split == "train") & ~aside), np.flatnonzero(aside)
    items = tuple(
        Item(plane=PlaneRef(1, row), shape=data.images.shape[1:], mask=torch.from_numpy(data.masks[row]))
        for row in train.tolist()
    )
    config = PretrainConfig(loss=loss, seed=seed, steps=steps, validate_every=steps, device="cpu")
    run = pretraining(Dataset(items, planes), Dataset((), planes), config, folder / "state.pt")
    begun = time.process_time()
    for _ in fit(run):
        pass
    taken = 1000 * (time.process_time() - begun) / steps
    run.candidate.eval()
    with torch.no_grad():
        found = run.candidate(torch.from_numpy(planes.images[held])) > 0
    truth = torch.from_numpy(data.masks[held])[:, None]
    return {name: float(getattr(metrics, name)(found, truth).mean()) for name in FIGURES}, taken


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, steps {given.steps}, seeds {given.seeds}")
    print("| preset | " + " | ".join(FIGURES) + " | ms a step |")
    print("|" + "---|" * (len(FIGURES) + 2))
    for name in given.presets:
        with tempfile.TemporaryDirectory() as folder:
            rows = [figures(PRESETS[name].text, seed, given.steps, Path(folder)) for seed in given.seeds]
        cells = []
        for figure in FIGURES:
            values = [row[0][figure] for row in rows]
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}")
        print(f"| {name} | {' | '.join(cells)} | {statistics.mean(row[1] for row in rows):.0f} |", flush=True)


if __name__ == "__main__":
    main()
