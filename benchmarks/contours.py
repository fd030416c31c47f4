"""Contours from four extreme points: sets never seen, one-click fine-tuning, a simulated annotator, latency.

    python benchmarks/contours.py points DATA --networks nuclei=FILE cardiac=FILE masses=FILE other=FILE
    python benchmarks/contours.py finetune DATA --networks ... [--seeds 0 1 2]
    python benchmarks/contours.py annotator DATA --networks ...
    python benchmarks/contours.py latency
    python benchmarks/contours.py pixel DATA [--sets buildings]

"pixel" needs no network: what an outline still scores that is the true one, but for one pixel.

A FILE is what ``scripts/train_starter.py --leave-out SET`` wrote, so that the network has never seen the set;
`other` is the network that ships, which has seen neither buildings nor hippocampus. Clicks are the extreme
points of the true outline, off by up to 2 % of the object's extent, drawn by the seed. IoU is taken in image
pixels, object by object, then averaged over a set's objects.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from contour_sets import SETS, Scene, close_ups_of, scenes
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor

from napari_segsize.engine.closeup import CloseUp, outline_points
from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.contour_field import evolve_prompts
from napari_segsize.engine.contour_runs import contour_training
from napari_segsize.engine.loop import fit
from napari_segsize.engine.prompt import Prompt
from napari_segsize.engine.snake import snake
from napari_segsize.engine.starter import load_starter
from napari_segsize.models.contour import ContourNet
from napari_segsize.ops.points import jitter
from napari_segsize.ops.polygon import polygon_mask
from napari_segsize.ops.size import object_size
from napari_segsize.ops.starts import mask_contour
from napari_segsize.project import PlaneRef

JITTER = 0.02
Method = Callable[[Scene, list[Prompt]], list[Tensor]]


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("points", "finetune", "annotator", "latency", "pixel"))
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--networks", nargs="*", default=[])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--most", type=int, default=0, help="objects a set for the snake, 0: all")
    parser.add_argument("--methods", nargs="*", default=["arcs", "snake", "one look", "network"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {' '.join(sys.argv)}")
    networks = dict(pair.split("=", 1) for pair in arguments.networks)
    if arguments.what == "latency":
        latency()
        return
    if arguments.what == "pixel":
        for name in arguments.sets:
            one_pixel(arguments.data, name)
        return
    task = {"points": never_seen, "finetune": fine_tuned, "annotator": annotated}[arguments.what]
    for name in arguments.sets:
        file = networks.get(name, networks.get("other"))
        network, _ = load_starter(Path(file) if file else None)
        task(arguments, name, network)


def prompts_of(scene: Scene, seed: int) -> list[Prompt]:
    """Four clicks on every object of a scene, and its stamp."""
    generator = torch.Generator().manual_seed(seed)
    result = []
    for index, mask in enumerate(scene.masks):
        points = outline_points(mask[None, None])[0, 0]
        extent = float((points.amax(0) - points.amin(0)).max())
        points = jitter(points, JITTER * extent, generator)
        y, x = mask.nonzero().float().mean(0).tolist()
        size = float(object_size(mask[None, None])[0, 0])
        clicks = tuple((float(p[0]), float(p[1])) for p in points)
        result.append(Prompt(plane=PlaneRef(0), object=str(index), points=clicks, stamp=(y, x, size)))
    return result


def overlap(contour: Tensor, mask: Tensor) -> float:
    """IoU of a filled contour and a mask, in the part of the image that holds both."""
    place = mask.nonzero().float()
    low = torch.minimum(place.amin(0), contour.amin(0)).floor().long().clamp(min=0) - 1
    low = low.clamp(min=0)
    high = torch.maximum(place.amax(0), contour.amax(0)).ceil().long() + 2
    truth = mask[low[0] : high[0], low[1] : high[1]]
    found = polygon_mask((contour - low)[None], (int(truth.shape[0]), int(truth.shape[1])))[0, 0] > 0.5
    return float((found & truth).sum() / (found | truth).sum().clamp(min=1))


def arcs(scene: Scene, prompts: list[Prompt]) -> list[Tensor]:
    """No learning: quarter ellipses through the four points."""
    network, _ = load_starter()
    return list(evolve_prompts(network, scene.image, prompts, iterations=0, views=1).contours[0])


def geodesic(scene: Scene, prompts: list[Prompt]) -> list[Tensor]:
    """The classical engine."""
    return [list(snake(scene.image, prompt))[-1] for prompt in prompts]


def evolved(network: ContourNet, iterations: int = 2, views: int = 4) -> Method:
    """The network's contours."""

    def method(scene: Scene, prompts: list[Prompt]) -> list[Tensor]:
        found = evolve_prompts(network, scene.image, prompts, iterations=iterations, views=views)
        return list(found.contours[-1])

    return method


