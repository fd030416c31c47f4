"""Speed of `flip_sizes` beside one `chebyshev_distance` and beside brute force, as ratios of one run.

    python benchmarks/flips.py [--rounds 30] [--search]

`--search` looks for the masks of 512 x 512 pixels that cost most: lattices of holes of every distance from 2
to 64 pixels in both axes, such lattices with shifted rows, stripes, diagonals, checkers, noise of every
density, and random tiles repeated. Each is timed a few times, and those that seem worst again, more often.

Brute force makes one mask a pixel and puts each through OpenCV's chessboard distance; it is timed on a share
of the pixels of the large images. Exactness is not measured here but tested: tests/ops/test_size.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import torch
from distance import ellipses, least, processor

from napari_segsize.ops import chebyshev_distance, flip_sizes
from napari_segsize.ops.distance import warm_up

SHARE = 1000  # pixels of brute force to time
WORST = 40  # masks that are timed a second time


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
        "a hole every 3 pixels": dense,
        "no foreground": ~full,
    }


def candidates(side: int) -> Iterator[tuple[str, np.ndarray]]:
    """Masks among which to look for the one that costs most."""
    y, x = np.mgrid[:side, :side]
    rng = np.random.default_rng(0)
    for a in range(2, 65):
        for b in range(2, 65):
            yield f"a hole every {a} x {b}", ~((y % a == a // 2) & (x % b == b // 2))
        yield f"a hole every {a}, shifted", ~((y % a == 0) & ((x + y // a * (a // 2)) % a == 0))
        yield f"rows, one in {a}", y % a > 0
        yield f"columns, one in {a}", x % a > 0
        yield f"diagonals, one in {a}", (x + 2 * y) % a > 0
        yield f"checkers of {a}", (y // a + x // a) % 2 > 0
    for share in np.geomspace(2 / side**2, 0.5, 60):
        yield f"noise, {share:.2g} background", rng.random((side, side)) >= share
    for number in range(1000):
        tall, wide = (int(n) for n in np.exp(rng.uniform(np.log(2), np.log(80), 2)))
        tile = np.ones(tall * wide, bool)
        tile[rng.integers(0, tile.size, rng.choice([1, 2, 3, 5]))] = False
        name = f"tile {number} of {tall} x {wide} with {np.count_nonzero(~tile)} holes"
        yield name, tile.reshape(tall, wide)[y % tall, x % wide]


def search(rounds: int) -> None:
    """Print the masks whose flips cost most, in distance transforms of the same mask."""

    def ratio(mask: np.ndarray, rounds: int) -> tuple[float, float, float]:
        tensor = torch.from_numpy(mask)[None, None]
        methods = {"distance": partial(chebyshev_distance, tensor), "flips": partial(flip_sizes, tensor)}
        took = least(methods, rounds)
        return took["flips"] / took["distance"], took["distance"], took["flips"]

    found = [(ratio(mask, 3)[0], name) for name, mask in candidates(512)]
    print(f"{len(found)} masks of 512 x 512 searched; the worst, timed again:\n")
    suspects = {name for _, name in sorted(found)[-WORST:]}
    again = [(*ratio(mask, rounds), name) for name, mask in candidates(512) if name in suspects]
    print("| mask | distance, ms | flips, ms | flips / distance |")
    print("|---|---|---|---|")
    for times, distance, flips, name in sorted(again, reverse=True)[:10]:
        print(f"| {name} | {distance:.3f} | {flips:.2f} | {times:.1f} |")


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
    parser.add_argument("--search", action="store_true", help="look for the masks that cost most")
    options = parser.parse_args()
    rounds = options.rounds
    print(f"{processor()}, one thread; torch {torch.__version__}, OpenCV {cv2.__version__}\n")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    assert warm_up(), "no compiled code on this machine"
    if options.search:
        search(rounds)
        return

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
