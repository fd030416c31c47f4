"""Tables and pictures of the paper's protocol: ``python scripts/ablation_pictures.py acdrnet.jsonl``.

The file is written by ``benchmarks/acdrnet.py``. The tables go to the screen, as Markdown, with what the
paper printed; one picture an ablation goes to ``docs/images/contours``, or the folder named after the file.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parent.parent / "docs" / "images" / "contours"
METRICS = ("F1", "mIoU", "WCov", "BoundF")
SETS = {"cardiac": "#4477aa", "buildings": "#cc6677"}
PLAIN = {"vertices": 32, "iterations": 3, "side": 64, "turn": 180.0}
LOSSES = {
    (0.0, 0.0, 0.0): "segmentation",
    (0.0, 0.5, 0.0): "+ curvature",
    (0.01, 0.0, 0.0): "+ balloon",
    (0.01, 0.5, 0.0): "+ both (the paper's)",
    (0.01, 0.0, 1.0): "+ balloon, distance (ours)",
}
PAPER: dict[str, dict[Any, tuple[float, float]]] = {  # F1, mIoU on Vaihingen, tables 5 and 6
    "side": {16: (13.11, 7.13), 32: (54.86, 39.50), 64: (95.62, 91.74), 128: (95.13, 90.85)},
    "losses": {
        "segmentation": (94.94, 90.31), "+ curvature": (94.80, 90.20), "+ balloon": (95.13, 90.82),
        "+ both (the paper's)": (95.62, 91.74),
    },
}  # fmt: skip
LABELS = {
    "vertices": "vertices", "iterations": "iterations", "side": "side of the region, px", "losses": "losses",
}  # fmt: skip

Runs = list[dict[str, Any]]
Points = dict[tuple[str, Any], list[dict[str, float]]]


def main() -> None:
    """Print the tables and draw the pictures."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    runs: Runs = [json.loads(line) for line in lines if line.strip()]
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else IMAGES
    protocol(runs)
    folder.mkdir(parents=True, exist_ok=True)
    for name in LABELS:
        found = ablation(runs, name)
        if found:
            table(name, found)
            draw(name, found, folder / f"{name}.png")


def protocol(runs: Runs) -> None:
    """The networks beside each other, for each length of training that the U-Net had as well."""
    lengths = sorted({run["setting"]["steps"] for run in runs if run["setting"]["network"] == "unet"})
    for name in SETS:
        print(f"\n| {name} | steps | seeds | {' | '.join(METRICS)} |\n|---|---|---|{'---|' * len(METRICS)}")
        for steps in lengths:
            for network in ("contour", "acdrnet", "unet"):
                which = (name, network, steps)
                found = [
                    run["scores"]
                    for run in runs
                    if tuple(run["setting"][key] for key in ("set", "network", "steps")) == which
                    and _is_plain(run["setting"])
                ]
                if found:
                    values = " | ".join(_mean([each[metric] for each in found]) for metric in METRICS)
                    print(f"| {network} | {steps} | {len(found)} | {values} |")


def ablation(runs: Runs, name: str) -> Points:
    """What was measured, by set and value; all with the number of steps that most values have."""
    kinds: Mapping[str, Callable[[dict[str, Any]], Any]] = {
        "losses": lambda setting: LOSSES.get(
            tuple(setting[key] for key in ("balloon", "curvature", "distance"))
        )
    }
    value_of = kinds.get(name, lambda setting: setting[name])
    chosen = [
        run for run in runs if run["setting"]["network"] == "contour" and _is_plain(run["setting"], name)
    ]
    varied = [run["setting"]["steps"] for run in chosen if not _is_plain(run["setting"])]
    if not varied:
        return {}
    steps = statistics.mode(varied)
    result: Points = {}
    for run in chosen:
        if run["setting"]["steps"] == steps:
            result.setdefault((run["setting"]["set"], value_of(run["setting"])), []).append(run["scores"])
    return result


def _is_plain(setting: Mapping[str, Any], but: str = "") -> bool:
    weights = tuple(setting[key] for key in ("balloon", "curvature", "distance"))
    rest = all(setting.get(key, value) == value for key, value in PLAIN.items() if key != but)
    return rest and (but == "losses" or LOSSES.get(weights, "").endswith("(ours)"))


def table(name: str, found: Points) -> None:
    """F1 and mIoU by value, beside the paper's where it printed them."""
    sets = [each for each in SETS if any(key[0] == each for key in found)]
    values = _ordered(name, found)
    paper = PAPER.get(name, {})
    heads = [f"{each} F1 | mIoU | BoundF" for each in sets] + (
        ["paper (Vaihingen) F1 | mIoU"] if paper else []
    )
    print(f"\n| {LABELS[name]} | {' | '.join(heads)} |")
    print("|" + "---|" * (1 + 3 * len(sets) + (2 if paper else 0)))
    for value in values:
        cells = []
        for each in sets:
            measured = found.get((each, value))
            cells += [
                _mean([one[metric] for one in measured]) if measured else ""
                for metric in ("F1", "mIoU", "BoundF")
            ]
        if paper:
            cells += [f"{number}" for number in paper[value]] if value in paper else ["", ""]
        print(f"| {value} | {' | '.join(cells)} |")


def draw(name: str, found: Points, file: Path) -> None:
    """F1 (filled) and mIoU (hollow) over the values, with the deviation of seeds; the paper's in grey."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    values = _ordered(name, found)
    line = "none" if name == "losses" else "-"  # kinds have no order
    for label, colour, known in _curves(name, found):
        for metric, face in (("F1", colour), ("mIoU", "white")):
            places = [k for k, value in enumerate(values) if value in known]
            heights, spreads = zip(*(known[value][metric] for value in values if value in known), strict=True)
            axes.errorbar(
                places, heights, spreads, linestyle=line, color=colour, marker="o", markersize=5,
                markerfacecolor=face, linewidth=1, elinewidth=0.6, capsize=2, label=f"{label}, {metric}",
            )  # fmt: skip
    axes.set_xticks(range(len(values)), [str(value).replace(" (", "\n(") for value in values], fontsize=8)
    axes.set_xlabel(LABELS[name])
    axes.set_ylabel("per cent")
    axes.grid(alpha=0.3)
    figure.legend(fontsize=7, ncols=3 if name in PAPER else 2, loc="outside upper center")
    figure.savefig(file, dpi=110)
    print(f"wrote {file.name}")


def _curves(name: str, found: Points) -> list[tuple[str, str, dict[Any, dict[str, tuple[float, float]]]]]:
    """Label, colour, means and deviations of each set, and what the paper printed."""
    curves = []
    for each, colour in SETS.items():
        known = {
            value: {metric: _spread([one[metric] for one in runs]) for metric in ("F1", "mIoU")}
            for (which, value), runs in found.items()
            if which == each
        }
        if known:
            curves.append((each, colour, known))
    paper = {
        value: {"F1": (f1, 0.0), "mIoU": (miou, 0.0)} for value, (f1, miou) in PAPER.get(name, {}).items()
    }
    return [*curves, ("paper, Vaihingen", "0.6", paper)] if paper else curves


def _ordered(name: str, found: Points) -> Sequence[Any]:
    values = {key[1] for key in found}
    return [each for each in LOSSES.values() if each in values] if name == "losses" else sorted(values)


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


if __name__ == "__main__":
    main()