def mean_iou(found: list[Scene], method: Method, seed: int, most: int = 0) -> float:
    """Over all objects of some scenes."""
    values: list[float] = []
    for scene in found:
        if not scene.masks or (most and len(values) >= most):
            continue
        prompts = prompts_of(scene, seed)
        contours = method(scene, prompts)
        values += [overlap(contour, mask) for contour, mask in zip(contours, scene.masks, strict=True)]
    return float(np.mean(values))


def never_seen(arguments: argparse.Namespace, name: str, network: ContourNet) -> None:
    """The whole of a set that the network was not trained on."""
    found = scenes(arguments.data, name)
    objects = sum(len(scene.masks) for scene in found)
    rows = {
        "arcs": arcs,
        "snake": geodesic,
        "one look": evolved(network, views=1),
        "network": evolved(network),
    }
    for label, method in ((label, rows[label]) for label in arguments.methods):
        most = arguments.most if label == "snake" else 0
        values = [mean_iou(found, method, seed, most) for seed in arguments.seeds]
        part = f" (first {most})" if most else ""
        print(f"{name:12} {objects:5} objects  {label:8}{part} {_mean(values)}", flush=True)


def fine_tuned(arguments: argparse.Namespace, name: str, network: ContourNet) -> None:
    """What the masks, or the points and sizes alone, of a set's train part add."""
    train = close_ups_of(scenes(arguments.data, name, validation=False))
    held = scenes(arguments.data, name, validation=True)
    start = {key: value.clone() for key, value in network.state_dict().items()}
    before, after, weak = [], [], []
    for seed in arguments.seeds:
        network.load_state_dict(start)
        before.append(mean_iou(held, evolved(network), seed))
        after.append(_tuned(network, start, train, held, arguments.steps, seed))
        weak.append(_tuned(network, start, without_masks(train), held, arguments.steps, seed))
        print(f"{name} seed {seed}: {before[-1]:.4f} {after[-1]:.4f} {weak[-1]:.4f}", flush=True)
    print(
        f"{name:12} {len(train)} train objects  as it ships {_mean(before)}  masks {_mean(after)}  "
        f"points and sizes only {_mean(weak)}",
        flush=True,
    )


