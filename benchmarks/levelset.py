"""Level sets from four extreme points, against the polygon network and the classical contour.

    python benchmarks/levelset.py sets DATA [--network FILE] [--unet FILE] [--seeds 0 1 2]
    python benchmarks/levelset.py drawn [--network FILE] [--unet FILE] [--count 300]
    python benchmarks/levelset.py finetune DATA [--steps 250] [--sets cardiac nuclei buildings]
    python benchmarks/levelset.py steps DATA
    python benchmarks/levelset.py latency

`sets` looks at the validation parts of the sets that both networks learned from the other part of; `drawn` at
drawn objects whose outline is known exactly, by kind of shape. Clicks are the extreme points of the true
outline, off by up to 2 % of the object's extent. A U-Net is what `closeup_unet.py` wrote; its logits become
rings as a level set does. `finetune` learns from the train part of a set, from masks or from points and
sizes alone ("weak"), lets a fifth of it decide which step is kept, and looks at the validation images. IoU
and BoundF (mean over 1 to 5 px) are taken in image pixels, object by object, then averaged. Time is processor
time of one thread, region to rings.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from closeup_unet import load_unet, seen_by
from contour_sets import Scene, close_ups_of, scenes
from contours import prompts_of, without_masks
from levelset_finetune import fine_tuned
from numpy.typing import NDArray

from napari_segsize.engine.closeup import MARGIN, PATCH, SIDE
from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.contour_field import evolve_prompts
from napari_segsize.engine.drawn_objects import OPEN_KINDS, drawn_object, drawn_open_object
from napari_segsize.engine.evolve import Evolver
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.levelset_field import LevelSetEvolution, evolve_levelset_prompts
from napari_segsize.engine.levelset_outlines import levelset_done
from napari_segsize.engine.prompt import Prompt
from napari_segsize.engine.snake import snake
from napari_segsize.engine.starter import load_levelset_starter, load_starter
from napari_segsize.metrics import boundary_f, iou
from napari_segsize.models.levelset import LevelSetNet
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import mask_of

METHODS = ["level set", "its start", "polygon", "classical", "U-Net", "as it is", "masks", "weak"]
WEIGHTS = ("own", "points", "size")
SETS = ("cardiac", "nuclei", "masses")
CLOSED = "one outline"
DRAWN_SEED = 1000  # the training drew with 0 and 1
TOGETHER = 32
Rings = Sequence[NDArray[Any]]
Method = Callable[[Scene, list[Prompt]], list[Rings]]


def levelset(file: Path | None, steps: int | None = None) -> Method:
    """The rings of a level-set network in a file."""
    return evolved(load_levelset_starter(file)[0], steps)


def evolved(network: LevelSetNet, steps: int | None = None) -> Method:
    """The level-set network's rings."""

    def method(scene: Scene, prompts: list[Prompt]) -> list[Rings]:
        found = evolve_levelset_prompts(network, scene.image, prompts, steps=steps)
        return rings_of(prompts, found)

    return method


def rings_of(prompts: list[Prompt], found: LevelSetEvolution) -> list[Rings]:
    """Of each object, as the Contours page has them."""
    done = [
        levelset_done(prompt, found, index, vertices=32, seconds=0.0) for index, prompt in enumerate(prompts)
    ]
    return [each.rings or (each.contours[-1],) for each in done]


def unet(file: Path) -> Method:
    """Where the U-Net's logits cross 0, with the same prompts and the same way to the rings."""
    network = load_unet(file)

    def method(scene: Scene, prompts: list[Prompt]) -> list[Rings]:
        return rings_of(prompts, seen_by(network, scene.image, prompts))

    return method


def polygon(file: Path | None) -> Method:
    """The polygon network's contours, as the Contours page has them."""
    network, _ = load_starter(file)

    def method(scene: Scene, prompts: list[Prompt]) -> list[Rings]:
        found = evolve_prompts(network, scene.image, prompts, iterations=2).contours[-1]
        return [(contour.numpy(),) for contour in found]

    return method


def classical(scene: Scene, prompts: list[Prompt]) -> list[Rings]:
    """The geodesic active contour."""
    return [(list(snake(scene.image, prompt))[-1].numpy(),) for prompt in prompts]


