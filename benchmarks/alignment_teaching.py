"""Rough masks: what the network for them learns from a project's own, rough or true.

    python benchmarks/alignment_teaching.py DATA [--set buildings] [--rough 0 2 4 8] [--steps 1500]

The network that ships is taught by the set's training part, whose masks are displaced by at most so many
px (0: as they are) in the way of `edges.py`; then it aligns the held-out objects of `edges.py`, displaced by
2, 4 and 8 px. Nothing depends on a held-out image: a fifth of the training images are set aside to tell which
step is best, with outlines as rough as the others.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from contour_sets import Scene, scenes
from edges import LEAST, alignment, jittered

from napari_segsize.engine.alignment_runs import Seen, alignment_training
from napari_segsize.engine.closeup import in_three_channels
from napari_segsize.engine.displaced import outlined_objects
from napari_segsize.engine.edge_config import AlignmentConfig
from napari_segsize.engine.events import Validated
from napari_segsize.engine.loop import fit
from napari_segsize.engine.starter import load_alignment_starter
from napari_segsize.models.alignment import AlignmentNet

EVERY = 5


def seen(found: list[Scene], px: int, seed: int, farthest: float) -> list[list[Seen]]:
    """The objects of every scene, scene by scene, displaced by at most `px`."""
    result = []
    for number, scene in enumerate(found):
        image, own = in_three_channels(scene.image).float(), []
        for place, tensor in enumerate(scene.masks):
            mask = tensor.numpy()
            if mask.sum() < LEAST:
                continue
            if px:
                rng = np.random.default_rng([px, number, place, seed, 77])
                mask = jittered(np.pad(mask, px), px, rng)[px:-px, px:-px]
            own += outlined_objects(image, mask.astype(np.int32), farthest)
        result.append([Seen(each) for each in own])
    return result


def taught(found: list[Scene], px: int, config: AlignmentConfig) -> AlignmentNet:
    """The network that ships, taught by the scenes."""
    objects = seen(found, px, config.seed, config.farthest)
    train = [each for number, own in enumerate(objects) if number % EVERY != EVERY - 1 for each in own]
    held = [each for own in objects[EVERY - 1 :: EVERY] for each in own]
    network, entry = load_alignment_starter()
    file = Path(tempfile.mkdtemp()) / "run.pt"
    run = alignment_training(train, held, network, config, file, entry=entry)
    events, begun = fit(run), time.perf_counter()
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            outcome = end.value
            break
        if isinstance(event, Validated):
            print(f"  {event.step} {event.metrics['back']:.3f}", file=sys.stderr, flush=True)
    network.load_state_dict(outcome.weights)
    network.eval()
    seconds = time.perf_counter() - begun
    print(
        f"\n{len(train)} objects, {len(held)} to choose by; {outcome.step} steps in {seconds:.0f} s; "
        f"back there {outcome.metrics.get('back', float('nan')):.3f}"
    )
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", default="buildings")
    parser.add_argument("--rough", type=int, nargs="+", default=[0, 2, 4, 8])
    parser.add_argument("--steps", type=int, default=AlignmentConfig().steps)
    parser.add_argument("--rate", type=float, default=AlignmentConfig().learning_rate)
    parser.add_argument("--drawn", type=float, default=AlignmentConfig().drawn)
    parser.add_argument("--choosing", action="store_true", help="judge by the images set aside, too")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--displacements", type=int, default=1, help="of the held-out outlines, a seed each")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}")
    train, held = (scenes(given.data, given.set, validation=part) for part in (False, True))
    for px in given.rough:
        for seed in given.seeds:
            config = AlignmentConfig(
                steps=given.steps, learning_rate=given.rate, drawn=given.drawn, patience=0, seed=seed,
                device="cpu",
            )  # fmt: skip
            print(f"\n{given.set}, taught by outlines off by {px} px, seed {seed}", flush=True)
            network = taught(train, px, config)
            print("| method | jitter | BoundF | aligned | of the loss came back (seeds) | worse | ms |")
            if given.choosing:
                alignment(train[EVERY - 1 :: EVERY], None, "learned", given.displacements, network=network)
                print("held out")
            alignment(held, None, "learned", given.displacements, network=network)


if __name__ == "__main__":
    main()
