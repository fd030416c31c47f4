"""Train the network for rough outlines that ships, on drawn shapes and the sets in the public domain.

    python scripts/train_alignment_starter.py DATA [--steps 4000] [--leave-out nuclei] [--out FILE]

`DATA` is the folder with nuclei/, cardiac/ and masses/ (all CC0). Windows of true outlines are displaced
along their normals by smooth noise, and the network is asked for the true ones. The sets' validation parts
take no part in it, and nothing is chosen: the last step is written.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from contour_sets import scenes  # noqa: E402

from napari_segsize.engine.closeup import in_three_channels  # noqa: E402
from napari_segsize.engine.displaced import Outlined, displaced_window, drawn_outlined, rim_of  # noqa: E402
from napari_segsize.engine.starter import load_alignment_starter, save_starter  # noqa: E402
from napari_segsize.models.alignment import build_alignment_net  # noqa: E402

CC0 = ("nuclei", "cardiac", "masses")
LEAST = 150  # px of an object
DRAWN_SHARE = 0.5


Source = Callable[[np.random.Generator], Outlined]


def objects(data: Path, name: str) -> list[Outlined]:
    """The objects of a set's train part, 40 px around each, also beyond the frame."""
    result = []
    for scene in scenes(data, name, validation=False):
        colours = in_three_channels(scene.image).numpy()
        for tensor in scene.masks:
            mask = tensor.numpy()
            if mask.sum() < LEAST:
                continue
            rows, columns = np.nonzero(mask)
            y, x = (np.arange(each.min() - 40, each.max() + 41) for each in (rows, columns))
            at = [each.clip(0, side - 1) for each, side in zip((y, x), mask.shape, strict=True)]
            inside = np.logical_and.outer(at[0] == y, at[1] == x)
            own = mask[np.ix_(*at)] & inside
            result.append(Outlined(colours[:, at[0]][:, :, at[1]], own, inside, rim_of(own)))
    return result


def one_of(found: Sequence[Outlined]) -> Source:
    """Draw from some objects, each as often."""
    return lambda rng: found[rng.integers(len(found))]


def main() -> None:
    """Train, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--leave-out", default="")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="go on from this file")
    parser.add_argument("--only", default="", help="one set, and drawn shapes, for experiments")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "napari_segsize/data/alignment_starter.safetensors"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(arguments.seed)
    used = [arguments.only] if arguments.only else [name for name in CC0 if name != arguments.leave_out]
    sources = [one_of(objects(arguments.data, name)) for name in used]
    network = build_alignment_net(arguments.features, seed=arguments.seed)
    if arguments.start:
        network = load_alignment_starter(arguments.start)[0].train()
    optimizer = torch.optim.Adam(network.parameters(), arguments.rate)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimizer, arguments.rate, arguments.steps, pct_start=0.05)
    clock, total = time.monotonic(), 0.0
    for step in range(1, arguments.steps + 1):
        rows = []
        for _ in range(arguments.batch):
            source = drawn_outlined if rng.random() < DRAWN_SHARE else sources[rng.integers(len(sources))]
            rows.append(displaced_window(source(rng), rng))
        inputs, target, counts = (torch.stack(each) for each in zip(*rows, strict=True))
        value = functional.binary_cross_entropy_with_logits(network(inputs), target, reduction="none")
        loss = (value * counts).sum() / counts.sum().clamp(min=1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pace.step()
        total += loss.item()
        if step % 100 == 0:
            print(f"{time.monotonic() - clock:6.0f} s", step, f"{total / 100:.4f}", flush=True)
            total = 0.0
    facts = {"sets": " ".join(used), "steps": str(arguments.steps)}
    save_starter(arguments.out, network, {"features": arguments.features}, facts)
    print(f"wrote {arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