def score(rings: Rings, truth: NDArray[np.bool_]) -> tuple[float, float]:
    """IoU and BoundF in the part of the image that holds both, and a margin."""
    place = np.concatenate([np.argwhere(truth), *[np.asarray(ring) for ring in rings]])
    low = np.clip(np.floor(place.min(0)).astype(int) - 8, 0, None)
    high = np.ceil(place.max(0)).astype(int) + 9
    part = truth[low[0] : high[0], low[1] : high[1]]
    found = mask_of([np.asarray(ring) - low for ring in rings], (part.shape[0], part.shape[1]))
    masks = torch.from_numpy(found)[None, None], torch.from_numpy(part)[None, None]
    return float(iou(*masks)), float(boundary_f(*masks))


def measured(found: list[Scene], method: Method, seed: int, most: int = 0) -> NDArray[np.float64]:
    """IoU, BoundF and milliseconds of every object."""
    rows: list[tuple[float, float, float]] = []
    for scene in found:
        asked = prompts_of(scene, seed)
        for start in range(0, len(asked), TOGETHER):
            if most and len(rows) >= most:
                return np.array(rows)
            part = asked[start : start + TOGETHER]
            begun = time.process_time()
            outlines = method(scene, part)
            taken = 1000 * (time.process_time() - begun) / len(part)
            for prompt, rings in zip(part, outlines, strict=True):
                rows.append((*score(rings, scene.masks[int(prompt.object)].numpy()), taken))
    return np.array(rows)


def told(name: str, label: str, tables: list[NDArray[np.float64]]) -> None:
    """One line: means over the objects, and their deviation over the seeds."""
    means = np.array([table.mean(0) for table in tables])
    spread = means.std(0, ddof=1) if len(means) > 1 else np.zeros(3)
    values = "  ".join(
        f"{what} {mean:.4f} +- {off:.4f}"
        for what, mean, off in zip(("IoU", "BoundF"), means.mean(0), spread, strict=False)
    )
    print(f"{name:12} {len(tables[0]):5} {label:10} {values}  {means.mean(0)[2]:.1f} ms", flush=True)


def methods_of(arguments: argparse.Namespace) -> dict[str, Method]:
    """What is compared, by name."""
    every: dict[str, Method] = {
        "level set": levelset(arguments.network),
        "its start": levelset(arguments.network, steps=0),
        "polygon": polygon(arguments.polygon),
        "classical": classical,
    }
    if arguments.unet is not None:
        every["U-Net"] = unet(arguments.unet)
    return {label: method for label, method in every.items() if label in arguments.methods}


def on_sets(arguments: argparse.Namespace) -> None:
    """The validation parts of real sets."""
    for name in arguments.sets:
        found = scenes(arguments.data, name, validation=True)
        for label, method in methods_of(arguments).items():
            most = arguments.most if label == "classical" else 0
            told(name, label, [measured(found, method, seed, most) for seed in arguments.seeds])


def on_drawn(arguments: argparse.Namespace) -> None:
    """Drawn objects, kind by kind."""
    for kind in (CLOSED, *OPEN_KINDS):
        found = drawn(kind, arguments.count)
        for label, method in methods_of(arguments).items():
            most = arguments.most if label == "classical" else 0
            told(kind, label, [measured(found, method, seed, most) for seed in arguments.seeds])


def drawn(kind: str, count: int) -> list[Scene]:
    """Scenes of one drawn object each."""
    rng = np.random.default_rng(DRAWN_SEED)
    result = []
    for _ in range(count):
        extent = SIDE / (1 + 2 * MARGIN)
        if kind == CLOSED:
            image, mask = drawn_object(rng, PATCH, extent)
        else:
            image, mask = drawn_open_object(rng, PATCH, extent, kind)
        result.append(Scene(torch.from_numpy(image), [torch.from_numpy(mask)], ""))
    return result


