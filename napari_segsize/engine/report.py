"""One self-contained HTML page about a run: the table, pictures, curves, and how it was made.

Numbers and arrays come in, a string goes out: no project, no network, no script, no second file.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from ..errors import SegsizeError
from .chart import Curve, line_chart
from .events import Comparison, ComparisonRow, Event, StepDone, Validated
from .figure import Picture, picture_row

__all__ = ["Recorder", "Report", "StageLog", "environment", "report_page", "write_report"]

_PACKAGES = ("napari-segsize", "torch", "monai", "lightning-fabric", "numpy", "scikit-image", "sqlalchemy")
_OVERLAP = {"iou": "IoU", "dice": "Dice"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLog:
    """What one training run reported over time."""

    title: str
    losses: tuple[Curve, ...] = ()
    metrics: tuple[Curve, ...] = ()


class Recorder:
    """Collects the curves of one training run from its events."""

    def __init__(self) -> None:
        self._losses: dict[str, list[tuple[int, float]]] = {}
        self._metrics: dict[str, list[tuple[int, float]]] = {}

    def add(self, event: Event) -> None:
        """Remember the event's numbers, if it has any."""
        if isinstance(event, StepDone):
            for name, value in event.losses.items():
                self._losses.setdefault(name, []).append((event.step, value))
        elif isinstance(event, Validated):
            for name, value in event.metrics.items():
                self._metrics.setdefault(name, []).append((event.step, value))

    def log(self, title: str) -> StageLog:
        """The curves so far."""
        return StageLog(title=title, losses=_curves(self._losses), metrics=_curves(self._metrics))


def _curves(points: Mapping[str, Sequence[tuple[int, float]]]) -> tuple[Curve, ...]:
    """Curves with the total first, so that it has the same colour in every chart."""
    return tuple(
        Curve(name=name, steps=tuple(step for step, _ in line), values=tuple(value for _, value in line))
        for name, line in sorted(points.items(), key=lambda entry: entry[0] != "total")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything on the page.

    Attributes
    ----------
    title, summary : str
        Heading, and the sentences below it.
    comparison : Comparison, optional
        The models on the same held-out images; the first row is the one the others are measured against.
    pictures : sequence of Picture
        Held-out planes before and after.
    stages : sequence of StageLog
        Curves, in the order of training.
    facts : mapping
        How it was made: command, seed, settings, machine, versions; shown as they are.
    """

    title: str
    summary: str = ""
    comparison: Comparison | None = None
    pictures: Sequence[Picture] = ()
    stages: Sequence[StageLog] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def environment() -> dict[str, str]:
    """Machine and versions, without the machine's name or its user's."""
    facts = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "Python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
            continue
    return facts


def write_report(report: Report, folder: Path) -> Path:
    """Write ``index.html`` and the same numbers as ``results.json``; return the page's path.

    Raises
    ------
    SegsizeError
        If the folder cannot be written; older files stay whole.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "results.json", json.dumps(_numbers(report), indent=1, allow_nan=False) + "\n")
        _write(folder / "index.html", report_page(report))
    except OSError as error:
        raise SegsizeError(
            f"The report cannot be written to {folder} ({error.strerror}). "
            "Free some space or name another folder."
        ) from error
    return folder / "index.html"


