"""Cost and error of `polygon_mask`: rendering contours and their gradient, as ratios of one run.

    python benchmarks/polygon.py [--rounds 10] [--threads 2] [--contours 100] [--vertices 32] [--side 64]

Every round times every method once, in turn, so that a busy machine slows all of them; the least time of each
counts. Timed is one training step's share, forward and backward: of the network that `segsize` evolves
contours with, on as many regions; of `polygon_mask`; and of two formulations that look at every edge from
every pixel, ``(N, K, H, W)``, with torch's own gradient: the exact one, of the same values, and the sigmoid
of the distance. They run ten contours at a time, which is faster for them than all at once.

Errors are the largest over all pixels, against polygons clipped by shapely pixel by pixel; the gradient's is
against central differences in float64.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numba
import numpy as np
import shapely
import torch
from distance import least, processor
from torch import Tensor

from napari_segsize.models.contour import build_contour_net
from napari_segsize.ops import _polygon_compiled
from napari_segsize.ops.mesh import delaunay_faces, mesh_mask
from napari_segsize.ops.polygon import coverage, polygon_mask, soft_polygon_mask, warm_up
from napari_segsize.ops.starts import circle_contour

# The tests' own clipping.
sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from polygon_oracle import clipped

SEED = 0
KINDS = ("convex", "concave", "crossing")
RULES = ("nonzero", "evenodd")


def outlines(contours: int, vertices: int, side: int) -> Tensor:
    """Blobs as an evolution makes them: a circle, bulged by a few waves; none crosses itself."""
    generator = torch.Generator().manual_seed(SEED)
    angle = torch.arange(vertices) * (2 * torch.pi / vertices)
    radius = torch.full((contours, vertices), 0.3)
    for wave in range(2, 6):
        size = 0.12 * torch.rand(contours, 1, generator=generator) / wave
        radius += size * (wave * angle + 6.3 * torch.rand(contours, 1, generator=generator)).cos()
    middle = (side - 1) / 2 + torch.randn(contours, 1, 2, generator=generator)
    return middle + side * radius[..., None] * torch.stack([-angle.cos(), -angle.sin()], 1)


def dense_exact(contours: Tensor, shape: tuple[int, int]) -> Tensor:
    """Coverage of simple polygons, every edge clipped to every pixel: ``(N, 1, H, W)``."""
    start, stop = contours[:, :, None, None], contours.roll(-1, 1)[:, :, None, None]  # (N, K, 1, 1, 2)
    (ay, ax), (by, bx) = start.unbind(-1), stop.unbind(-1)
    row = torch.arange(shape[0]).to(contours)[:, None]
    right = torch.arange(shape[1]).to(contours) + 0.5
    y0, y1 = (torch.minimum(torch.maximum(y, row - 0.5), row + 0.5) for y in (ay, by))  # (N, K, H, 1)
    slope = (bx - ax) / torch.where(ay == by, 1, by - ay)
    gap0, gap1 = (right - ax - slope * (y - ay) for y in (y0, y1))  # (N, K, H, W) to the right of the edge
    level = (gap1 - gap0).abs() < 1e-4
    share = (_integral(gap1) - _integral(gap0)) / torch.where(level, 1, gap1 - gap0)
    share = torch.where(level, ((gap0 + gap1) / 2).clamp(0, 1), share)
    return ((y1 - y0) * share).sum(1).abs()[:, None]


def _integral(gap: Tensor) -> Tensor:
    """Of a value that is clamped to 0..1, from 0."""
    inner = gap.clamp(0, 1)
    return inner * inner / 2 + (gap - inner).clamp(min=0)


def dense_soft(contours: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sigmoid of the signed distance, every edge seen from every pixel: ``(N, 1, H, W)``."""
    y = torch.arange(shape[0]).to(contours)[:, None]
    x = torch.arange(shape[1]).to(contours)
    start, way = contours, contours.roll(-1, 1) - contours
    (ay, ax), (dy, dx) = (each[:, :, None, None].unbind(-1) for each in (start, way))
    gap_y, gap_x = y - ay, x - ax
    along = ((gap_y * dy + gap_x * dx) / (dy.square() + dx.square())).clamp(0, 1)
    distance = ((gap_y - along * dy).square() + (gap_x - along * dx).square()).amin(1).sqrt()
    with torch.no_grad():
        crosses = ((ay <= y) != (ay + dy <= y)) & ((gap_x * dy - gap_y * dx) * dy.sign() > 0)
        inside = (crosses * dy.sign()).sum(1) != 0
    return (distance * torch.where(inside, 1, -1)).sigmoid()[:, None]


def step(render: Callable[[Tensor], Tensor], contours: Tensor, target: Tensor, part: int) -> None:
    """Masks, their squared error, and its gradient, `part` contours at a time."""
    for begin in range(0, len(contours), part):
        some = contours[begin : begin + part].clone().requires_grad_()
        (render(some) - target[begin : begin + part]).square().mean().backward()


def network_step(network: torch.nn.Module, regions: Tensor) -> None:
    network.zero_grad()
    network(regions).square().mean().backward()


