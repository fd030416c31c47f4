"""What every loss of the catalogue costs, with its default options.

    python benchmarks/loss_costs.py [--rounds 7] [--threads 1]

Forward and backward, processor time, medians: 16 images of 1 x 256 x 256 pixels with an ellipse each; losses
on contours have one contour of 64 vertices an image. `losses.py` compares with other formulations of the same
loss.
"""

from __future__ import annotations

import argparse
import inspect
import math
import statistics
import time

import torch
from distance import ellipses, processor
from losses import blurred
from torch import Tensor

from napari_segsize.losses import LOSSES, area_bounds
from napari_segsize.ops import centroid, object_size
from napari_segsize.ops.points import extreme_points

SIDE, BATCH, VERTICES = 256, 16, 64


def targets(masks: Tensor) -> dict[str, Tensor]:
    """What a loss may need, of the same masks."""
    points = extreme_points(masks)
    return {
        "mask": masks.float(),
        "size": object_size(masks),
        "area": area_bounds(masks.flatten(2).sum(-1).float()),
        "centre": centroid(masks.float()),
        "points": points[:, 0].float(),
        "extents": points.float(),
        "image": blurred(3, 7),
    }


def prediction(acts_on: str, masks: Tensor) -> Tensor:
    """Logits, a level set, a field or contours; none of them right."""
    if acts_on == "contour":
        turn = torch.arange(VERTICES) * (2 * math.pi / VERTICES)
        around = torch.stack([turn.sin(), turn.cos()], -1)
        return centroid(masks.float()) + 0.2 * SIDE * around
    if acts_on == "field":
        return torch.cat([blurred(0, 15), blurred(1, 15)], 1)
    return blurred(0, 15) * (10 if acts_on == "phi" else 2)


def milliseconds(name: str, masks: Tensor, known: dict[str, Tensor], rounds: int) -> float:
    """Of one forward and backward pass, the median; one more warms up."""
    info = LOSSES[name]
    given = [known[need] for need in info.needs[:1]]
    options = {"shape": (SIDE, SIDE)} if "shape" in inspect.signature(info.function).parameters else {}
    guess, took = prediction(info.acts_on, masks), []
    for _ in range(rounds + 1):
        leaf = guess.clone().requires_grad_()
        start = time.process_time()
        info.function(leaf, *given, **options).backward()
        took.append(1000 * (time.process_time() - start))
    return statistics.median(took[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"{processor()}, {options.threads} threads; torch {torch.__version__}\n")
    masks = torch.from_numpy(ellipses(BATCH, SIDE, SIDE, 0.0))[:, None]
    known = targets(masks)
    print("| loss | ms |\n|---|---|")
    for name in LOSSES:
        print(f"| `{name}` | {milliseconds(name, masks, known, options.rounds):.1f} |", flush=True)


if __name__ == "__main__":
    main()
