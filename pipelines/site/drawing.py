"""Small SVGs for a site's pages: an interval as a bar, curves over one another. A site has thousands: no library."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from model_core.results.skill import SkillInterval

COLORS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#dc2626")
"""Of up to eight runs, which also differ in their dashes."""
_DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 4", "4 2 1 2", "3 6")
_BAR = (120, 14)
_CHART = (640, 240)
"""Width and height in pixels, as of a bar."""
_MARGIN = (72, 10, 10, 30)
"""Left, top, right, bottom, in pixels."""
_FEW_POINTS = 25
"""Up to as many, each point of a curve is marked."""


def bar(row: SkillInterval | None, reach: float) -> str:
    """A skill and its interval on an axis from −``reach`` to +``reach`` with a line at zero; cut off beyond."""
    if row is None or row.skill is None:
        return ""
    width, height = _BAR

    def x(value: float) -> float:
        return round((max(-reach, min(reach, value)) / reach + 1) * width / 2, 1)

    tone = (
        "good"
        if row.low is not None and row.low > 0
        else "bad"
        if row.high is not None and row.high < 0
        else "even"
    )
    parts = [f'<line x1="{width / 2}" x2="{width / 2}" y1="0" y2="{height}" class="zero"/>']
    if row.low is not None and row.high is not None:
        left, wide = x(row.low), max(1.0, round(x(row.high) - x(row.low), 1))
        parts.append(f'<rect x="{left}" width="{wide}" y="4" height="6" class="{tone}"/>')
    parts.append(f'<line x1="{x(row.skill)}" x2="{x(row.skill)}" y1="1" y2="{height - 1}" class="at"/>')
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
    return f"{head}{''.join(parts)}</svg>"


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    x: Sequence[float]
    """[n]"""
    y: Sequence[float]
    """[n]"""
    number: int
    """Decides color and dashes: that of the run, or of the kind of line."""
    ring: float | None = None
    """The x of a point to mark, if the line has it."""


def curves(series: Sequence[Curve], title: str, x_label: str, labels: Sequence[str] = ()) -> str:
    """A chart of curves over one another; a curve of few points has each of them marked.

    Args:
        title: what a screen reader calls the chart.
        labels: what to write for the first and the last x, if not their numbers.
    """
    xs = [x for curve in series for x in curve.x]
    ys = [y for curve in series for y in curve.y]
    if not xs:
        return ""
    (x0, x1), (y0, y1) = _span(xs), _span(ys)
    (width, height), (left, top, right, bottom) = _CHART, _MARGIN

    def at(x: float, y: float) -> str:
        px = left + (x - x0) / (x1 - x0) * (width - left - right)
        py = top + (y1 - y) / (y1 - y0) * (height - top - bottom)
        return f"{px:.1f},{py:.1f}"

    lines, ticks = [], []
    for curve in series:
        points = [at(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
        color = COLORS[curve.number % len(COLORS)]
        lines.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}" '
            f'stroke-dasharray="{_DASHES[curve.number % len(_DASHES)]}" stroke-width="1.8"/>'
        )
        if len(points) <= _FEW_POINTS:
            lines += [_circle(point, 2.5, f'fill="{color}"') for point in points]
        lines += [
            _circle(point, 6, f'fill="none" stroke="{color}" stroke-width="1.8"')
            for x, point in zip(curve.x, points, strict=True)
            if x == curve.ring
        ]
    # As many decimals as show two digits of the distance between two grid lines.
    digits = max(0, 1 - math.floor(math.log10((y1 - y0) / 2)))
    for part in (0, 0.5, 1):
        value = y0 + part * (y1 - y0)
        _, _, y = at(x0, value).partition(",")
        ticks.append(f'<line x1="{left}" x2="{width - right}" y1="{y}" y2="{y}" class="grid"/>')
        ticks.append(
            f'<text x="{left - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{_signed(value, digits)}</text>'
        )
    first, last = labels or (f"{x0:.4g}", f"{x1:.4g}")
    base = height - 10
    ticks.append(f'<text x="{left}" y="{base}">{html.escape(first)}</text>')
    ticks.append(f'<text x="{width - right}" y="{base}" text-anchor="end">{html.escape(last)}</text>')
    ticks.append(
        f'<text x="{(left + width - right) / 2}" y="{base}" text-anchor="middle">{html.escape(x_label)}</text>'
    )
    said = html.escape(f"{title}: {', '.join(dict.fromkeys(curve.name for curve in series))}")
    head = f'<svg viewBox="0 0 {width} {height}" class="chart" role="img" aria-label="{said}">'
    return f"{head}{''.join(ticks + lines)}</svg>"


def _circle(point: str, radius: float, style: str) -> str:
    x, _, y = point.partition(",")
    return f'<circle cx="{x}" cy="{y}" r="{radius}" {style}/>'


def _signed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def key(series: Sequence[Curve]) -> str:
    """A legend: which line is which."""
    names = {curve.number: curve.name for curve in series}
    items = [
        f'<li><svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true"><line x1="0" x2="28" y1="4" y2="4" '
        f'stroke="{COLORS[k % len(COLORS)]}" stroke-dasharray="{_DASHES[k % len(_DASHES)]}" stroke-width="2.5"/></svg> '
        f"{html.escape(name)}</li>"
        for k, name in names.items()
    ]
    return f'<ul class="key">{"".join(items)}</ul>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
