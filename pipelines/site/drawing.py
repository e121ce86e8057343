"""Small SVGs of a site's pages: an interval as a bar, curves over one another. No library: there are thousands."""

import html
from collections.abc import Sequence

from model_core.results.skill import SkillInterval

COLORS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#dc2626")
"""Of up to eight runs; each is told by its dash pattern, too."""
_DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 4", "4 2 1 2", "3 6")
_BAR = (120, 14)
_CHART = (640, 240)
_MARGIN = (56, 10, 10, 30)
"""Left, top, right, bottom."""


def bar(row: SkillInterval | None, reach: float) -> str:
    """A skill with its interval about a line at zero, on an axis from −``reach`` to +``reach``; cut off beyond."""
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


def curves(
    series: Sequence[tuple[str, Sequence[float], Sequence[float], int]],
    title: str,
    x_label: str,
    labels: Sequence[str] = (),
) -> str:
    """Curves over one another.

    Args:
        series: name, x [n], y [n] and the number of the run, which decides color and dashes.
        labels: what the first and the last x are called; numbers if there are none.
    """
    xs = [x for _, row, _, _ in series for x in row]
    ys = [y for _, _, row, _ in series for y in row]
    if not xs:
        return ""
    (x0, x1), (y0, y1) = _span(xs), _span(ys)
    (width, height), (left, top, right, bottom) = _CHART, _MARGIN

    def at(x: float, y: float) -> str:
        px = left + (x - x0) / (x1 - x0) * (width - left - right)
        py = top + (y1 - y) / (y1 - y0) * (height - top - bottom)
        return f"{px:.1f},{py:.1f}"

    lines = [
        f'<polyline points="{" ".join(at(x, y) for x, y in zip(row_x, row_y, strict=True))}" fill="none" '
        f'stroke="{COLORS[k % len(COLORS)]}" stroke-dasharray="{_DASHES[k % len(_DASHES)]}" stroke-width="1.8"/>'
        for _, row_x, row_y, k in series
    ]
    ticks = []
    for part in (0, 0.5, 1):
        value = y0 + part * (y1 - y0)
        _, _, y = at(x0, value).partition(",")
        ticks.append(f'<line x1="{left}" x2="{width - right}" y1="{y}" y2="{y}" class="grid"/>')
        ticks.append(f'<text x="{left - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    first, last = labels or (f"{x0:.4g}", f"{x1:.4g}")
    base = height - 10
    ticks.append(f'<text x="{left}" y="{base}">{html.escape(first)}</text>')
    ticks.append(f'<text x="{width - right}" y="{base}" text-anchor="end">{html.escape(last)}</text>')
    ticks.append(
        f'<text x="{(left + width - right) / 2}" y="{base}" text-anchor="middle">{html.escape(x_label)}</text>'
    )
    said = html.escape(f"{title}: {', '.join(dict.fromkeys(name for name, _, _, _ in series))}")
    head = f'<svg viewBox="0 0 {width} {height}" class="chart" role="img" aria-label="{said}">'
    return f"{head}{''.join(ticks + lines)}</svg>"


def key(names: Sequence[str]) -> str:
    """Which line is which run's."""
    items = [
        f'<li><svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true"><line x1="0" x2="28" y1="4" y2="4" '
        f'stroke="{COLORS[k % len(COLORS)]}" stroke-dasharray="{_DASHES[k % len(_DASHES)]}" stroke-width="2.5"/></svg> '
        f"{html.escape(name)}</li>"
        for k, name in enumerate(names)
    ]
    return f'<ul class="key">{"".join(items)}</ul>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
