"""Small line charts as inline SVG: themed by CSS variables, drawn for a phone's width, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 34
MAX_POINTS = 160  # more cannot be told apart at this width


@dataclass(frozen=True)
class Series:
    """One line or, with `dots`, a set of points. `colour` is a CSS colour such as ``var(--c1)``.

    `band` is an interval around the line: x, low, high.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    dots: bool = False
    band: Sequence[tuple[float, float, float]] = ()


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    log: bool = False,
    percent: bool = False,
) -> str:
    """An ``<svg>`` of the series, or an empty text when none has a finite point.

    Args:
        y_range: limits of the y axis; by default the data's.
        log: logarithmic y axis; points at or below 0 are left out.
        percent: y values are shares and labelled in percent.
    """
    cleaned = [replace(s, points=thin(_finite(s.points, log))) for s in series]
    cleaned = [s for s in cleaned if s.points]
    if not cleaned:
        return ""
    xs = [x for s in cleaned for x, _ in s.points]
    ys = [y for s in cleaned for _, y in s.points] + [y for s in cleaned for _, *limits in s.band for y in limits]
    x_low, x_high = min(0.0, *xs), max(xs)
    y_low, y_high = y_range or (min(ys), max(ys))
    if y_range is None and not log:
        y_low = min(0.0, y_low)
    x_high, y_high = _apart(x_low, x_high), _apart(y_low, y_high)

    def to_x(x: float) -> float:
        return LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def to_y(y: float) -> float:
        share = math.log(y / y_low) / math.log(y_high / y_low) if log else (y - y_low) / (y_high - y_low)
        return HEIGHT - BOTTOM - min(max(share, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)

    y_ticks = _log_ticks(y_low, y_high) if log else ticks(y_low, y_high)
    body = [_grid_line(to_y(t), f"{t:.0%}" if percent else number(t)) for t in y_ticks]
    body += [_x_tick(to_x(t), number(t)) for t in ticks(x_low, x_high)]
    body += [_draw(s, to_x, to_y) for s in cleaned]
    body.append(f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(x_label)}</text>')
    names = ", ".join(s.name for s in cleaned)
    label = escape(f"{y_label} by {x_label}: {names}", quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(body)}</svg>'


def thin(points: Sequence[tuple[float, float]], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most `limit` points: means of equal stretches, the last point kept as it is."""
    if len(points) <= limit:
        return list(points)
    width = math.ceil(len(points) / (limit - 1))
    stretches = [points[i : i + width] for i in range(0, len(points), width)]
    means = [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in stretches]
    return [*means, points[-1]]


def _finite(points: Sequence[tuple[float, float]], log: bool) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and (not log or y > 0)]


def _apart(low: float, high: float) -> float:
    return high if high > low else low + (abs(low) or 1.0)


def _draw(series: Series, to_x, to_y) -> str:  # type: ignore[no-untyped-def]
    places = [(to_x(x), to_y(y)) for x, y in series.points]
    if series.dots or len(places) == 1:
        return "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{series.colour}"/>' for x, y in places)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        _band(series, to_x, to_y)
        + f'<polyline points="{path}" fill="none" stroke="{series.colour}" stroke-width="2" stroke-linejoin="round"/>'
    )


def _band(series: Series, to_x, to_y) -> str:  # type: ignore[no-untyped-def]
    if not series.band:
        return ""
    edge = [(x, high) for x, _, high in series.band] + [(x, low) for x, low, _ in reversed(series.band)]
    path = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in edge)
    return f'<polygon points="{path}" fill="{series.colour}" fill-opacity="0.18"/>'


def _grid_line(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="axis" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _x_tick(x: float, text: str) -> str:
    return f'<text class="axis" x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{text}</text>'


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round values within [low, high]."""
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    return ticks if len(ticks) <= 6 else [t for t in ticks if math.isclose(math.log10(t) % 1, 0, abs_tol=1e-9)] or ticks


def number(value: float) -> str:
    if value and abs(value) >= 1000 and value % 100 == 0:
        return f"{value / 1000:g}k"
    return f"{value:g}"
