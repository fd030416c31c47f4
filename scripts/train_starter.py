"""Train the contour network that ships with the package, on drawn shapes and the sets in the public domain.

    python scripts/train_starter.py DATA [--leave-out nuclei] [--steps 4000] [--out FILE]

`DATA` is the folder with nuclei/, cardiac/ and masses/ (all CC0). With ``--leave-out`` a set takes no part in
the training: so the figures on sets that the network has never seen are measured (benchmarks/contours.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from contour_sets import close_ups_of, scenes  # noqa: E402

from napari_segsize.engine.closeup import MARGIN, PATCH, SIDE, CloseUp  # noqa: E402
from napari_segsize.engine.contour_config import ContourConfig  # noqa: E402
from napari_segsize.engine.contour_runs import contour_entry, contour_training  # noqa: E402
from napari_segsize.engine.drawn_objects import drawn_object  # noqa: E402
from napari_segsize.engine.events import StepDone, Validated  # noqa: E402
from napari_segsize.engine.loop import fit  # noqa: E402
from napari_segsize.engine.starter import load_starter, save_starter  # noqa: E402
from napari_segsize.models.contour import build_contour_net  # noqa: E402

CC0 = ("nuclei", "cardiac", "masses")
DRAWN_SHARE = 0.5


def drawn(count: int, seed: int) -> list[CloseUp]:
    """Drawn objects, close up."""
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        image, mask = drawn_object(rng, PATCH, SIDE / (1 + 2 * MARGIN))
        result.append(CloseUp(image=torch.from_numpy(image), mask=torch.from_numpy(mask)[None].float()))
    return result


def main() -> None:
    """Train, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--leave-out", default="")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--model", default="small")
    parser.add_argument("--drawn", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--vertices", type=int, default=32)
    parser.add_argument("--start", type=Path, help="go on from this network instead of a new one")
    parser.add_argument("--out", type=Path, default=ROOT / "napari_segsize/data/contour_starter.safetensors")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train, weights = drawn(arguments.drawn, arguments.seed), [DRAWN_SHARE / arguments.drawn] * arguments.drawn
    validation = drawn(100, arguments.seed + 1)
    used = [name for name in CC0 if name != arguments.leave_out]
    for name in used:
        found = close_ups_of(scenes(arguments.data, name, validation=False))
        train += found
        weights += [(1 - DRAWN_SHARE) / len(used) / len(found)] * len(found)
        validation += close_ups_of(scenes(arguments.data, name, validation=True))[:100]
    config = ContourConfig(
        steps=arguments.steps, model="small", learning_rate=arguments.rate, batch_size=arguments.batch,
        vertices=arguments.vertices, validate_every=250, patience=0, average=0.995, warm_up=100,
        seed=arguments.seed,
    )  # fmt: skip
    network = build_contour_net(arguments.model, seed=arguments.seed)
    if arguments.start:
        network = load_starter(arguments.start)[0].train()
    entry = contour_entry(config, arguments.model, network)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = contour_training(
            train, validation, network, config, Path(folder) / "run.pt", entry=entry, weights=weights,
            look_first=False,
        )  # fmt: skip
        events = fit(run)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                outcome = end.value
                break
            if isinstance(event, Validated):
                print(f"{time.monotonic() - begun:6.0f} s", event.step, dict(event.metrics), flush=True)
            elif isinstance(event, StepDone) and event.step % 50 == 0:
                print(f"{time.monotonic() - begun:6.0f} s", event.step, dict(event.losses), flush=True)
    network.load_state_dict(outcome.weights)
    save_starter(arguments.out, network, entry, {"sets": " ".join(used), "steps": str(arguments.steps)})
    print(f"wrote {arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB, {dict(outcome.metrics)}")


if __name__ == "__main__":
    main()
