"""Speed of `chebyshev_distance` beside SciPy and OpenCV, on the CPU, as ratios of one run.

    python benchmarks/distance.py [--rounds 30] [--threads 2]

Every round times every method once, in turn, so that a busy machine slows all of them; the least time of
each counts. The three return the same distances; this is checked before timing. Conversions between tensors
and arrays are timed where a user would need them: ours takes and returns tensors, the others arrays.
The last column is the tensor path, which other devices take and a CPU without numba, on the small batch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.ndimage import distance_transform_cdt

from napari_segsize.ops import chebyshev_distance
from napari_segsize.ops.distance import _chebyshev_tensor, warm_up


def ellipses(planes: int, height: int, width: int, noise: float, seed: int = 0) -> np.ndarray:
    """One ellipse a plane, somewhere near the middle, with a share of pixels inverted."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    masks = np.empty((planes, height, width), bool)
    for mask in masks:
        cy, cx = height * rng.normal(0.5, 0.1), width * rng.normal(0.5, 0.1)
        mask[:] = ((y - cy) / (0.3 * height)) ** 2 + ((x - cx) / (0.35 * width)) ** 2 < 1
    return masks ^ (rng.random(masks.shape) < noise)


def least(methods: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least milliseconds of each method over so many rounds."""
    best = dict.fromkeys(methods, float("inf"))
    for _ in range(rounds):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            best[name] = min(best[name], 1000 * (time.perf_counter() - start))
    return best


def compare(shape: tuple[int, int, int], noise: float, rounds: int) -> str:
    """One row of the table."""
    masks = ellipses(*shape, noise)
    tensor, bytes_ = torch.from_numpy(masks)[:, None], masks.view(np.uint8)
    methods: dict[str, Callable[[], object]] = {
        "ours": lambda: chebyshev_distance(tensor),
        "tensor": lambda: _chebyshev_tensor(tensor, "ignore"),
        "scipy": lambda: [distance_transform_cdt(mask, metric="chessboard") for mask in masks],
        "cv2": lambda: [cv2.distanceTransform(mask, cv2.DIST_C, 3) for mask in bytes_],
    }
    expected = chebyshev_distance(tensor)[:, 0]
    for name in ("scipy", "cv2"):
        assert np.array_equal(np.squeeze(np.stack(list(methods[name]()))), expected), name
    tensors = methods.pop("tensor")
    took = least(methods, rounds)
    slow = f"{least({'tensor': tensors}, 3)['tensor']:.0f}" if masks.size < 2**17 else ""
    size = " x ".join(map(str, shape))
    return (
        f"| {size} | {noise:.0%} | {took['ours']:.3f} | {took['scipy']:.3f} | {took['cv2']:.3f} "
        f"| {took['scipy'] / took['ours']:.1f} | {took['cv2'] / took['ours']:.2f} "
        f"| {slow} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    print(f"{processor()}, {options.threads} threads; torch {torch.__version__}, OpenCV {cv2.__version__}")
    start = time.perf_counter()
    assert warm_up(), "no compiled code on this machine"
    print(f"Compiled, or loaded from numba's cache, in {time.perf_counter() - start:.1f} s.\n")
    print("| batch | inverted | ours, ms | SciPy, ms | OpenCV, ms | SciPy/ours | OpenCV/ours | tensors, ms |")
    print("|---|---|---|---|---|---|---|---|")
    for shape in [(64, 48, 32), (16, 256, 256), (4, 1024, 1024)]:
        for noise in (0.0, 0.05, 0.5):
            print(compare(shape, noise, options.rounds), flush=True)


def processor() -> str:
    """Name the processor, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


if __name__ == "__main__":
    main()