def _tuned(
    network: ContourNet,
    start: dict[str, Tensor],
    train: list[CloseUp],
    held: list[Scene],
    steps: int,
    seed: int,
) -> float:
    """IoU after a training whose stopping is decided by a fifth of the train objects, never by `held`."""
    network.load_state_dict(start)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
    fifth = max(1, len(train) // 5)
    decide, learn = [train[i] for i in order[:fifth]][:200], [train[i] for i in order[fifth:]]
    config = ContourConfig(steps=steps, seed=seed, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        run = contour_training(learn, decide, network, config, Path(folder) / "run.pt", entry={})
        events = fit(run)
        while True:
            try:
                next(events)
            except StopIteration as end:
                network.load_state_dict(end.value.weights)
                break
    network.eval()
    return mean_iou(held, evolved(network), seed)


def without_masks(items: list[CloseUp]) -> list[CloseUp]:
    """The same objects, known by their extreme points and size alone."""
    result = []
    for item in items:
        assert item.mask is not None
        size = float(object_size(item.mask[None] > 0.5)[0, 0])
        result.append(CloseUp(image=item.image, points=item.points, size=size, scale=item.scale))
    return result


def annotated(arguments: argparse.Namespace, name: str, network: ContourNet) -> None:
    """Clicks per object and IoU of a simulated annotator: a stamp, four points, one repair after them."""
    held = scenes(arguments.data, name, validation=True)
    labels = ("stamp (1 click)", "four points (4)", "and one repair (5)", "evolved again")
    totals: dict[str, list[float]] = {label: [] for label in labels}
    for seed in arguments.seeds:
        stamps, points, repaired, again = [], [], [], []
        for scene in held:
            if not scene.masks:
                continue
            asked = prompts_of(scene, seed)
            only = [Prompt(plane=p.plane, object=p.object, stamp=p.stamp) for p in asked]
            stamps += _scores(scene, evolved(network)(scene, only))
            found = evolved(network)(scene, asked)
            points += _scores(scene, found)
            mended = _repaired(scene, found)
            repaired += _scores(scene, mended)
            starts = [tuple((float(y), float(x)) for y, x in contour) for contour in mended]
            restarted = [
                Prompt(plane=p.plane, object=p.object, points=p.points, start=start)
                for p, start in zip(asked, starts, strict=True)
            ]
            again += _scores(scene, evolved(network)(scene, restarted))
        for label, values in zip(totals, (stamps, points, repaired, again), strict=True):
            totals[label].append(float(np.mean(values)))
    print(
        f"{name:12} " + "  ".join(f"{label} {_mean(values)}" for label, values in totals.items()), flush=True
    )


def _scores(scene: Scene, contours: list[Tensor]) -> list[float]:
    return [overlap(contour, mask) for contour, mask in zip(contours, scene.masks, strict=True)]


def _repaired(scene: Scene, found: list[Tensor]) -> list[Tensor]:
    """Drag the vertex that is farthest off to the true outline."""
    mended = []
    for contour, mask in zip(found, scene.masks, strict=True):
        truth = mask_contour(mask, 256)
        away = torch.cdist(contour, truth)
        worst, missed = int(away.amin(1).argmax()), int(away.amin(0).argmax())
        moved = contour.clone()
        if away.amin(0)[missed] > away.amin(1)[worst]:  # a part of the object that no vertex is near
            moved[int(away[:, missed].argmin())] = truth[missed]
        else:
            moved[worst] = truth[away[worst].argmin()]
        mended.append(moved)
    return mended


def one_pixel(root: Path, name: str) -> None:
    """IoU of true outlines moved by one pixel, on the validation images."""
    masks = [mask.numpy() for scene in scenes(root, name, validation=True) for mask in scene.masks]
    moved, scaled = [], []
    for mask in masks:
        padded = np.pad(mask, 2)
        moved += [_iou(padded, np.roll(padded, by, (0, 1))) for by in ((0, 1), (1, 0), (0, -1), (-1, 0))]
        scaled += [_iou(padded, binary_erosion(padded)), _iou(padded, binary_dilation(padded))]
    area = statistics.median(int(mask.sum()) for mask in masks)
    print(
        f"{name}: {len(masks)} objects, median {area} px²; the true outline moved by 1 px {_mean(moved)}, "
        f"1 px within or without {_mean(scaled)}",
        flush=True,
    )


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def latency() -> None:
    """From four points to the contour, in one 512 x 512 image, and for a queue of 100."""
    network, _ = load_starter()
    image = torch.randn(1, 512, 512)
    rng = np.random.default_rng(0)

    def asked(count: int) -> list[Prompt]:
        result = []
        for index in range(count):
            y, x, r = *rng.uniform(60, 450, 2), rng.uniform(8, 50)
            clicks = ((y - r, x), (y, x - r), (y + r, x), (y, x + r))
            result.append(Prompt(plane=PlaneRef(0), object=str(index), points=clicks))
        return result

    evolve_prompts(network, image, asked(1))
    one = []
    for _ in range(30):
        prompt = asked(1)
        begun = time.perf_counter()
        evolve_prompts(network, image, prompt)
        one.append(time.perf_counter() - begun)
    queue = []
    for _ in range(5):
        prompts = asked(100)
        begun = time.perf_counter()
        for start in range(0, 100, 32):
            evolve_prompts(network, image, prompts[start : start + 32])
        queue.append(100 / (time.perf_counter() - begun))
    middle = 1000 * statistics.median(one)
    print(f"one object: median {middle:.1f} ms; queue of 100: {statistics.median(queue):.0f}/s")


def _mean(values: list[float]) -> str:
    spread = f" +- {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


if __name__ == "__main__":
    main()