def _write(path: Path, text: str) -> None:
    """Write beside the file's place, flush, and move it there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # mkstemp's files are private; a report is for showing around
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _numbers(report: Report) -> dict[str, Any]:
    rows = report.comparison.rows if report.comparison else ()
    return {
        "title": report.title,
        "split": report.comparison.split if report.comparison else None,
        "rows": [
            {
                "name": row.name,
                "iou": _known(row.iou),
                "dice": _known(row.dice),
                "size_error": _known(row.size_error),
                "images": row.images,
                "model": row.model,
            }
            for row in rows
        ],
        "facts": dict(report.facts),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def report_page(report: Report) -> str:
    """The page, as one string of HTML."""
    sections = [f"<h1>{escape(report.title)}</h1>"]
    if report.summary:
        sections.append(f"<p>{escape(report.summary)}</p>")
    if report.comparison is not None:
        sections.append(_table(report.comparison))
    if report.pictures:
        sections.append(_pictures(report.pictures))
    sections += [_stage(stage) for stage in report.stages]
    if report.facts:
        sections.append(_facts(report.facts))
    return _PAGE.format(title=escape(report.title), style=_STYLE, body="\n".join(sections))


def _table(comparison: Comparison) -> str:
    reference = comparison.rows[0] if comparison.rows else None
    best = max((row.iou for row in comparison.rows if math.isfinite(row.iou)), default=math.nan)
    named = zip(comparison.names(), comparison.rows, strict=True)
    rows = "".join(_row(name, row, reference, best) for name, row in named)
    return (
        f"<h2>On the held-out images ({escape(comparison.split)})</h2>"
        '<div class="wide"><table><thead><tr><th>trained with</th><th>IoU</th><th>gain</th><th>Dice</th>'
        f"<th>size error, px²</th><th>images</th></tr></thead><tbody>{rows}</tbody></table></div>"
        "<p>Means over the images. The size error is the mean squared difference between the object size of "
        "the predicted mask and the true one.</p>"
    )


def _row(name: str, row: ComparisonRow, reference: ComparisonRow | None, best: float) -> str:
    gain = row.iou - reference.iou if reference is not None and row is not reference else math.nan
    cells = (_number(row.iou), _number(gain, "+.3f"), _number(row.dice), _number(row.size_error, ".2f"))
    kind = ' class="best"' if row.iou == best else ""
    numbers = "".join(f"<td>{cell}</td>" for cell in (*cells, str(row.images)))
    return f'<tr{kind}><th scope="row">{escape(name)}</th>{numbers}</tr>'


def _number(value: float, form: str = ".3f") -> str:
    return format(value, form) if math.isfinite(value) else "–"


def _pictures(pictures: Sequence[Picture]) -> str:
    return (
        "<h2>Before and after, on held-out images</h2>"
        '<p><span class="swatch truth">truth</span> <span class="swatch predicted">prediction</span>: '
        "outline, the square whose side is the object size, and a cross at the centre of mass.</p>"
        + "".join(picture_row(picture) for picture in pictures)
    )


def _stage(stage: StageLog) -> str:
    """Losses in one chart, overlap in a second; every other metric has its own unit, hence its own chart."""
    charts = [line_chart(stage.losses, title="Loss terms", unit="loss")] if stage.losses else []
    overlap = [replace(curve, name=_OVERLAP[curve.name]) for curve in stage.metrics if curve.name in _OVERLAP]
    if overlap:
        charts.append(line_chart(overlap, title="Validation overlap"))
    for curve in stage.metrics:
        if curve.name not in _OVERLAP:
            unit = "px²" if curve.name == "size_error" else ""
            title = f"Validation {curve.name.replace('_', ' ')}"
            charts.append(line_chart([replace(curve, name=title)], title=title, unit=unit))
    return f'<h2>{escape(stage.title)}</h2><div class="charts">{"".join(charts)}</div>'


def _facts(facts: Mapping[str, str]) -> str:
    entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<h2>How this was made</h2><dl>{entries}</dl>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #ffffff; --faint: #d9dde3; --mark: #eef3fb;
  --c0: #1f5fbf; --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; --c4: #0e7490; --c5: #a16207;
  --truth: #22c55e; --predicted: #facc15; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6e9ee; --paper: #14181f; --faint: #38404c; --mark: #1e2836;
  --c0: #7fb2ff; --c1: #ff9d6c; --c2: #6ee7a0; --c3: #d3a4ff; --c4: #67d5ea; --c5: #f2cc5d; } }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; }
h2 { margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .35rem .9rem; border-bottom: 1px solid var(--faint); text-align: right;
  font-variant-numeric: tabular-nums; }
th:first-child { text-align: left; font-weight: 500; }
.best { background: var(--mark); font-weight: 600; }
figure { margin: 0; }
figcaption { font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1.5rem; }
.chart polyline { fill: none; stroke-width: 1.6; }
.chart text { fill: var(--ink); font-size: 12px; }
.chart .end { text-anchor: end; }
.chart .mid { text-anchor: middle; }
.grid { stroke: var(--faint); fill: none; }
.axis { stroke: var(--ink); fill: none; }
.legend { display: block; }
.key { margin-right: 1rem; }
.key::before { content: ""; display: inline-block; width: 1.1em; height: 3px; margin-right: .4em;
  vertical-align: middle; background: var(--key); }
.c0 { --key: var(--c0); } .c1 { --key: var(--c1); } .c2 { --key: var(--c2); }
.c3 { --key: var(--c3); } .c4 { --key: var(--c4); } .c5 { --key: var(--c5); }
polyline, .chart circle { stroke: var(--key); } .chart circle { fill: var(--key); }
.row { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0 2rem; }
.row p { flex-basis: 100%; margin: 0; font-weight: 500; }
.row figure { flex: 0 1 12rem; }
.row svg { display: block; width: 100%; background: #000; }
.row image { image-rendering: pixelated; }
.row path, .row rect { fill: none; stroke-width: 1.6px; vector-effect: non-scaling-stroke; }
.row rect { stroke-dasharray: 4 3; }
.row .centre { stroke-width: 2px; }
.truth { stroke: var(--truth); } .predicted { stroke: var(--predicted); }
.swatch { padding: 0 .5rem; border: 2px solid; }
.swatch.truth { border-color: var(--truth); } .swatch.predicted { border-color: var(--predicted); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace; font-size: .9rem; }
"""
