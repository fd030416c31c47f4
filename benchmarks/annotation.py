"""How long an annotation takes until it is on the disk.

    python benchmarks/annotation.py [--folder FOLDER] [--count 300]

The folder decides the disk. Every row is measured in one run on one disk; the first row is the floor: a flush
of 4 KiB, which a commit with synchronous=FULL cannot beat. NORMAL leaves the flush to later: it survives
kill -9 but not a power cut, which is why projects use FULL.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT = 10.0  # milliseconds
SIDE = 512
FLOOR = "flush of 4 KiB alone"


def milliseconds(verb: Callable[[int], object], count: int) -> list[float]:
    for k in range(5):
        verb(-1 - k)
    times = []
    for k in range(count):
        start = time.perf_counter()
        verb(k)
        times.append(1e3 * (time.perf_counter() - start))
    return times


def flush(folder: Path) -> Callable[[int], object]:
    stream = (folder / "floor").open("wb", buffering=0)

    def verb(_: int) -> None:
        stream.write(b"x" * 4096)
        os.fsync(stream.fileno())

    return verb


def discs(k: int) -> NDArray[np.int32]:
    """Twenty of them."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    y, x = np.ogrid[:SIDE, :SIDE]
    for n in range(1, 21):
        labels[(y - (k * 7 + n * 97) % SIDE) ** 2 + (x - (k * 13 + n * 53) % SIDE) ** 2 < 400] = n
    return labels


def measure(project: Project, count: int) -> dict[str, list[float]]:
    images = np.random.default_rng(0).integers(0, 255, (10, SIDE, SIDE)).astype(np.uint8)
    project.add_array("stack", images, kind="stack")
    masks = [discs(k) for k in range(count // 5)]

    def stamp(k: int) -> None:
        project.put_stamp(PlaneRef(1, k % 10), 4 + k % 40, centre=(k % SIDE, 7 * k % SIDE))

    def move(k: int) -> None:
        project.put_stamp(PlaneRef(1), 8, centre=(k % SIDE, k % 100), object="moved")

    rows = {"a new size": milliseconds(stamp, count), "a size moved": milliseconds(move, count)}
    rows["a mask, 512 x 512, 20 objects"] = milliseconds(
        lambda k: project.put_mask(PlaneRef(1, k % 10), masks[k % len(masks)]), len(masks)
    )
    rows["undo"] = milliseconds(lambda _: project.undo(), count // 2)
    with project.step("many"):
        for k in range(10_000):
            stamp(k)
    rows["a new size beside 10,000"] = milliseconds(stamp, count)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: the temporary folder)")
    parser.add_argument("--count", type=int, default=300, help="annotations a row")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="segsize-benchmark-") as folder:
        rows = {FLOOR: milliseconds(flush(Path(folder)), options.count)}
        for Store.synchronous in ("FULL", "NORMAL"):
            with Project.create(Path(folder) / Store.synchronous) as project:
                for name, times in measure(project, options.count).items():
                    rows[f"{Store.synchronous}: {name}"] = times
    table = Table("", "median ms", "95 % ms", "x the flush", title=f"Annotation to disk (limit {LIMIT:g} ms)")
    floor = float(np.median(rows[FLOOR]))
    for name, times in rows.items():
        median, high = np.quantile(times, (0.5, 0.95))
        table.add_row(name, f"{median:.2f}", f"{high:.2f}", f"{median / floor:.1f}")
    console = Console()
    console.print(table)
    console.print(
        f"SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}, {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
