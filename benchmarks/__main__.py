"""Every figure of docs/benchmarks.md: ``python -m benchmarks DATA``, the folder that holds the data sets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("Say where the data sets are: python -m benchmarks DATA, with DATA/hippocampus.npz in it.")
    hippocampus = str(Path(sys.argv[1]) / "hippocampus.npz")
    for script, *arguments in (
        ("distance.py",),
        ("flips.py",),
        ("losses.py",),
        ("loss_costs.py",),
        ("loss_comparison.py", sys.argv[1], "--out", "losses.jsonl"),
        ("loss_comparison.py", "losses.jsonl", "--table"),
        ("acdrnet.py", sys.argv[1], "--out", "acdrnet.jsonl", "--seeds", "0", "1", "2"),
        ("annotation.py",),
        ("epoch.py", hippocampus),
        ("hippocampus.py", hippocampus, "--out", "hippocampus.jsonl"),
        ("hippocampus.py", "hippocampus.jsonl", "--table"),
        ("kiunet.py", sys.argv[1], "--out", "kiunet.jsonl"),
        ("kiunet.py", "kiunet.jsonl", "--table"),
    ):
        print(f"\n## {script}\n", flush=True)
        subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)


if __name__ == "__main__":
    main()