def on_steps(arguments: argparse.Namespace) -> None:
    """What more and fewer steps do."""
    for name in arguments.sets:
        found = scenes(arguments.data, name, validation=True)
        for steps in (0, 1, 2, 3, 5, 8, 12):
            told(name, f"T = {steps}", [measured(found, levelset(arguments.network, steps), 0)])


def on_finetune(arguments: argparse.Namespace) -> None:
    """What the masks, or the points and sizes alone, of a set's train part add."""
    settings = {f"{name}_weight": getattr(arguments, f"{name}_weight") for name in WEIGHTS}
    settings |= {"steps": arguments.steps, "learning_rate": arguments.rate}
    for name in arguments.sets:
        train, held = (scenes(arguments.data, name, validation=part) for part in (False, True))
        whole = close_ups_of(train)
        tables: dict[str, list[NDArray[np.float64]]] = {}
        for seed in arguments.seeds:
            config = LevelSetConfig(seed=seed, device="cpu", **settings)
            for label, items in (("as it is", []), ("masks", whole), ("weak", without_masks(whole))):
                if label not in arguments.methods:
                    continue
                network = load_levelset_starter(arguments.network)[0]
                if items:
                    print(f"{name} {label} seed {seed}: {fine_tuned(network, items, config)}", flush=True)
                tables.setdefault(label, []).append(measured(held, evolved(network), seed))
        for label, found in tables.items():
            told(name, label, found)


def latency(_arguments: argparse.Namespace) -> None:
    """From four points to the outline in one 512 x 512 image of a project, and for a queue of 100."""
    rng = np.random.default_rng(0)
    image = (1000 * rng.random((512, 512))).astype(np.uint16)

    def asked(plane: PlaneRef, count: int) -> list[Prompt]:
        result = []
        for index in range(count):
            y, x, r = *rng.uniform(60, 450, 2), rng.uniform(8, 50)
            clicks = ((y - r, x), (y, x - r), (y + r, x), (y, x + r))
            result.append(Prompt(plane=plane, object=str(index), points=clicks))
        return result

    with tempfile.TemporaryDirectory() as folder, Project.create(Path(folder) / "p.segsize") as project:
        plane = PlaneRef(project.add_array("image", image).id, 0)
        for engine in ("levelset", "network", "snake"):
            evolver = Evolver(project, EvolveConfig(engine=engine, device="cpu"))
            list(evolver.many(asked(plane, 1)))
            one, queue = [], []
            for _ in range(30):
                prompts = asked(plane, 1)
                begun = time.perf_counter()
                list(evolver.many(prompts))
                one.append(1000 * (time.perf_counter() - begun))
            for _ in range(3 if engine != "snake" else 0):
                prompts = asked(plane, 100)
                begun = time.perf_counter()
                list(evolver.many(prompts))
                queue.append(100 / (time.perf_counter() - begun))
            many = f"; queue of 100: {statistics.median(queue):.0f}/s" if queue else ""
            worst = sorted(one)[int(0.95 * len(one))]
            print(f"{engine:9} median {statistics.median(one):.1f} ms, 95 % {worst:.1f} ms{many}", flush=True)


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = {
        "sets": on_sets,
        "drawn": on_drawn,
        "steps": on_steps,
        "finetune": on_finetune,
        "latency": latency,
    }
    parser.add_argument("what", choices=tasks)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--network", type=Path, help="a level-set network; else the one that ships")
    parser.add_argument("--polygon", type=Path, help="a polygon network; else the one that ships")
    parser.add_argument("--unet", type=Path, help="a file of closeup_unet.py; without it there is no U-Net")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument(
        "--methods", nargs="*", default=["level set", "its start", "polygon", "classical", "U-Net"]
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--most", type=int, default=0, help="objects a set for the classical contour, 0: all")
    parser.add_argument("--steps", type=int, default=250, help="of a fine-tuning")
    parser.add_argument("--rate", type=float, default=LevelSetConfig().learning_rate)
    for name in WEIGHTS:
        usual = getattr(LevelSetConfig(), f"{name}_weight")
        parser.add_argument(f"--{name}-weight", type=float, default=usual)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {' '.join(sys.argv)}")
    with torch.no_grad():
        tasks[arguments.what](arguments)


if __name__ == "__main__":
    main()
