"""From matplotlib to inline SVG that takes its colors and its type from the page.

Figures are drawn in stand-in colors, each of which becomes a CSS variable: one figure serves light and
dark. Text stays text, so that it scales, can be selected, and is read aloud. The same figure gives the same
bytes: no dates, no random ids. A ``picture`` is drawn twice, for a wide page and for a phone.
"""

import html
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.typing import RcKeyType
from numpy.typing import ArrayLike

WIDTH, NARROW_WIDTH = 720, 350
"""Pixels; what a figure is drawn at, and on a phone. The page scales it to its column."""
_narrow: ContextVar[bool] = ContextVar("narrow", default=False)

INK, MUTED, RULE = "#010001", "#010002", "#010003"
MODEL, BASE, TRUE = "#010004", "#010005", "#010006"
GOOD, BAD, PAPER = "#010007", "#010008", "#010009"
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    MODEL: "--model",
    BASE: "--base",
    TRUE: "--true",
    GOOD: "--good",
    BAD: "--bad",
    PAPER: "--paper",
}

_STYLE: dict[RcKeyType, object] = {
    "svg.fonttype": "none",
    # A dollar sign in a title is a dollar sign.
    "text.parse_math": False,
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.titlecolor": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "hatch.color": INK,
    "patch.edgecolor": INK,
    "axes.formatter.useoffset": False,
}


@dataclass(frozen=True)
class Picture:
    """One figure at two widths, each an ``<svg>``."""

    wide: str
    narrow: str


def picture(draw: Callable[[], str]) -> Picture:
    """What ``draw`` draws, for a wide page and for a phone."""
    wide = draw()
    token = _narrow.set(True)
    try:
        return Picture(wide, draw())
    finally:
        _narrow.reset(token)


def by_width(wide: int, narrow: int) -> int:
    """The one that fits the width that is drawn at."""
    return narrow if _narrow.get() else wide


@contextmanager
def canvas(height: int, narrow_height: int | None = None) -> Iterator[Figure]:
    """A figure of this height in pixels, in the house style; draw and call ``svg_of`` inside the block."""
    size = by_width(WIDTH, NARROW_WIDTH), by_width(height, narrow_height or height)
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(size[0] / 72, size[1] / 72), layout="constrained")


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int, narrow_columns: int = 2) -> None:
    """What the colors mean, under the axes, where it hides nothing."""
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=by_width(columns, narrow_columns),
        handlelength=1.1,
        handleheight=1,
        columnspacing=1.2,
    )


def boxes(
    axes: Axes, left: ArrayLike, bottom: ArrayLike, right: ArrayLike, top: ArrayLike, **style: object
) -> None:
    """Rectangles as one path, a tenth of the bytes of as many shapes."""
    low_x, low_y, high_x, high_y = map(np.ravel, np.broadcast_arrays(left, bottom, right, top))
    if not len(low_x):
        return
    corners = np.stack(
        [(low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y), (low_x, low_y)], axis=0
    )
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    vertices = corners.transpose(2, 0, 1).reshape(-1, 2)
    axes.add_patch(PathPatch(Path(vertices, codes * len(low_x)), **style))


def strokes(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, **style: object) -> None:
    """Vertical lines as one path; of no length and with round ends they are dots."""
    across, bottom, top = map(np.ravel, np.broadcast_arrays(x, low, high))
    vertices = np.stack([(across, bottom), (across, top)], axis=0).transpose(2, 0, 1).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO] * len(across)
    axes.add_patch(PathPatch(Path(vertices, codes), fill=False, **style))


def svg_of(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element.

    Args:
        name: unique on the page; keeps the ids of figures apart.
        description: what a reader who cannot see the figure should know.
    """
    name = f"{name}-narrow" if _narrow.get() else name
    text = _printed(figure, name)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # Only clip paths and markers are referred to; all other ids would repeat from figure to figure.
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)
    text = re.sub(r'(\bid="|#)([mpCD][0-9a-f_]{6,})', rf"\g<1>{name}-\g<2>", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", text)
    text = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda attribute: _smaller(attribute[0]), text)
    text = text.replace("font-family: var(--sans); ", "").replace("; stroke-linejoin: miter", "")
    # Backgrounds that are not drawn.
    text = re.sub(r'<path d="[^"]*" style="fill: none"/>', "", text)
    text = re.sub(r"\s*\n\s*", "\n", _without_bare_groups(text))
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None  # matplotlib always writes one
    head = f'<svg {box.group()} role="img" aria-labelledby="{name}-title" xmlns:xlink="http://www.w3.org/1999/xlink">'
    title = f'<title id="{name}-title">{html.escape(description)}</title>'
    return re.sub(r"<svg[^>]*>", lambda _: head + title, text, count=1).strip()


def _printed(figure: Figure, salt: str) -> str:
    """The SVG file that matplotlib makes of the figure; its ids depend on ``salt``."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Type": None}
        )
    return buffer.getvalue()


def _smaller(attribute: str) -> str:
    """Coordinates to a tenth of a pixel, which is enough; no rotation by nothing."""
    if attribute.startswith((' transform="rotate(-0 ', ' transform="rotate(0 ')):
        return ""
    return re.sub(r"-?\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), attribute)


def _without_bare_groups(text: str) -> str:
    """The elements of groups that have no attributes, without those groups."""
    bare_ones: list[bool] = []

    def kept(tag: re.Match[str]) -> str:
        if tag[0] == "</g>":
            return "" if bare_ones.pop() else tag[0]
        bare_ones.append(tag[0] == "<g>")
        return "" if bare_ones[-1] else tag[0]

    return re.sub(r"<g(?: [^>]*)?>|</g>", kept, text)


def date_axis(axes: Axes, first: np.datetime64, last: np.datetime64) -> None:
    """Ticks at the beginnings of years or, where there are too few of them, at three days."""
    days = np.array([first, last], dtype="datetime64[D]")
    years = np.arange(days[0].astype("datetime64[Y]") + 1, days[1].astype("datetime64[Y]") + 1)
    if len(years) < 2:
        ticks = days[0] + np.arange(3) * ((days[1] - days[0]) // 2)
        labels = [str(tick) for tick in ticks]
    else:
        ticks = years[:: -(-len(years) // by_width(7, 4))].astype("datetime64[D]")
        labels = [str(tick)[:4] for tick in ticks]
    axes.set_xticks(ticks.astype(np.int64), labels)


def bare(axes: Axes, *, grid: str | None = "y") -> None:
    """Grid lines along one axis only."""
    axes.grid(visible=False)
    if grid == "y":
        axes.yaxis.grid(visible=True)
    elif grid == "x":
        axes.xaxis.grid(visible=True)
