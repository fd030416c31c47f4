"""Thin edges: do rough masks come back, and does a network learn thin edges from rough ones?

    python benchmarks/edges.py DATA [--sets nuclei buildings] [--steps 300]

Masks are made rough by a smooth random displacement of their outline along its normal, of at most 2, 4 or 8
px (standard deviation two thirds of that, correlated over about 12 px). Alignment is judged by how much of
the lost BoundF comes back, and by the share of objects that got worse (by more than 0.005); networks by the
maximum F of their thinned edges (tolerance 2 px) against the true outlines of held-out images, and by the
width of their edges.
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
from skimage.morphology import skeletonize
from torch import Tensor

from napari_segsize.engine.alignment import align_labels
from napari_segsize.engine.edge_config import AlignConfig, EdgeConfig
from napari_segsize.engine.edge_items import EdgeItem, item_from_labels
from napari_segsize.engine.edge_runs import edge_probabilities, edge_training, maximum_f
from napari_segsize.engine.events import StepDone
from napari_segsize.engine.loop import fit
from napari_segsize.metrics import boundary_f
from napari_segsize.models.edges import EdgeNet, build_edge_net
from napari_segsize.ops.thinning import thin

__all__ = ["main"]

JITTERS = (2, 4, 8)
LEARN_FROM = 4  # px of jitter
OBJECTS = 60  # of a set, drawn once
LEAST = 150  # px: 8 px of jitter leave nothing of smaller ones
VARIANTS = {
    "cross-entropy": {"nms_weight": 0.0, "direction_weight": 0.0},
    "cross-entropy + suppression + direction": {},
    "the same, masks aligned from half way": {"align_from": -1},
}


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


def rough_labels(scene: Scene, px: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """All objects of a scene as a label image, jittered; those that come first keep contested pixels."""
    labels = np.zeros(scene.image.shape[1:], np.int32)
    for number, mask in enumerate(scene.masks, start=1):
        wide = np.pad(mask.numpy(), px)
        moved = jittered(wide, px, rng) if px and mask.sum() >= LEAST else wide
        labels[(moved[px:-px, px:-px] if px else moved) & (labels == 0)] = number
    return labels


def bound_f(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    one, other = (torch.from_numpy(np.ascontiguousarray(each))[None, None] for each in (mask, truth))
    return float(boundary_f(one, other))


def alignment(found: list[Scene], edges: list[NDArray[np.float32]] | None, method: str, seeds: int) -> None:
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
            source = {"image": found[k].image.numpy()} if edges is None else {"edges": edges[k]}
            (one,) = align_labels(rough.astype(np.int32), config=config, **source)
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


def width(edges: NDArray[np.bool_]) -> float:
    """Mean width of edges: their pixels over those of their centre lines."""
    return float(edges.sum() / max(skeletonize(edges).sum(), 1))


def trained(items: list[EdgeItem], steps: int, folder: Path, **options: float) -> EdgeNet:
    if options.get("align_from") == -1:
        options["align_from"] = steps // 2
    config = EdgeConfig(
        steps=steps, validate_every=steps // 4, patience=0, device="cpu", align_reach=LEARN_FROM, **options
    )
    network = build_edge_net(seed=0)
    run = edge_training(items, [], network, config, folder / "edges.pt", entry={})
    begun = time.perf_counter()
    for event in fit(run):
        if isinstance(event, StepDone) and event.step % 100 == 0:
            print(
                f"  step {event.step}, {time.perf_counter() - begun:.0f} s: {event.losses['total']:.4f}",
                flush=True,
            )
    network.load_state_dict(run.candidate.state_dict())
    return network


def judged(network: EdgeNet, found: list[Scene]) -> tuple[str, list[NDArray[np.float32]]]:
    """A row of the table, and the edges of every scene, not thinned."""
    raw, thinned, pairs, maps = [], [], [], []
    for scene in found:
        item = item_from_labels(scene.image, rough_labels(scene, 0, np.random.default_rng(0)))
        edges = edge_probabilities(network, item.image)
        maps.append(edges.numpy())
        pairs.append((thin(edges[None, None])[0, 0], item.line, edges))
    score = maximum_f([(thin_edges, line) for thin_edges, line, _ in pairs])
    plain = maximum_f([(edges, line) for _, line, edges in pairs])
    for thin_edges, _, edges in pairs:
        thinned.append(width(seen(thin_edges, score)))
        raw.append(width(seen(edges, plain)))
    row = (
        f"{score['mf']:.3f} | {score['precision']:.3f} | {score['recall']:.3f} | {np.mean(thinned):.2f} | "
        f"{plain['mf']:.3f} | {np.mean(raw):.2f}"
    )
    return row, maps


def seen(edges: Tensor, score: dict[str, float]) -> NDArray[np.bool_]:
    return np.asarray((edges > score["threshold"]).numpy())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["nuclei", "buildings"])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only-image", action="store_true", help="no networks")
    parser.add_argument("--methods", nargs="+", default=["likely", "geodesic"])
    parser.add_argument("--seeds", type=int, default=3, help="of the jitter, when aligning to the image")
    parser.add_argument("--choosing", action="store_true", help="align objects of the training images")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, scipy "
        f"{scipy.__version__}, scikit-image {skimage.__version__}; seed 0, steps {given.steps}"
    )
    for name in given.sets:
        train, held = (scenes(given.data, name, validation=part) for part in (False, True))
        print(f"\n{name}: {len(train)} images to learn from, {len(held)} held out\naligned to the image")
        print(
            "| method | jitter | BoundF | aligned | of the loss came back (seeds) | worse | ms |", flush=True
        )
        for method in given.methods:
            alignment(train if given.choosing else held, None, method, given.seeds)
        if given.only_image:
            continue
        rng = np.random.default_rng(0)
        items = [item_from_labels(scene.image, rough_labels(scene, LEARN_FROM, rng)) for scene in train]
        print("learned from | MF | precision | recall | width, px | MF not thinned | width, px")
        for variant, options in VARIANTS.items():
            network = trained(items, given.steps, given.folder, **options)
            row, maps = judged(network, held)
            print(f"| {variant} | {row} |\naligned to its edges", flush=True)
            for method in given.methods:
                alignment(held, maps, method, 1)


if __name__ == "__main__":
    main()
