"""Line charts as inline SVG: a report needs no plotting library, no script and no second file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

__all__ = ["Curve", "line_chart", "ticks"]

_WIDTH, _HEIGHT = 400.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 20.0, 10.0, 40.0
_MOST_POINTS = 240  # more than the chart has room for only makes the page heavy
_LOG_RANGE = 50.0  # values that span more than this are drawn on a logarithmic axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One named line: `values` at `steps`; values that are not finite are gaps."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise ValueError(f"{self.name}: {len(self.steps)} steps but {len(self.values)} values")

    def finite(self) -> tuple[list[float], list[float]]:
        """Steps and values that can be drawn; long curves as means of neighbouring points."""
        steps, values = np.asarray(self.steps, dtype=float), np.asarray(self.values, dtype=float)
        known = np.isfinite(values)
        bins = min(max(int(known.sum()), 1), _MOST_POINTS)
        pairs = zip(np.array_split(steps[known], bins), np.array_split(values[known], bins), strict=True)
        means = [(float(x.mean()), float(y.mean())) for x, y in pairs if len(x)]
        return [x for x, _ in means], [y for _, y in means]


def line_chart(curves: Sequence[Curve], *, title: str, unit: str = "") -> str:
    """Draw curves over the same steps in one chart with axes and a legend.

    Parameters
    ----------
    curves : sequence of Curve
        Curves without a single finite value are left out; without any, the chart says so.
    title : str
    unit : str
        Written beside the vertical axis.

    Returns
    -------
    str
        A ``<figure>`` with an inline SVG; colours come from the page's CSS variables. A single curve that
        is called as the chart needs no legend.
    """
    drawn = [(curve.name, *curve.finite()) for curve in curves]
    drawn = [(name, steps, values) for name, steps, values in drawn if values]
    if not drawn:
        return f"<figure><figcaption>{escape(title)}: nothing was measured.</figcaption></figure>"
    values = [value for _, _, line in drawn for value in line]
    logarithmic = min(values) > 0 and max(values) / min(values) > _LOG_RANGE
    last = max(max(steps) for _, steps, _ in drawn)
    axes = _Axes(first=min(min(steps) for _, steps, _ in drawn), last=last, values=values, log=logarithmic)
    body = [axes.frame(unit)]
    for index, (_, steps, line) in enumerate(drawn):
        body.append(_line(axes, steps, line, index))
    names = [name for name, _, _ in drawn]
    legend = _legend(names) if len(names) > 1 or names[0] != title else ""
    described = ", ".join(f"{name} {line[-1]:.3g}" for name, _, line in drawn)
    return (
        f'<figure class="chart"><figcaption>{escape(title)}{legend}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{escape(title)}; last values: {escape(described)}">{"".join(body)}</svg></figure>'
    )


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """At most about `count` round numbers between two values."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [round(index * step, 12) for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


class _Axes:
    """Where a step and a value lie in the drawing."""

    def __init__(self, *, first: float, last: float, values: Sequence[float], log: bool) -> None:
        self._log = log
        self._first, self._last = (first, last) if last > first else (first - 0.5, first + 0.5)
        low, high = self._scale(min(values)), self._scale(max(values))
        margin = 0.05 * (high - low) or max(abs(high), 1.0) * 0.05
        self._low, self._high = low - margin, high + margin

    def x(self, step: float) -> float:
        share = (step - self._first) / (self._last - self._first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (self._scale(value) - self._low) / (self._high - self._low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def _scale(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def _value_ticks(self) -> list[float]:
        if not self._log:
            return ticks(self._low, self._high)
        powers = range(math.floor(self._low), math.ceil(self._high) + 1)
        inside = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        inside = [value for value in inside if self._low <= math.log10(value) <= self._high]
        return inside if len(inside) <= 8 else inside[:: math.ceil(len(inside) / 8)]

    def frame(self, unit: str) -> str:
        """Grid, numbers and names of the axes."""
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = []
        for value in self._value_ticks():
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{_LEFT:g} {y:.1f}H{right:g}"/>')
            parts.append(f'<text class="end" x="{_LEFT - 6:g}" y="{y + 4:.1f}">{value:g}</text>')
        parts += [
            f'<text class="mid" x="{self.x(step):.1f}" y="{bottom + 16:g}">{step:g}</text>'
            for step in ticks(self._first, self._last, 6)
            if step == int(step)
        ]
        parts.append(f'<path class="axis" d="M{_LEFT:g} {_TOP:g}V{bottom:g}H{right:g}"/>')
        parts.append(f'<text class="mid" x="{(_LEFT + right) / 2:g}" y="{_HEIGHT - 6:g}">step</text>')
        if unit:
            middle = (_TOP + bottom) / 2
            turned = f'transform="rotate(-90 12 {middle:g})"'
            parts.append(f'<text class="mid" x="12" y="{middle:g}" {turned}>{escape(unit)}</text>')
        return "".join(parts)


def _line(axes: _Axes, steps: Sequence[float], values: Sequence[float], index: int) -> str:
    points = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in zip(steps, values, strict=True))
    if len(steps) == 1:
        x, y = points.split(",")
        return f'<circle class="c{index % 6}" cx="{x}" cy="{y}" r="3"/>'
    return f'<polyline class="c{index % 6}" points="{points}"/>'


def _legend(names: Sequence[str]) -> str:
    entries = (f'<span class="key c{index % 6}">{escape(name)}</span>' for index, name in enumerate(names))
    return f'<span class="legend">{"".join(entries)}</span>'
