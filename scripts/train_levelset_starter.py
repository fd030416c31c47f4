"""Train the level-set network that ships with the package, on drawn shapes and the sets in the public domain.

    python scripts/train_levelset_starter.py DATA [--steps 2500] [--leave-out nuclei] [--out FILE]

`DATA` is the folder with nuclei/, cardiac/ and masses/ (all CC0). The training begins with the body of the
contour network that ships (``--new`` for none of it). The sets' validation parts take no part in it: what
step to keep is decided by a tenth of the objects of their train parts and by drawn objects.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from contour_sets import close_ups_of, scenes  # noqa: E402

from napari_segsize.engine.closeup import MARGIN, PATCH, SIDE, CloseUp  # noqa: E402
from napari_segsize.engine.drawn_objects import drawn_object, drawn_open_object  # noqa: E402
from napari_segsize.engine.events import StepDone, Validated  # noqa: E402
from napari_segsize.engine.levelset_config import LevelSetConfig  # noqa: E402
from napari_segsize.engine.levelset_runs import levelset_entry, levelset_training  # noqa: E402
from napari_segsize.engine.loop import fit  # noqa: E402
from napari_segsize.engine.starter import load_levelset_starter, load_starter, save_starter  # noqa: E402
from napari_segsize.models.levelset import LevelSetNet, build_levelset_net  # noqa: E402

CC0 = ("nuclei", "cardiac", "masses")
DRAWN_SHARE = 0.5
USED_DT = 0.005  # of the file: the published 5/256, with which it learns, wobbles around the outline
OPEN_SHARE = 0.5  # of the drawn objects: with holes, bays, several parts


def drawn(count: int, seed: int) -> list[CloseUp]:
    """Drawn objects, close up."""
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        draw = drawn_open_object if rng.random() < OPEN_SHARE else drawn_object
        image, mask = draw(rng, PATCH, SIDE / (1 + 2 * MARGIN))
        result.append(CloseUp(image=torch.from_numpy(image), mask=torch.from_numpy(mask)[None].float()))
    return result


def material(
    data: Path, used: Sequence[str], count: int, seed: int
) -> tuple[list[CloseUp], list[float], list[CloseUp]]:
    """Objects to learn from, how often each is drawn, and those that decide which step is kept."""
    train, weights = drawn(count, seed), [DRAWN_SHARE / count] * count
    deciding = drawn(100, seed + 1)
    for name in used:
        found = close_ups_of(scenes(data, name, validation=False))
        deciding += found[::10][:100]
        learnt = [item for index, item in enumerate(found) if index % 10]
        train += learnt
        weights += [(1 - DRAWN_SHARE) / len(used) / len(learnt)] * len(learnt)
    return train, weights, deciding


def begun(arguments: argparse.Namespace) -> LevelSetNet:
    """The network to begin with."""
    if arguments.start:
        network = load_levelset_starter(arguments.start)[0].train()
        network.dt = USED_DT
        return network
    network = build_levelset_net(seed=arguments.seed, dt=USED_DT)
    if not arguments.new:
        body = load_starter()[0].state_dict()
        own = network.state_dict()
        own |= {name: value for name, value in body.items() if value.shape == own[name].shape}
        network.load_state_dict(own)
    return network


def main() -> None:
    """Train, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--leave-out", default="")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--drawn", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--pretraining", type=float, default=0.4)
    parser.add_argument("--kept", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--new", action="store_true", help="begin with random weights throughout")
    parser.add_argument("--start", type=Path, help="go on from this level-set network")
    parser.add_argument("--minutes", type=float, default=24.0, help="stop after so long, and keep the best")
    parser.add_argument("--out", type=Path, default=ROOT / "napari_segsize/data/levelset_starter.safetensors")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    used = [name for name in CC0 if name != arguments.leave_out]
    train, weights, deciding = material(arguments.data, used, arguments.drawn, arguments.seed)
    config = LevelSetConfig(
        steps=arguments.steps, learning_rate=arguments.rate, batch_size=arguments.batch,
        pretraining=arguments.pretraining, kept=arguments.kept, seed=arguments.seed, device="cpu",
        validate_every=250, patience=0, average=0.99,
    )  # fmt: skip
    network = begun(arguments)
    entry = levelset_entry("small", network)
    clock = time.monotonic()
    steps = 0
    with tempfile.TemporaryDirectory() as folder:
        run = levelset_training(
            train, deciding, network, config, Path(folder) / "run.pt", entry=entry, weights=weights
        )
        for event in fit(run):
            passed = time.monotonic() - clock
            if isinstance(event, Validated):
                print(f"{passed:6.0f} s", event.step, dict(event.metrics), flush=True)
            elif isinstance(event, StepDone):
                steps = event.step
                if steps % 50 == 0:
                    print(f"{passed:6.0f} s", steps, dict(event.losses), flush=True)
            if passed > 60 * arguments.minutes and isinstance(event, Validated):
                break
    network.load_state_dict(run.best_weights)
    entry = levelset_entry("small", network)
    save_starter(arguments.out, network, entry, {"sets": " ".join(used), "steps": str(steps)})
    print(f"wrote {arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB, {run.best_metrics}")


if __name__ == "__main__":
    main()