def speed(options: argparse.Namespace) -> None:
    """Print the table of times."""
    count, vertices, side = options.contours, options.vertices, options.side
    shape = (side, side)
    contours = outlines(count, vertices, side)
    with torch.no_grad():
        target = polygon_mask(contours + 1.5, shape)
        difference = (
            dense_exact(contours[:10].double(), shape) - polygon_mask(contours[:10].double(), shape)
        ).abs()
        assert difference.max() < 1e-6, "the dense formulation computes something else"
    crossing = contours + 0.05 * side * torch.randn(
        contours.shape, generator=torch.Generator().manual_seed(SEED)
    )
    faces = delaunay_faces(circle_contour(torch.zeros(1, 2), torch.ones(1), vertices)[0])
    network = build_contour_net("small")
    regions = torch.rand(count, network.channels + network.prompts, *shape)
    module = _polygon_compiled.kernels()

    def rows() -> dict[str, Callable[[], object]]:
        def of(
            render: Callable[[Tensor], Tensor], which: Tensor = contours, part: int = count
        ) -> Callable[[], None]:
            return lambda: step(render, which, target, part)

        return {
            "network": lambda: network_step(network, regions),
            "polygon_mask": of(lambda some: polygon_mask(some, shape)),
            "polygon_mask, contours that cross themselves": of(
                lambda some: polygon_mask(some, shape), crossing
            ),
            "polygon_mask, tensor path": of(lambda some: coverage(some, shape, False, None)[:, None]),
            "dense, exact": of(lambda some: dense_exact(some, shape), part=10),
            "dense, sigmoid of distance": of(lambda some: dense_soft(some, shape), part=10),
            "soft_polygon_mask": of(lambda some: soft_polygon_mask(some, shape)),
            "mesh_mask": of(lambda some: mesh_mask(some, faces, shape)),
        }

    assert module is not None
    for method in rows().values():
        method()
    took = least(rows(), options.rounds)
    ours = took["polygon_mask"]
    print(f"{count} contours x {vertices} vertices x {side} x {side} pixels, forward and backward:\n")
    print("| | ms | share of the network's | times polygon_mask |")
    print("|---|---|---|---|")
    for name, each in took.items():
        print(f"| {name} | {each:.1f} | {each / took['network']:.2%} | {each / ours:.1f} |", flush=True)


def polygon(kind: str, vertices: int, rng: np.random.Generator, side: int) -> np.ndarray:
    """One random polygon, partly outside the image."""
    if kind == "crossing":
        return rng.uniform(-0.1 * side, 1.1 * side, (vertices, 2))
    angles = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    radii = side * (rng.uniform(0.05, 0.6, vertices) if kind == "concave" else np.full(vertices, 0.45))
    return side / 2 + radii[:, None] * np.stack([np.sin(angles), np.cos(angles)], 1)


def errors(polygons: int, side: int = 16) -> None:
    """Print the table of errors."""
    rng = np.random.default_rng(SEED)
    shape = (side, side)
    print(f"\nLargest errors over {polygons} polygons of 3 to 32 vertices each, {side} x {side} pixels:\n")
    print("| polygons | rule | float32 | float64 | gradient, float64 |")
    print("|---|---|---|---|---|")
    for kind in KINDS:
        for rule in RULES:
            worst = {torch.float32: 0.0, torch.float64: 0.0}
            slope = 0.0
            for _ in range(polygons):
                vertices = polygon(kind, int(rng.integers(3, 33)), rng, side).astype(np.float32)
                expected = clipped(vertices.astype(np.float64), shape, rule)
                for dtype, before in worst.items():
                    mask = polygon_mask(torch.from_numpy(vertices).to(dtype)[None], shape, rule=rule)[0, 0]
                    worst[dtype] = max(before, float(np.abs(mask.double().numpy() - expected).max()))
                slope = max(slope, gradient_error(torch.from_numpy(vertices).double(), shape, rule, rng))
            figures = " | ".join(f"{each:.1e}" for each in worst.values())
            print(f"| {kind} | {rule} | {figures} | {slope:.1e} |", flush=True)


def gradient_error(vertices: Tensor, shape: tuple[int, int], rule: str, rng: np.random.Generator) -> float:
    """Largest difference from central differences over the largest slope, for random pixel weights."""
    weights = torch.from_numpy(rng.normal(size=shape))
    moved = vertices.clone().requires_grad_()
    (polygon_mask(moved[None], shape, rule=rule)[0, 0] * weights).sum().backward()
    assert moved.grad is not None
    h = 1e-6
    steps = h * torch.eye(vertices.numel(), dtype=torch.float64).reshape(-1, *vertices.shape)
    with torch.no_grad():
        up, down = (polygon_mask(vertices + sign * steps, shape, rule=rule) for sign in (1, -1))
        slopes = ((up - down) * weights).sum((1, 2, 3)) / (2 * h)
    return float((slopes - moved.grad.flatten()).abs().max() / slopes.abs().max())


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--contours", type=int, default=100)
    parser.add_argument("--vertices", type=int, default=32)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--polygons", type=int, default=100, help="to measure each error on")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    print("Command: python", " ".join(["benchmarks/polygon.py", *sys.argv[1:]]), f"(seed {SEED})")
    print(
        f"{processor()}, {options.threads} threads; Python {platform.python_version()}, "
        f"torch {torch.__version__}, numba {numba.__version__}, MONAI {version('monai')}, "
        f"shapely {shapely.__version__}\n"
    )
    assert warm_up(), "no compiled code on this machine"
    speed(options)
    errors(options.polygons)


if __name__ == "__main__":
    main()
