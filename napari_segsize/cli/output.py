"""What the commands say: to people (a progress bar, sentences, tables) or to programs (JSON lines)."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..engine.events import (
    Aligned,
    Comparison,
    ContourDone,
    ContourFailed,
    Ended,
    Event,
    Loading,
    Notice,
    Preview,
    Started,
    StepDone,
    Validated,
)
from .progress import Bar, metrics_text

__all__ = ["JsonLines", "Output", "Silent", "Terminal", "plain"]

_PROSE = 60  # characters; a column with a longer cell is wrapped, so that the others stay whole


class Output(Protocol):
    """Where a command reports."""

    def event(self, event: Event) -> None:
        """Report one event of the engine."""

    def result(self, name: str, values: Mapping[str, Any], text: str = "") -> None:
        """Report what a command did: `values` to programs, `text` to people."""

    def table(self, name: str, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Report several values of one kind."""

    def error(self, sentence: str) -> None:
        """Say what went wrong."""

    def close(self) -> None:
        """Leave the screen in order."""


class Silent:
    """The other processes of a distributed run: they work and say nothing."""

    def event(self, event: Event) -> None:
        """Say nothing."""

    def result(self, name: str, values: Mapping[str, Any], text: str = "") -> None:
        """Say nothing."""

    def table(self, name: str, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Say nothing."""

    def error(self, sentence: str) -> None:
        """Say nothing: the leading process fails in the same way, and says it."""

    def close(self) -> None:
        """Nothing was opened."""


class JsonLines:
    """One JSON object per line; numbers that are not finite become null, arrays their shape."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        """Write the event with its class name under "event"; of a contour also where it ended."""
        values = {"event": type(event).__name__, **plain(event)}
        if isinstance(event, ContourDone):
            values["vertices"] = plain(event.contours[-1].tolist())
            values["rings"] = [plain(ring.tolist()) for ring in event.rings]
        self._write(values)

    def result(self, name: str, values: Mapping[str, Any], text: str = "") -> None:  # noqa: ARG002
        """Write the values with `name` under "result"."""
        self._write({"result": name, **plain(values)})

    def table(self, name: str, title: str, rows: Sequence[Mapping[str, Any]]) -> None:  # noqa: ARG002
        """Write one line per row."""
        for row in rows:
            self.result(name, row)

    def error(self, sentence: str) -> None:
        """Write the sentence to both: programs read stdout, people stderr."""
        self._write({"error": sentence})
        sys.stderr.write(sentence + "\n")

    def close(self) -> None:
        """Every line is flushed when it is written."""

    def _write(self, values: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(values, allow_nan=False) + "\n")
        self._stream.flush()


class Terminal:
    """A progress bar and sentences on stderr, results on stdout."""

    def __init__(self) -> None:
        self._out, self._err = Console(soft_wrap=True, highlight=False), Console(stderr=True, highlight=False)
        self._bar = Bar(self._err)

    def event(self, event: Event) -> None:
        """Move the bar, or say the sentence."""
        match event:
            case Loading():
                self._bar.loading(event)
            case Started():
                self._say(_started(event))
                self._bar.start(event)
            case StepDone():
                self._bar.step(event)
            case Validated():
                self._bar.validated(event)
            case Preview() | ContourDone() | ContourFailed() | Aligned():
                self._bar.advance()
            case Notice():
                self._say(event.text)
            case Ended():
                self._bar.stop()
                self._ended(event)
            case _:
                pass

    def result(self, name: str, values: Mapping[str, Any], text: str = "") -> None:
        """Print the sentence, or the values one per line."""
        self._bar.stop()
        for line in [text] if text else [f"{key}: {value}" for key, value in {"": name, **values}.items()]:
            self._out.print(escape(line))

    def table(self, name: str, title: str, rows: Sequence[Mapping[str, Any]]) -> None:  # noqa: ARG002
        """Print a table with the rows' keys as header."""
        self._bar.stop()
        if not rows:
            return
        table = Table(  # without frames: the widest one has to fit into 80 columns
            title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
        )
        for key, value in rows[0].items():
            number = isinstance(value, (int, float))
            prose = max(len(_cell(row[key])) for row in rows) > _PROSE
            table.add_column(key.replace("_", " "), justify="right" if number else "left", no_wrap=not prose)
        for row in rows:
            table.add_row(*(escape(_cell(value)) for value in row.values()))
        self._out.print(table)
        self._out.print()

    def error(self, sentence: str) -> None:
        """Say it in red, on stderr."""
        self._bar.stop()
        self._err.print(escape(sentence), style="red", soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _say(self, sentence: str) -> None:
        if sentence:
            self._err.print(escape(sentence), soft_wrap=True)

    def _ended(self, event: Ended) -> None:
        if event.metrics:
            self._say(f"{event.stage}: {metrics_text(event.metrics)}")
        if event.comparison is not None:
            self.table("comparison", f"On the {event.comparison.split} images", _rows(event.comparison))
        self._say(event.message)


def plain(value: Any) -> Any:
    """Turn events, paths and numpy values into what JSON has; NaN and infinity become None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    sizes = "size error px²" if comparison.of == "images" else "size error ROI px²"
    return [
        {
            "model": name,
            "IoU": row.iou,
            "Dice": row.dice,
            sizes: row.size_error,
            comparison.of: row.images,
        }
        for name, row in zip(comparison.names(), comparison.rows, strict=True)
    ]


def _started(event: Started) -> str:
    parts = [f"{event.images} images"] if event.images else []
    parts += [f"{event.masks} masks"] if event.masks else []
    parts += [f"{event.objects} objects"] if event.objects else []
    parts += [f"{event.sizes} sizes"] if event.sizes else []
    parts += [f"extreme points of {event.extents} objects"] if event.extents else []
    parts += [f"{event.parameters / 1e6:.1f} M parameters"] if event.parameters else []
    parts += [f"from step {event.step}"] if event.step else []
    return f"{event.stage} on {event.device}" + (": " + ", ".join(parts) if parts else "")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if math.isfinite(value) else "–"
    return str(value)
