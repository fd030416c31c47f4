"""Speed of `flip_sizes` beside one `chebyshev_distance` and beside brute force, as ratios of one run.

    python benchmarks/flips.py [--rounds 30]

Brute force makes one mask a pixel and puts each through OpenCV's chessboard distance; it is timed on a share
of the pixels of the large images. Exactness is not measured here but tested: tests/ops/test_size.py.
"""

from __future__ import annotations

import argparse
from functools import partial

import cv2
import numpy as np
import torch
from distance import ellipses, least, processor

from napari_segsize.ops import chebyshev_distance, flip_sizes
from napari_segsize.ops.distance import warm_up

SHARE = 1000  # pixels of brute force to time


def images(side: int) -> dict[str, np.ndarray]:
    """Masks that need different amounts of work."""
    rng = np.random.default_rng(0)
    full = np.ones((side, side), bool)
    one, two, grid, dense = full.copy(), full.copy(), full.copy(), full.copy()
    one[side // 2, side // 2] = False
    two[side // 5, side // 5] = two[4 * side // 5, 3 * side // 5] = False
    grid[:: side // 12, :: side // 12] = False
    dense[::3, ::3] = False
    return {
        "ellipse": ellipses(1, side, side, 0.0)[0],
        "ellipse, 1 % inverted": ellipses(1, side, side, 0.01)[0],
        "noise, half and half": rng.random((side, side)) < 0.5,
        "no background": full,
        "one hole": one,
        "two holes": two,
        "about 20 holes": rng.random((side, side)) > 20 / side**2,
        "a hole every 42 pixels": grid,
        "a hole every 3 pixels (the worst found)": dense,
        "no foreground": ~full,
    }


def brute_force(mask: np.ndarray, pixels: np.ndarray) -> list[float]:
    """Sizes after flipping each of `pixels`, flat indices."""
    found = []
    work = mask.astype(np.uint8)
    for pixel in pixels:
        work.flat[pixel] ^= 1
        found.append(2 * float(cv2.distanceTransform(work, cv2.DIST_C, 3).max()))
        work.flat[pixel] ^= 1
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    print(f"{processor()}, one thread; torch {torch.__version__}, OpenCV {cv2.__version__}\n")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    assert warm_up(), "no compiled code on this machine"

    print("| 512 x 512 | distance, ms | flips, ms | flips / distance |")
    print("|---|---|---|---|")
    for name, mask in images(512).items():
        tensor = torch.from_numpy(mask)[None, None]
        methods = {"distance": partial(chebyshev_distance, tensor), "flips": partial(flip_sizes, tensor)}
        took = least(methods, rounds)
        ratio = took["flips"] / took["distance"]
        print(f"| {name} | {took['distance']:.3f} | {took['flips']:.2f} | {ratio:.1f} |", flush=True)

    print("\n| image | flips, ms | brute force, ms | brute force / flips |")
    print("|---|---|---|---|")
    for shape in [(48, 32), (128, 128), (512, 512)]:
        mask = ellipses(1, *shape, 0.01)[0]
        tensor = torch.from_numpy(mask)[None, None]
        pixels = np.linspace(0, mask.size - 1, min(SHARE, mask.size)).astype(int)
        assert flip_sizes(tensor).flatten()[pixels].tolist() == brute_force(mask, pixels)
        flips = least({"flips": partial(flip_sizes, tensor)}, rounds)["flips"]
        slow = least({"brute": partial(brute_force, mask, pixels)}, 1)["brute"] * mask.size / len(pixels)
        size = " x ".join(map(str, shape))
        print(f"| {size} | {flips:.3f} | {slow:.0f} | {slow / flips:.0f} |", flush=True)


if __name__ == "__main__":
    main()
