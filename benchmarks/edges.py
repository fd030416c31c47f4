"""Rough masks: how much of what was lost does alignment to the image bring back?

    python benchmarks/edges.py DATA [--sets nuclei buildings]

Masks are made rough by a smooth random displacement of their outline along its normal, of at most 2, 4 or 8
px (standard deviation two thirds of that, correlated over about 12 px). Alignment is judged by how much of
the lost BoundF comes back, and by the share of objects that got worse (by more than 0.005). What an edge
network learns from such masks is measured by `edge_noise.py`.
"""

from __future__ import annotations

import argparse
import platform
import time
from itertools import product
from pathlib import Path

import numpy as np
import scipy
import skimage
import torch
from contour_sets import Scene, scenes
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label

from napari_segsize.engine.alignment import align_labels
from napari_segsize.engine.edge_config import AlignConfig
from napari_segsize.metrics import boundary_f
from napari_segsize.models.alignment import AlignmentNet

__all__ = ["LEAST", "alignment", "jittered", "main"]

JITTERS = (2, 4, 8)
OBJECTS = 60  # of a set, drawn once
LEAST = 150  # px: 8 px of jitter leave nothing of smaller ones


def jittered(mask: NDArray[np.bool_], px: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The mask with its outline displaced at random by at most `px`; its largest part."""
    pad = px + 3
    wide = np.pad(mask, pad)
    away = distance_transform_edt(wide) - distance_transform_edt(~wide)
    noise = gaussian_filter(rng.standard_normal(wide.shape), 6)
    moved = away + np.clip(noise / noise.std() * px / 1.5, -px, px) > 0
    parts, count = label(moved)
    if not count:
        return mask
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return largest[pad:-pad, pad:-pad]


def bound_f(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    one, other = (torch.from_numpy(np.ascontiguousarray(each))[None, None] for each in (mask, truth))
    return float(boundary_f(one, other))


def alignment(
    found: list[Scene],
    edges: list[NDArray[np.float32]] | None,
    method: str,
    seeds: int,
    *,
    image: bool = False,
    network: AlignmentNet | None = None,
) -> None:
    """One line for each jitter: BoundF before and after, and the share of the loss that came back."""
    rng = np.random.default_rng(0)
    every = [
        (k, n) for k, scene in enumerate(found) for n, m in enumerate(scene.masks, 1) if m.sum() >= LEAST
    ]
    chosen = [every[k] for k in sorted(rng.permutation(len(every))[:OBJECTS])]
    for px in JITTERS:
        before, after, seconds = [], [], 0.0
        for seed, (k, number) in product(range(seeds), chosen):
            truth = found[k].masks[number - 1].numpy()
            rng = np.random.default_rng([px, k, number, *([seed] if seed else [])])
            rough = jittered(np.pad(truth, px), px, rng)[px:-px, px:-px]
            begun = time.perf_counter()
            config = AlignConfig(reach=px + 1, method=method)
            source = {} if edges is None else {"edges": edges[k]}
            if image or edges is None:
                source["image"] = found[k].image.numpy()
            (one,) = align_labels(rough.astype(np.int32), config=config, network=network, **source)
            seconds += time.perf_counter() - begun
            before.append(bound_f(rough, truth))
            after.append(bound_f(one.mask(truth.shape), truth))
        old, new = (np.reshape(each, (seeds, -1)) for each in (before, after))
        back = 100 * (new.mean(1) - old.mean(1)) / (1 - old.mean(1))  # of each seed
        worse = 100 * np.mean(new < old - 0.005)
        print(
            f"| {method} | {px} px | {old.mean():.3f} | {new.mean():.3f} | {back.mean():.0f} % "
            f"({back.min():.0f} to {back.max():.0f}) | {worse:.0f} % | {1e3 * seconds / old.size:.0f} |",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["nuclei", "buildings"])
    parser.add_argument("--methods", nargs="+", default=["likely", "learned", "geodesic"])
    parser.add_argument("--seeds", type=int, default=3, help="of the jitter")
    parser.add_argument("--choosing", action="store_true", help="align objects of the training images")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, scipy "
        f"{scipy.__version__}, scikit-image {skimage.__version__}; seed 0"
    )
    for name in given.sets:
        train, held = (scenes(given.data, name, validation=part) for part in (False, True))
        print(f"\n{name}: {len(train)} images to learn from, {len(held)} held out\naligned to the image")
        print(
            "| method | jitter | BoundF | aligned | of the loss came back (seeds) | worse | ms |", flush=True
        )
        for method in given.methods:
            alignment(train if given.choosing else held, None, method, given.seeds)


if __name__ == "__main__":
    main()
