"""Thin edges from noisy masks: what an edge network learns from outlines that are some px off.

    python benchmarks/edge_noise.py DATA RESULTS [--sets nuclei buildings] [--jitters 4 8] [--seeds 3]

All masks to learn from are made rough as in `edges.py`; the seed fixes how, and the network. Judged are
the thinned edges on held-out images: MF, the maximum F against the true outlines (tolerance 2 px), and their
width. Every network is a line of RESULTS, and none is trained twice. With `--choosing` a fifth of the images
to learn from is left out and judged instead.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contour_sets import Scene, scenes
from edges import LEAST, alignment, jittered
from numpy.typing import NDArray
from skimage.morphology import skeletonize
from torch import Tensor

from napari_segsize.engine.edge_alignment import align_items
from napari_segsize.engine.edge_config import EdgeConfig
from napari_segsize.engine.edge_items import EdgeItem, item_from_labels
from napari_segsize.engine.edge_runs import edge_probabilities, edge_training, maximum_f
from napari_segsize.engine.loop import fit
from napari_segsize.models.edges import EdgeNet, build_edge_net
from napari_segsize.ops.thinning import thin

__all__ = ["main"]

Row = dict[str, Any]

AS_DRAWN = {"align_first": False}
PLAIN = {**AS_DRAWN, "nms_weight": 0.0, "direction_weight": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "cross-entropy": PLAIN,
    "cross-entropy, aligned first": {**PLAIN, "align_first": True},
    "all losses": AS_DRAWN,
    "all losses, aligned first": {"align_first": True},
    "all losses, aligned from half way": {**AS_DRAWN, "align_from": -1},
    "all losses, aligned first and from half way": {"align_first": True, "align_from": -1},
    "suppression 10": {**AS_DRAWN, "nms_weight": 10.0},
    "suppression 10, aligned first": {"nms_weight": 10.0, "align_first": True},
}
ASKED = ("cross-entropy", "all losses, aligned first", "cross-entropy, aligned first")
FIGURES = ("mf", "precision", "recall", "width", "mf_thick", "width_thick")
_ROUND = 30  # px around an object in which it is made rough


def rough_labels(scene: Scene, px: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """All objects of a scene as a label image, jittered; those that come first keep contested pixels."""
    labels = np.zeros(scene.image.shape[1:], np.int32)
    for number, mask in enumerate(scene.masks, start=1):
        moved = mask.numpy()
        if px and moved.sum() >= LEAST:
            moved = _jittered_close_up(np.pad(moved, px), px, rng)[px:-px, px:-px]
        labels[moved & (labels == 0)] = number
    return labels


def _jittered_close_up(mask: NDArray[np.bool_], px: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    crop = tuple(
        slice(max(place.min() - px - _ROUND, 0), place.max() + px + _ROUND) for place in np.nonzero(mask)
    )
    moved = np.zeros_like(mask)
    moved[crop] = jittered(mask[crop], px, rng)
    return moved


def width(edges: NDArray[np.bool_]) -> float:
    """Mean width of edges: their pixels over those of their centre lines."""
    return float(edges.sum() / max(skeletonize(edges).sum(), 1))


def trained(items: list[EdgeItem], config: EdgeConfig, file: Path) -> EdgeNet:
    """A network taught by outlines as they are in `items`."""
    network = build_edge_net(seed=config.seed)
    run = edge_training(items, [], network, config, file, entry={})
    for _ in fit(run):
        pass
    network.load_state_dict(run.candidate.state_dict())
    return network


def judged(network: EdgeNet, found: list[Scene]) -> tuple[Row, list[NDArray[np.float32]]]:
    """Figures of a network on scenes, and the edges of every scene, not thinned."""
    thinned, thick = [], []
    for scene in found:
        item = item_from_labels(scene.image, rough_labels(scene, 0, np.random.default_rng(0)))
        edges = edge_probabilities(network, item.image)
        thinned.append((thin(edges[None, None])[0, 0], item.line))
        thick.append((edges, item.line))
    score, plain = maximum_f(thinned), maximum_f(thick)
    return {
        **score,
        "width": _width(thinned, score["threshold"]),
        "mf_thick": plain["mf"],
        "width_thick": _width(thick, plain["threshold"]),
    }, [edges.numpy() for edges, _ in thick]


def _width(found: list[tuple[Tensor, Tensor]], threshold: float) -> float:
    return float(np.mean([width((edges > threshold).numpy()) for edges, _ in found]))


def _drained(events: Generator[Any, None, list[EdgeItem]]) -> list[EdgeItem]:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return list(end.value)


def measured(given: argparse.Namespace, name: str, px: int, seed: int, done: list[Row]) -> None:
    """Train and judge what is missing for one set, jitter and seed; append it to the results."""
    key = {"set": name, "px": px, "seed": seed, "steps": given.steps, "patch": given.patch}
    key["choosing"] = given.choosing
    missing = [each for each in given.variants if not _rows(done, **key, variant=each)]
    if not missing:
        return
    learn, held = (scenes(given.data, name, validation=part) for part in (False, True))
    if given.choosing:
        learn, held = [each for k, each in enumerate(learn) if k % 5 != 4], learn[4::5]
    rng = np.random.default_rng([seed, px])
    items = [item_from_labels(scene.image, rough_labels(scene, px, rng)) for scene in learn]
    reach = max(px, EdgeConfig().align_reach)
    aligned: list[EdgeItem] = []
    for variant in missing:
        options = dict(VARIANTS[variant])
        if options.get("align_from") == -1:
            options["align_from"] = given.steps // 2
        config = EdgeConfig(
            steps=given.steps, patch=given.patch, validate_every=max(given.steps // 4, 1), patience=0,
            device="cpu", align_reach=reach, seed=seed, **options,
        )  # fmt: skip
        begun = time.perf_counter()
        if config.align_first and not aligned:
            aligned = _drained(align_items(items, reach=reach, radius=config.radius))
        network = trained(aligned if config.align_first else items, config, given.results.with_suffix(".pt"))
        figures, maps = judged(network, held)
        row = {**key, "variant": variant, **figures, "seconds": time.perf_counter() - begun}
        done.append(row)
        with given.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{name}, {px} px, seed {seed}, {variant}: {_figures([row])}", flush=True)
        if given.follow and seed == 0 and px == min(given.jitters):
            print("aligned to its edges; to both image and edges")
            alignment(held, maps, "likely", 1)
            alignment(held, maps, "likely", 1, image=True)


def _rows(done: list[Row], **wanted: Any) -> list[Row]:
    return [row for row in done if all(row.get(name) == value for name, value in wanted.items())]


def _figures(rows: list[Row]) -> str:
    """Mean and deviation of every figure."""
    parts = []
    for name in FIGURES:
        values = np.array([row[name] for row in rows])
        spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
        parts.append(f"{values.mean():.3f}{spread}")
    return " | ".join(parts)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--sets", nargs="+", default=["nuclei", "buildings"])
    parser.add_argument("--jitters", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--patch", type=int, default=96)
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(ASKED))
    parser.add_argument("--choosing", action="store_true", help="judge on a fifth of the training images")
    parser.add_argument("--follow", action="store_true", help="align to the edges: seed 0, least jitter")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}", flush=True)
    done = [json.loads(line) for line in given.results.open()] if given.results.exists() else []
    for seed in range(given.seeds):
        for name in given.sets:
            for px in given.jitters:
                measured(given, name, px, seed, done)
    key = {"steps": given.steps, "patch": given.patch, "choosing": given.choosing}
    print(f"\n| set | jitter | learned with | {' | '.join(FIGURES)} |")
    for name in given.sets:
        for px in given.jitters:
            for variant in VARIANTS:
                if rows := _rows(done, set=name, px=px, variant=variant, **key):
                    print(f"| {name} | {px} px | {variant} | {_figures(rows)} |")


if __name__ == "__main__":
    main()
